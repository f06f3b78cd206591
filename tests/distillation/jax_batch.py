"""Trains under `KERAS_BACKEND=jax`; run by `test_jax.py` as a process of its own."""

import json
import sys
from pathlib import Path

import keras

from tests.distillation.networks import same, slices, weights_of
from tfkd.distillation import Distiller, FreezeCheck, Teachers, methods
from tfkd.losses import FocalDice

RAMP = (0.2, 2, 1.0)


def distiller_of(folder: Path, several: bool) -> Distiller:
    teacher, student = (
        keras.saving.load_model(folder / f"{role}.keras") for role in ("teacher", "student")
    )
    losses, weights = methods.emkd()
    weights[0] = keras.optimizers.schedules.PolynomialDecay(*RAMP)
    if several:
        teacher = Teachers([teacher, teacher], "confidence")
    distiller = Distiller(teacher, student, losses, weights)
    distiller.compile(keras.optimizers.SGD(0.05), FocalDice())
    return distiller


def main(folder: Path) -> None:
    assert keras.backend.backend() == "jax"
    x, y = slices(8)
    found = {}
    for several in (False, True):
        distiller = distiller_of(folder, several)
        freeze = FreezeCheck(*distiller.teachers)
        found[f"several={several}"] = distiller.fit(
            x,
            {"mask": y},
            batch_size=8,
            epochs=6,
            validation_data=(x, y),
            callbacks=[freeze],
            verbose=0,
        ).history
    before = weights_of(distiller.student)
    distiller.evaluate(x, y, verbose=0)
    assert same(before, weights_of(distiller.student))
    (folder / "jax.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
