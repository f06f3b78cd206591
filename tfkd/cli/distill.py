"""`tfkd distill`: a student under a teacher."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkd.cli.config import option
from tfkd.cli.naming import naming
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.cli.training import TrainingConfig
from tfkd.models import STUDENTS, TEACHERS

SUMMARY = "Train a student from labels and from a trained teacher."
EXAMPLE = "tfkd distill records/lits runs/student --teacher runs/teacher/model.keras --network ENet"


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Settings of `tfkd distill`; the losses and weights are those of the paper."""

    teacher: Path = option("trained teacher, .keras", flag="--teacher")
    network: str = option(f"student: one of {', '.join(STUDENTS + TEACHERS)}", default="ENet")
    prediction_weight: float = option("weight of the prediction map loss", default=0.1)
    balanced: bool = option(
        "prediction map loss: every region weighs the same, not every pixel", default=False
    )
    importance_weight: float = option("weight of the importance map loss, per tap", default=0.9)
    region_weight: float = option("weight of the region affinity loss, per tap", default=0.9)
    region_variant: Literal["regions", "paper"] = option(
        "form of the region loss: one region per class, or the published two", default="regions"
    )
    taps: tuple[str, ...] = option(
        "layers, of both networks, that are compared", default=("tap_low", "tap_high")
    )


def run(config: Config) -> None:
    """Distils and says where the student is."""
    start_tensorflow()
    from tfkd.cli.training import build_network, fit, load_data, load_model, parameter_count
    from tfkd.distillation import Distiller, methods

    data = load_data(config)
    # Before the teacher, which draws from the seed too: a plain student starts from these weights.
    student = build_network(config, data)
    teacher = load_model(config.teacher)
    print(f"{student.name}: {parameter_count(student):,} weights")
    print(f"taught by {teacher.name}: {parameter_count(teacher):,} weights")
    losses = methods.emkd(
        config.prediction_weight,
        config.importance_weight,
        config.region_weight,
        balanced=config.balanced,
        variant=config.region_variant,
        taps=config.taps,
    )
    with naming(config.teacher):
        distiller = Distiller(teacher, student, *losses)
    print(fit(distiller, student, data, config, "distill", {config.teacher: teacher}))
