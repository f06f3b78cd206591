"""A watch on the teacher: the training fails if it has changed."""

from typing import Any

import keras

from tfkd.errors import TrainingError
from tfkd.models.fingerprint import variable_digest

__all__ = ["FreezeCheck"]


class FreezeCheck(keras.callbacks.Callback):
    """Makes sure that models which must not change do not, bit by bit.

    It takes a digest of every weight when the training begins and compares it when the training
    ends. Seeds and metrics are not weights. The cost is two readings of the weights for the whole
    training, none for a step.

    Args:
        *models: Built models, usually the teacher, or several.

    Raises:
        ValueError: If no model is given, or something else than a model.
        TrainingError: At the end of the training, if a weight differs from what it was at the
            beginning; the message names the weights.

    Example:
        ```python
        distiller.fit(data.train, epochs=30, callbacks=[tfkd.distillation.FreezeCheck(teacher)])
        ```
    """

    def __init__(self, *models: keras.Model) -> None:
        super().__init__()
        if not models or not all(isinstance(model, keras.Model) for model in models):
            raise ValueError(
                f"Expected one or several keras.Model that must not change. Received {models!r}."
            )
        # Not `model`, which Keras sets to the model in training.
        self._watched = models
        self._before: list[dict[str, bytes]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Remembers the weights."""
        self._before = [_digests(model) for model in self._watched]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Compares the weights."""
        changed = []
        for model, before in zip(self._watched, self._before, strict=True):
            after = _digests(model)
            names = [name for name in before | after if before.get(name) != after.get(name)]
            changed += [f"{name} of {model.name!r}" for name in names]
        if changed:
            raise TrainingError(
                "Expected a frozen model to keep every weight. "
                f"{len(changed)} changed during the training: {', '.join(changed)}. Look for a "
                "layer that it shares with the student, or for a call with training=True."
            )


def _digests(model: keras.Model) -> dict[str, bytes]:
    """Digest of each weight, by its path; the position tells equal paths apart."""
    digests: dict[str, bytes] = {}
    for position, variable in enumerate(model.weights):
        name = variable.path if variable.path not in digests else f"{variable.path} [{position}]"
        digests[name] = variable_digest(variable)
    return digests
