"""One slice and what the model file made of it on the day it was exported."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfkd.errors import ContractError
from tfkd.inference.strict_json import decode_array, encode_array, exact_keys, typed

__all__ = ["GoldenSlice"]

_KEYS = (
    "shape",
    "image_hu",
    "mask",
    "logits_stride",
    "logits",
    "logits_tolerance",
    "min_agreement",
)


@dataclass(frozen=True, eq=False)
class GoldenSlice:
    """A slice, the mask and a sample of the logits that the file gave for it.

    The mask alone would not do: a runtime that returns zeros agrees with a mask of background. The
    slice is synthetic, so that no patient's image travels with the model.

    Attributes:
        image_hu: (H, W, C) int16, fitted to the network's size, HU before windowing.
        mask: (H, W) uint8, argmax of the file's logits.
        logits: (h, w, K) float32, the file's logits at every `logits_stride`-th row and column.
        logits_stride: in pixels.
        logits_tolerance: largest absolute difference that another machine's kernels may give.
        min_agreement: smallest fraction of pixels whose label must agree, in (0, 1].
    """

    image_hu: np.ndarray
    mask: np.ndarray
    logits: np.ndarray
    logits_stride: int
    logits_tolerance: float
    min_agreement: float

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads; arrays as deflated base64."""
        return {
            "shape": list(self.image_hu.shape),
            "min_agreement": self.min_agreement,
            "logits_stride": self.logits_stride,
            "logits_tolerance": self.logits_tolerance,
            "image_hu": encode_array(self.image_hu.astype(np.int16)),
            "mask": encode_array(self.mask.astype(np.uint8)),
            "logits": encode_array(self.logits.astype(np.float32)),
        }

    @classmethod
    def from_dict(cls, value: Any, num_classes: int, where: str) -> "GoldenSlice":
        """Read what `to_dict` gave.

        Args:
            value: the parsed JSON value.
            num_classes: number of classes K that the logits must have.
            where: words for the error message.

        Raises:
            ContractError: a key, a type or a limit is not as expected.
        """
        record = exact_keys(value, _KEYS, where)
        shape = tuple(typed(record, "shape", list, where))
        stride = typed(record, "logits_stride", int, where)
        if len(shape) != 3 or stride < 1 or not all(type(n) is int and n > 0 for n in shape):
            raise ContractError(
                f"{where}: expected 'shape' (H, W, C) and a positive 'logits_stride', received "
                f"{shape} and {stride}. Export the model again."
            )
        height, width = shape[:2]
        sampled = (-(-height // stride), -(-width // stride), num_classes)

        def array(key: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
            text = typed(record, key, str, where)
            return decode_array(text, dtype, shape, f"{where}, key {key!r}")

        tolerance = typed(record, "logits_tolerance", (int, float), where)
        min_agreement = typed(record, "min_agreement", (int, float), where)
        # Written so that NaN fails: with it, every machine would pass the check.
        if not (0 <= tolerance <= sys.float_info.max and 0 < min_agreement <= 1):
            raise ContractError(
                f"{where}: expected a finite 'logits_tolerance' of at least 0 and a "
                f"'min_agreement' in (0, 1], received {tolerance} and {min_agreement}. Export the "
                "model again."
            )
        return cls(
            image_hu=array("image_hu", "int16", shape),
            mask=array("mask", "uint8", (height, width)),
            logits=array("logits", "float32", sampled),
            logits_stride=stride,
            logits_tolerance=float(tolerance),
            min_agreement=float(min_agreement),
        )

    def difference(self, logits: np.ndarray) -> tuple[float, float]:
        """Return (fraction of pixels with the expected label, largest difference of the logits).

        Args:
            logits: (H, W, K) float32, what the model gives for `image_hu` here and now. NaN or
                infinity anywhere counts as an infinite difference.
        """
        agreement = float(np.mean(logits.argmax(axis=-1) == self.mask))
        if not np.isfinite(logits).all():
            return agreement, float("inf")
        sample = logits[:: self.logits_stride, :: self.logits_stride]
        worst = np.abs(sample - self.logits).max()
        return agreement, float(worst) if np.isfinite(worst) else float("inf")
