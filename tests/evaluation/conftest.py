"""The cohorts of the report's and of the command line's tests."""

from tests.cli.conftest import cohort, records
from tests.report.conftest import cases, cut_top, evaluations

__all__ = ["cases", "cohort", "cut_top", "evaluations", "records"]
