"""PSPNet: a dilated ResNet-50 whose last feature is joined by its own means over large regions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import keras
from keras import layers

from tfkd.models.arguments import check_arguments, scale_channels
from tfkd.models.blocks import conv_bn, head_init, image_input, tap, upsample
from tfkd.models.imagenet import check_weights, load_encoder
from tfkd.models.resnet import bottleneck_stage

__all__ = ["PSPNet"]

DEEP_STEM = (64, 64, 128)
PLAIN_STEM = 64
STAGES = (64, 128, 256, 512)
BLOCKS = (3, 4, 6, 3)  # ResNet-50
STRIDES = (1, 2, 1, 1)
DILATIONS = (1, 1, 2, 4)
BINS = (1, 2, 3, 6)
HEAD = 512
DROPOUT = 0.1
STRIDE = 8
# `keras.applications` takes ResNet-50's images in [0, 255] less their mean, so of about this range.
IMAGENET_SCALE = 127.5


def PSPNet(
    input_shape: tuple[int, int, int] = (256, 256, 1),
    num_classes: int = 2,
    width: float = 1.0,
    stem: Literal["deep", "plain"] = "deep",
    weights: str | Path | None = None,
    name: str = "pspnet",
) -> keras.Model:
    """Pyramid scene parsing network on a ResNet-50 of output stride 8 (teacher).

    Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, arXiv 1612.01105. The trunk has a stem
    of three 3×3 convolutions, and dilations of 2 and 4 in place of the strides of its layers 3 and
    4. Differs from the paper in: no auxiliary loss in the middle of the trunk; where 2, 3 or 6 do
    not divide the feature's height or width, the pyramid's regions have the next larger size, and
    the outer ones are cut by the border, so there may be fewer; each residual block starts as the
    identity (last gamma 0).

    46.71 M trainable parameters at width 1 with 3 channels and 2 classes (BatchNorm's gamma and
    beta counted, its moving statistics not), 103 G multiply-accumulates at 384². Taps: ``tap_low``
    64 channels at 1/2 (first convolution), ``tap_high`` 2048 channels at 1/8 (layer 4).

    Args:
        input_shape: (H, W, C); H and W divisible by 8.
        num_classes: Classes with the background, at least 2.
        width: Factor on every channel count, 0.05 to 4.
        stem: "deep" is that of the published network; "plain" is ResNet-50's own 7×7 convolution
            (46.59 M parameters), the one for which there are ImageNet weights.
        weights: None for random ones; "imagenet", or a file of `keras.applications.ResNet50`, at
            width 1 with the plain stem, for the trunk. Every fourth pixel of ``tap_high`` along
            each axis is then what that network computes from the slice times 127.5, repeated for
            its three colours. Slices in [-1, 1].
        name: Name of the model.

    Returns:
        Functional model (N, H, W, C) → float32 logits (N, H, W, num_classes).

    Raises:
        ValueError: If an argument is out of range, or the weights do not fit.
    """
    input_shape, num_classes, width = check_arguments(
        "PSPNet", input_shape, num_classes, width, stride=STRIDE
    )
    _check_stem(stem, weights)
    check_weights("PSPNet", weights, width)
    image = image_input(input_shape)

    # Trunk
    x = _deep_stem(image, width) if stem == "deep" else _plain_stem(image, width)
    stages = zip(STAGES, BLOCKS, STRIDES, DILATIONS, strict=True)
    for stage, (channels, blocks, strides, dilation) in enumerate(stages, start=1):
        x = bottleneck_stage(
            x,
            scale_channels(channels, width),
            blocks,
            f"layer{stage}",
            strides=strides,
            dilation=dilation,
        )
    x = tap(x, "high")

    # Head
    head = scale_channels(HEAD, width)
    pyramid = [_regions(x, bins, head, f"pyramid{bins}") for bins in BINS]
    x = layers.Concatenate(name="pyramid_concat")([x, *pyramid])
    x = conv_bn(x, head, 3, "head")
    x = layers.SpatialDropout2D(DROPOUT, name="head_dropout")(x)
    x = layers.Conv2D(
        num_classes, 1, kernel_initializer=head_init(head), dtype="float32", name="score"
    )(x)
    logits = upsample(x, STRIDE, "logits", dtype="float32")
    model = keras.Model(image, logits, name=name)
    if weights is not None:
        load_encoder(model, "ResNet50", weights, _pairs(), input_scale=IMAGENET_SCALE)
    return model


def _deep_stem(image: keras.KerasTensor, width: float) -> keras.KerasTensor:
    """Three 3×3 convolutions and max-pooling: (N, H, W, C) → (N, H/4, W/4, 128)."""
    x = image
    for index, channels in enumerate(DEEP_STEM, start=1):
        strides = 2 if index == 1 else 1
        x = conv_bn(x, scale_channels(channels, width), 3, f"stem{index}", strides=strides)
        if index == 1:
            x = tap(x, "low")
    return layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)


def _plain_stem(image: keras.KerasTensor, width: float) -> keras.KerasTensor:
    """A 7×7 convolution and max-pooling: (N, H, W, C) → (N, H/4, W/4, 64).

    Padded by hand as in `keras.applications`: "same" would shift both by a pixel.
    """
    x = layers.ZeroPadding2D(3, name="stem_pad")(image)
    x = conv_bn(x, scale_channels(PLAIN_STEM, width), 7, "stem", strides=2, padding="valid")
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(tap(x, "low"))
    return layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)


def _pairs() -> Iterator[tuple[str, str, str]]:
    """Each convolution of the trunk: our prefix, the layers of `keras.applications`."""
    yield "stem", "conv1_conv", "conv1_bn"
    for stage, blocks in enumerate(BLOCKS, start=1):
        for block in range(1, blocks + 1):
            for number, part in enumerate(("shortcut", "a", "b", "c")):
                if block == 1 or part != "shortcut":
                    theirs = f"conv{stage + 1}_block{block}_{number}"
                    yield f"layer{stage}_{block}_{part}", f"{theirs}_conv", f"{theirs}_bn"


def _check_stem(stem: str, weights: str | Path | None) -> None:
    if stem not in ("deep", "plain"):
        raise ValueError(f'PSPNet: expected stem to be "deep" or "plain". Received stem={stem!r}.')
    if weights is not None and stem == "deep":
        raise ValueError(
            'PSPNet: expected stem="plain" with weights, since the ResNet-50 of keras.applications '
            f"has a 7×7 stem. Received stem={stem!r}, weights={str(weights)!r}."
        )


def _regions(x: keras.KerasTensor, bins: int, channels: int, name: str) -> keras.KerasTensor:
    """Means over at most bins × bins regions, projected and spread over their pixels again."""
    size = x.shape[1:3]
    region = tuple(-(-pixels // bins) for pixels in size)
    means = layers.AveragePooling2D(region, strides=region, padding="same", name=f"{name}_pool")(x)
    means = conv_bn(means, channels, 1, name)
    spread = layers.UpSampling2D(region, interpolation="bilinear", name=f"{name}_resize")(means)
    # "same" centres the regions on the feature, so what hangs over goes on either side.
    surplus = [large - pixels for large, pixels in zip(spread.shape[1:3], size, strict=True)]
    if not any(surplus):
        return spread
    crop = tuple((over // 2, over - over // 2) for over in surplus)
    return layers.Cropping2D(crop, name=f"{name}_crop")(spread)
