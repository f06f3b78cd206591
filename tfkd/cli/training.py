"""What `tfkd train` and `tfkd distill` share: the schedule, the logs and what is kept of a run."""

import contextlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfkd import training
from tfkd.cli.config import (
    ConfigError,
    DependentDefaults,
    check_same_settings,
    config_path,
    option,
    write_config,
)
from tfkd.cli.run_record import RUN_RECORD_NAME, RunRecord
from tfkd.cli.strategy import StrategyName, is_chief, meet
from tfkd.errors import RecordError
from tfkd.volumes import WHOLE_VOLUME

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from tfkd.callbacks import BestStudent
    from tfkd.records import CTRecords

__all__ = [
    "MODEL_NAME",
    "TrainingConfig",
    "build_network",
    "end_of_earlier",
    "fit",
    "load_data",
]

MODEL_NAME = "model.keras"
HISTORY_NAME = "history.csv"
TENSORBOARD_NAME = "tensorboard"

_BY_PROTOCOL = "; the default is that of the records' protocol"

# A run may go on with other values of these: they do not change what comes of it.
_FREE = ("out", "checkpoint_minutes", "tensorboard", "wait_minutes")

_OF_PROTOCOL = ("epochs", "batch_size", "learning_rate")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(DependentDefaults):
    """Settings that `tfkd train` and `tfkd distill` have in common."""

    records: Path = option("folder of records made by `tfkd prepare`")
    out: Path = option("folder for model.keras, best.keras, history.csv, run.json and config.toml")
    network: str = option("network to train", default="UNet")
    width: float = option("factor on the network's channels", default=1.0)
    epochs: int = option(f"number of epochs{_BY_PROTOCOL}", default=WHOLE_VOLUME.epochs)
    steps_per_epoch: int | None = option(
        "steps of an epoch; about one look at every slice when left out", default=None
    )
    batch_size: int = option(f"slices per step{_BY_PROTOCOL}", default=WHOLE_VOLUME.batch_size)
    learning_rate: float = option(
        f"Adam's learning rate, falling along a cosine{_BY_PROTOCOL}",
        default=WHOLE_VOLUME.learning_rate,
    )
    focal_gamma: float = option(
        "focusing exponent of the loss on the labels; 0 is the cross entropy", default=2.0
    )
    dice_share: float = option("share of Dice in the loss on the labels, 0 to 1", default=0.5)
    dice_squares: bool = option(
        "square probabilities below the fraction of that Dice, which finds small organs sooner",
        default=False,
    )
    augment: bool = option("vary slices at random", default=True)
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = option(
        "what the trained network computes in; it is saved in float32", default="float32"
    )
    ema: float | None = option(
        "momentum, such as 0.999, of a moving average of the weights, which is validated and kept "
        "in their place",
        default=None,
    )
    early_stopping: int | None = option(
        "stop after so many epochs without a better validation Dice", default=None
    )
    recalibrate: bool = option(
        "take the statistics of batch normalisation anew from the training data at the end, for "
        "model.keras and not for best.keras",
        default=False,
    )
    tensorboard: bool = option(
        "write curves and slices for TensorBoard (pip install tfkd[tensorboard])", default=False
    )
    checkpoint_minutes: float = option(
        "time between two savings of the state, which several workers (multi_worker) save at the "
        "end of an epoch only; a killed run goes on from the last one, when the same command is "
        "given again",
        default=10.0,
    )
    xla: bool = option(
        "compile the whole step with XLA: twice as fast for a network of many small layers (ENet), "
        "slower for depthwise ones on a CPU (MobileNetV2); a loss that is no number then does not "
        "end the training with a clear error",
        default=False,
    )
    strategy: StrategyName = option(
        "what to train on: one device; mirrored, every GPU of this machine; multi_worker, the "
        "processes listed in TF_CONFIG, each of which runs this command. The batch is shared out",
        default="one_device",
    )
    wait_minutes: float = option(
        "with multi_worker: how long to wait for the other workers before this one ends with "
        "status 75",
        default=30.0,
    )
    seed: int = option("seed of weights, order and variation", default=0)

    @classmethod
    def defaults_for(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The schedule of the records' protocol; what is wrong with the records is said later."""
        from tfkd.records import Manifest

        try:
            protocol = Manifest.load(settings["records"]).protocol
        except (KeyError, RecordError):
            return {}
        return {name: getattr(protocol, name) for name in _OF_PROTOCOL}


def end_of_earlier(
    config: TrainingConfig, command: str, strategy: "tf.distribute.Strategy"
) -> Path | None:
    """The model of a run that was killed after it had written it; nothing is left to train then.

    Raises:
        ConfigError: If that run had other settings.
    """
    from tfkd.callbacks import RunCheckpoint

    checkpoint, model = RunCheckpoint(config.out), config.out / MODEL_NAME
    if not (model.exists() and checkpoint.path.exists()):
        return None
    check_same_settings(config, command, config.out, free=_FREE)
    meet(strategy)  # all have seen both files
    if is_chief(config.strategy):
        checkpoint.remove()
    return model


def load_data(
    config: TrainingConfig,
    strategy: "tf.distribute.Strategy",
    leave_out: Sequence[str] = (),
    unlabelled_share: float = 0.0,
) -> "CTRecords":
    """Records of a run, and all seeds set.

    Args:
        config: Settings.
        strategy: Strategy to train under.
        leave_out: Cases not to train on.
        unlabelled_share: Share of slices without labels in the batches.
    """
    import keras

    from tfkd import records

    _check_settings(config, strategy.num_replicas_in_sync)
    _check_out(config)
    keras.utils.set_random_seed(config.seed)
    variation = {} if config.augment else {"augmentation": None}
    protocol = records.Manifest.load(config.records).protocol
    data = records.load(
        config.records,
        batch_size=config.batch_size,
        steps_per_epoch=config.steps_per_epoch,
        seed=config.seed,
        leave_out=leave_out,
        sampling=records.Sampling(
            empty_share=protocol.empty_share, unlabelled_share=unlabelled_share
        ),
        **variation,
    )
    if config.early_stopping is not None and not _has_validation(data):
        raise ConfigError(
            f"early_stopping {config.early_stopping}: expected validation cases, but the split of "
            f"{config.records} has none. Leave it out, or prepare records with --validation."
        )
    return data


def _check_settings(config: TrainingConfig, replicas: int) -> None:
    if config.epochs < 1 or config.learning_rate <= 0:
        raise ConfigError(
            "epochs and learning_rate: expected positive numbers, received "
            f"{config.epochs} and {config.learning_rate}."
        )
    if config.ema is not None and not 0 < config.ema < 1:
        raise ConfigError(f"ema: expected a momentum between 0 and 1, received {config.ema}.")
    if config.focal_gamma < 0 or not 0 <= config.dice_share <= 1:
        raise ConfigError(
            "focal_gamma and dice_share: expected at least 0, and 0 to 1, received "
            f"{config.focal_gamma} and {config.dice_share}."
        )
    if config.early_stopping is not None and config.early_stopping < 1:
        raise ConfigError(
            f"early_stopping: expected at least 1 epoch, received {config.early_stopping}."
        )
    if config.checkpoint_minutes < 0:
        raise ConfigError(
            f"checkpoint_minutes: expected at least 0, received {config.checkpoint_minutes}."
        )
    if config.batch_size % replicas:
        raise ConfigError(
            f"batch_size: expected a multiple of the {replicas} replicas of the strategy, received "
            f"{config.batch_size}."
        )
    if config.tensorboard:
        from tfkd.callbacks import require_tensorboard

        require_tensorboard()


def _check_out(config: TrainingConfig) -> None:
    """New, empty, or an unfinished training."""
    from tfkd.callbacks import BestStudent, RunCheckpoint

    out = config.out
    written = [BestStudent.FILE_NAME, BestStudent.NEXT_FILE_NAMES, HISTORY_NAME, RUN_RECORD_NAME]
    written.append(config_path(out).name)
    checkpoint = RunCheckpoint.FILE_NAME
    unfinished = [*written, checkpoint, f"{checkpoint}.partial", TENSORBOARD_NAME]
    # What a kill in the middle of writing leaves.
    partial = [f".????????.{name}" for name in (*written, MODEL_NAME)]
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    left = {name for name in found if _is_one_of(partial, name)}
    if not all(_is_one_of(unfinished, name) for name in found - left):
        raise RecordError(
            f"{out}: expected a new or empty output folder, found {', '.join(sorted(found))}. "
            "Choose another folder or remove it."
        )
    if is_chief(config.strategy):
        for name in left:
            (out / name).unlink(missing_ok=True)


def _is_one_of(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _has_validation(data: "CTRecords") -> bool:
    return bool(data.manifest.splits.get("validation"))


def build_network(config: TrainingConfig, data: "CTRecords") -> "keras.Model":
    """The network that is trained, in the precision that is wished for."""
    return training.build_network(config.network, data, config.width, config.precision)


def fit(
    trained: "keras.Model",
    kept: "keras.Model",
    data: "CTRecords",
    config: TrainingConfig,
    command: str,
    teachers: Mapping[Path, "keras.Model"] | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
) -> Path:
    """Trains with Adam and a cosine schedule, and keeps the networks of the last and best epoch.

    A run that was stopped or killed goes on from its last checkpoint when the command is given
    again, and ends as if nothing had happened.

    Args:
        trained: Model whose `fit` is called.
        kept: Network that is saved: the same model, or the Distiller's student.
        data: Records.
        config: Settings.
        command: Name of the command, for the resolved config.
        teachers: Teachers by file, for the record of the run.
        callbacks: Further callbacks.

    Returns:
        Path of the saved model.

    Raises:
        ConfigError: If the run was begun with other settings.
        RecordError: If it was begun with other records or teachers.
        TrainingInterrupted: Upon SIGTERM, with the state saved.
    """
    from tfkd.callbacks import BestStudent, RunCheckpoint, fit_resumable

    checkpoint = RunCheckpoint(config.out)
    resumed = checkpoint.path.exists()
    if resumed:
        check_same_settings(config, command, config.out, free=_FREE)
    # Every worker trains, validates and decides alike; what all but the first write is thrown away.
    with contextlib.ExitStack() as stack:
        out = config.out
        chief = is_chief(config.strategy)
        if not chief:
            out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        out.mkdir(parents=True, exist_ok=True)
        position = checkpoint.position if resumed else None
        record = RunRecord(out, command, config, data, teachers or {}, position)
        write_config(config, command, config_path(out))
        training.compile_for_training(
            trained,
            data,
            config.epochs,
            config.learning_rate,
            ema=config.ema,
            xla=config.xla,
            gamma=config.focal_gamma,
            dice_share=config.dice_share,
            dice_squares=config.dice_squares,
        )
        best = BestStudent(out, kept, patience=config.early_stopping)
        shared = _shared(trained, data, config)
        history = fit_resumable(
            trained,
            shared,
            config.epochs,
            folder=config.out,
            validation_data=shared.validation if _has_validation(data) else None,
            callbacks=[*_callbacks(config, out, kept, data, best), *callbacks],
            every_minutes=None if config.strategy == "multi_worker" else config.checkpoint_minutes,
            writes=chief,
            verbose=_verbosity(chief),
        )
        if chief:
            _keep(kept, data, config, record, best, len(history["loss"]))
        # Whoever leaves earlier is missed by the others.
        meet(trained.distribute_strategy)
        if chief:
            checkpoint.remove()
    return config.out / MODEL_NAME


def _keep(
    kept: "keras.Model",
    data: "CTRecords",
    config: TrainingConfig,
    record: RunRecord,
    best: "BestStudent",
    epochs: int,
) -> None:
    """Writes the record and the last network."""
    from tfkd.models import save_network

    network = training.finished_network(kept, data, config.epochs, recalibrate=config.recalibrate)
    # The model last: where it lies, the run is finished.
    record.finish(network, training.parameter_count(network), epochs, best)
    save_network(network, config.out / MODEL_NAME)


def _shared(trained: "keras.Model", data: "CTRecords", config: TrainingConfig) -> Any:
    """The records, dealt out to the replicas where there are several."""
    if config.strategy == "one_device":
        return data
    from tfkd.records import SharedRecords

    return SharedRecords(data, trained.distribute_strategy)


def _verbosity(chief: bool) -> str | int:
    if not chief:
        return 0
    return "auto" if sys.stdout.isatty() else 2


def _callbacks(
    config: TrainingConfig,
    out: Path,
    kept: "keras.Model",
    data: "CTRecords",
    best: "BestStudent",
) -> list[Any]:
    import keras

    from tfkd.callbacks import AverageWeights, HistoryFile, SliceImages, telling_slices

    callbacks: list[Any] = [best, HistoryFile(out / HISTORY_NAME)]
    if config.ema is not None:
        callbacks.append(AverageWeights())
    if config.tensorboard:
        folder = out / TENSORBOARD_NAME
        callbacks.append(keras.callbacks.TensorBoard(str(folder), write_graph=False))
        if _has_validation(data):
            examples = telling_slices(data.examples("validation"), data.num_classes)
            if examples:
                callbacks.append(SliceImages(folder, kept, examples, data.spec))
    return callbacks
