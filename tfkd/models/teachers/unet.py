"""U-Net: the plain encoder and decoder that the others are measured against."""

import keras
from keras import layers

from tfkd.models.arguments import check_arguments, scale_channels
from tfkd.models.blocks import conv_bn, head_init, image_input, tap, upsample

__all__ = ["UNet"]

STAGES = (64, 128, 256, 512, 1024)
STRIDE = 16


def UNet(
    input_shape: tuple[int, int, int] = (256, 256, 1),
    num_classes: int = 2,
    width: float = 1.0,
    name: str = "unet",
) -> keras.Model:
    """U-Net of five stages with BatchNorm (teacher).

    Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
    MICCAI 2015, arXiv 1505.04597. Differs from the paper in: padded convolutions, so that the mask
    is as large as the slice; BatchNorm; bilinear ×2 and a 3×3 convolution in place of the 2×2
    transposed one.

    34.52 M trainable parameters at width 1 with 1 channel and 2 classes (BatchNorm's gamma and beta
    counted, its moving statistics not). Taps: ``tap_low`` 128 channels at 1/2, ``tap_high`` 512
    channels at 1/8, which is stage 4 and not the deepest one, so that it can teach students of
    stride 8.

    Args:
        input_shape: (H, W, C); H and W divisible by 16.
        num_classes: Classes with the background, at least 2.
        width: Factor on every channel count, 0.05 to 4.
        name: Name of the model.

    Returns:
        Functional model (N, H, W, C) → float32 logits (N, H, W, num_classes).

    Raises:
        ValueError: If an argument is out of range.
    """
    input_shape, num_classes, width = check_arguments(
        "UNet", input_shape, num_classes, width, stride=STRIDE
    )
    stages = [scale_channels(channels, width) for channels in STAGES]
    image = image_input(input_shape)

    # Encoder
    x, skips = image, []
    for stage, channels in enumerate(stages, start=1):
        if stage > 1:
            x = layers.MaxPooling2D(2, name=f"down{stage}_pool")(x)
        x = _double_conv(x, channels, f"down{stage}")
        if stage == 2:
            x = tap(x, "low")
        if stage == 4:
            x = tap(x, "high")
        skips.append(x)

    # Decoder
    for stage in range(len(stages) - 1, 0, -1):
        channels = stages[stage - 1]
        x = upsample(x, 2, f"up{stage}_resize")
        x = conv_bn(x, channels, 3, f"up{stage}_0")
        x = layers.Concatenate(name=f"up{stage}_concat")([skips[stage - 1], x])
        x = _double_conv(x, channels, f"up{stage}")

    logits = layers.Conv2D(
        num_classes, 1, kernel_initializer=head_init(stages[0]), dtype="float32", name="logits"
    )(x)
    return keras.Model(image, logits, name=name)


def _double_conv(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    x = conv_bn(x, channels, 3, f"{name}_1")
    return conv_bn(x, channels, 3, f"{name}_2")
