"""What the teachers say about each training slice, computed once instead of in every step."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfkd.distillation.distiller import Distiller
from tfkd.distillation.teachers import Teachers
from tfkd.models.fingerprint import fingerprint

if TYPE_CHECKING:
    from tfkd.records import CTRecords

__all__ = ["cache_teacher", "teacher_cache_folder"]


def teacher_cache_folder(distiller: Distiller, data: "CTRecords") -> Path:
    """Where `cache_teacher` keeps its values if not told: a folder in that of the records.

    It is named for the teachers and the losses, so that different ones lie beside each other.

    Args:
        distiller: The Distiller.
        data: Records.
    """
    return _folder(data, _key(distiller, data))


def cache_teacher(
    distiller: Distiller,
    data: "CTRecords",
    folder: str | Path | None = None,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> "CTRecords":
    """Runs the distiller's teachers over the training slices once, and keeps what it needs of them.

    A Distiller that is fitted on the returned data's `stream` takes the kept values instead of
    running the teachers, so that its step costs what the student alone costs.

    Kept is what each loss compares: logits and importance maps as float16 maps, region contrasts as
    numbers. The maps are moved through the same rotation, scale, shift, flip and deformation as the
    slice. Where the records have pixels without label, the teachers' pseudo labels are kept too,
    and moved as the mask is. Not equal to running the teachers on the varied slices are therefore:

    * the teachers have not seen the variation of the intensities, and their maps are interpolated;
      beyond the edge of the slice, the maps' edge is repeated;
    * region contrasts are those of the slice as it is stored;
    * with `centering="batch"`, the default of region affinity for two classes, contrasts are those
      within batches of neighbouring slices, not within the mixed batches of the training.

    Args:
        distiller: The Distiller, with the teachers and the losses.
        data: Records.
        folder: Where to keep the values; a folder in that of the records, named for the teachers
            and losses, when left out. Finished values are used again, an interrupted run goes on.
        progress: Called as ``progress(done, total, text)`` with numbers of slices.

    Returns:
        The data with the cache.

    Raises:
        ValueError: If the distiller has no teacher besides the student, or one that was trained on
            other data.
        RecordError: If the training split is empty, the folder holds another cache, or the disk has
            not room enough.

    Example:
        >>> cached = cache_teacher(distiller, data)  # doctest: +SKIP
        >>> distiller.fit(  # doctest: +SKIP
        ...     cached.stream(), steps_per_epoch=cached.steps_per_epoch, epochs=30
        ... )
    """
    from tfkd.records import write_slice_cache

    if not distiller.teachers or not distiller.distillation_losses:
        raise ValueError(
            "Expected a distiller with a teacher and distillation losses, whose values can be "
            "kept. Received one without."
        )
    distiller.check_data(data)
    key = _key(distiller, data)
    folder = _folder(data, key) if folder is None else folder
    keeps = _has_ignored(data)
    summarize = _compiled(distiller, key["teachers"], data.spec.input_shape, keeps)

    def compute(
        image: np.ndarray, mask: np.ndarray, case_ids: list[str], slice_index: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        del case_ids, slice_index
        named = summarize(image, mask)
        return {name: keras.ops.convert_to_numpy(value) for name, value in named.items()}

    path = write_slice_cache(
        data,
        folder,
        compute,
        key=key,
        batch_size=data.batch_size,
        progress=progress,
    )
    return data.with_cache(path)


def _couples_examples(distiller: Distiller) -> bool:
    classes = int(distiller.student.output_shape[-1])
    return any(loss.couples_examples(classes) for loss in distiller.distillation_losses)


def _has_ignored(data: "CTRecords") -> bool:
    return any(case.ignored for case in data.manifest.cases_of("train"))


def _key(distiller: Distiller, data: "CTRecords") -> dict[str, Any]:
    """Everything that the kept values depend on, besides the records."""
    several = distiller.teacher if isinstance(distiller.teacher, Teachers) else None
    pseudo = {"pseudo_label_threshold": distiller.pseudo_label_threshold}
    return (pseudo if _has_ignored(data) else {}) | {
        "version": 2,  # of the tensors' names
        "teachers": [fingerprint(model) for model in distiller.teachers],
        "weighting": None if several is None else several.weighting,
        # What is centred by the batch depends on it.
        "batch_size": data.batch_size if _couples_examples(distiller) else None,
        "losses": [
            {"class": type(loss).__name__, **loss.get_config()}
            for loss in distiller.distillation_losses
        ],
    }


def _folder(data: "CTRecords", key: dict[str, Any]) -> Path:
    text = json.dumps(key, sort_keys=True)
    return data.folder / "teacher_cache" / hashlib.sha256(text.encode()).hexdigest()[:16]


def _compiled(
    distiller: Distiller, names: list[str], shape: tuple[int, ...], keep_pseudo_labels: bool
) -> Callable[..., dict[str, Any]]:
    def summarize(image: Any, mask: Any) -> dict[str, Any]:
        return distiller.summarize_teacher(image, mask, names, keep_pseudo_labels)

    if keras.backend.backend() != "tensorflow":
        return summarize
    import tensorflow as tf

    # Any number of slices: a shard's last batch must not trace the teachers anew.
    signature = [
        tf.TensorSpec((None, *shape), tf.float32),
        tf.TensorSpec((None, *shape[:2]), tf.int32),
    ]
    return tf.function(summarize, input_signature=signature)
