"""The same Distiller on JAX: the same losses, and it learns."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.distillation.jax_batch import CASES, distiller_of
from tests.distillation.networks import network, slices
from tfkd.records import encode_case_ids


@pytest.mark.parametrize("several", [False, True])
def test_jax_trains_as_tensorflow_does(jax_histories, several):
    folder, histories = jax_histories
    found = histories[f"several={several}"]
    x, y = slices(8)
    targets = {"mask": y, "case_id": encode_case_ids(CASES)}
    expected = (
        distiller_of(folder, several)
        .fit(x, targets, batch_size=8, epochs=6, validation_data=(x, y), verbose=0)
        .history
    )
    assert set(found) == set(expected)
    for name, curve in expected.items():
        np.testing.assert_allclose(found[name][0], curve[0], atol=1e-5)
        np.testing.assert_allclose(found[name], curve, rtol=1e-3, atol=1e-4)
    assert found["student_loss"][-1] < found["student_loss"][0]


@pytest.fixture(scope="module")
def jax_histories(tmp_path_factory):
    pytest.importorskip("jax")
    folder = tmp_path_factory.mktemp("jax")
    network(8, seed=1).save(folder / "teacher.keras")
    network(4, seed=3).save(folder / "other.keras")
    network(2, seed=2).save(folder / "student.keras")
    result = subprocess.run(
        [sys.executable, "-m", "tests.distillation.jax_batch", str(folder)],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return folder, json.loads((folder / "jax.json").read_text())
