"""One process of a training that one or several processes share; run by `test_scale.py`.

    python -m tests.distillation.scale_worker one|mirrored|multi FOLDER

Trains 20 steps on global batches of 8, evaluates, and writes the student's weights and the history
as `<mode>-<worker>`.
"""

import json
import os
import sys
from pathlib import Path

import tensorflow as tf


def main(mode: str, folder: Path) -> None:
    strategy = _strategy(mode)
    import keras
    import numpy as np

    from tests.distillation.networks import network, slices
    from tfkd.losses import FocalDice

    worker = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"]
    x, y = slices(32)
    with strategy.scope():
        student = network(2, seed=2, regularizer="l2")
        for layer in student.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = strategy.num_replicas_in_sync > 1
        distiller = _distiller(student)
        distiller.compile(keras.optimizers.SGD(0.05, momentum=0.9), FocalDice())
        distiller.optimizer.build(distiller.trainable_variables)
    history = distiller.fit(
        _shared(x, y),
        epochs=5,
        validation_data=_shared(x[:10], y[:10]),
        shuffle=False,
        verbose=0,
    ).history
    logs = distiller.evaluate(_shared(x, y), verbose=0, return_dict=True)
    path = folder / f"{mode}-{worker}"
    student.save(f"{path}.keras")
    keras.saving.load_model(f"{path}.keras", compile=False)
    np.savez(f"{path}.npz", *[keras.ops.convert_to_numpy(w) for w in student.weights])
    Path(f"{path}.json").write_text(json.dumps({"history": history, "evaluate": logs}))


def _distiller(student):
    """All that may depend on how the batch is shared out."""
    import keras

    from tests.distillation.networks import network
    from tfkd.distillation import Distiller, Teachers, methods
    from tfkd.losses import RegionAffinityDistillation

    losses, weights = methods.emkd()
    losses[-1] = RegionAffinityDistillation("tap_high", centering="batch")
    weights[0] = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 0.5)
    models = [network(4, seed=1), network(3, seed=4)]
    return Distiller(Teachers(models, "confidence", [{"a"}, {"b"}]), student, losses, weights)


def _strategy(mode: str) -> tf.distribute.Strategy:
    if mode == "multi":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if mode == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return tf.distribute.get_strategy()


def _shared(x, y) -> tf.data.Dataset:
    import numpy as np

    from tfkd.records import encode_case_ids

    options = tf.data.Options()
    data_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = data_policy
    cases = [["a"], ["b"], ["c"], ["d"]] * len(x)
    targets = {"mask": y, "case_id": np.concatenate([encode_case_ids(c) for c in cases[: len(x)]])}
    weights = np.linspace(0.5, 1.5, len(x), dtype="float32")
    data = tf.data.Dataset.from_tensor_slices((x, targets, weights))
    return data.batch(8).with_options(options)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
