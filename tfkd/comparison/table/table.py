"""The numbers of the table: means over seeds, points, the gap closed, the paired test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tfkd.comparison.runs.job import Job
from tfkd.comparison.runs.missing_files import MissingFiles
from tfkd.evaluation.paired_test import PairedTest, paired_test
from tfkd.volumes import WHOLE_VOLUME

__all__ = ["Line", "Table", "table_of"]

# Below so many Dice points between plain student and teacher, a share of them says nothing.
SMALLEST_GAP = 1.0


@dataclass(frozen=True)
class Line:
    """One row of the table: a network and method, over its seeds.

    Attributes:
        kind: "teacher", "plain" or "distilled".
        network: Name of the teacher or student.
        method: Name of the method.
        teachers: Who taught, joined by "+".
        seeds_done: Seeds that have a row.
        seeds: Seeds of the plan.
        mean: Mean over the seeds of the mean foreground Dice, in [0, 1]; NaN without a row.
        sd: Sample standard deviation over the seeds; NaN for fewer than two.
        label_means: The same mean for each foreground label.
        label_sds: And its standard deviation.
        points: Dice points (hundredths) over plain, from the seeds that both have; NaN for none.
        gap_closed: (method − plain) / (teacher − plain) from those seeds; NaN where it says
            nothing, for the reason of `gap_note`. Of several teachers, the better one counts.
        gap_note: Why there is no `gap_closed`.
        test: Paired test over the patients, against plain; None where there is nothing to test.
        parameters: Trainable weights.
        epochs: Epochs of the training.
        steps: Steps of the training.
        ms_per_step: Median over the seeds of the median training step, milliseconds.
        int8_bytes: Size of the int8 file.
        int8_ms: Time per slice of the int8 file, milliseconds.
        int8_threads: Threads of that time.
        int8_points: Dice points of the int8 files over the networks that they were made of, mean
            over the seeds with a file; None where it was not measured.
        int8_agreement: Lowest share of pixels with Keras' label, of the int8 files.
        int8_error: Why there is no int8 file.
        per_seed: Mean foreground Dice of each seed that is done.
        gains: Points of each patient over plain, from the seeds that both have, as in `test`.
        is_best: Whether it is the student's best method: the highest mean of those with the most
            seeds. False where there is no other one.
        test_to_best: Paired test over the patients against the best method, from the seeds that
            both have; None for the best itself, and where there is nothing to test.
    """

    kind: str
    network: str
    method: str
    teachers: str
    seeds_done: tuple[int, ...]
    seeds: tuple[int, ...]
    mean: float
    sd: float
    label_means: tuple[float, ...]
    label_sds: tuple[float, ...]
    points: float
    gap_closed: float
    gap_note: str
    test: PairedTest | None
    parameters: int | None
    epochs: int | None
    steps: int | None
    ms_per_step: float | None
    int8_bytes: int | None
    int8_ms: float | None
    int8_threads: int | None
    int8_points: float | None
    int8_agreement: float | None
    int8_error: str | None
    per_seed: Mapping[int, float]
    gains: Mapping[str, float]
    is_best: bool = False
    test_to_best: PairedTest | None = None

    @property
    def group(self) -> tuple[str, str, str, str]:
        """Kind, network, method and teachers, as of `Job`."""
        return (self.kind, self.network, self.method, self.teachers)

    @property
    def is_complete(self) -> bool:
        """Whether every seed is done."""
        return len(self.seeds_done) == len(self.seeds)


@dataclass(frozen=True)
class Table:
    """The comparison in numbers.

    Attributes:
        label_names: Names of the foreground labels.
        lines: Teachers, then student by student: plain, and each method.
        machines: Machines on which the rows were made, in words.
        patients: Number of test patients; None without a row.
        score: The rule of the score, in words.
        taught_by: By teacher's name, the networks of that name (their fingerprints) and the seeds
            that each has taught; a network without seeds is the one that the teacher's row is of.
        missing_files: Finished runs without the int8 file that the plan asks for.
    """

    label_names: tuple[str, ...]
    lines: tuple[Line, ...]
    machines: tuple[str, ...]
    patients: int | None
    score: str = WHOLE_VOLUME.score
    taught_by: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    missing_files: MissingFiles = field(default_factory=MissingFiles)


def table_of(
    jobs: Sequence[Job],
    rows: Mapping[str, Mapping[str, Any]],
    label_names: Sequence[str],
    score: str = WHOLE_VOLUME.score,
    missing_files: MissingFiles | None = None,
) -> Table:
    """Computes the table.

    Args:
        jobs: Runs of the plan, see `jobs_of`.
        rows: Finished runs by identity; those of other identities play no part.
        label_names: Of the records, the background first.
        score: The rule of the score in words, as the records' protocol has it.
        missing_files: Finished runs without the int8 file that the plan asks for.
    """
    groups: dict[tuple[str, str, str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    foreground = tuple(label_names[1:])
    lines = [_line(group, groups, rows, len(foreground)) for group in _ordered(groups)]
    lines = _with_best([(line, _Scores(groups[line.group], rows)) for line in lines])
    used = [rows[job.identity] for job in jobs if job.identity in rows]
    machines = tuple(dict.fromkeys(map(_made_on, used)))
    patients = len(used[0]["dice"]) if used else None
    taught_by = _taught_by(jobs, rows)
    files = missing_files or MissingFiles()
    return Table(foreground, tuple(lines), machines, patients, score, taught_by, files)


def _made_on(row: Mapping[str, Any]) -> str:
    """The machine of a row, and those of its training and its int8 file if they were others."""
    other = f", trained on {row['trained_on']}" if "trained_on" in row else ""
    file = (row["int8"] or {}).get("machine", row["machine"])
    return row["machine"] + other + (f", int8 file on {file}" if file != row["machine"] else "")


def _taught_by(
    jobs: Sequence[Job], rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, tuple[int, ...]]]:
    """See `Table.taught_by`; rows of earlier versions do not say it."""
    networks: dict[str, dict[str, set[int]]] = {}
    for job in jobs:
        row = rows.get(job.identity, {})
        if job.kind == "teacher" and "fingerprint" in row:
            networks.setdefault(job.network.name, {}).setdefault(row["fingerprint"], set())
        for name, network in zip(job.teachers, row.get("taught_by", ()), strict=False):
            networks.setdefault(name, {}).setdefault(network, set()).add(job.seed)
    return {
        name: {network: tuple(sorted(seeds)) for network, seeds in found.items()}
        for name, found in networks.items()
    }


def _ordered(groups: Mapping[tuple[str, str, str, str], Any]) -> list[tuple[str, str, str, str]]:
    students = list(dict.fromkeys(group[1] for group in groups if group[0] != "teacher"))
    return [
        *(group for group in groups if group[0] == "teacher"),
        *(
            group
            for student in students
            for group in groups
            if group[0] != "teacher" and group[1] == student
        ),
    ]


class _Scores:
    """Dice of a group of rows: (seeds, patients, labels), NaN where a label is absent."""

    def __init__(self, jobs: Sequence[Job], rows: Mapping[str, Mapping[str, Any]]) -> None:
        self.rows = {job.seed: rows[job.identity] for job in jobs if job.identity in rows}

    def of(self, seeds: Sequence[int]) -> np.ndarray:
        return np.array(
            [list(self.rows[seed]["dice"].values()) for seed in seeds], dtype=np.float64
        )

    def means(self, seeds: Sequence[int]) -> np.ndarray:
        """Mean foreground Dice of each seed: over the labels, of the mean over the patients."""
        return _mean(_mean(self.of(seeds), 1), 1) if seeds else np.array([])

    def patients(self, seeds: Sequence[int]) -> dict[str, float]:
        """Mean foreground Dice of each patient over its labels, and over the seeds."""
        scores = _mean(_mean(self.of(seeds), 2), 0)
        return dict(zip(self.rows[seeds[0]]["dice"], scores.tolist(), strict=True))


def _line(
    group: tuple[str, str, str, str],
    groups: Mapping[tuple[str, str, str, str], Sequence[Job]],
    rows: Mapping[str, Mapping[str, Any]],
    labels: int,
) -> Line:
    kind, network, method, teachers = group
    jobs = groups[group]
    scores = _Scores(jobs, rows)
    seeds = tuple(job.seed for job in jobs)
    done = [seed for seed in seeds if seed in scores.rows]
    means = scores.means(done)
    label_scores = _mean(scores.of(done), 1) if done else np.full((0, labels), np.nan)
    facts = _costs(list(scores.rows.values()))
    against: dict[str, Any] = {
        "points": math.nan,
        "gap_closed": math.nan,
        "gap_note": "",
        "test": None,
        "gains": {},
    }
    if kind == "distilled":
        against |= _against_plain(jobs[0], scores, groups, rows)
    return Line(
        kind=kind,
        network=network,
        method=method,
        teachers=teachers,
        seeds_done=tuple(done),
        seeds=seeds,
        mean=float(_mean(means, 0)),
        sd=_sd(means),
        label_means=tuple(_mean(label_scores, 0).tolist()),
        label_sds=tuple(_sd(column) for column in label_scores.T),
        **against,
        **facts,
        per_seed=dict(zip(done, means.tolist(), strict=True)),
    )


def _against_plain(
    job: Job,
    scores: _Scores,
    groups: Mapping[tuple[str, str, str, str], Sequence[Job]],
    rows: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    plain = _Scores(groups[("plain", job.network.name, "plain", "")], rows)
    seeds = [seed for seed in scores.rows if seed in plain.rows]
    if not seeds:
        return {"gap_note": "no seed that plain has too"}
    ours, theirs = _mean(scores.means(seeds), 0), _mean(plain.means(seeds), 0)
    points = 100 * float(ours - theirs)
    teachers = [rows[one.identity]["mean_dice"] for one in job.taught_by if one.identity in rows]
    gap_closed, note = math.nan, "no score of the teacher"
    if len(teachers) == len(job.taught_by):
        gap = 100 * float(max(teachers) - theirs)
        note = "" if gap >= SMALLEST_GAP else f"teacher − plain is {gap:.1f} points"
        gap_closed = points / gap if gap >= SMALLEST_GAP else math.nan
    gains = _gains(scores, plain, seeds)
    return {
        "points": points,
        "gap_closed": gap_closed,
        "gap_note": note,
        "test": paired_test(list(gains.values())),
        "gains": gains,
    }


def _gains(scores: _Scores, other: _Scores, seeds: Sequence[int]) -> dict[str, float]:
    """Points of each patient over another group's, in the mean over the seeds."""
    ours, theirs = scores.patients(seeds), other.patients(seeds)
    return {case: 100 * (ours[case] - theirs[case]) for case in ours}


