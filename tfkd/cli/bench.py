"""`tfkd bench`: what bundles cost on this machine."""

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd.cli.config import check_suffix, config_path, option, write_config
from tfkd.cli.progress import progress_bar
from tfkd.report.numbers import megabytes_text
from tfkd.report.text import columns
from tfkd.volumes import atomic_path

if TYPE_CHECKING:
    from tfkd.bench import BenchResult

SUMMARY = "Measure bundles on this machine: time, memory, cold start; needs no TensorFlow."
EXAMPLE = "tfkd bench student.zip student_float32.tflite --out bench.json"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd bench`."""

    bundles: tuple[Path, ...] = option("bundles: folders, .zip or .tflite files; one or several")
    out: Path | None = option(
        "file of the figures, .json or .csv; none is written when left out", flag="-o", default=None
    )
    threads: int | None = option("threads; all cores when left out", default=None)
    runs: int = option("timed slices", default=100)
    warmup: int = option("slices before them", default=10)
    ct: Path | None = option(
        "CT for the time of a volume, .nii or .nii.gz; made up when left out", default=None
    )
    slices: int = option("slices of the made-up CT", default=64)
    size: int = option("its pixels along a side", default=512)
    operators: bool = option(
        "time each kind of operator, too: every one alone, in a file of its own", default=False
    )


def run(config: Config) -> None:
    """Measures one bundle after the other and prints the table."""
    from tfkd.bench import bench
    from tfkd.inference import Contract, open_bundle

    if config.out is not None:
        check_suffix(config.out, ".json", ".csv")
    # A name that is wrong must not cost the minutes of the bundles before it.
    for path in config.bundles:
        with open_bundle(path) as model:
            Contract.load(model)
    results = []
    for path in config.bundles:
        with progress_bar("bench") as progress:
            result = bench(
                path,
                threads=config.threads,
                runs=config.runs,
                warmup=config.warmup,
                ct=config.ct,
                slices=config.slices,
                size=config.size,
                operators=config.operators,
                progress=progress,
            )
        results.append(result)
    if config.out is not None:
        text = _as_csv(results) if config.out.suffix == ".csv" else _as_json(results)
        with atomic_path(config.out) as temporary:
            temporary.write_text(text, encoding="utf-8")
        write_config(config, "bench", config_path(config.out))
    print(_table(results))
    for result in results:
        if result.operators is not None:
            print(f"\n{_operator_table(result)}")


def _table(results: Sequence["BenchResult"]) -> str:
    first = results[0]
    # A system may take cores away between two bundles.
    counts = sorted({count for one in results for count in one.slices_per_s})
    heading = ["bundle", "format", "MB", "ms", "p95", "CPU ms", *(f"slices/s ×{n}" for n in counts)]
    heading += ["s/volume", "cold s", "RAM MB", "with CT", "litert-benchmark ms"]
    rows = [
        [
            one.name,
            one.quantization,
            megabytes_text(one.size_bytes),
            f"{one.ms_median:.2f}",
            f"{one.ms_p95:.2f}",
            f"{one.cpu_ms:.2f}",
            *(_figure(one.slices_per_s.get(count), 1) for count in counts),
            f"{one.volume_s:.2f}",
            f"{one.cold_start_s:.2f}",
            megabytes_text(one.ram_model_bytes).split(".")[0],
            megabytes_text(one.ram_volume_bytes).split(".")[0],
            _figure(one.litert_benchmark_ms, 2),
        ]
        for one in results
    ]
    return "\n".join(
        [
            columns([heading, *rows]),
            "",
            f"ms: one slice, median and 95th percentile of {first.runs}, {first.threads} threads; "
            "CPU: its processor time, all threads together; slices/s ×N: N threads; volume: "
            f"{' × '.join(map(str, first.volume_shape))}, its file to the mask's; cold: start of "
            "a process to its first mask; RAM: largest resident set of a process that runs "
            "slices, and of one that segments the volume.",
            first.machine,
        ]
    )


def _figure(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def _operator_table(result: "BenchResult") -> str:
    times = result.operators or ()
    total = sum(one.ms or 0.0 for one in times)
    rows = [
        [
            one.name,
            str(one.count),
            "not timed" if one.ms is None else f"{one.ms:.3f}",
            "–" if one.ms is None or not total else f"{one.ms / total:.0%}",
            "–" if one.outside is None else str(one.count - one.outside),
        ]
        for one in times
    ]
    heading = [f"operator of {result.name}", "count", "ms", "share", "in XNNPACK"]
    return (
        columns([heading, *rows])
        + "\n(processor time of each operator alone; what lies between them is not in it)"
    )


def _as_json(results: Sequence["BenchResult"]) -> str:
    rows = [dataclasses.asdict(one) for one in results]
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _as_csv(results: Sequence["BenchResult"]) -> str:
    """One line a bundle; the operators are in the JSON only."""
    lines = [_flat(one) for one in results]
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _flat(result: "BenchResult") -> dict[str, Any]:
    facts = dataclasses.asdict(result)
    del facts["operators"]
    by_threads = facts.pop("slices_per_s")
    for name in ("input_shape", "volume_shape"):
        facts[name] = "x".join(map(str, facts[name]))
    return facts | {f"slices_per_s_{count}": value for count, value in by_threads.items()}
