"""A mask as a DICOM SEG object."""

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from tfkd._version import __version__
from tfkd.errors import GeometryError
from tfkd.volumes.ct_slices import CTSlices
from tfkd.volumes.dicom_seg_sources import seg_sources
from tfkd.volumes.dicom_slices import DicomSlices
from tfkd.volumes.files import atomic_path

__all__ = ["writing_dicom_seg"]

_TRIAL_PIXELS = (16, 16)  # rows, columns: as many as there are labels, at most


def writing_dicom_seg(
    path: str | os.PathLike[str],
    like: CTSlices,
    label_names: Sequence[str],
    model: str = "unknown",
) -> AbstractContextManager[Callable[[np.ndarray], None]]:
    """Give a function that takes the slices of a mask and leaves a DICOM SEG of them.

    One binary segment a label, which refers to the CT's own slices; slices without it are left out.
    Its type is a private code with the label's name, since names have no codes of their own. The
    mask lies in memory meanwhile. The file appears whole or not at all.

    What the CT's slices lack is filled in as `seg_sources` says. All that a DICOM SEG needs is
    checked by the call, before the block is entered: a SEG of few pixels is made on trial.

    Args:
        path: File to write, ending in `.dcm`.
        like: The CT, of DICOM; its slices' masks are to be given in the order of its iteration.
        label_names: Index = label value; the first is the background.
        model: What made the mask, such as the name and checksum of a model file.

    Returns:
        Context of a function that takes the next (Y, X) uint8 slice.

    Raises:
        GeometryError: The CT is not DICOM, or its slices are such that no DICOM SEG can refer to
            them; or, at the end, the mask is empty, which a DICOM SEG cannot be.
        ImportError: highdicom is not installed.
        ValueError: The path has another suffix, or not as many slices were given as the CT has.
    """
    path = Path(path)
    if not path.name.endswith(".dcm"):
        raise ValueError(f"`path` must end in .dcm. Received: {path}.")
    if not isinstance(like, DicomSlices):
        raise GeometryError(
            f"Case {like.case_id!r}: a DICOM SEG refers to the slices of a DICOM series. Received "
            "a CT of another kind; write a NIfTI mask."
        )
    highdicom = _highdicom()
    sources = seg_sources(like)
    _try(highdicom, like, sources, label_names, model)
    return _writing(path, like, sources, label_names, model)


@contextlib.contextmanager
def _writing(
    path: Path, like: DicomSlices, sources: list[Any], label_names: Sequence[str], model: str
) -> Iterator[Callable[[np.ndarray], None]]:
    slices: list[np.ndarray] = []

    def write(plane: np.ndarray) -> None:
        slices.append(like.frame.to_file(plane[None])[..., 0].T.astype(np.uint8))

    yield write
    if len(slices) != len(like):
        raise ValueError(
            f"Case {like.case_id!r}: expected {len(like)} slices, received {len(slices)}."
        )
    mask = np.stack(slices)
    if not mask.any():
        raise GeometryError(
            f"Case {like.case_id!r}: the mask is empty, and DICOM SEG has no empty masks; write a "
            "NIfTI mask."
        )
    with atomic_path(path) as temporary:
        _save(_highdicom(), sources, mask, label_names, model, temporary)


def _try(
    highdicom: Any, ct: DicomSlices, sources: list[Any], label_names: Sequence[str], model: str
) -> None:
    """Make a SEG of all slices, but of few pixels, with every label in the first and the last."""
    mask = np.zeros((len(sources), *_TRIAL_PIXELS), np.uint8)
    labels = np.arange(1, len(label_names))
    mask[0].flat[: len(labels)] = labels
    mask[-1].flat[: len(labels)] = labels
    try:
        for source in sources:
            source.Rows, source.Columns = _TRIAL_PIXELS
        _save(highdicom, sources, mask, label_names, model, io.BytesIO())
    except Exception as error:  # highdicom and pydicom have many kinds
        raise GeometryError(
            f"Case {ct.case_id!r}, folder {ct.files[0].parent}: no DICOM SEG can refer to these "
            f"slices ({type(error).__name__}: {error}). Write a NIfTI mask, or complete the slices."
        ) from error
    for source in sources:
        source.Columns, source.Rows, _ = ct.frame.file_shape


def _save(
    highdicom: Any,
    sources: list[Any],
    mask: np.ndarray,
    label_names: Sequence[str],
    model: str,
    file: Path | io.BytesIO,
) -> None:
    with warnings.catch_warnings():
        # Such as of a name without a comma: about the CT, and with the patient's name in it.
        warnings.simplefilter("ignore", UserWarning)
        _segmentation(highdicom, sources, mask, label_names, model).save_as(file)


def _highdicom() -> Any:
    try:
        import highdicom
    except ImportError as error:
        raise ImportError(
            f"Writing a DICOM SEG needs the package highdicom, which cannot be imported here "
            f'({error}). Install it: pip install "tfkd[dicom]"'
        ) from error
    return highdicom


def _segmentation(
    highdicom: Any,
    sources: list[Any],
    mask: np.ndarray,
    label_names: Sequence[str],
    model: str,
) -> Any:
    from highdicom import seg
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="tfkd",
        family=codes.DCM.ArtificialIntelligence,
        version=__version__,
        parameters={"model": model},
    )
    # A segment that no slice shows cannot be there.
    labels = [label for label in range(1, len(label_names)) if (mask == label).any()]
    segments = [
        seg.SegmentDescription(
            segment_number=number,
            segment_label=label_names[label],
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=highdicom.sr.CodedConcept(
                f"LABEL{label}", "99TFKD", label_names[label]
            ),
            algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, label in enumerate(labels, start=1)
    ]
    number_of = np.zeros(256, np.uint8)
    number_of[labels] = np.arange(1, len(labels) + 1)
    return seg.Segmentation(
        source_images=sources,
        pixel_array=number_of[mask],
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="tfkd",
        manufacturer_model_name="tfkd",
        software_versions=__version__,
        device_serial_number="none",
        series_description="tfkd segmentation",
    )
