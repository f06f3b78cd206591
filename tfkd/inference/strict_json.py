"""JSON objects read strictly: a key too many or too few is an error, not a default."""

import base64
import math
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np

from tfkd.errors import ContractError

__all__ = ["decode_array", "encode_array", "exact_keys", "typed"]

# Far above a golden slice; an array that states more is not unpacked.
_MOST_BYTES = 2**28


def exact_keys(value: Any, keys: Collection[str], where: str) -> dict[str, Any]:
    """Return `value` if it is an object with exactly these keys.

    Args:
        value: what the JSON parser gave.
        keys: the names it must have.
        where: words for the error message, such as "student.json, key 'input'".

    Raises:
        ContractError: not an object, or a key is unknown or missing.
    """
    if not isinstance(value, dict):
        raise ContractError(
            f"{where}: expected an object with the keys {sorted(keys)}, "
            f"received {type(value).__name__}. Export the model again."
        )
    unknown = sorted(set(value) - set(keys))
    missing = sorted(set(keys) - set(value))
    if unknown or missing:
        raise ContractError(
            f"{where}: expected exactly the keys {sorted(keys)}, received unknown {unknown} and "
            f"missing {missing}. The file was edited or written by another version of tfkd: "
            "install that version, or export the model again."
        )
    return value


def typed(record: dict[str, Any], key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """Return `record[key]` if it is of the given type; a bool never passes for a number.

    Raises:
        ContractError: the value has another type.
    """
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        names = [one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,))]
        raise ContractError(
            f"{where}, key {key!r}: expected {' or '.join(names)}, received {value!r}. "
            "Export the model again."
        )
    return value


def encode_array(array: np.ndarray) -> str:
    """Return the array's little-endian C-order bytes, deflated, as base64 text."""
    portable = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(portable.tobytes(), 9)).decode("ascii")


def decode_array(text: str, dtype: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Return the array that `encode_array` wrote.

    Args:
        text: base64 of deflated little-endian bytes.
        dtype: NumPy name of the element type, such as "int16".
        shape: what the caller expects; the number of bytes must agree with it.
        where: words for the error message.

    Raises:
        ContractError: not base64, not deflated, not of that size, or larger than 256 MiB.
    """
    portable = np.dtype(dtype).newbyteorder("<")
    size = math.prod(shape) * portable.itemsize
    try:
        if size > _MOST_BYTES:
            raise ValueError(f"the shape asks for {size} bytes, more than {_MOST_BYTES}")
        # No more than one byte too many: a few deflated bytes can stand for gigabytes.
        inflater = zlib.decompressobj()
        raw = inflater.decompress(base64.b64decode(text, validate=True), size + 1)
        if len(raw) != size or not inflater.eof:
            found = f"more than {size}" if len(raw) > size else len(raw)
            raise ValueError(f"expected {size} bytes, whole, received {found}")
        return np.frombuffer(raw, portable).reshape(shape).astype(dtype)
    except (ValueError, zlib.error) as error:
        raise ContractError(
            f"{where}: expected {dtype} of shape {shape} as deflated base64, received "
            f"something else ({error}). Export the model again."
        ) from error
