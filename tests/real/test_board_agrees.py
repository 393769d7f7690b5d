"""The board's grouped questions come to the verdicts of questions about one model alone, and of the soak.

The models are the rows of the table of situations that share one policy, all on one real Prometheus: so one question is
about engines that were swapped, count without a mode, have other buckets or labels, stand still or do not answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import (
    situations_arithmetic,
    situations_artifact,
    situations_basics,
    situations_engines,
    situations_unmeasured,
)
from support.engine_past import HOUR, EnginePast, steady
from support.prometheus import running
from support.situations import Situation
from support.situations_basics import CONFIG, RULES
from support.victoria import running_victoria

from ml.adapters.prometheus import Prometheus
from ml.policy import Policy, parse_policy
from ml.slo.exchanges import Failure, Recorder
from ml.slo.readings import StageRead, board_readings
from ml.slo.recordings import rule_file
from ml.slo.soak import judge_soak
from ml.slo.source import Answer
from ml.stage import Stage
from ml.verdict import Reading, Verdict, worst

pytestmark = pytest.mark.xdist_group("situations")

TABLE = tuple(
    each
    for each in (
        *situations_basics.TABLE,
        *situations_artifact.TABLE,
        *situations_engines.TABLE,
        *situations_arithmetic.TABLE,
        *situations_unmeasured.TABLE,
    )
    if not (each.policy or each.selector or each.like or each.skew_s or each.down or each.stale_s != 60.0)
)
POLICY = parse_policy(b"".join(each.policy_toml() for each in TABLE))


@dataclass
class Fixed:
    """A Prometheus that is asked about one moment, so that two rounds see the same samples."""

    source: Prometheus
    moment: datetime
    requests: int = 0
    at_once = 1

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        self.requests += 1
        answer = self.source.query(promql, at or self.moment)
        return replace(answer, asked_at=self.moment, seconds=0.0)  # a slow round must not age the samples

    def __getattr__(self, name: str) -> object:
        return getattr(self.source, name)


@dataclass(frozen=True)
class Judged:
    """The readings of each row: asked together, alone, and by the soak. ``requests`` of the first."""

    together: dict[str, tuple[Reading, ...]]
    alone: dict[str, tuple[Reading, ...]]
    soaks: dict[str, tuple[Reading, ...]]
    requests: int


PROMETHEUS, VICTORIA = "prometheus", "victoria"


@pytest.fixture(scope="module", params=[PROMETHEUS, VICTORIA])
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    now, folder = time.time(), tmp_path_factory.mktemp(request.param)
    history = (line for each in TABLE for line in each.lines(now))
    if request.param == PROMETHEUS:
        serving = running(folder, history=history, rules=RULES, config=CONFIG)
    else:
        serving = running_victoria(folder, history=history, rules=RULES)  # type: ignore[assignment]
    with serving as server:
        server.rules_evaluated()
        moment = datetime.fromtimestamp(now, UTC)
        metrics = Fixed(Prometheus(server.url, timeout_s=60), moment)
        yield _judged(metrics, POLICY, moment)


def _judged(metrics: Fixed, policy: Policy, moment: datetime) -> Judged:
    soaks, reads = {}, {}
    for each in TABLE:
        subject = each.subject(moment)
        report = judge_soak(metrics, policy, subject, moment).report
        soaks[each.name] = report.readings
        reads[each.name] = StageRead(each.name, Stage.SHADOW, report.started_at, subject.artifact_id)
    metrics.requests = 0
    together = board_readings(metrics, policy, tuple(reads.values()), moment)
    requests = metrics.requests
    return Judged(
        together={name: together[read] for name, read in reads.items()},
        alone={name: board_readings(metrics, policy, (read,), moment)[read] for name, read in reads.items()},
        soaks=soaks,
        requests=requests,
    )


@pytest.mark.parametrize("each", TABLE, ids=lambda each: each.name)
def test_together_says_what_alone_says(each: Situation, judged: Judged) -> None:
    for together, alone in zip(judged.together[each.name], judged.alone[each.name], strict=True):
        # PromQL adds engines up in another order, so the last digit of a value may differ.
        assert together.value == pytest.approx(alone.value, rel=1e-9)
        assert together == replace(alone, value=together.value, facts=together.facts)
        assert dict(together.facts) == pytest.approx(dict(alone.facts), rel=1e-9)


SCRAPED_TOO_SELDOM = "scraped_every_five_minutes"
"""The board does not ask for the time between two scrapes. The soak does, and its gate closes the step."""


@pytest.mark.parametrize("each", TABLE, ids=lambda each: each.name)
def test_the_board_says_what_the_soak_says(each: Situation, judged: Judged) -> None:
    found = {reading.name: reading.verdict for reading in judged.together[each.name]}
    soak = {reading.name: reading.verdict for reading in judged.soaks[each.name] if reading.name in found}
    if each.name == SCRAPED_TOO_SELDOM:
        assert set(soak.values()) == {Verdict.NO_DATA}
    else:
        assert found == soak


def test_the_table_is_asked_with_few_requests(judged: Judged) -> None:
    assert len(TABLE) > 40
    assert judged.requests < len(TABLE)
    assert {reading.verdict for found in judged.together.values() for reading in found} >= {
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.NO_DATA,
        Verdict.VACUOUS,
        Verdict.WAIT,
        Verdict.STALE,
    }


class _Asking:
    """A recorder as the source that it asks; here every question is answered."""

    at_once = 1

    def __init__(self, recorder: Recorder) -> None:
        self.query = recorder.query
        self.query_range = recorder.query_range


class _WithoutRules:
    """A Prometheus that knows of no recording rule."""

    at_once = 1

    def __init__(self, source: Prometheus) -> None:
        self._source = source

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        return self._source.query(promql.replace("mlconsole:.+", "nobody:.+"), at)


def test_recording_rules_are_used_and_say_the_same(tmp_path: Path) -> None:
    """Calm and sick engines that say what they serve; the rules are evaluated every second here."""
    now = time.time()
    names = ("calm", "slow", "failing")
    pasts = {
        "calm": {},
        "slow": {"latencies": steady({25.0: 30.0, 250.0: 30.0})},
        "failing": {"errors": lambda _: 20.0},
    }
    begin = now - 50 * HOUR
    engines = [
        EnginePast(model=name, begin=begin, end=now + 600, artifact=f"{name}_v1", **pasts[name])  # type: ignore[arg-type]
        for name in names
    ]
    policy = parse_policy("".join(f"[model.{name}]\nselector = 'model=\"{name}\"'\n" for name in names).encode())
    rules = rule_file(policy).replace("interval: 1m", "interval: 1s")
    since = datetime.fromtimestamp(now - 25 * HOUR, UTC)
    wanted = [StageRead(name, Stage.SHADOW, since, f"{name}_v1") for name in names]
    with running(tmp_path, history=[line for each in engines for line in each.lines()], rules=rules) as server:
        server.rules_evaluated()
        prometheus = Prometheus(server.url, timeout_s=60)
        with_rules, without = Recorder(prometheus), Recorder(_WithoutRules(prometheus))
        read = board_readings(_Asking(with_rules), policy, wanted, datetime.now(UTC))
        plain = board_readings(_Asking(without), policy, wanted, datetime.now(UTC))
    assert [exchange for exchange in with_rules.exchanges if isinstance(exchange, Failure)] == []
    asked = "".join(exchange.ask.promql for exchange in with_rules.exchanges)
    assert "(mlconsole:long:" in asked
    assert "[24h]))) by (le)" not in asked
    assert "(mlconsole:long:" not in "".join(exchange.ask.promql for exchange in without.exchanges)
    for each in wanted:
        for found, right in zip(read[each], plain[each], strict=True):
            assert (found.name, found.verdict, found.code) == (right.name, right.verdict, right.code)
            assert found.value == pytest.approx(right.value, rel=1e-3)
    assert {each.model: worst(reading.verdict for reading in read[each]) for each in wanted} == {
        "calm": Verdict.PASS,
        "slow": Verdict.FAIL,
        "failing": Verdict.FAIL,
    }
