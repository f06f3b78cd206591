"""`tfkd export`: a student to a LiteRT file and its contract."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkd.cli.config import check_suffix, config_path, option, write_config
from tfkd.cli.naming import naming
from tfkd.cli.tensorflow_start import start_tensorflow

SUMMARY = "Convert a trained student to a .tflite file, run it and compare it with Keras."
EXAMPLE = (
    "tfkd export runs/student/model.keras student.tflite --records records/lits --quantization int8"
)


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd export`."""

    student: Path = option("trained student, .keras")
    out: Path = option("file to write, .tflite; its contract (.json) appears beside it")
    records: Path = option(
        "records the student was trained on: preprocessing, labels, calibration", flag="-r"
    )
    quantization: Literal["float32", "float16", "int8"] = option(
        "number format of the file", flag="-q", default="int8"
    )
    calibration_slices: int = option("training slices for calibration and check", default=200)
    min_agreement: float | None = option(
        "smallest share of pixels with the label that Keras gives, 0 to 1; 0.999, or 0.99 for "
        "int8, when left out",
        default=None,
    )


def run(config: Config) -> None:
    """Exports and says how well the file agrees."""
    check_suffix(config.out, ".tflite")
    start_tensorflow()
    from tfkd import records
    from tfkd.export import to_litert
    from tfkd.training import load_network

    data = records.load(config.records)
    student = load_network(config.student)
    with naming(config.student):
        result = to_litert(
            student,
            config.out,
            quantization=config.quantization,
            calibration=data.calibration(config.calibration_slices),
            spec=data.spec,
            label_names=data.label_names,
            min_agreement=config.min_agreement,
            calibration_slices=config.calibration_slices,
            threshold=data.manifest.protocol.threshold,
        )
    write_config(config, "export", config_path(config.out))
    print(
        f"{config.out}: {result.size_bytes / 1e6:.2f} MB, {config.quantization}, the label of "
        f"Keras on {result.agreement:.3%} of the pixels"
    )
