"""Overlap of masks on whole volumes, case by case, and one Keras metric for `fit`.

Nothing here imports TensorFlow or Keras until `SliceDice` is asked for.

Empty masks, everywhere in this package: by default (`empty="exclude"`) a case in which neither
the truth nor the prediction holds a class is left out of that class's mean, and the number of such
cases is reported. A false positive on an empty truth scores 0 and a miss scores 0, under every
policy.
"""

from typing import TYPE_CHECKING, Any

from tfkd.metrics.case_table import CaseRow, CaseTable
from tfkd.metrics.overlap import (
    DEFAULT_EMPTY,
    EmptyPolicy,
    confusion_counts,
    describe_empty_policy,
    dice_from_counts,
    dice_per_class,
)

if TYPE_CHECKING:
    from tfkd.metrics.slice_dice import SliceDice

__all__ = [
    "DEFAULT_EMPTY",
    "CaseRow",
    "CaseTable",
    "EmptyPolicy",
    "SliceDice",
    "confusion_counts",
    "describe_empty_policy",
    "dice_from_counts",
    "dice_per_class",
]


def __getattr__(name: str) -> Any:
    # Keras costs seconds to import and is absent on an edge device.
    if name == "SliceDice":
        from tfkd.metrics.slice_dice import SliceDice

        return SliceDice
    raise AttributeError(f"module 'tfkd.metrics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
