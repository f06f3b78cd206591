"""`tfkd train`: a teacher, or a student without one."""

from dataclasses import dataclass
from pathlib import Path

from tfkd.cli.config import option
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.models import STUDENTS, TEACHERS

SUMMARY = "Train a network on records: a teacher, or a student without one for comparison."
EXAMPLE = "tfkd train records/lits runs/teacher --network RAUNet --epochs 30"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd train`."""

    records: Path = option("folder of records made by `tfkd prepare`")
    out: Path = option("folder for model.keras, history.csv and config.toml")
    network: str = option(f"one of {', '.join(TEACHERS + STUDENTS)}", default="RAUNet")
    width: float = option("factor on the network's channels", default=1.0)
    epochs: int = option("number of epochs", default=30)
    steps_per_epoch: int | None = option(
        "steps of an epoch; about one look at every slice when left out", default=None
    )
    batch_size: int = option("slices per step", default=8)
    learning_rate: float = option("Adam's learning rate, falling along a cosine", default=2e-3)
    augment: bool = option("vary slices at random", default=True)
    seed: int = option("seed of weights, order and variation", default=0)


def run(config: Config) -> None:
    """Trains and says where the model is."""
    start_tensorflow()
    from tfkd.cli.training import fit, load_data
    from tfkd.models import build

    data = load_data(config)
    model = build(config.network, data.spec.input_shape, data.num_classes, config.width)
    print(f"{model.name}: {model.count_params():,} weights")
    print(fit(model, model, data, config, "train"))
