"""The manifest: what a folder of records holds, where it came from and how it was made."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tfkd.errors import RecordError
from tfkd.files import typed
from tfkd.records.case_files import CaseFiles, select_case
from tfkd.records.json_file import read_object
from tfkd.records.label_counts import LabelCount, count_label
from tfkd.records.sampling import UNLABELLED
from tfkd.records.splits import SPLITS, check_no_leakage
from tfkd.volumes import (
    PROTOCOLS,
    WHOLE_VOLUME,
    DataFacts,
    PreprocessSpec,
    Protocol,
    atomic_path,
    sha256_of,
)

__all__ = ["MANIFEST_NAME", "SCHEMA_VERSION", "CaseRecord", "Manifest", "Shard"]

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class CaseRecord:
    """One prepared case.

    Args:
        case_id: Name of the case.
        patient_id: Name of the patient.
        image: Path of the CT file below the source's root, with forward slashes.
        mask: Path of the label file below the source's root; None for a case without mask.
        image_sha256: Checksum of the CT file.
        mask_sha256: Checksum of the label file, or None.
        shape: Native shape (Z, Y, X) in the canonical frame.
        spacing_mm: Native voxel spacing along (z, y, x).
        presence_runs: The labels in each fitted slice, from the lowest slice up, run by run:
            ``((12, ()), (30, (1,)))`` is 12 empty slices, then 30 with label 1. `UNLABELLED`
            stands for slices of which no pixel has a label, such as all of a case without mask.
        ignored: Whether a pixel of the fitted slices has no label (`IGNORE_LABEL`).
        voxels_per_label: Voxels of each class in the mask itself, background first; empty for a
            case without mask, and in records of earlier versions.
        ignored_voxels: Voxels of the mask that have no label.
    """

    case_id: str
    patient_id: str
    image: str
    mask: str | None
    image_sha256: str
    mask_sha256: str | None
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    presence_runs: tuple[tuple[int, tuple[int, ...]], ...]
    ignored: bool = False
    voxels_per_label: tuple[int, ...] = ()
    ignored_voxels: int = 0

    @property
    def slices(self) -> int:
        """Number of slices."""
        return sum(run for run, _ in self.presence_runs)

    @property
    def labels_per_slice(self) -> tuple[tuple[int, ...], ...]:
        """The foreground labels of every slice; an empty tuple where there is none.

        `UNLABELLED` where it is not known, as no pixel has a label.
        """
        return tuple(labels for run, labels in self.presence_runs for _ in range(run))

    def slices_with(self, label: int) -> int:
        """Number of slices in which `label` occurs."""
        return sum(run for run, labels in self.presence_runs if label in labels)

    @property
    def unlabelled_slices(self) -> int:
        """Number of slices of which no pixel has a label."""
        return sum(run for run, labels in self.presence_runs if labels == UNLABELLED)

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> "CaseRecord":
        """Reads what `dataclasses.asdict` wrote, after JSON made lists of the tuples.

        Raises:
            ValueError: If an entry is missing, unknown or of another type.
        """
        return typed(cls, facts)


@dataclass(frozen=True)
class Shard:
    """One TFRecord file: whole cases, each from its lowest slice up.

    Args:
        file: Name of the file in the records folder.
        split: The split it belongs to.
        case_ids: Its cases, in order.
        records: Number of slices.
        size_bytes: Size of the file.
        sha256: Checksum of the file.
    """

    file: str
    split: str
    case_ids: tuple[str, ...]
    records: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """All facts about a records folder; saved as ``manifest.json`` in it.

    Args:
        name: Name of the dataset.
        spec: The preprocessing; its geometry is already applied to the records, its window not.
        label_names: Name of every label value, ``"background"`` first.
        splits: Case ids of ``"train"``, ``"validation"`` and ``"test"``; one may be empty.
        cases: Every prepared case, in the source's order.
        shards: The TFRecord files.
        source_root: The folder that the volumes were read from.
        identity_affine: Axis codes assumed for files that state no orientation; None for
            `IDENTITY_AFFINE`.
        tfkd_version: The version that wrote the records.
        schema_version: Version of this layout.
        protocol: How to train on the records and how to score; kept by its name.
        target_labels: Label values of the source's masks that make the class 1 of the records;
            empty where each label is a class.
        ignored_label: Value in the source's masks of voxels that belong to no class, beside
            `IGNORE_LABEL`; the records hold `IGNORE_LABEL` there. None where there is none.
        left_out: What of the source was not prepared, files or cases, with the reason of each.
    """

    name: str
    spec: PreprocessSpec
    label_names: tuple[str, ...]
    splits: dict[str, tuple[str, ...]]
    cases: tuple[CaseRecord, ...]
    shards: tuple[Shard, ...]
    source_root: str
    identity_affine: str | None
    tfkd_version: str
    schema_version: int = SCHEMA_VERSION
    protocol: Protocol = WHOLE_VOLUME
    target_labels: tuple[int, ...] = ()
    ignored_label: int | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Number of classes, the background included."""
        return len(self.label_names)

    @property
    def facts(self) -> DataFacts:
        """What a network learns from these records: their preprocessing and their labels."""
        return DataFacts(self.spec, self.label_names)

    @property
    def case_id_length(self) -> int:
        """Bytes of the longest case id in UTF-8."""
        return max((len(case.case_id.encode()) for case in self.cases), default=0)

    def case(self, case_id: str | int) -> CaseRecord:
        """The case of this id, or of this number (``"7"``); `RecordError` if there is none."""
        name = select_case(case_id, tuple(case.case_id for case in self.cases))
        return next(case for case in self.cases if case.case_id == name)

    def cases_of(self, split: str) -> tuple[CaseRecord, ...]:
        """The cases of a split, in order.

        Raises:
            RecordError: If the split is unknown, or empty.
        """
        if split not in SPLITS:
            raise RecordError(f"split: expected one of {', '.join(SPLITS)}, received {split!r}.")
        wanted = set(self.splits[split])
        if not wanted:
            raise RecordError(
                f"split {split} of {self.name} is empty. Prepare the records with at least one "
                f"patient in it, or use another split."
            )
        return tuple(case for case in self.cases if case.case_id in wanted)

    def folds(self, count: int) -> tuple[tuple[str, ...], ...]:
        """The training cases in `count` parts, patients undivided.

        For teachers that are trained with one part left out each (`load(leave_out=...)`), so that
        every case has a teacher that did not see it. Cases without mask are in no part: a teacher,
        which learns from labels, sees none of them.

        Args:
            count: Number of parts, 2 up to the number of training patients with masks.

        Returns:
            Case ids of each part. Patients are dealt out in turn, in the manifest's order.

        Raises:
            RecordError: If the count is out of range, or the training split empty.
        """
        cases = [case for case in self.cases_of("train") if case.mask is not None]
        patients = list(dict.fromkeys(case.patient_id for case in cases))
        if not 2 <= count <= len(patients):
            raise RecordError(
                f"folds: expected 2 up to the {len(patients)} training patients, received {count}."
            )
        fold_of = {patient: k % count for k, patient in enumerate(patients)}
        return tuple(
            tuple(case.case_id for case in cases if fold_of[case.patient_id] == fold)
            for fold in range(count)
        )

    def shards_of(self, split: str) -> tuple[Shard, ...]:
        """The shards of a split, in order; none for an empty split."""
        return tuple(shard for shard in self.shards if shard.split == split)

    def slices_of(self, split: str) -> int:
        """Number of slices of a split; 0 for an empty one."""
        return sum(shard.records for shard in self.shards_of(split))

    def unlabelled_slices_of(self, split: str) -> int:
        """Number of a split's slices of which no pixel has a label; 0 for an empty split."""
        ids = set(self.splits[split])
        return sum(case.unlabelled_slices for case in self.cases if case.case_id in ids)

    def slices_per_label(self, split: str) -> dict[str, int]:
        """Number of a split's slices in which each foreground label occurs."""
        return {
            name: sum(case.slices_with(label) for case in self.cases_of(split))
            for label, name in enumerate(self.label_names)
            if label > 0
        }

    def label_counts(self, split: str) -> tuple[LabelCount, ...]:
        """How much of each label, background left out, is in the masks of a split.

        Args:
            split: ``"train"``, ``"validation"`` or ``"test"``.

        Returns:
            One count per foreground label, in the order of their values; of zeros for an empty
            split.

        Raises:
            RecordError: If the split is unknown.
        """
        if split not in SPLITS:
            raise RecordError(f"split: expected one of {', '.join(SPLITS)}, received {split!r}.")
        ids = set(self.splits[split])
        cases = [case for case in self.cases if case.case_id in ids]
        return tuple(
            count_label(label, name, cases)
            for label, name in enumerate(self.label_names)
            if label > 0
        )

    def case_files(
        self, split: str, source_root: str | Path | None = None, *, verify: bool = False
    ) -> list[CaseFiles]:
        """The volumes that a split was made from, for evaluation on whole volumes.

        Args:
            split: ``"train"``, ``"validation"`` or ``"test"``.
            source_root: Where the source lies now, if it was moved since.
            verify: Whether to compare each file's checksum with the one taken at `prepare`.

        Returns:
            The files of every case of the split that has a mask; there is nothing to compare with
            in the others.

        Raises:
            RecordError: If the split is empty, a file is gone, or (with `verify`) was changed.
        """
        root = Path(source_root if source_root is not None else self.source_root)
        files = []
        for case in self.cases_of(split):
            if case.mask is None:
                continue
            image, mask = root / case.image, root / case.mask
            for path, sha256 in ((image, case.image_sha256), (mask, case.mask_sha256)):
                if not path.is_file():
                    raise RecordError(
                        f"case {case.case_id}: {path} is gone. Expected the volumes that the "
                        f"records were made from; if they moved, pass `source_root` "
                        f"(--source) with their new folder."
                    )
                if verify and sha256_of(path) != sha256:
                    raise RecordError(
                        f"case {case.case_id}: {path} is no longer the file that the records "
                        f"were made from (its SHA-256 differs). Prepare the records again."
                    )
            how = (self.target_labels, self.ignored_label)
            files.append(CaseFiles(case.case_id, image, mask, case.patient_id, *how))
        return files

    def save(self, folder: str | Path) -> None:
        """Writes ``manifest.json`` into the folder."""
        facts = asdict(self) | {"spec": self.spec.to_dict(), "protocol": self.protocol.name}
        cases = [asdict(case) for case in self.cases]
        text = json.dumps(facts | {"cases": "@cases"}, indent=1)
        # One line a case: a cohort of 131 patients stays readable and small.
        lines = ",\n  ".join(json.dumps(case) for case in cases)
        with atomic_path(Path(folder) / MANIFEST_NAME) as path:
            path.write_text(text.replace('"@cases"', f"[\n  {lines}\n ]") + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "Manifest":
        """Reads the manifest of a records folder.

        Args:
            folder: The folder, or its ``manifest.json``.

        Raises:
            RecordError: If it is missing, is not a manifest of this schema version, or if a
                patient is in two splits.
        """
        path = Path(folder)
        path = path if path.name == MANIFEST_NAME else path / MANIFEST_NAME
        if not path.is_file():
            raise RecordError(
                f"{path} is missing. Expected a folder written by `tfkd prepare`; if a run was "
                f"interrupted, start the same command again and it will be finished."
            )
        facts = read_object(path)
        found = facts.get("schema_version")
        if type(found) is not int or found != SCHEMA_VERSION:
            raise RecordError(
                f"{path}: expected schema version {SCHEMA_VERSION}, received {found!r}. "
                f"Prepare the records again with this version of tfkd."
            )
        try:
            protocol = PROTOCOLS[facts.get("protocol", WHOLE_VOLUME.name)]
            spec = _read_spec(facts["spec"])
            manifest = typed(cls, facts, {"spec": spec, "protocol": protocol})
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RecordError(
                f"{path}: not a complete manifest ({type(error).__name__}: {error}). "
                f"Prepare the records again."
            ) from error
        try:
            manifest.check()
        except RecordError as error:
            raise RecordError(f"{path}: {error}") from error
        return manifest

    def check(self) -> None:
        """Raises a `RecordError` if splits, cases and shards contradict each other."""
        self._check_cases()
        patient_of = {case.case_id: case.patient_id for case in self.cases}
        listed: Sequence[str] = [case_id for ids in self.splits.values() for case_id in ids]
        if sorted(listed) != sorted(case.case_id for case in self.cases):
            raise RecordError(
                f"manifest of {self.name}: expected every case in exactly one split, received "
                f"{len(self.cases)} cases and {len(listed)} entries in splits. Prepare again."
            )
        check_no_leakage(self.splits, patient_of)
        self._check_masks()
        slices = {case.case_id: case.slices for case in self.cases}
        for shard in self.shards:
            unknown = [case_id for case_id in shard.case_ids if case_id not in slices]
            if unknown or shard.split not in SPLITS or Path(shard.file).name != shard.file:
                raise RecordError(
                    f"manifest of {self.name}: shard {shard.file!r} of the split {shard.split!r} "
                    f"holds {', '.join(unknown[:3]) or 'known cases'}. Expected a file of the "
                    f"folder, a split, and its cases. Prepare again."
                )
            if sum(slices[case_id] for case_id in shard.case_ids) != shard.records:
                raise RecordError(
                    f"manifest of {self.name}: shard {shard.file} and its cases differ in their "
                    f"number of slices. Prepare again."
                )

    def _check_cases(self) -> None:
        """Each case has a place in space, and only labels that have names."""
        if set(self.splits) != set(SPLITS):
            raise RecordError(
                f"manifest of {self.name}: expected the splits {', '.join(SPLITS)}, received "
                f"{', '.join(self.splits)}. Prepare again."
            )
        known = {*range(self.num_classes), *UNLABELLED}
        for case in self.cases:
            held = {label for _, labels in case.presence_runs for label in labels}
            runs = [run for run, _ in case.presence_runs]
            sizes = (*case.shape, *case.spacing_mm, *runs)
            counts = (*case.voxels_per_label, case.ignored_voxels)
            if (
                not held <= known
                or min(sizes) <= 0
                or min(counts) < 0
                or len(case.voxels_per_label) not in (0, self.num_classes)
            ):
                raise RecordError(
                    f"manifest of {self.name}: case {case.case_id}: expected labels below "
                    f"{self.num_classes}, and sizes above 0. Received the labels {sorted(held)}, "
                    f"the shape {case.shape}, the spacing {case.spacing_mm} mm and counts of "
                    f"{case.voxels_per_label}. Prepare again."
                )

    def _check_masks(self) -> None:
        """Cases without mask are trained on alone, and lie nowhere else under another name."""
        unlabelled = {case.case_id: case for case in self.cases if case.mask is None}
        trained_on = set(self.splits["train"])
        if not set(unlabelled) <= trained_on:
            wrong = sorted(set(unlabelled) - trained_on)
            raise RecordError(
                f"manifest of {self.name}: case {', '.join(wrong)} has no mask and is not in the "
                f"training split. Expected masks of all validation and test cases. Prepare again."
            )
        held_out = {
            case.image_sha256: case.case_id for case in self.cases if case.case_id not in trained_on
        }
        for case in unlabelled.values():
            if case.image_sha256 in held_out:
                raise RecordError(
                    f"case {case.case_id} without mask: {case.image} is the CT of "
                    f"{held_out[case.image_sha256]}, which is a validation or test case. Expected "
                    f"other patients; remove the file from the unlabelled CT."
                )


def _read_spec(facts: Any) -> PreprocessSpec:
    """A spec with every entry; a default, which `from_dict` fills in, would be a guess here."""
    for entry in fields(PreprocessSpec):
        # `field_size` stands there only if it is set.
        if isinstance(facts, dict) and entry.name not in (*facts, "field_size"):
            raise ValueError(f"'spec': the entry {entry.name!r} is missing")
    return PreprocessSpec.from_dict(facts)
