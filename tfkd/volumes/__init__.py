"""CT volumes: files, the canonical frame, preprocessing and slices."""

import importlib
from typing import Any

from tfkd.volumes.ct_files import find_cts, open_ct
from tfkd.volumes.ct_search import CTSearch, LeftOut, search_cts
from tfkd.volumes.ct_slices import CTSlices, VolumeSlices
from tfkd.volumes.data_facts import DataFacts
from tfkd.volumes.dicom_seg import writing_dicom_seg
from tfkd.volumes.dicom_slices import DicomSlices
from tfkd.volumes.files import atomic_path, sha256_of
from tfkd.volumes.hu_suspicion import HUStatistics, told_if_not_hu, warn_if_not_hu
from tfkd.volumes.nifti import check_same_geometry, read_volume, write_volume
from tfkd.volumes.nifti_affine import IDENTITY_AFFINE
from tfkd.volumes.nifti_slices import NiftiSlices, writing_slices
from tfkd.volumes.preprocess import (
    AIR_HU,
    PreprocessSpec,
    fit_image,
    fit_mask,
    unfit_scores,
    window,
)
from tfkd.volumes.protocol import PROTOCOLS, REFERENCE, WHOLE_VOLUME, Protocol, target_mask
from tfkd.volumes.slice_file import SliceFile
from tfkd.volumes.slices import SliceExample, context_windows, iter_slices
from tfkd.volumes.volume import IGNORE_LABEL, FileGeometry, Volume, canonical_affine

__all__ = [
    "AIR_HU",
    "IDENTITY_AFFINE",
    "IGNORE_LABEL",
    "PROTOCOLS",
    "REFERENCE",
    "WHOLE_VOLUME",
    "CTSearch",
    "CTSlices",
    "DataFacts",
    "DicomSlices",
    "FileGeometry",
    "HUStatistics",
    "LeftOut",
    "NiftiSlices",
    "PreprocessSpec",
    "Protocol",
    "SliceExample",
    "SliceFile",
    "Volume",
    "VolumeSlices",
    "atomic_path",
    "canonical_affine",
    "check_same_geometry",
    "context_windows",
    "find_cts",
    "fit_image",
    "fit_mask",
    "iter_slices",
    "open_ct",
    "read_volume",
    "search_cts",
    "sha256_of",
    "target_mask",
    "told_if_not_hu",
    "unfit_scores",
    "warn_if_not_hu",
    "window",
    "write_phantom_cohort",
    "write_volume",
    "writing_dicom_seg",
    "writing_slices",
]


def __getattr__(name: str) -> Any:
    # The earlier place of this name, for one release.
    if name == "write_phantom_cohort":
        return importlib.import_module("tfkd.phantom").write_phantom_cohort
    raise AttributeError(f"module 'tfkd.volumes' has no attribute {name!r}")
