"""The table of counts, one row for each case and class, that every score is read from."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tfkd.files import parse_json, typed
from tfkd.metrics.overlap import (
    DEFAULT_EMPTY,
    EmptyPolicy,
    check_empty_policy,
    confusion_counts,
    dice_from_counts,
)

__all__ = ["CaseRow", "CaseTable"]


@dataclass(frozen=True)
class CaseRow:
    """Counts of one class in one case.

    Attributes:
        case_id: the case.
        label: class index, 0 = background.
        tp: true positive voxels.
        fp: false positive voxels.
        fn: false negative voxels.
        voxel_volume_ml: volume of one voxel, millilitres.
    """

    case_id: str
    label: int
    tp: int
    fp: int
    fn: int
    voxel_volume_ml: float

    @property
    def dice(self) -> float:
        """Dice in [0, 1]; NaN where the class is in neither mask (the table applies its policy)."""
        return float(dice_from_counts(self.tp, self.fp, self.fn))

    @property
    def is_empty(self) -> bool:
        """Whether neither the truth nor the prediction holds the class."""
        return self.tp + self.fp + self.fn == 0

    @property
    def truth_voxels(self) -> int:
        """Voxels of the class in the truth."""
        return self.tp + self.fn

    @property
    def predicted_voxels(self) -> int:
        """Voxels of the class in the prediction."""
        return self.tp + self.fp

    @property
    def wrong_voxels(self) -> int:
        """False positives plus false negatives."""
        return self.fp + self.fn

    @property
    def truth_ml(self) -> float:
        """Volume of the class in the truth, millilitres."""
        return self.truth_voxels * self.voxel_volume_ml


@dataclass(frozen=True)
class CaseTable:
    """Counts of every class in every case, and the scores that follow from them.

    Holds counts, not scores, so that any policy can be applied later and global Dice is exact.

    Attributes:
        rows: one row for each case and class, background included; the order of the cases is kept.
        label_names: index = label value, `label_names[0]` the background.
        empty: the policy for a class that is in neither mask of a case. "exclude" (the default)
            leaves the case out of that class's mean, "one" scores 1, "zero" scores 0. A false
            positive on an empty truth scores 0 and a miss scores 0, whatever the policy.

    Raises:
        ValueError: on an unknown policy, a label without a name, or a case and class given twice or
            missing.
    """

    rows: tuple[CaseRow, ...]
    label_names: tuple[str, ...]
    empty: EmptyPolicy = DEFAULT_EMPTY

    def __post_init__(self) -> None:
        check_empty_policy(self.empty)
        object.__setattr__(self, "rows", tuple(self.rows))
        object.__setattr__(self, "label_names", tuple(self.label_names))
        expected = [(case, label) for case in self.case_ids for label in self.labels]
        received = [(row.case_id, row.label) for row in self.rows]
        if sorted(expected) != sorted(received):
            wrong = sorted(set(expected) ^ set(received)) or sorted(
                {pair for pair in received if received.count(pair) > 1}
            )
            raise ValueError(
                f"Expected exactly one row for each case and label in {self.labels}. "
                f"Missing, unknown or repeated (case, label): {wrong[:5]}"
            )

    def with_case(
        self,
        case_id: str,
        truth: NDArray[np.integer],
        prediction: NDArray[np.integer],
        voxel_volume_ml: float,
    ) -> Self:
        """Adds one case.

        Args:
            case_id: the case; must be new.
            truth: integer labels, (Z, Y, X).
            prediction: integer labels, the same shape.
            voxel_volume_ml: volume of one voxel, millilitres.

        Returns:
            A new table.

        Raises:
            ValueError: on a case already in the table, or as `confusion_counts`.
        """
        counts = confusion_counts(truth, prediction, len(self.label_names))
        rows = tuple(
            CaseRow(case_id, label, int(tp), int(fp), int(fn), float(voxel_volume_ml))
            for label, (tp, fp, fn) in enumerate(counts)
        )
        return replace(self, rows=self.rows + rows)

    @cached_property
    def case_ids(self) -> tuple[str, ...]:
        """Cases in the order in which they were added."""
        return tuple(dict.fromkeys(row.case_id for row in self.rows))

    @property
    def labels(self) -> tuple[int, ...]:
        """All class indices, background first."""
        return tuple(range(len(self.label_names)))

    @property
    def foreground(self) -> tuple[int, ...]:
        """Class indices without the background."""
        return self.labels[1:]

    @cached_property
    def _by_label(self) -> dict[int, tuple[CaseRow, ...]]:
        order = {case_id: index for index, case_id in enumerate(self.case_ids)}
        rows = sorted(self.rows, key=lambda row: order[row.case_id])
        return {label: tuple(row for row in rows if row.label == label) for label in self.labels}

    def of_label(self, label: int) -> tuple[CaseRow, ...]:
        """Rows of one class, one for each case, in the order of `case_ids`.

        Raises:
            ValueError: for a label that the table does not have.
        """
        if label not in self._by_label:
            raise ValueError(f"Expected a label in {self.labels}. Received: label={label!r}")
        return self._by_label[label]

    def per_case(self, label: int) -> NDArray[np.float64]:
        """Dice of one class in every case.

        Args:
            label: class index.

        Returns:
            float64 array (cases,) in [0, 1], in the order of `case_ids`. Where the class is in
            neither mask: NaN, 1 or 0 by the table's policy (by default NaN, left out of the mean).
        """
        counts = [(row.tp, row.fp, row.fn) for row in self.of_label(label)]
        tp, fp, fn = np.array(counts).reshape(-1, 3).T
        return dice_from_counts(tp, fp, fn, empty=self.empty)

    def mean_dice(self, label: int) -> float:
        """Mean over the cases of the Dice of one class.

        Returns:
            A value in [0, 1]. Cases whose masks are both empty count as the policy says (by default
            they are left out); NaN if no case is left.
        """
        scores = self._scored(label)
        return float(scores.mean()) if scores.size else float("nan")

    def sd_dice(self, label: int) -> float:
        """Sample standard deviation (n - 1) over the cases of the Dice of one class.

        Returns:
            A value ≥ 0 over the same cases as `mean_dice`; NaN with fewer than two of them.
        """
        scores = self._scored(label)
        return float(scores.std(ddof=1)) if scores.size > 1 else float("nan")

    def _scored(self, label: int) -> NDArray[np.float64]:
        scores = self.per_case(label)
        return scores[~np.isnan(scores)]

    def global_dice(self, label: int) -> float:
        """Dice of one class from the voxels of all cases put together.

        Large targets weigh more than in `mean_dice`; a missed small one hardly shows. Counted in
        voxels, as the LiTS challenge does.

        Returns:
            A value in [0, 1]. If no case holds the class on either side: the policy's score (by
            default NaN).
        """
        rows = self.of_label(label)
        tp, fp, fn = (sum(getattr(row, name) for row in rows) for name in ("tp", "fp", "fn"))
        return float(dice_from_counts(tp, fp, fn, empty=self.empty))

    def mean_foreground_dice(self) -> float:
        """Mean over the foreground classes of `mean_dice`, every class of equal weight.

        Returns:
            A value in [0, 1]. A class that no case holds on either side is left out under
            "exclude"; NaN if none remains.
        """
        return _mean_of_finite([self.mean_dice(label) for label in self.foreground])

    def global_foreground_dice(self) -> float:
        """Mean over the foreground classes of `global_dice`, with absent classes left out alike."""
        return _mean_of_finite([self.global_dice(label) for label in self.foreground])

    def scored_cases(self, label: int) -> int:
        """Number of cases in the mean of one class."""
        return int(self._scored(label).size)

    def empty_cases(self, label: int) -> int:
        """Number of cases touched by the policy: the class is in neither mask."""
        return sum(row.is_empty for row in self.of_label(label))

    def missed_cases(self, label: int) -> int:
        """Number of cases that hold the class and of which no voxel was found (score 0)."""
        return sum(row.truth_voxels > 0 and row.tp == 0 for row in self.of_label(label))

    def false_alarms(self, label: int) -> int:
        """Number of cases without the class in which some was predicted (score 0)."""
        return sum(row.truth_voxels == 0 and row.fp > 0 for row in self.of_label(label))

    def to_json(self) -> str:
        """The table as JSON text, its policy included."""
        return json.dumps(
            {
                "label_names": list(self.label_names),
                "empty": self.empty,
                "rows": [asdict(row) for row in self.rows],
            },
            indent=1,
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: if the text is not a case table, naming what is wrong.
        """
        document = parse_json(text)
        try:
            stored = typed(_Stored, document)
            return cls(stored.rows, stored.label_names, stored.empty)
        except (KeyError, TypeError) as error:
            raise ValueError(
                "Expected a case table with label_names, empty and rows. "
                f"Received a problem with: {error}"
            ) from error

    def to_csv(self) -> str:
        """The table as CSV text with a heading, one line for each case and class.

        The column `dice` follows the table's policy and is blank where a case is left out.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, _CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        dice = {
            label: dict(zip(self.case_ids, self.per_case(label), strict=True))
            for label in self.labels
        }
        for row in self.rows:
            score = dice[row.label][row.case_id]
            derived = {
                "label_name": self.label_names[row.label],
                "dice": "" if np.isnan(score) else f"{score:.6f}",
                "empty": self.empty,
            }
            writer.writerow(asdict(row) | derived)
        return text.getvalue()

    @classmethod
    def from_csv(cls, text: str) -> Self:
        """Reads what `to_csv` wrote; the `dice` column is computed anew, not read.

        Raises:
            ValueError: if columns are missing or there is no row (the class names are in the rows).
        """
        lines = list(csv.DictReader(io.StringIO(text)))
        if not lines or not set(_CSV_COLUMNS) - {"dice"} <= set(lines[0]):
            raise ValueError(
                f"Expected CSV with the columns {', '.join(_CSV_COLUMNS)} and at least one row. "
                f"Received: {text.partition(chr(10))[0]!r} and {len(lines)} rows"
            )
        kinds = {field.name: field.type for field in fields(CaseRow)}
        rows = tuple(
            CaseRow(**{name: kinds[name](line[name]) for name in kinds})  # type: ignore[operator]
            for line in lines
        )
        names = {int(line["label"]): line["label_name"] for line in lines}
        label_names = tuple(names.get(label, "") for label in range(max(names) + 1))
        return cls(rows, label_names, lines[0]["empty"])  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Stored:
    """A table as JSON has it."""

    label_names: tuple[str, ...]
    empty: EmptyPolicy
    rows: tuple[CaseRow, ...]


_CSV_COLUMNS = (
    "case_id",
    "label",
    "label_name",
    "tp",
    "fp",
    "fn",
    "voxel_volume_ml",
    "dice",
    "empty",
)


def _mean_of_finite(values: Sequence[float]) -> float:
    finite = [value for value in values if not np.isnan(value)]
    return sum(finite) / len(finite) if finite else float("nan")
