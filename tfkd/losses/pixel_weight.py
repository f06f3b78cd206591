"""Sample weights, whichever way the user holds them."""

from typing import Any

from keras import ops

__all__ = ["as_pixel_weight"]


def as_pixel_weight(sample_weight: Any) -> Any:
    """Weights (N,), (N, 1), (N, H, W) or (N, H, W, 1) in a shape that broadcasts to (N, H, W).

    Returns:
        Tensor of shape (N, 1, 1) or (N, H, W), float32.
    """
    weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    if len(weight.shape) == 4:
        weight = weight[..., 0]
    if len(weight.shape) == 3:
        return weight
    return ops.reshape(weight, (-1, 1, 1))
