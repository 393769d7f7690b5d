"""A kill on real engines under a real Prometheus: file, snapshot, scrape, receipt."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.synchronize
import os
import random
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from support.engines import FIRST, SECOND, SOURCE, Deployment, EngineProcess, argv, engine, port_of
from support.prometheus import running

from ml.adapters.processes import run
from ml.adapters.prometheus import Prometheus
from ml.board import KillView, Rung
from ml.clock import SystemClock
from ml.emergency.actuators import Actuator, CommandActuator
from ml.emergency.kill import KillControl
from ml.emergency.switch import KillSwitch
from ml.records.audit import AuditLog

MONITORING = SOURCE / "ml" / "monitoring"
BY, WHY = "ann@example.com", "EMERGENCY: p99 spike"


@dataclass
class Stack:
    """A Prometheus that scrapes the engines every second, and a control on the deployment's kill file."""

    deployment: Deployment
    metrics: Prometheus
    audit: AuditLog

    def control(self, *actuators: Actuator, confirm_s: float = 30.0) -> KillControl:
        clock = SystemClock()
        switch = KillSwitch(self.deployment.kill, actuators, self.audit, clock)
        return KillControl(switch, self.metrics, self.audit, clock, confirm_s)

    def scraped(self, instance: str, since: datetime, until: datetime) -> int:
        """How many times an engine was scraped in a span of time."""
        span_ms = round((until - since).total_seconds() * 1000)
        found = self.metrics.query(f'count_over_time(up{{instance="{instance}"}}[{span_ms}ms])', until).series
        return int(found[0].points[0][1]) if found else 0

    def target(self, *processes: EngineProcess) -> None:
        """Let Prometheus scrape these engines, and wait until it has seen each infer in three scrapes."""
        targets = [{"targets": [each.target], "labels": {"model": "regime_classifier"}} for each in processes]
        (self.deployment.root / "prometheus" / "targets" / "engines.json").write_text(json.dumps(targets))
        inferring = "count(count_over_time((grinder_ml_inference_total > 0)[1m:1s]) >= 4)"
        until(lambda: [each.points[0][1] for each in self.metrics.query(inferring).series] == [len(processes)])


def until(condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, f"not within {deadline_s:g} s"
        time.sleep(0.05)


def watch(control: KillControl, rung: Rung, deadline_s: float = 20.0) -> KillView:
    """Look at the receipt until it has reached a rung."""
    seen = [control.view()]

    def reached() -> bool:
        seen.append(control.view())
        return seen[-1].rung is rung

    try:
        until(reached, deadline_s)
    except AssertionError:
        pytest.fail(f"not {rung} within {deadline_s:g} s, but {seen[-1]}")
    return seen[-1]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    deployment = Deployment(tmp_path)
    deployment.deploy(active=FIRST, shadow=SECOND)
    folder = tmp_path / "prometheus"
    (folder / "targets").mkdir(parents=True)
    config = (MONITORING / "prometheus.yml").read_text()
    scrape = config[config.index("scrape_configs:") :].replace("5s", "1s")
    with running(folder, config=scrape, rules=(MONITORING / "ml_alerts.yml").read_text()) as prometheus:
        yield Stack(deployment, Prometheus(prometheus.url), AuditLog(tmp_path / "audit.jsonl"))


def test_a_kill_is_confirmed_by_a_whole_pair_of_scrapes_in_shadow_and_active_and_released_again(stack: Stack) -> None:
    with engine(stack.deployment, "active", name="a") as active, engine(stack.deployment, "shadow", name="s") as shadow:
        stack.target(active, shadow)
        control = stack.control()
        assert control.kill(BY, WHY).rung is Rung.WRITTEN
        seen = watch(control, Rung.CONFIRMED)
        assert seen.requested_at
        for receipt in seen.instances:
            assert receipt.at
            # A pair after the request; the look may come one scrape later.
            assert 2 <= stack.scraped(receipt.instance, seen.requested_at, receipt.at) <= 5
        assert active.value("grinder_ml_active_on") == 0
        until(lambda: b"MlKillSwitchEngaged" in stack.metrics.query("ALERTS").raw)

        assert control.release(BY, "rolled back").engaged is False
        back = watch(control, Rung.CONFIRMED)
        assert {each.why for each in back.instances} == {"it infers again"}
        assert active.value("grinder_ml_active_on") == 1
    kinds = [(line.kind, line.fields.get("of")) for line in stack.audit.read()]
    assert kinds == [("kill", None), ("receipt", "kill"), ("release", None), ("receipt", "release")]


class Service:
    """An engine as a service manager runs it: its environment is read from the kill file when it starts, only then."""

    def __init__(self, deployment: Deployment) -> None:
        self._root = deployment.root
        self._pid = deployment.root / "service.pid"
        port_file = deployment.root / "service.port"
        command = [*argv(deployment, "active", port_file, 50.0), "--env-at-start", "--port", str(unclaimed_port())]
        self._script = deployment.root / "restart.sh"
        self._script.write_text(
            f"""#!/bin/sh
cd {shlex.quote(str(SOURCE))}
if [ -s {self._pid} ]; then
    old=$(cat {self._pid})
    kill "$old"
    while [ -d /proc/"$old" ] && ! grep -q 'State:.Z' /proc/"$old"/status; do sleep 0.02; done
fi
rm -f {port_file}
if [ "$IGNORE_KILL_FILE" != yes ] && [ -f {deployment.kill} ]; then set -a; . {deployment.kill}; set +a; fi
setsid {shlex.join(command)} >>{self._root}/service.log 2>&1 &
echo $! >{self._pid}
while [ ! -s {port_file} ]; do sleep 0.02; done
"""
        )
        self._script.chmod(0o755)
        self.restart()
        log = deployment.root / "service.log"
        self.process = EngineProcess(_NotOurs(), port_of(_NotOurs(), port_file, log), log)  # type: ignore[arg-type]

    @property
    def argv(self) -> Sequence[str]:
        return [str(self._script)]

    def restart(self, **env: str) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "ML_KILL_SWITCH"} | env
        subprocess.run([self._script], check=True, timeout=20, env=environment)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(int(self._pid.read_text()), signal.SIGKILL)


