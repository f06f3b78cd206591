"""`Protocol`: how a study is carried out, from the size of its slices to the rule of its score."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfkd.volumes.volume import IGNORE_LABEL

__all__ = ["PROTOCOLS", "REFERENCE", "WHOLE_VOLUME", "Protocol", "target_mask"]


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What the records of a study fix for everything that follows; their manifest names it.

    The values of preprocessing and training are defaults, which explicit settings override; those
    of the score are not.

    Attributes:
        name: `"whole_volume"` or `"reference"`.
        score: The rule of the score, in words.
        only_positive: Whether slices without foreground are left out: of training and validation
            by the labels in the records, of the score by the true mask.
        threshold: With two classes, the probability above which a pixel is foreground; None for
            the highest class.
        size: (H, W) of a slice.
        fit: How it is fitted, see `PreprocessSpec`.
        field_size: Size before the crop, see `PreprocessSpec`.
        empty_share: Share of slices without foreground in the training.
        variation: `"anatomical"`: small rotations, shifts and changes of intensity; or
            `"symmetric"`: mirror images and quarter turns.
        learning_rate: Adam's learning rate at the first step.
        last_rate: That at the last step, as a part of it; a cosine lies between them.
        epochs: Epochs of a training.
        batch_size: Slices per step.
    """

    name: str
    score: str
    only_positive: bool = False
    threshold: float | None = None
    size: tuple[int, int] = (256, 256)
    fit: Literal["resize", "center"] = "resize"
    field_size: tuple[int, int] | None = None
    empty_share: float = 0.1
    variation: Literal["anatomical", "symmetric"] = "anatomical"
    learning_rate: float = 2e-3
    last_rate: float = 1e-3
    epochs: int = 30
    batch_size: int = 8


WHOLE_VOLUME = Protocol(
    "whole_volume", "every slice of the whole volume counts; the class of the highest probability"
)
"""Ours, and the default: a network has to stay silent where there is nothing, too."""

# Of Qin et al., IEEE TMI 40(12), 2021, and its reference implementation.
REFERENCE = Protocol(
    "reference",
    "only slices that hold the target count; target where its probability exceeds 0.4",
    only_positive=True,
    threshold=0.4,
    size=(384, 384),
    fit="center",
    field_size=(512, 512),
    empty_share=0.0,
    variation="symmetric",
    learning_rate=1e-2,
    last_rate=1e-4,  # to 1e-6
    epochs=30,
    batch_size=16,
)
"""That of the paper, for figures to be set beside its own: one target, in slices that hold it."""

PROTOCOLS = {protocol.name: protocol for protocol in (WHOLE_VOLUME, REFERENCE)}


def target_mask(
    mask: NDArray[np.uint8], target_labels: Sequence[int], ignored_label: int | None = None
) -> NDArray[np.uint8]:
    """Makes one target of some labels, and no class of an ignored one.

    Args:
        mask: Labels, uint8, any shape.
        target_labels: Those that belong to the target; empty where each label is a class.
        ignored_label: A label that says that nobody knows what is there, such as nnU-Net's
            ``ignore``; None where `IGNORE_LABEL` alone does.

    Returns:
        1 in the target, 0 elsewhere, or the labels as they are; `IGNORE_LABEL` stays, and stands
        where the mask has the ignored label.
    """
    if not len(target_labels) and ignored_label is None:
        return mask
    lookup = np.arange(256, dtype=np.uint8)
    if len(target_labels):
        lookup[:] = 0
        lookup[list(target_labels)] = 1
        lookup[IGNORE_LABEL] = IGNORE_LABEL
    if ignored_label is not None:
        lookup[ignored_label] = IGNORE_LABEL
    return lookup[mask]
