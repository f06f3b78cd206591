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
    from tfkd.cli.training import fit, load_data, parameter_count
    from tfkd.models import build

    data = load_data(config)
    model = build(config.network, data.spec.input_shape, data.num_classes, config.width)
    print(f"{model.name}: {parameter_count(model):,} weights")
    print(fit(model, model, data, config, "train"))
