"""`tfkd distill`: a student under a teacher."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkd.cli.config import option
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.models import STUDENTS

SUMMARY = "Train a student from labels and from a trained teacher."
EXAMPLE = "tfkd distill records/lits runs/student --teacher runs/teacher/model.keras --network ENet"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd distill`."""

    records: Path = option("folder of records made by `tfkd prepare`")
    out: Path = option("folder for model.keras (the student), history.csv and config.toml")
    teacher: Path = option("trained teacher, .keras", flag="--teacher")
    network: str = option(f"student: one of {', '.join(STUDENTS)}", default="ENet")
    width: float = option("factor on the student's channels", default=1.0)
    method: Literal["emkd"] = option("distillation losses and their weights", default="emkd")
    epochs: int = option("number of epochs", default=30)
    steps_per_epoch: int | None = option(
        "steps of an epoch; about one look at every slice when left out", default=None
    )
    batch_size: int = option("slices per step", default=8)
    learning_rate: float = option("Adam's learning rate, falling along a cosine", default=2e-3)
    augment: bool = option("vary slices at random", default=True)
    seed: int = option("seed of weights, order and variation", default=0)


def run(config: Config) -> None:
    """Distils and says where the student is."""
    start_tensorflow()
    from tfkd.cli.training import fit, load_data, load_model
    from tfkd.distillation import Distiller, methods
    from tfkd.models import build

    data = load_data(config)
    teacher = load_model(config.teacher)
    student = build(config.network, data.spec.input_shape, data.num_classes, config.width)
    print(f"{student.name}: {student.count_params():,} weights; {teacher.count_params():,} teach")
    distiller = Distiller(teacher, student, *getattr(methods, config.method)())
    print(fit(distiller, student, data, config, "distill"))
