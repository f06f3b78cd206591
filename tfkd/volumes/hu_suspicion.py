"""CT whose numbers cannot be Hounsfield units, and what they look like instead."""

import warnings
from collections.abc import Iterable, Iterator

import numpy as np

__all__ = ["HUStatistics", "told_if_not_hu", "warn_if_not_hu"]

_VALUES = 2**16  # of int16
_LOWEST = -(2**15)

# Rows and columns that are looked at in a slice of 512 x 512: 64. Shares do not need more, and so
# a slice costs about 0.1 ms.
_LOOKED_AT = 64

# The narrowest windows that CT is cut to for display span 40 HU; what is scaled to a mean of 0 and
# a standard deviation of 1, or to 0 … 1, spans fewer than 20 whole numbers.
_NARROWEST_SPAN = 20

# Body in HU, fat and muscle with contrast; in numbers from which 1024 (or 1000) has not been taken
# off, this is air, and the body lies 1024 higher, where HU have dense bone and metal alone.
_SOFT_TISSUE = (-300, 400)
_SHIFTED_BODY = (800, 1350)
_AIR_AND_LUNG = (-1200, -300)
_LEAST_SHIFTED_SHARE = 0.15
_MOST_AIR_SHARE = 0.005
_LEAST_SOFT_TISSUE_SHARE = 0.001

# Above this the middle value of a CT never lies.
_HIGHEST_MEDIAN = 1500

# Grey values of 0 to 255 show muscle in the middle of their range, at 110 to 140, whatever the
# window was. HU that were cut off below 0 have muscle and blood at 30 to 80.
_LEAST_GREY_MEDIAN = 112
_GREY_OF_AIR = 25  # and of its noise
# Numbers that were cut off above, as by a window of 0 to 200 HU, pile up at the highest one, which
# in HU is a round one.
_MOST_AT_THE_TOP = 5e-4


class HUStatistics:
    """How often a CT holds which number, gathered slice by slice.

    Example:
        >>> seen = HUStatistics()
        >>> seen.add(np.array([[0, 1], [1, 0]], np.int16))
        >>> seen.suspicion()
        'as if scaled to 0 … 1 or a like range'
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_VALUES, np.int64)
        self.low, self.high = 2**15, _LOWEST - 1

    def add(self, plane: np.ndarray) -> None:
        """Count the numbers of a slice.

        Args:
            plane: (Y, X) int16, not empty.
        """
        self.low = min(self.low, int(plane.min()))
        self.high = max(self.high, int(plane.max()))
        rows, columns = (max(1, n // _LOOKED_AT) for n in plane.shape)
        some = plane[::rows, ::columns].astype(np.int32).ravel() - _LOWEST
        self._counts += np.bincount(some, minlength=_VALUES)

    def suspicion(self) -> str | None:
        """Return what the numbers look like, if they cannot be HU of a patient.

        Cropped CT, CT that is cut to a window, padding below -1024 and metal are not suspicious. A
        CT of one number alone, such as an empty one, is not judged either.
        """
        if self.high <= self.low:
            return None
        if self.high - self.low <= _NARROWEST_SPAN:
            return "as if scaled to 0 … 1 or a like range"
        if self.low >= 0 and self.high <= 255 and self._is_grey():
            return "as grey values of eight bits"
        shifted = self._share(*_SHIFTED_BODY) > _LEAST_SHIFTED_SHARE
        if shifted and self._share(*_AIR_AND_LUNG) < _MOST_AIR_SHARE:
            return "as if 1024 had not been taken off: air at 0, the body at 1024"
        if self._median() > _HIGHEST_MEDIAN:
            return f"more than half of them above {_HIGHEST_MEDIAN}"
        if self._share(*_SOFT_TISSUE) < _LEAST_SOFT_TISSUE_SHARE:
            return "without soft tissue, which lies from -300 to 400 HU"
        return None

    def _share(self, low: int, high: int) -> float:
        """Share of numbers from `low` to `high`."""
        return float(self._between(low, high).sum() / max(1, self._counts.sum()))

    def _between(self, low: int, high: int) -> np.ndarray:
        return self._counts[low - _LOWEST : high + 1 - _LOWEST]

    def _is_grey(self) -> bool:
        """Whether numbers of 0 to 255 are grey values; the ends, where they are cut, apart."""
        if (self.low, self.high) == (0, 255):
            return True
        if self._share(self.high, self.high) > _MOST_AT_THE_TOP:
            return self.high == 255 or self.high % 5 != 0
        inside = self._between(_GREY_OF_AIR, 254)
        if not inside.any():
            return False
        return _GREY_OF_AIR + _middle(inside) >= _LEAST_GREY_MEDIAN

    def _median(self) -> int:
        return _LOWEST + _middle(self._counts)


def warn_if_not_hu(slices: Iterable[np.ndarray], case_id: str) -> None:
    """Warn, in one line that names the case, if a CT's numbers cannot be HU.

    Args:
        slices: (Y, X) int16 HU, one or more, such as the array of a volume.
        case_id: For the message.
    """
    for _ in told_if_not_hu(slices, case_id):
        pass


def told_if_not_hu(slices: Iterable[np.ndarray], case_id: str) -> Iterator[np.ndarray]:
    """Yield slices as they are, and warn after the last one as `warn_if_not_hu` does.

    Args:
        slices: (Y, X) int16 HU in any order.
        case_id: For the message.
    """
    seen = HUStatistics()
    for plane in slices:
        seen.add(plane)
        yield plane
    suspicion = seen.suspicion()
    if suspicion is not None:
        warnings.warn(
            f"Case {case_id!r}: expected Hounsfield units (air -1000, water 0, bone up to 2000). "
            f"Received numbers of {seen.low} to {seen.high}, {suspicion}. A network that knows HU "
            "will be wrong on it; convert the CT to HU.",
            UserWarning,
            stacklevel=2,
        )


def _middle(counts: np.ndarray) -> int:
    """Index of the median of numbers that are counted by their index."""
    running = np.cumsum(counts)
    return int(np.searchsorted(running, (running[-1] + 1) // 2))
