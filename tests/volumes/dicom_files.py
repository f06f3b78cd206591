"""A DICOM series of made-up slices, written with pydicom."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
SERIES = generate_uid()
STUDY = generate_uid()
FRAME = generate_uid()


def write_series(
    folder: Path,
    hu: np.ndarray,
    first_mm: tuple[float, float, float] = (-10.0, -20.0, -300.0),
    pixel_mm: tuple[float, float] = (0.8, 0.7),
    step_mm: float = 2.5,
    directions: tuple[int, ...] = (1, 0, 0, 0, 1, 0),
    **changes: object,
) -> list[Path]:
    """Write (n, rows, columns) HU as one file a slice, in an order that names do not tell.

    Args:
        changes: attributes of every file that are to be otherwise.
    """
    folder.mkdir(exist_ok=True)
    normal = np.cross(directions[:3], directions[3:])
    paths = []
    for index, plane in enumerate(hu):
        path = folder / f"{(index * 7) % 11:02}_{index}.dcm"
        dataset = _slice(plane)
        dataset.ImagePositionPatient = (np.array(first_mm) + index * step_mm * normal).tolist()
        dataset.ImageOrientationPatient = list(directions)
        dataset.PixelSpacing = list(pixel_mm)
        dataset.InstanceNumber = index + 1
        for name, value in changes.items():
            setattr(dataset, name, value)
        dataset.save_as(path)
        paths.append(path)
    return paths


def edit(path: Path, **changes: object) -> None:
    """Set attributes of a file; None removes one."""
    dataset = pydicom.dcmread(path)
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)


def _slice(plane: np.ndarray) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CT_STORAGE
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = CT_STORAGE
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.FrameOfReferenceUID = FRAME
    dataset.Modality = "CT"
    dataset.PatientName, dataset.PatientID = "Made^Up", "1"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = ""
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20240101", "120000", "1"
    dataset.ReferringPhysicianName = dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber = 1
    dataset.SliceThickness = 5.0
    dataset.Rows, dataset.Columns = plane.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = (plane.astype(np.int32) + 1024).astype("<u2").tobytes()
    return dataset
