"""Servers and clones that want lines in a commit message: every commit that the console writes has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.clones import OPERATOR, Clones, Folder
from support.promotions import FRESH, MODEL, NOW, Session, artifact, as_bytes, make_session, pointer

from ml.adapters.git import open_repository
from ml.errors import Refused
from ml.promotion.land import land
from ml.promotion.repository import trailers
from ml.promotion.submit import submit
from ml.promotion.trailers import Wording
from ml.registry import changes
from ml.registry.codec import parse
from ml.registry.schema import REGISTRY_PATH
from ml.session.changes import propose
from ml.stage import Stage

SIGNED = f"Signed-off-by: Operator <{OPERATOR}>"
_EACH_NEW_COMMIT = """#!/bin/sh
while read old new ref; do
    for commit in $(git rev-list "$new" --not --all); do
        git log -1 --format=%B "$commit" | grep -Eq '{pattern}' || {{ echo "{words}" >&2; exit 1; }}
    done
done
"""


@pytest.fixture
def life(tmp_path: Path) -> tuple[Clones, Session]:
    return make_session(tmp_path)


def wants(remote: Folder, pattern: str, words: str) -> None:
    """A server that takes no commit without a line."""
    hook = remote.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_EACH_NEW_COMMIT.format(pattern=pattern, words=words))
    hook.chmod(0o755)


def wants_sign_off(remote: Folder) -> None:
    wants(remote, f"^{SIGNED}$", "DCO: a line Signed-off-by is missing")


def worded(session: Session, wording: Wording) -> Session:
    repository = open_repository(session.folder.path, wording=wording)
    return replace(session, repository=repository, desk=replace(session.desk, repository=repository))


def message_of(clones: Clones, commit: str) -> str:
    return clones.remote.git("log", "-1", "--format=%B", commit)


def hook(folder: Folder, name: str, body: str, where: str = ".git/hooks") -> None:
    path = folder.path / where / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def by_configuration(session: Session) -> Session:
    return worded(session, Wording(signoff=True))


def by_git(session: Session) -> Session:
    session.folder.git("config", "format.signOff", "true")
    return session


def by_a_hook(session: Session) -> Session:
    hook(session.folder, "commit-msg", 'git interpret-trailers --in-place --trailer "$(' + _IDENT + ')" "$1"')
    return worded(session, Wording(hooks=True))


def by_a_careless_hook(session: Session) -> Session:
    hook(session.folder, "prepare-commit-msg", f'printf "\\n%s\\n" "$({_IDENT})" >> "$1"', where="tools/hooks")
    session.folder.git("config", "core.hooksPath", "tools/hooks")
    return worded(session, Wording(hooks=True))


_IDENT = "git var GIT_COMMITTER_IDENT | sed -e 's/>.*/>/' -e 's/^/Signed-off-by: /'"


@pytest.mark.parametrize("way", [by_configuration, by_git, by_a_hook, by_a_careless_hook], ids=lambda way: way.__name__)
def test_every_kind_of_commit_is_signed_off(
    life: tuple[Clones, Session], tmp_path: Path, way: Callable[[Session], Session]
) -> None:
    clones, session = life
    wants_sign_off(clones.remote)
    session = way(session)
    for plan in (session.to_active, session.rollback, session.stage):
        planned = plan()
        done = submit(planned, session.desk, now=NOW)
        assert done.pushed
        assert trailers(planned.message).items() <= trailers(message_of(clones, done.commit)).items()
        land(done.branch, session.desk, now=NOW)
    waiting = submit(session.withdraw(FRESH, Stage.STAGING), session.desk, now=NOW)
    _move_another_model(clones)
    landed = land(waiting.branch, session.desk, now=NOW)
    assert message_of(clones, landed.commit).startswith("Merge withdraw/")
    first = propose(session.desk, session.base, NOW, push=True, dry_run=False)
    assert first.pushed
    assert trailers(message_of(clones, first.commit))["Operators"] == OPERATOR
    unsigned = [
        line
        for line in clones.remote.git("log", "--all", "--format=%H %s").splitlines()
        if SIGNED not in message_of(clones, line.split()[0]) and "beginning" not in line and "theirs" not in line
    ]
    assert unsigned == []


def _move_another_model(clones: Clones) -> None:
    """Another operator stages another model, signed off by hand."""
    other = clones.another("other")
    doc = parse((other.path / REGISTRY_PATH).read_bytes())
    theirs = changes.stage(doc, "spacing", pointer(FRESH), by="second@example.com", reason="theirs", at=NOW)
    other.commit(f"theirs\n\n{SIGNED}", {REGISTRY_PATH: theirs.raw})
    other.git("push", "-q")


def test_an_approval_is_signed_off_and_still_names_its_commit(life: tuple[Clones, Session], tmp_path: Path) -> None:
    clones, session = life
    wants_sign_off(clones.remote)
    key = tmp_path / "key"
    session.folder.git("config", "user.signingKey", str(key))
    os.spawnlp(os.P_WAIT, "ssh-keygen", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    session = worded(session, Wording(signoff=True))
    head = submit(session.rollback(), session.desk, now=NOW).commit
    author = session.repository.writer.identity()
    message = f"Approve it\n\nApproves: {head}\nApproved-By: {OPERATOR}\n"
    note = session.repository.writer.note(head, message, author, NOW)
    assert session.desk.repository.remotes.push("origin", f"refs/approvals/{head}/{note}", note).accepted
    found = trailers(message_of(clones, note))
    assert (found["Approves"], found["Approved-By"]) == (head, OPERATOR)
    assert found["Signed-off-by"] == f"Operator <{OPERATOR}>"


def test_a_refusal_for_a_missing_line_names_the_setting_that_adds_it(life: tuple[Clones, Session]) -> None:
    clones, session = life
    wants_sign_off(clones.remote)
    with pytest.raises(Refused) as caught:
        submit(session.rollback(), session.desk, now=NOW)
    assert "signoff = true" in caught.value.remedy
    wants(clones.remote, "^Change-Id: I[0-9a-f]{40}$", "missing Change-Id in commit message footer")
    with pytest.raises(Refused) as caught:
        submit(session.rollback(), session.desk, now=NOW)
    assert "Change-Id: {change_id}" in caught.value.remedy
    wants(clones.remote, "^nothing has this$", "bad weather")
    with pytest.raises(Refused) as caught:
        submit(session.rollback(), session.desk, now=NOW)
    assert "[commit]" not in caught.value.remedy


def test_a_server_that_wants_a_change_id_gets_another_one_for_each_change(life: tuple[Clones, Session]) -> None:
    clones, session = life
    wants(clones.remote, "^Change-Id: I[0-9a-f]{40}$", "missing Change-Id")
    session = worded(session, Wording(trailers=("Change-Id: {change_id}", "Desk: {name} at {email}")))
    first = submit(session.rollback(), session.desk, now=NOW)
    later = submit(replace(session, now=NOW + timedelta(minutes=1)).rollback(), session.desk, now=NOW)
    ids = [trailers(message_of(clones, done.commit))["Change-Id"] for done in (first, later)]
    assert len(set(ids)) == 2
    assert trailers(message_of(clones, first.commit))["Desk"] == f"Operator at {OPERATOR}"


def test_a_name_that_git_cleans_is_signed_off_as_git_commits_it(life: tuple[Clones, Session]) -> None:
    clones, session = life
    session.folder.git("config", "user.name", " Ada Quill, Dr.")
    session = worded(session, Wording(signoff=True))
    done = submit(session.rollback(), session.desk, now=NOW)
    author = clones.remote.git("log", "-1", "--format=%an <%ae>", done.commit)
    assert trailers(message_of(clones, done.commit))["Signed-off-by"] == author == f"Ada Quill, Dr <{OPERATOR}>"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('grep -q "^Ticket:" "$1" || { echo "no Ticket" >&2; exit 1; }', "refuses the commit message: no Ticket"),
        ('printf "Fixed\\n" > "$1"', "changes the line Model"),
        ('sed -i "s/^To-Stage: .*/To-Stage: shadow/" "$1"', "changes the line To-Stage"),
    ],
)
def test_a_hook_that_refuses_or_takes_our_lines_away_stops_the_change_before_anything_is_written(
    life: tuple[Clones, Session], body: str, says: str
) -> None:
    _, session = life
    hook(session.folder, "commit-msg", body)
    before, refs = session.folder.trace(), session.folder.git("for-each-ref")
    asked = worded(session, Wording(hooks=True))
    with pytest.raises(Refused, match=says) as caught:
        submit(asked.rollback(), asked.desk, now=NOW)
    assert "MLCONSOLE_COMMIT_HOOKS=false" in caught.value.remedy
    assert (session.folder.trace(), session.folder.git("for-each-ref")) == (before, refs)
    assert submit(session.rollback(), session.desk, now=NOW).pushed, "without hooks nothing stands in its way"


def test_a_hook_is_no_program_of_ours_until_somebody_says_so(life: tuple[Clones, Session], tmp_path: Path) -> None:
    _, session = life
    hook(session.folder, "commit-msg", f'touch "{tmp_path}/it-ran"')
    assert submit(session.rollback(), session.desk, now=NOW).pushed
    assert not (tmp_path / "it-ran").exists()


def test_files_of_a_staged_artifact_come_with_a_signed_off_commit(life: tuple[Clones, Session]) -> None:
    clones, session = life
    wants_sign_off(clones.remote)
    done = submit(by_configuration(session).stage(), by_configuration(session).desk, now=NOW)
    for path, content in as_bytes(artifact(FRESH)):
        assert session.repository.objects.read(done.commit, path) == content
    assert f"stage/{MODEL}/" in done.branch
