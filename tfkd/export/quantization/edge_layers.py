"""Layers that edge kernels are fast at, in place of some that they are slow at."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

__all__ = ["DepthToSpace", "PReLUDifference"]


@keras.saving.register_keras_serializable(package="tfkd")
class DepthToSpace(keras.layers.Layer):
    """Block² groups of c channels, one for each pixel of a block, row by row.

    (N, h, w, block² · c) → (N, block · h, block · w, c)

    Args:
        block: Pixels of a block along each axis.
        **kwargs: What every Keras layer takes.
    """

    def __init__(self, block: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block = block

    def call(self, x: Any) -> Any:
        """The feature, rearranged."""
        return tf.nn.depth_to_space(x, self.block)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """(N, block · h, block · w, c)."""
        count, height, width, channels = input_shape
        larger = (None if size is None else size * self.block for size in (height, width))
        return (count, *larger, channels // self.block**2)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "block": self.block}


@keras.saving.register_keras_serializable(package="tfkd")
class PReLUDifference(keras.layers.Layer):
    r"""What a PReLU adds to its input: $\max((\alpha_c - 1) \cdot x, 0)$ for slopes up to 1.

    For x above 0 that is 0, and below it $\alpha x - x$. So PReLU is this and an addition, a
    product and a sum that have fast int8 kernels, which PReLU itself has not.

    Args:
        rounds: Whether to compute with the slopes as an int8 file holds them.
        **kwargs: What every Keras layer takes.
    """

    def __init__(self, rounds: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rounds = rounds

    def build(self, input_shape: Any) -> None:
        """One slope per channel."""
        start = keras.initializers.Constant(0.25)
        self.alpha = self.add_weight(shape=(input_shape[-1],), initializer=start, name="alpha")
        self.built = True

    def call(self, x: Any) -> Any:
        """Feature (N, h, w, c) → the same shape."""
        steepness = ops.minimum(ops.convert_to_tensor(self.alpha), 1.0) - 1.0
        if self.rounds:
            lowest = ops.minimum(ops.min(ops.stop_gradient(steepness)), -1e-4)
            steepness = tf.quantization.fake_quant_with_min_max_vars(steepness, lowest, 0.0)
        return ops.relu(x * steepness)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "rounds": self.rounds}
