"""`tfkd demo`: the whole way, from CT volumes to the report."""

import dataclasses
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfkd.cli import distill, evaluate, export, prepare, report, train
from tfkd.cli.config import (
    ConfigError,
    DependentDefaults,
    check_same_settings,
    config_path,
    option,
    write_config,
)
from tfkd.cli.distill import EARLIER_METHOD_NAMES, MethodName
from tfkd.cli.progress import progress_bar
from tfkd.cli.training import MODEL_NAME
from tfkd.evaluation import Role
from tfkd.records import Manifest, find_source

SUMMARY = (
    "Go the whole way on made-up patients, or on your own: prepare, train, distil, export, report."
)
_SHARES: dict[str, Any] = {"validation": 0.1, "test": 0.2}  # where a cohort lists no cases
EXAMPLE = "tfkd demo --out runs/lits --data data/lits17"


@dataclass(frozen=True)
class Config(DependentDefaults):
    """Settings of `tfkd demo`."""

    out: Path = option("folder of the run; an interrupted run goes on from there", flag="--out")
    data: Path | None = option("folder of CT volumes; made-up patients when left out", default=None)
    patients: int = option("made-up patients", default=48)
    size: int = option("rows and columns of a slice", default=96)
    teacher: str = option("teacher network", default="UNet")
    teacher_width: float = option("factor on the teacher's channels", default=0.2)
    teacher_epochs: int = option("epochs of the teacher", default=8)
    student: str = option("student network", default="UNet")
    student_width: float = option("factor on the student's channels", default=0.0625)
    student_epochs: int = option("epochs of each student", default=8)
    student_learning_rate: float = option("learning rate of both students", default=1e-2)
    steps_per_epoch: int = option("steps of an epoch", default=50)
    student_masks: float = option(
        "share of the training patients whose masks the students get, above 0 to 1; the teacher, "
        "as if from elsewhere, has all masks, and it teaches on all CT. 1 with --data",
        default=0.15,
    )
    method: MethodName = option(
        "method of `tfkd.methods`, with its weights",
        default="overlap_kd",
        earlier_names=EARLIER_METHOD_NAMES,
    )
    validation: float | None = option(
        "share of patients for validation; when left out, the cases that dataset.json lists for "
        "it, or 0.1 of the patients",
        default=None,
    )
    test: float | None = option("share of patients for the test; likewise, or 0.2", default=None)
    validation_cases: tuple[str, ...] = option("validation patients by name", default=())
    test_cases: tuple[str, ...] = option("test patients by name", default=())
    min_agreement: float | None = option(
        "smallest share of pixels on which a file must give the label that Keras gives, 0 to 1; "
        "0.999, or 0.99 for int8, when left out",
        default=None,
    )
    seed: int = option("seed of everything random", default=0)

    @classmethod
    def defaults_for(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Of a cohort of one's own, every mask is used."""
        return {"student_masks": 1.0} if settings.get("data") else {}


def run(config: Config) -> None:
    """Runs every step that is not done yet, and ends with the table and the report's path."""
    start = time.monotonic()
    out = config.out
    if not 0 < config.student_masks <= 1:
        raise ConfigError(
            f"student_masks: expected a share above 0, up to 1, received {config.student_masks}."
        )
    lists: dict[str, tuple[str, ...]] = {}
    if config.data is not None:
        found = find_source(config.data)  # an error before anything is written
        lists = {"validation": found.validation_cases, "test": found.test_cases}
    shares = {
        split: share
        for split, share in _SHARES.items()
        if getattr(config, split) is None and not lists.get(split)
    }
    config = dataclasses.replace(config, **shares)
    if (out / "records").exists():
        # A file that was not exported for lack of agreement may be tried again with less.
        check_same_settings(config, "demo", out, free=("out", "min_agreement"))
    out.mkdir(parents=True, exist_ok=True)
    write_config(config, "demo", config_path(out))
    folders = {out / "records": 1.0, _student_records(config): config.student_masks}
    missing = [folder for folder in folders if not (folder / "manifest.json").exists()]
    if missing:
        _step("CT volumes to records")
        source = _source(config)
        for folder in missing:
            prepare.run(_prepare_config(config, source, folder, folders[folder]))
    models = {name: out / name for name in ("teacher", "plain_student", "distilled_student")}
    _train(config, models)
    _export_and_evaluate(config, models)
    _step("Report")
    report.run(report.Config(run=out, title=f"Distillation report: {_describe(config)}"))
    print(f"done in {(time.monotonic() - start) / 60:.1f} minutes")


def _source(config: Config) -> Path:
    """Folder of the volumes; without one, phantoms are made."""
    if config.data is not None:
        return config.data
    from tfkd.phantom import write_phantom_cohort

    with progress_bar("phantoms") as progress:
        return write_phantom_cohort(
            config.out / "phantoms",
            config.patients,
            seed=config.seed,
            shape_zyx=(24, config.size, config.size),
            progress=progress,
        )


def _student_records(config: Config) -> Path:
    """The teacher's records, but for masks that the students do not get."""
    return config.out / ("records" if config.student_masks == 1 else "student_records")


def _prepare_config(config: Config, source: Path, out: Path, masks: float) -> prepare.Config:
    return prepare.Config(
        source=source,
        out=out,
        masks=masks,
        size=(config.size, config.size),
        validation=config.validation,
        test=config.test,
        validation_cases=config.validation_cases,
        test_cases=config.test_cases,
        seed=config.seed,
    )


def _train(config: Config, models: dict[str, Path]) -> None:
    """Teacher, plain and distilled student; the latter has the teacher, and CT without masks."""
    shared: dict[str, Any] = {
        "steps_per_epoch": config.steps_per_epoch,
        "seed": config.seed,
    }
    student = shared | {
        "records": _student_records(config),
        "network": config.student,
        "width": config.student_width,
        "epochs": config.student_epochs,
        "learning_rate": config.student_learning_rate,
    }
    teacher = models["teacher"] / MODEL_NAME
    if not teacher.exists():
        _step(f"Teacher: {config.teacher}")
        train.run(
            train.Config(
                records=config.out / "records",
                out=models["teacher"],
                network=config.teacher,
                width=config.teacher_width,
                epochs=config.teacher_epochs,
                **shared,
            )
        )
    if not (models["plain_student"] / MODEL_NAME).exists():
        _step(f"Plain student: {config.student}, without the teacher")
        train.run(train.Config(out=models["plain_student"], **student))
    if not _is_newer(models["distilled_student"] / MODEL_NAME, teacher):
        _step(f"Distilled student: {config.student}, for as many epochs, with the teacher")
        if (models["distilled_student"] / MODEL_NAME).exists():  # of an older teacher
            shutil.rmtree(models["distilled_student"])
        distill.run(
            distill.Config(
                out=models["distilled_student"],
                teacher=(teacher,),
                method=config.method,
                **student,
            )
        )


def _is_newer(target: Path, source: Path) -> bool:
    """Whether a result is there and younger than what it was made from."""
    return target.exists() and target.stat().st_mtime >= source.stat().st_mtime


def _export_and_evaluate(config: Config, models: dict[str, Path]) -> None:
    """The five rows of the table, each from its file."""
    records, student = config.out / "records", models["distilled_student"] / MODEL_NAME
    rows: dict[str, tuple[Path, Role]] = {
        "teacher": (models["teacher"] / MODEL_NAME, "teacher"),
        "plain student": (models["plain_student"] / MODEL_NAME, "plain"),
        "distilled student": (student, "distilled"),
    }
    formats: tuple[Literal["float32", "int8"], ...] = ("float32", "int8")
    for quantization in formats:
        path = config.out / "export" / f"student_{quantization}.tflite"
        if not _is_newer(path.with_suffix(".json"), student):
            _step(f"Export: {quantization}")
            calibration = _student_records(config)
            settings = export.Config(student, path, calibration, quantization=quantization)
            export.run(dataclasses.replace(settings, min_agreement=config.min_agreement))
        rows[f"{quantization} file"] = (path, quantization)
    parameters = None
    for name, (model, role) in rows.items():
        scores = config.out / "evaluation" / f"{role}.json"
        if not _is_newer(scores, model):
            _step(f"Evaluate: {name}")
            row = evaluate.Config(model, records, scores, name=name, role=role)
            evaluate.run(dataclasses.replace(row, parameters=parameters))
        if role == "distilled":
            parameters = _parameters(scores)


def _parameters(scores: Path) -> int | None:
    from tfkd.evaluation import Evaluation

    return Evaluation.load(scores).model.parameters


def _describe(config: Config) -> str:
    source = "phantoms" if config.data is None else config.data.name
    cases = Manifest.load(_student_records(config)).cases_of("train")
    kept = sum(case.mask is not None for case in cases)
    masks = "" if kept == len(cases) else f", students with {kept} of {len(cases)} masks"
    return f"{config.teacher} to {config.student} on {source}{masks}"


def _step(text: str) -> None:
    print(f"\n== {text}", flush=True)
