"""Racing and killed writers on real repositories: no commit is lost, nothing is damaged, and what is said is true."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest
from support.clones import Clones, Folder
from support.killed import preloaded, running_git, unsound, until
from support.promotions import FRESH, MODEL, NOW, Session, make_session, open_session

from ml.errors import Conflict
from ml.promotion.land import land
from ml.promotion.publish import Outcome, Reconciled, reconcile
from ml.promotion.submit import submit
from ml.registry.codec import parse
from ml.registry.schema import REGISTRY_PATH
from ml.stage import Stage

WRITERS, CHANGES = 10, 10
KILLS = 100
STEPS = ("begin", "branch", "push")


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Starts drivers that have imported everything already."""
    return preloaded("test_git_race")


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Clones, Session]:
    monkeypatch.setenv("HOME", str(tmp_path))
    return make_session(tmp_path)


def write_changes(folder: Path, home: Path, writer: int, *, landing: bool) -> None:
    """One writer: ten changes of a model of its own, each planned on what is there, submitted, perhaps landed."""
    os.environ["HOME"] = str(home)
    model = f"model_{writer}"
    told = []
    for turn in range(CHANGES):
        now = NOW + timedelta(minutes=turn)
        session = open_session(Folder(folder, home), home / f"state-{writer}", now=now)
        submitted = landed = ""
        try:
            done = submit(session.stage(f"regime_v2026_03_{turn + 1:02}_001", model), session.desk, now=now)
            submitted = done.commit if done.pushed else ""
            landed = land(done.branch, session.desk, now=now).commit if landing else ""
            outcome = "done"
        except Conflict:
            outcome = "conflict"
        told.append({"outcome": outcome, "branch": submitted and done.branch, "submitted": submitted, "landed": landed})
    (home / f"told-{writer}.json").write_text(json.dumps(told))


@pytest.mark.parametrize("landing", [False, True], ids=["branches", "base"])
def test_ten_writers_lose_nothing(
    life: tuple[Clones, Session],
    processes: ForkServerContext,
    tmp_path: Path,
    record_property: Callable[[str, str], None],
    landing: bool,
) -> None:
    """Five share one clone, five have their own. Branches are all made; of landings only one can be next."""
    clones, session = life
    base, trace = clones.tip(), session.folder.trace()
    own = [clones.another(f"clone-{writer}").path for writer in range(WRITERS // 2)]
    folders = own + [clones.operator.path] * (WRITERS - len(own))

    drivers = [
        processes.Process(target=write_changes, args=(path, tmp_path, writer), kwargs={"landing": landing})
        for writer, path in enumerate(folders)
    ]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join(120)
    assert [driver.exitcode for driver in drivers] == [0] * WRITERS

    told = [change for n in range(WRITERS) for change in json.loads((tmp_path / f"told-{n}.json").read_text())]
    outcomes = Counter(change["outcome"] for change in told)
    submitted = {change["branch"]: change["submitted"] for change in told if change["submitted"]}
    landed = [change["landed"] for change in told if change["landed"]]
    on_branches = clones.remote.git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads/stage/")
    on_main = clones.remote.git("rev-list", "--first-parent", f"{base}..main").splitlines()
    history = parse(session.repository.objects.read(_fetched(session), REGISTRY_PATH) or b"").registry.models
    staged = [event for name, model in history.items() if name != MODEL for event in model.history]

    assert outcomes["done"] + outcomes["conflict"] == WRITERS * CHANGES
    assert outcomes["done"] >= (1 if landing else WRITERS * CHANGES)
    assert dict(line.split(" ") for line in on_branches.splitlines()) == submitted
    assert sorted(on_main) == sorted(landed)
    assert len(staged) == len(landed)
    assert session.folder.trace() == trace
    assert unsound(clones) == []
    lost = len(landed) - len(on_main)
    record_property(
        "count",
        f"race: {WRITERS}x{CHANGES} changes, {len(submitted)} submitted, {len(landed)} landed, "
        f"{outcomes['conflict']} told of a conflict, {lost} lost",
    )


def _fetched(session: Session) -> str:
    session.repository.remotes.fetch("origin", "main")
    return session.base


def one_change(home: Path, turn: int) -> None:
    """Stage or withdraw, whichever is next, submit and land it: the driver that is killed."""
    os.environ["HOME"] = str(home)
    now = NOW + timedelta(minutes=turn)
    session = open_session(Folder(home / "operator", home), home / "state", now=now)
    session.repository.remotes.fetch("origin", "main")
    staging = session.document().registry.models[MODEL].staging
    plan = session.withdraw(FRESH, Stage.STAGING) if staging else session.stage()
    land(submit(plan, session.desk, now=now).branch, session.desk, now=now)


def test_a_hundred_kills_damage_nothing(
    life: tuple[Clones, Session],
    processes: ForkServerContext,
    tmp_path: Path,
    record_property: Callable[[str, str], None],
) -> None:
    """Half of the kills strike at a random time, half right after the journal has noted a step."""
    clones, session = life
    trace, chance = session.folder.trace(), random.Random(20260216)
    whole = _seconds(lambda: one_change(tmp_path, 0))
    outcomes: Counter[str] = Counter()
    killed = turn = 0
    while killed < KILLS:
        turn += 1
        assert turn < 4 * KILLS
        driver = processes.Process(target=one_change, args=(tmp_path, turn))
        driver.start()
        if turn % 2:
            driver.join(chance.uniform(0, whole))
        else:
            _await_step(tmp_path / "state/journal", chance.choice(STEPS), driver)
        killed += _kill(driver)
        until(lambda: not running_git(tmp_path))
        for found in reconcile(session.desk):
            outcomes[found.outcome] += 1
            assert found.outcome is not Outcome.UNKNOWN
            assert (found.outcome is Outcome.DONE) == _is_done(clones, found), found.why
        if turn % 25 == 0:
            assert unsound(clones) == []
            assert session.folder.trace() == trace
    assert session.folder.trace() == trace
    assert unsound(clones) == []
    assert list(session.desk.journal.left()) == []
    one_change(tmp_path, turn + 1)
    assert not list((clones.operator.path / ".git/mlconsole").glob("write-*"))
    events = session.document().registry.models[MODEL].history
    assert len({(event.at, event.artifact_id) for event in events}) == len(events)
    told = f"interrupted: {outcomes[Outcome.DONE]} done, {outcomes[Outcome.NOT_DONE]} not done"
    record_property("count", f"kills: {killed}, damage 0, {told}")


def _seconds(work: Callable[[], None]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def _await_step(journal: Path, step: str, driver: ForkServerProcess) -> None:
    """Wait until the driver has noted a step; one that ends without it was too quick."""
    wanted = f'"step": "{step}"'
    while driver.is_alive() and not any(wanted in _text(path) for path in journal.glob("*.jsonl")):
        driver.join(0.001)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _kill(driver: ForkServerProcess) -> int:
    """Kill the driver; 1 when it was still alive."""
    driver.kill()
    driver.join()
    assert driver.exitcode in (0, -signal.SIGKILL), driver.exitcode
    return int(driver.exitcode != 0)


def _is_done(clones: Clones, found: Reconciled) -> bool:
    """Whether an interrupted change is on the remote after all, as the remote itself says."""
    tip = clones.tip(found.branch)
    return bool(tip) and (found.what != "land" or clones.remote.git("merge-base", tip, "main") == tip)
