"""The CTs that the words of `tfkd predict` mean."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfkd.volumes.ct_search import CTSearch, LeftOut, no_ct, search_cts

__all__ = ["ListedCTs", "list_cts"]

_TWICE = "CT that was given twice"


@dataclass(frozen=True)
class ListedCTs:
    """What the paths of a call stand for.

    Attributes:
        cts: Each CT once, under the first name that was given.
        left_out: Everything else at the paths.
        failed: What is wrong with paths that hold no CT.
        lines: What to say of all that is left out.
    """

    cts: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]
    failed: dict[Path, str]
    lines: tuple[str, ...]


def list_cts(paths: Sequence[Path]) -> ListedCTs:
    """Return the CTs at all paths; a mask among files given by name is left out too.

    Args:
        paths: Files and folders.

    Raises:
        GeometryError: There is no CT at any of them.
    """
    cts: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    failed: dict[Path, str] = {}
    searches = [(path, search_cts(path)) for path in paths]
    for path, search in searches:
        left_out += search.left_out
        if not search.cts and path.is_dir():
            failed[path] = str(no_ct(path, search))
        for ct in search.cts:
            if cts.setdefault(os.path.abspath(ct), ct) is not ct:
                left_out.append(LeftOut(ct, _TWICE))
    if not cts:
        raise no_ct(*searches[0])
    lines = CTSearch((), tuple(left_out)).lines()
    return ListedCTs(tuple(cts.values()), tuple(left_out), failed, tuple(lines))
