"""A header is believed only as far as it is sane, whole or slice by slice."""

import gzip
import struct
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfkd.errors import GeometryError
from tfkd.volumes import NiftiSlices, check_same_geometry, read_volume, write_volume

SHAPE = (6, 5, 4)
AFFINE = np.diag([-0.75, -0.5, 3.0, 1.0])
# Where the fields of NIfTI-1 lie, and their types.
FIELDS = {
    "dim": ("h", 40),
    "datatype": ("h", 70),
    "pixdim": ("f", 76),
    "vox_offset": ("f", 108),
    "scl_slope": ("f", 112),
    "scl_inter": ("f", 116),
    "xyzt_units": ("b", 123),
    "qform_code": ("h", 252),
    "sform_code": ("h", 254),
    "quatern_b": ("f", 256),
    "qoffset_x": ("f", 268),
    "srow_x": ("f", 280),
}
NAN, INF = float("nan"), float("inf")


def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)


def content(codes: str = "sform", affine: np.ndarray = AFFINE) -> bytearray:
    image = nib.Nifti1Image(voxels(), affine)
    image.set_sform(affine, code=int("sform" in codes))
    image.set_qform(affine, code=int("qform" in codes), strip_shears=True)
    return bytearray(image.to_bytes())


def changed(raw: bytearray, field: str, *values: Any, at: int = 0) -> bytearray:
    kind, start = FIELDS[field]
    struct.pack_into(f"<{len(values)}{kind}", raw, start + at * struct.calcsize(kind), *values)
    return raw


def check_refused(folder: Path, raw: bytes, *words: str) -> None:
    """Both readers refuse it, compressed or not, with case, file and these words in one line."""
    for path, stored in (
        (folder / "p7.nii", bytes(raw)),
        (folder / "p7.nii.gz", gzip.compress(raw)),
    ):
        path.write_bytes(stored)
        for read in (read_volume, lambda path: list(NiftiSlices(path))):
            with pytest.raises(GeometryError) as caught:
                read(path)
            for word in ("'p7'", str(path), *words):
                assert word in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0.0, -3.0, NAN, INF, 1e6, 1e-6])
@pytest.mark.parametrize("codes", ["qform", "neither"])
def test_a_voxel_size_that_cannot_be(tmp_path: Path, codes: str, size: float) -> None:
    word = "mm" if size in (1e6, 1e-6) else "pixdim[3]"
    check_refused(tmp_path, changed(content(codes), "pixdim", size, at=3), word)


@pytest.mark.parametrize(
    ("codes", "field", "values", "word"),
    [
        ("qform", "pixdim", (5.0,), "qfac"),
        ("qform", "quatern_b", (NAN,), "quatern_b"),
        ("qform", "quatern_b", (3.0,), "quatern_b"),
        ("qform", "qoffset_x", (INF,), "qoffset_x"),
        ("qform", "qoffset_x", (1e30,), "origin"),
        ("sform", "srow_x", (-0.75, 0.0, NAN), "srow_x"),
        ("sform", "srow_x", (INF,), "srow_x"),
        ("sform", "srow_x", (1e30,), "mm"),
        ("sform", "srow_x", (0.0,), "independent axes"),
        ("sform", "sform_code", (9,), "sform_code"),
        ("sform", "qform_code", (-1,), "qform_code"),
        ("sform", "xyzt_units", (5,), "xyzt_units"),
        ("sform", "xyzt_units", (1,), "metres"),
        ("sform", "xyzt_units", (3,), "microns"),
        ("sform", "scl_slope", (INF, 0.0), "scl_slope"),
        ("sform", "scl_slope", (1.0, INF), "scl_inter"),
        ("sform", "scl_slope", (2.0, NAN), "scl_inter"),
        ("sform", "vox_offset", (INF,), "vox_offset"),
        ("sform", "vox_offset", (NAN,), "vox_offset"),
        ("sform", "vox_offset", (-8.0,), "vox_offset"),
        ("sform", "vox_offset", (352.5,), "vox_offset"),
        ("sform", "vox_offset", (1e9,), "cut short"),
        ("sform", "dim", (0,), "dim[0]"),
        ("sform", "dim", (9,), "dim[0]"),
        ("sform", "dim", (3, -6), "dim"),
        ("sform", "dim", (2,), "(x, y, 1)"),
        ("sform", "dim", (4, 6, 5, 2, 2), "one file a volume"),
        ("sform", "dim", (5, 6, 5, 2, 1, 2), "one file a volume"),
        ("sform", "dim", (3, 6, 5, 3), "dim (6, 5, 3)"),
        ("sform", "dim", (3, 6, 5, 5), "cut short"),
        ("sform", "datatype", (999,), "datatype"),
        ("sform", "datatype", (128,), "one number a voxel"),
        ("sform", "datatype", (32,), "one number a voxel"),
    ],
)
def test_a_field_that_cannot_be(
    tmp_path: Path, codes: str, field: str, values: tuple[float, ...], word: str
) -> None:
    check_refused(tmp_path, changed(content(codes), field, *values), word)


