"""`tfkd`: the verbs, their help, and one line for every error."""

import argparse
import contextlib
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence

from tfkd._version import __version__
from tfkd.cli.config import UsageError, add_arguments, read_config
from tfkd.cli.stopping import ToldToStop, raising_on
from tfkd.errors import TrainingInterrupted
from tfkd.failures import explain, one_line

__all__ = ["main"]

VERBS = (
    "prepare",
    "preflight",
    "train",
    "distill",
    "evaluate",
    "export",
    "bundle",
    "check",
    "bench",
    "predict",
    "report",
    "compare",
    "demo",
)

_EX_TEMPFAIL = 75  # of sysexits.h; os.EX_TEMPFAIL is not there on Windows

_EPILOG = """\
the whole way, on made-up patients:
  tfkd demo --out runs/demo

step by step:
  tfkd prepare data/lits17 records/lits --size 256 256
  tfkd train records/lits runs/teacher --network RAUNet
  tfkd distill records/lits runs/student --teacher runs/teacher/model.keras --network ENet
  tfkd export runs/student/model.keras student.tflite --records records/lits --quantization int8
  tfkd predict student.tflite ct.nii.gz -o mask.nii.gz
"""

_STATUS = """\
exit status:
  0 done; 1 an error, also if only some of several inputs failed; 2 wrong usage;
  75 told to stop, and the same command goes on; 130 interrupted;
  141 nobody reads the output any more
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: Words after `tfkd`; those of the process by default.

    Returns:
        Exit status: 0 when done, 1 for an error (one line on standard error), 2 for wrong usage, 75
        when it was told to stop, by SIGTERM, and can go on (EX_TEMPFAIL, upon which a cluster
        starts it again), 130 when interrupted, 141 when nobody reads standard output any more. The
        traceback of an unexpected error, a bug, goes to a log file, see `tfkd.failures.explain`.
        Where the environment variable TFKD_TRACEBACK is set, every error is raised instead.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    # TensorFlow's start-up lines say nothing to someone who segments CT.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _show_any_name()
    warnings.showwarning = _OneLineWarnings()  # type: ignore[assignment]
    command = next((word for word in words if word in VERBS), "")
    try:
        with raising_on([signal.SIGTERM], ToldToStop()):
            _run(words)
    except ToldToStop:
        _say(command, "told to stop; run the same command to go on")
        return _EX_TEMPFAIL
    except TrainingInterrupted as error:
        _say(command, f"{one_line(error)}; run the same command to go on")
        return _EX_TEMPFAIL
    except KeyboardInterrupt:
        _say(command, "interrupted; run the same command to go on", before="\n")
        return 128 + 2
    except Exception as error:
        if os.environ.get("TFKD_TRACEBACK"):
            raise
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return 128 + 13
        _say(command, f"error: {explain(error, command or 'start', words)}")
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _run(words: Sequence[str]) -> None:
    try:
        given = vars(_parser().parse_args(words))
    finally:
        sys.stdout.flush()  # what --help says
    command = given.pop("command")
    verb = importlib.import_module(f"tfkd.cli.{command}")
    verb.run(read_config(verb.Config, command, given))
    sys.stdout.flush()


def _say(command: str, text: str, before: str = "") -> None:
    with contextlib.suppress(OSError):  # nobody may be there to read
        print(f"{before}{f'tfkd {command}'.strip()}: {text}", file=sys.stderr, flush=True)


def _show_any_name() -> None:
    """A file name that is not valid text must not end a command in an error when it is shown."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nobody_reads() -> bool:
    """Whether an output is closed at its other end, as by `tfkd ... | head`."""
    closed = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            # What is left unwritten would be an error once more when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            closed = True
    return closed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfkd",
        description="Distil a CT segmentation network into a small one, and prove it is good.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tfkd {__version__}")
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in VERBS:
        module = importlib.import_module(f"tfkd.cli.{name}")
        verb = verbs.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog=f"example:\n  {module.EXAMPLE}\n\n{_STATUS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_arguments(verb, module.Config)
    return parser


class _OneLineWarnings:
    """Shows each warning in one line, once, without the place in the code."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def __call__(self, message: Warning | str, category: type[Warning], *place: object) -> None:
        said = one_line(message)
        if said not in self._shown:
            self._shown.add(said)
            with contextlib.suppress(OSError):
                print(f"tfkd: warning: {said}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
