"""The adapter against a real Prometheus and against servers that are sick: in time, typed, and let in."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.prometheus import Line, RealPrometheus, running
from support.sick_server import drips, floods, hangs, response, says, sick

from ml.adapters.http_deadline import Access
from ml.adapters.prometheus import Prometheus
from ml.errors import Usage
from ml.slo.source import BadAnswer, QuestionRefused, SourceTimedOut, SourceUnreachable

pytestmark = pytest.mark.xdist_group("prometheus")

PASSWORD = "secret-for-tests"
# bcrypt of the password above, as Prometheus's web configuration wants it
HASHED = "$2b$04$Xr1g0Z4f.OQd1Z8snIXlI.qMM3zcwh/jzSlQzMRpM69ivUUCheC6e"
GOOD = response(b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    now = time.time()
    gauge = Line("depth", {"side": "left"}, [(now - 3600 + i * 60, float(i)) for i in range(61)])
    with running(tmp_path_factory.mktemp("prometheus"), history=[gauge]) as prometheus:
        yield prometheus


def test_an_instant_answer_keeps_its_series_its_bytes_and_its_times(server: RealPrometheus) -> None:
    before = datetime.now(UTC)
    answer = Prometheus(server.url).query("depth")
    (series,) = answer.series
    assert series.label("side") == "left"
    assert series.label("absent") == ""
    assert series.points[0][1] == 60.0
    assert json.loads(answer.raw)["data"]["result"][0]["value"][1] == "60"
    assert before <= answer.asked_at <= datetime.now(UTC)
    assert answer.query == "depth"
    assert answer.url == server.url
    assert answer.warnings == ()


def test_a_moment_in_the_past_is_asked_about_at_that_moment(server: RealPrometheus) -> None:
    at = datetime.now(UTC) - timedelta(minutes=30)
    (series,) = Prometheus(server.url).query("depth", at).series
    assert series.points[0][0] == pytest.approx(at.timestamp(), abs=0.001)
    assert series.points[0][1] == pytest.approx(30, abs=1)


def test_a_range_has_a_point_per_step(server: RealPrometheus) -> None:
    end = datetime.now(UTC).replace(microsecond=0)
    answer = Prometheus(server.url).query_range("depth", end - timedelta(minutes=50), end, 300)
    assert [point[0] for point in answer.series[0].points] == [end.timestamp() - 300 * i for i in range(10, -1, -1)]


def test_a_scalar_counts_as_one_series(server: RealPrometheus) -> None:
    (series,) = Prometheus(server.url).query("time()").series
    assert series.points[0][1] == pytest.approx(time.time(), abs=5)


def test_rules_and_alerts_are_answers_too(server: RealPrometheus) -> None:
    prometheus = Prometheus(server.url)
    assert b'"groups"' in prometheus.rules().raw
    assert b'"alerts":[]' in prometheus.alerts().raw
    assert prometheus.silences() is None


def test_a_query_that_is_too_long_for_an_address_is_posted(server: RealPrometheus) -> None:
    long = " or ".join(["depth"] * 3000)
    assert len(long) > 20_000
    assert len(Prometheus(server.url, timeout_s=20).query(long).series) == 1


def test_connections_are_used_again_and_none_is_left_open(server: RealPrometheus) -> None:
    prometheus = Prometheus(server.url)
    prometheus.query("depth")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(50):
        prometheus.query("depth")
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert after <= before
    assert threading.active_count() < 20
    prometheus.close()


def test_threads_may_share_one_adapter(server: RealPrometheus) -> None:
    prometheus, found = Prometheus(server.url), []

    def ask(number: int) -> None:
        found.append((number, prometheus.query(f"vector({number})").series[0].points[0][1]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(found) == [(number, float(number)) for number in range(16)]


@pytest.mark.parametrize(
    "behaviour",
    [hangs, drips(GOOD), drips(GOOD.replace(b"Connection", b"X-Slow: " + b"y" * 500 + b"\r\nConnection"))],
    ids=["hang", "drip", "drip within the headers"],
)
def test_the_deadline_is_total(behaviour: object) -> None:
    with sick(behaviour) as server:  # type: ignore[arg-type]
        started = time.monotonic()
        with pytest.raises(SourceTimedOut, match=r"gave no complete answer within 0\.5 s"):
            Prometheus(server.url, timeout_s=0.5).query("up")
        assert time.monotonic() - started < 1.0
        _no_thread_left("http")


def _no_thread_left(name: str) -> None:
    """The thread that was left behind at a deadline ends by itself soon after."""
    ends = time.monotonic() + 3
    while any(thread.name == name for thread in threading.enumerate()):
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_an_answer_without_an_end_is_cut() -> None:
    with sick(floods()) as server, pytest.raises(BadAnswer, match="more than 1 MiB"):
        Prometheus(server.url, timeout_s=10, max_bytes=1 << 20).query("up")


def test_redirects_are_not_followed() -> None:
    with sick(says(GOOD)) as target:
        moved = response(b"", "302 Found", headers=f"Location: {target.url}/api/v1/query\r\n")
        with sick(says(moved)) as server, pytest.raises(BadAnswer, match=r"redirects to .*, which is not followed"):
            Prometheus(server.url).query("up")
        assert target.requests == []


def test_ambient_proxies_and_netrc_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with sick(says(GOOD)) as server:
        Prometheus(server.url, access=Access(bearer_token="right")).query("up")
    assert "Authorization: Bearer right" in server.requests[0]


def test_extra_headers_and_a_token_that_rotates(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    access = Access(bearer_token_file=token, headers={"X-Scope-OrgID": "desk-7"})
    with sick(says(GOOD)) as server:
        prometheus = Prometheus(server.url, access=access)
        prometheus.query("up")
        token.write_text("second\n")
        prometheus.query("up")
        token.unlink()
        with pytest.raises(Usage, match="cannot be read"):
            prometheus.query("up")
    assert "Authorization: Bearer first" in server.requests[0]
    assert "X-Scope-OrgID: desk-7" in server.requests[0]
    assert "Authorization: Bearer second" in server.requests[1]
    assert "second" not in repr(Access(bearer_token="second", password="second"))


def test_credentials_of_prometheus_are_not_shown_to_alertmanager() -> None:
    with sick(says(response(b"[]"))) as alertmanager:
        access = Access(bearer_token="secret", headers={"X-Scope-OrgID": "desk-7"})
        answer = Prometheus("http://127.0.0.1:1", access=access, alertmanager_url=alertmanager.url).silences()
    assert answer is not None
    assert answer.raw == b"[]"
    assert "secret" not in alertmanager.requests[0]
    assert "desk-7" not in alertmanager.requests[0]


class TestFallback:
    def test_a_second_address_answers_when_the_first_cannot(self, server: RealPrometheus) -> None:
        answer = Prometheus("http://127.0.0.1:1", fallback_url=server.url).query("depth")
        assert answer.url == server.url

    def test_also_when_the_first_hangs_within_the_one_deadline(self, server: RealPrometheus) -> None:
        with sick(hangs) as first:
            prometheus = Prometheus(first.url, fallback_url=server.url, timeout_s=2)
            started = time.monotonic()
            assert prometheus.query("depth").url == server.url
            assert time.monotonic() - started < 2
            started = time.monotonic()
            assert prometheus.query("depth").url == server.url
            assert time.monotonic() - started < 0.9, "the first one is left alone for a while"
            assert len(first.requests) == 1

    def test_a_refused_query_is_not_asked_twice(self, server: RealPrometheus) -> None:
        with sick(says(GOOD)) as second:
            with pytest.raises(QuestionRefused, match="parse error"):
                Prometheus(server.url, fallback_url=second.url).query("sum(")
            assert second.requests == []

    def test_when_both_are_down_the_last_one_is_named(self) -> None:
        with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1:2 cannot be reached"):
            Prometheus("http://127.0.0.1:1", fallback_url="http://127.0.0.1:2").query("up")


class TestClosedDoors:
    """A real Prometheus behind mutual TLS and a password."""

    @pytest.fixture(scope="class")
    def certificates(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("certificates")
        for name in ("server", "client"):
            _openssl(
                *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")),
            )
        return folder

    @pytest.fixture(scope="class")
    def guarded(self, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
        web = (
            f"tls_server_config: {{cert_file: {certificates / 'server.crt'}, key_file: {certificates / 'server.key'},"
            f" client_auth_type: RequireAndVerifyClientCert, client_ca_file: {certificates / 'client.crt'}}}\n"
            f"basic_auth_users: {{desk: '{HASHED}'}}\n"
        )
        with running(tmp_path_factory.mktemp("guarded"), web=web) as prometheus:
            yield prometheus

    @pytest.fixture
    def access(self, certificates: Path) -> Access:
        return Access(
            username="desk",
            password=PASSWORD,
            ca_file=certificates / "server.crt",
            cert_file=certificates / "client.crt",
            key_file=certificates / "client.key",
        )

    def test_ca_client_certificate_and_password_let_us_in(self, guarded: RealPrometheus, access: Access) -> None:
        assert Prometheus(guarded.url, access=access).query("vector(7)").series[0].points[0][1] == 7

    def test_a_password_from_a_file(self, guarded: RealPrometheus, access: Access, tmp_path: Path) -> None:
        (tmp_path / "password").write_text(PASSWORD + "\n")
        files = Access(
            username="desk",
            password_file=tmp_path / "password",
            ca_file=access.ca_file,
            cert_file=access.cert_file,
            key_file=access.key_file,
        )
        assert Prometheus(guarded.url, access=files).query("vector(7)").series

    def test_a_wrong_password_is_said(self, guarded: RealPrometheus, access: Access) -> None:
        wrong = Access(
            username="desk",
            password="wrong",
            ca_file=access.ca_file,
            cert_file=access.cert_file,
            key_file=access.key_file,
        )
        with pytest.raises(QuestionRefused, match=r"refuses our credentials \(401\)"):
            Prometheus(guarded.url, access=wrong).query("up")

    def test_an_unknown_authority_is_said(self, guarded: RealPrometheus) -> None:
        with pytest.raises(SourceUnreachable, match="TLS connection"):
            Prometheus(guarded.url).query("up")

    def test_without_our_certificate_we_stay_outside(self, guarded: RealPrometheus, access: Access) -> None:
        with pytest.raises((SourceUnreachable, BadAnswer)):
            Prometheus(guarded.url, access=Access(ca_file=access.ca_file, username="desk", password=PASSWORD)).query(
                "up"
            )

    def test_plain_http_to_a_tls_server_is_a_typed_failure(self, guarded: RealPrometheus) -> None:
        with pytest.raises((QuestionRefused, BadAnswer)):
            Prometheus(guarded.url.replace("https:", "http:")).query("up")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def test_nothing_is_asked_where_nothing_is_configured() -> None:
    with pytest.raises(SourceUnreachable, match="No Prometheus is configured") as caught:
        Prometheus("").query("up")
    assert caught.value.remedy
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://prometheus", "http://", "http://[::1", "//x"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(Usage, match="is no address that can be asked"):
        Prometheus(url).query("up")


def test_a_missing_tls_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="TLS file cannot be used"):
        Prometheus("https://127.0.0.1:1", access=Access(ca_file=tmp_path / "absent.pem")).query("up")
