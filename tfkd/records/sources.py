"""Finds the cases of a folder whose layout is known or recognised."""

from pathlib import Path
from typing import Literal, get_args

from tfkd.errors import RecordError
from tfkd.records.case_files import CaseFiles, Source
from tfkd.records.dataset_json import find_nnunet, looks_like_nnunet
from tfkd.records.layouts import find_kits19, find_lits17, looks_like_kits19, looks_like_lits17

__all__ = ["LAYOUTS", "CaseFiles", "MissingMasks", "Source", "find_source"]

LAYOUTS = ("auto", "lits17", "kits19", "nnunet")

MissingMasks = Literal["refuse", "keep"]
"""What to do with a CT whose mask is not there."""

_FINDERS = {
    "nnunet": (looks_like_nnunet, find_nnunet),
    "lits17": (looks_like_lits17, find_lits17),
    "kits19": (looks_like_kits19, find_kits19),
}


def find_source(
    folder: str | Path, layout: str = "auto", missing_masks: MissingMasks = "refuse"
) -> Source:
    """Finds the CT cases of a folder. Only names are looked at; no file is opened.

    Args:
        folder: The cohort's folder.
        layout: ``"lits17"``, ``"kits19"``, ``"nnunet"`` (also MSD), or ``"auto"`` to recognise it.
        missing_masks: ``"refuse"`` takes a CT without its mask for the mistake that it mostly is;
            ``"keep"`` takes it as unlabelled CT for the training. For unlabelled CT that lies
            elsewhere, as in nnU-Net's ``imagesTs``, see `add_unlabelled`.

    Returns:
        The source with its cases in natural order. Files of images that lie there and are of no
        case are in its `left_out`, each with a reason.

    Raises:
        RecordError: If the folder is missing or empty, the layout or `missing_masks` unknown, the
            layout not recognised or two of them found, or if a case lacks its CT or mask (the case
            and the expected file are named).

    Example:
        >>> source = find_source("data/lits17")  # doctest: +SKIP
        >>> [case.case_id for case in source.cases[:2]]  # doctest: +SKIP
        ['volume-0', 'volume-1']
    """
    root = Path(folder)
    if layout not in LAYOUTS:
        raise RecordError(f"layout: expected one of {', '.join(LAYOUTS)}, received {layout!r}.")
    if missing_masks not in get_args(MissingMasks):
        raise RecordError(
            f"missing_masks: expected one of {', '.join(get_args(MissingMasks))}, received "
            f"{missing_masks!r}."
        )
    keep = missing_masks == "keep"
    if not root.is_dir():
        raise RecordError(f"{root}: expected a folder with labelled CT, found no such folder.")
    if not any(root.iterdir()):
        raise RecordError(f"{root}: expected a folder with labelled CT, but it is empty.")
    if layout != "auto":
        return _FINDERS[layout][1](root, keep)
    fitting = [name for name, (looks_right, _) in _FINDERS.items() if looks_right(root)]
    if len(fitting) > 1 and fitting[0] != "nnunet":  # a dataset.json says which files count
        raise RecordError(
            f"{root}: expected the cases of one cohort, found those of {' and of '.join(fitting)}. "
            f"Choose with `layout` (--layout), or give one of the folders in it."
        )
    if fitting:
        return _FINDERS[fitting[0]][1](root, keep)
    raise RecordError(
        f"{root}: its layout is not recognised. Expected volume-N.nii.gz and "
        f"segmentation-N.nii.gz (lits17), case_00000/imaging.nii.gz (kits19), or a dataset.json "
        f"(nnunet)."
    )
