"""From any logits function to a mask on the CT's own grid."""

import threading

import numpy as np
import pytest

from tfkd.errors import ContractError
from tfkd.inference import Postprocessing, VolumePredictor
from tfkd.volumes import (
    NiftiSlices,
    PreprocessSpec,
    Volume,
    VolumeSlices,
    canonical_affine,
    read_volume,
    write_volume,
)

NAMES = ("background", "soft", "bright")


def _by_grey_value(images):
    """Logits 0, 4 v + 1 and 12 v - 5 of the middle channel: labels change at v = -1/4 and 3/4."""
    v = images[..., images.shape[-1] // 2]
    return np.stack([0 * v, 4 * v + 1, 12 * v - 5], axis=-1)


def _labels_by_hand(hu):
    return (np.clip((hu + 60) / 100 - 1, -1, 1)[..., None] > [-0.25, 0.75]).sum(-1)


def test_same_size_is_thresholding(make_ct):
    ct = make_ct((5, 32, 48))
    mask = VolumePredictor(_by_grey_value, PreprocessSpec(size=(32, 48)), NAMES)(ct)
    assert mask.array.dtype == np.uint8
    np.testing.assert_array_equal(mask.array, _labels_by_hand(ct.array))
    assert set(np.unique(mask.array)) == {0, 1, 2}


def test_other_size_agrees_but_for_the_borders(make_ct):
    ct = make_ct((4, 96, 80))
    mask = VolumePredictor(_by_grey_value, PreprocessSpec(size=(64, 64)), NAMES)(ct)
    assert mask.shape == ct.shape
    assert np.mean(mask.array == _labels_by_hand(ct.array)) > 0.95


def test_centre_crop_leaves_background_outside(make_ct):
    ct = make_ct((3, 64, 64))
    full = Volume(np.full_like(ct.array, 130), ct.affine, "full")
    mask = VolumePredictor(_by_grey_value, PreprocessSpec(size=(32, 32), fit="center"), NAMES)(full)
    expected = np.zeros((3, 64, 64))
    expected[:, 16:48, 16:48] = 2
    np.testing.assert_array_equal(mask.array, expected)


@pytest.mark.parametrize("overlap", [False, True])
def test_ct_that_is_no_hu_is_told(make_ct, overlap):
    ct = make_ct((4, 32, 32))
    shifted = ct.with_array(np.clip(ct.array, -50, 200) + np.int16(1024))
    predictor = VolumePredictor(
        _by_grey_value, PreprocessSpec(size=(32, 32)), NAMES, overlap=overlap
    )
    predictor(ct)
    with pytest.warns(UserWarning, match=rf"'{ct.case_id}'.*Hounsfield.*1024"):
        predictor(shifted)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_batches_change_nothing(make_ct, batch_size):
    sizes = []

    def logits_fn(images):
        sizes.append(len(images))
        return _by_grey_value(images)

    ct = make_ct()
    spec = PreprocessSpec(size=(32, 32), context_slices=1)
    one = VolumePredictor(_by_grey_value, spec, NAMES)(ct)
    received = VolumePredictor(logits_fn, spec, NAMES, batch_size)(ct)
    np.testing.assert_array_equal(received.array, one.array)
    assert sum(sizes) == 5
    assert max(sizes) <= batch_size


def test_flipped_array_and_affine_give_the_same_mask(make_ct, tmp_path):
    import nibabel

    ct = make_ct()
    predictor = VolumePredictor(_by_grey_value, PreprocessSpec(size=(32, 32)), NAMES)
    write_volume(ct, tmp_path / "ct.nii.gz")
    image = nibabel.load(tmp_path / "ct.nii.gz")
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    flip[[0, 2], 3] = image.shape[0] - 1, image.shape[2] - 1
    data = np.asarray(image.dataobj)[::-1, :, ::-1]
    nibabel.save(nibabel.Nifti1Image(data, image.affine @ flip), tmp_path / "flipped.nii.gz")
    mask = predictor(read_volume(tmp_path / "flipped.nii.gz"))
    np.testing.assert_array_equal(mask.array, predictor(ct).array)
    write_volume(mask, tmp_path / "mask.nii.gz")
    write_volume(predictor(read_volume(tmp_path / "ct.nii.gz")), tmp_path / "unflipped.nii.gz")
    written = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_allclose(written.affine, image.affine @ flip, atol=1e-5)
    np.testing.assert_array_equal(
        np.asarray(written.dataobj)[::-1, :, ::-1],
        np.asarray(nibabel.load(tmp_path / "unflipped.nii.gz").dataobj),
    )


def test_progress_counts_slices(make_ct):
    calls = []
    predictor = VolumePredictor(_by_grey_value, PreprocessSpec(size=(32, 32)), NAMES, 2)
    predictor(make_ct(), progress=lambda *call: calls.append(call))
    assert calls == [(2, 5, "ball"), (4, 5, "ball"), (5, 5, "ball")]


def test_predict_slice():
    predictor = VolumePredictor(_by_grey_value, PreprocessSpec(size=(2, 3)), NAMES)
    image_hu = np.array([[-500, 20, 50], [125, 900, 16]], np.int16)
    expected = [[0, 1, 1], [2, 2, 1]]
    np.testing.assert_array_equal(predictor.predict_slice(image_hu), np.array(expected))
    np.testing.assert_array_equal(predictor.predict_slice(image_hu[..., None]), expected)
    assert predictor.logits(image_hu).shape == (2, 3, 3)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 1\), received \(4, 4, 1\)"):
        predictor.predict_slice(np.zeros((4, 4)))


