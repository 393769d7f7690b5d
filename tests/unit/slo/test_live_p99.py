"""The latency that `doctor MODEL` tells is judged: what is not below its limit is no PASS."""

from __future__ import annotations

import math

import pytest
from support.fixed_metrics import NOW

from ml.session.doctor import live_p99
from ml.slo.source import Answer, Ask, Kind, Series
from ml.verdict import Verdict


def answer(warnings: tuple[str, ...] = (), **modes: float) -> Answer:
    series = tuple(Series((("mode", mode),), ((NOW.timestamp(), value),)) for mode, value in modes.items())
    ask = Ask(Kind.QUERY, "p99")
    return Answer(ask=ask, raw=b"", url="", asked_at=NOW, seconds=0.0, series=series, warnings=warnings)


@pytest.mark.parametrize(
    ("modes", "limit", "verdict", "says"),
    [
        ({"active": 42, "shadow": 99.9}, 100.0, Verdict.PASS, "active 42 ms, shadow 99.9 ms, limit 100 ms."),
        ({"active": 100, "shadow": 4}, 100.0, Verdict.FAIL, "active 100 ms"),
        ({"active": math.inf}, 100.0, Verdict.FAIL, "active inf ms"),
        ({"active": math.nan}, 100.0, Verdict.NO_DATA, "no inference"),
        ({}, 100.0, Verdict.NO_DATA, "no inference"),
        ({"active": 42}, None, Verdict.VACUOUS, "no limit"),
    ],
)
def test_only_what_is_below_its_limit_passes(
    modes: dict[str, float], limit: float | None, verdict: Verdict, says: str
) -> None:
    found = live_p99(answer(**modes), limit)
    assert found.verdict is verdict
    assert says in found.why


def test_a_partial_answer_is_no_data() -> None:
    assert live_p99(answer(("partial response",), active=42), 100.0).verdict is Verdict.NO_DATA
