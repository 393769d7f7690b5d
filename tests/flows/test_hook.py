"""The ``pre-receive`` hook on a real bare repository: what the gate refuses becomes no ref, and git push says why."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.clones import OPERATOR, Folder
from support.gatehouse import POLICY, SIGNERS, STRANGER, Gatehouse
from test_four_eyes import key_pair

from ml.adapters.git_hooks import install_gate
from ml.adapters.git_runner import environment
from ml.adapters.processes import run
from ml.errors import Unavailable
from ml.promotion.repository import Person
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

BRANCH = "refs/heads/promote/regime_classifier/x-to-active-20260216T100000Z"


def push(house: Gatehouse, server: Folder, *refspecs: str, fails: bool = False) -> str:
    return house.clones.operator.git("push", "--atomic", server.path, *refspecs, fails=fails)


def test_a_legal_change_is_taken_as_a_branch_and_on_the_base(house: Gatehouse, server: Folder) -> None:
    head = house.made(house.to_active())
    push(house, server, f"{head}:{BRANCH}")
    push(house, server, f"{head}:refs/heads/main")
    assert server.git("rev-parse", "main") == server.git("rev-parse", BRANCH) == head


def test_an_illegal_branch_is_refused_when_it_is_offered(house: Gatehouse, server: Folder) -> None:
    head = house.bent(house.to_active(), files={"engine.py": b"limit = None\n"})
    assert "engine.py has no part in this change" in push(house, server, f"{head}:{BRANCH}", fails=True)


def test_one_bad_ref_stops_the_whole_push_and_only_it_is_blamed(house: Gatehouse, server: Folder) -> None:
    good = house.made(house.withdraw())
    bad = house.bent(house.withdraw(), files={"engine.py": b"limit = None\n"})
    before = server.git("for-each-ref")
    spoiled = BRANCH.replace("promote", "withdraw")
    refspecs = [f"{good}:{BRANCH}", f"{good}:refs/heads/main", f"{bad}:{spoiled}"]
    said = house.clones.operator.git("push", server.path, *refspecs, fails=True)
    blamed = [line for line in said.splitlines() if " is refused: " in line]
    assert {line.split("mlconsole: ")[1].split(" is refused")[0] for line in blamed} == {spoiled}
    assert server.git("for-each-ref") == before


def test_the_base_is_neither_deleted_nor_rewound(house: Gatehouse, server: Folder) -> None:
    assert "never deleted" in push(house, server, ":refs/heads/main", fails=True)
    push(house, server, f"{house.made(house.withdraw())}:refs/heads/main")
    assert "does not build on the base" in push(house, server, f"+{house.main}:refs/heads/main", fails=True)


def test_approvals_are_only_added_and_replacements_not_taken(house: Gatehouse, server: Folder, signing: str) -> None:
    """Only an operator's signed approval is taken, under the name of its own commit or, as once, of its operator."""
    base = house.base({SIGNERS: signing})
    server.git("fetch", "-q", house.clones.operator.path, f"{base}:refs/keep/base")
    server.git("update-ref", "refs/heads/main", base)
    home, at = f"refs/approvals/{base}", house.now
    words = f"Approve\n\nApproves: {base}\n"
    operator, stranger = Person("operator", OPERATOR), Person("stranger", STRANGER)
    note = house.repository.writer.note(base, words, operator, at)
    older = house.repository.writer.note(base, words, operator, at - timedelta(seconds=1))
    files = house.commit(base, [("x", b"x")], words, by=OPERATOR)
    unsigned = house.clones.operator.git("commit-tree", "-p", base, f"{base}^{{tree}}", stdin=words)
    of_old = hashlib.sha256(OPERATOR.encode()).hexdigest()[:16]
    strangers = hashlib.sha256(STRANGER.encode()).hexdigest()[:16]
    refused = {
        f"{unsigned}:{home}/{unsigned}": "nobody proves it",
        f"{note}:{home}": "stand in the way",
        f"{note}:{home}/{note}/x": "stand in the way",
        f"{note}:{home}/{'0' * 40}": "its name must end in",
        f"{note}:{home}-{'0' * 40}": "its name must end in",
        f"{unsigned}:refs/approvals/{base}-{unsigned}": "nobody proves it",
        f"{note}:{home}/{strangers}": "its name must end in",
        f"{note}:refs/approvals/{house.main}/{note}": "approves another commit",
        f"{base}:{home}/{base}": "approves another commit",
        f"{files}:{home}/{files}": "it changes files",
    }
    for refspec, why in refused.items():
        assert why in push(house, server, refspec, fails=True)
    assert server.git("for-each-ref", "refs/approvals") == ""
    push(house, server, f"{note}:{home}/{note}")
    push(house, server, f"{older}:{home}/{of_old}")
    push(house, server, f"{note}:refs/approvals/{base}-{note}")
    assert "never changed" in push(house, server, f":refs/approvals/{base}-{note}", fails=True)
    assert "never changed" in push(house, server, f":{home}/{note}", fails=True)
    assert "never changed" in push(house, server, f"+{note}:{home}/{of_old}", fails=True)
    nobody = house.base({SIGNERS: signing.replace(OPERATOR, stranger.email)})
    server.git("fetch", "-q", house.clones.operator.path, f"{nobody}:refs/keep/nobody")
    server.git("update-ref", "refs/heads/main", nobody)
    third = house.repository.writer.note(base, words, operator, at - timedelta(seconds=2))
    assert f"{STRANGER} is no operator" in push(house, server, f"{third}:{home}/{third}", fails=True)
    for home in ("refs/replace", "refs/Replace"):
        assert "another history" in push(house, server, f"{house.main}:{home}/{house.main}", fails=True)


