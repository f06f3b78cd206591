"""Trains under `KERAS_BACKEND=jax`; run by `test_jax.py` as a process of its own."""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from tests.distillation.networks import same, slices, weights_of
from tfkd.distillation import Distiller, FreezeCheck, Teachers, methods
from tfkd.losses import FocalDice
from tfkd.records import encode_case_ids

RAMP = (0.2, 2, 1.0)
CASES = ["a", "b", "c", "d"] * 2


def distiller_of(folder: Path, several: bool) -> Distiller:
    teacher, student = (
        keras.saving.load_model(folder / f"{role}.keras") for role in ("teacher", "student")
    )
    losses, weights = methods.emkd()
    weights[0] = keras.optimizers.schedules.PolynomialDecay(*RAMP)
    if several:
        other = keras.saving.load_model(folder / "other.keras")
        teacher = Teachers([teacher, other], "confidence", [{"a"}, {"b"}])
    distiller = Distiller(teacher, student, losses, weights)
    distiller.compile(keras.optimizers.SGD(0.05), FocalDice())
    return distiller


def main(folder: Path) -> None:
    assert keras.backend.backend() == "jax"
    x, y = slices(8)
    found = {}
    targets = {"mask": y, "case_id": encode_case_ids(CASES)}
    for several in (False, True):
        distiller = distiller_of(folder, several)
        freeze = FreezeCheck(*distiller.teachers)
        found[f"several={several}"] = distiller.fit(
            x,
            targets,
            batch_size=8,
            epochs=6,
            validation_data=(x, y),
            callbacks=[freeze],
            verbose=0,
        ).history
    # Not a constant of the compiled step: a teacher that has changed is heard at once.
    for teacher in distiller.teachers:
        teacher.set_weights([np.full_like(weight, 10) for weight in teacher.get_weights()])
    changed = distiller.fit(x, targets, batch_size=8, verbose=0).history
    assert changed["prediction_map"][0] > 2 * found["several=True"]["prediction_map"][-1]
    before = weights_of(distiller.student)
    distiller.evaluate(x, y, verbose=0)
    assert same(before, weights_of(distiller.student))
    (folder / "jax.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
