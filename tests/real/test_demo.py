"""The demo is a living system: its past runs on into the present, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.demo import Demo, environment, start_demo
from support.terminal import Terminal

pytestmark = pytest.mark.xdist_group("stack")

ENGINES = {
    "regime_classifier-active",
    "regime_classifier-shadow",
    "regime_night-active",
    "regime_night-shadow",
    "regime_lowvol-shadow",
}


def stages(model: dict[str, Any]) -> tuple[str | None, ...]:
    """The artifacts in staging, shadow and active."""
    return tuple(model[stage] and model[stage]["artifact_id"] for stage in ("staging", "shadow", "active"))


def test_ready_in_a_minute_with_a_line_per_step(demo: Demo) -> None:
    lines = demo.told.read_text().splitlines()
    assert demo.seconds < 60
    assert len(lines) == 5
    assert all(re.fullmatch(r"  \S.* … \d+\.\d s", line) for line in lines)


def test_history_runs_on_into_the_live_scrape(demo: Demo) -> None:
    """One series per engine and metric for 26 hours, without a hole of a minute and without a counter reset."""
    raw = demo.api("/api/v1/query", query="up[27h]")["result"]
    assert {series["metric"]["instance"] for series in raw} == ENGINES
    for series in raw:
        times = [moment for moment, _ in series["values"]]
        assert len(times) > 26 * 240
        assert times[-1] - times[0] >= 26 * 3600 - 15
        assert max(later - earlier for earlier, later in pairwise(times)) < 60
    resets = demo.query("resets(grinder_ml_inference_total[27h])")
    assert {labels["instance"] for labels, _ in resets} == ENGINES
    assert {value for _, value in resets} == {0}


def test_live_series_carry_the_labels_of_the_history(demo: Demo) -> None:
    """A label too many would begin a second series, and every 24 h window would be torn in two."""
    assert {value for _, value in demo.query("count by (instance) (grinder_ml_inference_total)")} == {1}
    assert {value for _, value in demo.query("count by (instance) (last_over_time(up[26h]))")} == {1}


def test_the_soaks_are_where_the_story_says(demo: Demo) -> None:
    served = 'increase(grinder_ml_inference_total{{mode="shadow",model="{0}"}}[{1}])'
    ((_, classifier),) = demo.query(served.format("regime_classifier", "24h"))
    assert classifier == pytest.approx(10 * 86_400, rel=0.01)
    ((_, night),) = demo.query(served.format("regime_night", "24h"))
    assert night == pytest.approx(10 * 18 * 3600, rel=0.01)
    ((_, candidate),) = demo.query(served.format("regime_lowvol", "24h"))
    assert candidate == 0


def test_shipped_alert_rules_are_loaded(demo: Demo) -> None:
    rules = {rule["name"] for group in demo.api("/api/v1/rules")["groups"] for rule in group["rules"]}
    assert {"MlInferenceLatencyHigh", "MlInferenceLatencyCritical", "MlInferenceErrorRateHigh"} <= rules


def test_repository_tests_pass_as_the_gate_runs_them(demo: Demo) -> None:
    ended = demo.shell("python -m unittest discover -s tests")
    assert ended.returncode == 0, ended.stderr
    assert "Ran 2 tests" in ended.stderr


def test_clone_is_clean_and_belongs_to_the_operator(demo: Demo) -> None:
    assert demo.shell("git config user.email").stdout == "operator@example.com\n"
    assert demo.shell("git status --porcelain --untracked-files=no").stdout == ""
    assert demo.shell("git rev-list --count origin/main").stdout == "15\n"


def test_links_of_the_runbook_lead_somewhere(demo: Demo) -> None:
    text = (demo.clone / "docs" / "RUNBOOK_19_ML_MODEL_PROMOTION.md").read_text("utf-8")
    dashboards = re.findall(r"\((\.\./grafana/[^)]*)\)", text)
    assert len(dashboards) == 2
    assert all((demo.clone / "docs" / link).is_file() for link in dashboards)


def test_a_shell_beside_the_console_answers(demo: Demo) -> None:
    """The verbs that "Must show" names, in the state in which a newcomer finds the demo."""
    status = demo.shell("python -m console status --json | python -m json.tool")
    models = json.loads(status.stdout)["models"]
    assert {name: stages(model) for name, model in models.items()} == {
        "regime_classifier": (None, "regime_v2026_02_15_002", "regime_v2026_02_15_001"),
        "regime_night": (None, "regime_v2026_02_15_001", "regime_v2026_02_14_001"),
        "regime_lowvol": ("regime_v2026_02_14_001", None, None),
    }
    assert all(reading["verdict"] == "PASS" for reading in models["regime_classifier"]["readings"])
    soaked = demo.console("soak", "regime_classifier", "--json")
    assert (soaked.returncode, json.loads(soaked.stdout)["verdict"]) == (0, "PASS"), soaked.stdout
    soaking = demo.console("soak", "regime_night", "--json")
    assert (soaking.returncode, json.loads(soaking.stdout)["verdict"]) == (1, "WAIT"), soaking.stdout


def test_a_dry_run_plans_and_writes_nothing(demo: Demo) -> None:
    before = demo.shell("git for-each-ref").stdout
    promote = ("promote", "regime_lowvol", "--to", "shadow", "--reason", "A look", "--dry-run", "--json")
    planned = demo.console(*promote)
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["pushed"] is False
    assert demo.shell("git for-each-ref").stdout == before


CHEATS = """
    change() {
        git checkout -q -B "$1" origin/main
        jq "$2" ml/registry/models.json > edited && mv edited ml/registry/models.json
        git -c user.name=Hurry -c user.email=operator@example.com commit -qam "$1"
    }
    change straight '.models.regime_lowvol |= (.active = .staging | .staging = null)'
    change rewritten '.models.regime_classifier.history[0].by = "nobody@example.com"'
    change emptied '.models.regime_night.history = []'
    git push origin straight:main rewritten:promote/regime_classifier/x emptied:rollback/regime_night/x
