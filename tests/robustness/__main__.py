"""python -m tests.robustness --minutes 30

Spoils files of every kind that `tfkd` reads, and reads them. Each mutation must end in a right
result or in an expected error of one line: never in another exception, a signal, a hang, much
memory, or other voxels without a word. Failures are printed with the seed that makes them again.

  python -m tests.robustness --minutes 30 --seed 100000
  python -m tests.robustness --replay 100417
  python -m tests.robustness --count 500 --only nifti dicom
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.robustness.runner import TARGETS, run


def main() -> int:
    """Runs until the time is over; 1 if a mutation failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.robustness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, help="how long; 1 when --count is not given")
    parser.add_argument("--count", type=int, help="how many mutations")
    parser.add_argument("--seed", type=int, default=0, help="of the first mutation (default: 0)")
    parser.add_argument("--only", nargs="+", choices=list(TARGETS), default=[], help="targets")
    parser.add_argument("--replay", type=int, metavar="SEED", help="make one mutation again")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay is not None:
        (outcome,) = run([options.replay], options.only)
        print(outcome)
        return int(outcome.outcome == "FAILED")
    if options.worker is not None:
        return _work(options)
    return _supervise(options)


def _work(options: argparse.Namespace) -> int:
    """Prints an outcome a line; the seed under way stands in a file, should the process die."""
    end = time.monotonic() + 60 * (options.minutes or 1e9)
    seeds = itertools.count(options.seed)
    if options.count is not None:
        seeds = iter(range(options.seed, options.seed + options.count))
    for outcome in run(seeds, options.only, lambda seed: options.worker.write_text(str(seed))):
        fields = (outcome.seed, outcome.target, outcome.outcome, ascii(outcome.description))
        print(*fields, sep="\t", flush=True)
        if time.monotonic() > end:
            break
    return 0


def _supervise(options: argparse.Namespace) -> int:
    """Runs workers, one after the other where one crashes."""
    minutes = options.minutes or (None if options.count else 1.0)
    only = f" --only {' '.join(options.only)}" if options.only else ""
    start, first, counts, failures = time.monotonic(), options.seed, Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        mark = Path(folder, "seed")
        while True:
            words = [sys.executable, "-m", "tests.robustness", "--worker", str(mark)]
            words += ["--seed", str(first)]
            if minutes is not None:
                words += ["--minutes", str(minutes - (time.monotonic() - start) / 60)]
            if options.count is not None:
                words += ["--count", str(options.seed + options.count - first)]
            words += ["--only", *options.only] if options.only else []
            with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as worker:
                for line in worker.stdout or ():
                    fields = line.rstrip("\n").split("\t")
                    if len(fields) != 4:
                        continue
                    counts[fields[1], fields[2]] += 1
                    if fields[2] == "FAILED":
                        failures.append(f"--replay {fields[0]}{only}, {fields[1]}: {fields[3]}")
                        print(failures[-1], flush=True)
                    if sum(counts.values()) % 500 == 0:
                        seconds = time.monotonic() - start
                        rate = sum(counts.values()) / seconds
                        print(f"{seconds:.0f} s: {sum(counts.values())}, {rate:.1f} a second")
            if worker.returncode == 0:
                break
            died = int(mark.read_text())
            failures.append(f"seed {died}: the process died, status {worker.returncode}")
            print(failures[-1], flush=True)
            first = died + 1
    outcomes = sorted({outcome for _, outcome in counts})
    print(f"\n{'target':<14}" + "".join(f"{outcome:>14}" for outcome in outcomes))
    for target in TARGETS:
        row = "".join(f"{counts[target, outcome]:>14}" for outcome in outcomes)
        print(f"{target:<14}{row}")
    print(f"{sum(counts.values())} mutations, {len(failures)} failures")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
