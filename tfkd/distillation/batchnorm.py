"""Moving statistics of BatchNorm, recomputed as exact averages over a dataset."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfkd.distillation.same_data import check_same_data

__all__ = ["recalibrate_batchnorm"]

# Attribute by which a layer of noise is switched off; all of them draw nothing where it is 0.
_NOISE: tuple[tuple[type, str], ...] = (
    (layers.Dropout, "rate"),  # spatial dropout is derived from it
    (layers.AlphaDropout, "rate"),
    (layers.GaussianDropout, "rate"),
    (layers.GaussianNoise, "stddev"),
)


def recalibrate_batchnorm(
    model: keras.Model, dataset: Iterable[Any], steps: int | None = None
) -> int:
    r"""Recomputes the moving statistics of every BatchNorm as averages over a dataset.

    With $\mu_b, v_b$ the moments that a layer sees in batch $b$ of $n_b$ examples:

    $\mu = \frac{\sum_b n_b \mu_b}{\sum_b n_b}, \qquad
    v = \frac{\sum_b n_b (v_b + \mu_b^2)}{\sum_b n_b} - \mu^2$

    The network runs in training mode, so each layer sees what the layers before it normalised by
    the batch, as it did in training; dropout and additive noise are off. A moving average, in
    contrast, remembers the weights of earlier steps and depends on the order of the last batches.
    The sums are kept in float64, in a form without the cancellation of the formula above.

    Weights, momenta and the state of random generators are as before afterwards, and if anything
    fails, so are the statistics. A BatchNorm with `trainable = False` keeps its statistics, as it
    runs in inference mode. A layer that is called several times in one pass is recalibrated for
    its last call.

    Args:
        model: Built model; nested models are included. It is changed in place.
        dataset: Batches of x, (x, y) or (x, y, sample_weight); only x is used. The larger the
            batches, the nearer are their moments to those of the whole dataset.
        steps: Most batches to read; all of them by default, so give it for an endless dataset.

    Returns:
        The number of batches used. A model without a BatchNorm to recalibrate gives 0, and the
        dataset is not read.

    Raises:
        ValueError: If `steps` is less than 1, if the dataset is empty or is known to be unlike that
            which the model was trained on, if a layer uses batch
            renormalisation, or if a statistic is not finite (the message names the layers).

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
        >>> recalibrate_batchnorm(model, [np.array([[0.0, 1.0], [2.0, 1.0]], "float32")])
        1
        >>> np.array(model.layers[0].moving_variance)
        array([1., 0.], dtype=float32)
    """
    if steps is not None and steps < 1:
        raise ValueError(f"Expected steps to be at least 1, or None for all. Received {steps}.")
    check_same_data(dataset, (), model)
    norms = _trained_norms(model)
    if not norms:
        return 0
    pooled = [_Pooled() for _ in norms]
    batches = 0
    with _moments_of_each_batch(model, norms):
        run = _forward(model)
        for data in itertools.islice(dataset, steps):
            x = _inputs_of(data)
            run(x)
            count = int(keras.tree.flatten(x)[0].shape[0])
            for norm, sums in zip(norms, pooled, strict=True):
                sums.add(count, _numpy(norm.moving_mean), _numpy(norm.moving_variance))
            batches += 1
    if not batches:
        raise ValueError(
            "Expected a dataset of at least one batch, to take the statistics from. Received "
            f"{dataset!r}, which is empty: was it a generator that is already used up?"
        )
    _check_finite(norms, pooled)
    for norm, sums in zip(norms, pooled, strict=True):
        norm.moving_mean.assign(sums.mean)
        norm.moving_variance.assign(sums.variance)
    return batches


class _Pooled:
    """Moments of a set that comes in parts, after Chan, Golub and LeVeque (1979)."""

    def __init__(self) -> None:
        self._count = 0
        self.mean: Any = 0.0
        self.variance: Any = 0.0

    def add(self, count: int, mean: np.ndarray, variance: np.ndarray) -> None:
        self._count += count
        share = count / self._count
        shift = mean - self.mean
        self.mean = self.mean + share * shift
        self.variance = (1 - share) * (self.variance + share * shift**2) + share * variance


def _trained_norms(model: keras.Model) -> list[layers.BatchNormalization]:
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, layers.BatchNormalization) and layer.trainable
    ]
    if renormed := [norm.name for norm in norms if norm.renorm]:
        raise ValueError(
            "Expected plain batch normalisation, whose statistics are moments of the input. "
            f"Received renorm=True in {', '.join(renormed)}; set `trainable = False` on these "
            "layers to leave them out."
        )
    return norms


@contextmanager
def _moments_of_each_batch(
    model: keras.Model, norms: list[layers.BatchNormalization]
) -> Iterator[None]:
    """Within it, a pass in training mode leaves the batch's own moments in the statistics.

    On leaving it, by an error too, every attribute and variable is as before.
    """
    settings: list[tuple[Any, str, Any]] = [(norm, "momentum", 0.0) for norm in norms]
    settings += [
        (layer, attribute, 0.0)
        for layer in model._flatten_layers()
        for kind, attribute in _NOISE
        if isinstance(layer, kind)
    ]
    before = [(layer, attribute, getattr(layer, attribute)) for layer, attribute, _ in settings]
    # Also what other layers keep from step to step, such as a random generator's state.
    state = [
        (variable, ops.convert_to_numpy(variable)) for variable in model.non_trainable_variables
    ]
    try:
        for layer, attribute, value in settings:
            setattr(layer, attribute, value)
        for norm in norms:
            # Statistics that a diverged training left at NaN would stay so, even times 0.
            norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
            norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
        yield
    finally:
        for layer, attribute, value in before:
            setattr(layer, attribute, value)
        for variable, value in state:
            variable.assign(value)


def _forward(model: keras.Model) -> Callable[[Any], Any]:
    """A pass in training mode, compiled on TensorFlow; to be made after the momenta are set."""

    def run(x: Any) -> None:
        model(x, training=True)

    if keras.backend.backend() != "tensorflow":
        return run
    import tensorflow as tf

    return tf.function(run, reduce_retracing=True)


def _inputs_of(data: Any) -> Any:
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    # By way of NumPy, since the tensors of a tf.data pipeline are foreign to the other backends.
    return keras.tree.map_structure(lambda part: ops.convert_to_tensor(np.asarray(part)), x)


def _numpy(variable: Any) -> np.ndarray:
    return ops.convert_to_numpy(variable).astype("float64")


def _check_finite(norms: list[layers.BatchNormalization], pooled: list[_Pooled]) -> None:
    wrong = [
        norm.name
        for norm, sums in zip(norms, pooled, strict=True)
        if not (np.all(np.isfinite(sums.mean)) and np.all(np.isfinite(sums.variance)))
    ]
    if wrong:
        raise ValueError(
            "Expected finite activations. Received NaN or infinity at "
            f"{', '.join(wrong[:5])}{' and others' if len(wrong) > 5 else ''}; look for it in the "
            "dataset's images, then in the weights. The statistics are as they were."
        )
