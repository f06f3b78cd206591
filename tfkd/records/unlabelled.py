"""CT without masks, from a folder of its own, for a cohort to be distilled on."""

import dataclasses
from pathlib import Path

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source, natural_key

__all__ = ["add_unlabelled"]

_CHANNEL = "_0000"  # nnU-Net's suffix of the first, and here the only, image channel


def add_unlabelled(source: Source, folder: str | Path) -> Source:
    """Adds every CT of a folder to a cohort, as cases without masks.

    Such cases are only ever trained on. Each counts as a patient of its own, so the folder must
    hold no other scan of a patient on whom a network is validated or tested.

    Args:
        source: The cohort, whose identity affine holds for these files as well.
        folder: Folder of NIfTI files (.nii, .nii.gz), such as nnU-Net's ``imagesTs``; folders in
            it are not looked into. A case is named after its file, without nnU-Net's ``_0000``.

    Returns:
        The cohort with the cases, which come last.

    Raises:
        RecordError: If the folder is missing or holds no NIfTI file, or if a name is that of a
            case of the cohort.

    Example:
        >>> source = find_source("Dataset901_AbdomenCT")  # doctest: +SKIP
        >>> source = add_unlabelled(source, "Dataset901_AbdomenCT/imagesTs")  # doctest: +SKIP
        >>> prepare(source, "records/abdomen")  # doctest: +SKIP
    """
    folder = Path(folder)
    found = folder.glob("[!.]*")
    images = [path for path in found if path.name.endswith((".nii", ".nii.gz"))]
    if not images:
        reason = "no NIfTI file in it" if folder.is_dir() else "no such folder"
        raise RecordError(f"{folder}: expected a folder of CT without masks, found {reason}.")
    cases = [CaseFiles(_name(path), path, None, _name(path)) for path in images]
    cases.sort(key=lambda case: natural_key(case.case_id))
    return dataclasses.replace(source, cases=(*source.cases, *cases))


def _name(path: Path) -> str:
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    return stem.removesuffix(_CHANNEL)
