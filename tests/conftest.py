"""Counts that a test measured, printed when the run ends: ``record_property("count", "race: 100 changes, 0 lost")``."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of all tests, in the order in which they ended, under pytest-xdist as well."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                for name, count in report.user_properties:
                    if name == "count":
                        terminalreporter.write_line(str(count))
