"""ENet: narrow bottlenecks with dilated and asymmetric convolutions."""

import keras
from keras import layers

from tfkd.models.arguments import check_arguments, scale_channels
from tfkd.models.blocks import (
    Activation,
    activate,
    batch_norm,
    conv_bn,
    head_init,
    image_input,
    tap,
    transposed_bn,
    upsample,
)

__all__ = ["ENet"]

STAGES = (16, 64, 128)
# Bottlenecks x.1 to x.8 of stages 2 and 3: dilation of the 3×3 convolution, or "asymmetric".
SECTION: tuple[int | str, ...] = (1, 2, "asymmetric", 4, 1, 8, "asymmetric", 16)
DROPOUT = (0.01, 0.1)  # stage 1; everything after it (section 4 of the paper)
STRIDE = 8


def ENet(
    input_shape: tuple[int, int, int] = (256, 256, 1),
    num_classes: int = 2,
    width: float = 1.0,
    name: str = "enet",
    *,
    shared_slopes: bool = False,
) -> keras.Model:
    """ENet (student).

    Paszke et al., "ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation",
    2016, arXiv 1606.02147. Differs from the paper in: bilinear ×2 in place of max-unpooling, whose
    argmax runs neither under XLA nor in LiteRT; the two halves of a downsampling bottleneck are
    made by two convolutions instead of padding with zero channels, which is the same function; ReLU
    instead of PReLU in the decoder; the stem convolves to at least half of its channels when the
    slice has many; each regular bottleneck starts as the identity (last gamma 0).

    0.353 M trainable parameters at width 1 with 3 channels and 2 classes (BatchNorm's gamma and
    beta and the slopes of PReLU, one a channel, counted; moving statistics not). Taps: ``tap_low``
    16 channels at 1/2 (stem), ``tap_high`` 128 channels at 1/8 (stage 3).

    Args:
        input_shape: (H, W, C); H and W divisible by 8.
        num_classes: Classes with the background, at least 2.
        width: Factor on every channel count, 0.05 to 4.
        name: Name of the model.
        shared_slopes: Whether all channels of a PReLU share one slope; in the paper each has its
            own. LiteRT has a fast int8 kernel for that (`python -m benchmarks edge`). What it costs
            in Dice has not been measured.

    Returns:
        Functional model (N, H, W, C) → float32 logits (N, H, W, num_classes).

    Raises:
        ValueError: If an argument is out of range.
    """
    input_shape, num_classes, width = check_arguments(
        "ENet", input_shape, num_classes, width, stride=STRIDE
    )
    narrow, middle, wide = (scale_channels(channels, width) for channels in STAGES)
    slopes: Activation = "shared_prelu" if shared_slopes else "prelu"
    image = image_input(input_shape)

    # Encoder
    x = tap(_stem(image, narrow, slopes), "low")
    x = _downsampling(x, middle, "stage1_0", dropout=DROPOUT[0], activation=slopes)
    for block in range(1, 5):
        x = _bottleneck(x, f"stage1_{block}", dropout=DROPOUT[0], activation=slopes)
    x = _downsampling(x, wide, "stage2_0", dropout=DROPOUT[1], activation=slopes)
    for stage in (2, 3):
        for block, kernel in enumerate(SECTION, start=1):
            block_name = f"stage{stage}_{block}"
            x = _bottleneck(x, block_name, kernel=kernel, dropout=DROPOUT[1], activation=slopes)
    x = tap(x, "high")

    # Decoder
    x = _upsampling(x, middle, "stage4_0", dropout=DROPOUT[1])
    for block in (1, 2):
        x = _bottleneck(x, f"stage4_{block}", dropout=DROPOUT[1], activation="relu")
    x = _upsampling(x, narrow, "stage5_0", dropout=DROPOUT[1])
    x = _bottleneck(x, "stage5_1", dropout=DROPOUT[1], activation="relu")

    logits = layers.Conv2DTranspose(
        num_classes,
        2,
        strides=2,
        padding="same",
        kernel_initializer=head_init(narrow),
        dtype="float32",
        name="logits",
    )(x)
    return keras.Model(image, logits, name=name)


