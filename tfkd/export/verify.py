"""Runs the exported file beside the Keras model and puts figures on the difference."""

from dataclasses import dataclass

import numpy as np

from tfkd.errors import ExportError
from tfkd.inference import LogitsFunction

__all__ = ["Comparison", "check", "compare"]

# Smallest fraction of pixels with the same label.
MIN_AGREEMENT = {
    "float32": 0.999,
    "float16": 0.999,
    "dynamic_int8": 0.99,
    "int8": 0.99,
    "int8_mixed": 0.99,
    "int16x8": 0.99,
}

# Largest error of the logits, as a fraction of their spread. The labels alone would pass a broken
# file when the model finds nothing but background in the slices.
MAX_LOGITS_ERROR = {
    "float32": 0.01,
    "float16": 0.05,
    "dynamic_int8": 0.2,
    "int8": 0.5,
    "int8_mixed": 0.5,
    "int16x8": 0.2,
}


_ADVICE = {
    "dynamic_int8": "Export float16",
    "int8": "Calibrate with more slices of every class, or export float16",
    "int8_mixed": "Leave more features in floating point, or export float16",
    "int16x8": "Calibrate with more slices of every class, or export float16",
}


@dataclass(frozen=True)
class Comparison:
    """How far a file and the model it was made from agree.

    Attributes:
        slices: number of slices compared.
        source: "calibration", or "synthetic" when no slices were given.
        agreement: fraction of pixels whose label (argmax) is equal.
        label_dice: Dice of the two masks for each label; NaN where neither finds the label.
        logits_error: root mean square of the logits' difference, divided by the standard deviation
            of the model's logits.
    """

    slices: int
    source: str
    agreement: float
    label_dice: tuple[float, ...]
    logits_error: float


def compare(
    expected_fn: LogitsFunction, received_fn: LogitsFunction, images: np.ndarray, source: str
) -> Comparison:
    """Run two logits functions on the same images, one by one.

    Args:
        expected_fn: the model.
        received_fn: the file.
        images: (n, H, W, C) float32, n at least 1.
        source: where the images come from, for the record.

    Raises:
        ExportError: either gives NaN or infinity.
    """
    matrix: np.ndarray | None = None
    sums = np.zeros(4)  # values, their sum, their sum of squares, squared differences
    for image in images:
        expected, received = expected_fn(image[None])[0], received_fn(image[None])[0]
        _check_finite(expected, "the Keras model")
        _check_finite(received, "the exported file")
        classes = expected.shape[-1]
        pairs = expected.argmax(-1).ravel() * classes + received.argmax(-1).ravel()
        counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        matrix = counts if matrix is None else matrix + counts
        wide = expected.astype(np.float64)
        sums += [wide.size, wide.sum(), (wide**2).sum(), ((wide - received) ** 2).sum()]
    if matrix is None:
        raise ValueError("images: expected at least one.")
    equal, sizes = np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1)
    dice = np.divide(2 * equal, sizes, out=np.full(len(sizes), np.nan), where=sizes > 0)
    variance = sums[2] / sums[0] - (sums[1] / sums[0]) ** 2
    return Comparison(
        slices=len(images),
        source=source,
        agreement=float(equal.sum() / matrix.sum()),
        label_dice=tuple(dice.tolist()),
        logits_error=float(np.sqrt(sums[3] / sums[0]) / np.sqrt(max(variance, 1e-12))),
    )


def check(comparison: Comparison, quantization: str, min_agreement: float, name: str) -> None:
    """Raise if the file is not close enough to the model.

    Args:
        comparison: the figures.
        quantization: a key of `MIN_AGREEMENT`.
        min_agreement: smallest fraction of pixels with the same label; 0 accepts the file as it
            is, for whoever measures it otherwise.
        name: the student's, for the error message.

    Raises:
        ExportError: with the figures.
    """
    largest = MAX_LOGITS_ERROR[quantization]
    good = comparison.agreement >= min_agreement and comparison.logits_error <= largest
    if good or min_agreement == 0:
        return
    advice = _ADVICE.get(
        quantization,
        "The file does not compute what Keras computes: look at the student's custom layers",
    )
    dice = ", ".join(f"{value:.4f}" for value in comparison.label_dice)
    raise ExportError(
        f"Student {name!r} as {quantization}: expected the file and Keras to give the same "
        f"label in at least {min_agreement:.4f} of the pixels and logits within {largest} of "
        f"their spread; received {comparison.agreement:.4f} and {comparison.logits_error:.3g} on "
        f"{comparison.slices} {comparison.source} slices (Dice between the two per label: {dice}). "
        f"{advice}; min_agreement sets another limit on the labels. Nothing was written."
    )


def _check_finite(logits: np.ndarray, whose: str) -> None:
    if not np.isfinite(logits).all():
        raise ExportError(
            f"Logits of {whose}: expected finite numbers, received NaN or infinity. "
            "Nothing was written."
        )
