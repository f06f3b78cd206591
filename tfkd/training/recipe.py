"""The optimizer, schedule, loss and metric of every training, and the network that it ends with."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from tfkd.records.damage import naming_damage_in

if TYPE_CHECKING:
    import keras

    from tfkd.records import CTRecords

__all__ = ["compile_for_training", "finished_network"]


def compile_for_training(
    trained: "keras.Model",
    data: "CTRecords",
    epochs: int,
    learning_rate: float,
    *,
    ema: float | None = None,
    xla: bool = False,
    **loss: Any,
) -> None:
    """Compiles with Adam, a cosine schedule over the whole training, FocalDice and SliceDice.

    Args:
        trained: The `Distiller`; it is compiled in the scope of its own strategy.
        data: Records, which give the steps of an epoch and the number of classes.
        epochs: Epochs of the training.
        learning_rate: Learning rate of the first step; that of the last is the part of it that the
            records' protocol says, a thousandth or less.
        ema: Momentum of a moving average of the weights; None for no average.
        xla: Whether XLA compiles the whole step; on JAX it does anyway.
        **loss: Arguments of `FocalDice`.
    """
    import keras

    from tfkd.losses import FocalDice
    from tfkd.metrics import SliceDice

    steps, protocol = data.steps_per_epoch * epochs, data.manifest.protocol
    decay = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=protocol.last_rate)
    averaging = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    strategy = getattr(trained, "distribute_strategy", None)  # Keras on JAX knows none
    with nullcontext() if strategy is None else strategy.scope():
        trained.compile(
            optimizer=keras.optimizers.Adam(decay, **averaging),
            loss=FocalDice(**loss),
            metrics=[SliceDice(data.num_classes, threshold=protocol.threshold)],
            jit_compile=xla or "auto",
        )
        # Otherwise the first step makes the optimizer's variables, and TensorFlow traces it twice.
        trained.optimizer.build(trained.trainable_variables)


def finished_network(
    network: "keras.Model", data: "CTRecords", epochs: int, *, recalibrate: bool
) -> "keras.Model":
    """The network of a finished training as it is kept: in float32.

    Args:
        network: The trained network.
        data: Records of the training.
        epochs: Epochs of the training.
        recalibrate: Whether to take the statistics of batch normalisation anew from training data.

    Returns:
        The network, or a copy if it had to be brought to float32.
    """
    from tfkd.models import as_float32

    network = as_float32(network)
    if recalibrate:
        from tfkd.distillation import recalibrate_batchnorm

        # The epoch after the last, which is the same in a resumed run.
        with naming_damage_in(data):
            recalibrate_batchnorm(network, data.stream(epochs), data.steps_per_epoch)
    return network