def _stem(image: keras.KerasTensor, channels: int, activation: Activation) -> keras.KerasTensor:
    """3×3 convolution of stride 2 beside the pooled slice, `channels` together."""
    convolved = max(channels - image.shape[-1], channels // 2)
    learnt = conv_bn(image, convolved, 3, "stem", strides=2, activation=None)
    pooled = layers.MaxPooling2D(2, name="stem_pool")(image)
    pooled = batch_norm(pooled, "stem_pool_bn")
    return activate(layers.Concatenate(name="stem_concat")([learnt, pooled]), activation, "stem")


def _inner(channels: int) -> int:
    """Channels inside a bottleneck: a quarter, but at least 4."""
    return max(4, channels // 4)


def _expand(
    x: keras.KerasTensor, channels: int, name: str, dropout: float, *, ends_residual: bool = False
) -> keras.KerasTensor:
    """End of a bottleneck's branch: linear 1×1 convolution and spatial dropout."""
    x = conv_bn(x, channels, 1, name, activation=None, ends_residual=ends_residual)
    return layers.SpatialDropout2D(dropout, name=f"{name}_dropout")(x)


def _bottleneck(
    x: keras.KerasTensor,
    name: str,
    *,
    kernel: int | str = 1,
    dropout: float,
    activation: Activation,
) -> keras.KerasTensor:
    """Regular bottleneck: squeeze, filter (`kernel` as in `SECTION`), expand, add."""
    inner = _inner(x.shape[-1])
    branch = conv_bn(x, inner, 1, f"{name}_squeeze", activation=activation)
    if kernel == "asymmetric":
        branch = conv_bn(branch, inner, (5, 1), f"{name}_tall", activation=activation)
        branch = conv_bn(branch, inner, (1, 5), f"{name}_broad", activation=activation)
    else:
        branch = conv_bn(
            branch, inner, 3, f"{name}_filter", dilation=int(kernel), activation=activation
        )
    branch = _expand(branch, x.shape[-1], f"{name}_expand", dropout, ends_residual=True)
    return activate(layers.Add(name=f"{name}_add")([x, branch]), activation, name)


def _downsampling(
    x: keras.KerasTensor, channels: int, name: str, *, dropout: float, activation: Activation
) -> keras.KerasTensor:
    """Bottleneck of stride 2: (N, h, w, c) → (N, h/2, w/2, channels).

    The first c channels are the pooled feature plus the branch, the others the branch alone; there
    are never fewer of these, however small `width` made `channels`.
    """
    channels = max(channels, 2 * x.shape[-1])
    inner = _inner(x.shape[-1])
    pooled = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    branch = conv_bn(x, inner, 2, f"{name}_squeeze", strides=2, activation=activation)
    branch = conv_bn(branch, inner, 3, f"{name}_filter", activation=activation)
    added = _expand(branch, x.shape[-1], f"{name}_expand_old", dropout)
    fresh = _expand(branch, channels - x.shape[-1], f"{name}_expand_new", dropout)
    added = layers.Add(name=f"{name}_add")([pooled, added])
    joined = layers.Concatenate(name=f"{name}_concat")([added, fresh])
    return activate(joined, activation, name)


def _upsampling(
    x: keras.KerasTensor, channels: int, name: str, *, dropout: float
) -> keras.KerasTensor:
    """Bottleneck of the decoder: (N, h, w, c) → (N, 2h, 2w, channels)."""
    inner = _inner(x.shape[-1])
    main = conv_bn(x, channels, 1, f"{name}_main", activation=None)
    main = upsample(main, 2, f"{name}_resize")
    branch = conv_bn(x, inner, 1, f"{name}_squeeze")
    branch = transposed_bn(branch, inner, 2, f"{name}_up")
    branch = _expand(branch, channels, f"{name}_expand", dropout)
    return activate(layers.Add(name=f"{name}_add")([main, branch]), "relu", name)
