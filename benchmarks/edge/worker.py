"""One candidate in a process of its own: `python -m benchmarks.edge.worker JSON`.

It says that it is ready, then answers each line it is sent: seconds, for how long to run slices;
or "end", for what it needed and which labels it gave.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.edge import COMPARED
from benchmarks.edge.candidates import CANDIDATES, Run
from benchmarks.edge.without_amx import refuse_amx
from benchmarks.peak import own_peak_mib

_LEAST_RUNS = 3


def main(text: str) -> None:
    """Serves one benchmark.

    Args:
        text: JSON of the candidate's name as "candidate", "folder" and "threads".
    """
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries talk; the answers alone go to the caller

    def answer(value: dict[str, Any]) -> None:
        said.write(json.dumps(value) + "\n")
        said.flush()

    request = json.loads(text)
    folder = Path(request["folder"])
    images = np.load(folder / COMPARED)
    candidate = CANDIDATES[request["candidate"]]
    if candidate.without_amx:
        refuse_amx()
    run = candidate.load(folder, request["threads"])
    labels = [np.asarray(run(image[None])).argmax(-1).astype(np.uint8) for image in images]
    answer({})
    for line in sys.stdin:
        if line.strip() == "end":
            break
        answer(_timed(run, images[:1], float(line)))
    np.save(folder / f"{request['labels']}.npy", np.concatenate(labels))
    answer({"peak_mib": own_peak_mib()})


def _timed(run: Run, image: np.ndarray, seconds: float) -> dict[str, Any]:
    """Runs a slice for so long, and a few times at least; once before, after the pause."""
    run(image)
    times = []
    work, end = time.process_time(), time.perf_counter() + seconds
    while len(times) < _LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        run(image)
        times.append(1000 * (time.perf_counter() - start))
    return {"ms": times, "cpu_ms": 1000 * (time.process_time() - work)}


if __name__ == "__main__":
    main(sys.argv[1])
