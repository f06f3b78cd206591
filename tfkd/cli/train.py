"""`tfkd train`: a teacher, or a student without one."""

from dataclasses import dataclass

from tfkd.cli.config import option
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.cli.training import TrainingConfig
from tfkd.models import STUDENTS, TEACHERS

SUMMARY = "Train a network on records: a teacher, or a student without one for comparison."
EXAMPLE = "tfkd train records/lits runs/teacher --network UNet --epochs 30"


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Settings of `tfkd train`."""

    network: str = option(f"one of {', '.join(TEACHERS + STUDENTS)}", default="UNet")


def run(config: Config) -> None:
    """Trains and says where the model is."""
    start_tensorflow()
    from tfkd.cli.training import build_network, fit, load_data, parameter_count
    from tfkd.distillation import Distiller

    data = load_data(config)
    model = build_network(config, data)
    print(f"{model.name}: {parameter_count(model):,} weights")
    # Without a teacher it trains from the labels alone, by the same code as a distillation.
    print(fit(Distiller(None, model), model, data, config, "train"))
