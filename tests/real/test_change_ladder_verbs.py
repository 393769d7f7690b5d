"""A change up to SERVING, by a real engine and a real Prometheus that scrapes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clones import make_clones
from support.engines import Deployment, EngineProcess, engine
from support.gatehouse import FRESH, LIVE, MODEL, OLD, POLICY, SOAKED, artifact_files, life
from support.prometheus import running
from support.shared_remote import SharedRemote

from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

CHECKS = '[checks]\nunit_tests = ["python3", "-c", "print(\'2 passed\')"]\n'
SCRAPE = "scrape_configs: [{{job_name: engines, static_configs: [{{targets: ['{target}']}}]}}]"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> SharedRemote:
    """An operator's clone, in which FRESH stands in staging."""
    files: dict[str, str | bytes] = {
        REGISTRY_PATH: life(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5), staged=True).raw,
        POLICY_PATH: POLICY + CHECKS,
    }
    for name in (OLD, LIVE, SOAKED, FRESH):
        files |= artifact_files(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return SharedRemote(make_clones(tmp_path, files), tmp_path, capfd)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A folder of a deployer, with the candidate's files."""
    made = Deployment(tmp_path / "deployed")
    for path, content in artifact_files(FRESH).items():
        (made.root / path).parent.mkdir(parents=True, exist_ok=True)
        (made.root / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return made


@pytest.fixture
def shadow(
    desk: SharedRemote, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EngineProcess]:
    """An engine in shadow that serves SOAKED by the base of the beginning, and a Prometheus that scrapes it."""
    deployment.deploy(desk.clones.tip(), shadow=SOAKED)
    with (
        engine(deployment, "shadow") as process,
        running(tmp_path / "prometheus", config=SCRAPE.format(target=process.target)) as prometheus,
    ):
        process.until(lambda: process.serves() == SOAKED)
        monkeypatch.setenv("MLCONSOLE_PROMETHEUS_URL", prometheus.url)
        yield process


def test_a_change_is_followed_until_the_engine_serves_it(
    desk: SharedRemote, deployment: Deployment, shadow: EngineProcess
) -> None:
    code, done = desk.document("promote", MODEL, "--to", "shadow", "--reason", "as planned")
    assert code == 0
    branch = done["branch"]
    assert desk.document("land", branch)[0] == 0
    landed = desk.clones.tip()

    code, waited = desk.document("change", "wait", branch, "--until", "merged")
    assert code == 0
    code, waited = desk.document("change", "wait", branch, "--until", "deployed", "--timeout", "2s")
    rungs = waited["change"]["rungs"]
    assert (code, rungs["deployed"]["state"]) in [(4, "waiting"), (3, "unknown")]

    deployment.deploy("f" * 40, shadow=FRESH)
    shadow.until(lambda: shadow.serves() == FRESH)
    code, waited = desk.document("change", "wait", branch, "--until", "serving", "--timeout", "5s")
    rungs = waited["change"]["rungs"]
    assert (code, rungs["deployed"]["code"]) == (3, "commit-unknown")

    deployment.deploy(landed, shadow=FRESH)
    code, waited = desk.document("change", "wait", branch, "--until", "serving", "--timeout", "60s")
    rungs = waited["change"]["rungs"]
    assert (code, waited["outcome"], waited["change"]["done"]) == (0, "reached", True)
    assert rungs["serving"]["proof"]["text"].endswith(f"shadow {FRESH} of registry {landed}")
    assert rungs["serving"]["at"]
    assert desk.document("change", "list")[1]["changes"] == []

    shadow.end()
    code, waited = desk.document("change", "wait", branch, "--until", "serving", "--timeout", "0s")
    while code == 0:  # until the next scrape fails
        code, waited = desk.document("change", "wait", branch, "--until", "serving", "--timeout", "0s")
    assert code in (3, 4)
