"""Keras callbacks for `fit`: going on after a kill, the best student, averaged weights, images.

They are for the TensorFlow backend; on JAX, `fit` does not keep the variables up to date.
"""

from tfkd.callbacks.average_weights import AverageWeights, averaged_weights
from tfkd.callbacks.best_student import BestStudent
from tfkd.callbacks.fit_resumable import ResumableData, fit_resumable
from tfkd.callbacks.history_file import HistoryFile
from tfkd.callbacks.resumable import ResumableCallback
from tfkd.callbacks.run_checkpoint import Position, RunCheckpoint
from tfkd.callbacks.slice_images import SliceImages, telling_slices
from tfkd.callbacks.tensorboard import require_tensorboard
from tfkd.models import save_network

__all__ = [
    "AverageWeights",
    "BestStudent",
    "HistoryFile",
    "Position",
    "ResumableCallback",
    "ResumableData",
    "RunCheckpoint",
    "SliceImages",
    "averaged_weights",
    "fit_resumable",
    "require_tensorboard",
    "save_network",
    "telling_slices",
]
