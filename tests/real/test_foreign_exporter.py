"""Living engines with names of their own, by configuration alone: serving truth, kill and release, doctor metrics."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import foreign_exporter
from support.clones import make_clones
from support.foreign_exporter import CONTRACT
from support.gatehouse import LIVE, MODEL, POLICY, SOAKED, life
from support.prometheus import running, wait_until
from support.shell import Shell

from ml.adapters.prometheus import Prometheus
from ml.board import KillView, Rung
from ml.clock import SystemClock
from ml.emergency.kill import KillControl, KnownContracts
from ml.emergency.switch import KillSwitch
from ml.policy import parse_policy
from ml.records.audit import AuditLog
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH
from ml.slo.roster import serving
from ml.stage import Stage

pytestmark = pytest.mark.xdist_group("foreign")

_SCRAPE = """
scrape_configs:
- job_name: engines
  static_configs:
"""
NAMED_ALERTS = "".join(
    f"  - {{alert: {name}, expr: 'sum by (model) (up) > 1e9'}}\n"
    for name in ("MlInferenceLatencyHigh", "MlInferenceLatencyCritical", "MlInferenceErrorRateHigh")
)
LOADED = f"groups:\n- name: named\n  rules:\n{NAMED_ALERTS}"


@contextmanager
def engines(folder: Path, *commands: Sequence[str | Path]) -> Iterator[str]:
    """Run engines under a Prometheus that scrapes them each second; the address of that Prometheus."""
    running_ones: list[subprocess.Popen[bytes]] = []
    ports = [folder / f"{number}.port" for number in range(len(commands))]
    log = folder / "engines.log"
    try:
        with log.open("wb") as output:
            for command, port in zip(commands, ports, strict=True):
                argv = [sys.executable, *map(str, command), str(port)]
                started = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True)
                running_ones.append(started)
        wait_until(lambda: all(port.exists() for port in ports), 30.0, log)
        targets = "".join(
            f"  - {{targets: ['127.0.0.1:{port.read_text()}'], labels: {{model: {MODEL}}}}}\n" for port in ports
        )
        with running(folder / "prometheus", config=_SCRAPE + targets, rules=LOADED) as server:
            server.rules_evaluated()
            yield server.url
    finally:
        for each in running_ones:
            each.kill()
            each.wait()


def until(condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, f"not within {deadline_s:g} s"
        time.sleep(0.1)


@dataclass(frozen=True)
class Foreign:
    """Two foreign engines, shadow and live, and their kill file."""

    url: str
    kill: Path
    folder: Path


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    folder = tmp_path_factory.mktemp("living")
    script, kill = foreign_exporter.__file__, folder / "kill.env"
    shadow, live = (script, "shadow", SOAKED, kill), (script, "live", LIVE, kill)
    with engines(folder, shadow, live) as url:
        metrics = Prometheus(url)
        counted = "count(count_over_time(inference_seconds_count[1m]) >= 4)"
        until(lambda: [each.points[0][1] for each in metrics.query(counted).series] == [2.0])
        yield Foreign(url, kill, folder)


def test_serving_truth_comes_from_the_contracts_gauge(living: Foreign) -> None:
    policy = parse_policy(f"{CONTRACT}\n[model.{MODEL}]\nselector = 'model=\"{MODEL}\"'\n".encode())
    found = serving(Prometheus(living.url), policy, [MODEL])[MODEL]
    assert [(each.stage, each.artifact_id, each.registry_commit, each.active_on) for each in found] == [
        (Stage.ACTIVE, LIVE, "c0ffee", 1.0),
        (Stage.SHADOW, SOAKED, "c0ffee", 0.0),
    ]
    assert serving(Prometheus(living.url), parse_policy(None), [MODEL])[MODEL] == ()


def control_of(living: Foreign, contracts: KnownContracts) -> KillControl:
    clock, audit = SystemClock(), AuditLog(living.folder / "audit.jsonl")
    return KillControl(
        KillSwitch(living.kill, (), audit, clock), Prometheus(living.url), audit, clock, 60.0, lambda: contracts
    )


def seen(control: KillControl, rung: Rung) -> KillView:
    views = [control.view()]

    def reached() -> bool:
        views.append(control.view())
        return views[-1].rung is rung

    until(reached, 45.0)
    return views[-1]


def test_kill_and_release_are_confirmed_by_the_contract_alone(living: Foreign) -> None:
    control = control_of(living, KnownContracts((parse_policy(CONTRACT.encode()).metrics,)))
    assert control.kill("ann@example.com", "p99 spike").rung is Rung.WRITTEN
    killed = seen(control, Rung.CONFIRMED)
    assert (killed.engines, killed.proven) == (2, 2)
    assert {each.why for each in killed.instances} == {"blocked by the kill switch"}

    assert control_of(living, KnownContracts()).view().rung is not Rung.CONFIRMED

    control.release("ann@example.com", "rolled back")
    back = seen(control, Rung.CONFIRMED)
    assert {each.why for each in back.instances} == {"it infers again"}


# The doctor, as it is typed.


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    files: dict[str, str | bytes] = {
        REGISTRY_PATH: life(datetime.now(UTC).replace(microsecond=0)).raw,
        POLICY_PATH: f"{POLICY}[model.{MODEL}]\nselector = 'model=\"{MODEL}\"'\n",
    }
    clones = make_clones(tmp_path, files)
    monkeypatch.chdir(clones.operator.path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Shell(clones, capfd)


def ruled(shell: Shell, policy: str) -> None:
    """Let the base have another policy."""
    shell.clones.operator.git("checkout", "-q", "-B", "main", "origin/main")
    text = (shell.path / POLICY_PATH).read_text()
    shell.clones.operator.commit("State the metrics", {POLICY_PATH: f"{text}\n{policy}"})
    shell.clones.operator.git("update-ref", "refs/remotes/origin/main", "HEAD")


def test_the_doctor_names_what_is_missing_and_its_proposal_passes(
    shell: Shell, living: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLCONSOLE_PROMETHEUS_URL", living.url)
    code, found = shell.document("doctor", "metrics")
    assert (code, found["verdict"]) == (1, "FAIL")
    missing = {(each["role"], each["stage"]) for each in found["needs"] if each["verdict"] != "PASS"}
    assert missing == {
        *((role, stage) for role in ("latency", "successes", "errors", "serving") for stage in ("shadow", "active")),
        ("receipt.active", "active"),
        ("receipt.blocked", ""),
        ("receipt.inferred", ""),
    }
    proposal = found["proposal"]["toml"]
    assert 'latency = "inference_seconds"  # found inference_seconds_bucket{deployment=' in proposal
    assert tomllib.loads(proposal)["metrics"] == {
        "latency": "inference_seconds",
        "unit": "seconds",
        "successes": {"name": "predictions_total", "where": {"outcome": "ok"}},
        "errors": {"name": "predictions_total", "where_not": {"outcome": "ok"}},
        "labels": {"mode": "deployment", "active": "live"},
        "serving": {"metric": "loaded_model_info", "artifact": "version", "commit": "registry_commit"},
        "receipt": {"active": "trading_active", "engaged": "kill_switch_on"},
    }

    ruled(shell, proposal)
    code, out, _ = shell.run("doctor", "metrics", MODEL)
    assert code == 0, out
    assert "[PASS]    soak and board: p99, p999, p95" in out
    assert "[PASS]    kill: CONFIRMED" in out
    code, found = shell.document("doctor", "metrics")
    assert (code, found["verdict"], found["proposal"]) == (0, "PASS", None)


def test_the_doctor_says_so_where_nothing_answers(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shell.run("doctor", "metrics")[0] == 3
    monkeypatch.setenv("MLCONSOLE_PROMETHEUS_URL", "http://127.0.0.1:1")
    assert shell.run("doctor", "metrics")[0] == 3
    assert shell.run("doctor", "metrics", "nobody")[0] == 5
    assert shell.run("doctor", MODEL, "metrics")[0] == 2


def test_the_exporter_of_the_documentation_has_everything(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "connect-engine.md").read_text()
    source = re.findall(r"```python\n(.*?)```", page, re.S)[0]
    assert len(source.splitlines()) <= 30
    # The page takes a port as its last word; a test lets the kernel choose it, and reads it from a file.
    serve = 'start_http_server(int(port), addr="127.0.0.1")'
    assert serve in source
    chosen = 'server, _ = start_http_server(0, addr="127.0.0.1"); Path(port).write_text(str(server.server_port))'
    script, kill = tmp_path / "exporter.py", tmp_path / "kill.env"
    script.write_text(source.replace(serve, chosen))
    commit = "c0ffee"
    with engines(tmp_path, (script, "shadow", SOAKED, commit, kill), (script, "active", LIVE, commit, kill)) as url:
        monkeypatch.setenv("MLCONSOLE_PROMETHEUS_URL", url)
        metrics = Prometheus(url)
        until(lambda: len(metrics.query("grinder_ml_inference_latency_ms_count > 0").series) == 2)
        code, out, _ = shell.run("doctor", "metrics")
        assert code == 0, out
        assert out.count("[PASS]") >= 13
