"""Encoders of `keras.applications`, with random weights in local files."""

import keras
import numpy as np
import pytest

from tfkd.models import MobileNetV2, PSPNet, build, imagenet

SIZE = 64


def randomised(model: keras.Model) -> keras.Model:
    """Every weight matters: biases, moments, and variances small enough to see an epsilon."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            variance = np.exp(rng.uniform(-6, 1, size))
            layer.gamma.assign(rng.uniform(0.5, 1.0, size) * np.sqrt(variance))
            layer.beta.assign(rng.normal(0, 0.1, size))
            layer.moving_mean.assign(rng.normal(0, 0.1, size))
            layer.moving_variance.assign(variance)
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    return model


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    return randomised(keras.applications.MobileNetV2((SIZE, SIZE, 3), weights=None))


@pytest.fixture(scope="module")
def mobilenet_file(mobilenet, tmp_path_factory):
    path = tmp_path_factory.mktemp("mobilenet") / "all.weights.h5"
    mobilenet.save_weights(path)  # with the classifier
    return path


def slices(channels: int = 1) -> np.ndarray:
    images = np.random.default_rng(1).uniform(-1, 1, (2, SIZE, SIZE, 1)).astype("float32")
    return np.repeat(images, channels, axis=-1)


def features(model: keras.Model, name: str, images: np.ndarray) -> np.ndarray:
    tapped = keras.Model(model.inputs[0], model.get_layer(name).output)
    return np.array(tapped(images))


def assert_close(received: np.ndarray, expected: np.ndarray) -> None:
    assert expected.std() > 1e-2
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def at_stride_8(application: keras.Model) -> keras.Model:
    """The same layers with the two strides of `MobileNetV2` that are 1."""

    def clone(layer):
        config = layer.get_config()
        if layer.name in ("block_1_pad", "block_6_pad"):
            config["padding"] = ((1, 1), (1, 1))
        if layer.name in ("block_1_depthwise", "block_6_depthwise"):
            config["strides"] = (1, 1)
        return type(layer).from_config(config)

    whole = keras.Model(application.inputs[0], application.get_layer("out_relu").output)
    image = keras.Input((SIZE, SIZE, 3))
    changed = keras.models.clone_model(whole, input_tensors=image, clone_function=clone)
    changed.set_weights(whole.get_weights())
    return changed


@pytest.mark.parametrize("channels", [2, 3])
def test_kernels_on_colours_see_the_repeated_slice(channels, mobilenet):
    kernel = np.array(mobilenet.get_layer("Conv1").kernel)
    spread = imagenet._for_channels(kernel, channels)
    expected = keras.ops.conv(slices(3), kernel, 2, "same")
    assert_close(np.array(keras.ops.conv(slices(channels), spread, 2, "same")), np.array(expected))


def test_mobilenet_computes_what_keras_applications_does(mobilenet, mobilenet_file):
    ours = MobileNetV2((SIZE, SIZE, 1), weights=mobilenet_file)
    stem = features(ours, "tap_low", slices())
    assert_close(stem, features(mobilenet, "Conv1_relu", slices(3)))
    expected = np.array(at_stride_8(mobilenet)(slices(3)))
    assert_close(features(ours, "tap_high", slices()), expected)


def test_resnet_computes_what_keras_applications_does(tmp_path):
    theirs = keras.applications.ResNet50(
        input_shape=(SIZE, SIZE, 3), include_top=False, weights=None
    )
    randomised(theirs).save(tmp_path / "resnet.keras")
    ours = build("PSPNet", (SIZE, SIZE, 1), stem="plain", weights=tmp_path / "resnet.keras")
    assert sum(np.prod(w.shape) for w in ours.trainable_weights) == pytest.approx(46.59e6, rel=1e-3)
    images = 127.5 * slices(3)
    assert_close(features(ours, "tap_low", slices()), features(theirs, "conv1_relu", images))
    assert_close(
        features(ours, "layer2_4_relu", slices()), features(theirs, "conv3_block4_out", images)
    )
    # Dilation in place of stride computes the pixels of the strided network, and those in between.
    dense = features(ours, "tap_high", slices())
    assert dense.shape[1:3] == (SIZE // 8, SIZE // 8)
    assert_close(dense[:, ::4, ::4], np.array(theirs(images)))


def test_a_file_without_the_classifier(mobilenet, mobilenet_file, tmp_path):
    bare = keras.applications.MobileNetV2((96, 96, 3), include_top=False, weights=None)
    for layer in bare.layers[1:]:
        layer.set_weights(mobilenet.get_layer(layer.name).get_weights())
    bare.save_weights(tmp_path / "bare.weights.h5")
    first = MobileNetV2((32, 32, 1), weights=mobilenet_file)
    second = MobileNetV2((32, 32, 1), weights=str(tmp_path / "bare.weights.h5"))
    for ours, theirs in zip(first.weights[:-2], second.weights[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_of_another_network(tmp_path):
    other = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, include_top=False, weights=None)
    other.save_weights(tmp_path / "other.weights.h5")
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"(?s)keras\.applications\.MobileNetV2.*Conv1"):
        MobileNetV2((32, 32, 1), weights=tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match=r"\(3, 3, 1, 32\) in the layer 'Conv1'.*\(3, 3, 1, 16\)"):
        MobileNetV2((32, 32, 1), weights=tmp_path / "other.keras")
    pairs = [("stem", "conv1_conv", "conv1_bn")]
    with pytest.raises(ValueError, match=r"ResNet50, with a layer 'conv1_conv' that has kernel"):
        imagenet.load_encoder(other, "ResNet50", tmp_path / "other.keras", pairs)
    (tmp_path / "broken.weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match=r"a file of weights of keras\.applications\.MobileNetV2"):
        MobileNetV2((32, 32, 1), weights=tmp_path / "broken.weights.h5")


def test_imagenet_is_asked_of_keras(monkeypatch, mobilenet):
    asked = []

    def application(**options):
        asked.append(options["weights"])
        return mobilenet

    monkeypatch.setattr(keras.applications, "MobileNetV2", application)
    ours = build("MobileNetV2", (32, 32, 1), weights="imagenet")
    assert asked == ["imagenet"]
    last = mobilenet.get_layer("Conv_1").kernel
    np.testing.assert_array_equal(ours.get_layer("last_conv").kernel, last)


def test_no_network_no_download(monkeypatch):
    def application(**options):
        raise Exception("URL fetch failure on https://storage.googleapis.com")

    monkeypatch.setattr(keras.applications, "MobileNetV2", application)
    with pytest.raises(OSError, match=r"URL fetch failure.*pass its path"):
        MobileNetV2((32, 32, 1), weights="imagenet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "imagenet", "width": 0.5}, r"PSPNet: .*width=1.*Received width=0\.5"),
        ({"weights": "nowhere.h5"}, r"path of a file that exists.*'nowhere\.h5'"),
        ({"weights": "imagenet", "stem": "deep"}, r'stem="plain" with weights'),
        ({"stem": "wide"}, r"Received stem='wide'"),
    ],
)
def test_arguments_that_do_not_go_together(options, message):
    with pytest.raises(ValueError, match=message):
        PSPNet((32, 32, 1), **{"stem": "plain", **options})


def test_networks_without_an_encoder_of_keras_applications():
    with pytest.raises(ValueError, match=r"UNet: .*no other options than name.*weights"):
        build("UNet", (32, 32, 1), weights="imagenet")
