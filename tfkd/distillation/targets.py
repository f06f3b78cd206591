"""What a batch brings beside the images: masks, and where each slice comes from."""

from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Targets"]


@dataclass(frozen=True)
class Targets:
    """The second element of a training batch.

    Args:
        mask: Labels: class indices (N, H, W) or (N, H, W, 1), or one-hot (N, H, W, K).
        case_id: UTF-8 of the case ids (N, L), uint8, zero-padded; None if the data does not say.
        slice_index: Slice of the case (N,), int32, or None.
        cache: What the teachers say about the slices, as a teacher cache holds it, or None.
    """

    mask: Any
    case_id: Any = None
    slice_index: Any = None
    cache: dict[str, Any] | None = None

    @classmethod
    def of(cls, y: Any) -> "Targets":
        """Reads labels alone, or the dictionary that `CTRecords.stream` gives.

        Raises:
            ValueError: If a dictionary has other entries than those, or no mask.
        """
        if not isinstance(y, dict):
            return cls(y)
        known = [field.name for field in fields(cls)]
        if "mask" not in y or not set(y) <= set(known):
            raise ValueError(
                f"Expected labels, or a dictionary with 'mask' and any of {known[1:]}. Received "
                f"one of {sorted(y)}."
            )
        return cls(**y)
