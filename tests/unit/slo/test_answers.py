"""Reading answers: strict envelopes, times, clocks, and what an Alertmanager says."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fixed_metrics import NOW, POLICY, FixedMetrics, rules

from ml.slo import exchanges, source
from ml.slo.alert_findings import Ours
from ml.slo.alerts import alerts_now, alerts_of_soak, history_query
from ml.slo.buckets import bound
from ml.slo.exchanges import Failure, Recorder, clock_doubt, moment_of, skew_of
from ml.slo.promql import Scope
from ml.slo.source import Answer, Ask, BadAnswer, Kind, MetricsError, Scalar, Series, SourceUnreachable
from ml.slo.tape import Grid
from ml.stage import Stage
from ml.verdict import Code, Verdict

QUIET = POLICY.alerts.quiet
OURS = Ours("regime_classifier", Stage.SHADOW)
WORDS = st.sampled_from(["status", "data", "result", "resultType", "warnings", "error"]) | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
)
GRID = Grid(NOW - timedelta(hours=1), 300, 12)


class TestEnvelope:
    def test_warnings_are_kept_and_made_visible(self) -> None:
        raw = b'{"status":"success","warnings":["a\\u001b[31mb"],"data":{"resultType":"vector","result":[]}}'
        assert source.read(raw, Kind.QUERY).warnings == ("a␛[31mb",)

    def test_values_are_floats_whatever_they_are(self) -> None:
        raw = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1.5,"-Inf"]}]}}'
        assert source.read(raw, Kind.QUERY).series == (Series((), ((1.5, float("-inf")),)),)

    @pytest.mark.parametrize(
        "result",
        [
            [{"metric": {}, "value": [1]}],
            [{"metric": {}, "value": [1, 2]}],
            [{"metric": {}, "value": ["1", "2"]}],
            [{"metric": {}, "value": [True, "2"]}],
            [{"metric": {}, "value": [1e300, "2"]}],
            [{"metric": {}, "value": [-1, "2"]}],
            [{"metric": [], "value": [1, "2"]}],
            [{"value": [1, "2"]}],
            [None],
            7,
        ],
    )
    def test_a_malformed_series_is_no_series(self, result: object) -> None:
        raw = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
        with pytest.raises(BadAnswer, match="malformed"):
            source.read(raw, Kind.QUERY)

    @given(st.binary(max_size=200), st.sampled_from(Kind))
    def test_no_bytes_make_it_raise_anything_else(self, raw: bytes, kind: Kind) -> None:
        with pytest.raises(MetricsError):
            source.read(raw, kind)

    @given(JSON)
    def test_no_json_does_either(self, value: object) -> None:
        for document in (value, {"status": "success", "data": value}, {"status": "error", "error": value}):
            raw = json.dumps(document).encode()
            assert all(complaint(raw, kind).isprintable() for kind in (Kind.QUERY, Kind.RANGE, Kind.RULES))


def complaint(raw: bytes, kind: Kind) -> str:
    """What the reader objects to; empty when it reads on."""
    try:
        source.read(raw, kind)
    except MetricsError as error:
        return str(error)
    return ""


class TestClocks:
    @pytest.mark.parametrize(("server_s", "skew"), [(0, 0), (0.8, 0), (3, 2), (-2, -2)])
    def test_what_the_exchange_itself_took_is_no_skew(self, server_s: float, skew: float) -> None:
        series = (Series((), ((NOW.timestamp() + server_s, 1.0),)),)
        answer = Answer(ask=Ask(Kind.QUERY), raw=b"", url="", asked_at=NOW, seconds=1.0, series=series)
        assert skew_of(answer) == skew

    def test_without_a_point_nothing_is_known(self) -> None:
        assert skew_of(Answer(ask=Ask(Kind.QUERY), raw=b"", url="", asked_at=NOW, seconds=1.0)) is None

    @pytest.mark.parametrize("points", [(), ((1.0, float("nan")),), ((1.0, float("inf")),), ((1.0, 2.0), (3.0, 4.0))])
    def test_an_answer_without_one_number_is_no_time(self, points: tuple[tuple[float, float], ...]) -> None:
        series = (Series((), points),)
        clock = Answer(ask=Ask(Kind.QUERY), raw=b"", url="", asked_at=NOW, seconds=1.0, series=series)
        assert Scalar.of(series) is None
        doubt = clock_doubt(clock, (clock,), NOW)
        assert doubt is not None
        assert (doubt.verdict, doubt.code) == (Verdict.NO_DATA, Code.CLOCK_UNKNOWN)

    def test_one_number_is_a_time(self) -> None:
        series = (Series((), ((NOW.timestamp(), 7.0),)),)
        assert Scalar.of(series) == Scalar(at=NOW.timestamp(), value=7.0)
        clock = Answer(ask=Ask(Kind.QUERY), raw=b"", url="", asked_at=NOW, seconds=1.0, series=series)
        assert clock_doubt(clock, (clock,), NOW) is None
        assert Scalar.of((*series, *series)) is None

    @pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e300, -1e300])
    def test_no_number_makes_a_time_that_is_none(self, seconds: float) -> None:
        assert moment_of(seconds) is None


@pytest.mark.parametrize(("text", "number"), [("100", 100.0), ("100.0", 100.0), ("1e2", 100.0), ("+Inf", float("inf"))])
def test_a_bound_is_compared_as_a_number(text: str, number: float) -> None:
    assert bound(text) == number


class TestTranscript:
    def test_an_exchange_comes_back_as_it_was(self) -> None:
        metrics = FixedMetrics()
        answer = metrics.query("time()", NOW + timedelta(microseconds=7))
        written = json.loads(json.dumps(exchanges.write(answer)))
        assert exchanges.read(written) == answer

    def test_bytes_that_are_no_text_are_kept_too(self) -> None:
        raw = b'{"status":"success","data":{"resultType":"vector","result":[]},"x":"\xff"}'
        answer = Answer(ask=Ask(Kind.QUERY, "up"), raw=raw, url="", asked_at=NOW, seconds=0.1)
        assert "body_base64" in exchanges.write(answer)


class TestAlerts:
    def view(self, metrics: FixedMetrics) -> tuple[Verdict, str]:
        found = alerts_of_soak(Recorder(metrics), POLICY, NOW, GRID, Scope(Stage.SHADOW), OURS)
        return found.verdict, found.why

    def test_quiet(self) -> None:
        assert self.view(FixedMetrics()) == (Verdict.PASS, "All named alert rules are loaded and quiet.")

    def test_the_board_asks_once(self) -> None:
        metrics = FixedMetrics()
        reading = alerts_now(Recorder(metrics), QUIET, NOW).reading(NOW)
        assert len(metrics.asked) == 1
        assert (reading.name, reading.verdict) == ("alerts", Verdict.PASS)

    def test_one_name_for_two_rules_is_as_bad_as_the_worse(self) -> None:
        metrics = FixedMetrics()
        one = json.loads(metrics.rules_raw)["data"]["groups"][0]
        other = json.loads(rules(**{QUIET[0]: "firing"}))["data"]["groups"][0]
        metrics.rules_raw = json.dumps({"status": "success", "data": {"groups": [one, other]}}).encode()
        assert self.view(metrics) == (Verdict.FAIL, f"{QUIET[0]} is firing.")

    @pytest.mark.parametrize(
        ("evaluated", "verdict", "says"),
        [
            ("0001-01-01T00:00:00Z", Verdict.NO_DATA, "was never evaluated"),
            ("2026-02-17T13:00:00.123456789Z", Verdict.STALE, "was evaluated 59m59s ago, and not since"),
            ("yesterday", Verdict.NO_DATA, "was never evaluated"),
        ],
    )
    def test_a_rule_that_is_not_evaluated_proves_nothing(self, evaluated: str, verdict: Verdict, says: str) -> None:
        metrics = FixedMetrics()
        metrics.rules_raw = metrics.rules_raw.replace(b"2026-02-17T13:59:55Z", evaluated.encode())
        found, why = self.view(metrics)
        assert found is verdict
        assert says in why

    def test_a_recording_rule_of_that_name_is_no_alert(self) -> None:
        metrics = FixedMetrics()
        metrics.rules_raw = metrics.rules_raw.replace(b"alerting", b"recording")
        assert self.view(metrics)[0] is Verdict.VACUOUS

    def test_the_alerts_endpoint_is_believed_where_the_rules_are_quiet(self) -> None:
        metrics = FixedMetrics()
        alert = {"labels": {"alertname": QUIET[1]}, "state": "firing"}
        metrics.alerts_raw = json.dumps({"status": "success", "data": {"alerts": [alert]}}).encode()
        assert self.view(metrics) == (Verdict.FAIL, f"{QUIET[1]} is firing.")

    def test_what_fired_is_named_with_its_time(self) -> None:
        metrics = FixedMetrics()
        middle = (NOW - timedelta(minutes=30)).timestamp()
        metrics.ranged["history"] = [({"alertname": QUIET[2]}, lambda at: 1.0 if at > middle else None)]
        verdict, why = self.view(metrics)
        assert verdict is Verdict.FAIL
        assert why == f"{QUIET[2]} fired during the soak, first by 2026-02-17T13:35:00Z."

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_any_of_the_three_questions_may_fail(self, number: int) -> None:
        metrics = FixedMetrics()
        metrics.failures[number] = SourceUnreachable("Prometheus is gone.", "Start it.")
        assert self.view(metrics) == (Verdict.ERROR, "Prometheus is gone.")

    def test_names_are_text_and_not_patterns(self) -> None:
        assert 'alertname=~"a\\\\.b|c\\\\|d"' in history_query(["a.b", "c|d"])

    @pytest.mark.parametrize(
        ("matcher", "which"),
        [
            ({"name": "alertname", "value": QUIET[0], "isRegex": False}, QUIET[0]),
            ({"name": "alertname", "value": "MlInferenceLatency.*", "isRegex": True}, f"{QUIET[0]}, {QUIET[1]}"),
            ({"name": "alertname", "value": "Other", "isRegex": False}, ""),
            ({"name": "alertname", "value": "Other", "isRegex": False, "isEqual": False}, ", ".join(QUIET)),
            ({"name": "alertname", "value": "(", "isRegex": True}, ", ".join(QUIET)),
            ({"name": "alertname", "value": f"^({QUIET[1]}|x.+)$", "isRegex": True}, QUIET[1]),
            ({"name": "alertname", "value": "MlInference.*", "isRegex": True, "isEqual": False}, ""),
            ({"name": "alertname", "value": "(([A-Za-z]+)+)+!", "isRegex": True}, ", ".join(QUIET)),
            ({"name": "severity", "value": "p.*", "isRegex": True}, f'{", ".join(QUIET)} where severity=~"p.*"'),
            ({"name": "le\u202e", "value": "1", "isEqual": False}, f'{", ".join(QUIET)} where le\\u{{202e}}!="1"'),
        ],
    )
    def test_silences_are_told_beside_the_verdict(self, matcher: dict[str, object], which: str) -> None:
        metrics = FixedMetrics()
        silence = self.silence(matcher)
        metrics.silences_raw = json.dumps([silence, {**silence, "status": {"state": "expired"}}]).encode()
        told = f" Silenced in Alertmanager: {which}, by ann\\u{{202e}} until 2026-02-18T00:00:00Z."
        quiet = "All named alert rules are loaded and quiet."
        assert self.view(metrics) == (Verdict.PASS, f"{quiet}{told if which else ''}")

    @staticmethod
    def silence(matcher: dict[str, object]) -> dict[str, object]:
        """A silence in force with this matcher."""
        state, ends = {"state": "active"}, "2026-02-18T00:00:00.000Z"
        return {"status": state, "matchers": [matcher], "createdBy": "ann\u202e", "endsAt": ends}

    def test_of_many_silences_three_are_told_and_the_rest_is_counted(self) -> None:
        metrics = FixedMetrics()
        silence = self.silence({"name": "alertname", "value": QUIET[0]})
        metrics.silences_raw = json.dumps([silence] * 9 + [{**silence, "endsAt": "\x1b[2J"}]).encode()
        _, why = self.view(metrics)
        assert why.count("Silenced in Alertmanager: ") == 3
        assert why.endswith(" Alertmanager holds 7 more silences of them.")
        assert why.isprintable()

    def test_an_unreachable_alertmanager_costs_no_patience_with_prometheus(self) -> None:
        metrics = FixedMetrics()
        metrics.silences_raw = b"[]"
        metrics.failures = dict.fromkeys(range(3), SourceUnreachable("Alertmanager is gone.", "Start it."))
        recorder = Recorder(metrics)
        assert all(isinstance(recorder.silences(), Failure) for _ in range(3))
        assert isinstance(recorder.rules(), Answer)
        assert [type(each) for each in recorder.exchanges] == [Failure] * 3 + [Answer]

    def test_an_alertmanager_that_is_sick_is_told_and_changes_no_verdict(self) -> None:
        metrics = FixedMetrics()
        metrics.silences_raw = b"<html>"
        verdict, why = self.view(metrics)
        assert verdict is Verdict.PASS
        assert "Silences are unknown: " in why
