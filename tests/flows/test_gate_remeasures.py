"""The gate measures twice: a real Prometheus of its own is asked the recorded questions again, through real pushes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.artifacts import ROOT
from support.clones import Folder
from support.gatehouse import MODEL, POLICY, SOAKED, Gatehouse
from support.prometheus import Line, running
from test_gate_accepts import promote_to_active_with_a_console_of_the_first_edition

from console.verbs import run
from ml.adapters.git_hooks import install_gate
from ml.adapters.processes import run as processes_run
from ml.adapters.prometheus import Prometheus
from ml.policy import parse_policy
from ml.promotion.gate.case import basis_of
from ml.promotion.gate.remeasure import CLAIMS, MEASURED
from ml.registry.schema import POLICY_PATH
from ml.slo import exchanges as transcript
from ml.slo.exchanges import Exchange, Replay
from ml.slo.review import review
from ml.slo.soak import judge_soak
from ml.slo.source import Answer, Kind
from ml.verdict import Code, Gate, Verdict

BRANCH = "refs/heads/promote/regime_classifier/x-to-active-20260216T100000Z"
REQUIRE = POLICY + '[evidence]\nremeasure = "require"\n'
REPORT = POLICY + '[evidence]\nremeasure = "report"\n'
OFF = POLICY + '[evidence]\nremeasure = "off"\n'
Work = Callable[[Exchange], Exchange]


def fabricated(house: Gatehouse, policy_text: str, work: Work) -> str:
    """A promotion whose author changed the recorded answers and let our own judge judge them, sealed as if honest."""
    base = house.base({POLICY_PATH: policy_text})
    policy = parse_policy(policy_text.encode())
    soak, seen = house.judged(policy, SOAKED)
    altered = [work(each) for each in soak.responses]
    assert altered != list(soak.responses)
    forged = judge_soak(Replay(altered), policy, soak.subject, soak.report.as_of, stale_s=soak.stale_s)
    assert forged.report.verdict is Verdict.PASS
    looked = review(Replay([work(each) for each in seen.responses]), policy, MODEL, seen.as_of)
    key = house.judgement_key(policy, SOAKED, house.now)
    house.judgements[key] = (forged, looked)
    try:
        return house.made(house.to_active(base))
    finally:
        house.judgements[key] = (soak, seen)


def honest(house: Gatehouse, policy_text: str) -> tuple[str, str]:
    base = house.base({POLICY_PATH: policy_text})
    return base, house.made(house.to_active(base))


def lines(house: Gatehouse, base: str, head: str, url: str = "") -> dict[str, Gate]:
    source = Prometheus(url, timeout_s=5) if url else None
    bench = replace(house.bench, source=source)
    gates = replace(house, bench=bench).verdict(base, head)
    return {gate.name: gate for gate in gates}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def base_of(house: Gatehouse, head: str) -> str:
    return house.repository.history.commit(head).parents[0]


def own(house: Gatehouse) -> str:
    """The address of the house's Prometheus."""
    return house.url


def edited(exchange: Exchange, about: str, work: Callable[[str], str]) -> Exchange:
    if not isinstance(exchange, Answer) or about not in exchange.ask.promql or exchange.ask.kind is Kind.RULES:
        return exchange
    written = transcript.write(exchange)
    return transcript.read(written | {"body": work(written["body"])})


def quicker(body: str) -> str:
    """Every value a tenth less."""
    told = json.loads(body)
    for series in told["data"]["result"]:
        points = [series["value"]] if "value" in series else series["values"]
        for point in points:
            if re.fullmatch(r"\d+\.\d+", point[1]) and float(point[1]) < 1e6:
                point[1] = str(float(point[1]) * 0.9)
    return json.dumps(told)


FORGERIES: dict[str, Work] = {
    "the shown quantile": lambda each: edited(each, "histogram_quantile(0.99,", quicker),
    "the cells of the tape": lambda each: (
        edited(each, "histogram_quantile", quicker) if each.ask.kind is Kind.RANGE else each
    ),
    "everything": lambda each: edited(each, "histogram_quantile", quicker),
    "one label": lambda each: edited(each, "", lambda body: body.replace('"instance":"shadow"', '"instance":"x"')),
}


