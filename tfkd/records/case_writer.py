"""Turns one case into one finished TFRecord file; runs in a worker process."""

import dataclasses
import hashlib
import itertools
import json
import os
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfkd.errors import RecordError
from tfkd.failures import working_on
from tfkd.files import parse_json
from tfkd.records.case_files import CaseFiles, Source
from tfkd.records.encoding import encode_slice
from tfkd.records.manifest import SCHEMA_VERSION, CaseRecord
from tfkd.records.sampling import UNLABELLED
from tfkd.volumes import (
    IGNORE_LABEL,
    PreprocessSpec,
    Volume,
    atomic_path,
    check_same_geometry,
    iter_slices,
    read_volume,
    sha256_of,
    target_mask,
    warn_if_not_hu,
)

__all__ = ["case_record_path", "hide_accelerators", "write_case", "write_case_apart"]


def hide_accelerators() -> None:
    """Keeps a worker process, which only encodes PNGs, from claiming the GPU's memory."""
    tf.config.set_visible_devices([], "GPU")


def case_record_path(folder: Path, case_id: str) -> Path:
    """Where the TFRecord file of a case lies among the unfinished work."""
    return folder / f"{case_id}.tfrecord"


def write_case_apart(
    source: Source, case: CaseFiles, spec: PreprocessSpec, folder: Path
) -> tuple[CaseRecord, list[str]]:
    """`write_case` in a process of its own, which has nobody to show its warnings to.

    Returns:
        The case's entry, and the texts of the warnings.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        record = write_case(source, case, spec, folder)
    return record, [str(one.message) for one in caught if one.category is UserWarning]


def write_case(source: Source, case: CaseFiles, spec: PreprocessSpec, folder: Path) -> CaseRecord:
    """Reads, checks and encodes a case, unless an interrupted run has already done so.

    Args:
        source: The cohort.
        case: Its case.
        spec: The preprocessing.
        folder: Where ``CASE.tfrecord`` and, last of all, ``CASE.json`` are written.

    Returns:
        The case's entry for the manifest.

    Raises:
        GeometryError: If a file cannot be read, or CT and mask differ in shape or position.
        RecordError: If the mask holds a value that has no name.
    """
    # What nobody expected, in a worker process too, still says which case and file it is about.
    with working_on(case.case_id, case.image):
        return _write_case(source, case, spec, folder)


def _write_case(source: Source, case: CaseFiles, spec: PreprocessSpec, folder: Path) -> CaseRecord:
    facts_path = folder / f"{case.case_id}.json"
    key = _fingerprint(source, case, spec)
    finished = _read_finished(facts_path, key)
    if finished is not None:
        return finished
    # Facts of other records must not outlive them, should this run be killed in between.
    facts_path.unlink(missing_ok=True)
    image, mask, counts = _read_pair(source, case)
    labels_per_slice: list[tuple[int, ...]] = []
    ignored = False
    with (
        atomic_path(case_record_path(folder, case.case_id)) as path,
        tf.io.TFRecordWriter(str(path)) as writer,
    ):
        for example in iter_slices(image, mask, spec):
            writer.write(encode_slice(example, len(source.class_names)))
            labels_per_slice.append(_labels(example.mask))
            ignored |= example.mask is None or bool((example.mask == IGNORE_LABEL).any())
    record = _describe(source, case, image, labels_per_slice, ignored)
    if counts is not None:
        record = dataclasses.replace(
            record,
            voxels_per_label=tuple(counts[: len(source.class_names)].tolist()),
            ignored_voxels=int(counts[IGNORE_LABEL]),
        )
    with atomic_path(facts_path) as path:
        facts = {"key": key, "record": dataclasses.asdict(record)}
        path.write_text(json.dumps(facts), encoding="utf-8")
    return record


def _fingerprint(source: Source, case: CaseFiles, spec: PreprocessSpec) -> str:
    """Changes with anything that the case's records depend on."""
    files = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in (case.image, case.mask)
        if path is not None and path.exists()
    ]
    facts = [SCHEMA_VERSION, case.patient_id, files, spec.to_dict()]
    facts += [source.label_names, source.identity_affine, *source.target_labels]
    facts += [{"ignored_label": source.ignored_label}]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _read_finished(path: Path, key: str) -> CaseRecord | None:
    if not path.exists():
        return None
    try:
        facts = parse_json(path.read_bytes())
        return CaseRecord.from_dict(facts["record"]) if facts["key"] == key else None
    except (ValueError, KeyError, TypeError):
        return None  # of another version, or damaged: the case is done again