def unclaimed_port() -> int:
    """A port below the kernel's own range, so that nobody is given it while the service restarts."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class _NotOurs:
    """The process of a service belongs to its manager; to us it is alive as long as it answers."""

    def poll(self) -> None:
        return None


@contextmanager
def service(deployment: Deployment) -> Iterator[Service]:
    made = Service(deployment)
    try:
        yield made
    except BaseException as error:
        error.add_note((deployment.root / "service.log").read_text())
        raise
    finally:
        made.end()


def test_an_engine_that_reads_its_environment_at_start_needs_the_command_actuator(stack: Stack) -> None:
    with service(stack.deployment) as managed:
        stack.target(managed.process)
        by_file_only = stack.control(confirm_s=3.0)
        by_file_only.kill(BY, WHY)
        unproven = watch(by_file_only, Rung.UNCONFIRMED)
        assert unproven.instances[0].why == "it still infers"
        assert unproven.manual[0] == f"echo ML_KILL_SWITCH=1 > {stack.deployment.kill}"

        with_restart = stack.control(CommandActuator(managed.argv, run, 20.0))
        pressed = with_restart.kill(BY, WHY)
        assert pressed.problem == ""
        proven = watch(with_restart, Rung.CONFIRMED)
        assert proven.instances[0].why == "blocked by the kill switch"
        assert managed.process.value("grinder_ml_inference_total") == 0

        managed.restart(IGNORE_KILL_FILE="yes")
        until(lambda: [each.why for each in by_file_only.view().instances] == ["it still infers"])
        assert by_file_only.view().rung is Rung.UNCONFIRMED


def test_an_engine_that_dies_after_the_proof_takes_it_away(stack: Stack) -> None:
    with engine(stack.deployment, "active", name="a") as stays:
        with engine(stack.deployment, "shadow", name="s") as dies:
            stack.target(stays, dies)
            control = stack.control(confirm_s=1.0)
            control.kill(BY, WHY)
            watch(control, Rung.CONFIRMED)
        gone = watch(control, Rung.UNPROVEN)
        assert {each.instance: each.rung for each in gone.instances} == {
            stays.target: Rung.CONFIRMED,
            dies.target: Rung.UNPROVEN,
        }
        assert any(f"make sure that {dies.target} is stopped" in step for step in gone.manual)


def test_the_second_operators_console_shows_the_first_ones_kill(stack: Stack, tmp_path: Path) -> None:
    """Two hosts: the engines read the first one's kill file, the second one's says off."""
    with engine(stack.deployment, "active", name="a") as active, engine(stack.deployment, "shadow", name="s") as shadow:
        stack.target(active, shadow)
        clock = SystemClock()
        audit = AuditLog(tmp_path / "second.jsonl")
        second = KillControl(KillSwitch(tmp_path / "second.env", (), audit, clock), stack.metrics, audit, clock, 30.0)
        assert second.view().off
        first = stack.control()
        first.kill(BY, WHY)
        watch(first, Rung.CONFIRMED)
        seen = watch(second, Rung.CONFIRMED)
        assert (seen.engaged, seen.by_engines, seen.file_says, seen.proven) == (True, True, False, 2)

        # Its own release reaches nobody, and says so; the first one's does.
        second.release("bob@example.com", "mine")
        until(lambda: "still blocked" in str([each.why for each in second.view().instances]))
        assert second.view().releasing
        first.release(BY, "fixed")
        assert watch(second, Rung.CONFIRMED).off


def test_one_of_two_engines_is_a_partial_confirmation(stack: Stack) -> None:
    with engine(stack.deployment, "active", name="a") as obeys, service(stack.deployment) as ignores:
        stack.target(obeys, ignores.process)
        control = stack.control(confirm_s=4.0)
        control.kill(BY, WHY)
        seen = watch(control, Rung.UNCONFIRMED)
        rungs = {each.instance: each.rung for each in seen.instances}
        assert rungs == {obeys.target: Rung.CONFIRMED, ignores.process.target: Rung.UNCONFIRMED}
        assert ignores.process.target in seen.manual[-1]
        assert obeys.target not in seen.manual[-1]


def test_a_reader_that_polls_100_000_times_never_sees_a_torn_file(tmp_path: Path) -> None:
    file = tmp_path / "kill_switch.env"
    stop = multiprocessing.get_context("spawn").Event()
    writer = multiprocessing.get_context("spawn").Process(target=rewrite, args=(file, tmp_path / "audit", stop))
    writer.start()
    until(file.exists)
    torn, versions = 0, set()
    try:
        for _ in range(100_000):
            content = file.read_bytes()
            versions.add(content)
            torn += not (
                content.count(b"\n") == 4 and content.endswith((b"\nML_KILL_SWITCH=1\n", b"\nML_KILL_SWITCH=0\n"))
            )
    finally:
        stop.set()
        writer.join(20)
    assert writer.exitcode == 0
    assert torn == 0
    assert len(versions) > 50


def rewrite(file: Path, audit: Path, stop: multiprocessing.synchronize.Event) -> None:
    switch = KillSwitch(file, (), AuditLog(audit), SystemClock())
    number = 0
    while not stop.is_set():
        number += 1
        switch.engage(BY, f"press {number} " + "x" * (number % 3000))
        switch.release(BY, f"release {number}")
