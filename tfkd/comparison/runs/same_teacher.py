"""One teacher for all rows, also where it has to be trained again on another machine."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfkd.comparison.runs.job import Job
from tfkd.errors import TrainingError

__all__ = ["check_same_teacher"]


def check_same_teacher(
    job: Job, fingerprints: Sequence[str], rows: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuses a run under other teachers than those whose rows there are.

    Rounding differs between kinds of processors and versions, and a training of thousands of steps
    ends elsewhere by it: by five points of Dice, where few patients are trained on. Methods would
    then differ by their teachers.

    Args:
        job: A run that is about to be made.
        fingerprints: Of its teachers on this machine, in the order of `job.taught_by`.
        rows: Finished rows by identity. Rows of earlier versions do not say which network they are
            of, and are taken as they are.

    Raises:
        TrainingError: Naming the teacher, and what can be done.
    """
    for teacher, found in zip(job.taught_by, fingerprints, strict=True):
        row = rows.get(teacher.identity, {})
        expected = row.get("fingerprint", found)
        if expected != found:
            raise TrainingError(
                f"Expected {teacher.title} to be the network that has a row, {expected[:8]} "
                f"(Dice {row['mean_dice']:.3f}), found {found[:8]}: trained on another kind of "
                "processor, or by another version, it has come out otherwise, and rows under two "
                "teachers cannot be compared. Go on where the first was trained; or delete its row "
                "and those that it taught from the rows file, to compare under the other one."
            )