def _labels(mask: np.ndarray | None) -> tuple[int, ...]:
    """The foreground labels of a slice, or `UNLABELLED` where no pixel has a label."""
    if mask is None or (mask == IGNORE_LABEL).all():
        return UNLABELLED
    return tuple(int(label) for label in np.unique(mask) if label not in (0, IGNORE_LABEL))


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _read_pair(source: Source, case: CaseFiles) -> tuple[Volume, Volume | None, np.ndarray | None]:
    """CT, mask, and the mask's voxels of each value, (256,)."""
    axes = source.identity_affine
    image = read_volume(case.image, kind="ct", case_id=case.case_id, identity_affine=axes)
    warn_if_not_hu(image.array, case.case_id)
    if case.mask is None:
        return image, None, None
    with working_on(path=case.mask):
        return image, *_read_mask(source, case, case.mask, image)


def _read_mask(
    source: Source, case: CaseFiles, path: Path, image: Volume
) -> tuple[Volume, np.ndarray]:
    mask = read_volume(
        path, kind="mask", case_id=case.case_id, identity_affine=source.identity_affine
    )
    check_same_geometry(image, mask, case.image, path)
    stored = _count(mask.array)
    known = [*range(len(source.label_names)), source.ignored_label, IGNORE_LABEL]
    extra = [value for value in np.flatnonzero(stored).tolist() if value not in known]
    if extra:
        names = ", ".join(f"{value} {name}" for value, name in enumerate(source.label_names))
        raise RecordError(
            f"case {case.case_id}: {path} holds the label value(s) {_shortened(extra)}. "
            f"Expected only {names}, and {IGNORE_LABEL} for pixels without label. Correct the "
            f"mask, or the list of labels."
        )
    how = (source.target_labels, source.ignored_label)
    counts = np.zeros_like(stored)
    np.add.at(counts, target_mask(np.arange(256, dtype=np.uint8), *how), stored)
    return mask.with_array(target_mask(mask.array, *how)), counts


def _count(labels: np.ndarray) -> np.ndarray:
    """Voxels of each value, (256,); slice by slice, as counting takes eight bytes a voxel."""
    return sum((np.bincount(s.ravel(), minlength=256) for s in labels), np.zeros(256, np.int64))


def _shortened(values: list[int]) -> str:
    """Such as ``[7, 9]``, or the first of very many."""
    return str(values) if len(values) <= 8 else f"[{', '.join(map(str, values[:8]))}, ...]"


def _describe(
    source: Source,
    case: CaseFiles,
    image: Volume,
    labels_per_slice: list[tuple[int, ...]],
    ignored: bool,
) -> CaseRecord:
    depth, height, width = image.shape
    runs = tuple((len(list(run)), labels) for labels, run in itertools.groupby(labels_per_slice))
    return CaseRecord(
        case_id=case.case_id,
        patient_id=case.patient_id,
        image=_relative(case.image, source.root),
        mask=None if case.mask is None else _relative(case.mask, source.root),
        image_sha256=sha256_of(case.image),
        mask_sha256=None if case.mask is None else sha256_of(case.mask),
        shape=(depth, height, width),
        spacing_mm=image.spacing_mm,
        presence_runs=runs,
        ignored=ignored,
    )
