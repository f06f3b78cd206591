"""Scores of a fitted slice to labels on the CT's own grid, interpolated only along borders."""

from functools import lru_cache

import numpy as np

from tfkd.inference.highest_labels import highest_labels
from tfkd.volumes import PreprocessSpec, unfit_scores

__all__ = ["native_labels"]

# Share of the pixels beyond which interpolating all of them takes less time than picking.
_MOST_UNCERTAIN = 0.1


def native_labels(
    scores: np.ndarray,
    spec: PreprocessSpec,
    native_shape_yx: tuple[int, int],
    spacing_mm_yx: tuple[float, float],
) -> np.ndarray:
    """Return the labels of the highest of `unfit_scores`, in a fraction of its time.

    Where a slice was shrunk to the network's size, a native pixel's scores are a weighted mean of
    those of up to four fitted pixels. If one label is the highest in all four, it is the highest
    of any mean of them, so that nothing needs to be computed. Scores are interpolated only along
    the borders between labels, with the operations and the rounding of `unfit_scores`. Masks
    differ from `highest_labels(unfit_scores(…))` at most in pixels of which two labels'
    interpolated scores are equal but for the last bit of a float32.

    Slices that were cropped or enlarged, and those in which labels change at every other pixel, are
    interpolated as a whole.

    Args:
        scores: (H, W, K) logits; class 0 is background.
        spec: What `fit_image` was given.
        native_shape_yx: (Y, X) of the native slice.
        spacing_mm_yx: Its pixel size.

    Returns:
        (Y, X) uint8; a tie goes to the lower label.

    Raises:
        ValueError: The scores are not of `spec.size`.
    """
    (height, width), (native_height, native_width) = spec.size, native_shape_yx
    shrunk = spec.fit == "resize" and height <= native_height and width <= native_width
    if not shrunk or scores.shape[:2] != spec.size or native_shape_yx == spec.size:
        return highest_labels(unfit_scores(scores, spec, native_shape_yx, spacing_mm_yx))
    scores = scores.astype(np.float32, copy=False)
    fitted = highest_labels(scores)
    rows, columns = _taps(height, native_height), _taps(width, native_width)
    uncertain = _on_native_grid(_changes(fitted), rows, columns)
    if np.count_nonzero(uncertain) > _MOST_UNCERTAIN * uncertain.size:
        return highest_labels(unfit_scores(scores, spec, native_shape_yx, spacing_mm_yx))
    labels = _on_native_grid(fitted, rows, columns)
    y, x = np.nonzero(uncertain)
    labels[y, x] = highest_labels(_interpolated(scores, rows, columns, y, x))
    return labels


# First and second fitted pixel of each native one, and the weight of the second, float64.
_Taps = tuple[np.ndarray, np.ndarray, np.ndarray]


@lru_cache(maxsize=8)
def _taps(size: int, native_size: int) -> _Taps:
    """Return what linear interpolation mixes, with the two grids' outer borders on each other."""
    position = (np.arange(native_size) + 0.5) * (size / native_size) - 0.5
    position = np.clip(position, 0, size - 1)
    first = position.astype(np.intp)
    return first, np.minimum(first + 1, size - 1), position - first


def _changes(labels: np.ndarray) -> np.ndarray:
    """Return where a pixel and the next ones along y, x and both have more than one label."""
    changes = np.zeros(labels.shape, bool)
    along_y = labels[1:] != labels[:-1]
    along_x = labels[:, 1:] != labels[:, :-1]
    changes[:-1] |= along_y
    changes[:, :-1] |= along_x
    changes[:-1, :-1] |= along_y[:, 1:]
    changes[:-1, :-1] |= along_x[1:]
    return changes


def _on_native_grid(fitted: np.ndarray, rows: _Taps, columns: _Taps) -> np.ndarray:
    """Return what each native pixel's first fitted one holds."""
    return fitted.take(columns[0], axis=1).take(rows[0], axis=0)


def _interpolated(
    scores: np.ndarray, rows: _Taps, columns: _Taps, y: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Return the scores of the native pixels (y, x), (n, K) float32; `scores` are float32."""
    pixels = scores.reshape(-1, scores.shape[-1])
    width = scores.shape[1]
    (first_y, second_y, weight_y), (first_x, second_x, weight_x) = rows, columns
    left, right, of_right = first_x[x], second_x[x], weight_x[x, None]

    def along_x(row: np.ndarray) -> np.ndarray:
        start = row * width
        mixed = pixels[start + left] * (1 - of_right) + pixels[start + right] * of_right
        # Pillow sums in float64 and keeps float32 between the axes. Scores of an int8 file are
        # often equal but for such rounding, so it decides over labels.
        return mixed.astype(np.float32)

    of_lower = weight_y[y, None]
    above, below = along_x(first_y[y]), along_x(second_y[y])
    return (above * (1 - of_lower) + below * of_lower).astype(np.float32)
