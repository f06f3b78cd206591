"""From volumes to slices."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations

from tfkd.errors import GeometryError
from tfkd.volumes import PreprocessSpec, Volume, canonical_affine, iter_slices, read_volume, slices


def a_case() -> tuple[Volume, Volume]:
    rng = np.random.default_rng(0)
    ct = Volume(
        rng.integers(-1024, 2000, (5, 12, 16)).astype(np.int16),
        canonical_affine((3.0, 0.8, 0.7)),
        "case_3",
    )
    return ct, ct.with_array(rng.integers(0, 3, ct.shape).astype(np.uint8))


def test_every_slice_in_order() -> None:
    ct, mask = a_case()
    examples = list(iter_slices(ct, mask, PreprocessSpec(size=(12, 16))))
    assert [e.slice_index for e in examples] == [0, 1, 2, 3, 4]
    for example in examples:
        assert example.case_id == "case_3"
        assert example.spacing_mm == pytest.approx((3.0, 0.8, 0.7))
        assert example.image_hu.dtype == np.int16
        np.testing.assert_array_equal(example.image_hu[..., 0], ct.array[example.slice_index])
        assert example.mask is not None
        np.testing.assert_array_equal(example.mask, mask.array[example.slice_index])


def test_neighbours_are_channels_and_repeat_at_the_ends() -> None:
    ct, _ = a_case()
    spec = PreprocessSpec(size=(12, 16), context_slices=2)
    examples = list(iter_slices(ct, None, spec))
    assert examples[0].mask is None
    shown = [[0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 4], [2, 3, 4, 4, 4]]
    for example, indices in zip(examples, shown, strict=True):
        assert example.image_hu.shape == spec.input_shape
        np.testing.assert_array_equal(example.image_hu, np.moveaxis(ct.array[indices], 0, -1))


@pytest.mark.parametrize("context", [0, 1, 3])
def test_each_slice_is_fitted_once(monkeypatch: pytest.MonkeyPatch, context: int) -> None:
    ct, _ = a_case()
    calls: list[int] = []
    fit_image = slices.fit_image

    def counting(image_hu: np.ndarray, *rest: object) -> np.ndarray:
        calls.append(1)
        return fit_image(image_hu, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(slices, "fit_image", counting)
    list(iter_slices(ct, None, PreprocessSpec(size=(8, 8), context_slices=context)))
    assert len(calls) == 5


def test_a_mask_of_another_shape_is_refused_at_once() -> None:
    ct, mask = a_case()
    cut = Volume(mask.array[1:], mask.affine, "case_3")
    with pytest.raises(GeometryError, match=r"case_3.*\(5, 12, 16\).*\(4, 12, 16\)"):
        iter_slices(ct, cut, PreprocessSpec())


@pytest.mark.parametrize(
    "spec",
    [
        PreprocessSpec(size=(8, 10)),
        PreprocessSpec(size=(10, 9), fit="center", spacing_mm=1.0, context_slices=1),
    ],
)
def test_the_layout_on_disk_does_not_matter(tmp_path: Path, spec: PreprocessSpec) -> None:
    """Flipping and permuting array *and* affine changes no slice."""
    ct, mask = a_case()
    expected = list(iter_slices(ct, mask, spec))
    for codes in ("LPS", "RAS", "LAS", "IPL", "SAR", "PIR"):
        layout = orientations.ornt_transform(
            orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(codes)
        )
        volumes = []
        for volume, kind in ((ct, "ct"), (mask, "mask")):
            xyz = volume.array.transpose(2, 1, 0)
            affine = volume.affine @ orientations.inv_ornt_aff(layout, xyz.shape)
            file = tmp_path / f"{codes}-{kind}.nii"
            nib.save(nib.Nifti1Image(orientations.apply_orientation(xyz, layout), affine), file)
            volumes.append(read_volume(file, kind=kind))  # type: ignore[arg-type]
        examples = list(iter_slices(*volumes, spec))
        for got, want in zip(examples, expected, strict=True):
            np.testing.assert_array_equal(got.image_hu, want.image_hu)
            assert got.mask is not None
            assert want.mask is not None
            np.testing.assert_array_equal(got.mask, want.mask)
            assert got.spacing_mm == pytest.approx(want.spacing_mm)
