"""ResNet-18 with a 1×1 head: the plainest student, all trunk and no decoder."""

import keras
from keras import layers

from tfkd.models.arguments import check_arguments, scale_channels
from tfkd.models.blocks import head_init, image_input, tap, upsample
from tfkd.models.resnet import basic_stage, stem

__all__ = ["ResNet18"]

STAGES = (64, 128, 256, 512)
BLOCKS = 2  # of each stage
STRIDE = 32


def ResNet18(
    input_shape: tuple[int, int, int] = (256, 256, 1),
    num_classes: int = 2,
    width: float = 1.0,
    name: str = "resnet18",
) -> keras.Model:
    """ResNet-18 as a segmentation network of output stride 32 (student).

    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385; read out
    as the 32× network of Long et al., "Fully Convolutional Networks for Semantic Segmentation",
    CVPR 2015, arXiv 1411.4038: a 1×1 head per pixel in place of the classifier. Differs from them
    in: bilinear ×32 instead of a transposed convolution; each residual block starts as the identity
    (last gamma 0); no ImageNet weights, which `keras.applications` has not.

    11.18 M trainable parameters at width 1 with 3 channels and 2 classes (BatchNorm's gamma and
    beta counted, its moving statistics not), 5.34 G multiply-accumulates at 384². Taps: ``tap_low``
    64 channels at 1/2 (stem), ``tap_high`` 128 channels at 1/8 (second stage).

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
        "ResNet18", input_shape, num_classes, width, stride=STRIDE
    )
    stages = [scale_channels(channels, width) for channels in STAGES]
    image = image_input(input_shape)

    # Trunk
    x = tap(stem(image, stages[0]), "low")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, channels in enumerate(stages, start=1):
        x = basic_stage(x, channels, BLOCKS, f"layer{stage}", strides=1 if stage == 1 else 2)
        if stage == 2:
            x = tap(x, "high")

    # Head
    x = layers.Conv2D(
        num_classes, 1, kernel_initializer=head_init(stages[-1]), dtype="float32", name="head"
    )(x)
    logits = upsample(x, STRIDE, "logits", dtype="float32")
    return keras.Model(image, logits, name=name)