def _with_best(scored: Sequence[tuple[Line, _Scores]]) -> list[Line]:
    """The lines, with each student's best method and the others' tests against it."""
    methods: dict[str, list[tuple[Line, _Scores]]] = {}
    for line, scores in scored:
        if line.kind == "distilled" and not math.isnan(line.mean):
            methods.setdefault(line.network, []).append((line, scores))
    best = {
        network: max(several, key=lambda one: (len(one[0].seeds_done), one[0].mean))
        for network, several in methods.items()
        if len(several) > 1
    }
    return [
        _beside_best(line, scores, *best[line.network])
        if line.kind == "distilled" and line.network in best
        else line
        for line, scores in scored
    ]


def _beside_best(line: Line, scores: _Scores, best: Line, best_scores: _Scores) -> Line:
    if line is best:
        return replace(line, is_best=True)
    seeds = [seed for seed in scores.rows if seed in best_scores.rows]
    if not seeds:
        return line
    return replace(line, test_to_best=paired_test([*_gains(scores, best_scores, seeds).values()]))


def _costs(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = rows[0] if rows else {}
    times = [row["ms_per_step"] for row in rows if row["ms_per_step"] is not None]
    files = [row["int8"] for row in rows if row["int8"] and "bytes" in row["int8"]]
    errors = [row["int8"]["error"] for row in rows if row["int8"] and "error" in row["int8"]]
    changes = [
        100 * (row["int8"]["mean_dice"] - row["mean_dice"])
        for row in rows
        if row["int8"] and row["int8"].get("mean_dice") is not None and row["mean_dice"] is not None
    ]
    return {
        "parameters": first.get("parameters"),
        "epochs": first.get("epochs"),
        "steps": first.get("steps"),
        "ms_per_step": float(np.median(times)) if times else None,
        "int8_bytes": files[0]["bytes"] if files else None,
        "int8_ms": float(np.median([file["ms_per_slice"] for file in files])) if files else None,
        "int8_threads": files[0]["threads"] if files else None,
        "int8_points": float(np.mean(changes)) if changes else None,
        "int8_agreement": min((file["agreement"] for file in files), default=None),
        "int8_error": errors[0] if errors and not files else None,
    }


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean without the NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(count), np.nan), where=count > 0)


def _sd(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if known.size > 1 else math.nan
