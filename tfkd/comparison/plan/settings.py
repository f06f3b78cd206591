"""How a row of the comparison is trained."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from tfkd.comparison.plan.checks import typed_fields
from tfkd.errors import PlanError
from tfkd.volumes import WHOLE_VOLUME, Protocol

__all__ = ["Settings"]

# How a result is computed, and not what comes of it (but for rounding): no part of an identity.
_HOW = ("xla", "checkpoint_minutes")

# A setting that is added here later is left out of an identity at its default value, so that the
# rows that were made before it keep theirs.
_ADDED_LATER = ("focal_gamma", "dice_share", "dice_squares")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one training.

    Attributes:
        epochs: Number of epochs, all of which are trained; by the records' protocol, as are batch
            size and learning rate, where the plan says nothing.
        steps_per_epoch: Steps of an epoch; about one look at every slice for None.
        batch_size: Slices per step.
        learning_rate: Adam's learning rate, falling along a cosine.
        focal_gamma: Focusing exponent of the loss on the labels, see `tfkd.losses.FocalDice`.
        dice_share: Share of its Dice term.
        dice_squares: Whether its Dice term squares probabilities in the denominator.
        augment: Whether slices are varied at random.
        precision: What the network computes in while it is trained.
        ema: Momentum of a moving average of the weights, which is kept in their place.
        recalibrate: Whether batch normalisation takes its statistics anew at the end.
        keep: Which network is scored: that of the last epoch, or of the best validation Dice, for
            which every epoch is validated.
        cache_teacher: Whether the teachers run once per slice instead of in every step.
        xla: Whether the whole step is compiled with XLA.
        checkpoint_minutes: Most minutes that a kill can lose.
        said: Names of the settings that the plan says.
    """

    epochs: int = WHOLE_VOLUME.epochs
    steps_per_epoch: int | None = None
    batch_size: int = WHOLE_VOLUME.batch_size
    learning_rate: float = WHOLE_VOLUME.learning_rate
    focal_gamma: float = 2.0
    dice_share: float = 0.5
    dice_squares: bool = False
    augment: bool = True
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    ema: float | None = None
    recalibrate: bool = False
    keep: Literal["last", "best"] = "last"
    cache_teacher: bool = True
    xla: bool = False
    checkpoint_minutes: float = 5.0
    said: frozenset[str] = frozenset()

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the settings."""
        return tuple(field.name for field in dataclasses.fields(cls) if field.name != "said")

    def updated(self, where: str, given: Mapping[str, Any]) -> Self:
        """These settings with others in the place of some.

        Args:
            where: Place in the plan, for errors.
            given: Values by name.

        Raises:
            PlanError: If a value is of another type or out of range.
        """
        values = typed_fields(where, given, type(self))
        settings = dataclasses.replace(self, **values, said=self.said | set(values))
        for name in ("epochs", "steps_per_epoch", "batch_size", "learning_rate"):
            value = getattr(settings, name)
            if value is not None and value <= 0:
                raise PlanError(f"{where} {name}: expected a positive number. Received {value}.")
        if settings.ema is not None and not 0 < settings.ema < 1:
            raise PlanError(
                f"{where} ema: expected a number between 0 and 1. Received {settings.ema}."
            )
        if settings.focal_gamma < 0:
            raise PlanError(
                f"{where} focal_gamma: expected at least 0. Received {settings.focal_gamma}."
            )
        if not 0 <= settings.dice_share <= 1:
            raise PlanError(f"{where} dice_share: expected 0 to 1. Received {settings.dice_share}.")
        if settings.checkpoint_minutes < 0:
            raise PlanError(f"{where} checkpoint_minutes: expected at least 0.")
        return settings

    def for_protocol(self, protocol: Protocol) -> Self:
        """These settings, where the plan says nothing with the schedule of the records' protocol.

        Args:
            protocol: Of the records' manifest.
        """
        names = ("epochs", "batch_size", "learning_rate")
        schedule = {name: getattr(protocol, name) for name in names if name not in self.said}
        return dataclasses.replace(self, **schedule)

    @property
    def values(self) -> dict[str, Any]:
        """The settings by name."""
        return {name: getattr(self, name) for name in self.names()}

    def identity(self, *, distilled: bool) -> dict[str, Any]:
        """What determines the result, for the identity of a row.

        Args:
            distilled: Whether there is a teacher, whose cache then counts.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        left_out = {*_HOW, *(() if distilled else ("cache_teacher",))}
        return {
            name: value
            for name, value in self.values.items()
            if name not in left_out and not (name in _ADDED_LATER and value == defaults[name])
        }
