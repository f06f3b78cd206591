"""Contract and predictor: what runs on the device, without TensorFlow or Keras."""

from tfkd.inference.bench import BenchResult, bench
from tfkd.inference.bundle import CARD_NAME, open_bundle
from tfkd.inference.clean_mask import clean_mask
from tfkd.inference.contract import QUANTIZATIONS, SCHEMA_VERSION, Contract, contract_path
from tfkd.inference.file_prediction import FilePrediction, MaskWriter, predict_file
from tfkd.inference.golden import GoldenSlice
from tfkd.inference.mirrored import mirrored
from tfkd.inference.model_tensor import ModelTensor
from tfkd.inference.operator_times import OperatorTime, time_operators
from tfkd.inference.operators import FileOperators, read_operators
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
    "BenchResult",
    "Contract",
    "FileOperators",
    "FilePrediction",
    "GoldenSlice",
    "LiteRTModel",
    "LogitsFunction",
    "MaskWriter",
    "ModelTensor",
    "OperatorTime",
    "Postprocessing",
    "Predictor",
    "Progress",
    "SlicePrediction",
    "VolumePredictor",
    "bench",
    "clean_mask",
    "contract_path",
    "mirrored",
    "open_bundle",
    "predict_file",
    "read_operators",
    "time_operators",
]
