"""A DICOM series: tags, bytes and files, read slice by slice."""

import shutil
from pathlib import Path

import numpy as np
import pydicom

from tests.robustness.mutations import mutate_bytes
from tests.robustness.target import Failed, Target
from tests.volumes.dicom_files import write_series
from tfkd.volumes import open_ct

__all__ = ["Dicom"]

_ODD = (
    *("", "0", "-1", "nan", "inf", "1,5", "1\\2", "0\\0\\0", "x", "1e400", "99999999999"),
    *(None, "1.5\\abc\\2", "1\\0\\0\\0\\1", " 7 "),
)


class Dicom(Target):
    """Five slices of 8 × 9 pixels."""

    name = "dicom"

    def setup(self) -> None:
        self.hu = np.random.default_rng(2).integers(-1000, 1000, (5, 8, 9))
        write_series(self.folder / "whole", self.hu)
        self.array = self.read(self.folder / "whole")

    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        path = folder / "series"
        shutil.copytree(self.folder / "whole", path)
        files = sorted(path.iterdir())
        file = files[int(rng.integers(len(files)))]
        kind = int(rng.integers(6))
        if kind == 0:
            file.unlink()
            return path, f"{file.name} gone"
        if kind == 1:
            content, said = mutate_bytes(rng, file.read_bytes())
            file.write_bytes(content)
            return path, f"bytes of {file.name}, {said}"
        if kind == 2:
            stray = ("README", "DICOMDIR", "1.dcm", ".DS_Store", "note.txt")[int(rng.integers(5))]
            (path / stray).write_bytes(rng.bytes(int(rng.integers(300))))
            return path, f"and a file {stray}"
        dataset = pydicom.dcmread(file)
        tags = [element.keyword for element in dataset if element.keyword != "PixelData"]
        tag = tags[int(rng.integers(len(tags)))]
        chosen = files if rng.integers(2) else [file]
        odd = _ODD[int(rng.integers(len(_ODD)))]
        for one in chosen:
            self._set(one, tag, odd, kind == 3)
        which = "all" if len(chosen) > 1 else file.name
        return path, f"{tag} of {which} " + ("removed" if kind == 3 else f"= {odd!r}")

    def _set(self, file: Path, tag: str, odd: str | None, remove: bool) -> None:
        dataset = pydicom.dcmread(file)
        if remove:
            del dataset[tag]
        else:
            # As bytes on the disk, which pydicom's own checks would not let through.
            element = dataset[tag]
            raw = b"" if odd is None else odd.encode() + b" " * (len(odd) % 2)
            dataset[tag] = pydicom.dataelem.RawDataElement(
                element.tag, element.VR, len(raw), raw, 0, False, True
            )
        dataset.save_as(file)

    def read(self, path: Path) -> np.ndarray:
        ct = open_ct(path)
        array = np.zeros(ct.shape, np.int16)
        for index, plane in zip(ct.slice_indices, ct, strict=True):
            array[index] = plane
        return array

    def judge(self, path: Path, description: str, found: object, told: bool) -> str:
        if np.array_equal(found, self.array):
            return "same"
        if told:
            return "told"
        pixels = description.startswith("bytes of")  # DICOM has no checksum
        whole_series = " of all " in description  # a series that says so throughout
        if pixels or whole_series or description.endswith("gone"):
            return "as it says"
        raise Failed("other voxels without a word")

    def names_file(self, path: Path, message: str) -> bool:
        return path.name in message
