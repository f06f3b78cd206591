"""Channel-wise distillation (CWD): for each channel, where in the image it is active."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.divergence import softmax_divergence
from tfkd.losses.sizes import match_size

__all__ = ["ChannelWiseDistillation", "channel_wise_loss"]


def channel_wise_loss(
    teacher: Any, student: Any, labels: Any = None, *, temperature: float = 4.0
) -> Any:
    r"""Kullback-Leibler divergence of the channels' softened activations over the image.

    $L = T^2\,\mathrm{mean}_c\,\mathrm{KL}(\phi(z_t^c / T) \,\|\, \phi(z_s^c / T))$

    $\phi$ is the softmax over all positions of one channel, so every channel, and with logits every
    class, weighs the same, however small its structure.

    Args:
        teacher: Teacher logits or features (N, h, w, c).
        student: Student logits or features (N, h', w', c), of as many channels;
            `ChannelWiseDistillation` brings features there. Resized bilinearly to the teacher's
            size where they differ.
        labels: Not used.
        temperature: T > 0.

    Returns:
        Tensor of shape (N,), float32, ≥ 0. Labels play no part, so an empty mask changes nothing.

    Example:
        >>> logits = keras.random.normal((2, 4, 4, 3))
        >>> float(keras.ops.max(channel_wise_loss(logits, logits)))
        0.0

    References:
        Eq. 2 to 4 of Shu et al., "Channel-Wise Knowledge Distillation for Dense Prediction",
        ICCV 2021, arXiv:2011.13256.
    """
    del labels
    height, width = teacher.shape[1:3]
    teacher = ops.cast(teacher, "float32") / temperature
    student = match_size(ops.cast(student, "float32"), height, width) / temperature
    divergence = softmax_divergence(teacher, student, axis=(1, 2))
    return temperature**2 * ops.mean(divergence, axis=-1)


@keras.saving.register_keras_serializable(package="tfkd")
class ChannelWiseDistillation(DistillationLoss):
    """Channel-wise distillation of the logits, or at a pair of layers; see `channel_wise_loss`.

    Between layers of unequal channels the Distiller puts a 1×1 convolution behind the student's
    layer, which is trained with the student and is no part of it.

    Args:
        teacher_layer_name: Teacher layer; None for the logits.
        student_layer_name: Student layer; the teacher layer's name by default.
        temperature: T > 0; 4 as published.
        name: Name of the curve; `channel_wise`, with the layer's name behind it, by default.
    """

    def __init__(
        self,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
        temperature: float = 4.0,
        name: str | None = None,
    ) -> None:
        if temperature <= 0:
            raise ValueError(f"Expected temperature > 0. Received {temperature}.")
        where = f"_{teacher_layer_name}" if teacher_layer_name else ""
        super().__init__(
            teacher_layer_name,
            student_layer_name or teacher_layer_name,
            name or f"channel_wise{where}",
        )
        self.temperature = temperature

    def adapter(self, teacher_channels: int, student_channels: int) -> keras.layers.Layer | None:
        """A 1×1 convolution to the teacher's channels, where the student has others."""
        if teacher_channels == student_channels:
            return None
        return keras.layers.Conv2D(
            teacher_channels, 1, dtype="float32", name=f"{self.name}_adapter"
        )

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return channel_wise_loss(teacher, student, labels, temperature=self.temperature)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {**super().get_config(), "temperature": self.temperature}
