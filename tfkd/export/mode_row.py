"""One line of the table of number formats: a file, what it scores and what it costs."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["ModeRow"]


@dataclass(frozen=True)
class ModeRow:
    """A student in one number format, measured.

    Attributes:
        mode: "Keras", one of `tfkd.inference.QUANTIZATIONS`, "int8_mixed_N" (N features stay in
            floating point) or "int8_fine_tuned".
        size_bytes: of the file; None for Keras, or where there is no file.
        ms_per_slice: median time of a slice at batch 1, milliseconds; None if not measured.
        ram_bytes: what loading and running the file adds to a process; None if not known.
        label_dice: label → mean Dice over the volumes, in [0, 1]; NaN where no volume counts.
        dice_drop: points (0 to 100) of mean foreground Dice below Keras; NaN if not measured.
        within_budget: whether the drop is allowed; None without a budget or a drop.
        note: what was done to the file, or why there is none.
    """

    mode: str
    size_bytes: int | None = None
    ms_per_slice: float | None = None
    ram_bytes: int | None = None
    label_dice: dict[str, float] = field(default_factory=dict)
    dice_drop: float = math.nan
    within_budget: bool | None = None
    note: str = ""

    @property
    def dice(self) -> float:
        """Mean over the labels of their Dice, in [0, 1]; NaN if not measured."""
        known = [value for value in self.label_dice.values() if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON can hold it: None for NaN, and the mean beside the labels' Dice."""
        record = asdict(self) | {"dice": self.dice}
        record["label_dice"] = {name: _or_none(dice) for name, dice in self.label_dice.items()}
        return {key: _or_none(value) for key, value in record.items()}


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
