"""Landing where the base moved on: a merge carries the change, through the real hook and by the real gate."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.clones import OPERATOR, Folder
from support.gatehouse import FRESH, MODEL, OLD, Gatehouse, artifact_files, pointer_to

from ml.adapters.forge import CommandForge
from ml.adapters.git import open_repository
from ml.adapters.processes import run
from ml.errors import Conflict, Invalid, Refused
from ml.promotion.gate import judge
from ml.promotion.land import land
from ml.promotion.paths import Places
from ml.promotion.publish import Desk
from ml.promotion.submit import submit
from ml.promotion.values import Plan
from ml.records.journal import Journal
from ml.registry import changes
from ml.registry.codec import parse
from ml.registry.schema import REGISTRY_PATH
from ml.stage import Stage

OTHERS = tuple(f"spacing_{number}" for number in range(1, 8))


def many_models(house: Gatehouse) -> str:
    """A base with eight models; FRESH is in staging of all but the first."""
    doc = parse(house.raw(house.main))
    for name in OTHERS:
        told: dict[str, Any] = {"by": OPERATOR, "reason": "as planned", "at": house.now - timedelta(minutes=2)}
        doc = changes.stage(doc, name, pointer_to(FRESH), **told).document
    return house.base({REGISTRY_PATH: doc.raw, **artifact_files(FRESH)})


def desk_of(house: Gatehouse, home: Path, server: Folder, email: str) -> Desk:
    name = email.partition("@")[0]
    folder = Folder(home / name, home)
    Folder(home, home).git("clone", "-q", server.path, folder.path)
    folder.git("config", "user.email", email)
    folder.git("config", "user.name", name)
    repository = open_repository(folder.path)
    return Desk(
        repository=repository,
        journal=Journal(home / f"journal-{name}"),
        forge=CommandForge(run, folder.path, "none"),
        remote="origin",
        base="main",
        bodies=home / "bodies",
        places=Places(),
        judge=lambda base, head: judge(repository, base, head, house.bench),
    )


def start(house: Gatehouse, server: Folder, base: str) -> None:
    server.git("fetch", "-q", house.clones.operator.path, f"+{base}:refs/heads/main")


def test_eight_operators_with_eight_models_land_one_after_the_other(
    house: Gatehouse, server: Folder, own_home: Path
) -> None:
    """All eight changes were made on one base, and none is planned anew; each keeps its own commit."""
    base = many_models(house)
    start(house, server, base)
    plans: list[tuple[str, Plan]] = [(OPERATOR, house.to_active(base))]
    for number, name in enumerate(OTHERS):
        who = f"developer{number}@example.com"
        at = house.now - timedelta(seconds=number)
        plans.append((who, house.withdraw(base, FRESH, Stage.STAGING, by=who, model=name, at=at)))
    desks = [desk_of(house, own_home, server, who) for who, _ in plans]
    offered = [submit(plan, desk, now=house.now) for (_, plan), desk in zip(plans, desks, strict=True)]
    assert all(each.pushed for each in offered)

    for each, desk in zip(offered, desks, strict=True):
        landed = land(each.branch, desk, now=house.now)
        assert server.git("rev-parse", "main") == landed.commit
        assert desk.repository.history.is_ancestor(each.commit, landed.commit)
        assert list(desk.journal.left()) == []

    line = server.git("rev-list", "--first-parent", f"{base}..main").splitlines()
    assert len(line) == 8
    registry = parse(open_repository(server.path).objects.read("main", REGISTRY_PATH) or b"").registry
    assert all(registry.models[name].staging is None for name in OTHERS)
    assert registry.models[MODEL].active != parse(house.raw(base)).registry.models[MODEL].active


def test_a_base_that_moved_by_code_alone_is_merged_with_the_code(
    house: Gatehouse, server: Folder, own_home: Path
) -> None:
    start(house, server, house.main)
    desk = desk_of(house, own_home, server, OPERATOR)
    mine = submit(house.rollback(), desk, now=house.now)
    code = house.base({"engine.py": "x = 1\n", "README.md": "other\n"})
    start(house, server, code)
    landed = land(mine.branch, desk, now=house.now)
    assert desk.repository.history.commit(landed.commit).parents == (code, mine.commit)
    assert desk.repository.objects.read(landed.commit, "engine.py") == b"x = 1\n"
    assert desk.repository.objects.read(landed.commit, REGISTRY_PATH) == desk.repository.objects.read(
        mine.commit, REGISTRY_PATH
    )


@pytest.mark.parametrize("theirs", ["the same model", "the artifact"])
def test_what_the_change_is_about_moved_so_it_is_planned_anew(
    house: Gatehouse, server: Folder, own_home: Path, theirs: str
) -> None:
    start(house, server, house.main)
    desk = desk_of(house, own_home, server, OPERATOR)
    mine = submit(house.stage(), desk, now=house.now)
    files: dict[str, str | bytes] = {f"artifacts/onnx/{FRESH}/notes.txt": "theirs\n", **artifact_files(FRESH)}
    if theirs == "the same model":
        made = house.made(house.withdraw())
        start(house, server, made)
    else:
        start(house, server, house.base(files))
    before = server.git("for-each-ref")
    with pytest.raises(Conflict, match="moved on since"):
        land(mine.branch, desk, now=house.now)
    assert server.git("for-each-ref") == before


def test_a_landing_is_not_repeated(house: Gatehouse, server: Folder, own_home: Path) -> None:
    """A landing that the server refused is tried again; one whose answer was lost is told, without a second merge."""
    base = many_models(house)
    start(house, server, base)
    desk = desk_of(house, own_home, server, OPERATOR)
    mine = submit(house.to_active(base), desk, now=house.now)
    start(house, server, house.made(house.withdraw(base, FRESH, Stage.STAGING, model=OTHERS[0])))
    hook = server.path / "hooks/pre-receive"
    shipped = hook.read_text()

    hook.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(Refused):
        land(mine.branch, desk, now=house.now)
    hook.write_text(shipped)
    landed = land(mine.branch, desk, now=house.now)
    assert landed.commit == server.git("rev-parse", "main")
    with pytest.raises(Refused, match="already"):
        land(mine.branch, desk, now=house.now + timedelta(minutes=1))
    assert landed.commit == server.git("rev-parse", "main")


@pytest.mark.parametrize("waited_s", [240, 360])
def test_what_waited_is_landed_by_a_merge_that_dates_the_landing(
    house: Gatehouse, server: Folder, own_home: Path, waited_s: int
) -> None:
    """A soak by mode alone counts from the landing, so that must not be the date of the plan."""
    planned = house.now - timedelta(seconds=waited_s)
    base = house.commit(house.main, [("README.md", b"earlier\n")], "base", at=planned - timedelta(minutes=1))
    start(house, server, base)
    desk = desk_of(house, own_home, server, OPERATOR)
    mine = submit(house.withdraw(base, at=planned), desk, now=planned)
    landed = desk.repository.history.commit(land(mine.branch, desk, now=house.now).commit)
    assert landed.sha == server.git("rev-parse", "main")
    if waited_s < 300:
        assert landed.sha == mine.commit
    else:
        assert (landed.parents, landed.at) == ((base, mine.commit), house.now)
        assert desk.repository.objects.changes(mine.commit, landed.sha) == ()


def test_a_server_that_takes_no_merges_gets_what_waited_all_the_same(
    house: Gatehouse, server: Folder, own_home: Path
) -> None:
    """A rollback that waited for six minutes must not be held up by a rule of linear history."""
    planned = house.now - timedelta(minutes=6)
    base = house.commit(house.main, [("README.md", b"earlier\n")], "base", at=planned - timedelta(minutes=1))
    start(house, server, base)
    desk = desk_of(house, own_home, server, OPERATOR)
    mine = submit(house.rollback(base, at=planned), desk, now=planned)
    linear = server.path / "hooks/update"
    linear.write_text('#!/bin/sh\nif git rev-parse -q --verify "$3^2" >/dev/null; then echo no merges; exit 1; fi\n')
    linear.chmod(0o755)
    assert land(mine.branch, desk, now=house.now).commit == mine.commit == server.git("rev-parse", "main")
    assert list(desk.journal.left()) == []


@pytest.mark.parametrize("forced", ["removed", "altered", "added to"])
def test_a_base_that_holds_other_bytes_of_the_artifact_takes_no_rollback_made_before(
    house: Gatehouse, server: Folder, own_home: Path, forced: str
) -> None:
    """The artifact is verified in the change's commit. On a base that somebody forced, other files would be served."""
    start(house, server, house.main)
    desk = desk_of(house, own_home, server, OPERATOR)
    mine = submit(house.rollback(), desk, now=house.now)
    folder = f"artifacts/onnx/{OLD}"
    fork = Folder(own_home / "forced", own_home)
    server.git("worktree", "add", "-q", "--detach", fork.path, "main")
    if forced == "removed":
        fork.git("rm", "-q", "-r", folder)
    fork.git("-c", "user.name=X", "-c", "user.email=x@example.com", "config", "commit.gpgsign", "false")
    with_files = {"altered": {f"{folder}/model.onnx": b"other"}, "added to": {f"{folder}/more.bin": b"more"}}
    for path, content in with_files.get(forced, {}).items():
        fork.write(path, content)
    fork.git("add", "-A")
    fork.git("-c", "user.name=X", "-c", "user.email=x@example.com", "commit", "-q", "-m", "forced")
    server.git("update-ref", "refs/heads/main", fork.git("rev-parse", "HEAD"))
    before = server.git("rev-parse", "main")
    with pytest.raises(Invalid, match="landing"):
        land(mine.branch, desk, now=house.now)
    assert server.git("rev-parse", "main") == before