@pytest.mark.parametrize("thing", ["ct.nii.gz", np.zeros((3, 4, 4), np.int16), None])
def test_not_a_volume(thing):
    predictor = VolumePredictor(_by_grey_value, PreprocessSpec(size=(32, 32)), NAMES)
    with pytest.raises(TypeError, match="expected a tfkd Volume"):
        predictor(thing)


def test_a_mask_is_not_a_ct():
    predictor = VolumePredictor(_by_grey_value, PreprocessSpec(size=(32, 32)), NAMES)
    mask = Volume(np.zeros((2, 4, 4), np.uint8), canonical_affine((1.0, 1.0, 1.0)), "case-7")
    with pytest.raises(TypeError, match=r"'case-7'.*int16 HU, received uint8"):
        predictor(mask)


def test_logits_that_do_not_fit(make_ct):
    spec = PreprocessSpec(size=(32, 32))
    with pytest.raises(ValueError, match="for 2 labels"):
        VolumePredictor(_by_grey_value, spec, ("background", "soft"))(make_ct())
    with pytest.raises(ValueError, match="NaN"):
        VolumePredictor(lambda images: np.nan * _by_grey_value(images), spec, NAMES)(make_ct())


def test_wrong_settings():
    spec = PreprocessSpec()
    with pytest.raises(ValueError, match="label_names"):
        VolumePredictor(_by_grey_value, spec, ("background",))
    with pytest.raises(ValueError, match="batch_size"):
        VolumePredictor(_by_grey_value, spec, NAMES, 0)


def test_ties_go_to_the_lower_label():
    predictor = VolumePredictor(
        lambda images: np.stack([images[..., 0] * 0, images[..., 0], images[..., 0]], axis=-1),
        PreprocessSpec(size=(1, 3)),
        NAMES,
    )
    assert predictor.predict_slice(np.array([[-60, 40, 140]])).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("threshold", [None, 0.4, 0.5, 0.9])
def test_a_threshold_is_one_on_the_probability(threshold, make_ct):
    spec = PreprocessSpec(size=(32, 48))
    ct = make_ct((5, 32, 48))
    predictor = VolumePredictor(
        lambda images: _by_grey_value(images)[..., :2], spec, NAMES[:2], threshold=threshold
    )
    value = np.clip((ct.array + 60) / 100 - 1, -1, 1)
    probability = 1 / (1 + np.exp(-(4 * value + 1)))
    np.testing.assert_array_equal(predictor(ct).array, probability > (threshold or 0.5))


def test_a_low_threshold_leaves_background_outside_of_a_crop(make_ct):
    """Logits of nearly equal size: outside, the background wins by no more than they differ."""
    spec = PreprocessSpec(size=(32, 32), fit="center")
    predictor = VolumePredictor(
        lambda images: np.repeat(0.1 * images, 2, axis=-1), spec, NAMES[:2], threshold=0.1
    )
    mask = predictor(make_ct((2, 64, 64))).array
    assert mask[:, 16:48, 16:48].all()
    assert mask.sum() == 2 * 32 * 32


@pytest.mark.parametrize(("names", "threshold"), [(NAMES, 0.4), (NAMES[:2], 0.0), (NAMES[:2], 1)])
def test_thresholds_that_mean_nothing_are_refused(names, threshold):
    with pytest.raises(ValueError, match=f"threshold: expected.*Received {threshold}"):
        VolumePredictor(_by_grey_value, PreprocessSpec(), names, threshold=threshold)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("overlap", [False, True])
