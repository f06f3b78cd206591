"""MobileNetV2 with output stride 8: inverted residuals and a 1×1 head."""

from collections.abc import Iterator
from pathlib import Path

import keras
from keras import layers

from tfkd.models.arguments import check_arguments, scale_channels
from tfkd.models.blocks import conv_bn, depthwise_bn, head_init, image_input, tap, upsample
from tfkd.models.imagenet import check_weights, load_encoder

__all__ = ["MobileNetV2"]

STEM = 32
LAST = 1280
STAGES = (
    # expansion t, channels c, blocks n, stride s of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 1),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STRIDE = 8


def MobileNetV2(
    input_shape: tuple[int, int, int] = (256, 256, 1),
    num_classes: int = 2,
    width: float = 1.0,
    weights: str | Path | None = None,
    name: str = "mobilenetv2",
) -> keras.Model:
    """MobileNetV2 as a segmentation network of output stride 8 (student).

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, arXiv
    1801.04381. Differs from the paper in: two of the strides are 1, so that the last feature is at
    1/8; a 1×1 head per pixel and bilinear ×8 in place of the classifier; `width` also scales the
    last 1280 channels; each residual block starts as the identity (last gamma 0).

    2.23 M trainable parameters at width 1 with 3 channels and 2 classes (BatchNorm's gamma and beta
    counted, its moving statistics not). Taps: ``tap_low`` 32 channels at 1/2 (stem), ``tap_high``
    1280 channels at 1/8 (last).

    Args:
        input_shape: (H, W, C); H and W divisible by 8.
        num_classes: Classes with the background, at least 2.
        width: Factor on every channel count, 0.05 to 4.
        weights: None for random ones; "imagenet", or a file of `keras.applications.MobileNetV2`, at
            width 1, for the trunk: `keras.applications` has the same layers. With the two strides
            that are 1 here, the deeper kernels look at finer pixels than they were trained on, so
            they are a start to train from and no finished features. Slices in [-1, 1].
        name: Name of the model.

    Returns:
        Functional model (N, H, W, C) → float32 logits (N, H, W, num_classes).

    Raises:
        ValueError: If an argument is out of range, or the weights do not fit.
    """
    input_shape, num_classes, width = check_arguments(
        "MobileNetV2", input_shape, num_classes, width, stride=STRIDE
    )
    check_weights("MobileNetV2", weights, width)
    image = image_input(input_shape)

    # Trunk
    x = conv_bn(image, scale_channels(STEM, width), 3, "stem", strides=2, activation="relu6")
    x = tap(x, "low")
    for stage, (expansion, channels, blocks, strides) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            x = _inverted_residual(
                x,
                scale_channels(channels, width),
                f"stage{stage}_{block}",
                expansion=expansion,
                strides=strides if block == 1 else 1,
            )
    last = scale_channels(LAST, width)
    x = tap(conv_bn(x, last, 1, "last", activation="relu6"), "high")

    # Head
    x = layers.Conv2D(
        num_classes, 1, kernel_initializer=head_init(last), dtype="float32", name="head"
    )(x)
    logits = upsample(x, STRIDE, "logits", dtype="float32")
    model = keras.Model(image, logits, name=name)
    if weights is not None:
        load_encoder(model, "MobileNetV2", weights, _pairs())
    return model


def _pairs() -> Iterator[tuple[str, str, str]]:
    """Each convolution: our prefix, the layers of `keras.applications`."""
    yield "stem", "Conv1", "bn_Conv1"
    index = 0
    for stage, (expansion, _, blocks, _) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            theirs = f"block_{index}_" if index else "expanded_conv_"
            for part in ("expand", "depthwise", "project")[expansion == 1 :]:
                yield f"stage{stage}_{block}_{part}", f"{theirs}{part}", f"{theirs}{part}_BN"
            index += 1
    yield "last", "Conv_1", "Conv_1_bn"


def _inverted_residual(
    x: keras.KerasTensor, channels: int, name: str, *, expansion: int, strides: int
) -> keras.KerasTensor:
    """Expand, filter each channel, project linearly; a shortcut where the shapes agree."""
    shortcut = x
    is_residual = strides == 1 and x.shape[-1] == channels
    if expansion > 1:
        x = conv_bn(x, expansion * x.shape[-1], 1, f"{name}_expand", activation="relu6")
    x = depthwise_bn(x, f"{name}_depthwise", strides=strides)
    x = conv_bn(x, channels, 1, f"{name}_project", activation=None, ends_residual=is_residual)
    return layers.Add(name=f"{name}_add")([shortcut, x]) if is_residual else x
