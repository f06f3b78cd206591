"""NIfTI files: header fields, bits, lengths, gzip, through both readers."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.robustness.mutations import mutate_bytes
from tests.robustness.target import Failed, Target
from tfkd.errors import GeometryError
from tfkd.volumes import NiftiSlices, Volume, read_volume

__all__ = ["Nifti"]

_FIELDS = [
    (name, index)
    for name in nib.Nifti1Header.template_dtype.names
    for index in range(int(np.prod(nib.Nifti1Header.template_dtype[name].shape or (1,))))
]
_ODD = (0, -1, 1, 2, 3, 1e-30, 1e30, 3e38, np.nan, np.inf, -np.inf, 32767, -32768, 255, 7, 100.5)
_HEADER_BYTES = 348


class Nifti(Target):
    """A CT of 7 × 6 × 5 voxels, with slices on the last axis or on the first, packed or not."""

    name = "nifti"

    def setup(self) -> None:
        rng = np.random.default_rng(1)
        self.voxels = rng.integers(-1000, 1500, (7, 6, 5)).astype(np.int16)
        affine = np.diag([-1.5, -1.25, 3.0, 1.0])
        affine[:3, 3] = [10, 20, -30]
        turned = affine[:, [2, 0, 1, 3]]
        self.whole = [
            self._bytes(nib.Nifti1Image(self.voxels, affine)),
            self._bytes(nib.Nifti1Image(self.voxels.transpose(2, 0, 1), turned)),
            self._bytes(nib.Nifti2Image(self.voxels, affine)),
        ]
        path = self.folder / "whole.nii"
        path.write_bytes(self.whole[0])
        self.canonical = read_volume(path)

    def _bytes(self, image: nib.Nifti1Image) -> bytes:
        image.header.set_xyzt_units("mm")
        return image.to_bytes()

    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        which = int(rng.integers(len(self.whole)))
        content = self.whole[which]
        if rng.integers(2):
            path = folder / "ct.nii.gz"
            packed = gzip.compress(content, 1, mtime=0)
            if rng.integers(3):
                spoilt, said = mutate_bytes(rng, packed)
                path.write_bytes(spoilt)
                return path, f"packed, {said}"
            content, said = self._field(rng, content, which)
            path.write_bytes(gzip.compress(content, 1, mtime=0))
            return path, f"header, {said}"
        path = folder / "ct.nii"
        if rng.integers(2):
            content, said = self._field(rng, content, which)
            path.write_bytes(content)
            return path, f"header, {said}"
        content, said = mutate_bytes(rng, content)
        path.write_bytes(content)
        return path, f"plain, {said}"

    def _field(self, rng: np.random.Generator, content: bytes, which: int) -> tuple[bytes, str]:
        if which == 2:
            at = int(rng.integers(540))
            spoilt = bytearray(content)
            spoilt[at] = int(rng.integers(256))
            return bytes(spoilt), f"NIfTI-2 byte {at} = {spoilt[at]}"
        header = np.frombuffer(content[:_HEADER_BYTES], nib.Nifti1Header.template_dtype).copy()
        name, index = _FIELDS[int(rng.integers(len(_FIELDS)))]
        odd = _ODD[int(rng.integers(len(_ODD)))]
        field = header[name].reshape(-1)
        with np.errstate(all="ignore"):
            if field.dtype.kind in "iuf":
                limits = np.iinfo(field.dtype) if field.dtype.kind in "iu" else None
                if limits is not None:
                    odd = int(
                        np.clip(np.nan_to_num(odd, nan=-7, posinf=9e9), limits.min, limits.max)
                    )
                field[index] = odd
            else:
                field[index] = b"\xff\0x"
        header[name] = field.reshape(header[name].shape)
        return header.tobytes() + content[_HEADER_BYTES:], f"{name}[{index}] = {odd}"

    def read(self, path: Path) -> Volume:
        try:
            whole = read_volume(path)
        except GeometryError:
            try:
                for _ in NiftiSlices(path):
                    pass
            except GeometryError:
                raise
            raise Failed("refused by read_volume and read by NiftiSlices") from None
        slices = NiftiSlices(path)
        array = np.empty(slices.shape, np.int16)
        for index, plane in zip(slices.slice_indices, slices, strict=True):
            array[index] = plane
        if not np.array_equal(array, whole.array):
            raise Failed("read_volume and NiftiSlices give different voxels")
        return whole

    def judge(self, path: Path, description: str, found: Volume, told: bool) -> str:
        same = np.array_equal(found.array, self.canonical.array)
        same = same and np.allclose(found.affine, self.canonical.affine)
        if same:
            return "same"
        if description.startswith("packed"):
            raise Failed("another volume, although the file has a checksum")
        if told:
            return "told"
        # Without a checksum a file means what it says: nibabel finds the same numbers at the same
        # places in the patient.
        try:
            image = nib.load(path)
            values = np.rint(np.asarray(image.dataobj, np.float64))
        except Exception as error:
            raise Failed(f"another volume, where nibabel reads none ({error})") from error
        theirs = _placed(values.reshape(values.shape[:3]), image.affine)
        ours = _placed(found.array.transpose(2, 1, 0), found.affine)
        if not np.allclose(theirs, ours, atol=1e-2):
            raise Failed("another volume than the file says")
        return "as it says"


def _placed(values: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(n, 4): where each voxel lies, RAS mm, and its value; in order of the places."""
    indices = np.indices(values.shape).reshape(3, -1).T
    places = indices @ affine[:3, :3].T + affine[:3, 3]
    rows = np.column_stack([places, values.ravel()])
    return rows[np.lexsort(np.round(places, 2).T)]