def test_slices_from_a_file_are_as_the_whole_volume(
    make_ct, tmp_path, monkeypatch, context, descending, overlap
):
    """Neighbours count across the borders of slabs, whichever way the file runs."""
    import nibabel

    monkeypatch.setattr("tfkd.volumes.nifti_slices._SLAB", 3)
    spec = PreprocessSpec(size=(32, 24), context_slices=context)

    def logits_fn(images):
        """All channels count, each for itself."""
        return _by_grey_value((images * np.arange(1, images.shape[-1] + 1)).sum(-1)[..., None])

    write_volume(make_ct((10, 40, 30)), tmp_path / "ct.nii.gz")
    if descending:
        image = nibabel.load(tmp_path / "ct.nii.gz")
        flip = np.diag([1.0, 1.0, -1.0, 1.0])
        flip[2, 3] = image.shape[2] - 1
        data = np.asarray(image.dataobj)[:, :, ::-1]
        nibabel.save(nibabel.Nifti1Image(data, image.affine @ flip), tmp_path / "ct.nii.gz")
    expected = VolumePredictor(logits_fn, spec, NAMES)(read_volume(tmp_path / "ct.nii.gz"))
    predictor = VolumePredictor(logits_fn, spec, NAMES, batch_size=4, overlap=overlap)
    predictions = list(predictor.predict_slices(NiftiSlices(tmp_path / "ct.nii.gz")))
    indices = [prediction.slice_index for prediction in predictions]
    assert indices == list(range(10))[:: -1 if descending else 1]
    for prediction in predictions:
        np.testing.assert_array_equal(prediction.labels, expected.array[prediction.slice_index])
        assert prediction.probabilities is None


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_probabilities_are_those_of_the_labels(make_ct, threshold):
    ct = make_ct((3, 64, 64))
    names = NAMES if threshold is None else NAMES[:2]
    spec = PreprocessSpec(size=(48, 32), fit="center")
    predictor = VolumePredictor(
        lambda images: _by_grey_value(images)[..., : len(names)], spec, names, threshold=threshold
    )
    for prediction in predictor.predict_slices(VolumeSlices(ct), probabilities=True):
        value = np.clip((ct.array[prediction.slice_index] + 60) / 100 - 1, -1, 1)
        powers = np.exp(_by_grey_value(value[..., None])[..., : len(names)])
        expected = (powers / powers.sum(-1, keepdims=True))[..., 1:]
        inside = np.zeros((64, 64, 1), bool)
        inside[8:56, 16:48] = True
        np.testing.assert_allclose(prediction.probabilities, expected * inside, atol=1e-5)
        if threshold:
            np.testing.assert_array_equal(
                prediction.labels, prediction.probabilities[..., 0] > threshold
            )


@pytest.mark.parametrize("overlap", [False, True])
def test_an_error_in_any_stage_reaches_the_caller(make_ct, overlap):
    def broken(images):
        raise ValueError("no logits")

    before = threading.active_count()
    spec = PreprocessSpec(size=(32, 32))
    with pytest.raises(ValueError, match="no logits"):
        VolumePredictor(broken, spec, NAMES, overlap=overlap)(make_ct())
    stopped = VolumePredictor(_by_grey_value, spec, NAMES, overlap=overlap).predict_slices(
        VolumeSlices(make_ct())
    )
    next(stopped)
    stopped.close()
    assert threading.active_count() == before


def test_the_mask_of_a_volume_is_cleaned_if_asked(make_ct):
    ct = make_ct((5, 32, 48))
    ct.array[0, :2, :2] = 50  # apart from the ball
    spec = PreprocessSpec(size=(32, 48))
    plain = VolumePredictor(_by_grey_value, spec, NAMES)(ct)
    cleaned = VolumePredictor(_by_grey_value, spec, NAMES, postprocessing=Postprocessing(("soft",)))
    expected = plain.array.copy()
    expected[0, :2, :2] = 0
    assert plain.array[0, :2, :2].all()
    np.testing.assert_array_equal(cleaned(ct).array, expected)
    with pytest.raises(ContractError, match="spleen"):
        VolumePredictor(_by_grey_value, spec, NAMES, postprocessing=Postprocessing(("spleen",)))


def test_a_label_name_twice_is_refused():
    with pytest.raises(ValueError, match="label_names: expected each name once"):
        VolumePredictor(_by_grey_value, PreprocessSpec(size=(32, 32)), ("background", "a", "a"))
