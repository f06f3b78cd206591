"""`file_form`: the form in which a student goes into a file of a number format."""

import keras
from keras import layers

from tfkd.export.quantization.edge_form import edge_form
from tfkd.export.quantization.rewriting import functional_graph, is_subpixel, prelu_is_replaceable

__all__ = ["file_form"]


# Formats in which PReLU has a slow kernel, or none; in floating point its own is as fast.
_SPLIT_PRELU = ("int8", "int16x8")


def file_form(student: keras.Model, quantization: str) -> keras.Model:
    """The network that is converted in a student's stead; up to rounding it computes the same.

    On one thread, ENet in int8 takes a third of the time so. In int16x8, which has no kernel for
    PReLU, the file then computes in integers only.

    Args:
        student: As for `tfkd.export.to_litert`.
        quantization: One of `tfkd.inference.QUANTIZATIONS`.

    Returns:
        Its `edge_form` where that has other operators: where there is a transposed convolution
        whose kernel is as large as its stride or, in int8 and int16x8, a PReLU of slopes up to 1
        or of one slope.
        Else the student itself, so that nothing changes where nothing is to be gained.
    """
    splits_prelu = quantization in _SPLIT_PRELU
    network = functional_graph(student)
    if network is None or not any(_is_slow(layer, splits_prelu) for layer in network.layers):
        return student
    return edge_form(student, splits_prelu=splits_prelu)


def _is_slow(layer: keras.Layer, splits_prelu: bool) -> bool:
    if type(layer) is layers.PReLU:
        return splits_prelu and prelu_is_replaceable(layer)
    return is_subpixel(layer)
