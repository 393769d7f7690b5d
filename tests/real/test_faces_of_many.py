"""Many situations in one repository, on one Prometheus: every face of each model says what its gates say.

The models are rows of the table of situations under short names. The command line and a browser show the same registry.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import situations_basics, situations_engines, situations_unmeasured
from support.chromium import chromium_page
from support.clones import OPERATOR, Clones, clean_environment, make_clones
from support.engine_past import HOUR
from support.gatehouse import POLICY, artifact_files, pointer_to
from support.prometheus import running
from support.situations import Situation
from support.situations_basics import CONFIG, RULES
from support.trusting import trust

from ml.registry import changes
from ml.registry.codec import Document, empty_document
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH
from ml.stage import Stage
from ml.verdict import Verdict, worst

pytestmark = pytest.mark.xdist_group("situations")

SOON_S = 90.0
ROWS = {
    "a_quiet": "quiet_day",
    "a_burst": "ten_minute_burst",
    "a_failing": "six_percent_errors",
    "a_never": "never_inferred",
    "a_paused": "paused_ten_minutes_ago",
    "a_uncounted": "no_error_counter",
    "a_hung": "one_of_two_hung_for_three_hours",
    "a_low_top": "top_bucket_below_the_limit",
    "a_restarting": "restarted_seven_times",
    "a_no_bucket": "one_of_two_exports_no_buckets",
    "a_no_times": "one_of_two_exports_no_latencies",
    "a_only_fails": "one_of_two_only_fails",
    "a_standby": "one_of_two_serves_and_never_inferred",
}
_KNOWN = {
    each.name: each for each in (*situations_basics.TABLE, *situations_engines.TABLE, *situations_unmeasured.TABLE)
}
TABLE: dict[str, Situation] = {name: replace(_KNOWN[row], name=name) for name, row in ROWS.items()}


@dataclass(frozen=True)
class World:
    """A clone of a repository with all models in shadow, and what `status` says of them."""

    clones: Clones
    code: int
    models: dict[str, Any]

    @property
    def environ(self) -> dict[str, str]:
        return clean_environment(self.clones.operator.home)


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


def registry(now: datetime) -> Document:
    """Every model has one artifact, in shadow."""
    document = empty_document()
    for name in TABLE:
        by: dict[str, Any] = {"by": OPERATOR, "reason": "as planned"}
        artifact, at = f"{name}_v2026_02_16_001", now - timedelta(hours=30)
        document = changes.stage(document, name, pointer_to(artifact), **by, at=at).document
        document = changes.promote(document, name, Stage.SHADOW, **by, at=at + timedelta(minutes=1)).document
    return document


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home, now = tmp_path_factory.mktemp("many"), time.time()
    lines = [line for each in TABLE.values() for line in each.lines(now)]
    selectors = "".join(f"[model.{name}]\nselector = 'model=\"{name}\"'\n" for name in TABLE)
    with running(home / "prometheus", history=lines, rules=RULES, config=CONFIG) as server:
        server.rules_evaluated()
        files: dict[str, str | bytes] = {
            REGISTRY_PATH: registry(datetime.now(UTC).replace(microsecond=0)).raw,
            POLICY_PATH: POLICY + selectors,
            "console.toml": f'[prometheus]\nurl = "{server.url}"\npoll_seconds = 2\ntimeout_seconds = 20\n',
        }
        for name in TABLE:
            files |= artifact_files(f"{name}_v2026_02_16_001")
        with landed_ago(30):
            clones = make_clones(home, files)
        environ = clean_environment(clones.operator.home)
        trust(clones.operator.path, environ)
        ended = status(clones, environ, "--json")
        assert "models" in ended.stdout, ended.stdout + ended.stderr
        yield World(clones, ended.returncode, json.loads(ended.stdout)["models"])


def status(clones: Clones, environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """The verb as a process of its own."""
    before, after = ([words[0]], words[1:]) if words[:1] == ("--json",) else ([], words)
    argv = [sys.executable, "-m", "console", *before, "status", *after]
    return subprocess.run(
        argv, cwd=clones.operator.path, env=environ, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.mark.parametrize("name", TABLE)
def test_status_says_no_more_of_a_model_than_its_situation_proves(world: World, name: str) -> None:
    model, proven = world.models[name], worst([*TABLE[name].verdicts.values(), Verdict.PASS])
    assert Verdict(model["soak"]["verdict"]) is proven
    assert Verdict(model["verdict"]) is proven, model
    assert world.code != 0


def test_the_line_for_prompts_says_the_same(world: World) -> None:
    ended = status(world.clones, world.environ, "--short")
    assert ended.returncode == world.code
    said = dict(re.findall(r"(a_\w+):(?:\w+ )?(\w+)(?= |$)", ended.stdout.strip()))
    assert said == {
        name: "ok" if each["verdict"] == Verdict.PASS else each["verdict"] for name, each in world.models.items()
    }


async def test_a_browser_shows_the_same_of_every_model(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    argv = [sys.executable, "-m", "console", "serve", "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=world.clones.operator.path,
        env=world.environ,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        url = (await asyncio.wait_for(process.stderr.readline(), SOON_S)).decode().strip()
        async with chromium_page(tmp_path_factory.mktemp("browser")) as page:
            await page.go(url)
            await page.wait_for("FAIL", SOON_S)
            right = {name: Verdict(each["verdict"]) for name, each in world.models.items()}
            ends, shown = time.monotonic() + SOON_S, rows(await page.text())
            while shown != right:
                assert time.monotonic() < ends, f"{shown}\n{right}\n{await page.text()}"
                assert {name for name, verdict in shown.items() if verdict is Verdict.PASS} <= {"a_quiet"}
                await asyncio.sleep(0.2)
                shown = rows(await page.text())
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def rows(text: str) -> dict[str, Verdict]:
    """The verdict of each model's row on a screen."""
    words = "|".join(verdict.replace("_", "[_ ]") for verdict in Verdict)
    found = re.findall(rf"({words})\s+(a_\w+)", text)
    return {name: Verdict(word.replace(" ", "_")) for word, name in found}
