"""SIGKILL at every step of a rollback: the next start says what became of it, and that is the truth."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clones import Clones, make_clones
from support.gatehouse import LIVE, MODEL, OLD, artifact_files, life
from support.killed import running_git, unsound, until

from console.config import load
from console.invocation import open_session
from console.settings import Settings
from console.switch import audit_log
from console.verbs import run
from ml.promotion.values import RollbackPlan
from ml.records.journal import Entry, Journal
from ml.registry.schema import REGISTRY_PATH
from ml.session import Session

EFFECTS = ("subprocess.Popen", "os.rename", "os.remove", "open")
MOST_STEPS = 80
ENDED_BY_ITSELF = 0
HOOK = "#!/bin/sh\nkill -KILL $(cat {pid})\n"


def die_at(step: int) -> None:
    """Have this process kill itself right before an effect, counted from the confirmation of a change.

    Effects are processes, files that are opened to be written, renamed or removed; and the notes of the journal, after
    which it dies as well.
    """
    begin, note = Journal.begin, Entry.step
    left: list[int] = []

    def one_more() -> None:
        if left:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    def confirmed(journal: Journal, kind: str, **facts: str) -> Entry:
        left.append(step)
        return begin(journal, kind, **facts)

    def noted(entry: Entry, name: str, **facts: str) -> None:
        note(entry, name, **facts)
        one_more()

    def effect(event: str, told: tuple[object, ...]) -> None:
        if event in EFFECTS and (event != "open" or (isinstance(told[2], int) and told[2] & (os.O_WRONLY | os.O_RDWR))):
            one_more()

    Journal.begin, Entry.step = confirmed, noted  # type: ignore[method-assign]
    sys.addaudithook(effect)


def confirm(session: Session, prepared: RollbackPlan, step: int) -> None:
    """What the screen does when the rollback is confirmed, up to a step."""
    die_at(step)
    session.rollbacks.submit(prepared, f"EMERGENCY: step {step}")


def type_it(clone: Path, pid: Path) -> None:
    """The whole of the command line, by a process that says who it is."""
    pid.write_text(str(os.getpid()))
    os._exit(run(["--repo", str(clone), "rollback", MODEL, "--reason", "EMERGENCY: p99"]))


@dataclass(frozen=True)
class Night:
    """A clone and its remote, the state that all consoles share, and the ways to look at what became of a rollback."""

    clones: Clones
    home: Path
    settings: Settings

    def console_dies(self, work: Callable[..., None], *told: object) -> bool:
        """Let a process of its own do something; false where it ended before it died."""
        writer = multiprocessing.get_context("fork").Process(target=work, args=told)
        writer.start()
        writer.join(60)
        assert writer.exitcode in (-signal.SIGKILL, ENDED_BY_ITSELF)
        until(lambda: not running_git(self.home))
        return writer.exitcode != ENDED_BY_ITSELF

    def next_start(self) -> tuple[Session, list[str]]:
        """A new session, and what its first board says about the last one."""
        session = open_session(self.settings)
        return session, [each.what for each in session.boards.poll().problems if each.where == "last session"]

    def branch(self, clone: bool = False) -> str:
        """The rollback's branch on the remote (or in the clone); empty where it is not."""
        folder = self.clones.operator if clone else self.clones.remote
        return folder.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/rollback/")

    def recorded(self, branch: str) -> list[bool]:
        """Of each line of the audit log about the rollback of a branch as it is now, whether it tells of a push."""
        log, commit = audit_log(self.settings), self.clones.operator.git("rev-parse", branch)
        assert log.verify().sound
        told = [line.fields for line in log.read() if line.kind == "rollback"]
        return [each["pushed"] for each in told if (each["branch"], each["commit"]) == (branch, commit)]

    def forget(self) -> None:
        """Take the rollback's branch away, for the next time."""
        for folder in (self.clones.operator, self.clones.remote):
            for name in folder.git("for-each-ref", "--format=%(refname)", "refs/heads/rollback/").splitlines():
                folder.git("update-ref", "-d", name)


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    document = life(datetime.now(UTC).replace(microsecond=0) - timedelta(days=1))
    files: dict[str, str | bytes] = {REGISTRY_PATH: document.raw} | artifact_files(OLD) | artifact_files(LIVE)
    clones = make_clones(tmp_path, files)
    return Night(clones, tmp_path, load(repo=str(clones.operator.path)))


def test_the_next_start_tells_the_truth_about_every_step(
    night: Night, record_property: Callable[[str, str], None]
) -> None:
    before, trace = night.clones.tip(), night.clones.operator.trace()
    session = open_session(night.settings)
    prepared = session.rollbacks.plan(MODEL)
    ends: Counter[str] = Counter()
    step = 1
    while night.console_dies(confirm, session, prepared, step):
        assert step < MOST_STEPS
        ends[explained(night)] += 1
        assert night.next_start()[1] == [], "it is said once"
        assert night.clones.operator.trace() == trace
        night.forget()
        step += 1
    assert set(ends) == {"nothing begun", "not done", "only here", "done and told", "done and recorded"}
    assert night.recorded(night.branch()) == [True]
    assert unsound(night.clones) == []
    assert night.clones.tip() == before
    record_property("count", f"rollback killed at {step - 1} steps: {dict(ends)}, damage 0")


def explained(night: Night) -> str:
    """How a rollback ended whose process died, after what the next start says of it was found true."""
    branch, local = night.branch(), night.branch(clone=True)
    session, told = night.next_start()
    if branch:
        assert told in ([], [f"origin has {branch}."])
        assert night.recorded(branch) == [True]
        return "done and told" if told else "done and recorded"
    if local:
        assert told == [f"{local} is only here; push it with: mlconsole push {local}"]
        assert night.recorded(local) == []
        assert session.changes.push(local).pushed
        assert night.branch() == local
        return "only here"
    if told:
        assert re.fullmatch(r"rollback/\S+ was interrupted before anything was published; plan it anew\.", *told)
        return "not done"
    return "nothing begun"


def test_the_remote_that_is_gone_at_the_next_start_makes_it_unknown_until_it_is_back(night: Night) -> None:
    """The server itself ends the console in the middle of its push, and takes the push."""
    hook = night.clones.remote.path / "hooks" / "pre-receive"
    hook.write_text(HOOK.format(pid=night.home / "pid"))
    hook.chmod(0o755)
    pid = night.home / "pid"
    assert night.console_dies(type_it, night.clones.operator.path, pid)
    branch = night.branch()
    hook.unlink()
    away = night.clones.remote.path.rename(night.home / "away.git")
    local = night.branch(clone=True)
    _, (told,) = night.next_start()
    assert told.startswith(f"Whether origin has {local} is unknown: ")
    away.rename(night.clones.remote.path)
    session, (told,) = night.next_start()
    assert told == (
        f"origin has {branch}." if branch else f"{local} is only here; push it with: mlconsole push {local}"
    )
    if not branch:
        session.changes.push(local)
    assert unsound(night.clones) == []
    session.changes.land(local)
    (model,) = night.next_start()[0].boards.poll().models
    assert (model.active.artifact_id, model.condemned) == (OLD, (LIVE,))
