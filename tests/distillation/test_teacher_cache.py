"""Training from kept teacher outputs instead of the teacher."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.distillation.networks import network
from tfkd.distillation import Distiller, Teachers, cache_teacher, methods
from tfkd.errors import RecordError
from tfkd.losses import DistillationLoss, FocalDice, PredictionMapDistillation
from tfkd.phantom import write_phantom_cohort
from tfkd.records import SplitPlan, load, prepare
from tfkd.volumes import PreprocessSpec

SIZE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cache")
    cohort = write_phantom_cohort(root / "phantoms", 3, shape_zyx=(12, 64, 64))
    split = SplitPlan(train=["0", "1"], validation=["2"], test=0)
    prepare(cohort, root / "records", PreprocessSpec(size=(SIZE, SIZE)), split=split)
    return root / "records"


def make(teacher=None, losses=None) -> Distiller:
    teacher = teacher or network(8, size=SIZE, seed=1)
    distiller = Distiller(teacher, network(2, size=SIZE, seed=2), *(losses or methods.emkd()))
    distiller.compile(keras.optimizers.SGD(0.05), FocalDice())
    return distiller


def fit(distiller: Distiller, data, epochs: int = 2) -> dict[str, list[float]]:
    return distiller.fit(
        data.stream(), steps_per_epoch=data.steps_per_epoch, epochs=epochs, shuffle=False, verbose=0
    ).history


class Calls(keras.layers.Layer):
    """Counts how often it is traced or run."""

    count = 0

    def call(self, x):
        Calls.count += 1
        return x


@pytest.mark.parametrize("kind", ["one", "several"])
def test_without_variation_it_is_the_same_training(folder, tmp_path, kind):
    def teacher():
        models = [network(8, size=SIZE, seed=1), network(4, size=SIZE, seed=3)]
        return models[0] if kind == "one" else Teachers(models, "confidence", [{"volume-0"}, {}])

    data = load(folder, batch_size=4, augmentation=None)
    expected = fit(make(teacher()), data)
    distiller = make(teacher())
    found = fit(distiller, cache_teacher(distiller, data, tmp_path / kind))
    for name, curve in expected.items():
        np.testing.assert_allclose(found[name], curve, rtol=3e-3, atol=1e-4)


def test_the_teacher_does_not_run_in_a_step(folder, tmp_path):
    base = network(8, size=SIZE, seed=1)
    teacher = keras.Model(base.input, Calls()(base.output))
    assert teacher.get_layer("tap_low")
    distiller = make(teacher)
    cached = cache_teacher(distiller, load(folder, batch_size=4), tmp_path / "cache")
    calls = Calls.count
    history = fit(distiller, cached)
    assert Calls.count == calls
    assert history["prediction_map"][0] > 0


def test_variation_moves_the_teachers_maps_along(folder, tmp_path):
    """With a teacher that only knows grey values, kept and fresh losses are nearly the same."""
    image = keras.Input((SIZE, SIZE, 1))
    logits = keras.layers.Concatenate()([image, -image, 0.5 * image])
    teacher = keras.Model(image, logits)
    data = load(folder, batch_size=8)
    expected = fit(make(teacher, (methods.emkd()[0][:1], [1.0])), data, epochs=1)
    distiller = make(teacher, (methods.emkd()[0][:1], [1.0]))
    found = fit(distiller, cache_teacher(distiller, data, tmp_path / "cache"), epochs=1)
    np.testing.assert_allclose(found["prediction_map"], expected["prediction_map"], rtol=0.1)


def test_it_is_used_again_for_the_same_teacher_and_losses_only(folder):
    data = load(folder, batch_size=4)
    said: list[str] = []

    def progress(done: int, total: int, text: str) -> None:
        said.append(text)

    first = cache_teacher(make(), data, progress=progress)
    assert said
    said.clear()
    assert cache_teacher(make(), data, progress=progress).cache.folder == first.cache.folder
    assert not said
    other = cache_teacher(make(network(8, size=SIZE, seed=9)), data)
    assert other.cache.folder != first.cache.folder
    with pytest.raises(RecordError, match="teachers"):
        cache_teacher(make(network(8, size=SIZE, seed=9)), data, first.cache.folder)


def test_a_loss_of_ones_own_is_kept_with_the_whole_tensor(folder, tmp_path):
    class Mean(DistillationLoss):
        def compute_loss(self, teacher, student, labels):
            axes = (1, 2, 3)
            return (keras.ops.mean(teacher, axis=axes) - keras.ops.mean(student, axis=axes)) ** 2

    data = load(folder, batch_size=4, augmentation=None)
    losses = [Mean("tap_high", "tap_high", name="own")], [1.0]
    expected = fit(make(losses=losses), data, epochs=1)
    distiller = make(losses=losses)
    cached = cache_teacher(distiller, data, tmp_path / "cache")
    np.testing.assert_allclose(fit(distiller, cached, epochs=1)["own"], expected["own"], rtol=1e-2)


def test_without_a_teacher_there_is_nothing_to_keep(folder):
    with pytest.raises(ValueError, match="with a teacher"):
        cache_teacher(Distiller(None, network(2, size=SIZE)), load(folder))


def test_values_of_another_teacher_or_loss_are_refused(folder, tmp_path):
    data = load(folder, batch_size=4)
    cached = cache_teacher(make(), data, tmp_path / "cache")
    for other in (
        make(network(8, size=SIZE, seed=9)),
        make(losses=([PredictionMapDistillation(name="other")], [1.0])),
    ):
        with pytest.raises(ValueError, match="Expected a teacher cache that holds"):
            fit(other, cached)
