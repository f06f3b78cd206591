"""What a model file costs on this machine: time, memory, operators; no TensorFlow."""

from tfkd.bench.bench import BenchResult, bench
from tfkd.bench.operator_times import OperatorTime, time_operators
from tfkd.bench.operators import FileOperators, read_operators

__all__ = [
    "BenchResult",
    "FileOperators",
    "OperatorTime",
    "bench",
    "read_operators",
    "time_operators",
]
