"""How often each training slice is shown, so that rare classes are seen often enough."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.volumes import IGNORE_LABEL

__all__ = ["UNLABELLED", "Sampling", "expected_copies", "slice_groups"]

# The labels of a slice of which no pixel has one; an empty slice, which is known to show none, has
# an empty tuple.
UNLABELLED = (IGNORE_LABEL,)


@dataclass(frozen=True)
class Sampling:
    """Class-balanced sampling of slices.

    Slices without any foreground label get `empty_share` of an epoch. The others share the rest
    in proportion to 1 / (number of the split's slices that hold the slice's rarest label): with
    100 slices of tumour among 400 of liver, one with a tumour is shown four times as often as one
    without. (Equal shares for all classes would show the rarest of many organs less often than no
    balancing at all.)

    That is how the slices with labels share the epoch. Slices without any, from which only a
    distillation can learn, are shown when `unlabelled_share` says so, each as often as the others.

    Args:
        empty_share: Share of slices without any foreground label, in [0, 1).
        max_copies: Limit on how often a slice is shown in an epoch as long as the split, on
            average; at least 1. What a small group of slices loses by it, the others gain.
        unlabelled_share: Share of slices without labels, in [0, 1), on average over the batches;
            without effect where there are none. They are shown no more often than `max_copies`
            allows.

    Raises:
        ValueError: If a value is out of range.
    """

    empty_share: float = 0.1
    max_copies: float = 4.0
    unlabelled_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("empty_share", "unlabelled_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: expected [0, 1), received {getattr(self, name)}.")
        if self.max_copies < 1:
            raise ValueError(f"max_copies: expected 1 or more, received {self.max_copies}.")


def slice_groups(labels_per_slice: Sequence[tuple[int, ...]]) -> np.ndarray:
    """The group of every slice: its rarest label, or 0 where there is no foreground.

    Args:
        labels_per_slice: Foreground labels of every slice.

    Returns:
        (n,) int64.
    """
    counts = Counter(label for labels in labels_per_slice for label in labels)
    rarest = [
        min(labels, key=lambda label: (counts[label], label), default=0)
        for labels in labels_per_slice
    ]
    return np.array(rarest, np.int64)


def expected_copies(
    labels_per_slice: Sequence[tuple[int, ...]], total: float, sampling: Sampling
) -> np.ndarray:
    """How often each slice is to be shown in an epoch, on average.

    Args:
        labels_per_slice: Foreground labels of every slice, or `UNLABELLED`.
        total: Slices per epoch.
        sampling: The wanted shares.

    Returns:
        (n,) float64 whose sum is `total`. Empty slices get nothing where `empty_share` is 0, nor
        slices without labels where `unlabelled_share` is 0, unless there are no others.
    """
    known = np.array([labels != UNLABELLED for labels in labels_per_slice], bool)
    if not known.any():
        return np.full(len(known), total / len(known))
    unknown = float(np.mean(~known))
    share = min(sampling.unlabelled_share, sampling.max_copies * unknown)
    copies = np.zeros(len(known))
    labelled = [labels for labels in labels_per_slice if labels != UNLABELLED]
    copies[known] = _balanced(labelled, (1 - share) * total, sampling)
    if share:
        copies[~known] = share * total / np.sum(~known)
    return copies


def _balanced(
    labels_per_slice: Sequence[tuple[int, ...]], total: float, sampling: Sampling
) -> np.ndarray:
    """`expected_copies` of slices with labels."""
    counts = Counter(label for labels in labels_per_slice for label in labels)
    groups = slice_groups(labels_per_slice)
    names, sizes = np.unique(groups, return_counts=True)
    holders = np.array([counts[name] if name else 1 for name in names.tolist()])
    wanted = np.where(names == 0, 0.0, sizes / holders)
    wanted *= (1 - sampling.empty_share) / max(wanted.sum(), 1e-9)
    wanted[names == 0] = sampling.empty_share
    limits = sampling.max_copies * sizes / len(groups)
    shares = _fill_up(wanted, limits)
    copies = dict(zip(names.tolist(), (shares * total / sizes).tolist(), strict=True))
    return np.array([copies[group] for group in groups.tolist()])


def _fill_up(wanted: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Shares that add up to 1, in proportion to `wanted` where `limits` allow it."""
    shares = np.zeros_like(wanted)
    open_ = wanted > 0
    if not open_.any():  # only empty slices, and none wanted: there is nothing else to show
        wanted, open_ = np.ones_like(wanted), np.ones_like(open_)
    while open_.any():
        rest = 1 - shares[~open_].sum()
        shares[open_] = wanted[open_] / wanted[open_].sum() * rest
        over = open_ & (shares > limits)
        if not over.any():
            break
        shares[over] = limits[over]
        open_ = open_ & ~over
    return shares / shares.sum()
