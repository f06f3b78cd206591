"""A student that plain int8 breaks."""

from collections.abc import Callable

import keras
import numpy as np

CULPRIT = "wide"


def _wide(x: keras.KerasTensor) -> keras.KerasTensor:
    wide = keras.layers.Conv2D(8, 1, use_bias=False, name=CULPRIT)(x)
    return keras.layers.Conv2D(4, 1, use_bias=False, name="narrow")(wide)


def wide_student(make_student: Callable[..., keras.Model]) -> keras.Model:
    """Return a student with one feature of which a channel is 3000 times the others.

    The channel is then thrown away, so that the student does what it does without; but the feature
    has one range for all its channels, and int8 rounds the others to a few levels.
    """
    model = make_student(middle=_wide)
    wide = np.eye(4, 8, dtype=np.float32)
    wide[0, 4] = 3000.0
    model.get_layer(CULPRIT).set_weights([wide[None, None]])
    model.get_layer("narrow").set_weights([np.eye(8, 4, dtype=np.float32)[None, None]])
    return model
