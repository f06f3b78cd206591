"""Contract and predictor: what runs on the device, without TensorFlow or Keras."""

import importlib
from typing import Any

from tfkd.inference.bundle import CARD_NAME, open_bundle
from tfkd.inference.clean_mask import clean_mask
from tfkd.inference.contract import QUANTIZATIONS, SCHEMA_VERSION, Contract, contract_path
from tfkd.inference.file_prediction import FilePrediction, MaskWriter, predict_file
from tfkd.inference.golden import GoldenSlice
from tfkd.inference.mirrored import mirrored
from tfkd.inference.model_tensor import ModelTensor
from tfkd.inference.postprocessing import Postprocessing
from tfkd.inference.predictor import Predictor
from tfkd.inference.runtime import LiteRTModel
from tfkd.inference.volume_predictor import (
    LogitsFunction,
    Progress,
    SlicePrediction,
    VolumePredictor,
)

__all__ = [
    "CARD_NAME",
    "QUANTIZATIONS",
    "SCHEMA_VERSION",
    "Contract",
    "FilePrediction",
    "GoldenSlice",
    "LiteRTModel",
    "LogitsFunction",
    "MaskWriter",
    "ModelTensor",
    "Postprocessing",
    "Predictor",
    "Progress",
    "SlicePrediction",
    "VolumePredictor",
    "clean_mask",
    "contract_path",
    "mirrored",
    "open_bundle",
    "predict_file",
]

# Names that were here before `tfkd.bench`, for one release.
_OF_BENCH = (
    "BenchResult",
    "FileOperators",
    "OperatorTime",
    "bench",
    "read_operators",
    "time_operators",
)


def __getattr__(name: str) -> Any:
    if name in _OF_BENCH:
        return getattr(importlib.import_module("tfkd.bench"), name)
    raise AttributeError(f"module 'tfkd.inference' has no attribute {name!r}")
