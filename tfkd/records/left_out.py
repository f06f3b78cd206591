"""Files that lie in a cohort's folder and are not prepared: found, counted and told."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

__all__ = ["loose_images", "name_in", "told_left_out"]

# Endings of files that hold images, or may hold them; a README or a table holds none.
_OF_IMAGES = (
    *(".nii", ".hdr", ".img", ".mha", ".mhd", ".nrrd", ".nhdr"),
    *(".dcm", ".npy", ".npz", ".h5", ".hdf5", ".zip", ".tar"),
)
_SHOWN = 3  # file names per reason


def name_in(root: Path, path: Path) -> str:
    """The path below `root` with forward slashes, or the whole path if it lies elsewhere."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def loose_images(
    root: Path, used: Iterable[Path], *, depth: int = 2, unseen: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yields the files of images, by their names, that are in a folder and not in use.

    Hidden files and folders, such as ``.DS_Store`` and ``._volume-0.nii.gz``, hold no images.

    Args:
        root: The folder.
        used: Files that are in use.
        depth: How many folders below `root` are looked into.
        unseen: Folders that are not looked into.
    """
    # A link to a file in use is no file of its own; a link to a folder is looked into.
    known = {os.path.realpath(path) for path in used}
    passed = {os.path.abspath(path) for path in unseen}
    top = os.path.abspath(root)
    for folder, inner, files in os.walk(top, followlinks=True):
        level = 0 if folder == top else len(Path(folder).relative_to(top).parts)
        inner[:] = sorted(
            name
            for name in inner
            if level < depth
            and not name.startswith(".")
            and os.path.join(folder, name) not in passed
        )
        for name in sorted(files):
            path = os.path.join(folder, name)
            if name.startswith(".") or not _may_hold_an_image(name):
                continue
            if os.path.realpath(path) not in known:
                yield root / Path(path).relative_to(top)


def _may_hold_an_image(name: str) -> bool:
    # Also volume-3.nii.gz.part, which a download left behind, and "volume-3.nii (1).gz".
    lower = name.lower()
    return ".nii" in lower or lower.endswith(_OF_IMAGES)


def told_left_out(left_out: Mapping[str, str]) -> str:
    """One line: how many files are left out, why, and the first of their names.

    Args:
        left_out: Reason of each file; at least one.

    Example:
        >>> told_left_out({"a.mha": "not NIfTI", "b.mha": "not NIfTI"})
        '2 files are left out: 2 not NIfTI (a.mha, b.mha)'
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(name)
    parts = []
    for reason, names in by_reason.items():
        more = ", ..." if len(names) > _SHOWN else ""
        parts.append(f"{len(names)} {reason} ({', '.join(names[:_SHOWN])}{more})")
    verb = "file is" if len(left_out) == 1 else "files are"
    return f"{len(left_out)} {verb} left out: {'; '.join(parts)}"
