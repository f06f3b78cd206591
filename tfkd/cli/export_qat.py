"""What `tfkd export` does where int8 loses too much: it trains the student on, for int8."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd._version import __version__
from tfkd.cli.export_kept import keep_model, kept_model
from tfkd.cli.progress import Progress, progress_bar

if TYPE_CHECKING:
    import keras
    import numpy as np

    from tfkd.records import CTRecords

__all__ = ["describe_training", "train_for_int8"]

# A fraction of what trains a student: it is to keep what it knows.
_LEARNING_RATE = 1e-4


def train_for_int8(
    student: "keras.Model",
    calibration: "np.ndarray",
    data: "CTRecords",
    epochs: int,
    seed: int,
    path: Path,
) -> "keras.Model":
    """Trains a copy of a student that computes as its int8 file will.

    Its teacher is the student in floating point, beside the labels, so that it learns to do in int8
    what it did before and nothing else. Only the training split is read. The loss on the labels is
    `FocalDice` with its default arguments, whatever loss trained the student.

    Args:
        student: Trained network; it is not changed.
        calibration: (n, H, W, C) training slices, for the ranges to start from.
        data: Records.
        epochs: At least 1.
        seed: Of what a training draws besides the records' own.
        path: `.keras` file in which the copy is kept once it is trained, so that a repeated run
            with the same student, records, slices, epochs and seed finds it there. A training that
            is interrupted starts anew.

    Returns:
        The copy, of `tfkd.export.quantization_aware`.

    Raises:
        ExportError: The student has a layer that int8 has no kernel for.
        TrainingError: A loss is not finite.
    """
    import keras

    from tfkd.distillation import Distiller
    from tfkd.export import quantization_aware
    from tfkd.losses import PredictionMapDistillation
    from tfkd.training import compile_for_training

    print("No int8 file that would be the smallest is within the budget.", end=" ")
    key = _key(student, calibration, data, epochs, seed)
    kept = kept_model(path, key)
    if kept is not None:
        print(f"{path} was trained on for int8 before, in the same way.")
        return kept
    print(describe_training(data, epochs, seed))
    keras.utils.set_random_seed(seed)
    aware = quantization_aware(student, calibration)
    distiller = Distiller(student, aware, [PredictionMapDistillation()])
    compile_for_training(distiller, data, epochs, _LEARNING_RATE)
    with progress_bar("training for int8") as progress:
        distiller.fit(
            data.stream(),
            epochs=epochs,
            steps_per_epoch=data.steps_per_epoch,
            callbacks=[_steps_told(progress, epochs * data.steps_per_epoch)],
            verbose=0,
        )
    keep_model(aware, path, key)
    return aware


def describe_training(data: "CTRecords", epochs: int, seed: int) -> str:
    """One sentence on what `train_for_int8` does, for the table."""
    count = "1 epoch" if epochs == 1 else f"{epochs} epochs"
    return (
        f"Trained on with int8's rounding: {count} of {data.steps_per_epoch} steps on the training "
        "split, taught by itself in floating point (FocalDice with its default arguments, whatever "
        f"loss trained the student; Adam, learning rate {_LEARNING_RATE:g} falling along a cosine, "
        f"seed {seed})."
    )


def _key(
    student: "keras.Model", calibration: "np.ndarray", data: "CTRecords", epochs: int, seed: int
) -> str:
    """SHA-256 of all that the training depends on."""
    from tfkd.models import fingerprint

    said = [
        __version__,
        # What lies between the weights is not part of their fingerprint.
        fingerprint(student),
        student.to_json(),
        hashlib.sha256(calibration.tobytes()).hexdigest(),
        # The spec, the splits, and the checksums of the files of slices.
        json.dumps(asdict(data.manifest), default=str),
        data.batch_size,
        data.steps_per_epoch,
        epochs,
        seed,
        _LEARNING_RATE,
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _steps_told(progress: Progress, total: int) -> "keras.callbacks.Callback":
    import keras

    done = 0

    def tell(_: int, logs: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        progress(done, total, f"loss {logs['loss']:.3f}")

    return keras.callbacks.LambdaCallback(on_train_batch_end=tell)
