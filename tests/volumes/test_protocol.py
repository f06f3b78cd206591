import numpy as np

from tfkd.volumes import PROTOCOLS, REFERENCE, WHOLE_VOLUME, PreprocessSpec, target_mask


def test_the_reference_is_that_of_the_paper() -> None:
    assert (REFERENCE.threshold, REFERENCE.only_positive, REFERENCE.empty_share) == (0.4, True, 0)
    spec = PreprocessSpec(size=REFERENCE.size, fit=REFERENCE.fit, field_size=REFERENCE.field_size)
    assert (spec.field_size, spec.input_shape) == ((512, 512), (384, 384, 1))
    assert (REFERENCE.epochs, REFERENCE.batch_size, REFERENCE.learning_rate) == (30, 16, 1e-2)
    assert round(REFERENCE.learning_rate * REFERENCE.last_rate, 12) == 1e-6
    assert PROTOCOLS == {"whole_volume": WHOLE_VOLUME, "reference": REFERENCE}


def test_one_target_is_made_of_labels() -> None:
    mask = np.array([[0, 1, 2, 255]], np.uint8)
    np.testing.assert_array_equal(target_mask(mask, (1, 2)), [[0, 1, 1, 255]])
    np.testing.assert_array_equal(target_mask(mask, (2,)), [[0, 0, 1, 255]])
    np.testing.assert_array_equal(target_mask(mask, ()), mask)
    assert target_mask(mask, (2,)).dtype == np.uint8
