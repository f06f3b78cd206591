"""A method of a plan: distillation losses, their weights, and who teaches."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tfkd.comparison.plan.checks import as_table, check_arguments, check_known, typed_fields
from tfkd.comparison.plan.value_types import fits
from tfkd.errors import PlanError

if TYPE_CHECKING:
    from tfkd.losses import DistillationLoss

__all__ = ["PLAIN", "Method"]

PLAIN = "plain"
"""Name of the student without a teacher."""

_OWN = (
    "preset",
    "losses",
    "ramp_epochs",
    "teacher",
    "weighting",
    "cache_teacher",
    "unlabelled_share",
    "revision",
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of a plan.

    Attributes:
        name: Its name in the plan.
        where: Place in the plan, for errors.
        preset: Name of a function of `tfkd.methods`, or such a function.
        arguments: Arguments of the preset.
        losses: Instead of a preset: tables with `loss` (name of a class of `tfkd.losses`, or a
            class), `weight` (1 when left out) and the class's arguments.
        ramp_epochs: Epochs over which the weights rise from 0.
        teacher: Names of the plan's teachers that teach together; none for each teacher of the plan
            on its own, as rows of their own.
        weighting: How several teachers share, see `tfkd.distillation.Teachers`.
        cache_teacher: Whether the teachers run once per slice; None for the student's setting.
        unlabelled_share: Share of slices without labels in the batches, in [0, 1); the losses on
            the labels leave them out. An epoch has as many steps as the plain student's.
        revision: To be raised by hand when the code of a method has changed, so that its rows are
            made anew.
    """

    name: str
    where: str
    preset: str | Callable[..., Any] | None
    arguments: Mapping[str, Any]
    losses: tuple[Mapping[str, Any], ...]
    ramp_epochs: float = 0.0
    teacher: tuple[str, ...] = ()
    weighting: Literal["mean", "confidence"] = "mean"
    cache_teacher: bool | None = None
    unlabelled_share: float = 0.0
    revision: int = 0

    @classmethod
    def parse(cls, where: str, name: str, table: Any) -> "Method":
        """Reads a table of a plan; presets and losses are looked up by `build`.

        Raises:
            PlanError: If a value cannot be.
        """
        given = as_table(where, table)
        preset, losses = given.pop("preset", None), given.pop("losses", None)
        if (preset is None) == (losses is None):
            raise PlanError(f"{where}: expected either a `preset` or `losses`, one of the two.")
        if not (preset is None or isinstance(preset, str) or callable(preset)):
            raise PlanError(f"{where} preset: expected the name of one. Received {preset!r}.")
        own = {key: given.pop(key) for key in _OWN if key in given}
        if losses is not None:
            for key in given:
                check_known(where, key, _OWN)
            if not isinstance(losses, list | tuple) or not losses:
                raise PlanError(f"{where} losses: expected a list of tables. Received {losses!r}.")
        listed = tuple(as_table(f"{where} losses", one) for one in losses or ())
        fields = typed_fields(where, own, cls)
        if fields.get("ramp_epochs", 0) < 0:
            raise PlanError(f"{where} ramp_epochs: expected 0 or more.")
        if not 0 <= fields.get("unlabelled_share", 0) < 1:
            raise PlanError(f"{where} unlabelled_share: expected at least 0 and less than 1.")
        return cls(name=name, where=where, preset=preset, arguments=given, losses=listed, **fields)

    def build(self) -> "tuple[list[DistillationLoss], list[float]]":
        """Makes the losses and their weights; imports Keras.

        Raises:
            PlanError: If the preset, a loss or an argument does not exist, or has a wrong value.
        """
        try:
            return self._of_preset() if self.losses == () else self._of_losses()
        except PlanError:
            raise
        except (TypeError, ValueError) as error:
            raise PlanError(f"{self.where}: {error}") from error

    def identity(self) -> dict[str, Any]:
        """What determines the result: the losses themselves, however the plan has put them.

        Raises:
            PlanError: As `build`, or if a loss does not say all of its settings.
        """
        losses, weights = self.build()
        # Added later: left out at its default, so that earlier rows keep their identity.
        added = {"unlabelled_share": self.unlabelled_share} if self.unlabelled_share else {}
        return {
            **added,
            "losses": [
                {"class": type(loss).__name__, **_said(loss)} | {"weight": _plain(weight)}
                for loss, weight in zip(losses, weights, strict=True)
            ],
            "ramp_epochs": self.ramp_epochs,
            "weighting": self.weighting if len(self.teacher) > 1 else None,
            "revision": self.revision,
        }

    def _of_preset(self) -> Any:
        from tfkd.distillation import methods

        function: Any = self.preset
        if isinstance(function, str):
            check_known(f"{self.where} preset", function, methods.__all__, "preset")
            function = getattr(methods, function)
        known = [*inspect.signature(function).parameters, *(key for key in _OWN if key != "losses")]
        for key in self.arguments:
            check_known(self.where, key, known)
        check_arguments(self.where, function, self.arguments)
        losses, weights = function(**self.arguments)
        if len(losses) != len(weights):
            raise PlanError(
                f"{self.where} preset: expected a weight for each loss. Received {len(losses)} "
                f"losses and {len(weights)} weights."
            )
        return list(losses), [_weight(self.where, one) for one in weights]

    def _of_losses(self) -> Any:
        built, weights = [], []
        for table in self.losses:
            arguments = dict(table)
            where = f"{self.where} losses"
            kind = self._loss_class(where, arguments.pop("loss", None))
            weights.append(_weight(where, arguments.pop("weight", 1.0)))
            for key in arguments:
                check_known(where, key, (*_parameters(kind), "weight"), f"key of {kind.__name__}")
            check_arguments(where, kind, arguments)
            built.append(kind(**arguments))
        return built, weights

    def _loss_class(self, where: str, given: Any) -> Any:
        from tfkd import losses

        if isinstance(given, type) and issubclass(given, losses.DistillationLoss):
            return given
        known = [
            name
            for name in losses.__all__
            if isinstance(getattr(losses, name), type)
            and issubclass(getattr(losses, name), losses.DistillationLoss)
            and name != "DistillationLoss"
        ]
        check_known(f"{where} loss", str(given), known, "loss")
        return getattr(losses, str(given))


