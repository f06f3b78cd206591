"""`tfkd predict`, and what it took: `python -m benchmarks.edge.predict_process ARGUMENTS`.

Its last line is JSON: "inference_s", seconds in which the network ran, "first_at", seconds since
the epoch when it began to, and "peak_mib".
"""

import json
import sys
import time

import numpy as np

from benchmarks.peak import own_peak_mib
from tfkd.cli.main import main as tfkd_main
from tfkd.inference.runtime import LiteRTModel


def main(arguments: list[str]) -> None:
    """Runs the command with a clock around the network."""
    seconds: list[float] = []
    first_at: list[float] = []
    run = LiteRTModel.__call__

    def timed(model: LiteRTModel, images: np.ndarray) -> np.ndarray:
        first_at[:] = first_at or [time.time()]
        start = time.perf_counter()
        logits = run(model, images)
        seconds.append(time.perf_counter() - start)
        return logits

    LiteRTModel.__call__ = timed  # type: ignore[method-assign]
    status = tfkd_main(["predict", *arguments])
    if status:
        sys.exit(status)
    found = {
        "inference_s": sum(seconds),
        "first_at": first_at[0],
        "peak_mib": own_peak_mib(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
