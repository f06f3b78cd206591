"""UNet++: U-Nets of every depth in one, their decoders linked by dense skips."""

import keras
from keras import layers

from tfkd.models.arguments import check_arguments, scale_channels
from tfkd.models.blocks import conv_bn, head_init, image_input, tap, upsample

__all__ = ["UNetPlusPlus"]

STAGES = (64, 128, 256, 512, 1024)
STRIDE = 16


def UNetPlusPlus(
    input_shape: tuple[int, int, int] = (256, 256, 1),
    num_classes: int = 2,
    width: float = 1.0,
    name: str = "unetplusplus",
) -> keras.Model:
    """UNet++ of five stages with BatchNorm (teacher).

    Zhou et al., "UNet++: A Nested U-Net Architecture for Medical Image Segmentation", DLMIA 2018,
    arXiv 1807.10165. Node Xⁱʲ is two 3×3 convolutions on the nodes Xⁱ⁰ … Xⁱʲ⁻¹ of its stage and on
    the enlarged Xⁱ⁺¹ʲ⁻¹ of the stage below. Differs from the paper in: stages of 64 to 1024
    channels instead of 32 to 512, as the implementations that the published figures come from;
    BatchNorm; bilinear ×2 in place of a transposed convolution; one head, on X⁰⁴, without deep
    supervision.

    36.62 M trainable parameters at width 1 with 1 channel and 2 classes (BatchNorm's gamma and beta
    counted, its moving statistics not), 310 G multiply-accumulates at 384². Taps: ``tap_low``
    128 channels at 1/2 (X¹⁰), ``tap_high`` 512 channels at 1/8 (X³⁰), both of the encoder.

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
        "UNetPlusPlus", input_shape, num_classes, width, stride=STRIDE
    )
    stages = [scale_channels(channels, width) for channels in STAGES]
    image = image_input(input_shape)

    # Encoder: the nodes Xⁱ⁰; rows[i] holds the nodes of stage i.
    x, rows = image, []
    for stage, channels in enumerate(stages):
        if stage:
            x = layers.MaxPooling2D(2, name=f"x{stage}0_pool")(x)
        x = _node(x, channels, f"x{stage}0")
        if stage == 1:
            x = tap(x, "low")
        if stage == 3:
            x = tap(x, "high")
        rows.append([x])

    # Decoders, the shallowest first
    for column in range(1, len(stages)):
        for stage in range(len(stages) - column):
            node = f"x{stage}{column}"
            below = upsample(rows[stage + 1][column - 1], 2, f"{node}_resize")
            x = layers.Concatenate(name=f"{node}_concat")([*rows[stage], below])
            rows[stage].append(_node(x, stages[stage], node))

    logits = layers.Conv2D(
        num_classes, 1, kernel_initializer=head_init(stages[0]), dtype="float32", name="logits"
    )(rows[0][-1])
    return keras.Model(image, logits, name=name)


def _node(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    x = conv_bn(x, channels, 3, f"{name}_1")
    return conv_bn(x, channels, 3, f"{name}_2")
