"""CT volumes in, TFRecord shards and their manifest out."""

import dataclasses
import multiprocessing
import os
import shutil
import warnings
from collections.abc import Callable, Container
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tfkd._version import __version__
from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source
from tfkd.records.case_writer import (
    case_record_path,
    hide_accelerators,
    write_case,
    write_case_apart,
)
from tfkd.records.cohort_checks import check_labels_held, tell_equal_cts
from tfkd.records.left_out import told_left_out
from tfkd.records.manifest import MANIFEST_NAME, CaseRecord, Manifest, Shard
from tfkd.records.mask_choice import keep_masks
from tfkd.records.shards import write_shards, write_tfds_metadata
from tfkd.records.sources import find_source
from tfkd.records.splits import SplitPlan, split_patients
from tfkd.volumes import PROTOCOLS, WHOLE_VOLUME, PreprocessSpec, Protocol

__all__ = ["Progress", "prepare"]

Progress = Callable[[int, int, str], None]


def prepare(
    source: Source | str | Path,
    out: str | Path,
    spec: PreprocessSpec | None = None,
    *,
    layout: str = "auto",
    split: SplitPlan | None = None,
    workers: int = 1,
    shard_mb: float = 128,
    protocol: Protocol | str = WHOLE_VOLUME,
    progress: Progress | None = None,
) -> Manifest:
    """Writes a cohort as TFRecord shards that `load` and TFDS can read.

    The work lies in ``<out>.partial`` until all of it is done; then `out` appears at once. A run
    that was interrupted is continued by calling again: finished cases are kept as long as their
    files and the preprocessing are the same. Equal input gives equal bytes, whatever `workers` is
    and however often it was interrupted.

    Args:
        source: A cohort, or the folder that it lies in.
        out: The folder to make; it must not exist, or be empty.
        spec: The preprocessing; None for that of the protocol with the source's HU window.
        layout: How to read a folder, see `find_source`.
        split: Which patients go where, and whose masks are used; None for all masks and the
            source's own lists of validation and test cases, or 60 / 20 / 20 % with seed 0 where it
            has none.
        workers: Number of processes. With more than one, a script must guard its entry point by
            ``if __name__ == "__main__"``.
        shard_mb: Size in MB that a shard should have at most.
        protocol: How the records are to be trained on and scored, or its name. `REFERENCE`,
            `"reference"`, wants a source with one target, see `Source.for_target`.
        progress: Called as ``progress(done, total, text)`` after every case.

    Returns:
        The manifest, which is also in `out`.

    Raises:
        RecordError: If the source, the split or the protocol is not as expected, a mask holds an
            unknown label, no mask holds a class while some hold `IGNORE_LABEL` (0/255 masks), or
            `out` is not empty. Then `out` is as it was.
        GeometryError: If a volume cannot be read or CT and mask do not fit; names case and file.

    Warns:
        UserWarning: If files or cases of the source are left out, or if a class is in no mask of
            the cohort, of the training or of a case's records.

    Example:
        >>> manifest = prepare("data/lits17", "records/lits17")  # doctest: +SKIP
    """
    out = Path(out).absolute()
    if workers < 1 or shard_mb <= 0:
        raise ValueError(
            f"workers and shard_mb: expected positive numbers, received {workers} and {shard_mb}."
        )
    if not isinstance(source, Source):
        source = find_source(source, layout)
    if not isinstance(protocol, Protocol):
        protocol = _protocol_named(protocol)
    if protocol.threshold is not None and len(source.class_names) != 2:
        raise RecordError(
            f"protocol {protocol.name}: expected one target beside the background, received "
            f"{', '.join(source.class_names)}. Choose one with `Source.for_target` (--target)."
        )
    spec = spec or PreprocessSpec(
        window_hu=source.window_hu,
        size=protocol.size,
        fit=protocol.fit,
        field_size=protocol.field_size,
    )
    split = (split or SplitPlan()).with_lists(source.validation_cases, source.test_cases)
    splits = split_patients(source.cases, split)
    cases = keep_masks(source.cases, splits["train"], split)
    unused = _without_split(source, split, splits)
    # Whom an explicit list of training cases leaves out, its writer knows.
    to_tell = dict(source.left_out) | (unused if split.train is None else {})
    source = dataclasses.replace(source, cases=cases, left_out={**source.left_out, **unused})
    _check_free(out)
    if to_tell:
        warnings.warn(f"{source.root}: {told_left_out(to_tell)}.", UserWarning, stacklevel=2)
    source = _narrowed(source, unused)
    partial = out.with_name(f"{out.name}.partial")
    _check_own(partial)
    cases_folder = partial / "cases"
    cases_folder.mkdir(parents=True, exist_ok=True)
    try:
        records = _write_cases(source, spec, cases_folder, workers, progress)
    finally:
        # After a failure, finished cases are kept for the next try; an empty folder helps nobody.
        if not any(cases_folder.glob("*")):
            shutil.rmtree(partial, ignore_errors=True)
    check_labels_held(source, records, splits["train"])
    manifest = _finish(source, spec, splits, records, partial, out, shard_mb, protocol)
    tell_equal_cts(source, records, splits)
    return manifest


