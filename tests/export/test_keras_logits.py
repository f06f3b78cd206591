"""A Keras model behind the predictor's interface."""

import numpy as np
import pytest

from tfkd.export import keras_logits, keras_predictor
from tfkd.volumes import PreprocessSpec


def test_any_number_up_to_the_batch(student, ct_slices):
    expected = student(ct_slices[:5], training=False).numpy()
    run = keras_logits(student, 4)
    for count in (1, 3, 4):
        received = run(ct_slices[:count])
        assert received.dtype == np.float32
        np.testing.assert_allclose(received, expected[:count], atol=1e-5)
    with pytest.raises(ValueError, match="at most 4 a call, received 5"):
        run(ct_slices[:5])


def test_batch_statistics_are_left_alone(student, ct_slices):
    before = student.get_layer("norm").moving_mean.numpy()
    keras_logits(student, 8)(ct_slices[:8])
    np.testing.assert_array_equal(student.get_layer("norm").moving_mean.numpy(), before)


def test_predictor_wants_the_spec_of_the_model(student, spec):
    predictor = keras_predictor(student, spec, ("background", "liver", "bone"), 4)
    assert predictor.batch_size == 4
    with pytest.raises(ValueError, match=r"input shape \(64, 64, 1\), received \(32, 32, 1\)"):
        keras_predictor(student, PreprocessSpec(size=(64, 64)), ("background", "liver", "bone"))
