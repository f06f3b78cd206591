"""`tfkd compare`: methods against each other, over students and seeds."""

import dataclasses
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tfkd.cli.config import ConfigError, config_path, option, write_config
from tfkd.cli.progress import progress_bar
from tfkd.cli.tensorflow_start import start_tensorflow

SUMMARY = "Compare distillation methods: train what a plan asks for, and write one table."
EXAMPLE = "tfkd compare study.toml --out runs/study --rows study/rows.jsonl"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd compare`."""

    plan: Path = option("plan: TOML, or Python that defines `plan = tfkd.comparison.Plan(...)`")
    out: Path | None = option(
        "folder of the runs; when left out, runs/ and the name of the plan, or of its folder for a "
        "file called plan",
        default=None,
        flag="-o",
    )
    rows: Path | None = option(
        "file of finished runs, to be kept and committed; the table lies beside it; rows.jsonl in "
        "the folder of the runs when left out",
        default=None,
    )
    records: Path | None = option("folder of the records, if not the plan's", default=None)
    source: Path | None = option("folder of the volumes, if it has moved", default=None)
    only: tuple[str, ...] = option(
        "students whose runs are made now; all when left out", default=()
    )
    dry_run: bool = option("say what is done, what would run and how long", default=False)
    table: bool = option("write the table of the rows that there are, and no more", default=False)


def run(config: Config) -> None:
    """Makes what is missing, and prints the table."""
    from tfkd.comparison import Study, read_plan
    from tfkd.comparison.plan.plan_file import naming_plan
    from tfkd.comparison.table.markdown import markdown_table

    if config.dry_run and config.table:
        raise ConfigError("dry_run and table: expected one of the two at most, received both.")
    plan = read_plan(config.plan)
    for name in ("records", "source"):
        if (path := getattr(config, name)) is not None:
            plan = dataclasses.replace(plan, **{name: path})
    start_tensorflow()
    out = config.out or Path("runs") / _name_of(config.plan)
    verbose: str | int = "auto" if sys.stdout.isatty() else 2
    with naming_plan(config.plan):
        study = Study(
            plan, out, config.rows, only=config.only, verbose=verbose, progress_bar=progress_bar
        )
        if config.dry_run:
            print("\n".join(study.outlook()))
            return
        if not config.table:
            out.mkdir(parents=True, exist_ok=True)
            write_config(config, "compare", config_path(out))
            study.run()
    paths = study.write_table()
    print(markdown_table(study.table()))
    print("\n".join(map(str, paths)))


def _name_of(plan: Path) -> str:
    """A plan's name: that of its folder for a file called `plan`, as many a folder has one."""
    return Path(os.path.abspath(plan)).parent.name if plan.stem == "plan" else plan.stem