"""


def test_the_remote_refuses_illegal_pushes_each_for_its_own_reason(demo: Demo, tmp_path: Path) -> None:
    """Past console and checklist: to active without an event, a history rewritten, a history thrown away."""
    remote, into = demo.document["remote"], tmp_path / "cheat"
    before = demo.shell(f"git -C {remote} for-each-ref").stdout
    pushed = demo.shell(f"git clone -q {remote} {into} && cd {into} {CHEATS}")
    assert pushed.returncode != 0
    for ref, why in {
        "main": "was changed without an event",
        "promote/regime_classifier/x": "history: the history was rewritten: 1 of its events",
        "rollback/regime_night/x": "history: the history was truncated",
    }.items():
        told = [line for line in pushed.stderr.splitlines() if f"mlconsole: refs/heads/{ref} is refused: " in line]
        assert any(why in line for line in told), pushed.stderr
    assert demo.shell(f"git -C {remote} for-each-ref").stdout == before


@pytest.fixture
def without_prometheus(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that has git, and no Prometheus."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "sh"):
        (programs / name).symlink_to(shutil.which(name) or name)
    return environment(tmp_path / "home") | {"PATH": str(programs)}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_without_prometheus_it_says_so_runs_and_leaves_nothing(
    tmp_path: Path, without_prometheus: dict[str, str], number: signal.Signals, code: int
) -> None:
    running = start_demo(tmp_path / "home", without_prometheus)
    assert running.document["prometheus_url"] == ""
    assert len(running.document["pids"]) == 6
    assert running.end(number) == code
    assert running.left() == []
    assert running.told.read_text().startswith("Prometheus is not installed: the console runs")


@pytest.mark.parametrize("hang_up", [False, True], ids=["q", "lost connection"])
def test_it_ends_in_the_console_and_leaves_nothing_after_it(
    tmp_path: Path, without_prometheus: dict[str, str], hang_up: bool
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    argv = [sys.executable, "-m", "console", "demo"]
    with Terminal(argv, cwd=home, env=without_prometheus) as terminal:
        terminal.wait_for(re.compile(r"STAGING.*SHADOW.*ACTIVE"), 60)
        terminal.wait_for("prom ERROR", 30)
        if hang_up:
            terminal.hang_up()
        else:
            terminal.press("q")
        assert terminal.wait_exit(30) == (129 if hang_up else 0)
    assert [str(path) for path in home.rglob("*") if not path.is_dir()] == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    argv = [sys.executable, "-m", "console", "demo", "--no-console", "--dir", str(tmp_path)]
    ended = subprocess.run(argv, env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 5
    assert "is not empty" in ended.stderr
    assert (tmp_path / "precious").read_text() == "mine"


def test_processes_die_with_a_demo_that_was_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no chance to tidy up; the kernel ends what the demo started."""
    program = (
        "import sys, time; from pathlib import Path; from console.demo.children import Children; import os\n"
        "children = Children(Path('.'))\n"
        "print(children.start('sleeper', ['sleep', '60'], cwd=Path('.'), env=os.environ), flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    with parent.stdout:
        child = Path("/proc") / parent.stdout.readline().strip()
    deadline = time.monotonic() + 10
    while (child / "comm").read_text() != "sleep\n":
        assert time.monotonic() < deadline
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while child.exists() and "(zombie)" not in (child / "status").read_text():
        assert time.monotonic() < deadline
