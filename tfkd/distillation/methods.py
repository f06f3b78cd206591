"""Published methods as `(losses, weights)`, ready for `Distiller(teacher, student, *method())`."""

from collections.abc import Sequence
from typing import Literal

from tfkd.losses import (
    DistillationLoss,
    ImportanceMapDistillation,
    PredictionMapDistillation,
    RegionAffinityDistillation,
)

__all__ = ["emkd"]


def emkd(
    prediction_weight: float = 0.1,
    importance_weight: float = 0.9,
    region_weight: float = 0.9,
    *,
    balanced: bool = False,
    variant: Literal["regions", "paper"] = "regions",
    taps: Sequence[str] = ("tap_low", "tap_high"),
) -> tuple[list[DistillationLoss], list[float]]:
    """Prediction map, importance map and region affinity distillation, with the paper's weights.

    Total loss = compiled loss + α · PMD + β₁ · Σ IMD + β₂ · Σ RAD, the sums running over the taps.

    Args:
        prediction_weight: α of prediction map distillation.
        importance_weight: β₁ of importance map distillation, for each tap.
        region_weight: β₂ of region affinity distillation, for each tap.
        balanced: Whether the prediction map loss gives every region of an image the same weight,
            instead of every pixel; see `tfkd.losses.prediction_map_loss`.
        variant: Form of the region loss: `"paper"` for the published one, two regions per image;
            `"regions"` for one region per class. See `tfkd.losses.region_affinity_loss`.
        taps: Layers at which features are compared, by the same name in both networks.

    Returns:
        Losses and their weights, in the order in which `Distiller` takes them.

    References:
        Qin et al., "Efficient Medical Image Segmentation Based on Knowledge Distillation",
        IEEE TMI 40(12), 2021, arXiv:2108.09987.
    """
    losses: list[DistillationLoss] = [PredictionMapDistillation(balanced=balanced)]
    losses += [ImportanceMapDistillation(tap) for tap in taps]
    losses += [RegionAffinityDistillation(tap, variant=variant) for tap in taps]
    weights = [prediction_weight]
    weights += [importance_weight] * len(taps) + [region_weight] * len(taps)
    return losses, weights
