"""`compare`: a plan becomes a table."""

from pathlib import Path
from typing import Any

from tfkd.comparison.plan.plan import Plan
from tfkd.comparison.plan.plan_file import naming_plan, read_plan
from tfkd.comparison.study import Study
from tfkd.comparison.table import Table

__all__ = ["compare"]


def compare(
    plan: Plan | str | Path,
    folder: str | Path = "runs/comparison",
    rows: str | Path | None = None,
    **arguments: Any,
) -> Table:
    """Trains what is missing of a comparison, and gives its table.

    Stopped at any moment and called again, it goes on where it was. A finished run is a line of the
    rows file and is never made again, on whatever machine the file is.

    Args:
        plan: The plan, or its file.
        folder: Folder of the runs.
        rows: File of finished runs, meant to be kept; `rows.jsonl` in the folder by default.
        **arguments: Further arguments of `Study`.

    Returns:
        The table, which lies beside the rows as `table.csv`, `table.md` and `table.html` too.

    Raises:
        PlanError: If the plan names what does not exist; nothing is trained then.
        RecordError: If the records cannot be read.
        TrainingInterrupted: Upon SIGTERM, with the state saved.
        TrainingError: In the end, if some runs failed; the others are done.

    Example:
        >>> table = compare("study.toml", "runs/study", "study/rows.jsonl")  # doctest: +SKIP
    """
    if isinstance(plan, Plan):
        return Study(plan, folder, rows, **arguments).run()
    read = read_plan(plan)
    with naming_plan(plan):
        return Study(read, folder, rows, **arguments).run()
