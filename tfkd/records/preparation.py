"""CT volumes in, TFRecord shards and their manifest out."""

import dataclasses
import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tfkd._version import __version__
from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source
from tfkd.records.case_writer import case_record_path, hide_accelerators, write_case
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
        split: Which patients go where, and whose masks are used; None for 60 / 20 / 20 % with
            seed 0 and all masks.
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
            unknown label, or `out` is not empty. Then `out` is as it was.
        GeometryError: If a volume cannot be read or CT and mask do not fit; names case and file.

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
    split = split or SplitPlan()
    splits = split_patients(source.cases, split)
    cases = keep_masks(source.cases, splits["train"], split)
    source = _narrowed(dataclasses.replace(source, cases=cases), splits)
    _check_free(out)
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
    return _finish(source, spec, splits, records, partial, out, shard_mb, protocol)


def _protocol_named(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise RecordError(f"protocol: expected one of {', '.join(PROTOCOLS)}, received {name!r}.")
    return PROTOCOLS[name]


def _narrowed(source: Source, splits: dict[str, tuple[str, ...]]) -> Source:
    """The source with the cases of the splits only, and absolute paths."""
    wanted = {case_id for ids in splits.values() for case_id in ids}
    cases = tuple(
        dataclasses.replace(
            case,
            image=case.image.absolute(),
            mask=case.mask.absolute() if case.mask else None,
        )
        for case in source.cases
        if case.case_id in wanted
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
            pool.submit(write_case, source, case, spec, folder): case for case in source.cases
        }
        for future in as_completed(futures):
            future.result()
            report(futures[future])
        return [future.result() for future in futures]
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
    )
    manifest.check()
    write_tfds_metadata(finished, manifest)
    manifest.save(finished)
    if out.exists():
        out.rmdir()  # empty, as was checked; a rename onto it would fail on Windows
    os.replace(finished, out)
    shutil.rmtree(partial)
    return manifest