def _parameters(kind: type) -> list[str]:
    return list(inspect.signature(kind).parameters)


def _weight(where: str, weight: Any) -> Any:
    """A number as float, so that 1 and 1.0 are the same row; a schedule as it is."""
    if isinstance(weight, int | float) and fits(weight, float):
        return float(weight)
    if not hasattr(weight, "get_config"):
        raise PlanError(
            f"{where} weight: expected a number or a schedule of Keras. Received {weight!r}."
        )
    return weight


def _said(loss: Any) -> dict[str, Any]:
    """The loss's settings, without those at their default: an argument that is added to a class
    later, with the earlier behaviour for its default, leaves the identity of earlier rows as it is.
    """
    parameters, config = inspect.signature(type(loss)).parameters, loss.get_config()
    missing = [
        name
        for name, one in parameters.items()
        if name not in (*config, "name") and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if missing:
        raise PlanError(
            f"{type(loss).__name__}.get_config: expected every argument of the constructor, by "
            f"which rows of different ones are told apart. Missing: {', '.join(missing)}."
        )
    return {
        key: _plain(value)
        for key, value in config.items()
        # The name is that of a curve, and of no consequence.
        if key != "name" and not (key in parameters and parameters[key].default == value)
    }


def _plain(value: Any) -> Any:
    """What JSON can hold: a schedule by its class and settings."""
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "get_config"):
        return {"class": type(value).__name__, **value.get_config()}
    return value
