"""`tfkd preflight`: is this student fit for the device, before it is trained?"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfkd.cli.config import ConfigError, check_suffix, config_path, option, write_config
from tfkd.cli.naming import naming
from tfkd.cli.progress import progress_bar
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.errors import ExportError
from tfkd.models import STUDENTS, TEACHERS
from tfkd.report.numbers import megabytes_text
from tfkd.report.text import columns
from tfkd.volumes import atomic_path

if TYPE_CHECKING:
    import keras

    from tfkd.export import Preflight

SUMMARY = "Say what a student will be on the device, before it is trained."
EXAMPLE = "tfkd preflight ENet --width 0.5 --size 256 256 --classes 3"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd preflight`."""

    student: Path = option(
        f"network, trained or not: a .keras file, or one of {', '.join(STUDENTS + TEACHERS)}"
    )
    width: float | None = option(
        "factor on the channels of a network by name; 1 when left out", default=None
    )
    size: tuple[int, int] | None = option(
        "height and width of its slices, pixels; 256 256 when left out", default=None
    )
    channels: int | None = option("channels of its input; 1 when left out", default=None)
    classes: int | None = option("its classes, background included; 3 when left out", default=None)
    xla: bool = option("look at XLA's backward pass, too; takes up to a minute", default=False)
    threads: int = option("threads for the times", default=1)
    out: Path | None = option(
        "file of all figures, .json; none is written when left out", flag="-o", default=None
    )


def run(config: Config) -> None:
    """Prints the figures and the verdict.

    Raises:
        ExportError: The student cannot be exported.
    """
    if config.out is not None:
        check_suffix(config.out, ".json")
    start_tensorflow()
    from tfkd.export import preflight

    student = _student(config)
    with naming(config.student), progress_bar("preflight") as progress:
        result = preflight(student, xla=config.xla, threads=config.threads, progress=progress)
    if config.out is not None:
        facts = dataclasses.asdict(result) | {"ok": result.ok}
        with atomic_path(config.out) as temporary:
            text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        write_config(config, "preflight", config_path(config.out))
    print(_page(result))
    if not result.ok:
        raise ExportError(f"{config.student}: cannot be exported: {' '.join(result.problems)}")


def _student(config: Config) -> "keras.Model":
    from tfkd.models import build
    from tfkd.training import load_network

    given = [
        name
        for name in ("width", "size", "channels", "classes")
        if getattr(config, name) is not None
    ]
    if config.student.suffix == ".keras":
        if given:
            raise ConfigError(
                f"{config.student}: expected no {', '.join(given)} beside a file, which has its "
                "own. Leave them out, or give the name of a network."
            )
        return load_network(config.student)
    height, width = config.size or (256, 256)
    factor = 1.0 if config.width is None else config.width
    shape = (height, width, 1 if config.channels is None else config.channels)
    classes = 3 if config.classes is None else config.classes
    return build(str(config.student), shape, classes, factor)


def _page(result: "Preflight") -> str:
    height, width, channels = result.input_shape
    macs = "unknown" if result.macs is None else f"{result.macs / 1e6:.1f} M"
    lines = [
        f"{result.name}: {height} × {width} × {channels}, {result.classes} classes, "
        f"{result.parameters} parameters, {macs} multiply-accumulates a slice",
        "",
    ]
    if result.files:
        lines += [_file_table(result), "", _operator_table(result), ""]
    for name, refusal in result.xla.items():
        lines.append(f"XLA, {name}: {'compiles' if refusal is None else 'does not compile'}")
    lines += [f"warning: {text}" for text in result.warnings]
    formats = " and ".join(result.files)
    lines.append(
        f"verdict: can be exported as {formats}" if result.ok else "verdict: CANNOT be exported"
    )
    return "\n".join(lines)


def _file_table(result: "Preflight") -> str:
    heading = ["file", "MB", "ms", "CPU ms", "arena ≥ MB", "RAM added MB"]
    rows = [
        [
            one.quantization,
            megabytes_text(one.size_bytes),
            f"{one.ms:.2f}",
            f"{one.cpu_ms:.2f}",
            megabytes_text(one.live_bytes),
            megabytes_text(one.ram_bytes),
        ]
        for one in result.files.values()
    ]
    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    note = f"(ms: one slice, untrained, {threads}; RAM: of a fresh process)"
    return columns([heading, *rows]) + f"\n{note}"


def _operator_table(result: "Preflight") -> str:
    names = dict.fromkeys(name for one in result.files.values() for name in one.operators)
    heading = ["operator"]
    for quantization in result.files:
        heading += [quantization, "in XNNPACK"]
    rows = []
    for name in names:
        row = [name]
        for one in result.files.values():
            count = one.operators.get(name, 0)
            inside = "–" if one.outside is None else str(count - one.outside.get(name, 0))
            row += [str(count), inside]
        rows.append(row)
    return columns([heading, *rows])