def _protocol_named(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise RecordError(f"protocol: expected one of {', '.join(PROTOCOLS)}, received {name!r}.")
    return PROTOCOLS[name]


def _without_split(
    source: Source, plan: SplitPlan, splits: dict[str, tuple[str, ...]]
) -> dict[str, str]:
    """Reason of each case that is in no split."""
    wanted = {case_id for ids in splits.values() for case_id in ids}
    reason = "in no split" if plan.train is not None else "without mask, of a held-out patient"
    return {case.case_id: reason for case in source.cases if case.case_id not in wanted}


def _narrowed(source: Source, unused: Container[str]) -> Source:
    """The source without some cases, and with absolute paths."""
    cases = tuple(
        dataclasses.replace(
            case,
            image=case.image.absolute(),
            mask=case.mask.absolute() if case.mask else None,
        )
        for case in source.cases
        if case.case_id not in unused
    )
    return dataclasses.replace(source, root=source.root.absolute(), cases=cases)


def _check_free(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir() or any(out.iterdir()):
        holds = " (it holds finished records)" if (out / MANIFEST_NAME).exists() else ""
        raise RecordError(
            f"{out}: expected a new or empty output folder, but it is not empty{holds}. "
            f"Remove it or choose another one."
        )


def _check_own(partial: Path) -> None:
    """Unfinished work is ours only if it looks so: it will be deleted at the end."""
    if not partial.exists():
        return
    foreign = [p for p in partial.iterdir() if p.name not in ("cases", "records")]
    if foreign:
        raise RecordError(
            f"{partial}: expected the unfinished records of an earlier run, found "
            f"{foreign[0].name} in it. Remove the folder or choose another output folder."
        )


def _write_cases(
    source: Source,
    spec: PreprocessSpec,
    folder: Path,
    workers: int,
    progress: Progress | None,
) -> list[CaseRecord]:
    total = len(source.cases)
    done = 0

    def report(case: CaseFiles) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, case.case_id)

    if workers == 1:
        records = []
        for case in source.cases:
            records.append(write_case(source, case, spec, folder))
            report(case)
        return records

    # Forking a process that runs TensorFlow's threads deadlocks; spawned ones start afresh.
    pool = ProcessPoolExecutor(
        min(workers, total), multiprocessing.get_context("spawn"), hide_accelerators
    )
    try:
        futures = {
            pool.submit(write_case_apart, source, case, spec, folder): case for case in source.cases
        }
        for future in as_completed(futures):
            for text in future.result()[1]:
                warnings.warn(text, UserWarning, stacklevel=3)
            report(futures[future])
        return [future.result()[0] for future in futures]
    except BrokenProcessPool as error:
        raise RecordError(
            f"{folder}: a worker process died. Expected {workers} workers to have memory enough, "
            f'and a script that calls this to do so under `if __name__ == "__main__":`. Call '
            f"again with fewer workers; finished cases are kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _finish(
    source: Source,
    spec: PreprocessSpec,
    splits: dict[str, tuple[str, ...]],
    records: list[CaseRecord],
    partial: Path,
    out: Path,
    shard_mb: float,
    protocol: Protocol,
) -> Manifest:
    finished = partial / "records"
    shutil.rmtree(finished, ignore_errors=True)
    finished.mkdir()
    shards: list[Shard] = []
    for name, ids in splits.items():
        members = [
            (record, case_record_path(partial / "cases", record.case_id))
            for record in records
            if record.case_id in ids
        ]
        shards += write_shards(finished, source.name, name, members, int(shard_mb * 1e6))
    manifest = Manifest(
        name=source.name,
        spec=spec,
        label_names=source.class_names,
        splits=splits,
        cases=tuple(records),
        shards=tuple(shards),
        source_root=str(source.root),
        identity_affine=source.identity_affine,
        tfkd_version=__version__,
        protocol=protocol,
        target_labels=source.target_labels,
        ignored_label=source.ignored_label,
        left_out=dict(source.left_out),
    )
    manifest.check()
    write_tfds_metadata(finished, manifest)
    manifest.save(finished)
    if out.exists():
        out.rmdir()  # empty, as was checked; a rename onto it would fail on Windows
    os.replace(finished, out)
    shutil.rmtree(partial)
    return manifest
