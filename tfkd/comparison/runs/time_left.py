"""How long the missing runs will take, by what finished ones took."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfkd.comparison.runs.job import Job

__all__ = ["duration_text", "seconds_left"]


def seconds_left(
    missing: Iterable[Job], finished: Sequence[tuple[Job, Mapping[str, Any]]]
) -> float | None:
    """Estimates the time of the missing runs, one after the other.

    A run takes as long as the finished ones of the same student and method; else, of the same
    student; else, for a student, of all students.

    Args:
        missing: The runs.
        finished: Finished runs of the plan and their rows.

    Returns:
        Seconds; None if nothing comparable is finished.
    """
    times: dict[Any, list[float]] = {}
    for job, row in finished:
        if row["seconds"]["training"] is None:
            continue
        seconds = sum(row["seconds"].values())
        for key in _keys(job):
            times.setdefault(key, []).append(seconds)
    total = 0.0
    for job in missing:
        key = next((key for key in _keys(job) if key in times), None)
        if key is None:
            return None
        total += statistics.mean(times[key])
    return total


def _keys(job: Job) -> list[Any]:
    """From the narrowest to the widest group of runs that take about as long."""
    if job.kind == "teacher":
        return [job.group]
    return [job.group, ("student", job.network.name), "students"]


def duration_text(seconds: float | None) -> str:
    """`about 41 min left`, in the unit that fits; that nobody knows, for None."""
    if seconds is None:
        return "time left not known yet"
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left"
