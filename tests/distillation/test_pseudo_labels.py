"""Pixels and slices without labels: what the teachers are sure of stands in for them."""

import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from tests.distillation.networks import CLASSES, network, same, slices, weights_of
from tfkd.distillation import Distiller, Teachers, cache_teacher, methods
from tfkd.distillation.pseudo_labels import encode_pseudo_labels, fill_labels, pseudo_labels
from tfkd.distillation.terms import PSEUDO_LABELS
from tfkd.losses import FocalDice, PredictionMapDistillation, RegionAffinityDistillation
from tfkd.phantom import write_phantom_cohort
from tfkd.records import Sampling, SplitPlan, find_source, load, prepare
from tfkd.volumes import IGNORE_LABEL, PreprocessSpec

SIZE = 32


def logits_of(*probabilities: list[float]) -> np.ndarray:
    """(1, 1, pixels, K) logits of these probabilities."""
    return np.log(np.array([[probabilities]], np.float32))


def test_the_sure_pixels_without_label_take_the_teachers_class():
    labels = np.array([[[[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]]], np.float32)
    logits = logits_of([0.01, 0.01, 0.98], [0.02, 0.03, 0.95], [0.4, 0.3, 0.3])
    found = pseudo_labels([logits], 0.9)
    np.testing.assert_array_equal(found[0, 0], [[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    filled = fill_labels(labels, found)
    np.testing.assert_array_equal(filled[0, 0], [[1, 0, 0], [0, 0, 1], [0, 0, 0]])
    kept = encode_pseudo_labels(labels, found)
    np.testing.assert_array_equal(kept[0, 0, :, 0], [IGNORE_LABEL, 2, IGNORE_LABEL])


def test_several_teachers_must_be_sure_together():
    one = logits_of([0.02, 0.03, 0.95], [0.02, 0.03, 0.95])
    other = logits_of([0.03, 0.02, 0.95], [0.95, 0.02, 0.03])
    found = pseudo_labels([one, other], 0.9)
    np.testing.assert_array_equal(found[0, 0], [[0, 0, 1], [0, 0, 0]])


def test_two_classes_cannot_be_sure_at_once():
    with pytest.raises(ValueError, match=r"pseudo_label_threshold above 0\.5.*Received 0\.5"):
        Distiller(network(4), network(2), losses(), pseudo_label_threshold=0.5)


def fitted(distiller: Distiller, x, y, **arguments) -> dict[str, list[float]]:
    distiller.compile(keras.optimizers.SGD(0.1), FocalDice())
    return distiller.fit(x, y, batch_size=8, shuffle=False, verbose=0, **arguments).history


def teacher_of(seed: int = 1, scale: float = 40.0) -> keras.Model:
    """A teacher that is sure of most pixels."""
    base = network(8, seed=seed)
    return keras.Model(base.input, keras.layers.Rescaling(scale)(base.output))


def filled_by_hand(models, x, y, threshold: float = 0.9) -> np.ndarray:
    probability = np.mean([ops.softmax(model(x, training=False)) for model in models], axis=0)
    guess = np.where(probability.max(-1) >= threshold, probability.argmax(-1), IGNORE_LABEL)
    return np.where(y == IGNORE_LABEL, guess, y)


def losses() -> list:
    return [
        PredictionMapDistillation(balanced=True),
        RegionAffinityDistillation("tap_low"),
        RegionAffinityDistillation("tap_high", variant="paper"),
    ]


@pytest.mark.parametrize(("count", "form"), [(1, "indices"), (2, "one_hot")])
def test_the_distillation_losses_see_the_teachers_labels(count, form):
    x, y = slices()
    y[:3] = IGNORE_LABEL
    y[3, 4:] = IGNORE_LABEL
    models = [teacher_of(1), teacher_of(3)][:count]
    labels = filled_by_hand(models, x, y)
    assert len(np.unique(labels[:3])) > 1
    given = y if form == "indices" else np.eye(256, dtype="float32")[y][..., :CLASSES]
    teacher = models[0] if count == 1 else Teachers(models)
    history = fitted(Distiller(teacher, network(2, seed=2), losses()), x, given)
    by_hand = Distiller(teacher, network(2, seed=2), losses(), pseudo_label_threshold=2.0)
    expected = fitted(by_hand, x, labels)
    for loss in losses():
        value = history[loss.name]
        np.testing.assert_allclose(value, expected[loss.name], rtol=1e-4, atol=1e-7)
        assert value[0] > 0


def test_what_has_labels_is_as_it_was():
    x, y = slices()
    one, two = (
        fitted(Distiller(teacher_of(), network(2, seed=2), losses(), **each), x, y)
        for each in ({}, {"pseudo_label_threshold": 2.0})
    )
    assert one == two


def test_the_supervised_loss_sees_none_of_it():
    x, y = slices()
    y[4:] = IGNORE_LABEL
    history = fitted(Distiller(teacher_of(), network(2, seed=2), losses()), x, y)
    student = network(2, seed=2)
    expected = np.mean(FocalDice()(y[:4], student(x, training=True)[:4]))
    np.testing.assert_allclose(history["student_loss"], [expected], rtol=1e-4)


@pytest.mark.parametrize(("weighting", "scale"), [("mean", 40.0), ("confidence", 0.0)])
def test_a_batch_without_any_label_is_finite_and_still_teaches(weighting, scale):
    x, y = slices()
    y[:] = IGNORE_LABEL
    teachers = Teachers([teacher_of(1, scale), teacher_of(3, scale)], weighting)
    confidence = teachers.confidence([ops.zeros((8, 16, 16, 3))] * 2, ops.zeros((8, 16, 16, 3)))
    np.testing.assert_allclose(teachers.shares(confidence, None), 0.5)
    student = network(2, seed=2)
    before = weights_of(student)
    method = methods.emkd(balanced=True)
    history = fitted(Distiller(teachers, student, *method), x, y, sample_weight=np.ones(8))
    assert all(np.isfinite(curve[0]) for curve in history.values())
    assert history["student_loss"] == [0.0]
    assert history["importance_map_tap_high"][0] > 0
    if scale == 0.0:  # without pseudo labels, nothing is compared region by region
        assert history["prediction_map"] == history["region_affinity_tap_high"] == [0.0]
    assert not same(before, weights_of(student))


def test_a_student_that_teaches_itself_takes_no_gradient_through_its_labels():
    x, y = slices()
    y[:2] = IGNORE_LABEL
    student = network(2, seed=2)
    loss = RegionAffinityDistillation("tap_high", "tap_low")
    history = fitted(Distiller(student, student, loss, pseudo_label_threshold=0.6), x, y)
    assert np.isfinite(history["loss"][0])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of two training patients, one of whom has no mask."""
    root = tmp_path_factory.mktemp("mixed")
    cohort = write_phantom_cohort(root / "phantoms", 3, shape_zyx=(12, 64, 64))
    (cohort / "segmentation-1.nii.gz").unlink()
    source = find_source(cohort, missing_masks="keep")
    split = SplitPlan(validation=["2"], test=0)
    prepare(source, root / "records", PreprocessSpec(size=(SIZE, SIZE)), split=split)
    return root / "records"


def large(seed: int) -> keras.Model:
    base = network(8, size=SIZE, seed=seed)
    return keras.Model(base.input, keras.layers.Rescaling(40.0)(base.output))


def streamed(distiller: Distiller, data) -> dict[str, list[float]]:
    distiller.compile(keras.optimizers.SGD(0.05), FocalDice())
    steps = data.steps_per_epoch
    return distiller.fit(
        data.stream(), steps_per_epoch=steps, epochs=2, shuffle=False, verbose=0
    ).history


@pytest.mark.parametrize("count", [2])
def test_a_teacher_cache_keeps_them(mixed, tmp_path, count):
    def make() -> Distiller:
        models = [large(1), large(3)][:count]
        teacher = models[0] if count == 1 else Teachers(models, "confidence")
        return Distiller(teacher, network(2, size=SIZE, seed=2), losses())

    half = Sampling(unlabelled_share=0.5)
    data = load(mixed, batch_size=4, augmentation=None, sampling=half)
    distiller = make()
    cached = cache_teacher(distiller, data, tmp_path / "cache")
    assert cached.cache.arrays[PSEUDO_LABELS].dtype == "uint8"
    found, expected = streamed(distiller, cached), streamed(make(), data)
    for name, curve in expected.items():
        np.testing.assert_allclose(found[name], curve, rtol=3e-3, atol=1e-4)


def test_kept_labels_move_with_the_slice(mixed, tmp_path):
    """Of a teacher that goes by grey value, the kept labels fit the varied slice."""
    image = keras.Input((SIZE, SIZE, 1))
    logits = keras.layers.Concatenate()([100 * image + 40, -100 * image - 40, 0 * image - 200])
    distiller = Distiller(keras.Model(image, logits), network(2, size=SIZE), losses()[:1])
    data = load(mixed, batch_size=4, sampling=Sampling(unlabelled_share=0.5))
    stream = cache_teacher(distiller, data, tmp_path / "cache").stream().as_numpy_iterator()
    agreement = []
    for images, targets in itertools.islice(stream, 6):
        pseudo, grey = targets["cache"][PSEUDO_LABELS][..., 0], images[..., 0]
        assert set(np.unique(pseudo)) <= {0, 1, IGNORE_LABEL}
        labelled = targets["mask"] != IGNORE_LABEL
        assert np.all(pseudo[labelled] == IGNORE_LABEL)
        # Not by the edges of a region, nor where contrast was varied.
        told = (pseudo != IGNORE_LABEL) & (np.abs(grey + 0.4) > 0.3)
        agreement += (pseudo[told] == (grey[told] < -0.4)).tolist()
    assert len(agreement) > 1000
    assert np.mean(agreement) > 0.9


def test_a_cache_of_other_pseudo_labels_is_another_one(mixed):
    data = load(mixed, batch_size=4)
    folders = set()
    for threshold in (0.9, 0.95, 0.9):
        student = network(2, size=SIZE, seed=2)
        distiller = Distiller(large(1), student, losses(), pseudo_label_threshold=threshold)
        folders.add(cache_teacher(distiller, data).cache.folder)
    assert len(folders) == 2
