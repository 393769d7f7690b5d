"""Polling for hours, sped up, keeps neither memory nor file handles: the session on real parts, and the interface."""

from __future__ import annotations

import pytest

from benchmarks.quiet import weeks_hours

HOURS, POLLS = 2, 30
MORE = 1.1
"""Caches fill in the first hour of so few polls; the benchmark measures whole ones."""


@pytest.mark.timeout(1200)  # hours of polling beside other tests on two cores
def test_polling_for_hours_holds_no_more_than_after_the_first() -> None:
    for what, ((memory, handles), (last_memory, last_handles)) in weeks_hours(HOURS, POLLS).items():
        assert last_memory <= memory * MORE, what
        assert last_handles <= handles, what
