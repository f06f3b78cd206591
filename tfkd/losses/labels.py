"""Label maps as one-hot masks, whichever way the user holds them."""

from typing import Any

from keras import ops

__all__ = ["one_hot_labels"]


def one_hot_labels(labels: Any, num_classes: int) -> Any:
    """Returns label maps as one-hot masks in float32.

    Args:
        labels: Integer class indices of shape (N, H, W) or (N, H, W, 1), of any dtype, or masks
            that are one-hot (or soft) already, of shape (N, H, W, `num_classes`). A pixel whose
            index lies outside 0 … `num_classes` − 1 (such as 255, `tfkd.volumes.IGNORE_LABEL`), or
            that is 0 for every class, belongs to no class: every loss ignores it.
        num_classes: Number of classes K, background included; at least 2.

    Returns:
        Tensor of shape (N, H, W, K), float32.

    Raises:
        ValueError: If the shape is none of the above.
    """
    labels = ops.convert_to_tensor(labels)
    shape = tuple(labels.shape)
    if num_classes < 2:
        raise ValueError(
            f"Expected at least 2 classes, background included. Received {num_classes}."
        )
    if len(shape) == 4 and shape[-1] == num_classes:
        return ops.cast(labels, "float32")
    if len(shape) == 4 and shape[-1] == 1:
        labels = labels[..., 0]
    elif len(shape) != 3:
        raise ValueError(
            f"Expected labels of shape (N, H, W), (N, H, W, 1) or (N, H, W, {num_classes}). "
            f"Received {shape}."
        )
    return ops.one_hot(ops.cast(labels, "int32"), num_classes, dtype="float32")
