"""Methods as `(losses, weights)`, ready for `Distiller(teacher, student, *method())`.

All but `overlap_kd`, which is ours, have the weights of their publications. These were found with
other data and other losses on the labels, so a fair comparison may have to tune them.
"""

from collections.abc import Sequence
from typing import Literal

from tfkd.losses import (
    AttentionTransfer,
    ChannelWiseDistillation,
    CorrelationDistillation,
    DistillationLoss,
    HintDistillation,
    ImportanceMapDistillation,
    OverlapDistillation,
    PairwiseAffinityDistillation,
    PredictionMapDistillation,
    RegionAffinityDistillation,
    SimilarityPreservingDistillation,
)

__all__ = [
    "attention_transfer",
    "cwd",
    "dist",
    "emkd",
    "fitnets",
    "kd",
    "overlap_kd",
    "similarity",
    "skd",
    "tfkd",
]

Method = tuple[list[DistillationLoss], list[float]]
"""Losses and their weights, in the order in which `Distiller` takes them."""


def emkd(
    prediction_weight: float = 0.1,
    importance_weight: float = 0.9,
    region_weight: float = 0.9,
    *,
    balanced: bool = False,
    variant: Literal["regions", "paper"] = "regions",
    taps: Sequence[str] = ("tap_low", "tap_high"),
) -> Method:
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


def kd(weight: float = 1.0, *, temperature: float = 4.0) -> Method:
    """Logit distillation: the softened class probabilities, pixel by pixel.

    Args:
        weight: Weight of the loss. The publication gives none for segmentation.
        temperature: T; the publication uses values from 1 to 20.

    References:
        Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531.
    """
    return [PredictionMapDistillation(temperature)], [weight]


def attention_transfer(
    weight: float = 1000.0, *, taps: Sequence[str] = ("tap_low", "tap_high")
) -> Method:
    """Attention transfer: where the networks look, at several layers.

    Args:
        weight: Weight of each layer's loss.
        taps: Layers at which features are compared, by the same name in both networks.

    References:
        Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017, arXiv:1612.03928.
    """
    return [AttentionTransfer(tap) for tap in taps], [weight] * len(taps)


def fitnets(weight: float = 100.0, *, taps: Sequence[str] = ("tap_high",)) -> Method:
    """FitNets hints: the teacher's features themselves, through a trained 1×1 convolution.

    The publication trains the hint first and the rest afterwards; here both go together, as later
    comparisons do it.

    Args:
        weight: Weight of each layer's loss; 100 as in Tian et al., "Contrastive Representation
            Distillation", ICLR 2020, where the hint is trained along.
        taps: Layers at which features are compared, by the same name in both networks.

    References:
        Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, arXiv:1412.6550.
    """
    return [HintDistillation(tap) for tap in taps], [weight] * len(taps)


def similarity(weight: float = 3000.0, *, taps: Sequence[str] = ("tap_high",)) -> Method:
    """Similarity preserving distillation: which slices of a batch are alike.

    Args:
        weight: Weight of each layer's loss.
        taps: Layers at which features are compared, by the same name in both networks.

    References:
        Tung and Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, arXiv:1907.09682.
    """
    return [SimilarityPreservingDistillation(tap) for tap in taps], [weight] * len(taps)


def cwd(weight: float = 3.0, *, temperature: float = 4.0) -> Method:
    """Channel-wise distillation of the logits.

    Args:
        weight: Weight of the loss; 3 for logits.
        temperature: T.

    References:
        Shu et al., "Channel-Wise Knowledge Distillation for Dense Prediction", ICCV 2021,
        arXiv:2011.13256.
    """
    return [ChannelWiseDistillation(temperature=temperature)], [weight]


def skd(
    pixel_weight: float = 10.0,
    pair_weight: float = 10.0,
    *,
    taps: Sequence[str] = ("tap_high",),
) -> Method:
    """Structured distillation: pixel-wise probabilities and pairwise affinities.

    Without the publication's third part, an adversarial loss, which needs a network of its own.

    Args:
        pixel_weight: Weight of the probabilities' divergence at temperature 1.
        pair_weight: Weight of the affinities' difference, for each layer.
        taps: Layers at which features are compared, by the same name in both networks.

    References:
        Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019,
        arXiv:1903.04197.
    """
    losses: list[DistillationLoss] = [PredictionMapDistillation(temperature=1.0)]
    losses += [PairwiseAffinityDistillation(tap) for tap in taps]
    return losses, [pixel_weight] + [pair_weight] * len(taps)


def dist(weight: float = 1.0, *, temperature: float = 1.0) -> Method:
    """DIST: correlations between and within the classes.

    Args:
        weight: Weight of the loss, whose two parts weigh the same.
        temperature: T.

    References:
        Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022,
        arXiv:2205.10536.
    """
    return [CorrelationDistillation(temperature=temperature)], [weight]


def overlap_kd(overlap_weight: float = 3.0, prediction_weight: float = 3.0) -> Method:
    """Ours: overlap with the teacher's regions, and divergence from its probabilities.

    What soft Dice and cross-entropy are to labels, with the teacher's probabilities in their place:
    the first gives small organs the weight of large ones, the second says how sure to be. It needs
    no features, so any two networks of equal classes and output size will do. The measurements, and
    those by which region affinity was left out, are in `benchmarks/quality`.

    Args:
        overlap_weight: Weight of overlap distillation.
        prediction_weight: Weight of prediction map distillation at temperature 1.

    References:
        Soft Dice as in Milletari et al., "V-Net", 3DV 2016, arXiv:1606.04797, see
        `tfkd.losses.overlap_loss`; the divergence as in Hinton et al., "Distilling the Knowledge in
        a Neural Network", 2015, arXiv:1503.02531.
    """
    losses: list[DistillationLoss] = [OverlapDistillation(), PredictionMapDistillation(1.0)]
    return losses, [overlap_weight, prediction_weight]


tfkd = overlap_kd
"""The earlier name of `overlap_kd`, for one release."""
