"""Makes mutations one after the other, each by a seed of its own, within limits."""

import resource
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.robustness.dicom import Dicom
from tests.robustness.model_file import Bundle, ModelFile
from tests.robustness.nifti import Nifti
from tests.robustness.record_files import Records
from tests.robustness.settings import Evaluations, Plans, Settings
from tests.robustness.sources import DatasetJson
from tests.robustness.target import Failed, Target, attempt

__all__ = ["TARGETS", "Outcome", "run"]

TARGETS: dict[str, type[Target]] = {
    kind.name: kind
    for kind in (
        *(Nifti, Dicom, ModelFile, Bundle, Records, DatasetJson, Settings, Plans, Evaluations),
    )
}
# How often each comes: files that patients are in come most.
_WEIGHTS = {"nifti": 6, "dicom": 3, "contract": 3, "records": 2, "bundle": 2, "dataset.json": 2}

SECONDS = 60
"""A mutation that takes longer hangs; most take a hundredth of one."""

MEGABYTES = 512
"""By so much memory may the process grow over a mutation."""


@dataclass(frozen=True)
class Outcome:
    """What came of a mutation.

    Attributes:
        seed: Which gives it again.
        target: Name of its target.
        outcome: "same", "told", "refused", …; "FAILED" if it must not be.
        description: What was done and, if it failed, what is wrong.
    """

    seed: int
    target: str
    outcome: str
    description: str


class _TooLong(BaseException):
    """Which nothing in the library catches."""


def run(
    seeds: Sequence[int] | Iterator[int],
    only: Sequence[str] = (),
    begin: Callable[[int], None] | None = None,
) -> Iterator[Outcome]:
    """Makes the mutations of the seeds.

    Args:
        seeds: One for each mutation; the target follows from it.
        only: Names of targets; all when empty.
        begin: Told of each seed before it is tried, so that a crash can be laid to it.

    Yields:
        The outcomes.
    """
    names = [name for name in TARGETS if not only or name in only]
    weights = np.array([_WEIGHTS.get(name, 1) for name in names], float)
    targets: dict[str, Target] = {}
    with tempfile.TemporaryDirectory(prefix="tfkd-fuzz-") as folder:
        for seed in seeds:
            rng = np.random.default_rng(seed)
            name = str(rng.choice(names, p=weights / weights.sum()))
            if name not in targets:
                targets[name] = TARGETS[name](Path(folder) / name.replace(".", "_"))
            if begin is not None:
                begin(seed)
            yield _one(targets[name], seed, rng, Path(folder))


def _one(target: Target, seed: int, rng: np.random.Generator, folder: Path) -> Outcome:
    before = _peak_megabytes()
    with tempfile.TemporaryDirectory(dir=folder) as own:
        try:
            with _time_limit():
                outcome, description = attempt(target, rng, Path(own))
        except Failed as error:
            cause = error.__cause__
            place = "" if cause is None else "".join(traceback.format_tb(cause.__traceback__)[-1:])
            return Outcome(seed, target.name, "FAILED", f"{error} {' '.join(place.split())}")
        except _TooLong:
            return Outcome(seed, target.name, "FAILED", f"no end within {SECONDS} s")
    grown = _peak_megabytes() - before
    if grown > MEGABYTES:
        return Outcome(seed, target.name, "FAILED", f"{description}: {grown:.0f} MB more memory")
    return Outcome(seed, target.name, outcome, description)


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _time_limit() -> Iterator[None]:
    def end(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
