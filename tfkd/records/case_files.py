"""Where the files of a labelled CT cohort lie, and what its labels mean."""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tfkd.errors import RecordError
from tfkd.records.names import check_case_names, check_label_names
from tfkd.volumes import IGNORE_LABEL

__all__ = ["CaseFiles", "Source", "Target", "natural_key", "select_case", "select_cases"]

Target = Literal["organ", "tumour"]

# The binary tasks of Qin et al., IEEE TMI 40(12), 2021: organ = label > 0, tumour = label 2.
_TARGETS: dict[str, tuple[int, ...]] = {"organ": (1, 2), "tumour": (2,)}


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Args:
        case_id: Unique name of the case in its source, such as ``"volume-7"`` or ``"case_00023"``.
        image: The CT file.
        mask: The label file; None for a CT without labels, which can be trained on by distillation.
        patient_id: Name of the patient. Cases of one patient always share a split.
        target_labels: Labels of the mask that make one target, see `target_mask`; empty where each
            label is a class.
        ignored_label: A label of the mask whose voxels belong to no class, beside `IGNORE_LABEL`.
    """

    case_id: str
    image: Path
    mask: Path | None
    patient_id: str
    target_labels: tuple[int, ...] = ()
    ignored_label: int | None = None


@dataclass(frozen=True)
class Source:
    """A CT cohort as found on disk; some of its cases may have no mask.

    Args:
        name: Name of the dataset in lower case, such as ``"lits17"``; shards are named after it.
        root: Folder that all files lie in.
        cases: The cases, in natural order (2 before 10).
        label_names: Name of every label value: ``label_names[0]`` is ``"background"``.
        window_hu: HU window (lower, upper) that suits the target organs.
        identity_affine: Axis codes to assume for a file that states no orientation, see
            `read_volume`; None for `IDENTITY_AFFINE`, as in every layout.
        target_labels: Label values that make the one class to be found; empty where each label is a
            class. See `for_target`.
        ignored_label: Value in the masks of voxels that belong to no class, beside `IGNORE_LABEL`:
            nnU-Net's label ``ignore``. None where there is none.
        validation_cases: Ids of the cases that the cohort itself wants for the validation; empty
            where it says nothing. See `SplitPlan`.
        test_cases: The same for the test.
        left_out: Files of the cohort that are no case's, with the reason of each; paths below
            `root`.

    Raises:
        RecordError: If there is no case, a name twice, a name that no file can have, or a label
            that is called `IGNORE_LABEL`.
    """

    name: str
    root: Path
    cases: tuple[CaseFiles, ...]
    label_names: tuple[str, ...]
    window_hu: tuple[float, float]
    identity_affine: str | None = None
    target_labels: tuple[int, ...] = ()
    ignored_label: int | None = None
    validation_cases: tuple[str, ...] = ()
    test_cases: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of every class: the labels', or background and target."""
        if not self.target_labels:
            return self.label_names
        return self.label_names[0], self.label_names[self.target_labels[0]]

    def for_target(self, target: "Target") -> "Source":
        """The binary task of finding the organ, its tumours included, or its tumours alone.

        Raises:
            RecordError: If the labels are not background, organ and tumour, or the target is
                unknown.
        """
        if target not in _TARGETS:
            raise RecordError(
                f"target: expected one of {', '.join(_TARGETS)}, received {target!r}."
            )
        if len(self.label_names) != 3:
            raise RecordError(
                f"{self.root}: expected labels of background, organ and tumour for the target "
                f"{target}. Received {', '.join(self.label_names)}."
            )
        return dataclasses.replace(self, target_labels=_TARGETS[target])

    def __post_init__(self) -> None:
        if not self.cases:
            raise RecordError(f"{self.root}: expected labelled CT cases, found none.")
        count, twice = Counter(case.case_id for case in self.cases).most_common(1)[0][::-1]
        if count > 1:
            files = [str(case.image) for case in self.cases if case.case_id == twice]
            raise RecordError(
                f"case {twice}: expected one CT file per case, found {count}: "
                f"{', '.join(files)}. Remove all but one."
            )
        check_case_names([case.case_id for case in self.cases], self.root)
        check_label_names(self.label_names, self.root)
        if len(self.label_names) > IGNORE_LABEL:
            raise RecordError(
                f"{self.root}: expected at most {IGNORE_LABEL} labels, background included, since "
                f"{IGNORE_LABEL} in a mask stands for no label. Received {len(self.label_names)}."
            )
        if self.ignored_label is not None and self.ignored_label < len(self.label_names):
            raise RecordError(
                f"{self.root}: the ignored label {self.ignored_label} is that of a class, "
                f"{self.label_names[self.ignored_label]}. Expected a value without a name."
            )


def natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that orders numbers inside names by value: ``volume-2`` before ``volume-10``."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts if part)


def select_case(wanted: str | int, case_ids: tuple[str, ...]) -> str:
    """Finds the case that a user means.

    Args:
        wanted: A full case id, or only its number: ``"7"``, ``7`` and ``"007"`` all mean
            ``"volume-7"`` or ``"abd_007"``.
        case_ids: The ids to choose from.

    Returns:
        The full case id.

    Raises:
        RecordError: If no case, or more than one, answers to the name.
    """
    name = str(wanted).strip()
    if name in case_ids:
        return name
    found = []
    if name.isdecimal():
        for case_id in case_ids:
            number = re.search(r"(\d+)$", case_id)
            if number and int(number.group(1)) == int(name):
                found.append(case_id)
    if len(found) == 1:
        return found[0]
    known = ", ".join(case_ids[:8]) + (", ..." if len(case_ids) > 8 else "")
    if found:
        raise RecordError(
            f"case {name!r} is ambiguous: it may mean {', '.join(found)}. Give the full case id."
        )
    raise RecordError(f"case {name!r} does not exist. Expected one of: {known}.")


def select_cases(wanted: Sequence[str | int], case_ids: tuple[str, ...], where: str) -> list[str]:
    """Finds the cases of a list, see `select_case`.

    Args:
        wanted: Case ids or numbers.
        case_ids: The ids to choose from.
        where: What the list is for, for messages.

    Raises:
        RecordError: As `select_case`, or if a case is listed twice.
    """
    found: dict[str, str | int] = {}
    for one in wanted:
        case_id = select_case(one, case_ids)
        if case_id in found:
            raise RecordError(
                f"{where}: case {case_id} is listed twice, as {found[case_id]} and as {one}. "
                f"Expected each case once; was another one meant?"
            )
        found[case_id] = one
    return list(found)
