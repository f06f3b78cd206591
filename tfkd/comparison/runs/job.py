"""The runs that a plan asks for, each with an identity that says what its result depends on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfkd.comparison.plan.method import PLAIN, Method
from tfkd.comparison.plan.plan_network import Network
from tfkd.comparison.plan.settings import Settings
from tfkd.comparison.runs.teacher_records import teacher_manifest
from tfkd.volumes import WHOLE_VOLUME

if TYPE_CHECKING:
    from tfkd.comparison.plan.plan import Plan
    from tfkd.records import Manifest

__all__ = ["Job", "digest", "jobs_of", "records_identity"]

Kind = Literal["teacher", "plain", "distilled"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training and its scores: a row of the rows file.

    Attributes:
        kind: Whether a teacher, a student without one, or a student with one.
        network: What is trained.
        method: The method; None for a teacher or a plain student.
        teachers: The teachers' names.
        seed: Seed of the training.
        identity: SHA-256 of all that determines the result, as far as a plan can say.
        taught_by: Jobs of the teachers.
        exports: Whether an int8 file is made and measured.
    """

    kind: Kind
    network: Network
    method: Method | None
    teachers: tuple[str, ...]
    seed: int
    identity: str
    taught_by: "tuple[Job, ...]" = field(default=(), repr=False)
    exports: bool = False

    @property
    def settings(self) -> Settings:
        """How it is trained."""
        settings = self.network.settings
        if self.method is not None and self.method.cache_teacher is not None:
            return replace(settings, cache_teacher=self.method.cache_teacher)
        return settings

    @property
    def method_name(self) -> str:
        """Name of the method; that of a plain student, or of nothing for a teacher."""
        if self.kind == "teacher":
            return "teacher"
        return PLAIN if self.method is None else self.method.name

    @property
    def group(self) -> tuple[str, str, str, str]:
        """What the rows of all seeds have in common: kind, network, method, teachers."""
        return (self.kind, self.network.name, self.method_name, "+".join(self.teachers))

    @property
    def folder(self) -> Path:
        """Where its files lie, below the folder of the comparison.

        The identity is part of the name, so that runs of changed settings lie beside each other.
        """
        last = f"seed_{self.seed}-{self.identity[:8]}"
        if self.kind == "teacher":
            return Path("teachers") / self.network.name / last
        return Path("runs") / self.network.name / self.method_name / last

    @property
    def title(self) -> str:
        """The run in words: `enet ← raunet, emkd, seed 1`."""
        if self.kind == "teacher":
            return f"teacher {self.network.name}"
        taught = f" ← {' + '.join(self.teachers)}" if self.teachers else ""
        return f"{self.network.name}{taught}, {self.method_name}, seed {self.seed}"


def jobs_of(plan: "Plan", manifest: "Manifest") -> list[Job]:
    """All runs of a plan: the teachers', then seed by seed the students'.

    Args:
        plan: The plan.
        manifest: Manifest of its records.

    Raises:
        PlanError: If a teacher's file is missing or its records do not fit, or a method cannot be
            built.
    """
    data = {"version": 1, "revision": plan.revision, "records": records_identity(manifest)}
    teachers = {
        name: _teacher_job(_for_protocol(one, manifest), data | _teachers_data(one, manifest))
        for name, one in plan.teachers.items()
    }
    students = [_for_protocol(one, manifest) for one in plan.students.values()]
    methods = {name: (one, one.identity()) for name, one in plan.methods.items()}
    jobs = list(teachers.values())
    for seed in plan.seeds:
        exports = plan.export == "all" or (plan.export == "first" and seed == plan.seeds[0])
        for student in students:
            facts = data | {"kind": "student", "seed": seed}
            plain = facts | student.identity()
            common: dict[str, Any] = {"network": student, "seed": seed, "exports": exports}
            jobs.append(
                Job(kind="plain", method=None, teachers=(), identity=digest(plain), **common)
            )
            for method, said in methods.values():
                for names in plan.teachers_of(method):
                    taught_by = tuple(teachers[name] for name in names)
                    job = Job(
                        kind="distilled",
                        method=method,
                        teachers=names,
                        identity="",
                        taught_by=taught_by,
                        **common,
                    )
                    own = replace(student, settings=job.settings).identity(distilled=True)
                    ids = [one.identity for one in taught_by]
                    identity = digest(facts | own | {"method": said, "teachers": ids})
                    jobs.append(replace(job, identity=identity))
    return jobs


def _for_protocol(network: Network, manifest: "Manifest") -> Network:
    return replace(network, settings=network.settings.for_protocol(manifest.protocol))


def _teachers_data(teacher: Network, manifest: "Manifest") -> dict[str, Any]:
    """Records of a teacher's own, and whom its row is scored on if that does not follow."""
    if teacher.records is None:
        return {}
    own = teacher_manifest(teacher, manifest)
    facts: dict[str, Any] = {"records": records_identity(own)}
    if _scored_on(own) != _scored_on(manifest):
        facts["scored_on"] = _scored_on(manifest)
    return facts


def _scored_on(manifest: "Manifest") -> list[list[str | None]]:
    cases = map(manifest.case, manifest.splits["test"])
    return [[case.case_id, case.image_sha256, case.mask_sha256] for case in cases]


def _teacher_job(network: Network, data: Mapping[str, Any]) -> Job:
    facts = {**data, "kind": "teacher", **network.identity()}
    if network.file is None:
        facts["seed"] = network.seed
    return Job(
        kind="teacher",
        network=network,
        method=None,
        teachers=(),
        seed=network.seed,
        identity=digest(facts),
    )


def records_identity(manifest: "Manifest") -> str:
    """SHA-256 of what records hold, wherever they lie and whichever machine has made them.

    Args:
        manifest: Their manifest. The source's folder, the names of files and the shards, whose
            bytes may differ from machine to machine, play no part.
    """
    cases = [
        {
            "case": case.case_id,
            "patient": case.patient_id,
            "image": case.image_sha256,
            "mask": case.mask_sha256,
            "presence": case.presence_runs,
        }
        for case in manifest.cases
    ]
    facts: dict[str, Any] = {
        "spec": manifest.spec.to_dict(),
        "labels": manifest.label_names,
        "splits": manifest.splits,
        "identity_affine": manifest.identity_affine,
        "cases": cases,
    }
    # What came later is left out at its default, so that the rows made before keep their identity.
    if manifest.protocol != WHOLE_VOLUME:
        facts["protocol"] = manifest.protocol.name
    if manifest.target_labels:
        facts["target_labels"] = manifest.target_labels
    if manifest.ignored_label is not None:
        facts["ignored_label"] = manifest.ignored_label
    return digest(facts)


def digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 of facts that JSON can hold, whatever the order of their keys."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def settings_of(job: Job) -> dict[str, Any]:
    """The job's settings, for its row: names and numbers, no paths."""
    network = job.network
    if network.file is not None:
        return {"file": Path(network.file).name}
    return {
        "network": network.network,
        "width": network.width,
        **({"options": network.options_with(lambda file: file.name)} if network.options else {}),
        **({"records": Path(network.records).name} if network.records else {}),
        **job.settings.values,
    }
