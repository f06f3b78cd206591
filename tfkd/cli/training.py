"""What `tfkd train` and `tfkd distill` share: the schedule, the logs and what is kept of a run."""

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tfkd.cli.config import ConfigError, config_path, write_config
from tfkd.errors import RecordError
from tfkd.volumes import atomic_path

if TYPE_CHECKING:
    import keras

    from tfkd.records import CTRecords

__all__ = ["HISTORY_NAME", "MODEL_NAME", "TrainingConfig", "fit", "load_data", "load_model"]

MODEL_NAME = "model.keras"
HISTORY_NAME = "history.csv"


class TrainingConfig(Protocol):
    """Settings that both commands have."""

    @property
    def records(self) -> Path:
        """Folder of records."""

    @property
    def out(self) -> Path:
        """Folder of the run."""

    @property
    def epochs(self) -> int:
        """Number of epochs."""

    @property
    def batch_size(self) -> int:
        """Slices per step."""

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps of an epoch; None for about one look at every slice."""

    @property
    def learning_rate(self) -> float:
        """Adam's learning rate at the start."""

    @property
    def augment(self) -> bool:
        """Whether slices are varied at random."""

    @property
    def seed(self) -> int:
        """Seed of everything random."""


def load_data(config: TrainingConfig) -> "CTRecords":
    """Records of a run, and all seeds set."""
    import keras

    from tfkd import records

    if config.epochs < 1 or config.learning_rate <= 0:
        raise ConfigError(
            "epochs and learning_rate: expected positive numbers, received "
            f"{config.epochs} and {config.learning_rate}."
        )
    if (config.out / MODEL_NAME).exists():
        raise RecordError(
            f"{config.out}: expected a new or empty output folder, found a finished {MODEL_NAME}. "
            "Choose another folder or remove it."
        )
    keras.utils.set_random_seed(config.seed)
    variation = {} if config.augment else {"augmentation": None}
    return records.load(
        config.records,
        batch_size=config.batch_size,
        steps_per_epoch=config.steps_per_epoch,
        seed=config.seed,
        **variation,
    )


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
    backup = config.out / "backup"
    callbacks = [
        keras.callbacks.BackupAndRestore(str(backup)),
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
    return path
