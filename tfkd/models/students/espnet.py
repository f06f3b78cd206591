"""ESPNet: pyramids of dilated convolutions on few channels, and a decoder on fewer still."""

import keras
from keras import layers

from tfkd.models.arguments import check_arguments, scale_channels
from tfkd.models.blocks import batch_norm, conv_bn, head_init, image_input, prelu, tap

__all__ = ["ESPNet"]

STAGES = (16, 64, 128)
REPEATS = (2, 3)  # p and q of the paper: modules of levels 2 and 3 after the one of stride 2
DILATIONS = (1, 2, 4, 8, 16)
STRIDE = 8


def ESPNet(
    input_shape: tuple[int, int, int] = (256, 256, 1),
    num_classes: int = 2,
    width: float = 1.0,
    name: str = "espnet",
) -> keras.Model:
    """ESPNet with p = 2 and q = 3 (student).

    Mehta et al., "ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for Semantic
    Segmentation", ECCV 2018, arXiv 1803.06815. As there, the decoder has as many channels as there
    are classes, which `width` does not change. Differs from the paper in: with fewer than five
    classes the pyramid of the decoder has one branch for each of them, of the smaller dilations,
    since five branches of at least one channel do not fit.

    0.184 M trainable parameters at width 1 with 3 channels and 2 classes (BatchNorm's gamma and
    beta and the slopes of PReLU, one a channel, counted; moving statistics not), 0.61 G
    multiply-accumulates at 384². Taps: ``tap_low`` 16 channels at 1/2 (level 1), ``tap_high`` 256
    channels at 1/8 (level 3).

    Args:
        input_shape: (H, W, C); H and W divisible by 8.
        num_classes: Classes with the background, at least 2.
        width: Factor on the channels of levels 1 to 3, 0.05 to 4.
        name: Name of the model.

    Returns:
        Functional model (N, H, W, C) → float32 logits (N, H, W, num_classes).

    Raises:
        ValueError: If an argument is out of range.
    """
    input_shape, num_classes, width = check_arguments(
        "ESPNet", input_shape, num_classes, width, stride=STRIDE
    )
    narrow, middle, wide = (scale_channels(channels, width) for channels in STAGES)
    image = image_input(input_shape)
    half = layers.AveragePooling2D(3, strides=2, padding="same", name="image_half")(image)
    quarter = layers.AveragePooling2D(3, strides=2, padding="same", name="image_quarter")(half)

    # Encoder
    first = tap(conv_bn(image, narrow, 3, "level1", strides=2, activation="prelu"), "low")
    first = _join([first, half], "level1_join")
    second = _join([*_level(first, middle, REPEATS[0], "level2"), quarter], "level2_join")
    third = tap(_join(_level(second, wide, REPEATS[1], "level3"), "level3_join"), "high")

    # Decoder: scores of level 3, joined by those of level 2 and then by level 1 itself
    x = batch_norm(_linear(third, num_classes, 1, "score3"), "score3_bn")
    x = _enlarge(x, num_classes, "up3")
    x = _join([_linear(second, num_classes, 1, "score2"), x], "score2_join")
    x = _enlarge(_esp(x, num_classes, "up2"), num_classes, "up2_resize")
    x = prelu(batch_norm(x, "up2_resize_bn"), "up2_resize_prelu")
    x = layers.Concatenate(name="up1_concat")([x, first])
    x = conv_bn(x, num_classes, 3, "up1", activation="prelu")
    logits = layers.Conv2DTranspose(
        num_classes,
        2,
        strides=2,
        padding="same",
        kernel_initializer=head_init(num_classes),
        dtype="float32",
        name="logits",
    )(x)
    return keras.Model(image, logits, name=name)


def _level(x: keras.KerasTensor, channels: int, repeats: int, name: str) -> list[keras.KerasTensor]:
    """A module of stride 2 and `repeats` of stride 1; first and last feature (N, h/2, w/2, c)."""
    start = x = _esp(x, channels, f"{name}_0", strides=2)
    for block in range(1, repeats + 1):
        x = _esp(x, channels, f"{name}_{block}", is_residual=True)
    return [start, x]


def _esp(
    x: keras.KerasTensor, channels: int, name: str, *, strides: int = 1, is_residual: bool = False
) -> keras.KerasTensor:
    """Efficient spatial pyramid: reduce, filter at several dilations, sum up, concatenate.

    A branch gives a fifth of the channels, and the first one what is left over. Each but the first
    is added to the one before it, which takes away the grid that large dilations leave.
    """
    branches = min(len(DILATIONS), channels)
    each = channels // branches
    kernel = 1 if strides == 1 else 3
    reduced = _linear(x, each, kernel, f"{name}_reduce", strides=strides)
    pyramid: list[keras.KerasTensor] = []
    for dilation in DILATIONS[:branches]:
        filters = each if pyramid else channels - (branches - 1) * each
        branch = _linear(reduced, filters, 3, f"{name}_dilated{dilation}", dilation=dilation)
        if len(pyramid) > 1:
            branch = layers.Add(name=f"{name}_sum{dilation}")([pyramid[-1], branch])
        pyramid.append(branch)
    out = layers.Concatenate(name=f"{name}_concat")(pyramid)
    if is_residual:
        out = layers.Add(name=f"{name}_add")([x, out])
    return prelu(batch_norm(out, f"{name}_bn"), f"{name}_prelu")


def _linear(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    name: str,
    *,
    strides: int = 1,
    dilation: int = 1,
) -> keras.KerasTensor:
    """Convolution alone: here BatchNorm comes after the branches are joined."""
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)


def _join(features: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Features of one size, each with BatchNorm, concatenated, PReLU.

    The same as BatchNorm of all together, but in int8 the features of a concatenation share one
    scale, and so does what average pooling takes and gives: the slice itself would get the scale of
    the deep features that it is joined with, and be cut off where theirs ends.
    """
    scaled = [batch_norm(x, f"{name}_bn{index}") for index, x in enumerate(features, start=1)]
    return prelu(layers.Concatenate(name=f"{name}_concat")(scaled), f"{name}_prelu")


def _enlarge(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """Transposed convolution: (N, h, w, c) → (N, 2h, 2w, channels)."""
    return layers.Conv2DTranspose(
        channels,
        2,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
