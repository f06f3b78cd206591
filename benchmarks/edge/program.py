"""Times a student in every form: LiteRT files, Keras, ONNX Runtime, PyTorch.

Each candidate runs in a process of its own; they take turns, so that a slow moment of the machine
hits all alike. Files lie in a temporary folder.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.edge.candidates import CANDIDATES
from benchmarks.edge.measure import make_files, measure
from benchmarks.edge.table import facts, markdown, write_table
from tfkd.inference.machine import available_cores

__all__ = ["main"]

_STUDENTS = "networks, with options that are to be true: ENet+shared_slopes"
_EXAMPLE = "example: python -m benchmarks edge --students ENet --sizes 256 --out runs/edge"


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints the tables and writes them if asked to."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds: expected at least 1, received {options.rounds}.")
    if options.quick:
        options.students, options.sizes, options.threads = ["ENet"], [64], [1]
        options.rounds, options.seconds = 1, 0.0
    chosen = [
        name
        for name in CANDIDATES
        if not options.only or any(word in name for word in options.only)
    ]
    about = {**facts(), "load at the start": f"{os.getloadavg()[0]:.1f}"}
    if not chosen:
        parser.error(f"--only: expected a part of {list(CANDIDATES)}, received {options.only}.")
    rows = []
    for student in options.students:
        for size in options.sizes:
            with tempfile.TemporaryDirectory(prefix="tfkd-") as folder:
                where = f"{student}, {size} x {size}"
                _say(f"{where}: files")
                failed = make_files(Path(folder), student, size, chosen)
                for threads in options.threads or sorted({available_cores(), 1}, reverse=True):
                    measured = measure(
                        Path(folder),
                        threads,
                        chosen,
                        rounds=options.rounds,
                        seconds=options.seconds,
                        failed=failed,
                        progress=lambda text, at=f"{where}, {threads} threads": _say(
                            f"{at}: {text}"
                        ),
                    )
                    setting = {"student": student, "size": size, "threads": threads}
                    rows += [{**setting, **row} for row in measured]
                    if options.out:  # what is there is kept if a later one fails
                        write_table(rows, about, options.out)
    _say("")
    print(markdown(rows, about), end="")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks edge",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--students", nargs="+", default=["ENet", "MobileNetV2"], help=_STUDENTS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512], help="pixels")
    parser.add_argument("--threads", nargs="+", type=int, help="by default all cores, and 1")
    parser.add_argument(
        "--only",
        nargs="+",
        help="parts of the names of candidates; the ratios need those with Keras in it",
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each candidate")
    parser.add_argument("--seconds", type=float, default=0.4, help="of a turn")
    parser.add_argument("--out", type=Path, help="folder for table.md, table.csv and rows.json")
    parser.add_argument("--quick", action="store_true", help="once, ENet at 64 x 64, 1 thread")
    return parser


def _say(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    elif text:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
