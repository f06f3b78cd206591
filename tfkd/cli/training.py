"""What `tfkd train` and `tfkd distill` share: the schedule, the logs and what is kept of a run."""

import math
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfkd.cli.config import (
    ConfigError,
    check_same_settings,
    config_path,
    option,
    write_config,
)
from tfkd.errors import RecordError
from tfkd.volumes import atomic_path

if TYPE_CHECKING:
    import keras

    from tfkd.records import CTRecords

__all__ = ["MODEL_NAME", "TrainingConfig", "fit", "load_data", "load_model", "parameter_count"]

MODEL_NAME = "model.keras"
HISTORY_NAME = "history.csv"
BACKUP_NAME = "backup"


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings that `tfkd train` and `tfkd distill` have in common."""

    records: Path = option("folder of records made by `tfkd prepare`")
    out: Path = option("folder for model.keras, history.csv and config.toml")
    network: str = option("network to train", default="UNet")
    width: float = option("factor on the network's channels", default=1.0)
    epochs: int = option("number of epochs", default=30)
    steps_per_epoch: int | None = option(
        "steps of an epoch; about one look at every slice when left out", default=None
    )
    batch_size: int = option("slices per step", default=8)
    learning_rate: float = option("Adam's learning rate, falling along a cosine", default=2e-3)
    augment: bool = option("vary slices at random", default=True)
    seed: int = option("seed of weights, order and variation", default=0)


def load_data(config: TrainingConfig) -> "CTRecords":
    """Records of a run, and all seeds set."""
    import keras

    from tfkd import records

    if config.epochs < 1 or config.learning_rate <= 0:
        raise ConfigError(
            "epochs and learning_rate: expected positive numbers, received "
            f"{config.epochs} and {config.learning_rate}."
        )
    _check_out(config.out)
    keras.utils.set_random_seed(config.seed)
    variation = {} if config.augment else {"augmentation": None}
    return records.load(
        config.records,
        batch_size=config.batch_size,
        steps_per_epoch=config.steps_per_epoch,
        seed=config.seed,
        **variation,
    )


def _check_out(out: Path) -> None:
    """New, empty, or an unfinished training."""
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if found - {BACKUP_NAME, HISTORY_NAME, "config.toml"}:
        raise RecordError(
            f"{out}: expected a new or empty output folder, found {', '.join(sorted(found))}. "
            "Choose another folder or remove it."
        )


def parameter_count(model: "keras.Model") -> int:
    """Trainable weights, as papers count them: without the running statistics."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def load_model(path: Path) -> "keras.Model":
    """A saved Keras model.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is no model, or one with layers that Keras does not know.
    """
    import keras

    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a Keras model file, found none.")
    expected = f"{path}: expected a model saved by Keras 3 (.keras)"
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ValueError(f"{expected}, which is a zip archive. The file is none, or damaged.")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        # Keras appends all that it knows of a class that it cannot find.
        reason = str(error).split("Full object config")[0].strip()
        raise ValueError(f"{expected}: {reason}") from error


def fit(
    trained: "keras.Model",
    kept: "keras.Model",
    data: "CTRecords",
    config: TrainingConfig,
    command: str,
) -> Path:
    """Trains with Adam and a cosine schedule, and keeps the network of the last epoch.

    An interrupted run goes on from its last finished epoch when the command is given again.

    Args:
        trained: Model whose `fit` is called.
        kept: Network that is saved: the same model, or the Distiller's student.
        data: Records.
        config: Settings.
        command: Name of the command, for the resolved config.

    Returns:
        Path of the saved model.
    """
    import keras

    from tfkd.losses import FocalDice
    from tfkd.metrics import SliceDice

    backup = config.out / BACKUP_NAME
    if backup.exists():
        check_same_settings(config, command, config.out, free=("out",))
    config.out.mkdir(parents=True, exist_ok=True)
    write_config(config, command, config_path(config.out))
    steps = data.steps_per_epoch * config.epochs
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps, alpha=1e-3)
    trained.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss=FocalDice(),
        metrics=[SliceDice(data.num_classes)],
    )
    # Otherwise the first step makes the optimizer's variables, and TensorFlow traces it twice.
    trained.optimizer.build(trained.trainable_variables)
    callbacks = [
        keras.callbacks.BackupAndRestore(str(backup), delete_checkpoint=False),
        keras.callbacks.CSVLogger(str(config.out / HISTORY_NAME), append=backup.exists()),
    ]
    has_validation = bool(data.manifest.splits.get("validation"))
    trained.fit(
        data.train,
        validation_data=data.validation if has_validation else None,
        epochs=config.epochs,
        callbacks=callbacks,
        shuffle=False,  # the records are; Keras would warn that it does not
        verbose="auto" if sys.stdout.isatty() else 2,
    )
    path = config.out / MODEL_NAME
    with atomic_path(path) as temporary:
        # Without the state of the optimizer, which is twice as large as the network.
        keras.Model(kept.inputs[0], kept.outputs[0], name=kept.name).save(temporary)
    shutil.rmtree(backup)
    return path
