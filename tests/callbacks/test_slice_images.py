"""The slices that are shown, and what TensorBoard gets of them."""

import importlib.util

import keras
import numpy as np
import pytest
from PIL import ImageColor

from tests.callbacks.training import make_model, run
from tfkd.callbacks import SliceImages, telling_slices
from tfkd.callbacks.slice_panels import slice_panels
from tfkd.report.palette import label_color
from tfkd.volumes import PreprocessSpec, SliceExample

SPEC = PreprocessSpec(size=(8, 8), window_hu=(-100.0, 100.0))


def example(case_id: str, index: int, **pixels: int) -> SliceExample:
    """A slice with so many pixels of `liver` (1) and `tumour` (2)."""
    mask = np.zeros(64, np.uint8)
    mask[: pixels.get("liver", 0)] = 1
    mask[40 : 40 + pixels.get("tumour", 0)] = 2
    image = np.zeros((8, 8, 1), np.int16)
    return SliceExample(image, mask.reshape(8, 8), case_id, index, (1.0, 1.0, 1.0))


def chosen(*examples: SliceExample, num_classes: int = 3) -> list[tuple[str, int]]:
    found = telling_slices(iter(examples), num_classes)
    return [(one.case_id, one.slice_index) for one in found]


def test_the_largest_of_each_class_from_different_cases():
    a = [example("a", 0, liver=3), example("a", 1, liver=9, tumour=7)]
    b = [example("b", 0, liver=8, tumour=1), example("b", 1, tumour=5), example("b", 2)]
    assert chosen(*a, *b) == [("a", 1), ("b", 1)]
    assert chosen(*b, *a) == [("a", 1), ("b", 1)]
    assert chosen(*a, example("a", 2, tumour=8)) == [("a", 1), ("a", 2)]  # no other case


def test_a_class_that_is_nowhere_has_no_slice():
    assert chosen(example("a", 0, tumour=2)) == [("a", 0)]
    assert chosen(example("a", 0)) == []


def test_no_slice_is_shown_twice():
    assert chosen(example("a", 0, liver=2, tumour=2)) == [("a", 0)]


def test_many_cases():
    examples = [example(f"case {k}", k, liver=k, tumour=k) for k in range(20)]
    assert chosen(*examples) == [("case 19", 19), ("case 18", 18)]


def test_panels_lie_side_by_side_with_outlines_in_the_report_colours():
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 2:6] = 2
    picture = slice_panels(np.full((8, 8), 0.5), [mask, np.zeros_like(mask)])
    assert picture.dtype == np.uint8
    assert picture.shape == (256, 3 * 256 + 2 * 4, 3)
    plain, truth, prediction = picture[:, :256], picture[:, 260:516], picture[:, 520:]
    assert (plain == 128).all()
    assert (prediction == 128).all()
    edge = (truth == ImageColor.getrgb(label_color(2))).all(axis=-1)
    assert edge[64, 64:192].all()
    assert not edge[65:191, 65:191].any()
    assert (truth[~edge] == 128).all()


def test_grey_values_outside_the_window_are_cut():
    assert set(np.unique(slice_panels(np.array([[-1.0, 0.0], [1.0, 3.0]]), []))) == {0, 255}


def test_every_epoch_has_its_images(tmp_path):
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    model = make_model()
    examples = [example("a", 4, liver=9), example("b", 2, tumour=5)]
    run(
        tmp_path,
        model,
        SliceImages(tmp_path / "log", model, examples, SPEC),
        keras.callbacks.TensorBoard(str(tmp_path / "log"), write_graph=False),
        epochs=2,
    )
    events = event_accumulator.EventAccumulator(str(tmp_path / "log" / "slices"))
    events.Reload()
    assert events.Tags()["tensors"] == ["a/slice 4", "b/slice 2"]
    assert [event.step for event in events.Tensors("a/slice 4")] == [0, 1]
    scalars = event_accumulator.EventAccumulator(str(tmp_path / "log" / "validation"))
    scalars.Reload()
    assert "epoch_slice_dice" in scalars.Tags()["tensors"]


def test_tensorboard_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install tfkd\[tensorboard\]"):
        SliceImages(tmp_path, None, [example("a", 0)], SPEC)


def test_slices_need_labels(tmp_path):
    with pytest.raises(ValueError, match="at least one slice"):
        SliceImages(tmp_path, None, [], SPEC)
