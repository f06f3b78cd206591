"""A few slices as the student sees them, epoch by epoch in TensorBoard."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.callbacks.average_weights import averaged_weights
from tfkd.callbacks.slice_panels import slice_panels
from tfkd.callbacks.tensorboard import require_tensorboard
from tfkd.volumes import PreprocessSpec, SliceExample, window

__all__ = ["SliceImages", "telling_slices"]


class SliceImages(keras.callbacks.Callback):
    """Writes the CT, the truth's outlines and the student's, side by side, after each epoch.

    Where the optimizer averages weights, the averaged ones are shown, as `BestStudent` keeps them.

    Args:
        log_dir: TensorBoard's folder; the images go to `slices` in it.
        student: Network to look at.
        examples: Labelled slices, such as those of `telling_slices`; at least one.
        spec: How to window them.

    Raises:
        ImportError: If TensorBoard is not installed.
        ValueError: If there is no slice, or one without labels.

    Example:
        >>> examples = telling_slices(data.examples("validation"), data.num_classes)
        >>> SliceImages("run/tensorboard", distiller.student, examples, data.spec)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        student: keras.Model,
        examples: Sequence[SliceExample],
        spec: PreprocessSpec,
    ) -> None:
        super().__init__()
        require_tensorboard()
        if not examples or any(example.mask is None for example in examples):
            raise ValueError(
                f"Expected at least one slice, each with its labels. Received {len(examples)}: "
                f"{[(one.case_id, one.slice_index) for one in examples if one.mask is None]} "
                "without labels."
            )
        self.student = student
        self._names = [f"{example.case_id}/slice {example.slice_index}" for example in examples]
        self._truths: list[Any] = [example.mask for example in examples]
        self._images = window(np.stack([example.image_hu for example in examples]), spec)
        self._range = spec.output_range
        self._folder = Path(log_dir) / "slices"
        self._writer: Any = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Writes one image per slice."""
        with averaged_weights(self.model):
            # Not `predict`, which under a strategy gives the batch once for each replica.
            logits = self.student(self._images, training=False)
        labels = np.argmax(keras.ops.convert_to_numpy(logits), axis=-1)
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        low, high = self._range
        middle = self._images.shape[-1] // 2
        greys = (self._images[..., middle] - low) / (high - low)
        with self._writer.as_default():
            for name, grey, truth, label in zip(
                self._names, greys, self._truths, labels, strict=True
            ):
                panels = slice_panels(grey, [truth, label])
                tf.summary.image(name, panels[np.newaxis], step=epoch)
        self._writer.flush()


def telling_slices(examples: Iterable[SliceExample], num_classes: int) -> list[SliceExample]:
    """Chooses, for each foreground class, the slice that holds most of it.

    Cases that show another class already are passed over while there is another one.

    Args:
        examples: Labelled slices, such as `data.examples("validation")`; read once.
        num_classes: Classes, with the background.

    Returns:
        At most one slice per foreground class, in the order of the classes. A class that is nowhere
        has none.
    """
    largest: dict[int, dict[str, tuple[int, SliceExample]]] = {k: {} for k in range(1, num_classes)}
    for example in examples:
        counts = np.bincount(np.asarray(example.mask).ravel(), minlength=num_classes)
        for label, found in largest.items():
            if counts[label] > found.get(example.case_id, (0, None))[0]:
                found[example.case_id] = (int(counts[label]), example)
                # One case more than there are other classes: some case is always left.
                if len(found) > num_classes:
                    del found[min(found, key=lambda case_id: found[case_id][0])]
    chosen: list[SliceExample] = []
    for found in largest.values():
        shown = {example.case_id for example in chosen}
        ranked = [one for _, one in sorted(found.values(), key=lambda pair: -pair[0])]
        # The stable order of `sorted` keeps equals as they came.
        ranked.sort(key=lambda one: one.case_id in shown)
        if ranked and ranked[0] not in chosen:
            chosen.append(ranked[0])
    return chosen
