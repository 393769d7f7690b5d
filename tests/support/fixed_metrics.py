"""A source of metrics with fixed answers: a day on which everything passes, but for what a test changes.

Every answer is made as JSON and read by the real reader, so it can be recorded, sealed and played back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from ml.policy import Policy, parse_policy
from ml.slo import source
from ml.slo.promql import TAG
from ml.slo.soak import SoakSubject
from ml.slo.source import Answer, Ask, Kind, MetricsError

NOW = datetime(2026, 2, 17, 14, 0, tzinfo=UTC)
START = NOW - timedelta(hours=24)
SUBJECT = SoakSubject("regime_classifier", "regime_v2026_02_16_001", "5" * 64, START - timedelta(minutes=1))
POLICY: Policy = parse_policy(None)

Labels = Mapping[str, str]
Instant = Iterable[tuple[Labels, float]]
Ranged = Iterable[tuple[Labels, Callable[[float], float | None]]]

_KEYS = re.compile(rf'"{TAG}", "([^"]+)"')


def rules(**states: str) -> bytes:
    """A rules answer; the rules of the default policy unless told otherwise, each with its state."""
    states = states or dict.fromkeys(POLICY.alerts.quiet, "inactive")
    group = {
        "name": "ml",
        "interval": 15,
        "rules": [
            {"type": "alerting", "name": name, "state": state, "health": "ok", "lastEvaluation": "2026-02-17T13:59:55Z"}
            for name, state in states.items()
        ],
    }
    return json.dumps({"status": "success", "data": {"groups": [group]}}).encode()


class FixedMetrics:
    """Answers by the part of a question: ``instant`` and ``ranged`` map part names to series.

    Values of ``ranged`` are functions of a Unix time, ``None`` where there is no point. ``failures`` maps the number
    of a question, counted from 0, to the error that it meets. ``server_ahead_s`` is the skew of the server's clock,
    ``scrape_s`` the time between two scrapes (0: nothing was scraped lately). ``models`` are the values of the label
    ``model`` in an answer about several models.
    """

    at_once = 1

    def __init__(self, now: datetime = NOW, started: datetime = START) -> None:
        self.now = now
        self.started = started
        self.server_ahead_s = 0.0
        self.scrape_s = 15.0
        self.instant: dict[str, Instant] = {}
        self.ranged: dict[str, Ranged] = {}
        self.rules_raw = rules()
        self.alerts_raw = b'{"status":"success","data":{"alerts":[]}}'
        self.silences_raw: bytes | None = None
        self.warnings: list[str] = []
        self.failures: dict[int, MetricsError] = {}
        self.models: tuple[str, ...] = ()
        self.asked: list[Ask] = []

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        moment = (at or self.now).timestamp() + (0 if at else self.server_ahead_s)
        found = [
            {"metric": {**labels, TAG: key}, "value": [moment, repr(value)]}
            for key in _KEYS.findall(promql) or [_single(promql)]
            for labels, value in self._of_models(promql, key.partition(".")[0])
        ]
        data: dict[str, object] = {"resultType": "vector", "result": found}
        if _single(promql) == "raw":
            times = [moment - self.scrape_s * index for index in range(20, 0, -1)] if self.scrape_s else []
            raw = [{"metric": {}, "values": [[at_, "1"] for at_ in times]}]
            data = {"resultType": "matrix", "result": raw}
        return self._answer(Ask(Kind.QUERY, promql, at=at), self._success(data))

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: int) -> Answer:
        steps = range(int((end - start).total_seconds()) // step_s + 1)
        moments = [start.timestamp() + index * step_s for index in steps]
        found = []
        for key in _KEYS.findall(promql) or [_single(promql)]:
            for labels, value in self._ranged(key.partition(".")[0]):
                points = [[moment, repr(at)] for moment in moments if (at := value(moment)) is not None]
                found.append({"metric": {**labels, TAG: key}, "values": points})
        ask = Ask(Kind.RANGE, promql, start=start, end=end, step_s=step_s)
        return self._answer(ask, self._success({"resultType": "matrix", "result": found}))

    def rules(self) -> Answer:
        return self._answer(Ask(Kind.RULES), self.rules_raw)

    def alerts(self) -> Answer:
        return self._answer(Ask(Kind.ALERTS), self.alerts_raw)

    def silences(self) -> Answer | None:
        return None if self.silences_raw is None else self._answer(Ask(Kind.SILENCES), self.silences_raw)

    def _of_models(self, promql: str, part: str) -> Instant:
        """The answer to one part; of each model where the question is about several."""
        found = self._instant(part)
        if not self.models or ('model!=""' not in promql and "model=~" not in promql):
            return found
        if part == "bounds" and "count_values" in promql:
            return [({**labels, "always": "1"}, float(len(self.models))) for labels, _ in found]
        return [({**labels, "model": model}, value) for labels, value in found for model in self.models]

    def _instant(self, key: str) -> Instant:
        usual: dict[str, Instant] = {
            "long": [({}, 0.03)],
            "short": [({}, 0.02)],
            "shown": [({}, 0.03)],
            "samples": [({}, 86_400.0)],
            "lately": [({}, 300.0)],
            "lively": [({}, 3_600.0)],
            "newest": [({}, self.now.timestamp() - 5)],
            "covered": [({}, 288.0)],
            "lacks": (),
            "bounds": [({"le": le}, 1.0) for le in ("0.001", "0.025", "50.0", "100.0", "250.0", "500.0", "+Inf")],
            "timed": [({}, 86_400.0)],
            "info": [({"artifact_id": SUBJECT.artifact_id}, 1.0)],
            "seen": [({}, 5_760.0)],
            "start": [({}, self.started.timestamp())],
            "clock": [({}, self.now.timestamp())],
        }
        return self.instant.get(key, usual.get(key, ()))

    def _ranged(self, key: str) -> Ranged:
        usual: dict[str, Ranged] = {
            "value": [({}, lambda _: 0.02)],
            "count": [({}, lambda _: 300.0)],
            "scrapes": [({}, lambda _: 20.0)],
        }
        return self.ranged.get(key, usual.get(key, ()))

    def _success(self, data: Mapping[str, object]) -> bytes:
        members: dict[str, object] = {"status": "success", "data": data}
        return json.dumps(members | ({"warnings": self.warnings} if self.warnings else {})).encode()

    def _answer(self, ask: Ask, raw: bytes) -> Answer:
        self.asked.append(ask)
        failure = self.failures.get(len(self.asked) - 1)
        if failure is not None:
            raise failure
        heard = source.read(raw, ask.kind)
        return Answer(
            ask=ask,
            raw=raw,
            url="http://prometheus:9090",
            asked_at=self.now,
            seconds=0.004,
            series=heard.series,
            warnings=heard.warnings,
        )


def _single(promql: str) -> str:
    """What a question that was asked by itself is about."""
    if promql == "time()":
        return "clock"
    if promql.startswith("min_over_time((vector(time())"):
        return "start"
    if "[" in promql and promql.endswith("m]"):
        return "raw"
    return "history" if "ALERTS" in promql else "shown"
