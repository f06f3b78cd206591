"""`FakeQuantize`: a feature as an int8 tensor will hold it, with a range that training follows."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

__all__ = ["FakeQuantize"]

# A feature that is zero everywhere still needs a scale.
_LEAST_WIDTH = 1e-4


@keras.saving.register_keras_serializable(package="tfkd")
class FakeQuantize(keras.layers.Layer):
    r"""Rounds a feature to the 256 levels between a lowest and a highest value.

    $q(x) = s \cdot \mathrm{round}(\mathrm{clip}(x, a, b) / s), \qquad s = (b - a) / 255$

    with the range $[a, b]$, which holds 0, shifted by less than a level so that 0 is one of them.
    The gradient is that of the clipping. The LiteRT converter makes an int8 tensor of it that has
    the same scale and zero point.

    In training the range follows the smallest and the largest value of the batches: their mean over
    the first batches, from there on the moving average with `momentum`. In inference, and with
    `trainable = False`, it stays as it is, as the statistics of a BatchNormalization do.

    Args:
        momentum: Share of the old range that a training step keeps.
        fixed_range: (a, b), where the operator before it allows one range only; None to follow the
            feature.
        **kwargs: What every Keras layer takes.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> import numpy as np
        >>> layer = FakeQuantize(fixed_range=(0.0, 2.55))
        >>> np.array(layer(np.array([-1.0, 0.014, 1.0, 9.0], "float32"))).round(4).tolist()
        [0.0, 0.01, 1.0, 2.55]
    """

    def __init__(
        self,
        momentum: float = 0.99,
        fixed_range: tuple[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum: expected 0 or more and less than 1, received {momentum}.")
        if fixed_range is not None and not fixed_range[0] <= 0 < fixed_range[1]:
            raise ValueError(
                f"fixed_range: expected a lowest value up to 0 and a highest above it, received "
                f"{fixed_range}."
            )
        self.momentum = momentum
        self.fixed_range = None if fixed_range is None else tuple(fixed_range)
        self.supports_masking = True
        # While True, calls in inference mode widen the range and hand the feature on as it is.
        self.is_measuring = False
        low, high = self.fixed_range or (0.0, 0.0)
        self.low = self._add_state("low", low, "float32", "mean")
        self.high = self._add_state("high", high, "float32", "mean")
        self.batches = self._add_state("batches", 0, "int32", "only_first_replica")
        self.built = True

    def _add_state(self, name: str, value: float, dtype: str, aggregation: str) -> Any:
        return self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(value),
            dtype=dtype,
            trainable=False,
            aggregation=aggregation,
            name=name,
        )

    @property
    def has_range(self) -> bool:
        """Whether a range was measured, followed or fixed."""
        return self.fixed_range is not None or bool(ops.convert_to_numpy(self.batches) > 0)

    def reset(self) -> None:
        """Forgets the range, unless it is fixed."""
        if self.fixed_range is None:
            self.low.assign(0.0)
            self.high.assign(0.0)
            self.batches.assign(0)

    def call(self, x: Any, training: bool | None = None, observe: bool = True) -> Any:
        """The feature, rounded; any shape.

        Args:
            x: Float tensor.
            training: Whether the range follows `x`.
            observe: False for a feature that shares the range of another one.
        """
        follows = observe and self.fixed_range is None
        if self.is_measuring:
            if follows:
                self._widen(x)
            return x
        if training and follows and self.trainable:
            self._follow(x)
        low = ops.convert_to_tensor(self.low)
        high = ops.maximum(ops.convert_to_tensor(self.high), low + _LEAST_WIDTH)
        return tf.quantization.fake_quant_with_min_max_vars(x, low, high, num_bits=8)

    def _extremes(self, x: Any) -> tuple[Any, Any]:
        x = ops.cast(ops.stop_gradient(x), "float32")
        return ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0)

    def _widen(self, x: Any) -> None:
        low, high = self._extremes(x)
        self.low.assign(ops.minimum(self.low, low))
        self.high.assign(ops.maximum(self.high, high))
        self.batches.assign(self.batches + 1)

    def _follow(self, x: Any) -> None:
        low, high = self._extremes(x)
        share = 1.0 / (ops.cast(self.batches, "float32") + 1.0)
        share = ops.maximum(share, 1.0 - self.momentum)
        self.low.assign(self.low + share * (low - self.low))
        self.high.assign(self.high + share * (high - self.high))
        self.batches.assign(self.batches + 1)

    def compute_output_shape(self, input_shape: Any, **_: Any) -> Any:
        """That of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "fixed_range": self.fixed_range,
        }
