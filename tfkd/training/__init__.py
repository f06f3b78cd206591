"""How a network of this library is trained: optimizer, schedule, loss, and what is kept of it.

The command line and the comparison of methods train by the same code: a plain student of equal
settings and seed has equal weights from both. Keras is imported when a function is called.
"""

from tfkd.models import load_network
from tfkd.training.networks import build_network, parameter_count
from tfkd.training.ramp import ramped_weights
from tfkd.training.recipe import compile_for_training, finished_network

__all__ = [
    "build_network",
    "compile_for_training",
    "finished_network",
    "load_network",
    "parameter_count",
    "ramped_weights",
]
