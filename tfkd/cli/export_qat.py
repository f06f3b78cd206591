"""What `tfkd export` does where int8 loses too much: it trains the student on, for int8."""

from typing import TYPE_CHECKING, Any

from tfkd.cli.progress import Progress, progress_bar

if TYPE_CHECKING:
    import keras
    import numpy as np

    from tfkd.records import CTRecords

__all__ = ["describe_training", "train_for_int8"]

# A fraction of what trains a student: it is to keep what it knows.
_LEARNING_RATE = 1e-4


def train_for_int8(
    student: "keras.Model", calibration: "np.ndarray", data: "CTRecords", epochs: int, seed: int
) -> "keras.Model":
    """Trains a copy of a student that computes as its int8 file will.

    Its teacher is the student in floating point, beside the labels, so that it learns to do in int8
    what it did before and nothing else. Only the training split is read.

    Args:
        student: Trained network; it is not changed.
        calibration: (n, H, W, C) training slices, for the ranges to start from.
        data: Records.
        epochs: At least 1.
        seed: Of what a training draws besides the records' own.

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

    print(
        f"No int8 file of {student.name} is within the budget, with operators in floating point "
        f"neither. {describe_training(data, epochs, seed)}"
    )
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
    return aware


def describe_training(data: "CTRecords", epochs: int, seed: int) -> str:
    """One sentence on what `train_for_int8` does, for the table."""
    count = "1 epoch" if epochs == 1 else f"{epochs} epochs"
    return (
        f"Trained on with int8's rounding: {count} of {data.steps_per_epoch} steps on the training "
        f"split, taught by itself in floating point (Adam, learning rate {_LEARNING_RATE:g} "
        f"falling along a cosine, seed {seed})."
    )


def _steps_told(progress: Progress, total: int) -> "keras.callbacks.Callback":
    import keras

    done = 0

    def tell(_: int, logs: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        progress(done, total, f"loss {logs['loss']:.3f}")

    return keras.callbacks.LambdaCallback(on_train_batch_end=tell)
