"""File to file is the same mask as volume to volume, and nothing is left half-written."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.inference import Postprocessing, Predictor, VolumePredictor, predict_file
from tfkd.volumes import NiftiSlices, PreprocessSpec, read_volume, write_volume

NAMES = ("background", "soft", "bright / hard")


def _by_grey_value(images):
    v = images.mean(axis=-1)
    return np.stack([0 * v, 4 * v + 1, 12 * v - 5], axis=-1)


def _turned(path: Path, folder: Path) -> Path:
    """The same CT with its slices on the file's first axis."""
    image = nib.load(path)
    turn = nib.orientations.axcodes2ornt("SPL")
    turned = image.as_reoriented(
        nib.orientations.ornt_transform(nib.io_orientation(image.affine), turn)
    )
    nib.save(turned, folder / "turned.nii.gz")
    return folder / "turned.nii.gz"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("postprocessing", [None, Postprocessing(("soft",), ("soft",))])
def test_the_file_of_the_whole_volume(make_ct, tmp_path, turned, postprocessing):
    write_volume(make_ct((9, 40, 30)), tmp_path / "ct.nii.gz")
    path = tmp_path / "ct.nii.gz"
    if turned:
        path = _turned(path, tmp_path)
    spec = PreprocessSpec(size=(32, 32), context_slices=1)
    predictor = VolumePredictor(_by_grey_value, spec, NAMES, postprocessing=postprocessing)
    expected = predictor(read_volume(path))
    write_volume(expected, tmp_path / "whole.nii.gz")
    calls = []
    received = predict_file(
        predictor,
        NiftiSlices(path),
        tmp_path / "new" / "mask.nii.gz",
        progress=lambda *call: calls.append(call),
    )
    whole, streamed = nib.load(tmp_path / "whole.nii.gz"), nib.load(received.mask)
    assert streamed.header.binaryblock == whole.header.binaryblock
    np.testing.assert_array_equal(np.asarray(streamed.dataobj), np.asarray(whole.dataobj))
    assert calls[-1][:2] == (9, 9)
    assert received.shape_zyx == (9, 40, 30)
    assert received.probabilities == {}
    assert received.volumes_ml == {
        name: pytest.approx((expected.array == label).sum() * expected.voxel_volume_ml)
        for label, name in enumerate(NAMES)
        if label
    }


def test_probabilities_lie_beside_the_mask(make_ct, tmp_path):
    write_volume(make_ct((4, 32, 48)), tmp_path / "ct.nii.gz")
    predictor = VolumePredictor(_by_grey_value, PreprocessSpec(size=(32, 48)), NAMES)
    ct = NiftiSlices(tmp_path / "ct.nii.gz")
    received = predict_file(predictor, ct, tmp_path / "m.nii.gz", probabilities=True)
    names = {"soft": "m_p1_soft.nii.gz", "bright / hard": "m_p2_bright_hard.nii.gz"}
    assert received.probabilities == {name: tmp_path / file for name, file in names.items()}
    images = [nib.load(path) for path in received.probabilities.values()]
    assert [image.get_data_dtype() for image in images] == [np.int16, np.int16]
    foreground = np.stack([image.get_fdata() for image in images], axis=-1)
    each = np.concatenate([1 - foreground.sum(-1, keepdims=True), foreground], axis=-1)
    mask = np.asarray(nib.load(received.mask).dataobj)
    np.testing.assert_array_equal(each.argmax(-1), mask)
    value = np.clip((np.asarray(nib.load(tmp_path / "ct.nii.gz").dataobj) + 60) / 100 - 1, -1, 1)
    powers = np.exp(_by_grey_value(value[..., None]))
    expected = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_allclose(foreground, expected[..., 1:], atol=6e-5)


def test_a_failure_leaves_nothing_behind(make_ct, tmp_path):
    write_volume(make_ct((9, 40, 30)), tmp_path / "ct.nii")
    content = (tmp_path / "ct.nii").read_bytes()
    (tmp_path / "ct.nii").write_bytes(content[:-1000])
    spec = PreprocessSpec(size=(32, 32))
    predictor = VolumePredictor(_by_grey_value, spec, NAMES, overlap=True)
    with pytest.raises(GeometryError, match="cut short"):
        predict_file(
            predictor, NiftiSlices(tmp_path / "ct.nii"), tmp_path / "m.nii.gz", probabilities=True
        )
    assert [path.name for path in tmp_path.iterdir()] == ["ct.nii"]


def test_with_a_file_and_its_contract(exported, make_ct, tmp_path):
    """Flips change nothing for a network that looks at single pixels."""
    write_volume(make_ct((5, 32, 32)), tmp_path / "ct.nii.gz")
    expected = Predictor(exported / "float32.tflite")(read_volume(tmp_path / "ct.nii.gz"))
    for threads, flips in ((1, False), (3, True)):
        predictor = Predictor(exported / "float32.tflite", threads=threads, flips=flips)
        received = predict_file(predictor, NiftiSlices(tmp_path / "ct.nii.gz"), tmp_path / "m.nii")
        mask = read_volume(received.mask, kind="mask")
        np.testing.assert_array_equal(mask.array, expected.array)
