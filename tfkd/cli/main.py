"""`tfkd`: the verbs, their help, and one line for every expected error."""

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from tfkd._version import __version__
from tfkd.cli.config import UsageError, add_arguments, read_config
from tfkd.errors import TfkdError, TrainingInterrupted

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
  75 told to stop, and the same command goes on; 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: Words after `tfkd`; those of the process by default.

    Returns:
        Exit status: 0 when done, 1 for an expected error (one line on standard error), 2 for wrong
        usage, 75 when a training was told to stop and can go on (EX_TEMPFAIL, upon which a cluster
        starts it again), 130 when interrupted. What is unexpected, a bug, ends in its traceback; so
        does every error where the environment variable TFKD_TRACEBACK is set.
    """
    # TensorFlow's start-up lines say nothing to someone who segments CT.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    command = given.pop("command")
    verb = importlib.import_module(f"tfkd.cli.{command}")
    try:
        verb.run(read_config(verb.Config, command, given))
    except TrainingInterrupted as error:
        print(f"tfkd {command}: {error}; run the same command to go on", file=sys.stderr)
        return _EX_TEMPFAIL
    except Exception as error:
        if os.environ.get("TFKD_TRACEBACK") or not _is_expected(error):
            raise
        print(f"tfkd {command}: error: {_one_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print(f"\ntfkd {command}: interrupted; run the same command to go on", file=sys.stderr)
        return 130
    return 0


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


def _is_expected(error: Exception) -> bool:
    """Whether the user can do something about it, such as free memory on the GPU."""
    if isinstance(error, ImportError):
        # A module of this package that cannot be imported is a bug and not a set-up.
        return (error.name or "").split(".")[0] != "tfkd"
    return isinstance(error, (TfkdError, ValueError, OSError)) or _is_of_tensorflow(error)


def _is_of_tensorflow(error: object) -> bool:
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(error, tensorflow.errors.OpError)


def _one_line(message: object) -> str:
    """Text without its line breaks: those of Keras and TensorFlow come with paragraphs."""
    lines = str(message).splitlines()
    if _is_of_tensorflow(message):
        # Without the stack of the graph's making, which is indented.
        reason = [line for line in lines if not line.startswith((" ", "\t"))]
        lines = [f"{type(message).__name__}:", *reason]
    return " ".join(line.strip() for line in lines if line.strip())


def _show_warning(message: Warning | str, category: type[Warning], *place: object) -> None:
    """One line, without the place in the code, which tells a user nothing."""
    print(f"tfkd: warning: {_one_line(message)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
