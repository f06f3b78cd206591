"""`DataFacts`: what the numbers in a slice and in its mask mean, for whoever learns from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfkd.volumes.preprocess import PreprocessSpec

__all__ = ["DataFacts"]

_VERSION = 1


@dataclass(frozen=True)
class DataFacts:
    """What a network must be given to do what it has learnt: such an input, for such labels.

    Records have these facts, a network keeps those of the records that it was trained on, and its
    `.keras` file keeps them too. Two facts are equal only if all fields are: whatever the spec says
    changes the values or the scale of the pixels. What does not change them is no part of it, such
    as how slices are varied in training, or the threshold by which a mask is made of the logits.

    Attributes:
        spec: How a slice of CT becomes the input.
        label_names: Index = label value, the background first.

    Raises:
        ValueError: If a name is no text.
    """

    spec: PreprocessSpec
    label_names: tuple[str, ...]

    def __post_init__(self) -> None:
        names = tuple(self.label_names)
        if not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"Expected label_names to hold a name for each label. Received {names}."
            )
        object.__setattr__(self, "label_names", names)

    @property
    def num_classes(self) -> int:
        """Number of classes, the background included."""
        return len(self.label_names)

    @classmethod
    def of(cls, data: Any) -> "DataFacts | None":
        """What is known of data: its `facts`, as datasets of `CTRecords` have them; None if none.

        Args:
            data: What a training, an evaluation or a calibration is given.
        """
        facts = getattr(data, "facts", None)
        return facts if isinstance(facts, cls) else None

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads, as JSON values."""
        return {
            "version": _VERSION,
            "spec": self.spec.to_dict(),
            "label_names": list(self.label_names),
        }

    @classmethod
    def from_dict(cls, values: Any) -> "DataFacts":
        """Reads what `to_dict` gave.

        Raises:
            ValueError: If it is something else, or was written by a newer version of the library.
        """
        if not isinstance(values, Mapping) or values.get("version") != _VERSION:
            found = values.get("version") if isinstance(values, Mapping) else values
            raise ValueError(f"expected version {_VERSION} of the facts, received {found!r}")
        spec, names = values.get("spec"), values.get("label_names")
        if not isinstance(spec, Mapping) or not isinstance(names, list):
            raise ValueError(f"expected a spec and label_names, received {dict(values)}")
        return cls(PreprocessSpec.from_dict(spec), tuple(names))

    def differences(self, other: "DataFacts") -> list[str]:
        """What differs, field by field, as words; nothing if the facts are equal.

        Args:
            other: The facts that these are compared with.

        Returns:
            Such as `"window_hu (-60, 140) instead of (-1000, 1000)"`, these facts first.
        """
        own, theirs = _fields(self), _fields(other)
        return [
            f"{key} {_text(own[key])} instead of {_text(theirs[key])}"
            for key in own
            if own[key] != theirs[key]
        ]


def _fields(facts: DataFacts) -> dict[str, Any]:
    spec = {"field_size": None, **facts.spec.to_dict()}
    return {**spec, "label_names": list(facts.label_names)}


def _text(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"({', '.join(map(_text, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)
