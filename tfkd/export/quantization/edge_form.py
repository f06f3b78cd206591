"""`edge_form`: the same network in operators that edge kernels are fast at."""

import keras

from tfkd.export.quantization.fake_quantize import FakeQuantize
from tfkd.export.quantization.rewriting import Rewriting, functional_graph
from tfkd.models.precision import as_float32

__all__ = ["edge_form"]


def edge_form(student: keras.Model, *, splits_prelu: bool = True) -> keras.Model:
    """A network that computes the same as the student in inference, and faster in int8.

    LiteRT's int8 kernels for PReLU and transposed convolutions are over ten times slower than those
    that the same can be computed with: PReLU of slopes up to 1 as x + max((α − 1)·x, 0), or of one
    slope for all channels as LeakyReLU; and a transposed convolution whose kernel is as large as
    its stride as a 1×1 convolution to all pixels of a block and a rearrangement. BatchNorm is
    folded, or becomes a 1×1 depthwise convolution.

    Args:
        student: Functional or Sequential model with one input (N, H, W, C) and one output.
        splits_prelu: Whether PReLU is rewritten. In floating point its own kernel is as fast.

    Returns:
        A new Functional model in float32, with its own copy of the weights; layers that remain keep
        their names. It is for export: without BatchNorm, a long training would go differently. The
        student itself where it is of another kind, calls a layer several times or a model as a
        layer, computes with something else than layers (`x + y`, slices), has a layer that cannot
        be built anew, or is from `quantization_aware`.

    Example:
        >>> from tfkd.models import ENet
        >>> student = ENet((32, 32, 1), width=0.25)
        >>> [layer.name for layer in edge_form(student).layers][-2:]
        ['logits_phases', 'logits']
    """
    if functional_graph(student) is None or _has_ranges(student):
        return student
    try:
        network = functional_graph(as_float32(student))
        return Rewriting(network, splits_prelu).rewrite(student.name)
    except Exception:
        # A layer of one's own that cannot be built anew raises whatever it likes, and a student
        # that is not made faster can be exported nevertheless.
        return student


def _has_ranges(student: keras.Model) -> bool:
    return any(isinstance(layer, FakeQuantize) for layer in student.layers)
