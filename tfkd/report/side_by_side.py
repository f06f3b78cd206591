"""What follows from several evaluations side by side: order, ratios, the gap closed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.errors import RecordError
from tfkd.evaluation import ROLES, Evaluation, Role

__all__ = [
    "GapClosed",
    "check_comparable",
    "deployed_row",
    "first_of_role",
    "gap_closed",
    "order_rows",
    "ratio_to_teacher",
]

FOREGROUND = "foreground mean"


@dataclass(frozen=True)
class GapClosed:
    """How much of the distance from plain student to teacher distillation closes, for one score.

    Attributes:
        score: what is compared: a class name, or "foreground mean".
        teacher: mean Dice over the cases of the teacher, in [0, 1].
        plain: that of the plain student.
        distilled: that of the distilled student.
    """

    score: str
    teacher: float
    plain: float
    distilled: float

    @property
    def points(self) -> float:
        """Distilled minus plain, in Dice points (hundredths); NaN where a score is NaN."""
        return 100 * (self.distilled - self.plain)

    @property
    def fraction(self) -> float | None:
        """(distilled - plain) / (teacher - plain).

        Above 1 when the distilled student beats the teacher, negative when distillation hurts; None
        when the teacher is not above the plain student, or a score is NaN.
        """
        gap = self.teacher - self.plain
        return (
            (self.distilled - self.plain) / gap if gap > 0 and not np.isnan(self.points) else None
        )


def check_comparable(evaluations: Sequence[Evaluation]) -> None:
    """Refuses rows that cannot stand in one table.

    Raises:
        RecordError: if there is no row, a name twice, or rows differ in label names, cases, the
            protocol or the policy for empty masks, naming the row.
    """
    if not evaluations:
        raise RecordError("Expected at least one evaluation to report. Received none.")
    names = [row.name for row in evaluations]
    if len(set(names)) < len(names):
        raise RecordError(f"Expected a name of its own for each row. Received: {', '.join(names)}")
    first = evaluations[0]
    for row in evaluations[1:]:
        difference = _difference(first, row)
        if difference:
            raise RecordError(
                f"Expected {row.name!r} to be evaluated like {first.name!r}. "
                f"Received {difference}. Evaluate both on the same cases with the same settings."
            )


def _difference(first: Evaluation, row: Evaluation) -> str:
    if row.table.label_names != first.table.label_names:
        return f"other classes: {row.table.label_names}, not {first.table.label_names}"
    if row.protocol != first.protocol:
        return f"another protocol: {row.protocol}, not {first.protocol}"
    if row.table.empty != first.table.empty:
        return f"another policy for empty masks: {row.table.empty!r}, not {first.table.empty!r}"
    cases = set(row.table.case_ids) ^ set(first.table.case_ids)
    if cases:
        return f"other cases; only one of them has {', '.join(sorted(cases)[:5])}"
    return ""


def order_rows(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Sorts rows by role, teacher first and edge files last; rows of one role keep their order."""
    return sorted(evaluations, key=lambda row: ROLES.index(row.role))


def first_of_role(evaluations: Sequence[Evaluation], role: Role) -> Evaluation | None:
    """The first row of a role, or None if there is none."""
    return next((row for row in evaluations if row.role == role), None)


def deployed_row(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The row closest to the edge device: int8 before float files, before students, before all."""
    for role in ("int8", "float16", "float32", "distilled", "plain", "other"):
        row = first_of_role(evaluations, role)  # type: ignore[arg-type]
        if row:
            return row
    return evaluations[-1]


def ratio_to_teacher(evaluations: Sequence[Evaluation], row: Evaluation, cost: str) -> float | None:
    """Teacher's cost divided by the row's: 10 means ten times smaller or faster.

    Args:
        evaluations: all rows.
        row: the row in question.
        cost: a field of `ModelInfo`, or "seconds_per_volume".

    Returns:
        The ratio, or None for the teacher itself and where either number is missing.
    """
    teacher = first_of_role(evaluations, "teacher")
    if teacher is None or row is teacher:
        return None
    ours, theirs = (
        getattr(each if cost == "seconds_per_volume" else each.model, cost)
        for each in (row, teacher)
    )
    return theirs / ours if ours and theirs else None


def gap_closed(evaluations: Sequence[Evaluation]) -> list[GapClosed]:
    """Gap closed by distillation, for the foreground mean and every foreground class.

    Args:
        evaluations: the rows; the first teacher, plain and distilled ones are compared.

    Returns:
        The foreground mean first; an empty list if one of the three rows is missing. A class that
        no case holds has NaN scores and no fraction.
    """
    rows = [first_of_role(evaluations, role) for role in ("teacher", "plain", "distilled")]
    tables = [row.table for row in rows if row is not None]
    if len(tables) < 3:
        return []
    gaps = [GapClosed(FOREGROUND, *(table.mean_foreground_dice() for table in tables))]
    for label in tables[0].foreground:
        scores = (table.mean_dice(label) for table in tables)
        gaps.append(GapClosed(tables[0].label_names[label], *scores))
    return gaps
