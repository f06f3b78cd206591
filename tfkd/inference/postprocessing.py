"""What is to be done to a mask after the network, label by label."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfkd.errors import ContractError
from tfkd.inference.strict_json import exact_keys, typed

__all__ = ["Postprocessing"]

_KEYS = ("largest_component", "fill_holes")


@dataclass(frozen=True)
class Postprocessing:
    """Which labels of a mask are cleaned, and how; `clean_mask` carries it out.

    Attributes:
        largest_component: names of labels of which only the largest connected part stays.
        fill_holes: names of labels whose enclosed background becomes the label.
    """

    largest_component: tuple[str, ...] = ()
    fill_holes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.largest_component or self.fill_holes)

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        return {key: list(getattr(self, key)) for key in _KEYS}

    @classmethod
    def from_dict(cls, value: Any, where: str) -> "Postprocessing":
        """Read what `to_dict` gave.

        Raises:
            ContractError: a key or a type is not as expected.
        """
        record = exact_keys(value, _KEYS, where)
        return cls(**{key: tuple(typed(record, key, list, where)) for key in _KEYS})

    def check_labels(self, label_names: Sequence[str]) -> None:
        """Raise if a name is no foreground label, or is there twice.

        Args:
            label_names: those of the model; the first is the background.

        Raises:
            ContractError: naming the label and the known ones.
        """
        for key in _KEYS:
            names = getattr(self, key)
            known = list(label_names[1:])
            unknown = [name for name in names if name not in known]
            if unknown or len(set(names)) != len(names):
                raise ContractError(
                    f"postprocessing, {key!r}: expected foreground labels of {known}, each once; "
                    f"received {list(names)}. Name the model's own labels."
                )
