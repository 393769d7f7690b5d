"""What we ship for Prometheus and Grafana, judged by promtool and by a real Prometheus that scrapes a real engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.engines import FIRST, SOURCE, Deployment, engine
from support.prometheus import running

from ml.adapters.prometheus import Prometheus
from ml.emergency.watch import USUAL, durations

MONITORING = SOURCE / "ml" / "monitoring"
RULES = (
    "MlInferenceLatencyHigh",
    "MlInferenceLatencyCritical",
    "MlInferenceErrorRateHigh",
    "MlInferenceStalled",
    "MlKillSwitchEngaged",
)
DASHBOARDS = ("grinder_ml_overview", "grinder_ml_latency")
# Empty while nothing is wrong, or until the window has filled.
_MAY_BE_EMPTY = ("ALERTS", "[24h]", 'mode="shadow"')


def promtool(*arguments: str, cwd: Path = MONITORING) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "grafana" / "dashboards" / f"{name}.json").read_bytes())
    return found


def queries(name: str) -> Iterator[tuple[str, str]]:
    """Each panel's title and PromQL, with the variable filled in as Grafana does for "All"."""
    for panel in dashboard(name)["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$model", ".*")


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "ml_alerts.yml"),
        ("check", "rules", "ml_recordings.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_it(arguments: tuple[str, ...]) -> None:
    ended = promtool(*arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_rule_has_a_case_that_fires_and_one_that_does_not_and_all_hold() -> None:
    text = (MONITORING / "ml_alerts_test.yml").read_text()
    assert tuple(re.findall(r"alert: (\w+)", (MONITORING / "ml_alerts.yml").read_text())) == RULES
    for rule in RULES:
        assert re.search(rf"alertname: {rule}\n\s+exp_alerts:\n", text), f"no case in which {rule} fires"
        assert re.search(rf"alertname: {rule}, exp_alerts: \[\]", text), f"no case in which {rule} is quiet"
    ended = promtool("test", "rules", "ml_alerts_test.yml")
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"> 100$", "> 1000"),
        (r"> 100$", "> 1"),
        (r"> 250$", "> 2500"),
        (r"> 0.05$", "> 1.5"),
        (r"> 0.05$", "> 0.001"),
        (r"for: 3m", "for: 0m"),
        (r"for: 5m", "for: 0m"),
        (r"up == 1 and", "up == 2 and"),
        (r".*latency_ms_count.*\n", ""),
        (r'reason="KILL_SWITCH_ENV"', 'reason!="NONE"'),
        (r"\[1m\]", "[30m]"),
        (r"or 0 \* sum.*", ""),
    ],
)
def test_the_cases_notice_when_a_rule_is_changed(tmp_path: Path, pattern: str, replacement: str) -> None:
    rules = (MONITORING / "ml_alerts.yml").read_text()
    changed = re.sub(pattern, replacement, rules, flags=re.MULTILINE)
    assert changed != rules
    (tmp_path / "ml_alerts.yml").write_text(changed)
    shutil.copy(MONITORING / "ml_alerts_test.yml", tmp_path)
    assert promtool("test", "rules", "ml_alerts_test.yml", cwd=tmp_path).returncode != 0


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_can_be_imported_into_grafana(name: str) -> None:
    document = dashboard(name)
    assert document["uid"] == name
    assert document["title"] in ("ML Overview", "ML Latency")
    assert document["schemaVersion"] >= 36
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    assert all(target["datasource"]["uid"] == "${datasource}" for panel in panels for target in panel["targets"])


def test_every_panel_shows_something_of_a_real_engine(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.deploy(active=FIRST)
    deployment.break_with(error_rate=0.1)
    folder = tmp_path / "prometheus"
    (folder / "targets").mkdir(parents=True)
    config = (MONITORING / "prometheus.yml").read_text()
    scrape = config[config.index("scrape_configs:") :].replace("5s", "1s")
    rules = (MONITORING / "ml_alerts.yml").read_text()
    with engine(deployment, "active") as process, running(folder, config=scrape, rules=rules) as prometheus:
        targets = [{"targets": [process.target], "labels": {"model": "regime_classifier"}}]
        (folder / "targets" / "engines.json").write_text(json.dumps(targets))
        metrics = Prometheus(prometheus.url)
        empty = [each for name in DASHBOARDS for each in queries(name)]
        ends = time.monotonic() + 30
        while empty and time.monotonic() < ends:
            empty = [each for each in empty if not metrics.query(each[1]).series]
            if all(any(mark in query for mark in _MAY_BE_EMPTY) for _, query in empty):
                break
            time.sleep(0.2)
        unexpected = [each for each in empty if not any(mark in each[1] for mark in _MAY_BE_EMPTY)]
        assert unexpected == []
        share = next(query for title, query in queries("grinder_ml_latency") if title.startswith("Share within"))
        assert metrics.query(share).series[0].points[0][1] > 0.5
        loaded = json.loads(metrics.rules().raw)["data"]["groups"][0]["rules"]
        assert tuple(rule["name"] for rule in loaded) == RULES
        assert durations(metrics.rules()) == USUAL
        prometheus.rules_evaluated()
        assert {rule["health"] for rule in json.loads(metrics.rules().raw)["data"]["groups"][0]["rules"]} == {"ok"}
