"""Losses: pure functions on `keras.ops`, each with a thin serialisable class."""

from tfkd.losses.attention_transfer import AttentionTransfer, attention_transfer_loss
from tfkd.losses.channel_wise import ChannelWiseDistillation, channel_wise_loss
from tfkd.losses.correlation import CorrelationDistillation, correlation_loss
from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.focal_dice import FocalDice, focal_dice_loss
from tfkd.losses.hint import HintDistillation, hint_loss
from tfkd.losses.importance_map import ImportanceMapDistillation, importance_map_loss
from tfkd.losses.overlap import OverlapDistillation, overlap_loss
from tfkd.losses.pairwise_affinity import PairwiseAffinityDistillation, pairwise_affinity_loss
from tfkd.losses.prediction_map import PredictionMapDistillation, prediction_map_loss
from tfkd.losses.region_affinity import RegionAffinityDistillation, region_affinity_loss
from tfkd.losses.similarity import SimilarityPreservingDistillation, similarity_preserving_loss

__all__ = [
    "AttentionTransfer",
    "ChannelWiseDistillation",
    "CorrelationDistillation",
    "DistillationLoss",
    "FocalDice",
    "HintDistillation",
    "ImportanceMapDistillation",
    "OverlapDistillation",
    "PairwiseAffinityDistillation",
    "PredictionMapDistillation",
    "RegionAffinityDistillation",
    "SimilarityPreservingDistillation",
    "attention_transfer_loss",
    "channel_wise_loss",
    "correlation_loss",
    "focal_dice_loss",
    "hint_loss",
    "importance_map_loss",
    "overlap_loss",
    "pairwise_affinity_loss",
    "prediction_map_loss",
    "region_affinity_loss",
    "similarity_preserving_loss",
]
