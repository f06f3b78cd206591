"""`tfkd prepare`: CT volumes to records."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkd.cli.config import config_path, option, write_config
from tfkd.cli.progress import progress_bar
from tfkd.cli.tensorflow_start import start_tensorflow

SUMMARY = "Write CT volumes and masks as TFRecords of slices, split by patient."
EXAMPLE = "tfkd prepare data/lits17 records/lits --size 256 256 --workers 4"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd prepare`."""

    source: Path = option("folder of CT volumes and masks")
    out: Path = option("folder of records to make; must be new or empty")
    layout: Literal["auto", "lits17", "kits19", "nnunet"] = option(
        "how the source folder is laid out", default="auto"
    )
    size: tuple[int, int] = option("rows and columns of a slice, pixels", default=(256, 256))
    fit: Literal["resize", "center"] = option(
        "whole field of view to that size, or its middle cut out or padded", default="resize"
    )
    spacing_mm: float | None = option(
        "with --fit center: resample to this pixel size first, mm", default=None
    )
    window: tuple[float, float] | None = option(
        "HU window that is mapped to [-1, 1]; the source's preset when left out", default=None
    )
    context_slices: int = option("neighbouring slices on each side, as channels", default=0)
    validation: float = option("share of patients for validation", default=0.2)
    test: float = option("share of patients for the test", default=0.2)
    validation_cases: tuple[str, ...] = option("validation patients by name", default=())
    test_cases: tuple[str, ...] = option("test patients by name", default=())
    seed: int = option("seed of the split", default=0)
    workers: int = option("processes", default=1)


def run(config: Config) -> None:
    """Prepares and says what was written."""
    start_tensorflow()
    from tfkd.records import SplitPlan, find_source, prepare
    from tfkd.volumes import PreprocessSpec

    source = find_source(config.source, config.layout)
    spec = PreprocessSpec(
        window_hu=config.window or source.window_hu,
        size=config.size,
        fit=config.fit,
        spacing_mm=config.spacing_mm,
        context_slices=config.context_slices,
    )
    split = SplitPlan(
        validation=config.validation_cases or config.validation,
        test=config.test_cases or config.test,
        seed=config.seed,
    )
    with progress_bar("prepare") as progress:
        manifest = prepare(
            source, config.out, spec, split=split, workers=config.workers, progress=progress
        )
    write_config(config, "prepare", config_path(config.out))
    patients = ", ".join(f"{len(ids)} {split}" for split, ids in manifest.splits.items())
    slices = sum(case.slices for case in manifest.cases)
    print(f"{config.out}: {slices} slices of {', '.join(manifest.label_names)}; cases: {patients}")
