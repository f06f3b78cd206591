"""What int8 costs a trained student, and what quantisation-aware training brings back.

The rows of a student: in floating point; trained on for as many steps as the quantisation-aware
one, with the same teacher, since more training may help by itself; as int8 after training; the same
in the form of `edge_form`; and quantisation-aware, before and after its training. The teacher of
these trainings is the student in floating point. Dice is that of the files (of Keras for the first
two) on whole test volumes, mean over cases, then over labels.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkd import Distiller, Predictor
from tfkd.distillation import recalibrate_batchnorm
from tfkd.evaluation import ModelInfo, evaluate
from tfkd.export import edge_form, keras_predictor, quantization_aware, to_litert
from tfkd.losses import PredictionMapDistillation
from tfkd.phantom import write_phantom_cohort
from tfkd.records import CTRecords, SplitPlan, find_source, load, prepare
from tfkd.training import build_network, compile_for_training
from tfkd.volumes import PreprocessSpec, atomic_path

CALIBRATION_SLICES = 100
STEPS = 50  # of an epoch


def records(out: Path, patients: int, size: int, window: tuple[float, float] | None) -> CTRecords:
    """Records of phantoms, made unless they are there."""
    folder = out / "records"
    if not (folder / "manifest.json").exists():
        source = write_phantom_cohort(out / "phantoms", patients, shape_zyx=(24, size, size))
        found = find_source(source)
        prepare(
            found,
            folder,
            spec=PreprocessSpec(window_hu=window or found.window_hu, size=(size, size)),
            split=SplitPlan(validation=0.1, test=0.3),
        )
    return load(folder, batch_size=8, steps_per_epoch=STEPS)


def train(
    model: keras.Model,
    data: CTRecords,
    epochs: int,
    learning_rate: float,
    teacher: keras.Model | None = None,
) -> None:
    """From labels as `tfkd train` does it, and from a teacher if there is one."""
    losses = [] if teacher is None else [PredictionMapDistillation()]
    trained = Distiller(teacher, model, losses)
    compile_for_training(trained, data, epochs, learning_rate)
    trained.fit(data.train, epochs=epochs, steps_per_epoch=STEPS, verbose=0)


def copy(model: keras.Model) -> keras.Model:
    new = keras.models.clone_model(model)
    new.set_weights(model.get_weights())
    return new


def uneven(model: keras.Model, factor: float) -> keras.Model:
    """A U-Net that computes the same, with every fourth channel within its stages so much larger.

    ReLU(f·x) is f·ReLU(x) for f above 0, so what BatchNorm multiplies the next kernel can divide.
    In int8 the channels of a feature share one scale, which the large ones then set.
    """
    new = copy(model)
    for layer in new.layers:
        if not layer.name.endswith("_1_bn"):
            continue
        factors = np.where(np.arange(layer.gamma.shape[0]) % 4 == 0, factor, 1.0).astype("float32")
        layer.gamma.assign(layer.gamma * factors)
        layer.beta.assign(layer.beta * factors)
        following = new.get_layer(layer.name.replace("_1_bn", "_2_conv"))
        kernel, *rest = following.get_weights()
        following.set_weights([kernel / factors[None, None, :, None], *rest])
    return new


class Student:
    """One network, and its rows.

    Args:
        network: Name.
        width: Factor on the channels.
        seed: Of weights and data.
        data: Records.
        out: Folder for the files.
    """

    def __init__(self, network: str, width: float, seed: int, data: CTRecords, out: Path) -> None:
        self.name = f"{network}-{width:g}-seed{seed}"
        self._data = data
        self._out = out
        out.mkdir(parents=True, exist_ok=True)
        keras.utils.set_random_seed(seed)
        self._network: Callable[[], keras.Model] = lambda: build_network(network, data, width)
        count = -(-CALIBRATION_SLICES // data.batch_size)
        batches = itertools.islice(data.stream(0), count)
        images = np.concatenate([np.asarray(x) for x, *_ in batches])
        self._slices = images[:CALIBRATION_SLICES]

    def trained(self, epochs: int, learning_rate: float) -> keras.Model:
        path = self._out / f"{self.name}.keras"
        if path.exists():
            return keras.saving.load_model(path, compile=False)
        model = self._network()
        train(model, self._data, epochs, learning_rate)
        recalibrate_batchnorm(model, self._data.stream(epochs), 20)
        with atomic_path(path) as temporary:
            model.save(temporary.with_suffix(".keras"))
            temporary.with_suffix(".keras").replace(temporary)
        return model

    def rows(self, model: keras.Model, epochs: int, rate: float) -> Iterator[tuple[str, Any]]:
        yield "float32", self._dice(model)
        more = copy(model)
        train(more, self._data, epochs, rate, model)
        yield "float32, trained on", self._dice(more)
        yield "int8 after training", self._file_dice(model, "plain", self._slices)
        yield (
            "int8 after training, edge form",
            self._file_dice(edge_form(model), "edge", self._slices),
        )
        aware = quantization_aware(model, self._slices)
        yield "quantisation-aware, before", self._file_dice(aware, "before")
        train(aware, self._data, epochs, rate, model)
        yield "quantisation-aware", self._file_dice(aware, "aware")

    def _dice(self, model: keras.Model) -> float:
        manifest = self._data.manifest
        return self._score(keras_predictor(model, manifest.spec, manifest.label_names))

    def _file_dice(self, model: keras.Model, kind: str, slices: Any = None) -> float:
        path = self._out / f"{self.name}-{kind}.tflite"
        manifest = self._data.manifest
        to_litert(
            model,
            path,
            quantization="int8",
            calibration=slices,
            calibration_slices=CALIBRATION_SLICES,
            spec=manifest.spec,
            label_names=manifest.label_names,
            min_agreement=0.0,  # how much is lost is the question
        )
        return self._score(Predictor(path))

    def _score(self, predictor: Any) -> float:
        manifest = self._data.manifest
        cases = manifest.case_files("test")
        info = ModelInfo(name=self.name, role="other")
        table = evaluate(predictor, cases, info, manifest.label_names).table
        return 100 * table.mean_foreground_dice()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/qat"))
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--window", type=float, nargs=2, help="HU; of the source if left out")
    parser.add_argument("--students", nargs="+", default=["UNet:0.0625:64"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--aware-epochs", type=int, default=2)
    parser.add_argument("--aware-learning-rate", type=float, default=3e-4)
    config = parser.parse_args()
    data = records(config.out, config.patients, config.size, config.window)
    for text in config.students:
        network, width, *factors = text.split(":")
        for seed in config.seeds:
            student = Student(network, float(width), seed, data, config.out / "students")
            model = student.trained(config.epochs, config.learning_rate)
            if factors:
                model = uneven(model, float(factors[0]))
                student.name += f"-uneven{factors[0]}"
            rows = student.rows(model, config.aware_epochs, config.aware_learning_rate)
            for kind, dice in rows:
                row = {"student": student.name, "kind": kind, "dice": round(dice, 2)}
                print(json.dumps(row), flush=True)
                with (config.out / "rows.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
