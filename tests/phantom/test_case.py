"""One phantom patient: plausible anatomy, tumours, values and variation."""

import numpy as np
import pytest
from scipy import ndimage

from tfkd.phantom.case import PhantomCase, make_case

SHAPE = (24, 112, 112)


@pytest.fixture(scope="module")
def cases() -> list[PhantomCase]:
    return [make_case(11, index, SHAPE) for index in range(16)]


def lesion_diameters_mm(case: PhantomCase) -> list[float]:
    parts, _ = ndimage.label(case.labels == 2, np.ones((3, 3, 3)))
    volumes = np.bincount(parts.ravel())[1:] * np.prod(case.patient.spacing_mm)
    return list((6 * volumes / np.pi) ** (1 / 3))


def test_types_and_labels(cases):
    for case in cases:
        assert case.image_hu.dtype == np.int16
        assert case.labels.dtype == np.uint8
        assert case.image_hu.shape == case.labels.shape == case.patient.shape_zyx
        assert set(np.unique(case.labels)) <= {0, 1, 2}


def test_there_is_air_fat_soft_tissue_and_bone(cases):
    for case in cases:
        hu = case.image_hu
        assert -1024 <= hu.min() < -900
        assert 250 < hu.max() < 1500
        for low, high in ((-140, -60), (0, 150)):
            assert ((hu > low) & (hu < high)).mean() > 0.05


def test_liver_has_the_volume_of_a_liver_and_its_hu(cases):
    for case in cases:
        liver = case.labels > 0
        assert 0.6 < liver.sum() * np.prod(case.patient.spacing_mm) / 1e6 < 2.3  # litres
        median = np.median(case.image_hu[case.labels == 1])
        assert 35 < median < 150
        assert abs(median - case.patient.tissue.liver) < 10


def test_one_patient_in_eight_has_no_tumour_and_nobody_more_than_four(cases):
    counts = [len(lesion_diameters_mm(case)) for case in cases]
    for block in (counts[:8], counts[8:]):
        assert block.count(0) == 1
    assert max(counts) <= 4
    assert len(set(counts)) >= 3


def test_tumours_are_5_to_40_mm_and_inside_the_liver(cases):
    for case in cases:
        for diameter in lesion_diameters_mm(case):
            assert 5 <= diameter <= 40
        # Closing the tumours' rim must end on the liver, save where they reach its surface.
        tumour = case.labels == 2
        if tumour.any():
            shell = ndimage.binary_dilation(tumour) & ~tumour
            assert (case.labels[shell] == 1).mean() > 0.6


def test_tumours_differ_from_the_liver_but_no_threshold_finds_them(cases):
    overlaps = []
    for case in cases:
        hu, tumour = case.image_hu, case.labels == 2
        if not tumour.any():
            continue
        low, high = np.percentile(hu[tumour], (10, 90))
        guess = (hu >= low) & (hu <= high)
        overlaps.append(2 * (guess & tumour).sum() / (guess.sum() + tumour.sum()))
    assert max(overlaps) < 0.3


def test_patients_differ(cases):
    patients = [case.patient for case in cases]
    assert len({patient.spacing_mm for patient in patients}) > 12
    assert len({patient.shape_zyx[0] for patient in patients}) > 3
    assert len({patient.phase for patient in patients}) > 1
    for patient in patients:
        z_mm, y_mm, x_mm = patient.spacing_mm
        assert 2 <= z_mm <= 5
        assert 0.6 <= y_mm * SHAPE[1] / 512 <= 0.9
        assert y_mm == x_mm
        assert 0.75 * SHAPE[0] <= patient.shape_zyx[0] <= 1.25 * SHAPE[0]


def test_same_number_same_patient():
    first, again, other = (make_case(seed, 2, (14, 64, 64)) for seed in (3, 3, 4))
    assert np.array_equal(first.image_hu, again.image_hu)
    assert np.array_equal(first.labels, again.labels)
    assert first.image_hu.shape != other.image_hu.shape or not np.array_equal(
        first.image_hu, other.image_hu
    )