def test_the_doubles_of_nifti_2_may_overflow(tmp_path: Path) -> None:
    image = nib.Nifti2Image(voxels(), AFFINE)
    raw = bytearray(image.to_bytes())
    struct.pack_into("<d", raw, 400, 1e300)  # srow_x[0]
    check_refused(tmp_path, raw, "affine")


@pytest.mark.parametrize("more", [b"\0", b"more"])
def test_more_voxels_than_the_header_says(tmp_path: Path, more: bytes) -> None:
    check_refused(tmp_path, content() + more, "240 bytes of voxels", "something was added")


def test_fewer_voxels_than_the_header_says(tmp_path: Path) -> None:
    check_refused(tmp_path, content()[:-1], "cut short")


def test_a_header_alone_takes_no_memory_for_what_it_claims(tmp_path: Path) -> None:
    raw = changed(content()[:352], "dim", 3, 32767, 32767, 32767)
    tracemalloc.start()
    check_refused(tmp_path, raw, "cut short")
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("codes", "field", "values", "at", "words"),
    [
        ("sform", "pixdim", (0.0,), 3, r"pixdim says.*0\), but its sform .*the sform is used"),
        ("sform", "pixdim", (NAN,), 3, "the sform is used"),
        ("sform", "pixdim", (-3.0,), 3, "the sform is used"),
        ("sform qform", "qoffset_x", (40.0,), 0, "corners 53.3 voxels apart; the sform is used"),
        ("sform qform", "qoffset_x", (NAN,), 0, "qform cannot be used"),
        ("sform qform", "quatern_b", (9.0,), 0, "qform cannot be used"),
        ("sform", "scl_slope", (0.0, -1024.0), 0, "neither is applied"),
    ],
)
def test_what_is_not_used_is_told(
    tmp_path: Path, codes: str, field: str, values: tuple[float, ...], at: int, words: str
) -> None:
    path = tmp_path / "p7.nii"
    path.write_bytes(changed(content(codes), field, *values, at=at))
    with pytest.warns(UserWarning, match=f"'p7'.*p7.nii.*{words}") as told:
        volume = read_volume(path)
    assert len(told) == 1
    assert volume.spacing_mm == (3.0, 0.5, 0.75)
    np.testing.assert_array_equal(volume.array, voxels().transpose(2, 1, 0))
    write_volume(volume, tmp_path / "back.nii")
    assert_same_geometry_fields(path, tmp_path / "back.nii")


def assert_same_geometry_fields(one: Path, other: Path) -> None:
    a, b = one.read_bytes(), other.read_bytes()
    assert a[76:92] == b[76:92]  # pixdim[0] to [3]
    assert a[123] == b[123]  # xyzt_units
    assert a[252:328] == b[252:328]  # qform and sform


