"""From a trained student to a checked LiteRT file with its contract."""

from tfkd.export.bundle import write_bundle
from tfkd.export.dice_budget import ModeChoice, choose_mode
from tfkd.export.keras_logits import keras_logits, keras_predictor
from tfkd.export.litert import ExportResult, to_litert
from tfkd.export.mode_measurements import StudentTask
from tfkd.export.mode_row import ModeRow
from tfkd.export.model_card import model_card
from tfkd.export.preflight import Preflight, PreflightFile, preflight
from tfkd.export.quantization import (
    FakeQuantize,
    calibrate,
    edge_form,
    is_quantization_aware,
    quantization_aware,
)
from tfkd.export.verify import Comparison

__all__ = [
    "Comparison",
    "ExportResult",
    "FakeQuantize",
    "ModeChoice",
    "ModeRow",
    "Preflight",
    "PreflightFile",
    "StudentTask",
    "calibrate",
    "choose_mode",
    "edge_form",
    "is_quantization_aware",
    "keras_logits",
    "keras_predictor",
    "model_card",
    "preflight",
    "quantization_aware",
    "to_litert",
    "write_bundle",
]
