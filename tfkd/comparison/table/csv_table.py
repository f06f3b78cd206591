"""The table as CSV, with numbers as they are."""

import csv
import io
import math
from typing import Any

from tfkd.comparison.table.table import Line, Table

__all__ = ["csv_table"]


def csv_table(table: Table) -> str:
    """Writes the table as CSV: one line for each row, blank where there is no number.

    Args:
        table: The table. Dice in [0, 1], points in hundredths, times in milliseconds.
    """
    text = io.StringIO()
    rows = [_row(line, table.label_names) for line in table.lines]
    columns = list(rows[0]) if rows else []
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(line: Line, label_names: tuple[str, ...]) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    for name, mean, sd in zip(label_names, line.label_means, line.label_sds, strict=True):
        labels |= {f"dice {name}": _number(mean), f"dice {name} sd": _number(sd)}
    return {
        "kind": line.kind,
        "network": line.network,
        "method": line.method,
        "teachers": line.teachers,
        "seeds done": len(line.seeds_done),
        "seeds": len(line.seeds),
        "dice": _number(line.mean),
        "dice sd": _number(line.sd),
        **labels,
        "points": _number(line.points),
        "gap closed": _number(line.gap_closed),
        "gap note": line.gap_note,
        "test n": "" if line.test is None else line.test.n,
        "test p": "" if line.test is None else _number(line.test.p),
        "is best": int(line.is_best),
        "test to best n": "" if line.test_to_best is None else line.test_to_best.n,
        "test to best p": "" if line.test_to_best is None else _number(line.test_to_best.p),
        "parameters": _number(line.parameters),
        "epochs": _number(line.epochs),
        "steps": _number(line.steps),
        "ms per step": _number(line.ms_per_step),
        "int8 bytes": _number(line.int8_bytes),
        "int8 ms per slice": _number(line.int8_ms),
        "int8 threads": _number(line.int8_threads),
        "int8 points": _number(line.int8_points),
        "int8 agreement": _number(line.int8_agreement),
        "int8 error": line.int8_error or "",
    }


def _number(value: float | None) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value if isinstance(value, int) else f"{value:.6g}"
