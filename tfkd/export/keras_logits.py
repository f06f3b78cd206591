"""A Keras model as the logits function of a `VolumePredictor`."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfkd.inference import LogitsFunction, VolumePredictor
from tfkd.models.logits import check_finite_weights, check_logits, functional
from tfkd.models.network_file import facts_of
from tfkd.volumes import DataFacts, PreprocessSpec

__all__ = ["keras_logits", "keras_predictor"]


def keras_logits(model: keras.Model, batch_size: int = 8) -> LogitsFunction:
    """Return a compiled function from images to the model's logits.

    One graph of static batch size is traced; a shorter last batch is padded and cut again, since
    another batch size would cost another trace. The model runs in inference mode and is not
    changed.

    Args:
        model: one input (N, H, W, C) with fixed H, W and C, one output of logits (N, H, W, K).
        batch_size: largest number of images per call.

    Returns:
        (N, H, W, C) float32 → (N, H, W, K) float32, for N from 1 to `batch_size`.

    Raises:
        ValueError: the model has several inputs or outputs, or no fixed input size; or, when
            called, there are more than `batch_size` images.
    """
    shape = fixed_input_shape(model)

    @tf.function(input_signature=[tf.TensorSpec((batch_size, *shape), tf.float32)])
    def run(images: tf.Tensor) -> tf.Tensor:
        (logits,) = keras.tree.flatten(model(images, training=False))
        return tf.cast(logits, tf.float32)

    def logits(images: np.ndarray) -> np.ndarray:
        count = len(images)
        if count > batch_size:
            raise ValueError(f"images: expected at most {batch_size} a call, received {count}.")
        padding = [(0, batch_size - count)] + [(0, 0)] * 3
        return run(np.pad(np.asarray(images, np.float32), padding)).numpy()[:count]

    return logits


def keras_predictor(
    model: keras.Model,
    spec: PreprocessSpec,
    label_names: Sequence[str],
    batch_size: int = 8,
    threshold: float | None = None,
) -> VolumePredictor:
    """Return a predictor that segments CT volumes with a Keras model.

    Args:
        model: as for `keras_logits`, of the spec's input shape.
        spec: how the model wants its input.
        label_names: index = label value; K names.
        batch_size: slices per call of the model.
        threshold: as for `VolumePredictor`.

    Raises:
        ValueError: as `keras_logits` and `VolumePredictor`, or the model's input is not the spec's,
            the model is known to be trained with another spec or other labels, it gives
            probabilities, or its weights are not finite.
    """
    check_logits(model)
    check_finite_weights(model)
    if fixed_input_shape(model) != spec.input_shape:
        raise ValueError(
            f"model {model.name!r}: expected the spec's input shape {spec.input_shape}, received "
            f"{fixed_input_shape(model)}. Use the spec that the model was trained with."
        )
    own, facts = facts_of(model), DataFacts(spec, tuple(label_names))
    if own is not None and own != facts:
        raise ValueError(
            f"model {model.name!r}: expected the spec and label_names that it was trained with, "
            f"received {'; '.join(facts.differences(own))}. Take those of "
            "tfkd.models.facts_of(model)."
        )
    return VolumePredictor(
        keras_logits(model, batch_size), spec, label_names, batch_size, threshold
    )


def fixed_input_shape(model: keras.Model) -> tuple[int, int, int]:
    """Return the (H, W, C) of a model with one image input and one output of logits.

    Raises:
        TypeError: not a Keras model, or one that holds the student, such as a Distiller.
        ValueError: a subclass or a model that was not built, several inputs or outputs, or a size
            that is not fixed.
    """
    functional(model)
    inputs, outputs = model.inputs, model.outputs
    shapes = [tuple(tensor.shape) for tensor in (*inputs, *outputs)]
    if (
        len(shapes) != 2
        or len(inputs) != 1
        or any(len(shape) != 4 for shape in shapes)
        or None in shapes[0][1:]
        or shapes[0][1:3] != shapes[1][1:3]
    ):
        raise ValueError(
            f"model {model.name!r}: expected one input (N, H, W, C) of fixed size and one output "
            f"of logits (N, H, W, classes), received {shapes}. Build the student with a full "
            "input_shape and without taps among its outputs."
        )
    height, width, channels = shapes[0][1:]
    return height, width, channels
