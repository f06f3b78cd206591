"""`tfkd export`: a student to a LiteRT file and its contract."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkd.cli.config import ConfigError, check_suffix, config_path, option, write_config
from tfkd.cli.naming import naming
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.cli.trained_on import check_trained_on

SUMMARY = "Convert a trained student to a .tflite file, run it and compare it with Keras."
EXAMPLE = (
    "tfkd export runs/student/model.keras student.tflite --records records/lits --max-dice-drop 0.5"
)


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd export`."""

    student: Path = option("trained student, .keras")
    out: Path = option("file to write, .tflite; its contract (.json) appears beside it")
    records: Path = option(
        "records the student was trained on: preprocessing, labels, calibration", flag="-r"
    )
    quantization: Literal["float32", "float16", "dynamic_int8", "int8", "int16x8"] = option(
        "number format of the file, where no budget chooses it", flag="-q", default="int8"
    )
    calibration_slices: int = option("training slices for calibration and check", default=200)
    min_agreement: float | None = option(
        "smallest share of pixels with the label that Keras gives, 0 to 1; 0.999 for float32 and "
        "float16, else 0.99, when left out",
        default=None,
    )
    max_dice_drop: float | None = option(
        "points (0 to 100) of mean foreground Dice on whole validation volumes that the file may "
        "lose; the smallest file within this budget is written, whatever its number format; in "
        "int16x8, for which a CPU takes tens of times longer, only where no other is within it",
        default=None,
    )
    all_modes: bool = option(
        "measure every number format on whole validation volumes, for the table", default=False
    )
    modes: tuple[str, ...] = option(
        "number formats to choose from or to measure; all when left out", default=()
    )
    cases: tuple[str, ...] = option(
        "patients to measure Dice on, by name, in place of the validation split", default=()
    )
    source: Path | None = option("folder of the volumes, if it has moved", default=None)
    qat_epochs: int = option(
        "with --max-dice-drop: where no int8 file is within it, epochs of training on the training "
        "split with int8's rounding in the way, before int8 is given up; 0 for none",
        default=2,
    )
    seed: int = option("seed of that training", default=0)
    threads: int | None = option("threads for Dice and time of a file", default=None)


def run(config: Config) -> None:
    """Exports, and says how well the file agrees or what each number format loses."""
    check_suffix(config.out, ".tflite")
    measured = config.all_modes or config.max_dice_drop is not None
    _check(config, measured)
    from tfkd.cli.export_modes import choose_file, volumes_to_score
    from tfkd.records import Manifest

    # Before TensorFlow starts and any work is done.
    cases = volumes_to_score(config, Manifest.load(config.records)) if measured else []
    start_tensorflow()
    from tfkd import records
    from tfkd.export import to_litert
    from tfkd.training import load_network

    data = records.load(config.records, seed=config.seed)
    student = load_network(config.student)
    check_trained_on(config.student, student, data.facts, config.records)
    with naming(config.student):
        calibration = data.calibration(config.calibration_slices)
        if measured:  # first: a file that cannot be written loses no measurement
            choose_file(config, data, student, calibration, cases)
        if config.max_dice_drop is None:
            result = to_litert(
                student,
                config.out,
                quantization=config.quantization,
                calibration=calibration,
                spec=data.spec,
                label_names=data.label_names,
                min_agreement=config.min_agreement,
                calibration_slices=config.calibration_slices,
                threshold=data.manifest.protocol.threshold,
            )
            print(
                f"{config.out}: {result.size_bytes / 1e6:.2f} MB, {config.quantization}, the label "
                f"of Keras on {result.agreement:.3%} of the pixels"
            )
            if result.slow_note:
                print(result.slow_note)
            if config.quantization == "int16x8":
                print(
                    "int16x8 is for accelerators: a CPU takes tens of times longer for it than for "
                    "int8 or float32."
                )
    write_config(config, "export", config_path(config.out))


def _check(config: Config, measured: bool) -> None:
    from tfkd.inference import QUANTIZATIONS

    given = [name for name in ("modes", "cases", "source") if getattr(config, name)]
    if given and not measured:
        raise ConfigError(
            f"expected --max-dice-drop or --all-modes with --{', --'.join(given)}, received "
            "neither: without them no volume is measured."
        )
    if config.max_dice_drop is not None and config.min_agreement is not None:
        raise ConfigError(
            f"expected --max-dice-drop or --min-agreement, received both ({config.max_dice_drop} "
            f"and {config.min_agreement}): with a budget, whole volumes say whether a file is good "
            "enough. Leave one out."
        )
    unknown = sorted(set(config.modes) - set(QUANTIZATIONS))
    if unknown:
        raise ConfigError(
            f"--modes: expected some of {', '.join(QUANTIZATIONS)}, received {', '.join(unknown)}."
        )
    if config.qat_epochs < 0:
        raise ConfigError(
            f"--qat-epochs: expected 0 (no training) or more, received {config.qat_epochs}."
        )
    if config.max_dice_drop is not None and not 0 <= config.max_dice_drop <= 100:
        raise ConfigError(
            f"--max-dice-drop: expected points of Dice from 0 to 100, received "
            f"{config.max_dice_drop}."
        )
