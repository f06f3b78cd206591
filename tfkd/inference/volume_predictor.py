"""Volume in, mask out, whatever computes the logits."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from tfkd.inference.clean_mask import clean_mask
from tfkd.inference.highest_labels import highest_labels
from tfkd.inference.native_labels import native_labels
from tfkd.inference.postprocessing import Postprocessing
from tfkd.inference.prefetch import prefetch
from tfkd.volumes import (
    CTSlices,
    PreprocessSpec,
    Volume,
    VolumeSlices,
    context_windows,
    fit_image,
    told_if_not_hu,
    unfit_scores,
    window,
)

__all__ = ["LogitsFunction", "Progress", "SlicePrediction", "VolumePredictor"]

LogitsFunction = Callable[[np.ndarray], np.ndarray]
"""(N, H, W, C) float32 images → (N, H, W, K) float32 logits, class 0 = background."""

Progress = Callable[[int, int, str], None]
"""Called with (slices done, slices in all, case id)."""


@dataclass(frozen=True, eq=False)
class SlicePrediction:
    """What a network says of one slice, on the CT's own grid.

    Attributes:
        slice_index: position along z.
        labels: (Y, X) uint8.
        probabilities: (Y, X, K - 1) float32 of the foreground labels, or None if not asked for;
            0 outside of a centre crop.
    """

    slice_index: int
    labels: np.ndarray
    probabilities: np.ndarray | None = None


_Stage = TypeVar("_Stage")


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
        postprocessing: what is done to the mask of a whole volume.
        overlap: whether reading and fitting the next slices, the network, and bringing back the
            last ones run side by side, in threads. The results are the same.

    Raises:
        ContractError: the post-processing names an unknown label.
        ValueError: fewer than two or more than 256 label names, one of them twice, a batch size
            below 1, or a threshold that is out of range or comes with more than two classes.
    """

    def __init__(
        self,
        logits_fn: LogitsFunction,
        spec: PreprocessSpec,
        label_names: Sequence[str],
        batch_size: int = 1,
        threshold: float | None = None,
        postprocessing: Postprocessing | None = None,
        overlap: bool = False,
    ) -> None:
        if not 2 <= len(label_names) <= 256:
            raise ValueError(
                f"label_names: expected the background and 1 to 255 other names, received "
                f"{list(label_names)}."
            )
        if len(set(label_names)) != len(label_names):
            raise ValueError(
                f"label_names: expected each name once, received {list(label_names)}. Give each "
                "label a name of its own."
            )
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, received {batch_size}.")
        if threshold is not None and (len(label_names) != 2 or not 0 < threshold < 1):
            raise ValueError(
                f"threshold: expected one in (0, 1), for two classes. Received {threshold} for "
                f"{list(label_names)}."
            )
        self.postprocessing = postprocessing or Postprocessing()
        self.postprocessing.check_labels(label_names)
        self.overlap = overlap
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
            The mask after post-processing: uint8 labels, with the CT's shape, geometry, case id
            and file layout.

        Raises:
            TypeError: not a `Volume`, or a volume of labels.
            ValueError: the network's logits are not finite, or have another shape than the spec and
                label names ask for.
        """
        _check_is_ct(volume)
        mask = np.empty(volume.shape, np.uint8)
        for prediction in self.predict_slices(VolumeSlices(volume), progress=progress):
            mask[prediction.slice_index] = prediction.labels
        clean_mask(mask, self.label_names, self.postprocessing)
        return volume.with_array(mask)

    def predict_slices(
        self, ct: CTSlices, *, probabilities: bool = False, progress: Progress | None = None
    ) -> Generator[SlicePrediction]:
        """Yield the labels of each slice, before any post-processing.

        Memory is that of a few slices, whatever the size of the CT.

        Args:
            ct: slices, of which the neighbours are in order.
            probabilities: whether to give those of the foreground labels too.
            progress: called after each batch with (slices done, slices in all, case id).

        Yields:
            The slices' predictions in the order of `ct`.

        Raises:
            GeometryError: the CT is damaged.
            ValueError: the logits are not finite, or have another shape than the spec and label
                names ask for.
        """
        inside = self._inside(ct) if probabilities else None
        # Closed from the last stage to the first, so that no thread outlives this generator.
        inputs = self._side_by_side(self._inputs(ct))
        outputs = self._side_by_side(
            (indices, self._checked_logits(images)) for indices, images in inputs
        )
        done = 0
        try:
            for indices, logits in outputs:
                for index, of_slice in zip(indices, logits, strict=True):
                    yield self._on_native_grid(index, of_slice, ct, inside)
                done += len(indices)
                if progress is not None:
                    progress(done, len(ct), ct.case_id)
        finally:
            outputs.close()
            inputs.close()

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
        return highest_labels(self._shifted(self.logits(image_hu)))

    def _side_by_side(self, stage: Generator[_Stage]) -> Generator[_Stage]:
        return prefetch(stage) if self.overlap else stage

    def _inputs(self, ct: CTSlices) -> Generator[tuple[list[int], np.ndarray]]:
        """Yield batches: the slices' positions, and (N, H, W, C) images."""
        spacing_mm_yx = (ct.spacing_mm[1], ct.spacing_mm[2])
        fitted = (
            fit_image(plane, self.spec, spacing_mm_yx) for plane in told_if_not_hu(ct, ct.case_id)
        )
        shown = context_windows(fitted, self.spec.context_slices)
        slices = zip(ct.slice_indices, shown, strict=True)
        while batch := list(islice(slices, self.batch_size)):
            image_hu = np.stack([image for _, image in batch])
            if ct.descending:
                image_hu = image_hu[..., ::-1]  # the network knows neighbours from lower to higher
            yield [index for index, _ in batch], window(image_hu, self.spec)

    def _on_native_grid(
        self, index: int, logits: np.ndarray, ct: CTSlices, inside: np.ndarray | None
    ) -> SlicePrediction:
        spacing_mm_yx = (ct.spacing_mm[1], ct.spacing_mm[2])
        # Shifted first: outside of a crop the background is to win against any threshold.
        shifted = self._shifted(logits)
        shape_yx = (ct.shape[1], ct.shape[2])
        if inside is None:
            return SlicePrediction(
                index, native_labels(shifted, self.spec, shape_yx, spacing_mm_yx)
            )
        scores = unfit_scores(shifted, self.spec, shape_yx, spacing_mm_yx)
        probabilities = _foreground(scores, self._advantage) * inside
        return SlicePrediction(index, highest_labels(scores), probabilities)

    def _inside(self, ct: CTSlices) -> np.ndarray:
        """(Y, X, 1) bool: which pixels of a slice the network sees."""
        seen = np.zeros((*self.spec.size, 2), np.float32)
        seen[..., 1] = 1.0  # outside of a crop the first has the highest score
        spacing_mm_yx = (ct.spacing_mm[1], ct.spacing_mm[2])
        return (
            unfit_scores(seen, self.spec, (ct.shape[1], ct.shape[2]), spacing_mm_yx)[..., 1:] >= 0.5
        )

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


def _foreground(scores: np.ndarray, advantage: float) -> np.ndarray:
    """Return the softmax of all labels but the first, whose scores stand `advantage` too high."""
    others = scores[..., 1:] - np.float32(advantage)
    background = scores[..., :1]
    highest = np.maximum(background, others.max(axis=-1, keepdims=True))
    powers = np.exp(others - highest)
    return powers / (np.exp(background - highest) + powers.sum(axis=-1, keepdims=True))


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
