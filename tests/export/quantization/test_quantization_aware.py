"""`quantization_aware`: trains as the int8 file computes, and needs no calibration to be one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfkd
from tests.export.quantization.blocks import BLOCKS, images, network, with_random_weights
from tfkd.errors import ExportError
from tfkd.export import (
    FakeQuantize,
    calibrate,
    edge_form,
    is_quantization_aware,
    keras_logits,
    quantization_aware,
    to_litert,
)
from tfkd.export.convert import convert, float_operators
from tfkd.inference import LiteRTModel
from tfkd.losses import FocalDice, ImportanceMapDistillation, PredictionMapDistillation
from tfkd.models.zoo import STUDENTS, TEACHERS, build


def _error(received, expected):
    """Root mean square, in standard deviations."""
    return float(np.sqrt(np.mean((received - expected) ** 2)) / np.std(expected))


def _run(path, model, x):
    """What the file gives, and the step from one of its levels to the next."""
    path.write_bytes(convert(model, "int8", None))
    assert float_operators(path.read_bytes()) == []
    file = LiteRTModel(path)
    return file(x), file.output.scale


@pytest.mark.parametrize("name", BLOCKS)
def test_file_of_each_block(name, tmp_path):
    """As Keras says, but for a rounding to the other side here and there."""
    model, x = network(BLOCKS[name]), images()
    aware = quantization_aware(model, x)
    received, level = _run(tmp_path / "s.tflite", aware, x)
    expected = np.asarray(aware(x))
    assert np.abs(received - expected).max() < 3.1 * level
    assert np.mean(np.abs(received - expected) > 0.5 * level) < 0.2
    assert _error(expected, np.asarray(model(x, training=False))) < 0.05


def test_file_of_a_network(tmp_path):
    model = with_random_weights(build("ESPNet", (32, 32, 1), 3, width=0.05))
    x = np.abs(images(4, (32, 32, 1)))
    aware = quantization_aware(model, x)
    received, _ = _run(tmp_path / "s.tflite", aware, x)
    expected, trained = keras_logits(aware, 4)(x), keras_logits(model, 4)(x)
    # Random weights make much of little: a rounding to the other side grows from layer to layer.
    assert _error(received, expected) < 0.25
    assert _error(expected, trained) < 0.25
    assert np.mean(expected.argmax(-1) == trained.argmax(-1)) > 0.9


@pytest.mark.parametrize("name", [*STUDENTS, *TEACHERS])
def test_names_and_shapes_of_networks(name):
    model = build(name, (32, 32, 1), 3, width=0.05)
    aware = quantization_aware(model)
    assert (aware.name, aware.input.name) == (model.name, "image")
    assert aware.output_shape == model.output_shape
    for layer in ("tap_low", "tap_high", "logits"):
        assert aware.get_layer(layer).output.shape == model.get_layer(layer).output.shape
    assert is_quantization_aware(aware)
    assert not is_quantization_aware(model)


def test_first_step_is_what_int8_after_training_gives(student, ct_slices, tmp_path):
    aware = quantization_aware(student, ct_slices)
    path = tmp_path / "after.tflite"
    path.write_bytes(convert(edge_form(student), "int8", ct_slices))
    received = keras_logits(aware, 24)(ct_slices)
    expected = LiteRTModel(path)(ct_slices)
    assert _error(received, expected) < 0.02
    assert np.mean(received.argmax(-1) == expected.argmax(-1)) > 0.998


def test_to_litert_without_calibration(student, spec, ct_slices, tmp_path):
    aware = quantization_aware(student, ct_slices)
    result = to_litert(aware, tmp_path / "s.tflite", quantization="int8", spec=spec)
    assert result.comparison.source == "synthetic"
    assert result.agreement > 0.995
    assert result.contract.input.dtype == "int8"
    given = to_litert(
        aware, tmp_path / "t.tflite", quantization="int8", spec=spec, calibration=ct_slices
    )
    assert given.comparison.source == "calibration"
    assert (tmp_path / "s.tflite").read_bytes() == (tmp_path / "t.tflite").read_bytes()


def test_other_formats_and_missing_ranges(student, spec, tmp_path):
    aware = quantization_aware(student)
    with pytest.raises(ExportError, match="expected int8"):
        to_litert(aware, tmp_path / "s.tflite", quantization="float16", spec=spec)
    with pytest.raises(ExportError, match=r"image_range|ct_range.*tfkd\.export\.calibrate"):
        to_litert(aware, tmp_path / "s.tflite", quantization="int8", spec=spec)
    assert list(tmp_path.iterdir()) == []


def _data(ct_slices, student):
    masks = keras_logits(student, 24)(ct_slices).argmax(-1)
    return tf.data.Dataset.from_tensor_slices((ct_slices, masks.astype("int32"))).batch(8)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_finds_ranges_and_gets_better(student, ct_slices, jit_compile):
    data = _data(ct_slices, student)
    aware = quantization_aware(student)
    aware.compile(keras.optimizers.Adam(1e-3), loss=FocalDice(), jit_compile=jit_compile)
    history = aware.fit(data, epochs=2, verbose=0).history["loss"]
    assert history[-1] < history[0]
    ranges = [layer for layer in aware.layers if isinstance(layer, FakeQuantize)]
    assert all(layer.has_range for layer in ranges)
    before = [np.array(weight) for weight in aware.get_weights()]
    aware.evaluate(data, verbose=0)
    for old, new in zip(before, aware.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_distiller_and_file(student, make_student, ct_slices, tmp_path):
    aware = quantization_aware(make_student(middle=layers.Identity(name="tap_high")))
    before = [np.array(weight) for weight in aware.trainable_variables]
    tap = ImportanceMapDistillation("act", student_layer_name="tap_high")
    distiller = tfkd.Distiller(student, aware, [PredictionMapDistillation(), tap])
    distiller.compile("adam", loss=FocalDice())
    distiller.fit(_data(ct_slices, student), verbose=0)
    for old, new in zip(before, aware.trainable_variables, strict=True):
        assert not np.array_equal(old, new)
    aware.save(tmp_path / "aware.keras")
    loaded = keras.saving.load_model(tmp_path / "aware.keras")
    assert is_quantization_aware(loaded)
    expected = keras_logits(aware, 24)(ct_slices)
    np.testing.assert_array_equal(keras_logits(loaded, 24)(ct_slices), expected)


def test_calibrate_takes_the_extremes_and_as_many_batches_as_told(student, ct_slices):
    aware = quantization_aware(student)
    weights = [np.array(weight) for weight in aware.trainable_variables]
    assert calibrate(aware, ((batch, None) for batch in [ct_slices[:8]] * 5), steps=3) == 3
    image = next(layer for layer in aware.layers if isinstance(layer, FakeQuantize))
    low, high, _ = image.get_weights()
    assert (low, high) == (min(ct_slices[:8].min(), 0), ct_slices[:8].max())
    assert calibrate(aware, ct_slices) == 3
    for old, new in zip(weights, aware.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_calibrate_that_fails_leaves_the_ranges(student, ct_slices):
    aware = quantization_aware(student, ct_slices)
    before = [np.array(weight) for weight in aware.get_weights()]
    with pytest.raises(ExportError, match="at least one batch"):
        calibrate(aware, [])
    with pytest.raises(ExportError, match=r"finite features.*ct_range"):
        calibrate(aware, [np.full((2, 32, 32, 1), np.nan, "float32")])
    for old, new in zip(before, aware.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ExportError, match="without ranges"):
        calibrate(student, ct_slices)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (layers.GroupNormalization(2, name="group"), "'group' of type GroupNormalization"),
        (layers.Activation("gelu", name="act"), r"'act' of type Activation with .*gelu"),
        (layers.UpSampling2D(2, interpolation="bicubic"), "interpolation='bicubic'"),
        (layers.ReLU(3.0, name="cut"), "'cut' of type ReLU"),
        (layers.MaxPooling2D(data_format="channels_first"), "channels_first"),
    ],
)
def test_unknown_layers_are_named(block, message):
    with pytest.raises(ExportError, match=message):
        quantization_aware(network(block))


def test_students_of_another_kind(student):
    conv = layers.Conv2D(4, 1)
    with pytest.raises(ExportError, match="calls each of its layers once"):
        quantization_aware(network(lambda x: conv(conv(x))))
    for block in (lambda x: x + layers.Conv2D(4, 1)(x), lambda x: x[..., :2], keras.ops.relu):
        with pytest.raises(ExportError, match="nothing that is no layer"):
            quantization_aware(network(block))
    with pytest.raises(ExportError, match="not quantised yet"):
        quantization_aware(quantization_aware(student))


def test_names_between_are_not_those_of_the_student():
    """Keras's own names for two sums are such as are made here between three of a sum."""

    def block(x):
        x = layers.Add(name="add")([x, layers.Conv2D(4, 1)(x), layers.Conv2D(4, 1)(x)])
        x = layers.Add(name="add_1")([x, layers.Conv2D(4, 1, activation="silu", name="c")(x)])
        x = layers.Conv2D(4, 1, name="c_silu")(x)
        return layers.Conv2D(4, 1, name="add_1_range")(layers.ReLU(name="c_silu_sigmoid")(x))

    model, x = network(block), images()
    aware = quantization_aware(model, x)
    assert {layer.name for layer in model.layers} <= {layer.name for layer in aware.layers}
    assert _error(np.asarray(aware(x)), np.asarray(model(x))) < 0.05


@pytest.mark.parametrize("slope", [-0.2, 0.3])
def test_one_slope_for_all_channels(slope):
    model, x = network(lambda x: layers.PReLU(shared_axes=(1, 2, 3))(x)), images()
    model.layers[-1].alpha.assign([[[slope]]])
    assert _error(np.asarray(quantization_aware(model, x)(x)), np.asarray(model(x))) < 0.05


def test_student_is_left_as_it_was(student, ct_slices):
    before = [np.array(weight) for weight in student.get_weights()]
    quantization_aware(student, ct_slices)
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