@pytest.mark.parametrize(
    ("codes", "field", "values", "at"),
    [
        ("qform", "pixdim", (0.0,), 0),  # a qfac of 0 is 1
        ("sform", "qoffset_x", (NAN,), 0),
        ("qform", "srow_x", (NAN,), 0),
        ("sform", "pixdim", (NAN,), 4),
        ("sform", "xyzt_units", (8,), 0),  # seconds, and no unit of length
        ("sform", "scl_slope", (NAN, NAN), 0),
        ("sform", "vox_offset", (0.0,), 0),
        ("sform", "dim", (7, 6, 5, 4, 1, 1, 1, 1), 0),
    ],
)
def test_what_says_nothing_is_no_matter(
    tmp_path: Path, codes: str, field: str, values: tuple[float, ...], at: int
) -> None:
    affine = AFFINE if field != "pixdim" or at else np.diag([0.75, 0.5, 3.0, 1.0])
    path = tmp_path / "p7.nii"
    path.write_bytes(changed(content(codes, affine), field, *values, at=at))
    assert read_volume(path).spacing_mm == (3.0, 0.5, 0.75)


@pytest.mark.parametrize("codes", ["sform", "qform"])
@pytest.mark.parametrize(("code", "mm", "unit"), [(1, 1000.0, "metres"), (3, 1e-3, "microns")])
def test_metres_and_microns(tmp_path: Path, codes: str, code: int, mm: float, unit: str) -> None:
    affine = AFFINE.copy()
    affine[:3, 3] = (10, 20, 30)
    in_unit = affine.copy()
    in_unit[:3] /= mm
    ct, mask, reference = (tmp_path / f"{name}.nii" for name in ("ct", "mask", "reference"))
    ct.write_bytes(changed(content(codes, in_unit), "xyzt_units", code))
    reference.write_bytes(content(codes, affine))
    with pytest.warns(UserWarning, match=rf"'ct'.*in {unit}.*\(0.75, 0.5, 3\) mm"):
        volume = read_volume(ct)
    expected = read_volume(reference)
    np.testing.assert_allclose(volume.affine, expected.affine, rtol=1e-5)
    assert volume.voxel_volume_ml == pytest.approx(expected.voxel_volume_ml, rel=1e-5)
    check_same_geometry(volume, expected, ct, reference)
    with pytest.warns(UserWarning, match=unit):
        assert NiftiSlices(ct).spacing_mm == volume.spacing_mm
    write_volume(volume.with_array(np.zeros(volume.shape, np.uint8)), mask)
    assert_same_geometry_fields(ct, mask)
    with pytest.warns(UserWarning, match=unit):
        check_same_geometry(volume, read_volume(mask, kind="mask"), ct, mask)


def test_a_sheared_affine_is_told(tmp_path: Path) -> None:
    tilted = AFFINE.copy()
    tilted[1, 2] = 0.3
    path = tmp_path / "p7.nii"
    path.write_bytes(content("sform", tilted))
    with pytest.warns(UserWarning, match=r"'p7'.*not at right angles \(off by 5.7 degrees\)"):
        read_volume(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64, np.float32, np.float64])
def test_masks_of_every_type_need_no_word(tmp_path: Path, dtype: type) -> None:
    labels = np.arange(120).reshape(SHAPE).astype(dtype)
    nib.save(nib.Nifti1Image(labels, AFFINE, dtype=dtype), tmp_path / "m.nii.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mask = read_volume(tmp_path / "m.nii.gz", kind="mask")
    np.testing.assert_array_equal(mask.array, labels.transpose(2, 1, 0))


def test_labels_that_a_header_has_scaled_are_rounded_and_told(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE)
    labels[1:3], labels[3] = 1, 2
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)  # nibabel scales the doubles to it
    nib.save(nib.Nifti1Image(labels, AFFINE, header), tmp_path / "m.nii.gz")
    with pytest.warns(UserWarning, match=r"'m', file .*m.nii.gz: .*such as 1.0000.* rounded"):
        mask = read_volume(tmp_path / "m.nii.gz", kind="mask")
    np.testing.assert_array_equal(mask.array, labels.transpose(2, 1, 0))
