"""Where the masks of several CTs go."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tfkd.cli.config import ConfigError
from tfkd.volumes.names import name_of

__all__ = ["beside", "check_is_no_ct", "mask_paths"]


def beside(ct: Path, name: str) -> Path:
    """Return the path of a file beside a CT; beside the folder that `.` or `..` means."""
    if ct.name in ("", ".."):
        ct = Path(os.path.abspath(ct))
    return ct.with_name(name)


def mask_paths(cts: Sequence[Path], folder: Path, suffix: str) -> dict[Path, Path]:
    """Return the mask of each CT: `FOLDER/ct1_mask.nii.gz` for `scans/ct1.nii.gz`.

    CTs of one name take those of their folders too, as many as tell them apart:
    `case_00000_imaging_mask.nii.gz` for `case_00000/imaging.nii.gz`.

    Args:
        cts: Different paths.
        folder: Of the masks.
        suffix: Of the masks' files.

    Raises:
        ConfigError: Two CTs would have the same mask all the same, or a mask would replace a CT.
    """
    by_name = defaultdict(list)
    for ct in cts:
        by_name[_key(name_of(ct))].append(ct)
    names: dict[Path, str] = {}
    for same in by_name.values():
        names |= _told_apart(same)
    masks: dict[Path, Path] = {}
    owners: dict[str, Path] = {}
    for ct in cts:
        mask = folder / f"{names[ct]}_mask{suffix}"
        other = owners.setdefault(_key(mask.name), ct)
        if other != ct:
            raise ConfigError(
                f"{ct} and {other} would have the same mask, {mask}. Segment them into folders of "
                "their own."
            )
        check_is_no_ct(mask, cts)
        masks[ct] = mask
    return masks


def check_is_no_ct(mask: Path, cts: Sequence[Path]) -> None:
    """Raise before a mask would replace a CT, which --overwrite is not meant to allow.

    Raises:
        ConfigError: It would.
    """
    if os.path.realpath(mask) in [os.path.realpath(ct) for ct in cts]:
        raise ConfigError(f"{mask}: expected a place for a mask, received one of the CTs.")


def _told_apart(cts: Sequence[Path]) -> dict[Path, str]:
    """Names with as many of their folders' as it takes."""
    plain = {ct: name_of(ct) for ct in cts}
    if len(cts) == 1:
        return plain
    folders = {ct: Path(os.path.abspath(ct)).parent.parts[1:] for ct in cts}
    for count in range(1, 1 + max(len(parts) for parts in folders.values())):
        names = {ct: "_".join((*folders[ct][-count:], plain[ct])) for ct in cts}
        if len({_key(name) for name in names.values()}) == len(cts):
            return names
    return plain


def _key(name: str) -> str:
    """Two names that some file systems take for one are one."""
    return name.casefold()
