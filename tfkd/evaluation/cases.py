"""A case to be scored: its CT and its true mask."""

import typing
from dataclasses import dataclass
from pathlib import Path

from tfkd.errors import RecordError
from tfkd.volumes import Volume, check_same_geometry, read_volume, target_mask

__all__ = ["CaseFilesLike", "CasePaths", "read_case"]


class CaseFilesLike(typing.Protocol):
    """What a case must offer: its name and the paths of its CT and its true mask."""

    @property
    def case_id(self) -> str:
        """Name of the case."""

    @property
    def image(self) -> Path:
        """The CT."""

    @property
    def mask(self) -> Path | None:
        """The true mask; None is refused when scores are wanted."""

    @property
    def target_labels(self) -> tuple[int, ...]:
        """Labels of the mask that make one target; empty where each label is a class."""


@dataclass(frozen=True)
class CasePaths:
    """A case by its paths, for data that no manifest describes.

    Attributes:
        case_id: name of the case.
        image: the CT, NIfTI.
        mask: the true mask, NIfTI, or None.
        target_labels: labels of the mask that make one target; empty where each label is a class.
        ignored_label: a label of the mask whose voxels belong to no class, beside `IGNORE_LABEL`.
    """

    case_id: str
    image: Path
    mask: Path | None
    target_labels: tuple[int, ...] = ()
    ignored_label: int | None = None


def read_case(case: CaseFilesLike, identity_affine: str | None = None) -> tuple[Volume, Volume]:
    """Reads the CT and the true mask of a case and checks that they lie on the same voxels.

    Args:
        case: name and paths.
        identity_affine: as in `read_volume`.

    Returns:
        CT (int16 HU) and true mask (uint8 labels, or 1 in the case's target); `IGNORE_LABEL`
        where the mask has the case's ignored label.

    Raises:
        RecordError: if the case has no true mask.
        GeometryError: as `read_volume` and `check_same_geometry`.
    """
    if case.mask is None:
        raise RecordError(
            f"Case {case.case_id}: expected a true mask to compare with. Received none beside "
            f"{case.image}; leave the case out or give its mask."
        )
    image = read_volume(
        case.image, kind="ct", case_id=case.case_id, identity_affine=identity_affine
    )
    truth = read_volume(
        case.mask, kind="mask", case_id=case.case_id, identity_affine=identity_affine
    )
    check_same_geometry(image, truth, case.image, case.mask)
    # What offers a case need not know of ignored labels.
    ignored_label = getattr(case, "ignored_label", None)
    return image, truth.with_array(target_mask(truth.array, case.target_labels, ignored_label))
