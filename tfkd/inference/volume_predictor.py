"""Volume in, mask out, whatever computes the logits."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from tfkd.volumes import PreprocessSpec, SliceExample, Volume, iter_slices, unfit_scores, window

__all__ = ["LogitsFunction", "Progress", "VolumePredictor"]

LogitsFunction = Callable[[np.ndarray], np.ndarray]
"""(N, H, W, C) float32 images → (N, H, W, K) float32 logits, class 0 = background."""

Progress = Callable[[int, int, str], None]
"""Called with (slices done, slices in all, case id)."""


class VolumePredictor:
    """Segments CT volumes slice by slice with any function that computes logits.

    Each slice is fitted and windowed as `spec` states; its logits are brought back to the CT's own
    grid by linear interpolation, and only there is the label chosen: argmax of interpolated logits
    gives smoother borders than an enlarged mask.

    Args:
        logits_fn: (N, H, W, C) float32 → (N, H, W, K) float32, with N at most `batch_size`.
        spec: how the network wants its input.
        label_names: index = label value; the first is the background. K names.
        batch_size: slices per call of `logits_fn`.
        threshold: with two classes, the probability above which a pixel is foreground, in (0, 1);
            None for the highest class, which is the same as 0.5.

    Raises:
        ValueError: fewer than two or more than 256 label names, a batch size below 1, or a
            threshold that is out of range or comes with more than two classes.
    """

    def __init__(
        self,
        logits_fn: LogitsFunction,
        spec: PreprocessSpec,
        label_names: Sequence[str],
        batch_size: int = 1,
        threshold: float | None = None,
    ) -> None:
        if not 2 <= len(label_names) <= 256:
            raise ValueError(
                f"label_names: expected the background and 1 to 255 other names, received "
                f"{list(label_names)}."
            )
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, received {batch_size}.")
        if threshold is not None and (len(label_names) != 2 or not 0 < threshold < 1):
            raise ValueError(
                f"threshold: expected one in (0, 1), for two classes. Received {threshold} for "
                f"{list(label_names)}."
            )
        self._logits_fn = logits_fn
        self.spec = spec
        self.label_names = tuple(label_names)
        self.batch_size = batch_size
        self.threshold = threshold
        # σ(b − a) > t is b + log((1 − t) / t) > a.
        self._advantage = 0.0 if threshold is None else np.log((1 - threshold) / threshold)

    def __call__(self, volume: Volume, progress: Progress | None = None) -> Volume:
        """Return the mask of a CT.

        Args:
            volume: int16 HU (Z, Y, X).
            progress: called after each batch with (slices done, slices in all, case id).

        Returns:
            The mask: uint8 labels, with the CT's shape, geometry, case id and file layout.

        Raises:
            TypeError: not a `Volume`, or a volume of labels.
            ValueError: the network's logits are not finite, or have another shape than the spec and
                label names ask for.
        """
        _check_is_ct(volume)
        mask = np.empty(volume.shape, np.uint8)
        total = volume.shape[0]
        examples = iter_slices(volume, None, self.spec)
        done = 0
        while batch := list(islice(examples, self.batch_size)):
            for example, labels in zip(batch, self._native_labels(batch, volume), strict=True):
                mask[example.slice_index] = labels
            done += len(batch)
            if progress is not None:
                progress(done, total, volume.case_id)
        return volume.with_array(mask)

    def logits(self, image_hu: np.ndarray) -> np.ndarray:
        """Return the logits of one slice, on the network's own grid.

        Args:
            image_hu: (H, W, C) HU, fitted to the network's size; (H, W) will do for one channel.

        Returns:
            (H, W, K) float32.

        Raises:
            ValueError: the slice has another shape than the spec asks for.
        """
        image_hu = np.asarray(image_hu)
        if image_hu.ndim == 2:
            image_hu = image_hu[..., None]
        if image_hu.shape != self.spec.input_shape:
            raise ValueError(
                f"image_hu: expected a fitted slice of shape {self.spec.input_shape}, received "
                f"{image_hu.shape}. Fit it with tfkd.volumes.fit_image, or give the whole Volume."
            )
        return self._checked_logits(window(image_hu, self.spec)[None])[0]

    def predict_slice(self, image_hu: np.ndarray) -> np.ndarray:
        """Return the mask of one slice, on the network's own grid.

        Args:
            image_hu: as for `logits`.

        Returns:
            (H, W) uint8 labels.
        """
        return _highest(self._shifted(self.logits(image_hu)))

    def _native_labels(self, batch: Sequence[SliceExample], volume: Volume) -> Iterator[np.ndarray]:
        """Yield the (Y, X) labels of each slice."""
        images = window(np.stack([example.image_hu for example in batch]), self.spec)
        native_shape_yx = (volume.shape[1], volume.shape[2])
        spacing_mm_yx = (volume.spacing_mm[1], volume.spacing_mm[2])
        for logits in self._checked_logits(images):
            # Shifted first: outside of a crop the background is to win against any threshold.
            shifted = self._shifted(logits)
            scores = unfit_scores(shifted, self.spec, native_shape_yx, spacing_mm_yx)
            yield _highest(scores)

    def _shifted(self, logits: np.ndarray) -> np.ndarray:
        """Logits of which the highest is the label to choose."""
        if not self._advantage:
            return logits
        return logits + np.array([0.0, self._advantage], np.float32)

    def _checked_logits(self, images: np.ndarray) -> np.ndarray:
        logits = np.asarray(self._logits_fn(images))
        expected = (*images.shape[:3], len(self.label_names))
        if logits.shape != expected:
            raise ValueError(
                f"logits: expected shape {expected} for {len(self.label_names)} labels "
                f"{self.label_names}, received {logits.shape}. Use the spec and label names that "
                "the network was trained with."
            )
        if not np.isfinite(logits).all():
            # argmax would turn them into a label without a word
            raise ValueError(
                "logits: expected finite numbers, received NaN or infinity. The network's weights "
                "or its runtime are broken; Predictor.check() tells which."
            )
        return logits


def _highest(scores: np.ndarray) -> np.ndarray:
    """Return the argmax along the last axis as uint8; a tie goes to the lower label.

    Label by label it takes a fifth of the time of `argmax`, which is slow along a short axis.
    """
    best = scores[..., 0].copy()
    labels = np.zeros(best.shape, np.uint8)
    for label in range(1, scores.shape[-1]):
        np.copyto(labels, np.uint8(label), where=scores[..., label] > best)
        np.maximum(best, scores[..., label], out=best)
    return labels


def _check_is_ct(volume: object) -> None:
    if not isinstance(volume, Volume):
        raise TypeError(
            f"volume: expected a tfkd Volume, received {type(volume).__name__}. Read a file with "
            "tfkd.read_volume(path)."
        )
    if volume.array.dtype != np.int16:
        raise TypeError(
            f"Case {volume.case_id!r}: expected a CT of int16 HU, received {volume.array.dtype}, "
            "as of a mask. Read the CT with tfkd.read_volume(path, kind='ct')."
        )
