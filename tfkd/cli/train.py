"""`tfkd train`: a teacher, or a student without one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfkd.cli.config import ConfigError, option
from tfkd.cli.strategy import leaving_with_the_others, start_strategy
from tfkd.cli.training import TrainingConfig
from tfkd.models import STUDENTS, TEACHERS
from tfkd.records import Manifest
from tfkd.training import parameter_count

if TYPE_CHECKING:
    import tensorflow as tf

SUMMARY = "Train a network on records: a teacher, or a student without one for comparison."
EXAMPLE = "tfkd train records/lits runs/teacher --network UNet --epochs 30"


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Settings of `tfkd train`."""

    network: str = option(f"one of {', '.join(TEACHERS + STUDENTS)}", default="UNet")
    folds: int | None = option(
        "deal the training patients out to so many folds, for teachers of which each leaves one "
        "out; see `tfkd distill --held-out`",
        default=None,
    )
    fold: int | None = option("with --folds: the fold to leave out, from 0", default=None)


def run(config: Config) -> None:
    """Trains and says where the model is."""
    strategy = start_strategy(config.strategy, config.wait_minutes)
    with leaving_with_the_others(config.strategy):
        print(_train(config, strategy))


def _train(config: Config, strategy: "tf.distribute.Strategy") -> Path:
    from tfkd.cli.training import build_network, end_of_earlier, fit, load_data
    from tfkd.distillation import Distiller

    ended = end_of_earlier(config, "train", strategy)
    if ended is not None:
        return ended
    data = load_data(config, strategy, _left_out(config))
    with strategy.scope():
        model = build_network(config, data)
        # Without a teacher it trains from the labels alone, by the same code as a distillation.
        trained = Distiller(None, model)
    print(f"{model.name}: {parameter_count(model):,} weights")
    return fit(trained, model, data, config, "train")


def _left_out(config: Config) -> tuple[str, ...]:
    if config.folds is None:
        if config.fold is not None:
            raise ConfigError(
                f"fold {config.fold}: expected folds as well, the number of them, found none. "
                "Give --folds, or leave out --fold."
            )
        return ()
    folds = Manifest.load(config.records).folds(config.folds)
    if config.fold is None or not 0 <= config.fold < config.folds:
        raise ConfigError(
            f"fold: expected 0 to {config.folds - 1}, of {config.folds} folds, received "
            f"{config.fold}. Give --fold, the one that the teacher leaves out."
        )
    return folds[config.fold]
