"""CT without masks, from a folder of its own, for a cohort to be distilled on."""

import dataclasses
import os
import re
from pathlib import Path

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source, natural_key
from tfkd.records.left_out import loose_images, name_in
from tfkd.volumes.label_content import holds_labels
from tfkd.volumes.names import name_of

__all__ = ["add_unlabelled"]

_NIFTI = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
# Names of masks among the CT, such as those of LiTS17, for files whose voxels do not tell.
_OF_A_MASK = re.compile(
    r"^(segmentation|label|mask)s?([-_ .]|\d|$)|[-_ .](segmentation|seg|label|mask)s?$",
    re.IGNORECASE,
)
_CHANNEL = "_0000"  # nnU-Net's suffix of the first, and here the only, image channel


def add_unlabelled(source: Source, folder: str | Path) -> Source:
    """Adds every CT of a folder to a cohort, as cases without masks.

    Such cases are only ever trained on. Each counts as a patient of its own, so the folder must
    hold no other scan of a patient on whom a network is validated or tested.

    Args:
        source: The cohort, whose identity affine holds for these files as well.
        folder: Folder of NIfTI files (.nii, .nii.gz), such as nnU-Net's ``imagesTs``; folders in
            it are not looked into. A case is named after its file, without nnU-Net's ``_0000``.
            Masks among them, known by their voxels, are no cases.

    Returns:
        The cohort with the cases, which come last. Other files of images in the folder are in its
        `left_out`.

    Raises:
        RecordError: If the folder is missing or holds no NIfTI file of a CT, or if a name is that
            of a case of the cohort.

    Example:
        >>> source = find_source("Dataset901_AbdomenCT")  # doctest: +SKIP
        >>> source = add_unlabelled(source, "Dataset901_AbdomenCT/imagesTs")  # doctest: +SKIP
        >>> prepare(source, "records/abdomen")  # doctest: +SKIP
    """
    folder = Path(folder)
    found = sorted(path for path in folder.glob("[!.]*") if _NIFTI.search(path.name))
    images = [path for path in found if path.is_file() and not _is_mask(path)]
    if not images:
        reason = "nothing but masks" if found else "no NIfTI file in it"
        reason = reason if folder.is_dir() else "no such folder"
        raise RecordError(f"{folder}: expected a folder of CT without masks, found {reason}.")
    cases = [CaseFiles(_name(path), path, None, _name(path)) for path in images]
    cases.sort(key=lambda case: natural_key(case.case_id))
    used = {os.path.abspath(path) for path in images}
    left_out = {
        name: reason
        for name, reason in source.left_out.items()
        if os.path.abspath(source.root / name) not in used
    }
    of_cases = [path for c in source.cases for path in (c.image, c.mask) if path is not None]
    for path in loose_images(folder, [*images, *of_cases]):
        among = path.parent == folder and _NIFTI.search(path.name)
        reason = "a mask" if among else "not a NIfTI file of the unlabelled CT"
        left_out.setdefault(name_in(source.root, path), reason)
    return dataclasses.replace(source, cases=(*source.cases, *cases), left_out=left_out)


def _is_mask(path: Path) -> bool:
    of_labels = holds_labels(path)
    return bool(_OF_A_MASK.search(name_of(path))) if of_labels is None else of_labels


def _name(path: Path) -> str:
    return name_of(path).removesuffix(_CHANNEL)
