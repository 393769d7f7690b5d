"""Counts the faults that were survived, by area, and prints it when the run ends (contract §14: the matrix).

What a test measured beside that it hands over as the property ``measured``; these lines are printed as well.

A test marks itself with ``@pytest.mark.fault("git")``; each parametrised case counts as one fault. The
area travels to the terminal inside the test's report, so the count is right under pytest-xdist as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

_PROPERTY, _MEASURED = "fault", "measured"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(area): one row of the fault matrix; counted as survived when it passes")


def pytest_itemcollected(item: pytest.Item) -> None:
    for mark in item.iter_markers("fault"):
        (area,) = mark.args
        item.user_properties.append((_PROPERTY, area))
        item.extra_keyword_matches.add(area)  # so that `-k files` selects that area's rows, whatever they are called


def _outcomes(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[str, str, bool]]:
    """Area, test and whether this part of it (setup, call or teardown) went well, of every fault test."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                for name, area in report.user_properties:
                    if name == _PROPERTY:
                        yield str(area), report.nodeid, report.passed


def _measured(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    """What tests measured, in the order of their ends."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                yield from (str(line) for name, line in report.user_properties if name == _MEASURED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _measured(terminalreporter):
        terminalreporter.write_line(line)
    survived: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    for area, test, passed in _outcomes(terminalreporter):
        survived[area][test] = survived[area].get(test, True) and passed
    if not survived:
        return
    lines = {area: f"{sum(tests.values())}/{len(tests)}" for area, tests in sorted(survived.items())}
    for area, count in lines.items():
        terminalreporter.write_line(f"faults survived in {area}: {count}")
    alive = sum(sum(tests.values()) for tests in survived.values())
    total = sum(len(tests) for tests in survived.values())
    terminalreporter.write_line(f"faults survived {alive}/{total}")
