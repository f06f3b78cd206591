"""`tfkd report`: everything a run measured, in one HTML file."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.cli.config import config_path, option, write_config
from tfkd.errors import RecordError

SUMMARY = "Set the evaluated models of a run side by side in one HTML file."
EXAMPLE = "tfkd report runs/lits --records records/lits"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd report`."""

    run: Path = option(
        "folder of a run: its evaluation/*.json, */history.csv and */config.toml are shown"
    )
    out: Path | None = option(
        "file to write; RUN/report.html when left out", flag="-o", default=None
    )
    records: Path | None = option("records of the run; RUN/records when left out", default=None)
    source: Path | None = option("folder of the volumes, if it has moved", default=None)
    split: str = option("patients that were scored", default="test")
    title: str = option("heading of the page", default="Distillation report")


def run(config: Config) -> None:
    """Writes the report, prints the table and where the report is."""
    from tfkd.evaluation import Evaluation
    from tfkd.records import Manifest
    from tfkd.report import format_table, write_report
    from tfkd.volumes import sha256_of

    evaluations = [Evaluation.load(path) for path in sorted(config.run.glob("evaluation/*.json"))]
    if not evaluations:
        raise RecordError(
            f"{config.run / 'evaluation'}: expected the scores of at least one model, found none. "
            "Write them with `tfkd evaluate MODEL RECORDS -o RUN/evaluation/NAME.json`."
        )
    records = config.records or config.run / "records"
    manifest = Manifest.load(records)
    histories = {_run_name(path): path for path in sorted(config.run.glob("*/history.csv"))}
    provenance: dict[str, Any] = {
        "Data": {
            "source": manifest.name,
            "patients": ", ".join(f"{len(ids)} {name}" for name, ids in manifest.splits.items()),
            "manifest sha256": sha256_of(records / "manifest.json"),
        }
    }
    for path in sorted(config.run.glob("*/config.toml")):
        settings = tomllib.loads(path.read_text("utf-8"))
        provenance[f"Settings of {_run_name(path)}"] = {k: _named(v) for k, v in settings.items()}
    out = write_report(
        config.out or config.run / "report.html",
        evaluations,
        title=config.title,
        histories=histories,
        cases=manifest.case_files(config.split, config.source),
        provenance=provenance,
        window_hu=manifest.spec.window_hu,
        identity_affine=manifest.identity_affine,
    )
    write_config(config, "report", config_path(out))
    print(format_table(evaluations))
    print(out)


def _named(value: Any) -> Any:
    """A path by its name alone: the report is passed on, the folders of its maker are not."""
    return Path(value).name if isinstance(value, str) and os.sep in value else value


def _run_name(path: Path) -> str:
    return path.parent.name.replace("_", " ")
