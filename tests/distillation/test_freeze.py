import keras
import numpy as np
import pytest
from keras import layers

from tests.distillation.networks import network, slices
from tfkd.distillation import Distiller, methods
from tfkd.distillation.freeze import FreezeCheck
from tfkd.errors import TrainingError
from tfkd.losses import FocalDice


def test_a_teacher_under_the_distiller_passes():
    x, y = slices()
    teacher = network(8, seed=1)
    distiller = Distiller(teacher, network(2, seed=2), *methods.emkd())
    distiller.compile("adam", FocalDice())
    distiller.fit(x, y, verbose=0, callbacks=[FreezeCheck(teacher)])


def trainer(teacher: keras.Model) -> keras.Model:
    """A student that ends in the teacher's own last convolution."""
    student = network(8, seed=2)
    shared = next(x for x in reversed(teacher.layers) if isinstance(x, layers.Conv2D))
    model = keras.Model(student.input, shared(student.get_layer("tap_high").output))
    model.compile("sgd", "mse")
    return model


def test_a_shared_layer_is_named():
    teacher, other = network(8, seed=1), network(2)
    kernel, bias = (v for v in teacher.trainable_weights[-2:])
    x, _ = slices()
    with pytest.raises(TrainingError) as error:
        trainer(teacher).fit(
            x, np.ones((8, 4, 4, 3)), verbose=0, callbacks=[FreezeCheck(other, teacher)]
        )
    assert f"2 changed during the training: {kernel.path} of {teacher.name!r}" in str(error.value)
    assert bias.path in str(error.value)
    assert teacher.weights[0].path not in str(error.value)
    assert other.name not in str(error.value).replace(teacher.name, "")


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_float16"])
def test_every_type_is_watched_and_each_training_anew(dtype):
    teacher = network(2, dtype=dtype)
    check = FreezeCheck(teacher)
    check.on_train_begin()
    check.on_train_end()
    variable = teacher.weights[-1]
    variable.assign(np.ones(variable.shape))
    with pytest.raises(TrainingError, match=variable.path):
        check.on_train_end()
    check.on_train_begin()
    check.on_train_end()


def test_statistics_count_as_weights():
    teacher = network(2)
    check = FreezeCheck(teacher)
    check.on_train_begin()
    teacher(slices()[0], training=True)
    with pytest.raises(TrainingError, match=r"4 changed.*moving_mean"):
        check.on_train_end()


@pytest.mark.parametrize("models", [(), ("teacher",), (network(2), None)])
def test_something_else_than_a_model(models):
    with pytest.raises(ValueError, match=r"one or several keras\.Model"):
        FreezeCheck(*models)
