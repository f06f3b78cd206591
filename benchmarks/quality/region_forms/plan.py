"""Forms of the region loss against each other, each as the only distillation loss of a student.

Phantoms, because differences of a point need many patients; what is chosen here is tested on CT.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from variants import ClassTemperature, RegionVariant

from tfkd.comparison import Plan

TAPS = ("tap_low", "tap_high")


def form(*layers: str | tuple[str, str], **settings: Any) -> dict[str, Any]:
    """A method: the region loss at some layers, (teacher's, student's) where the names differ."""
    pairs = [(one, one) if isinstance(one, str) else one for one in layers or TAPS]
    return {
        "losses": [
            {
                "loss": RegionVariant,
                "weight": 2.0,
                "teacher_layer_name": teacher,
                "student_layer_name": student,
                **settings,
            }
            for teacher, student in pairs
        ]
    }


PAPER = {"masks": "nearest", "centering": "none", "pairs": "background"}

plan = Plan(
    records="../../../runs/records/phantoms96",
    seeds=(0, 1, 2),
    export="none",
    training={"epochs": 8, "steps_per_epoch": 100, "batch_size": 8, "dice_squares": True},
    teachers={
        "raunet": {"network": "RAUNet", "width": 0.5, "epochs": 30, "learning_rate": 3e-3},
    },
    students={"espnet": {"network": "ESPNet", "width": 0.25, "learning_rate": 5e-3}},
    methods={
        # One step from the published form to the default one after the other ...
        "paper": form(**PAPER),
        "soft_masks": form(**{**PAPER, "masks": "area"}),
        "all_pairs": form(masks="area", centering="none", pairs="all"),
        "centred_by_image": form(),
        "centred_by_batch": form(centering="batch"),
        # ... and one idea each on top of it.
        "boundary_ring": form(ring=3),
        "small_first": form(size_power=0.5),
        "decoder_too": form(*TAPS, ("up2_out_relu", "up2_prelu")),
        "warm_up": {**form(), "ramp_epochs": 4},
        "class_temperature": {"losses": [{"loss": ClassTemperature, "weight": 0.1}]},
    },
)
