"""Connected components of a region that is seen slice by slice."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["SliceComponents", "find_components"]


@dataclass(frozen=True, eq=False)
class SliceComponents:
    """The 3-D components of a region. A part is a component of a single slice.

    Attributes:
        first_part: (Z + 1,) number of the first part of each slice, and how many there are in all.
        component: (parts,) component of each part.
        sizes: (components,) voxels, in order of the components' first voxels.
        touches_border: (components,) whether a component reaches a face of the box of the slices.
    """

    first_part: np.ndarray
    component: np.ndarray
    sizes: np.ndarray
    touches_border: np.ndarray

    def select(self, index: int, region: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return which pixels of a slice belong to some components.

        Args:
            index: of the slice, in the order in which they were given.
            region: (Y, X) bool, the slice as it was given.
            chosen: (components,) bool.

        Returns:
            (Y, X) bool.
        """
        parts, _ = _parts(region)
        of_slice = self.component[self.first_part[index] : self.first_part[index + 1]]
        return np.concatenate([[False], chosen[of_slice]])[parts]


def find_components(regions: Iterable[np.ndarray]) -> SliceComponents:
    """Find the components of a region whose voxels are connected through their faces.

    The slices are labelled one by one, and the parts of neighbouring ones joined afterwards, so
    that two slices at a time lie in memory.

    Args:
        regions: (Y, X) bool slices, at least one, all of one size.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first_part, sizes, border, links = [0], [], [], []
    before: np.ndarray | None = None
    for region in regions:
        parts, count = _parts(region)
        sizes.append(np.bincount(parts.ravel(), minlength=count + 1)[1:])
        border.append(_at_edges(parts, count))
        if before is not None:
            start = first_part[-2:]
            links.append(_touching(before, parts) + np.array(start)[:, None] - 1)
        first_part.append(first_part[-1] + count)
        before = parts
    for end in (0, -1):
        border[end][:] = True
    total = first_part[-1]
    pairs = np.concatenate([np.empty((2, 0), np.int64), *links], axis=1)
    graph = coo_array((np.ones(pairs.shape[1], bool), tuple(pairs)), shape=(total, total))
    count, component = connected_components(graph, directed=False)
    return SliceComponents(
        np.array(first_part),
        component,
        np.bincount(component, np.concatenate(sizes), count).astype(np.int64),
        np.bincount(component, np.concatenate(border), count) > 0,
    )


def _parts(region: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the components of a slice from 1; 0 is beside them."""
    from scipy.ndimage import label

    return label(region)


def _at_edges(parts: np.ndarray, count: int) -> np.ndarray:
    """(count,) whether each part reaches the edge of the slice."""
    found = np.zeros(count + 1, bool)
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        found[edge] = True
    return found[1:]


def _touching(before: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """(2, n) numbers of parts that lie upon each other in two neighbouring slices."""
    both = (before > 0) & (parts > 0)
    stride = int(parts.max()) + 1
    codes = before[both].astype(np.int64) * stride + parts[both]
    # Counting takes a tenth of the time of sorting, and a table as long as the highest code.
    limit = 4 * parts.size
    found = (
        np.flatnonzero(np.bincount(codes))
        if codes.size and codes.max() < limit
        else np.unique(codes)
    )
    return np.stack([found // stride, found % stride])
