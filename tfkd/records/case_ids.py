"""Case ids as numbers, and back: XLA and JAX take no strings."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["decode_case_ids", "encode_case_ids"]


def encode_case_ids(names: Sequence[str], length: int | None = None) -> np.ndarray:
    """The UTF-8 bytes of case ids, padded with zeros to one length.

    Args:
        names: The case ids; may be empty.
        length: Bytes per id; None for those of the longest one.

    Returns:
        (n, length) uint8.

    Raises:
        ValueError: If an id is longer than `length`, or holds the character NUL, which pads.

    Example:
        >>> encode_case_ids(["ct-7", "a"])
        array([[ 99, 116,  45,  55],
               [ 97,   0,   0,   0]], dtype=uint8)
    """
    encoded = [name.encode() for name in names]
    if length is None:
        length = max(map(len, encoded), default=0)
    for name, content in zip(names, encoded, strict=True):
        if len(content) > length or b"\0" in content:
            raise ValueError(
                f"case id: expected at most {length} bytes of UTF-8 without NUL, received {name!r} "
                f"with {len(content)}. Pass a larger `length`, or rename the case."
            )
    padded = b"".join(content.ljust(length, b"\0") for content in encoded)
    return np.frombuffer(padded, np.uint8).reshape(len(encoded), length).copy()


def decode_case_ids(array: Any) -> list[str]:
    """The case ids of a batch: the inverse of `encode_case_ids`.

    Args:
        array: (n, length) uint8, or a tensor that NumPy can read.

    Returns:
        The n case ids; a row of zeros gives an empty one.

    Raises:
        ValueError: If the array is not of that rank and type.

    Example:
        >>> decode_case_ids(np.array([[99, 116, 45, 55], [97, 0, 0, 0]], np.uint8))
        ['ct-7', 'a']
    """
    array = np.asarray(array)
    if array.ndim != 2 or array.dtype != np.uint8:
        raise ValueError(
            f"case ids: expected uint8 (n, length) as `encode_case_ids` returns it, received "
            f"{array.dtype} {array.shape}."
        )
    return [row.tobytes().rstrip(b"\0").decode() for row in array]
