"""A metric source that answers the kill switch's questions from a table: engine → `Code`."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from support.switches import PRESSED

from ml.emergency.questions import PROOFS, Code, survey
from ml.slo.promql import TAG, joined
from ml.slo.source import Answer, Ask, Kind, Series, SourceTimedOut

_PLAIN = PROOFS - {Code.STOPPED, Code.ACTIVE_AGAIN, Code.NO_MODEL}
"""Proofs that the cheap question about a large fleet sees."""


class FleetMetrics:
    """``kill`` and ``release`` are what engines prove about a request of that kind; ``sick`` gives no answer.

    Engines of ``kill`` that are BLOCKED are the ones that the switch blocks now. ``ahead_s`` is the server's clock.
    """

    at_once = 1

    def __init__(self, kill: dict[str, Code] | None = None, release: dict[str, Code] | None = None) -> None:
        self.kill = kill or {}
        self.release = release or {}
        self.now = PRESSED.timestamp() + 20
        self.ahead_s = 0.0
        self.sick = False
        self.timeless = False
        self.warnings: tuple[str, ...] = ()
        self.asked: list[str] = []

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        self.asked.append(promql)
        if self.sick:
            raise SourceTimedOut("Prometheus gave no answer within 5 s.", "Look at it.")
        series = tuple(self._series(promql))
        asked_at = datetime.fromtimestamp(self.now, UTC)
        return Answer(
            ask=Ask(Kind.QUERY, promql, at=at),
            raw=b"",
            url="",
            asked_at=asked_at,
            seconds=0.0,
            series=series,
            warnings=self.warnings if at else (),
        )

    query_range = rules = alerts = silences = None  # type: ignore[assignment]

    def _series(self, promql: str) -> Iterable[Series]:
        if promql == joined(survey()):
            known = {**self.kill, **self.release}
            told = {"time": self.now + self.ahead_s, "engines": len(known), "interval": 5.0}
            return () if self.timeless else (self._one(value, **{TAG: key}) for key, value in told.items())
        if promql.startswith("count(count by (instance)"):
            blocked = sum(code is Code.BLOCKED for code in self.kill.values())
            return (self._one(blocked),) if blocked else ()
        large = promql.startswith(("count_values", "topk"))
        release = " unless on (job, instance) (max by (job, instance) ((last_over_time(grinder_ml_block" in promql
        codes = self.release if f"* {int(Code.INFERS_AGAIN)}" in promql or (large and release) else self.kill
        if promql.startswith("count_values"):
            told = Counter(Code.PROVEN if code in _PLAIN else Code.OPEN for code in codes.values())
            return (self._one(count, code=str(int(code))) for code, count in told.items())
        if promql.startswith("topk"):
            return [self._one(1, instance=name) for name, code in codes.items() if code not in _PLAIN][:50]
        if promql.startswith("max by (instance) (max_over_time"):
            silent = (name for name, code in codes.items() if code is Code.SILENT)
            return (self._one(PRESSED.timestamp() - 60, instance=name) for name in silent)
        assert promql.startswith("max by (instance) (((")
        only = re.search(r'instance=~"([^"]*)"', promql)
        wanted = {name.replace("\\", "") for name in only[1].split("|")} if only else codes.keys()
        return (self._one(code, instance=name) for name, code in codes.items() if name in wanted)

    def _one(self, value: float, **labels: str) -> Series:
        return Series(tuple(sorted(labels.items())), ((math.floor(self.now), float(value)),))
