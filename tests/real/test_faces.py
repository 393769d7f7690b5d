"""A ten-minute burst four hours ago, on a real Prometheus and a real repository: no face calls that model well.

This is the situation in which the first edition drew PASS on every row, and ended ``status`` in 0.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.chromium import chromium_page
from support.clones import Clones, Folder, clean_environment, make_clones
from support.engine_past import HOUR, MINUTE, EnginePast, calm, during, steady
from support.gatehouse import LIVE, MODEL, OLD, POLICY, SOAKED, artifact_files, life
from support.prometheus import RealPrometheus, running
from support.trusting import trust
from support.walk import shown_on

from console.app import ConsoleApp
from console.config import load
from console.invocation import open_session
from ml.clock import SystemClock
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH
from widgets.model_list import ModelList

pytestmark = pytest.mark.xdist_group("situations")

SOON_S = 60.0
RULES = """
groups:
- name: named by the default policy
  rules:
  - {alert: MlInferenceLatencyHigh, expr: grinder_ml_inference_total < 0}
  - {alert: MlInferenceLatencyCritical, expr: grinder_ml_inference_total < 0}
  - {alert: MlInferenceErrorRateHigh, expr: grinder_ml_inference_total < 0}
"""
CRAWLING = steady({250.0: 60.0})


@dataclass(frozen=True)
class World:
    """A clone whose shadow artifact landed 30 hours ago, and the Prometheus that has seen its engines since."""

    clones: Clones
    prometheus: RealPrometheus

    @property
    def here(self) -> Folder:
        return self.clones.operator

    @property
    def environ(self) -> dict[str, str]:
        return clean_environment(self.here.home)

    def run(self, *words: str) -> tuple[int, str]:
        """The command line as a process of its own; exit code and stdout."""
        ended = subprocess.run(
            [sys.executable, "-m", "console", *words],
            cwd=self.here.path,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in ended.stderr
        return ended.returncode, ended.stdout


def engines(now: float) -> Iterator[EnginePast]:
    """The one in shadow crawled for ten minutes four hours ago; the live one never did."""
    burst = (now - 4 * HOUR, now - 4 * HOUR + 10 * MINUTE)
    for mode, artifact, latencies in (
        ("shadow", SOAKED, during(*burst, CRAWLING, calm)),
        ("active", LIVE, calm),
    ):
        yield EnginePast(
            model=MODEL,
            begin=now - 31 * HOUR,
            end=now + 20 * MINUTE,
            step_s=15.0,
            mode=mode,
            counter_mode=mode,
            instance=f"{mode}:8000",
            artifact=artifact,
            latencies=latencies,
        )


@contextmanager
def landed_ago(hours: float) -> Iterator[None]:
    """Git commits as if it were so long ago."""
    at = f"{int(time.time() - hours * HOUR)} +0000"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "support.clones.clean_environment",
            lambda home: clean_environment(home) | {"GIT_COMMITTER_DATE": at, "GIT_AUTHOR_DATE": at},
        )
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("burst")
    now = time.time()
    lines = [line for past in engines(now) for line in past.lines()]
    with running(home / "prometheus", history=lines, rules=RULES) as server:
        server.rules_evaluated()
        files: dict[str, str | bytes] = {
            REGISTRY_PATH: life(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)).raw,
            POLICY_PATH: POLICY,
            "console.toml": f'[prometheus]\nurl = "{server.url}"\npoll_seconds = 1\n',
        }
        for name in (OLD, LIVE, SOAKED):
            files |= artifact_files(name)
        with landed_ago(30):
            clones = make_clones(home, files)
        made = World(clones, server)
        trust(made.here.path, made.environ)
        yield made


def test_status_in_every_form_says_it_and_ends_in_one(world: World) -> None:
    code, out = world.run("status")
    assert code == 1, out
    assert "[FAIL]    soak: p99 breached in" in out
    assert "shadow→active: blocked by soak FAIL, p99 FAIL" in out
    assert "[PASS]    p99 " not in out
    code, out = world.run("--json", "status")
    document = json.loads(out)
    assert (code, document["verdict"]) == (1, "FAIL")
    model = document["models"][MODEL]
    assert (model["verdict"], model["decided_by"], model["soak"]["verdict"]) == ("FAIL", "soak", "FAIL")
    assert {each["verdict"] for each in model["readings"] if each["name"] == "p99"} == {"FAIL"}


def test_the_line_for_prompts_judges_every_soak_and_is_not_ok(world: World) -> None:
    for snapshot in (world.here.home / ".local/state").rglob("status.json"):
        snapshot.unlink()
    code, out = world.run("status", "--short")
    assert (code, out) == (1, f"KILL off | {MODEL}:soak FAIL\n")
    code, again = world.run("status", "--short")  # from the board that was just judged, or judged anew after two polls
    assert (code, again.partition(" | ")[2].partition(" | ")[0].strip()) == (1, f"{MODEL}:soak FAIL")


async def test_screen_row_pane_gate_line_and_title_say_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    settings = load(repo=str(world.here.path), environ=world.environ)
    app = ConsoleApp(open_session(settings), SystemClock(), poll_seconds=1.0)
    async with app.run_test(size=(80, 24)) as pilot:
        ends = time.monotonic() + SOON_S
        greens = 0
        while "BLOCKED: 2 FAIL" not in (text := "\n".join(shown_on(pilot))):
            assert time.monotonic() < ends, text
            # Until the soak is judged nothing says more than that it waits.
            greens += "GATE shadow→active · OPEN" in text
            greens += app.window_title.startswith("PASS")
            await pilot.pause(0.05)
        assert greens == 0
        lines = [" ".join(line.split()) for line in text.splitlines()]
        assert any("SHADOW · BREACHED" in line for line in lines), text
        assert any(line.startswith("✗ FAIL soak") for line in lines), text
        assert any("FAIL p99 now" in line and "in the soak FAIL" in line for line in lines), text
        assert "✗ FAIL" in app.screen.query_one(ModelList).row(0).plain
        assert app.window_title.startswith("FAIL")


async def test_a_browser_shows_the_same(world: World, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "console", "serve", "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=world.here.path, env=world.environ, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stderr is not None
        url = (await asyncio.wait_for(process.stderr.readline(), SOON_S)).decode().strip()
        async with chromium_page(tmp_path) as page:
            await page.go(url)
            text = await page.wait_for("BLOCKED: 2 FAIL", SOON_S)
            assert "SHADOW · BREACHED" in text
            assert "OPEN" not in text.partition("GATE")[2].partition("\n")[0]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def test_with_a_silent_prometheus_nothing_green_is_left(world: World) -> None:
    """The last test of this file: the server answers nobody any more."""
    os.killpg(world.prometheus.process.pid, signal.SIGSTOP)
    time.sleep(2.5)  # two polls, after which no snapshot is believed
    code, out = world.run("status", "--short")
    assert code in (1, 3)
    assert f"{MODEL}:" in out
    assert "ok" not in out
    code, out = world.run("status")
    assert code in (1, 3)
    assert "PASS" not in out
