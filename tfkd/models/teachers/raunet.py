"""RA-UNet: a ResNet-34 encoder whose skips pass through attention units."""

import keras
from keras import layers

from tfkd.models.arguments import check_arguments, scale_channels
from tfkd.models.blocks import activate, conv_bn, head_init, image_input, tap, transposed_bn
from tfkd.models.resnet import basic_stage, stem

__all__ = ["RAUNet"]

STAGES = (64, 128, 256, 512)
BLOCKS = (3, 4, 6, 3)  # ResNet-34
HEAD = 32
STRIDE = 32


def RAUNet(
    input_shape: tuple[int, int, int] = (256, 256, 1),
    num_classes: int = 2,
    width: float = 1.0,
    name: str = "raunet",
) -> keras.Model:
    """Residual attention U-Net (teacher).

    Ni et al., "RAUNet: Residual Attention U-Net for Semantic Segmentation of Cataract Surgical
    Instruments", ICONIP 2019, arXiv 1909.10360. Differs from the paper in: "same" padding in the
    head, whose last convolution is 1×1 instead of a shifted 2×2; no ImageNet weights.

    22.14 M trainable parameters at width 1 with 3 channels and 2 classes (BatchNorm's gamma and
    beta counted, its moving statistics not). Taps: ``tap_low`` 64 channels at 1/2 (stem),
    ``tap_high`` 128 channels at 1/8 (second residual stage).

    Args:
        input_shape: (H, W, C); H and W divisible by 32.
        num_classes: Classes with the background, at least 2.
        width: Factor on every channel count, 0.05 to 4.
        name: Name of the model.

    Returns:
        Functional model (N, H, W, C) → float32 logits (N, H, W, num_classes).

    Raises:
        ValueError: If an argument is out of range.
    """
    input_shape, num_classes, width = check_arguments(
        "RAUNet", input_shape, num_classes, width, stride=STRIDE
    )
    stages = [scale_channels(channels, width) for channels in STAGES]
    image = image_input(input_shape)

    # Encoder
    x = tap(stem(image, stages[0]), "low")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    skips = []
    for stage, (channels, blocks) in enumerate(zip(stages, BLOCKS, strict=True), start=1):
        x = basic_stage(x, channels, blocks, f"layer{stage}", strides=1 if stage == 1 else 2)
        if stage == 2:
            x = tap(x, "high")
        skips.append(x)

    # Decoder
    for stage in (3, 2, 1):
        x = _decoder_block(x, stages[stage - 1], f"up{stage + 1}")
        x = _attend(x, skips[stage - 1], f"attention{stage}")
    x = _decoder_block(x, stages[0], "up1")

    # Head
    head = scale_channels(HEAD, width)
    x = layers.Conv2DTranspose(
        head, 3, strides=2, padding="same", kernel_initializer="he_normal", name="head_up"
    )(x)
    x = activate(x, "relu", "head_up")
    x = layers.Conv2D(head, 3, padding="same", kernel_initializer="he_normal", name="head_conv")(x)
    x = activate(x, "relu", "head_conv")
    logits = layers.Conv2D(
        num_classes, 1, kernel_initializer=head_init(head), dtype="float32", name="logits"
    )(x)
    return keras.Model(image, logits, name=name)


def _decoder_block(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """(N, h, w, c) → (N, 2h, 2w, channels) by way of a quarter of c."""
    inner = max(4, x.shape[-1] // 4)
    x = conv_bn(x, inner, 1, f"{name}_in")
    x = transposed_bn(x, inner, 4, f"{name}_up")
    return conv_bn(x, channels, 1, f"{name}_out")


def _attend(decoded: keras.KerasTensor, skip: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Decoder feature plus the skip, weighted by channel.

    Formula: ``out = dec + w ⊙ g''(skip)``, ``w = softmax_c(Conv1×1(g(GAP skip) + g'(GAP dec)))``,
    where every g is 1×1 convolution, BatchNorm and ReLU, and GAP the mean over H and W.
    """
    channels = decoded.shape[-1]
    squeezed = [
        conv_bn(
            layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_{which}_mean")(feature),
            channels,
            1,
            f"{name}_{which}",
        )
        for which, feature in (("skip", skip), ("decoded", decoded))
    ]
    weight = layers.Add(name=f"{name}_squeeze")(squeezed)
    weight = layers.Conv2D(channels, 1, name=f"{name}_score")(weight)
    weight = layers.Softmax(name=f"{name}_weight")(weight)
    passed = conv_bn(skip, channels, 1, f"{name}_pass")
    passed = layers.Multiply(name=f"{name}_gate")([passed, weight])
    return layers.Add(name=f"{name}_add")([decoded, passed])
