"""Losses: pure functions on `keras.ops`, each with a thin serialisable class."""

from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.focal_dice import FocalDice, focal_dice_loss
from tfkd.losses.importance_map import ImportanceMapDistillation, importance_map_loss
from tfkd.losses.prediction_map import PredictionMapDistillation, prediction_map_loss
from tfkd.losses.region_affinity import RegionAffinityDistillation, region_affinity_loss

__all__ = [
    "DistillationLoss",
    "FocalDice",
    "ImportanceMapDistillation",
    "PredictionMapDistillation",
    "RegionAffinityDistillation",
    "focal_dice_loss",
    "importance_map_loss",
    "prediction_map_loss",
    "region_affinity_loss",
]