def test_an_honest_promotion_agrees_and_each_line_says_what_it_rests_on(house: Gatehouse) -> None:
    base, head = honest(house, REQUIRE)
    found = lines(house, base, head, own(house))
    assert all(gate.verdict.opens for gate in found.values()), found
    assert (found[MEASURED].verdict, found[MEASURED].code) == (Verdict.PASS, Code.MEASURED_ALIKE)
    assert dict(found[MEASURED].facts)["asked"] >= 15
    assert {name: basis_of(gate)[0] for name, gate in found.items()} == dict.fromkeys(found, "re-computed") | {
        MEASURED: "re-measured",
        CLAIMS: "claimed",
        "signature": "claimed",
        "role": "claimed",
    }
    assert basis_of(found[CLAIMS])[1] == "operator@example.com"


@pytest.mark.parametrize("name", FORGERIES)
def test_fabricated_answers_sealed_by_their_author_are_refused(house: Gatehouse, name: str) -> None:
    head = fabricated(house, REQUIRE, FORGERIES[name])
    base = base_of(house, head)
    without = lines(house, base, head)
    assert without["verdicts"].verdict is Verdict.PASS, "the forgery is consistent, so replay alone cannot see it"
    found = lines(house, base, head, own(house))[MEASURED]
    assert (found.verdict, found.code) == (Verdict.FAIL, Code.MEASURED_OTHERWISE), found.why


def test_a_forgery_is_reported_where_the_policy_only_reports(house: Gatehouse) -> None:
    head = fabricated(house, REPORT, FORGERIES["everything"])
    found = lines(house, base_of(house, head), head, own(house))[MEASURED]
    assert found.verdict is Verdict.WAIVED
    assert found.was is not None
    assert (found.was.verdict, found.was.code) == (Verdict.FAIL, Code.MEASURED_OTHERWISE)


def test_a_silent_prometheus_is_unknown(house: Gatehouse) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    base, head = honest(house, REQUIRE)
    found = lines(house, base, head, nowhere)[MEASURED]
    assert (found.verdict, found.code) == (Verdict.ERROR, Code.SOURCE_FAILED)
    assert lines(house, base, head)[MEASURED].verdict is Verdict.NO_DATA
    base, head = honest(house, REPORT)
    assert lines(house, base, head, nowhere)[MEASURED].verdict is Verdict.WAIVED
    base, head = honest(house, OFF)
    assert lines(house, base, head, nowhere)[MEASURED].code is Code.NOT_MEASURED_AGAIN


@pytest.fixture
def forgetful(house: Gatehouse, tmp_path: Path) -> Iterator[str]:
    """A Prometheus that holds nothing of the soak, as after its retention."""
    now = house.now.timestamp()
    line = Line("up", {"job": "engine"}, [(now - 60 * step, 1.0) for step in range(5, 0, -1)])
    with running(tmp_path / "forgetful", history=[line]) as server:
        yield server.url


def test_what_retention_dropped_is_unknown_and_never_agreed(house: Gatehouse, forgetful: str) -> None:
    base, head = honest(house, REQUIRE)
    found = lines(house, base, head, forgetful)[MEASURED]
    assert (found.verdict, found.code) == (Verdict.NO_DATA, Code.FORGOTTEN), found.why


def test_a_query_of_the_authors_own_is_never_asked(house: Gatehouse) -> None:
    """A capsule with more exchanges than our judge asks costs the server nothing."""
    base = house.base({POLICY_PATH: REQUIRE})

    def add(values: dict[str, object]) -> None:
        exchanges = values["soak_exchanges"]
        assert isinstance(exchanges, list)
        exchanges.append(exchanges[1] | {"promql": 'count({__name__=~".+"})'})

    head = house.reworked(house.to_active(base), add)
    asked: list[str] = []

    class Listening(Prometheus):
        def _ask(self, ask):  # type: ignore[no-untyped-def]
            asked.append(ask.promql)
            return super()._ask(ask)

    bench = replace(house.bench, source=Listening(own(house), timeout_s=5))
    found = {gate.name: gate for gate in replace(house, bench=bench).verdict(base, head)}
    assert found[MEASURED].code is Code.MEASURED_ALIKE
    assert asked
    assert not [each for each in asked if "__name__" in each]


