"""Reads ``dataset.json``, whoever wrote it, and what it says of its files."""

import warnings
from pathlib import Path
from typing import Any

from tfkd.errors import RecordError
from tfkd.files import kind_of
from tfkd.records.json_file import read_object

__all__ = ["check_one_channel", "file_ending", "read_dataset_file"]

_ENDINGS = (".nii.gz", ".nii")


def read_dataset_file(path: Path) -> dict[str, Any]:
    """Reads the object in a ``dataset.json``, in UTF-8, UTF-16 or UTF-32, with or without a mark.

    Raises:
        RecordError: If the file is missing, is not a JSON object, or holds a key twice.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise RecordError(
            f"{path} is missing. Expected the folder of an nnU-Net or MSD dataset, found {found}."
        )
    return read_object(path)


def check_one_channel(facts: dict[str, Any], path: Path) -> None:
    """Raises a `RecordError` unless there is one image channel; warns if it is not called CT.

    Args:
        facts: Of the ``dataset.json``.
        path: Its path, for messages.
    """
    for key in ("channel_names", "modality"):
        channels = facts.get(key)
        if isinstance(channels, str):
            channels = [channels]
        if not channels:
            continue
        if not isinstance(channels, dict | list):
            raise RecordError(
                f'{path}: {key!r}: expected {{"0": "CT"}}, received {kind_of(channels)}.'
            )
        names = [str(n) for n in (channels.values() if isinstance(channels, dict) else channels)]
        if len(names) > 1:
            raise RecordError(
                f"{path}: {key!r}: expected one image channel (CT), received {len(names)}: "
                f"{', '.join(names)}. Make a dataset of the CT alone."
            )
        if "ct" not in names[0].lower() and "tomography" not in names[0].lower():
            warnings.warn(
                f"{path}: {key!r}: expected CT, received {names[0]!r}. The values are read as "
                f"Hounsfield units all the same.",
                UserWarning,
                stacklevel=2,
            )
        return


def file_ending(facts: dict[str, Any], path: Path) -> str | None:
    """The ending of image and mask files: ``".nii.gz"``, ``".nii"``, or None where not stated.

    Raises:
        RecordError: If it is that of other files than NIfTI.
    """
    ending = facts.get("file_ending")
    if ending is None or ending == "":
        return None
    dotted = f".{str(ending).lstrip('.').lower()}"
    if not isinstance(ending, str) or dotted not in _ENDINGS:
        raise RecordError(
            f"{path}: 'file_ending': expected {' or '.join(_ENDINGS)}, received {ending!r}. "
            f"Convert the files to NIfTI."
        )
    return dotted
