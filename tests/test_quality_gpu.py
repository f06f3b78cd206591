"""Training a plan from packed slices, with Keras on JAX and in a process that has no TensorFlow."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.comparison.conftest import TABLES, _write_patient
from tfkd.comparison import Plan, Study
from tfkd.records import Manifest, Sampling, SplitPlan, find_source, prepare
from tfkd.records.augmentation import DEFAULT_AUGMENTATION
from tfkd.records.warp import Warp
from tfkd.volumes import PreprocessSpec, window

GPU = Path(__file__).resolve().parents[1] / "benchmarks" / "quality" / "gpu"
CASES = ["0", "1", "2"]  # for training, of which the last one has no mask

# A process that cannot import TensorFlow: what it is asked for is not on the GPU machine.
WITHOUT_TENSORFLOW = """
import runpy, sys
sys.modules["tensorflow"] = None
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(GPU))
    yield importlib.import_module("pack"), importlib.import_module("packed_slices")
    sys.path.remove(str(GPU))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    for number in range(4):
        _write_patient(folder / "lits", number)
    (folder / "lits" / f"segmentation-{CASES[-1]}.nii.gz").unlink()
    prepare(
        find_source(folder / "lits", missing_masks="keep"),
        folder / "records",
        PreprocessSpec(size=(32, 32)),
        split=SplitPlan(train=CASES, validation=[], test=["3"]),
    )
    return folder / "records"


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


def test_shares_are_the_librarys(modules, packed):
    data = slices_of(modules, packed, sampling=Sampling(empty_share=0.1, unlabelled_share=0.25))
    masks = np.concatenate([np.asarray(data[step][1]) for step in range(len(data))])
    unlabelled = np.all(masks == 255, axis=(1, 2))
    assert abs(np.mean(unlabelled) - 0.25) < 0.03
    assert abs(np.mean(np.all(masks == 0, axis=(1, 2))) - 0.1 * 0.75) < 0.03


def test_epochs_differ_and_can_be_repeated(modules, packed):
    first, again = (slices_of(modules, packed, vary=True) for _ in range(2))
    np.testing.assert_array_equal(first[3][0], again[3][0])
    again.on_epoch_end()
    assert np.any(np.asarray(first[3][0]) != np.asarray(again[3][0]))


def test_slices_move_as_the_library_moves_them(modules, packed):
    """The transform, read back as matrix and shift, gives what `Warp` gives."""
    packed_slices = modules[1]
    spec = Manifest.load(packed).spec
    ranges = {**vars(DEFAULT_AUGMENTATION), "shift": 0.2, "flip_left_right": True}
    drawn = packed_slices.draw_variation(np.random.default_rng(1), 8, ranges, spec)
    generator = np.random.default_rng(2)
    images = generator.normal(0, 50, (8, 32, 32, 1)).astype("float32")
    masks = generator.integers(0, 3, (8, 32, 32)).astype("int32")
    masks[5] = 255
    moved, labels = packed_slices.vary(images, masks, drawn)

    x_x, x_y, x_0, y_x, y_y, y_0, *_ = drawn["transform"].T
    matrix = np.stack([x_x, x_y, y_x, y_y], axis=1)
    middle = np.array([15.5, 15.5])
    inverse = np.linalg.inv(matrix.reshape(-1, 2, 2))
    origin = np.stack([x_0, y_0], axis=1)
    from_middle = np.einsum("nij,nj->ni", inverse, middle - origin) - middle
    assert 1 < np.abs(from_middle).max() <= 0.2 * 32
    assert {-1.0, 1.0} == set(np.sign(np.linalg.det(matrix.reshape(-1, 2, 2))).tolist())
    warp = Warp((32, 32), tf.constant(matrix), tf.constant(from_middle, tf.float32))
    varied = images * drawn["factor"] + drawn["offset_hu"]
    np.testing.assert_allclose(moved, warp.move(varied, -1024.0), atol=0.5)
    expected = np.array(warp.move_labels(masks))
    expected[5] = 255
    assert np.mean(np.asarray(labels) != expected) < 1e-3  # a place between two pixels may round


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


def test_trains_a_plan_that_compare_scores(modules, source, packed, tmp_path):
    pytest.importorskip("jax")
    methods = {"ours": {"preset": "tfkd", "unlabelled_share": 0.5, "ramp_epochs": 1}}
    plan = Plan(records=source, **{**TABLES, "seeds": [0], "export": "none", "methods": methods})
    text = f"""
from tfkd.comparison import Plan
plan = Plan(records={str(packed)!r}, seeds=[0], export="none", training={TABLES["training"]!r},
    teachers={TABLES["teachers"]!r}, students={TABLES["students"]!r}, methods={methods!r})
"""
    (tmp_path / "plan.py").write_text(text)
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, str(GPU / "train.py")]
    done = subprocess.run(
        [*command, str(tmp_path / "plan.py"), str(tmp_path / "runs")],
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

    study = Study(plan, tmp_path / "runs", say=lambda line: None)
    networks = {job.title: tmp_path / "runs" / job.folder / "model.keras" for job in study.jobs}
    before = {title: path.read_bytes() for title, path in networks.items()}
    study.run()
    assert not study.missing()
    assert before == {title: path.read_bytes() for title, path in networks.items()}
    rows = {job.title: study.rows.read()[job.identity] for job in study.jobs}
    teacher, ours = rows["teacher big"], rows["small ← big, ours, seed 0"]
    assert ours["taught_by"] == [teacher["fingerprint"]]  # by the very same network
    assert ours["steps"] == 4
    assert ours["ms_per_step"] > 0
