"""A model segments whole volumes, and its masks are compared with the truth; no TensorFlow.

`evaluate` scores any `Volume -> Volume` callable, `VolumeScorer` one model after the other on the
same volumes.

Empty masks: as in `tfkd.metrics`. By default a case in which neither the truth nor the prediction
holds a class is left out of that class's mean.
"""

from tfkd.evaluation.cases import CaseFilesLike, CasePaths, read_case
from tfkd.evaluation.evaluate import evaluate
from tfkd.evaluation.evaluation import ROLES, Evaluation, ModelInfo, Role
from tfkd.evaluation.paired_test import PairedTest, paired_test
from tfkd.evaluation.scorer import CaseDice, VolumeScorer
from tfkd.evaluation.timing import time_per_slice_ms

__all__ = [
    "ROLES",
    "CaseDice",
    "CaseFilesLike",
    "CasePaths",
    "Evaluation",
    "ModelInfo",
    "PairedTest",
    "Role",
    "VolumeScorer",
    "evaluate",
    "paired_test",
    "read_case",
    "time_per_slice_ms",
]
