"""`tfkd bundle`: model, contract and model card as one thing to pass on."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd.cli.config import ConfigError, option, write_config
from tfkd.cli.run_record import RUN_RECORD_NAME
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.cli.training import MODEL_NAME
from tfkd.files import parse_json
from tfkd.volumes import DataFacts, sha256_of

if TYPE_CHECKING:
    from tfkd.evaluation import Evaluation

SUMMARY = "Put a model, its contract and a model card into one folder or .zip."
EXAMPLE = "tfkd bundle student.tflite student.zip --records records/lits --evaluation runs/lits"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd bundle`."""

    model: Path = option("model file, .tflite, with its contract beside it; or another bundle")
    out: Path = option("bundle to write: a name ending in .zip for an archive, else a folder")
    records: Path | None = option(
        "records the student was trained on, for the card", flag="-r", default=None
    )
    evaluation: Path | None = option(
        "scores for the card: what `tfkd evaluate` wrote, .json or .csv, or the folder of it",
        default=None,
    )
    student: Path | None = option(
        "student that was exported, .keras, or its folder: its run.json is read for the card",
        default=None,
    )
    intended_use: str | None = option("for the card, in your words", default=None)
    limits: tuple[str, ...] = option(
        "sentences for the card, besides those that hold for every model", default=()
    )
    overwrite: bool = option("replace the bundle if it is there", default=False)


def run(config: Config) -> None:
    """Gathers what there is, writes the bundle, and says what the card does not know."""
    start_tensorflow()
    from tfkd.export import write_bundle
    from tfkd.records import Manifest

    manifest = None if config.records is None else Manifest.load(config.records)
    record = None if config.student is None else _run_record(config.student, config.records)
    if config.student is not None:
        _check_student(config.student, config.model)
    evaluation = None
    if config.evaluation is not None:
        evaluation = _evaluation(config.evaluation, config.model)
    out = write_bundle(
        config.model,
        config.out,
        manifest=manifest,
        evaluation=evaluation,
        run=record,
        intended_use=config.intended_use,
        limits=config.limits,
        overwrite=config.overwrite,
    )
    # Beside the bundle and never in it: the settings hold paths of this machine. The whole name,
    # so that those of the export, `student.config.toml` beside `student.tflite`, stay.
    settings = Path(os.path.abspath(out))  # a link keeps its own name
    write_config(config, "bundle", settings.with_name(f"{settings.name}.bundle.config.toml"))
    given = {
        "data (--records)": manifest,
        "scores (--evaluation)": evaluation,
        "training (--student)": record,
        "intended use (--intended-use)": config.intended_use,
    }
    if missing := [what for what, value in given.items() if value is None]:
        print(f"the card says unknown of: {', '.join(missing)}")
    print(out)


def _check_student(student: Path, model: Path) -> None:
    """Compares what the student was trained on with the contract of what was exported."""
    from tfkd.inference import Contract, open_bundle
    from tfkd.models.network_file import read_facts

    path = student / MODEL_NAME if student.is_dir() else student
    own = read_facts(path) if path.is_file() else None
    if own is None:
        return
    with open_bundle(model) as file:
        contract = Contract.load(file)
    facts = DataFacts(contract.spec, contract.label_names)
    if own != facts:
        raise ConfigError(
            f"{path}: expected the student that {model} was exported from, received one that was "
            f"trained with {'; '.join(own.differences(facts))}. Give the student of this file, or "
            "export the student again."
        )


def _run_record(student: Path, records: Path | None) -> dict[str, Any]:
    """The run.json of a student."""
    folder = student if student.is_dir() else student.parent
    path = folder / RUN_RECORD_NAME
    if not path.is_file():
        raise ConfigError(
            f"{path}: expected the record of the student's training, found none. Give the folder "
            "that `tfkd train` or `tfkd distill` wrote, or leave --student out."
        )
    try:
        record = parse_json(path.read_bytes())
        made_from = record.get("manifest_sha256")
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: expected the record of a training, but {error}.") from error
    if records is not None and made_from != sha256_of(records / "manifest.json"):
        raise ConfigError(
            f"{records}: expected the records that {path} names, received others (the SHA-256 of "
            "manifest.json differs). Give those that the student was trained on."
        )
    return record


def _evaluation(path: Path, model: Path) -> "Evaluation":
    """The scores in a file, or of this model in a folder."""
    from tfkd.evaluation import Evaluation
    from tfkd.inference import open_bundle

    if not path.is_dir():
        return Evaluation.load(path.with_suffix(".json") if path.suffix == ".csv" else path)
    with open_bundle(model) as file:
        there = file.is_file()
        size_bytes = file.stat().st_size if there else None
        sha256 = sha256_of(file) if there else None
    found = [Evaluation.load(one) for one in sorted(path.glob("*.json"))]
    of_model = [one for one in found if there and one.model.sha256 == sha256]
    if not of_model:
        # Evaluations from before the SHA-256 was kept; the card says that they prove nothing.
        of_model = [
            one
            for one in found
            if one.model.sha256 is None
            and one.model.file_bytes == size_bytes
            and str(one.model.file).endswith(".tflite")
        ]
    if len(of_model) != 1:
        raise ConfigError(
            f"{path}: expected one evaluation of {model}, received {len(of_model)} (and "
            f"{len(found) - len(of_model)} of other models). Give the .json file of the one that "
            "is meant, or make it with `tfkd evaluate`."
        )
    return of_model[0]
