"""A recorded number counts on the board only while it is young, whatever the other rules of its group do.

A rule that fails keeps its last numbers for five minutes. Here one rule of the real group fails, and its last numbers,
of a time when all was well, are 200 s old.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from support.engine_past import HOUR, EnginePast
from support.prometheus import Line, running, wait_until
from support.victoria import running_victoria

from ml.adapters.prometheus import Prometheus
from ml.policy import parse_policy
from ml.slo.exchanges import Recorder
from ml.slo.questions import LONG
from ml.slo.readings import StageRead, board_readings
from ml.slo.recordings import KNOWN_QUERY, LOADED_QUERY, loaded, recorded_texts, rule_file
from ml.slo.source import Answer
from ml.stage import Stage
from ml.verdict import Reading, Verdict

NAMES = ("calm", "failing")
POLICY = parse_policy("".join(f"[model.{name}]\nselector = 'model=\"{name}\"'\n" for name in NAMES).encode())
RULES = rule_file(POLICY).replace("interval: 1m", "interval: 1s")
OLD_S = 200
FAILS = "vector(1) + on () grinder_ml_inference_latency_ms_count"
"""Valid, and an error at every evaluation: there is more than one match."""


class _Asking:
    at_once = 1

    def __init__(self, recorder: Recorder) -> None:
        self.query = recorder.query
        self.query_range = recorder.query_range


@contextmanager
def server(kind: str, folder: Path, history: Iterable[Line], rules: str) -> Iterator[str]:
    """A real source with this history and these rules, each evaluated at least once."""
    start = running if kind == "prometheus" else running_victoria
    with start(folder, history=history, rules=rules) as source:
        if rules:
            source.rules_evaluated()
            # Evaluated numbers reach VictoriaMetrics a moment later, those of one evaluation together.
            wait_until(lambda: bool(Prometheus(source.url).query("mlconsole:evaluated").series), 30.0, source.log)
        yield source.url


def error_rule() -> tuple[str, str]:
    """The name and the question of the rule for the error rate of a day in shadow."""
    rules = re.findall(r"- record: (mlconsole:long:\w+)\n\s+expr: \|\n\s+(.+)\n", RULES)
    return next(
        (name, text)
        for name, text in rules
        if "grinder_ml_inference_errors_total" in text and 'mode="shadow"' in text and "1 - " in text
    )


def engines(now: float) -> list[EnginePast]:
    begin, end = now - 50 * HOUR, now + 600
    calm = EnginePast(model="calm", begin=begin, end=end, artifact="calm_v1")
    # Only the window of a day shows it: for the last hour all has been well.
    errors = {"errors": lambda at: 20.0 if at < now - HOUR else 0.0}
    return [calm, EnginePast(model="failing", begin=begin, end=end, artifact="failing_v1", **errors)]  # type: ignore[arg-type]


def old_numbers(url: str, name: str, now: float, models: Iterable[str]) -> list[Line]:
    """The numbers of a rule as ``url`` records them, but without an error, and until some time ago."""
    times = [now - OLD_S - 60 + step for step in range(0, 61, 15)]
    return [
        Line(name, {key: value for key, value in series.labels if key != "__name__"}, [(at, 0.0) for at in times])
        for series in Prometheus(url).query(name).series
        if series.label("model") in models
    ]


def read(url: str, now: float) -> tuple[dict[str, Reading], str]:
    """The board's error rate of each model, and everything that was asked for it."""
    since = datetime.fromtimestamp(now - 25 * HOUR, UTC)
    wanted = [StageRead(name, Stage.SHADOW, since, f"{name}_v1") for name in NAMES]
    recorder = Recorder(Prometheus(url, timeout_s=60))
    found = board_readings(_Asking(recorder), POLICY, wanted, datetime.now(UTC))  # type: ignore[arg-type]
    rates = {each.model: next(one for one in found[each] if one.name == "error_rate") for each in wanted}
    return rates, "".join(exchange.ask.promql for exchange in recorder.exchanges)


@pytest.mark.parametrize("kind", ["prometheus", "victoria"])
@pytest.mark.parametrize("how", ["the rule fails", "one number is old"])
def test_an_old_number_gives_way_to_its_question(tmp_path: Path, kind: str, how: str) -> None:
    now, (name, text) = time.time(), error_rule()
    past = [line for each in engines(now) for line in each.lines()]
    with server(kind, tmp_path / "sound", past, RULES) as url:
        verdicts, asked = read(url, now)
        assert name in asked  # sound rules are used
        assert verdicts["failing"].verdict is Verdict.FAIL
        labels = old_numbers(url, name, now, NAMES if how == "the rule fails" else ("failing",))
    assert labels
    # A rule that goes on for the other models leaves only the numbers of one behind.
    broken = FAILS if how == "the rule fails" else text.replace('model!=""', 'model="calm"')
    with server(kind, tmp_path / "sick", [*past, *labels], RULES.replace(text, broken)) as url:
        prometheus = Prometheus(url)
        kept = prometheus.query(f'{name}{{model="failing"}}').series
        assert [each.points[-1][1] for each in kept] == [0.0]  # the source still shows the old number as current
        assert bad_rules(url) == ({name} if how == "the rule fails" else set())
        usable, known = (loaded(prometheus.query(each).series) for each in (LOADED_QUERY, KNOWN_QUERY))
        verdicts, asked = read(url, now)
    assert known - usable == {name}
    assert usable  # the others of the group are used
    assert name not in asked
    assert verdicts["failing"].verdict is Verdict.FAIL
    assert verdicts["calm"].verdict is Verdict.PASS


def bad_rules(url: str) -> set[str]:
    """The names of the rules whose last evaluation failed, as the source says."""
    with urllib.request.urlopen(f"{url}/api/v1/rules?type={quote('record')}", timeout=5) as response:
        groups = json.loads(response.read())["data"]["groups"]
    return {rule["name"] for group in groups for rule in group["rules"] if rule.get("lastError")}


@pytest.mark.parametrize("kind", ["prometheus", "victoria"])
def test_a_number_that_ages_between_two_requests_is_not_shown(tmp_path: Path, kind: str) -> None:
    """The question for a recorded number looks at its age by itself."""
    now, (name, text) = time.time(), error_rule()
    old = Line(name, {"model": "failing", "instance": "a"}, [(now - OLD_S, 0.0)])
    young = Line(name, {"model": "calm", "instance": "b"}, [(now - 1, 0.0), (now + 600, 0.0)])
    asked = recorded_texts({LONG: text}, {LONG: text}, frozenset({name}))[LONG]
    with server(kind, tmp_path, [old, young], "") as url:
        answer: Answer = Prometheus(url).query(asked)
    assert [each.labels for each in answer.series] == [(("instance", "b"), ("model", "calm"))]