def test_other_branches_are_nobodys_business(house: Gatehouse, server: Folder) -> None:
    push(house, server, f"{house.commit(house.main, [(REGISTRY_PATH, b'{}')], 'x', by=STRANGER)}:refs/heads/try/this")
    code = house.commit(house.main, [("engine.py", b"x = 1\n")], "Code", by=STRANGER)
    push(house, server, f"{code}:refs/heads/main")


def test_a_gate_that_cannot_run_holds_up_what_it_guards_and_nothing_else(house: Gatehouse, server: Folder) -> None:
    server.git("config", "mlconsole.python", "/nowhere/python")
    code = house.commit(house.main, [("engine.py", b"x = 1\n")], "Code", by=STRANGER)
    push(house, server, f"{code}:refs/heads/try/this")
    assert "/nowhere/python" in push(house, server, f"{code}:refs/heads/main", fails=True)
    assert server.git("rev-parse", "main") == house.main


def test_an_older_hook_of_ours_is_replaced(house: Gatehouse, server: Folder) -> None:
    hook = server.path / "hooks/pre-receive"
    shipped = hook.read_text()
    hook.write_text(shipped.replace("--pre-receive", "--older"))
    install_gate(server.path, run=run, python=Path(sys.executable))
    assert hook.read_text() == shipped


@pytest.fixture
def signing(house: Gatehouse, own_home: Path) -> Iterator[str]:
    """The house's operator signs; the line of the list of allowed signers that says so."""
    key, public = key_pair(own_home, "ann")
    settings = {"gpg.format": "ssh", "user.signingkey": str(key), "commit.gpgsign": "true"}
    for name, value in settings.items():
        house.clones.operator.git("config", name, value)
    yield f"{OPERATOR} {public}\n"
    for name in settings:
        house.clones.operator.git("config", "--unset", name)


def test_two_eyes_are_enough_to_offer_and_four_to_land(house: Gatehouse, server: Folder, signing: str) -> None:
    policy = POLICY + "[ack]\nsigned = true\napprovals = 2\n"
    base = house.base({POLICY_PATH: policy, SIGNERS: signing})
    server.git("fetch", "-q", house.clones.operator.path, f"{base}:refs/keep/base")
    server.git("update-ref", "refs/heads/main", base)
    head = house.made(house.to_active(base))
    push(house, server, f"{head}:{BRANCH}")
    assert "1 more operators must approve" in push(house, server, f"{head}:refs/heads/main", fails=True)


def test_a_foreign_hook_is_not_overwritten(tmp_path: Path) -> None:
    remote = Folder(tmp_path / "x.git", tmp_path)
    Folder(tmp_path, tmp_path).git("init", "-q", "--bare", remote.path)
    (remote.path / "hooks").mkdir(exist_ok=True)
    (remote.path / "hooks/pre-receive").write_text("#!/bin/sh\n")
    with pytest.raises(Unavailable, match="another hook"):
        install_gate(remote.path, run=run, python=Path(sys.executable))


def test_only_a_hook_sees_the_quarantine() -> None:
    stray = {"GIT_DIR": "/elsewhere", "GIT_OBJECT_DIRECTORY": "/q", "GIT_INDEX_FILE": "/i", "PATH": "/bin"}
    outside = environment(stray)
    inside = environment(stray | {"GIT_QUARANTINE_PATH": "/q"})
    assert not {"GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE"} & outside.keys()
    assert (inside["GIT_OBJECT_DIRECTORY"], inside["GIT_QUARANTINE_PATH"]) == ("/q", "/q")
    assert not {"GIT_DIR", "GIT_INDEX_FILE"} & inside.keys()
