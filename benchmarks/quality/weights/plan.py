"""How much each method's losses should weigh, found on patients that no other study tests on.

Published weights belong to trainings of hundreds of epochs. Here each method has the chance of
others: the rivals' weights go down by ten, ours up, and a control has the labels in the teacher's
place.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from label_overlap import LabelOverlap

from tfkd.comparison import Plan
from tfkd.losses import OverlapDistillation, PredictionMapDistillation, RegionAffinityDistillation

TAPS = ("tap_low", "tap_high")


def weighted(
    overlap: float = 0.0, regions: float = 0.0, prediction_map: float = 0.0, balanced: bool = False
) -> dict[str, Any]:
    """A method of these losses; a weight of 0 leaves one out."""
    losses: list[dict[str, Any]] = [
        {"loss": OverlapDistillation, "weight": overlap},
        {
            "loss": PredictionMapDistillation,
            "weight": prediction_map,
            "temperature": 1.0,
            "balanced": balanced,
        },
        *(
            {"loss": RegionAffinityDistillation, "weight": regions, "teacher_layer_name": tap}
            for tap in TAPS
        ),
    ]
    return {"losses": [loss for loss in losses if loss["weight"]]}


plan = Plan(
    records="../../../runs/records/abdomen128_dev_u",
    seeds=(0, 1, 2),
    export="none",
    training={"epochs": 8, "steps_per_epoch": 100, "batch_size": 8, "dice_squares": True},
    teachers={
        "raunet": {"network": "RAUNet", "width": 0.5, "epochs": 30, "learning_rate": 3e-3},
    },
    students={"espnet": {"network": "ESPNet", "width": 0.25, "learning_rate": 5e-3}},
    methods={
        "overlap_2_regions_2": weighted(2.0, 2.0),
        "overlap_2_regions_2_unlabelled": {**weighted(2.0, 2.0), "unlabelled_share": 0.5},
        "overlap_1_unlabelled": {**weighted(1.0), "unlabelled_share": 0.5},
        "overlap_1_unlabelled_75": {**weighted(1.0), "unlabelled_share": 0.75},
        "overlap_2_unlabelled_75": {**weighted(2.0), "unlabelled_share": 0.75},
        "overlap_2_regions_0.3_unlabelled_75": {**weighted(2.0, 0.3), "unlabelled_share": 0.75},
        "overlap_4_regions_1_unlabelled_75": {**weighted(4.0, 1.0), "unlabelled_share": 0.75},
        "labels_2": {"losses": [{"loss": LabelOverlap, "weight": 2.0}]},
        "overlap_2": weighted(2.0),
        "regions_2": weighted(regions=2.0),
        "map_0.1": weighted(prediction_map=0.1),
        "kd_0.1": {"preset": "kd", "weight": 0.1},
        "cwd_0.3": {"preset": "cwd", "weight": 0.3},
    },
)
