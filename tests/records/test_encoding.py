import numpy as np
import pytest
import tensorflow as tf

from tfkd.records.encoding import decode_example, decode_slice, encode_slice
from tfkd.volumes import PreprocessSpec, SliceExample


@pytest.mark.parametrize("context", [0, 2])
def test_a_slice_survives_its_record(context: int) -> None:
    spec = PreprocessSpec(size=(12, 9), context_slices=context)
    rng = np.random.default_rng(0)
    image = rng.integers(-1024, 3072, spec.input_shape).astype(np.int16)
    image[0, 0, 0], image[0, 1, 0] = -1024, 32767  # both ends of what int16 HU can be
    mask = rng.integers(0, 3, spec.size).astype(np.uint8)
    before = SliceExample(image, mask, "volume-7", 41, (2.5, 0.75, 0.75))
    record = encode_slice(before, num_classes=4)
    after = decode_example(record, spec)
    np.testing.assert_array_equal(after.image_hu, image)
    np.testing.assert_array_equal(after.mask, mask)
    assert (after.case_id, after.slice_index) == ("volume-7", 41)
    assert after.spacing_mm == (2.5, 0.75, 0.75)
    flags = tf.train.Example.FromString(record).features.feature["labels_present"].int64_list
    assert list(flags.value) == [1, 1, 1, 0]


def test_decoding_in_a_graph_has_static_shapes_and_types() -> None:
    spec = PreprocessSpec(size=(12, 9), context_slices=1)
    signature = tf.TensorSpec([], tf.string)
    decode = tf.function(lambda r: decode_slice(r, spec)).get_concrete_function(signature)
    image, mask = decode.structured_outputs
    assert (image.shape, image.dtype) == ((12, 9, 3), tf.float32)
    assert (mask.shape, mask.dtype) == ((12, 9), tf.int32)
