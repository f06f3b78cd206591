"""Name, shape and number format of a model file's input or output."""

from dataclasses import asdict, dataclass
from typing import Any

from tfkd.errors import ContractError
from tfkd.inference.strict_json import exact_keys, typed

__all__ = ["ModelTensor"]

_KEYS = ("name", "shape", "dtype", "scale", "zero_point")


@dataclass(frozen=True)
class ModelTensor:
    """The input or the output of a model file.

    Attributes:
        name: in the signature `serving_default`.
        shape: (1, H, W, C) or (1, H, W, K).
        dtype: "float32" or "int8".
        scale: real value = scale · (integer − zero_point); None for float32.
        zero_point: None for float32.
    """

    name: str
    shape: tuple[int, int, int, int]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, value: Any, where: str) -> "ModelTensor":
        """Read what `to_dict` gave.

        Raises:
            ContractError: a key or a type is not as expected.
        """
        record = exact_keys(value, _KEYS, where)
        shape = tuple(typed(record, "shape", list, where))
        dtype = typed(record, "dtype", str, where)
        none = type(None)
        scale = typed(record, "scale", (int, float, none), where)
        zero_point = typed(record, "zero_point", (int, none), where)
        quantized = dtype == "int8"
        if (
            len(shape) != 4
            or not all(type(n) is int and n > 0 for n in shape)
            or dtype not in ("float32", "int8")
            or (scale is not None) != quantized
            or (zero_point is not None) != quantized
        ):
            raise ContractError(
                f"{where}: expected shape (1, H, W, channels) and float32, or int8 with scale and "
                f"zero_point; received {record}. Export the model again."
            )
        name = typed(record, "name", str, where)
        return cls(name, shape, dtype, None if scale is None else float(scale), zero_point)
