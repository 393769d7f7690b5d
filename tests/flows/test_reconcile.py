"""What became of changes whose process died: done, not done, or unknown, and it is the truth."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clones import Clones
from support.promotions import NOW, Session, make_session

from ml.promotion.land import land
from ml.promotion.publish import Outcome, Reconciled, reconcile
from ml.promotion.submit import push_branch, submit

Life = tuple[Clones, Session]


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return make_session(tmp_path)


def interrupted(session: Session, kind: str, *steps: str, **facts: str) -> Reconciled:
    """An entry as a process leaves it that dies after some steps, and what is found out about it."""
    with session.desk.journal.begin(kind, remote="origin", **facts) as entry:
        for step in steps:
            entry.step(step)
    (found,) = reconcile(session.desk)
    return found


def test_before_anything_happened(life: Life) -> None:
    found = interrupted(life[1], "submit", branch="promote/x", base="main")
    assert (found.outcome, "plan it anew" in found.why) == (Outcome.NOT_DONE, True)


def test_committed_but_without_its_branch(life: Life) -> None:
    found = interrupted(life[1], "submit", "branch", branch="promote/x", commit="a" * 40)
    assert (found.outcome, "plan it anew" in found.why) == (Outcome.NOT_DONE, True)


def test_a_local_branch_that_was_not_pushed(life: Life) -> None:
    clones, session = life
    done = submit(session.withdraw(), session.desk, now=NOW, push=False)
    for steps in (("branch",), ("branch", "push")):
        found = interrupted(session, "submit", *steps, branch=done.branch, commit=done.commit)
        assert (found.outcome, f"mlconsole push {done.branch}" in found.why) == (Outcome.NOT_DONE, True)
    assert clones.tip(done.branch) == ""


def test_what_a_person_has_pushed_since_is_not_called_local(life: Life) -> None:
    _, session = life
    done = submit(session.withdraw(), session.desk, now=NOW, push=False)
    push_branch(done.branch, session.desk)
    found = interrupted(session, "submit", "branch", branch=done.branch, commit=done.commit)
    assert (found.outcome, found.why) == (Outcome.DONE, f"origin has {done.branch}.")


def test_a_branch_that_the_remote_has(life: Life) -> None:
    _, session = life
    done = submit(session.withdraw(), session.desk, now=NOW)
    found = interrupted(session, "submit", "branch", "push", branch=done.branch, commit=done.commit)
    assert (found.outcome, found.why) == (Outcome.DONE, f"origin has {done.branch}.")


def test_a_landing_that_happened_and_one_that_did_not(life: Life) -> None:
    _, session = life
    done = submit(session.withdraw(), session.desk, now=NOW)
    facts = {"branch": done.branch, "base": "main", "commit": done.commit}
    assert interrupted(session, "land", "push", **facts).outcome is Outcome.NOT_DONE
    land(done.branch, session.desk, now=NOW)
    assert interrupted(session, "land", "push", **facts).outcome is Outcome.DONE
    session.folder.git("commit", "-q", "--allow-empty", "-m", "later")
    land(submit(session.stage(), session.desk, now=NOW).branch, session.desk, now=NOW)
    assert interrupted(session, "land", "push", **facts).outcome is Outcome.DONE


def test_an_approval_is_simply_given_again(life: Life) -> None:
    found = interrupted(life[1], "approve", "push", branch="promote/x", commit="a" * 40)
    assert "approve it again" in found.why


def test_what_the_remote_does_not_answer_stays_until_it_does(life: Life) -> None:
    clones, session = life
    done = submit(session.withdraw(), session.desk, now=NOW)
    away = clones.remote.path.rename(clones.remote.path.with_name("away.git"))
    found = interrupted(session, "submit", "branch", "push", branch=done.branch, commit=done.commit)
    assert (found.outcome, "is unknown" in found.why) == (Outcome.UNKNOWN, True)
    away.rename(clones.remote.path)
    assert [each.outcome for each in reconcile(session.desk)] == [Outcome.DONE]
    assert reconcile(session.desk) == ()
