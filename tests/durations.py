"""Writes what every test cost to `.pytest_cache/d/durations/durations.json`, the slowest first.

Processor seconds count the test's child processes too. They mean the same on a busy machine,
where seconds on the clock do not. The cost of a fixture counts for the test that needs it first.
"""

import json
import resource
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

__all__ = [
    "pytest_configure",
    "pytest_runtest_logreport",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]

_SLOWEST = 20
_costs: dict[str, dict[str, float]] = defaultdict(
    lambda: {"processor_seconds": 0.0, "seconds": 0.0}
)
_spent = pytest.StashKey[float]()


def _processor_seconds() -> float:
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def pytest_configure(config: pytest.Config) -> None:
    """An earlier run in this process does not count."""
    _costs.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The clock of the test starts."""
    item.stash[_spent] = _processor_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Each phase's report carries its cost, from a worker of pytest-xdist too."""
    report: Any = yield
    spent = _processor_seconds()
    report.processor_seconds = spent - item.stash[_spent]
    item.stash[_spent] = spent
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Set-up, call and tear-down of one test add up."""
    cost = _costs[report.nodeid]
    cost["processor_seconds"] += getattr(report, "processor_seconds", 0.0)
    cost["seconds"] += report.duration


def _slowest_first() -> list[tuple[str, dict[str, float]]]:
    return sorted(_costs.items(), key=lambda one: -one[1]["processor_seconds"])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The process that reports writes the file; a worker does not."""
    if hasattr(session.config, "workerinput") or not _costs:
        return
    folder = session.config.cache.mkdir("durations")  # type: ignore[union-attr]
    rounded = {
        test: {key: round(value, 3) for key, value in cost.items()}
        for test, cost in _slowest_first()
    }
    (folder / "durations.json").write_text(json.dumps(rounded, indent=1), "utf-8")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the slowest where many tests ran."""
    if len(_costs) <= _SLOWEST:
        return
    total = sum(cost["processor_seconds"] for cost in _costs.values())
    terminalreporter.section(f"slowest {_SLOWEST} of {total:.0f} processor seconds")
    for test, cost in _slowest_first()[:_SLOWEST]:
        terminalreporter.write_line(f"{cost['processor_seconds']:7.1f} s {test}")
