"""From a trained student to a checked LiteRT file with its contract."""

from tfkd.export.keras_logits import keras_logits, keras_predictor
from tfkd.export.litert import ExportResult, to_litert
from tfkd.export.verify import Comparison

__all__ = [
    "Comparison",
    "ExportResult",
    "keras_logits",
    "keras_predictor",
    "to_litert",
]
