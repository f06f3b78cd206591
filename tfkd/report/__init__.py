"""Evaluations are set side by side: as text, and as a report.

`write_report` puts teacher, students and edge files into one self-contained HTML file. Nothing here
imports TensorFlow or Keras, and matplotlib and Jinja2 are loaded only when a report is written.

Empty masks: as in `tfkd.metrics`. By default a case in which neither the truth nor the prediction
holds a class is left out of that class's mean; how many cases that touched is part of the report.
"""

import importlib
from typing import TYPE_CHECKING, Any

# Those of `tfkd.evaluation` were here before, and stay for one release.
from tfkd.evaluation import (
    ROLES,
    CaseFilesLike,
    CasePaths,
    Evaluation,
    ModelInfo,
    Role,
    evaluate,
    time_per_slice_ms,
)
from tfkd.report.side_by_side import GapClosed, check_comparable, gap_closed, order_rows
from tfkd.report.text_table import format_table

if TYPE_CHECKING:
    from tfkd.report.html import write_report

__all__ = [
    "ROLES",
    "CaseFilesLike",
    "CasePaths",
    "Evaluation",
    "GapClosed",
    "ModelInfo",
    "Role",
    "check_comparable",
    "evaluate",
    "format_table",
    "gap_closed",
    "order_rows",
    "time_per_slice_ms",
    "write_report",
]


def __getattr__(name: str) -> Any:
    # An edge device can evaluate without the packages that draw.
    if name == "write_report":
        return importlib.import_module("tfkd.report.html").write_report
    raise AttributeError(f"module 'tfkd.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
