"""Submitting and landing plans on real repositories: what is published, what is kept, what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.clones import Clones, Folder
from support.promotions import (
    FRESH,
    MODEL,
    NOW,
    OLD,
    SOAKED,
    Session,
    a_life,
    make_session,
    open_session,
    pointer,
    registry_files,
)

from ml.errors import Conflict, Invalid, Refused, Unavailable
from ml.ports import Progress
from ml.promotion.land import land
from ml.promotion.repository import trailers
from ml.promotion.submit import push_branch, submit
from ml.registry import changes
from ml.registry.codec import parse
from ml.registry.schema import REGISTRY_PATH
from ml.stage import Stage
from ml.verdict import Gate, Verdict


@pytest.fixture
def life(tmp_path: Path) -> tuple[Clones, Session]:
    return make_session(tmp_path)


def fails(base: str, head: str) -> tuple[Gate, ...]:
    return (Gate(name="history", verdict=Verdict.FAIL, why="an event is gone"),)


def test_a_plan_becomes_one_pushed_commit_with_its_files_and_trailers(life: tuple[Clones, Session]) -> None:
    clones, session = life
    plan = session.to_active()
    steps: list[Progress] = []
    before = session.folder.trace()

    done = submit(plan, session.desk, now=NOW, report=steps.append)

    assert (done.branch, done.pushed, clones.tip(done.branch)) == (plan.branch, True, done.commit)
    assert plan.branch == f"promote/{MODEL}/{SOAKED}-to-active-20260216T100000Z"
    assert session.folder.trace() == before
    message = clones.remote.git("log", "-1", "--format=%B", done.commit)
    assert trailers(message) == {
        "Model": MODEL,
        "Artifact": SOAKED,
        "From-Stage": "shadow",
        "To-Stage": "active",
        "Evidence-SHA256": plan.evidence_sha256,
        "Ack": "I_UNDERSTAND_THIS_AFFECTS_TRADING",
        "Ack-By": "operator@example.com",
    }
    changed = clones.remote.git("diff", "--name-only", "main", done.commit).splitlines()
    evidence = f"ml/registry/evidence/{SOAKED}/20260216T100000Z-promote"
    assert changed == [f"{evidence}/evidence.json", f"{evidence}/pr_body.md", REGISTRY_PATH]
    written = parse(session.repository.objects.read(done.commit, REGISTRY_PATH) or b"").registry.models[MODEL]
    assert (written.active and written.active.artifact_id, written.shadow) == (SOAKED, None)
    assert Path(done.body_path).read_text() == plan.body
    assert [step.done for step in steps] == [0, 1, 2, 3]
    assert list(session.desk.journal.left()) == []


def test_a_landed_branch_is_the_base_everywhere(life: tuple[Clones, Session]) -> None:
    clones, session = life
    done = submit(session.stage(), session.desk, now=NOW)

    landing = land(done.branch, session.desk, now=NOW)

    assert clones.tip() == landing.commit == done.commit == session.base
    assert session.folder.git("rev-parse", "HEAD") != landing.commit
    assert land(submit(session.withdraw(), session.desk, now=NOW).branch, session.desk, now=NOW).commit == clones.tip()


def test_the_whole_life_cycle_lands(life: tuple[Clones, Session]) -> None:
    _, session = life
    for plan in (session.to_active, session.rollback, session.stage):
        land(submit(plan(), session.desk, now=NOW).branch, session.desk, now=NOW)
    model = session.document().registry.models[MODEL]
    assert [model.pointer(stage) and model.pointer(stage).artifact_id for stage in Stage] == [FRESH, None, OLD]  # type: ignore[union-attr]


def test_what_the_gate_refuses_is_not_landed(life: tuple[Clones, Session]) -> None:
    clones, session = life
    base = clones.tip()
    done = submit(session.stage(), session.desk, now=NOW)
    with pytest.raises(Invalid, match="history is FAIL: an event is gone"):
        land(done.branch, replace(session.desk, judge=fails), now=NOW)
    with pytest.raises(Invalid, match="nothing was judged"):
        land(done.branch, replace(session.desk, judge=lambda base, head: ()), now=NOW)
    assert clones.tip() == base == session.base


@pytest.mark.parametrize("branch", ["nowhere", "promote/nowhere", "main", "-x"])
def test_only_change_branches_land(life: tuple[Clones, Session], branch: str) -> None:
    with pytest.raises(Refused):
        land(branch, life[1].desk, now=NOW)


def test_a_base_moved_by_others_without_touching_the_registry_is_built_upon(life: tuple[Clones, Session]) -> None:
    clones, session = life
    plan = session.withdraw()
    clones.operator.commit("code", {"engine.py": "x = 1\n"})
    clones.operator.git("push", "-q")

    done = submit(plan, session.desk, now=NOW)

    assert done.pushed
    assert session.repository.history.commit(done.commit).parents == (clones.tip(),)


def test_a_base_on_which_another_model_moved_carries_the_change(life: tuple[Clones, Session]) -> None:
    """The plan is made again on the registry as it is there, and the gate takes it with its acknowledgement."""
    clones, session = life
    plan = session.to_active()
    other = clones.another("other")
    doc = parse((other.path / REGISTRY_PATH).read_bytes())
    told = {"by": "second@example.com", "reason": "theirs", "at": NOW}
    theirs = changes.stage(doc, "spacing", pointer(FRESH), **told)  # type: ignore[arg-type]
    other.commit("theirs", {REGISTRY_PATH: theirs.raw})
    other.git("push", "-q")

    done = submit(plan, session.desk, now=NOW)

    assert done.pushed
    landed = parse(session.repository.objects.read(done.commit, REGISTRY_PATH) or b"")
    assert landed.model_text("spacing") == theirs.document.model_text("spacing")
    active = landed.registry.models[MODEL].active
    assert active
    assert active.artifact_id == SOAKED


@pytest.mark.parametrize("path", [REGISTRY_PATH, "ml/registry/policy.toml"])
def test_a_registry_or_policy_that_moved_is_a_conflict_with_its_difference(
    life: tuple[Clones, Session], path: str
) -> None:
    clones, session = life
    plan = session.to_active()
    other = clones.another("other")
    old = (other.path / path).read_text() if (other.path / path).exists() else "[ack]\n"
    other.commit("theirs", {path: old.replace('"history": [', '"theirs": 1,\n      "history": [', 1) + "\n"})
    other.git("push", "-q")

    with pytest.raises(Conflict, match="changed on main") as caught:
        submit(plan, session.desk, now=NOW)

    assert f"+++ b/{path}" in caught.value.difference
    assert session.repository.refs.branches() == ()


def test_a_rollback_is_not_held_up_by_a_new_policy(life: tuple[Clones, Session]) -> None:
    clones, session = life
    plan = session.rollback()
    other = clones.another("other")
    other.commit("theirs", {"ml/registry/policy.toml": "[ack]\n"})
    other.git("push", "-q")
    assert submit(plan, session.desk, now=NOW).pushed


def test_out_of_reach_the_branch_stays_local_until_it_is_pushed(life: tuple[Clones, Session]) -> None:
    clones, session = life
    away = clones.remote.path.rename(clones.remote.path.with_name("away.git"))

    done = submit(session.withdraw(), session.desk, now=NOW)

    assert not done.pushed
    assert f"mlconsole push {done.branch}" in done.why
    assert "out of reach" in done.why
    with pytest.raises(Unavailable, match="out of reach"):
        land(done.branch, session.desk, now=NOW)
    away.rename(clones.remote.path)
    later = push_branch(done.branch, session.desk)
    assert (later.pushed, clones.tip(done.branch)) == (True, done.commit)
    assert land(done.branch, session.desk, now=NOW).commit == done.commit


def hook(remote: Folder, name: str, script: str) -> None:
    path = remote.path / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_server_that_refuses_is_quoted_and_the_branch_taken_back(life: tuple[Clones, Session]) -> None:
    clones, session = life
    hook(clones.remote, "pre-receive", "echo 'the ACK is missing \033[2J' >&2; exit 1")

    with pytest.raises(Refused, match="the ACK is missing") as caught:
        submit(session.withdraw(), session.desk, now=NOW)

    assert "\033" not in str(caught.value)
    assert session.repository.refs.branches() == ()
    assert list(session.desk.journal.left()) == []


def test_a_push_that_landed_while_its_answer_was_lost_is_recognised(life: tuple[Clones, Session]) -> None:
    clones, session = life
    hook(clones.remote, "post-receive", "kill -9 $(ps -o ppid= -p $PPID) $PPID; exit 0")

    done = submit(session.withdraw(), session.desk, now=NOW)

    assert clones.tip(done.branch) == done.commit
    assert done.pushed
    assert "answer was lost" in done.why


def test_without_a_push_or_a_remote_the_branch_is_only_here(life: tuple[Clones, Session]) -> None:
    clones, session = life
    kept = submit(session.withdraw(), session.desk, now=NOW, push=False)
    assert (kept.pushed, clones.tip(kept.branch)) == (False, "")
    assert "as asked" in kept.why

    alone = replace(session.desk, remote="")
    done = submit(replace(session.stage()), alone, now=NOW)
    assert (done.pushed, done.why) == (False, "This repository has no remote.")
    with pytest.raises(Refused, match="checked out here"):
        land(done.branch, alone, now=NOW)
    session.folder.git("checkout", "-q", "--detach")
    assert land(done.branch, alone, now=NOW).commit == session.folder.git("rev-parse", "main")


def test_an_expired_acknowledgement_is_not_submitted(life: tuple[Clones, Session]) -> None:
    _, session = life
    with pytest.raises(Refused, match="expired"):
        submit(session.to_active(), session.desk, now=NOW + timedelta(minutes=16))
    assert session.repository.refs.branches() == ()


def test_the_same_plan_is_submitted_once(life: tuple[Clones, Session]) -> None:
    _, session = life
    plan = session.withdraw()
    submit(plan, session.desk, now=NOW)
    with pytest.raises(Conflict):
        submit(plan, session.desk, now=NOW + timedelta(seconds=1))


def test_landing_after_the_base_moved_is_a_conflict(life: tuple[Clones, Session], tmp_path: Path) -> None:
    clones, session = life
    mine = submit(session.withdraw(), session.desk, now=NOW)
    second = open_session(clones.another("second"), tmp_path / "second-state", actor="second@example.com")
    land(submit(second.stage(), second.desk, now=NOW).branch, second.desk, now=NOW)
    with pytest.raises(Conflict, match=r"moved on since .* and the same model was changed there too"):
        land(mine.branch, session.desk, now=NOW)


def test_registry_and_archive_move_in_one_commit(tmp_path: Path) -> None:
    doc = a_life()
    for turn in range(21):
        by = {"by": "operator@example.com", "reason": "again", "at": NOW - timedelta(hours=30 - turn)}
        doc = changes.stage(doc, MODEL, pointer(FRESH), **by).document
        doc = changes.withdraw(doc, MODEL, Stage.STAGING, **by).document
    assert len(doc.registry.models[MODEL].history) == 50
    _, session = make_session(tmp_path, registry_files(doc))

    land(submit(session.stage(), session.desk, now=NOW).branch, session.desk, now=NOW)

    kept = session.document().registry.models[MODEL].history
    archived = session.repository.objects.read(session.base, f"ml/registry/archive/{MODEL}.jsonl") or b""
    assert (len(kept), [json.loads(line)["artifact_id"] for line in archived.splitlines()]) == (50, [OLD])
