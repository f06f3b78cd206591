"""Networks in the form that an edge device computes, and trained as int8 will compute them."""

from tfkd.export.quantization.edge_form import edge_form
from tfkd.export.quantization.fake_quantize import FakeQuantize
from tfkd.export.quantization.quantization_aware import (
    calibrate,
    is_quantization_aware,
    quantization_aware,
)

__all__ = [
    "FakeQuantize",
    "calibrate",
    "edge_form",
    "is_quantization_aware",
    "quantization_aware",
]
