"""Layers that are trained with the student and are no part of it."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss

__all__ = ["Adapters"]


class Adapters(keras.layers.Layer):
    """Brings the student's tensors to the channels that some losses need, for each teacher.

    Args:
        losses: Distillation losses, which say by `adapter` whether they need one.
        teacher_channels: For each teacher, the channels of its tensor for each loss.
        student_channels: Channels of the student's tensor for each loss.
    """

    def __init__(
        self,
        losses: Sequence[DistillationLoss],
        teacher_channels: Sequence[Sequence[int]],
        student_channels: Sequence[int],
    ) -> None:
        super().__init__(name="adapters", dtype="float32", autocast=False)
        self._parts: list[keras.layers.Layer] = []
        self._place: dict[str, int] = {}
        for teacher, channels in enumerate(teacher_channels):
            for k, loss in enumerate(losses):
                layer = loss.adapter(channels[k], student_channels[k])
                if layer is not None:
                    layer.build((None, None, None, student_channels[k]))
                    self._place[f"{teacher}/{k}"] = len(self._parts)
                    self._parts.append(layer)
        self._teachers = len(teacher_channels)
        self.built = True

    def call(self, tensors: Sequence[Any]) -> list[list[Any]]:
        """The student's tensor for each teacher and loss.

        Args:
            tensors: The student's tensor (N, h, w, c) for each loss.

        Returns:
            For each teacher, one tensor per loss: the same, or what its adapter makes of it.
        """
        return [
            [self._adapted(f"{teacher}/{k}", tensor) for k, tensor in enumerate(tensors)]
            for teacher in range(self._teachers)
        ]

    def _adapted(self, place: str, tensor: Any) -> Any:
        if place not in self._place:
            return tensor
        return self._parts[self._place[place]](ops.cast(tensor, "float32"))
