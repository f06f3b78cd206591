"""A network seen through the layers that the losses compare."""

from collections.abc import Sequence
from typing import Any

import keras

from tfkd.models.taps import with_taps

__all__ = ["Features"]


class Features:
    """Gives a network's logits and the features of some of its layers, in one pass.

    A plain object on purpose: Keras tracks models that are attributes of a model, and a teacher
    must be neither among the Distiller's weights nor in its files.

    Args:
        model: Functional model that returns logits.
        layer_names: One name for each tensor wanted; None for the logits.
    """

    def __init__(self, model: keras.Model, layer_names: Sequence[str | None]) -> None:
        self.model = model
        taps = [name for name in dict.fromkeys(layer_names) if name is not None]
        self._network = with_taps(model, taps)
        self._position: dict[str | None, int] = {name: k for k, name in enumerate([None, *taps])}
        self._layer_names = list(layer_names)

    @property
    def channels(self) -> list[int]:
        """Channels of each of the tensors."""
        outputs = self._network.outputs
        return [int(outputs[self._position[name]].shape[-1]) for name in self._layer_names]

    def __call__(self, x: Any, training: bool) -> tuple[Any, list[Any]]:
        """Logits, and the tensor of each of the names."""
        # As a bare tensor, whichever way the model that the user built takes its one input.
        outputs = self._network(keras.tree.flatten(x)[0], training=training)
        # Without taps, the network has a single output.
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return outputs[0], [outputs[self._position[name]] for name in self._layer_names]
