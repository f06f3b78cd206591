"""Which slices are shown, and that outlines lie where the voxels are."""

import base64
import dataclasses
import io
import re

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tfkd.errors import GeometryError
from tfkd.evaluation import CasePaths, ModelInfo, evaluate
from tfkd.report.outlines import outlines_of
from tfkd.report.overlays import make_overlays
from tfkd.report.slice_choice import SliceWish, slice_of, wished_slices

WINDOW = (-160.0, 240.0)


def points_of(path: str) -> np.ndarray:
    return np.array(re.findall(r"([\d.]+) ([\d.]+)", path), float)


def test_outline_lies_around_its_pixels_in_mm():
    mask = np.zeros((10, 8), np.uint8)
    mask[2:5, 3:7] = 1  # rows of 2 mm: 4 to 10 mm; columns of 0.5 mm: 1.5 to 3.5 mm
    (outline,) = outlines_of(mask, (2.0, 0.5))
    points = points_of(outline.path)
    np.testing.assert_allclose(points.min(axis=0), [1.5, 4.0], atol=0.11)
    np.testing.assert_allclose(points.max(axis=0), [3.5, 10.0], atol=0.11)


def test_outline_of_the_whole_slice_and_of_nothing():
    (outline,) = outlines_of(np.ones((4, 6), np.uint8), (1.0, 1.0))
    np.testing.assert_allclose(points_of(outline.path).max(axis=0), [6, 4])
    assert outlines_of(np.zeros((4, 6), np.uint8), (1.0, 1.0)) == ()


def test_outline_of_every_class_and_hole():
    mask = np.ones((9, 9), np.uint8)
    mask[3:6, 3:6] = 3
    liver, tumour = outlines_of(mask, (1.0, 1.0))
    assert (liver.label, tumour.label) == (1, 3)
    assert liver.path.count("Z") == 2  # outer border and hole
    assert tumour.path.count("Z") == 1


def test_slice_with_most_pixels_and_most_errors():
    truth = np.zeros((3, 4, 4), np.uint8)
    truth[1, :2] = 1
    prediction = truth.copy()
    prediction[2, 0] = 1
    assert slice_of(SliceWish(0, "a", 1, "largest"), truth, prediction) == 1
    assert slice_of(SliceWish(1, "a", 1, "worst"), truth, prediction) == 2


def test_wishes_come_from_the_counts(evaluations):
    int8 = evaluations[-1]
    ids = int8.table.case_ids
    wishes = {(wish.label, wish.kind): wish.case_id for wish in wished_slices(int8, ids)}
    # The liver is largest in case 2 (22 columns, no tumour), the tumour in case 1 (5 columns).
    assert wishes[1, "largest"] == "case-2"
    assert wishes[2, "largest"] == "case-1"
    assert set(wishes) == {(label, kind) for label in (1, 2) for kind in ("largest", "worst")}
    perfect = evaluations[0]
    assert {wish.kind for wish in wished_slices(perfect, ids)} == {"largest"}
    assert wished_slices(int8, ()) == []


def test_figures_show_every_row(evaluations, cases):
    figures = make_overlays(evaluations, cases, WINDOW)
    assert figures[0].reasons[0] == "largest liver"
    assert any("worst error in tumour by int8 file" in figure.reasons for figure in figures)
    for figure in figures:
        assert [panel.name for panel in figure.panels] == [row.name for row in evaluations]
        assert figure.size_mm == pytest.approx((40.0, 40.0))  # 40 x 1 mm, 20 x 2 mm
        left, top, width, height = figure.view_mm
        assert left >= 0
        assert top >= 0
        assert left + width <= 40 + 1e-6
        assert top + height <= 40 + 1e-6
        teacher, plain = figure.panels[:2]
        assert (teacher.wrong_pixels, teacher.dice) == (0, 1.0)
        assert teacher.outlines == figure.truth
        assert plain.wrong_pixels > 0
    assert len({(figure.case_id, figure.slice_index) for figure in figures}) == len(figures)


def test_picture_is_the_windowed_slice(evaluations, cases):
    figure = make_overlays(evaluations[:1], cases, WINDOW)[0]
    image = Image.open(io.BytesIO(base64.b64decode(figure.image_uri.partition(",")[2])))
    grey = np.asarray(image).astype(float)
    assert grey.shape == (20, 40)
    # Means, because JPEG rings at edges.
    assert grey[6:14, 6:26].mean() == pytest.approx(255 * (60 + 160) / 400, abs=3)
    assert grey[:4].mean() == pytest.approx(255 * (-100 + 160) / 400, abs=3)


def test_without_masks_or_cases(evaluations, cases):
    bare = [dataclasses.replace(row, masks_dir=None) for row in evaluations]
    figures = make_overlays(bare, cases, WINDOW)
    assert all(panel.outlines is None for figure in figures for panel in figure.panels)
    assert make_overlays(evaluations, (), WINDOW) == []
    # The judged row falls back to one that kept its masks.
    some = [*evaluations[:2], *bare[2:]]
    reasons = [reason for figure in make_overlays(some, cases, WINDOW) for reason in figure.reasons]
    assert "worst error in liver by plain student" in reasons


def test_mask_of_another_shape_names_the_file(evaluations, cases, tmp_path):
    from tfkd.volumes import Volume, canonical_affine, write_volume

    for case in cases:
        wrong = Volume(np.ones((2, 3, 4), np.uint8), canonical_affine((1, 1, 1)), case.case_id)
        write_volume(wrong, tmp_path / f"{case.case_id}.nii.gz")
    row = dataclasses.replace(evaluations[0], masks_dir=tmp_path)
    with pytest.raises(GeometryError, match=r"case-\d.*nii\.gz.*\(6, 20, 40\).*\(2, 3, 4\)"):
        make_overlays([row], cases, WINDOW)


@pytest.mark.filterwarnings("ignore::UserWarning")  # The files say nothing about their axes.
def test_files_with_an_identity_affine(tmp_path):
    labels = np.zeros((8, 6, 3), np.uint8)  # (x, y, z) on disk, x to the left, y to the front
    labels[:3, :2, 1] = 1
    for name, array in (("ct", labels.astype(np.int16) * 50), ("mask", labels)):
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    case = CasePaths("k", tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz")
    row = evaluate(
        lambda volume: volume.with_array((volume.array > 0).astype(np.uint8)),
        [case],
        ModelInfo("m"),
        ("background", "liver"),
        masks_dir=tmp_path / "masks",
        identity_affine="LAS",
    )
    (figure,) = make_overlays([row], [case], WINDOW, "LAS")
    assert figure.panels[0].outlines == figure.truth
    assert figure.slice_index == 1
    points = points_of(figure.truth[0].path)
    # Grows to the left in both frames; the rows are turned over: 2 of 6 at the bottom.
    np.testing.assert_allclose(points.min(axis=0), [0, 4], atol=0.11)
    np.testing.assert_allclose(points.max(axis=0), [3, 6], atol=0.11)
