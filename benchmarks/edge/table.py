"""The rows of the edge benchmark as Markdown, CSV and JSON."""

import csv
import io
import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tfkd import __version__
from tfkd.inference.machine import machine_words
from tfkd.volumes import atomic_path

__all__ = ["facts", "markdown", "write_table"]

_PACKAGES = ("tensorflow", "keras", "ai-edge-litert", "onnxruntime", "torch", "numpy")

# Title, key and format of each column.
_COLUMNS = (
    ("", "candidate", "{}"),
    ("ms", "ms_median", "{:.2f}"),
    ("95 %", "ms_p95", "{:.2f}"),
    ("processor ms", "cpu_ms", "{:.2f}"),
    ("× compiled Keras", "speedup", "{:.2f}"),
    ("MB", "size_bytes", "{:.2f}"),
    ("of Keras's", "size_ratio", "{:.0%}"),
    ("peak MiB", "peak_mib", "{:.0f}"),
    ("same labels", "agreement", "{:.2%}"),
)
_CSV = ("student", "size", "threads", *(key for _, key, _ in _COLUMNS), "runs", "error")


def facts() -> dict[str, str]:
    """Machine and versions, and nothing that names a host."""
    found = {"machine": machine_words(), "tfkd": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def markdown(rows: Sequence[dict[str, Any]], about: dict[str, str]) -> str:
    """One table for each student, size and number of threads."""
    said = ", ".join(f"{key} {value}" for key, value in about.items() if key != "machine")
    parts = [
        f"{about['machine']}; {said}.",
        "Batch 1. `×` is the speed of the faster of the two compiled Keras models; sizes are of "
        "the file that is shipped; the peak is that of a process that does nothing else.",
    ]
    groups = dict.fromkeys((row["student"], row["size"], row["threads"]) for row in rows)
    for group in groups:
        student, size, threads = group
        of_group = [row for row in rows if (row["student"], row["size"], row["threads"]) == group]
        parts.append(f"## {student}, {size} × {size}, {threads} thread{'s' * (threads > 1)}")
        parts.append("\n".join(_lines(of_group)))
    return "\n\n".join(parts) + "\n"


def write_table(rows: Sequence[dict[str, Any]], about: dict[str, str], folder: Path) -> list[Path]:
    """Writes `table.md`, `table.csv` and `rows.json` and returns their paths."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    contents = {
        "table.md": markdown(rows, about),
        "table.csv": text.getvalue(),
        "rows.json": json.dumps({"about": about, "rows": list(rows)}, indent=1) + "\n",
    }
    for name, content in contents.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(content, "utf-8")
    return [folder / name for name in contents]


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| " + " | ".join(title for title, _, _ in _COLUMNS) + " |",
        "| --- |" + " ---: |" * (len(_COLUMNS) - 1),
    ]
    for row in rows:
        if "error" in row:
            error = row["error"].replace("|", "/")
            cells = [row["candidate"], f"did not run: {error}", *[""] * (len(_COLUMNS) - 2)]
        else:
            cells = [_cell(row, key, form) for _, key, form in _COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cell(row: dict[str, Any], key: str, form: str) -> str:
    value = row[key]
    if value is None:
        return "–"
    return form.format(value / 1e6 if key == "size_bytes" else value)
