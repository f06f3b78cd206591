"""Contract and predictor: what runs on the device, without TensorFlow or Keras."""

from tfkd.inference.contract import SCHEMA_VERSION, Contract, contract_path
from tfkd.inference.golden import GoldenSlice
from tfkd.inference.model_tensor import ModelTensor
from tfkd.inference.predictor import Predictor
from tfkd.inference.runtime import LiteRTModel
from tfkd.inference.volume_predictor import LogitsFunction, Progress, VolumePredictor

__all__ = [
    "SCHEMA_VERSION",
    "Contract",
    "GoldenSlice",
    "LiteRTModel",
    "LogitsFunction",
    "ModelTensor",
    "Predictor",
    "Progress",
    "VolumePredictor",
    "contract_path",
]