# --- which formats a new change may bring ---------------------------------------------------------------------------


def test_a_policy_that_speaks_of_evidence_takes_todays_format_alone(house: Gatehouse) -> None:
    """A console of the first edition cannot read such a policy: whoever brings its format chose the laxer judge."""
    base, head = promote_to_active_with_a_console_of_the_first_edition(house, OFF)
    found = lines(house, base, head)["evidence"]
    assert (found.verdict, found.code) == (Verdict.FAIL, Code.FORMAT_TOO_OLD)
    assert dict(found.facts) == {"format": "v1", "oldest": "v2"}


def test_an_older_format_is_measured_again_by_the_questions_of_its_own_judge(house: Gatehouse) -> None:
    rules = REQUIRE + 'oldest_format = "v1"\n'
    base, head = promote_to_active_with_a_console_of_the_first_edition(house, rules)
    found = lines(house, base, head, own(house))
    assert (found[MEASURED].verdict, found[MEASURED].code) == (Verdict.PASS, Code.MEASURED_ALIKE), found[MEASURED].why
    assert all(gate.verdict.opens for gate in found.values())


# --- through the real hook ------------------------------------------------------------------------------------------


def on_server(house: Gatehouse, server: Folder, base: str) -> None:
    server.git("fetch", "-q", house.clones.operator.path, f"{base}:refs/keep/{base}")
    server.git("update-ref", "refs/heads/main", base)


def push(house: Gatehouse, server: Folder, head: str, *, fails: bool = False) -> str:
    return house.clones.operator.git("push", server.path, f"{head}:refs/heads/main", fails=fails)


def test_the_hook_takes_the_honest_and_refuses_the_fabricated(house: Gatehouse, server: Folder) -> None:
    install_gate(server.path, run=processes_run, python=Path(sys.executable), path=ROOT, prometheus=own(house))
    forged = fabricated(house, REQUIRE, FORGERIES["everything"])
    on_server(house, server, base_of(house, forged))
    assert "measured: " in push(house, server, forged, fails=True)
    base, head = honest(house, REQUIRE)
    on_server(house, server, base)
    push(house, server, head)
    assert server.git("rev-parse", "main") == head


def test_the_hook_refuses_what_it_cannot_ask_and_reports_it_where_that_is_enough(
    house: Gatehouse, server: Folder
) -> None:
    server.git("config", "mlconsole.prometheus", f"http://127.0.0.1:{free_port()}")
    base, head = honest(house, REQUIRE)
    on_server(house, server, base)
    assert "measured: " in push(house, server, head, fails=True)
    base, head = honest(house, REPORT)
    on_server(house, server, base)
    argv = ["git", "-C", house.clones.operator.path, "push", server.path, f"{head}:refs/heads/main"]
    env = os.environ | {"HOME": str(house.clones.operator.home)}
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=True)
    assert server.git("rev-parse", "main") == head
    assert "measured: waived" in ended.stderr


def test_the_verb_ends_with_3_where_nobody_can_tell(
    house: Gatehouse, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    base, head = honest(house, REQUIRE)
    given = ["--repo", str(house.clones.operator.path), "gate", "--base", base, "--head", head, "--json"]
    assert run([*given, "--prometheus", f"http://127.0.0.1:{free_port()}"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "ERROR"
    assert run([*given, "--prometheus", own(house)]) == 0
    told = json.loads(capsys.readouterr().out)
    basis = {gate["name"]: (gate["basis"], gate["claimed_by"]) for gate in told["gates"]}
    assert basis[MEASURED] == ("re-measured", None)
    assert basis[CLAIMS] == ("claimed", "operator@example.com")
    assert run([*given, "--prometheus", "file:///etc/passwd"]) == 2
    assert run([*given, "--prometheus-token-file", str(tmp_path)]) == 2
