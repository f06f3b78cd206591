"""`tfkd` with two logical CPUs in place of two GPUs, or killed at the begin of an epoch.

Usage: strategy_main.py CPUS KILL_AT_EPOCH WORDS…, in a process of its own; −1: not killed.
"""

import os
import signal
import sys
from typing import Any

from tfkd.cli.main import main


def split_cpu(count: int) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, parts)


def kill_at(wanted: int) -> None:
    from tfkd.callbacks import RunCheckpoint

    begin = RunCheckpoint.on_epoch_begin

    def on_epoch_begin(self: RunCheckpoint, epoch: int, logs: Any = None) -> None:
        if epoch == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        begin(self, epoch, logs)

    RunCheckpoint.on_epoch_begin = on_epoch_begin


if __name__ == "__main__":
    if int(sys.argv[1]) > 1:
        split_cpu(int(sys.argv[1]))
    if int(sys.argv[2]) >= 0:
        kill_at(int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
