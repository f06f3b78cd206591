"""What `tfkd export` does with volumes: a table of the number formats, and the choice of one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfkd.cli.config import ConfigError
from tfkd.cli.export_qat import describe_training, train_for_int8
from tfkd.cli.progress import progress_bar
from tfkd.errors import ExportError
from tfkd.report.numbers import megabytes_text
from tfkd.report.text import columns

if TYPE_CHECKING:
    import keras
    import numpy as np

    from tfkd.cli.export import Config
    from tfkd.export.mode_row import ModeRow
    from tfkd.inference import VolumePredictor
    from tfkd.records import CaseFiles, CTRecords, Manifest

__all__ = ["choose_file", "modes_folder", "volumes_to_score"]


def modes_folder(out: Path) -> Path:
    """Where the files of all number formats and their table lie: `student_modes` beside it."""
    return out.with_name(f"{out.stem}_modes")


def volumes_to_score(config: "Config", manifest: "Manifest") -> "list[CaseFiles]":
    """Find the volumes that Dice is measured on.

    Args:
        config: of the command; its cases in place of the validation split, if it names any.
        manifest: of the records.

    Raises:
        ConfigError: there is no validation split or no mask in it, or a case was trained on.
        RecordError: a case is unknown, or its files are gone or have changed.
    """
    if config.cases:
        names = tuple(manifest.case(name).case_id for name in config.cases)
        trained_on = [name for name in names if name in manifest.splits["train"]]
        if trained_on:
            raise ConfigError(
                f"--cases: expected patients that the student has not seen, received "
                f"{', '.join(trained_on)} of the training split. Choose among "
                f"{', '.join((*manifest.splits['validation'], *manifest.splits['test']))}."
            )
        manifest = replace(manifest, splits={**manifest.splits, "validation": names})
    found = manifest.splits["validation"] and manifest.case_files(
        "validation", config.source, verify=True
    )
    if not found:
        raise ConfigError(
            f"{config.records}: expected validation patients with masks to measure Dice on, "
            "received none. Name patients that were not trained on with --cases, or prepare the "
            "records with a validation split."
        )
    return list(found)


def choose_file(
    config: "Config",
    data: "CTRecords",
    student: "keras.Model",
    calibration: "np.ndarray",
    cases: "Sequence[CaseFiles]",
) -> None:
    """Measure the number formats, print and write the table, and write the chosen file.

    Args:
        config: of the command.
        data: the records.
        student: the network.
        calibration: (n, H, W, C) training slices.
        cases: as `volumes_to_score` gives them.

    Raises:
        ExportError: no file is within the budget; the table is written nevertheless.
    """
    from tfkd.evaluation import VolumeScorer
    from tfkd.export.copies import copy_model
    from tfkd.export.dice_budget import choose_mode
    from tfkd.export.mode_files import write_mode_table
    from tfkd.export.mode_measurements import StudentTask
    from tfkd.inference import QUANTIZATIONS

    folder = modes_folder(config.out)
    tuned = folder / "int8_fine_tuned.keras"
    manifest, epochs = data.manifest, config.qat_epochs
    scorer = VolumeScorer(manifest, cases)

    def score(predictor: "VolumePredictor", name: str) -> dict[str, float]:
        with progress_bar(f"Dice of {name}") as progress:
            return scorer.label_dice(predictor, name, progress)

    choice = choose_mode(
        StudentTask(
            student,
            calibration,
            manifest.spec,
            manifest.label_names,
            manifest.protocol.threshold,
            config.threads,
        ),
        folder,
        score,
        max_dice_drop=config.max_dice_drop,
        modes=config.modes or QUANTIZATIONS,
        all_modes=config.all_modes,
        fine_tune=(
            (lambda: train_for_int8(student, calibration, data, epochs, config.seed, tuned))
            if epochs
            else None
        ),
        fine_tune_note=describe_training(data, epochs, config.seed),
        context=scorer.context(),
    )
    table = write_mode_table(choice.rows, folder, choice.reason)
    print(f"\nDice on {len(cases)} whole volumes, each with the file itself:\n")
    print(mode_table(choice.rows))
    print(f"\n{choice.reason}\n{', '.join(map(str, table))}")
    if choice.chosen is not None:
        copy_model(choice.path(choice.chosen), config.out)
        print(f"{config.out}: {choice.chosen.mode}, {megabytes_text(choice.chosen.size_bytes)} MB")
    elif config.max_dice_drop is not None:
        raise ExportError(
            f"{config.student}: {choice.reason} Nothing was written to {config.out}; the table is "
            f"{table[1]}. Allow more points, or train for int8 for longer (--qat-epochs)."
        )


def mode_table(rows: "Sequence[ModeRow]") -> str:
    """The table for a terminal, with the notes below it.

    Args:
        rows: Keras first.
    """
    labels = list(rows[0].label_dice)
    heading = ["mode", "MB", "ms/slice", "RAM MB", *labels, "mean", "drop", "within"]
    lines = [heading]
    for row in rows:
        within = {None: "–", True: "yes", False: "no"}[row.within_budget]
        dice = [_number(100 * row.label_dice[label]) if row.label_dice else "–" for label in labels]
        lines.append(
            [
                row.mode,
                megabytes_text(row.size_bytes),
                _number(row.ms_per_slice),
                megabytes_text(row.ram_bytes),
                *dice,
                _number(100 * row.dice),
                _number(row.dice_drop),
                within,
            ]
        )
    notes = [f"{row.mode}: {row.note}" for row in rows if row.note]
    return "\n".join([columns(lines), *(["", *notes] if notes else [])])


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.2f}"
