"""Training a plan from packed slices, with Keras on JAX and in a process that has no TensorFlow."""

import importlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.comparison.conftest import TABLES, _write_patient
from tfkd.comparison import Plan, Study
from tfkd.errors import RecordError
from tfkd.records import Manifest, Sampling, SplitPlan, find_source, prepare
from tfkd.records.augmentation import DEFAULT_AUGMENTATION
from tfkd.records.sampling import expected_copies
from tfkd.records.warp import Warp
from tfkd.volumes import PreprocessSpec, window

GPU = Path(__file__).resolve().parents[1] / "benchmarks" / "quality" / "gpu"
CASES = ["0", "1", "2"]  # for training, of which the last one has no mask

# A process that cannot import TensorFlow, which is not on the GPU machine. It moves slices, then
# trains.
WITHOUT_TENSORFLOW = """
import runpy, sys
sys.modules["tensorflow"] = None
_, script, slices, *sys.argv[1:] = sys.argv
sys.path.insert(0, script.rpartition("/")[0])
import numpy as np
from packed_slices import vary
with np.load(slices) as given:
    drawn = {name: given[name] for name in ("transform", "factor", "offset_hu")}
    images, masks = vary(given["images"], given["masks"], drawn)
np.savez(slices, images=np.asarray(images), masks=np.asarray(masks))
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(GPU))
    yield importlib.import_module("pack"), importlib.import_module("packed_slices")
    sys.path.remove(str(GPU))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu") / "lits"
    for number in range(4):
        _write_patient(folder, number)
    return folder


def prepared(cohort, name):
    prepare(
        find_source(cohort, missing_masks="keep"),
        cohort.parent / name,
        PreprocessSpec(size=(32, 32)),
        split=SplitPlan(train=CASES, validation=[], test=["3"]),
    )
    return cohort.parent / name


@pytest.fixture(scope="module")
def all_masks(cohort):
    return prepared(cohort, "all_masks")


@pytest.fixture(scope="module")
def source(cohort, all_masks):
    (cohort / f"segmentation-{CASES[-1]}.nii.gz").unlink()
    return prepared(cohort, "few_masks")


@pytest.fixture(scope="module")
def packed(modules, source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "records"
    modules[0].pack(source, folder)
    return folder


def slices_of(modules, packed, **changed):
    settings = {"batch_size": 4, "steps": 50, "sampling": Sampling(), "vary": False, "seed": 0}
    return modules[1].PackedSlices(packed, **{**settings, **changed})


def test_batches_are_the_records_slices(modules, source, packed):
    from tfkd import records

    expected = {
        window(one.image_hu, Manifest.load(source).spec).tobytes(): one.mask
        for one in records.load(source).examples("train")
    }
    images, masks = slices_of(modules, packed, sampling=Sampling(unlabelled_share=0.5))[0]
    assert images.shape == (4, 32, 32, 1)
    for image, mask in zip(np.asarray(images), masks, strict=True):
        np.testing.assert_array_equal(mask, expected[image.astype("float32").tobytes()])


def test_slices_are_shown_as_often_as_the_library_shows_them(modules, source, packed):
    from tfkd import records

    sampling = Sampling(empty_share=0.1, unlabelled_share=0.25)
    data = slices_of(modules, packed, sampling=sampling)
    shown = np.concatenate([data[step][0] for step in range(len(data))])
    counts = Counter(image.astype("float32").tobytes() for image in shown)
    spec, manifest = data.spec, data.manifest
    labels = [labels for case in manifest.cases_of("train") for labels in case.labels_per_slice]
    due = expected_copies(labels, 200, sampling)
    assert due.min() < 5 < 20 < due.max()
    slices = {
        (one.case_id, one.slice_index): window(one.image_hu, spec).tobytes()
        for one in records.load(source).examples("train")
    }
    expected = Counter()  # some empty slices look the same
    for place, copies in zip(modules[0].slice_places(manifest), due, strict=True):
        expected[slices[place]] += copies
    assert len(expected) >= 12
    assert all(abs(counts[image] - copies) < 2.5 for image, copies in expected.items())
    assert sum(counts.values()) == 200


def test_epochs_differ_and_can_be_repeated(modules, packed):
    first, again = (slices_of(modules, packed) for _ in range(2))
    np.testing.assert_array_equal(first[3][0], again[3][0])
    again.on_epoch_end()
    assert any(np.any(first[step][0] != again[step][0]) for step in range(5))
    first, again = (slices_of(modules, packed, vary=True) for _ in range(2))
    np.testing.assert_array_equal(first[3][0], again[3][0])


def test_other_slices_than_the_manifests_are_refused(modules, all_masks, packed, tmp_path):
    modules[0].pack(all_masks, tmp_path / "packed")
    Manifest.load(packed).save(tmp_path / "packed")
    with pytest.raises(RecordError, match="of different records"):
        slices_of(modules, tmp_path / "packed")
    with pytest.raises(RecordError, match=r"train\.npz is missing"):
        slices_of(modules, all_masks)


@pytest.fixture(scope="module")
def slices(modules, packed):
    """Slices, and how they are to be moved."""
    ranges = {**vars(DEFAULT_AUGMENTATION), "shift": 0.2, "flip_left_right": True}
    spec = Manifest.load(packed).spec
    drawn = modules[1].draw_variation(np.random.default_rng(1), 8, ranges, spec)
    generator = np.random.default_rng(2)
    images = generator.normal(0, 50, (8, 32, 32, 1)).astype("float32")
    masks = generator.integers(0, 3, (8, 32, 32)).astype("int32")
    masks[5] = 255
    return {"images": images, "masks": masks, **drawn}


@pytest.fixture(scope="module")
def moved_by_the_library(slices):
    """The same by `Warp`, which is given matrix and shift."""
    x_x, x_y, x_0, y_x, y_y, y_0, *_ = slices["transform"].T
    matrix = np.stack([x_x, x_y, y_x, y_y], axis=1)
    middle = np.array([15.5, 15.5])
    inverse = np.linalg.inv(matrix.reshape(-1, 2, 2))
    shift = np.einsum("nij,nj->ni", inverse, middle - np.stack([x_0, y_0], axis=1)) - middle
    assert 1 < np.abs(shift).max() <= 0.2 * 32
    assert set(np.sign(np.linalg.det(matrix.reshape(-1, 2, 2))).tolist()) == {-1.0, 1.0}
    warp = Warp((32, 32), tf.constant(matrix), tf.constant(shift, tf.float32))
    images = warp.move(slices["images"] * slices["factor"] + slices["offset_hu"], -1024.0)
    masks = np.array(warp.move_labels(slices["masks"]))
    masks[5] = 255
    return {"images": np.asarray(images), "masks": masks}


def assert_same_slices(found, expected):
    np.testing.assert_allclose(found["images"], expected["images"], atol=0.5)
    # A place in the middle between two pixels may fall on either.
    assert np.mean(np.asarray(found["masks"]) != expected["masks"]) < 1e-3


def test_slices_move_as_the_library_moves_them(modules, slices, moved_by_the_library):
    drawn = {name: slices[name] for name in ("transform", "factor", "offset_hu")}
    images, masks = modules[1].vary(slices["images"], slices["masks"], drawn)
    assert_same_slices({"images": images, "masks": masks}, moved_by_the_library)


def test_air_around_a_slice(modules, packed):
    packed_slices = modules[1]
    ranges = {**vars(DEFAULT_AUGMENTATION), "shift": 0.5}
    spec = Manifest.load(packed).spec
    drawn = packed_slices.draw_variation(np.random.default_rng(0), 2, ranges, spec)
    masks = np.stack([np.ones((32, 32)), np.full((32, 32), 255)]).astype("int32")
    images, labels = packed_slices.vary(np.full((2, 32, 32, 1), 50.0, "float32"), masks, drawn)
    outside = np.asarray(images)[0, ..., 0] < -900  # further in, air and slice mix
    assert outside.any()
    assert np.all(np.asarray(labels)[0][outside] == 0)
    assert np.all(np.asarray(labels)[1] == 255)


def test_trains_a_plan_that_compare_scores(
    modules, source, all_masks, packed, slices, moved_by_the_library, tmp_path
):
    pytest.importorskip("jax")
    modules[0].pack(all_masks, tmp_path / "all_masks")
    np.savez(tmp_path / "slices.npz", **slices)

    def plan_of(records, teachers_records):
        return {
            "records": str(records),
            "seeds": [0],
            "export": "none",
            "training": {**TABLES["training"], "cache_teacher": False},
            "teachers": {"big": {**TABLES["teachers"]["big"], "records": str(teachers_records)}},
            "students": TABLES["students"],
            "methods": {
                "ours": {"preset": "overlap_kd", "unlabelled_share": 0.5, "ramp_epochs": 1}
            },
        }

    on_gpu = plan_of(packed, tmp_path / "all_masks")
    (tmp_path / "plan.py").write_text(
        f"from tfkd.comparison import Plan\nplan = Plan(**{on_gpu!r})\n"
    )
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, str(GPU / "train.py")]
    done = subprocess.run(
        [*command, *(str(tmp_path / name) for name in ("slices.npz", "plan.py", "runs"))],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # half of the time: it compiles, mostly
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "3 of 3: small ← big, ours, seed 0" in done.stdout
    with np.load(tmp_path / "slices.npz") as moved:
        assert_same_slices(moved, moved_by_the_library)

    plan = Plan(**plan_of(source, all_masks))
    study = Study(plan, tmp_path / "runs", say=lambda line: None)
    networks = {job.title: tmp_path / "runs" / job.folder / "model.keras" for job in study.jobs}
    before = {title: path.read_bytes() for title, path in networks.items()}
    shown = study.run()
    assert not study.missing()
    assert before == {title: path.read_bytes() for title, path in networks.items()}
    rows = {job.title: study.rows.read()[job.identity] for job in study.jobs}
    teacher, ours = rows["teacher big"], rows["small ← big, ours, seed 0"]
    assert ours["taught_by"] == [teacher["fingerprint"]]  # by the very same network
    assert ours["steps"] == 4
    assert ours["ms_per_step"] > 0
    assert all("trained on cpu, JAX " in machine for machine in shown.machines)
