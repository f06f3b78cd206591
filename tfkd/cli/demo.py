"""`tfkd demo`: the whole way, from CT volumes to the report."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkd.cli import distill, evaluate, export, prepare, report, train
from tfkd.cli.config import ConfigError, config_path, option, read_config, write_config
from tfkd.cli.progress import progress_bar
from tfkd.cli.training import MODEL_NAME
from tfkd.report import Role

SUMMARY = (
    "Go the whole way on made-up patients, or on your own: prepare, train, distil, export, report."
)
EXAMPLE = "tfkd demo --out runs/lits --data data/lits17"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd demo`."""

    out: Path = option("folder of the run; an interrupted run goes on from there", flag="--out")
    data: Path | None = option("folder of CT volumes; made-up patients when left out", default=None)
    patients: int = option("made-up patients", default=28)
    size: int = option("rows and columns of a slice", default=128)
    teacher: str = option("teacher network", default="RAUNet")
    teacher_width: float = option("factor on the teacher's channels", default=0.5)
    teacher_epochs: int = option("epochs of the teacher", default=8)
    student: str = option("student network", default="MobileNetV2")
    student_width: float = option("factor on the student's channels", default=0.25)
    student_epochs: int = option("epochs of each student", default=8)
    steps_per_epoch: int = option("steps of an epoch", default=40)
    validation_cases: tuple[str, ...] = option("validation patients by name", default=())
    test_cases: tuple[str, ...] = option("test patients by name", default=())
    min_agreement: float | None = option(
        "smallest share of pixels on which a file must give the label that Keras gives, 0 to 1; "
        "0.999, or 0.99 for int8, when left out",
        default=None,
    )
    seed: int = option("seed of everything random", default=0)


def run(config: Config) -> None:
    """Runs every step that is not done yet, and ends with the table and the report's path."""
    start = time.monotonic()
    out = config.out
    _check_same_run(config)
    out.mkdir(parents=True, exist_ok=True)
    write_config(config, "demo", config_path(out))
    records = out / "records"
    if not (records / "manifest.json").exists():
        _step("CT volumes to records")
        prepare.run(_prepare_config(config, _source(config)))
    models = {name: out / name for name in ("teacher", "plain_student", "distilled_student")}
    _train(config, models)
    _export_and_evaluate(config, models)
    _step("Report")
    report.run(report.Config(run=out, title=f"Distillation report: {_describe(config)}"))
    print(f"done in {(time.monotonic() - start) / 60:.1f} minutes")


def _check_same_run(config: Config) -> None:
    """Refuses to go on with a run that was begun with other settings: half of it would have them.

    Raises:
        ConfigError: Naming the settings.
    """
    begun_with = config.out / "config.toml"
    if not (begun_with.exists() and (config.out / "records").exists()):
        return
    begun = read_config(Config, "demo", {"config": begun_with})
    # A file that was not exported for lack of agreement may be tried again with less.
    fixed = [f.name for f in dataclasses.fields(Config) if f.name not in ("out", "min_agreement")]
    other = [
        f"{name} {getattr(begun, name)}, not {getattr(config, name)}"
        for name in fixed
        if getattr(begun, name) != getattr(config, name)
    ]
    if other:
        raise ConfigError(
            f"{config.out}: holds a run with other settings: {'; '.join(other)}. Go on with "
            f"tfkd demo --config {begun_with}, or choose another --out."
        )


def _source(config: Config) -> Path:
    """Folder of the volumes; without one, phantoms are made."""
    if config.data is not None:
        return config.data
    from tfkd.volumes import write_phantom_cohort

    with progress_bar("phantoms") as progress:
        return write_phantom_cohort(
            config.out / "phantoms",
            config.patients,
            seed=config.seed,
            shape_zyx=(24, config.size, config.size),
            progress=progress,
        )


def _prepare_config(config: Config, source: Path) -> prepare.Config:
    return prepare.Config(
        source=source,
        out=config.out / "records",
        size=(config.size, config.size),
        validation_cases=config.validation_cases,
        test_cases=config.test_cases,
        seed=config.seed,
    )


def _train(config: Config, models: dict[str, Path]) -> None:
    """Teacher, plain student and distilled student; both students alike but for the teacher."""
    records, steps = config.out / "records", config.steps_per_epoch
    if _open(models["teacher"], f"Teacher: {config.teacher}"):
        train.run(
            train.Config(
                records,
                models["teacher"],
                network=config.teacher,
                width=config.teacher_width,
                epochs=config.teacher_epochs,
                steps_per_epoch=steps,
                seed=config.seed,
            )
        )
    if _open(models["plain_student"], f"Plain student: {config.student}, without the teacher"):
        train.run(
            train.Config(
                records,
                models["plain_student"],
                network=config.student,
                width=config.student_width,
                epochs=config.student_epochs,
                steps_per_epoch=steps,
                seed=config.seed,
            )
        )
    if _open(models["distilled_student"], f"Distilled student: {config.student}, as many epochs"):
        distill.run(
            distill.Config(
                records,
                models["distilled_student"],
                models["teacher"] / MODEL_NAME,
                network=config.student,
                width=config.student_width,
                epochs=config.student_epochs,
                steps_per_epoch=steps,
                seed=config.seed,
            )
        )


def _open(folder: Path, title: str) -> bool:
    """Whether a training is still to be done; says so."""
    if (folder / MODEL_NAME).exists():
        return False
    _step(title)
    return True


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
        if not path.with_suffix(".json").exists():
            _step(f"Export: {quantization}")
            settings = export.Config(student, path, records, quantization=quantization)
            export.run(dataclasses.replace(settings, min_agreement=config.min_agreement))
        rows[f"{quantization} file"] = (path, quantization)
    parameters = None
    for name, (model, role) in rows.items():
        scores = config.out / "evaluation" / f"{role}.json"
        if not scores.exists():
            _step(f"Evaluate: {name}")
            row = evaluate.Config(model, records, scores, name=name, role=role)
            evaluate.run(dataclasses.replace(row, parameters=parameters))
        if role == "distilled":
            parameters = _parameters(scores)


def _parameters(scores: Path) -> int | None:
    from tfkd.report import Evaluation

    return Evaluation.load(scores).model.parameters


def _describe(config: Config) -> str:
    source = "phantoms" if config.data is None else config.data.name
    return f"{config.teacher} to {config.student} on {source}"


def _step(text: str) -> None:
    print(f"\n== {text}", flush=True)
