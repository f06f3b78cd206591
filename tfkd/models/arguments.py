"""What every network is asked for: input shape, classes and width, checked in one place."""

import operator
from typing import Any

__all__ = ["WIDTH_RANGE", "check_arguments", "scale_channels"]

WIDTH_RANGE = (0.05, 4.0)
"""Smallest and largest `width`; below it every stage has the least channels, above it is a slip."""


def check_arguments(
    network: str, input_shape: Any, num_classes: Any, width: Any, *, stride: int
) -> tuple[tuple[int, int, int], int, float]:
    """Check the arguments that all networks share.

    Args:
        network: Name of the network, for the message.
        input_shape: (H, W, C) without the batch; H and W in pixels, multiples of `stride`.
        num_classes: Number of classes with the background, at least 2.
        width: Factor on every channel count, within `WIDTH_RANGE`.
        stride: How many input pixels one pixel of the deepest feature covers along each axis.

    Returns:
        Input shape, number of classes and width as plain Python numbers.

    Raises:
        ValueError: If one of them is out of range or of the wrong kind.
    """
    shape = _check_shape(network, input_shape, stride)
    classes = _as_int(num_classes)
    if classes is None or classes < 2:
        raise ValueError(
            f"{network}: expected num_classes to be an integer of at least 2, the background "
            f"included. Received num_classes={num_classes!r}."
        )
    least, most = WIDTH_RANGE
    if isinstance(width, bool | str) or not _is_within(width, least, most):
        raise ValueError(
            f"{network}: expected width to be a number from {least} to {most}, where 1 is the "
            f"published network. Received width={width!r}."
        )
    return shape, classes, float(width)


def scale_channels(channels: int, width: float, divisor: int = 8) -> int:
    """Multiply a channel count by `width`, rounded to what integer kernels like.

    Args:
        channels: Channels of the published network.
        width: Factor, as checked by `check_arguments`.
        divisor: The result is a multiple of it, and never less than it.

    Returns:
        The multiple of `divisor` nearest to ``channels * width``, but not one that loses more than
        a tenth of it. `channels` itself at width 1 where it is a multiple of `divisor`.
    """
    wanted = channels * width
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * wanted else rounded + divisor


def _check_shape(network: str, input_shape: Any, stride: int) -> tuple[int, int, int]:
    try:
        height, width, channels = (_as_int(size) for size in input_shape)
    except (TypeError, ValueError):
        height = width = channels = None
    if height is None or width is None or channels is None or min(height, width, channels) < 1:
        raise ValueError(
            f"{network}: expected input_shape to be three positive integers (height, width, "
            f"channels), without the batch. Received input_shape={input_shape!r}."
        )
    if height % stride or width % stride:
        nearest = tuple(max(1, round(size / stride)) * stride for size in (height, width))
        raise ValueError(
            f"{network}: expected a height and a width divisible by {stride}, the network's "
            f"stride. Received input_shape={input_shape!r}; {nearest} would do: resize or pad the "
            f"slices to it with PreprocessSpec(size={nearest})."
        )
    return height, width, channels


def _as_int(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _is_within(value: Any, least: float, most: float) -> bool:
    try:
        return bool(least <= value <= most)
    except (TypeError, ValueError):
        return False
