"""A change from its plan to the base, followed by the command line on real repositories with the real hook."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from support.clones import OPERATOR
from support.gatehouse import MODEL
from support.shared_remote import SharedRemote, guarded

from ml.registry.schema import REGISTRY_PATH

SECOND = "second@example.com"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> SharedRemote:
    """An operator's clone, in which FRESH stands in staging, of a remote that is guarded by the hook."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return guarded(tmp_path, capfd)


def to_shadow(desk: SharedRemote, *options: str, other_than: str = "") -> str:
    """Promote FRESH to shadow; the branch. One second has room for one branch of a name, so that it is tried again."""
    while True:
        again = ("--again",) if other_than else ()
        code, done = desk.document("promote", MODEL, "--to", "shadow", "--reason", "as planned", *again, *options)
        if code == 0 and done["branch"] != other_than:
            return str(done["branch"])
        assert other_than
        assert "error" in done


def states(document: dict[str, object]) -> dict[str, str]:
    change = document["change"]
    assert isinstance(change, dict)
    return {name: rung["state"] for name, rung in change["rungs"].items()}


def test_a_change_is_listed_landed_by_the_beginning_of_its_name_and_waited_for(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    code, listed = desk.document("change", "list")
    assert code == 0
    (found,) = listed["changes"]
    assert (found["branch"], found["highest"], found["next"]) == (branch, "pushed", "merged")
    assert found["rungs"]["pushed"]["proof"]["text"] == f"origin refs/heads/{branch} at {found['commit']}"
    assert found["rungs"]["pushed"]["by"] == OPERATOR
    assert found["rungs"]["checked"]["code"] == "no-forge"

    assert desk.document("change", "wait", "promote/", "--until", "merged", "--timeout", "0s")[0] == 4
    code, landed = desk.document("change", "land", "promote/")
    assert code == 0
    assert (landed["branch"], landed["commit"]) == (branch, desk.clones.tip())

    code, waited = desk.document("change", "wait", branch[:20], "--until", "merged")
    assert (code, waited["outcome"]) == (0, "reached")
    rungs = waited["change"]["rungs"]
    assert (rungs["merged"]["by"], rungs["merged"]["proof"]["kind"]) == (OPERATOR, "base")
    assert rungs["merged"]["at"]
    assert (rungs["checked"]["state"], rungs["checked"]["proof"]["kind"]) == ("reached", "audit")
    assert desk.document("change", "list")[1]["changes"] == []
    assert [each["branch"] for each in desk.document("change", "list", "--all")[1]["changes"]] == [branch]


def test_change_land_prints_what_land_prints(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    main = desk.clones.tip()
    code, first, _ = desk.say("land", branch)
    assert code == 0
    assert first.splitlines()[-1].startswith("main is now ")
    (desk.clones.remote.path / "hooks" / "pre-receive").unlink()
    desk.clones.operator.git("push", "-q", "--force", "origin", f"{main}:refs/heads/main")
    code, second, _ = desk.say("change", "land", branch)
    assert (code, second) == (0, first)


def test_serving_stays_unknown_without_a_source_and_nobody_waits_for_it(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    code, waited = desk.document("change", "wait", branch)
    assert (code, waited["outcome"]) == (3, "unknown")
    assert waited["change"]["rungs"]["serving"]["code"] == "no-source"
    assert desk.document("change", "wait", branch, "--until", "checked")[0] == 3
    assert desk.document("change", "wait", branch, "--until", "approved")[0] == 0


def test_a_squash_merge_is_found_by_its_content(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    other = desk.clones.another("forge", email=SECOND)
    message = other.git("log", "-1", "--format=%B", f"origin/{branch}")
    other.commit("Code", {"engine.py": "x = 1\n"})
    other.git("merge", "-q", "--squash", f"origin/{branch}")
    other.git("commit", "-q", "--author", f"Operator <{OPERATOR}>", "-m", message)
    other.git("push", "-q", "origin", "HEAD:main", f":refs/heads/{branch}")
    squash = other.git("rev-parse", "HEAD")

    code, waited = desk.document("change", "wait", branch, "--until", "merged")
    merged = waited["change"]["rungs"]["merged"]
    assert code == 0
    assert merged["proof"]["text"].endswith(f"holds it in {squash}")
    assert merged["by"] == SECOND
    assert waited["change"]["ending"] == "open"
    assert states(waited)["pushed"] == "reached"


def test_a_merge_commit_tells_who_merged(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    other = desk.clones.another("forge", email=SECOND)
    other.git("merge", "-q", "--no-ff", "-m", "Merge pull request #1", f"origin/{branch}")
    merge = other.git("rev-parse", "HEAD")
    other.commit("Code", {"engine.py": "x = 1\n"})
    other.git("push", "-q", "origin", "HEAD:main")
    code, shown = desk.document("change", "show", branch)
    merged = shown["change"]["rungs"]["merged"]
    assert (code, merged["state"], merged["by"]) == (0, "reached", SECOND)
    assert merged["proof"]["text"].endswith(f"holds it in {merge}")


def test_a_branch_that_was_brought_up_to_date_is_found_after_a_squash(desk: SharedRemote) -> None:
    """A forge's button merges the base into the branch, and its own commit then carries no trailers."""
    branch = to_shadow(desk)
    other = desk.clones.another("forge", email=SECOND)
    message = other.git("log", "-1", "--format=%B", f"origin/{branch}")
    other.commit("Code", {"engine.py": "x = 1\n"})
    other.git("push", "-q", "origin", "main")
    other.git("checkout", "-q", branch)
    other.git("merge", "-q", "--no-ff", "-m", "Merge branch 'main'", "main")
    other.git("push", "-q", "origin", branch)
    shown = desk.document("change", "show", branch)[1]["change"]
    assert (shown["model"], shown["commit"], shown["highest"]) == (MODEL, desk.clones.tip(branch), "pushed")

    other.git("checkout", "-q", "main")
    other.git("merge", "-q", "--squash", branch)
    other.git("commit", "-q", "--author", f"Operator <{OPERATOR}>", "-m", message)
    other.commit("More code", {"engine.py": "x = 2\n"})
    other.git("push", "-q", "origin", "main")
    code, waited = desk.document("change", "wait", branch, "--until", "merged")
    assert (code, waited["change"]["rungs"]["merged"]["state"]) == (0, "reached")


def test_the_same_event_with_other_files_is_not_the_change(desk: SharedRemote) -> None:
    """Whoever copies a registry and leaves the evidence out has not landed the change."""
    branch = to_shadow(desk)
    (desk.clones.remote.path / "hooks" / "pre-receive").unlink()
    other = desk.clones.another("thief", email=SECOND)
    other.git("checkout", "-q", f"origin/{branch}", "--", REGISTRY_PATH)
    other.commit("The registry alone")
    other.git("push", "-q", "origin", "main")
    code, shown = desk.document("change", "wait", branch, "--until", "merged")
    assert (code, shown["change"]["ending"]) == (5, "superseded")
    assert states(shown)["merged"] == "waiting"


def test_a_closed_change_leaves_the_remote_and_comes_back_by_a_push(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    commit = desk.clones.tip(branch)
    assert desk.say("--read-only", "change", "close", branch)[0] == 5
    assert desk.clones.tip(branch) == commit
    code, done = desk.document("change", "close", branch, "--reason", "not today")
    assert (code, done["commit"], done["remote"]) == (0, commit, "origin")
    assert desk.clones.tip(branch) == ""
    assert desk.clones.operator.git("rev-parse", branch) == commit
    assert done["undo"] == f"mlconsole push {branch}"
    assert desk.document("change", "list")[1]["changes"] == []

    code, waited = desk.document("change", "wait", branch, "--until", "merged")
    assert (code, waited["outcome"], waited["change"]["ending"]) == (5, "ended", "closed")
    assert waited["change"]["ended_by"] == OPERATOR
    lines = desk.say("log")[1]
    assert "close" in lines
    assert "not today" in lines

    assert desk.say("push", branch)[0] == 0
    assert desk.clones.tip(branch) == commit
    assert desk.document("change", "show", branch)[1]["change"]["ending"] == "open"


def test_only_the_commit_that_this_clone_keeps_is_ever_deleted(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    (desk.clones.remote.path / "hooks" / "pre-receive").unlink()
    other = desk.clones.another("colleague", email=SECOND)
    other.git("checkout", "-q", branch)
    theirs = other.commit("One more")
    other.git("push", "-q", "origin", branch)
    code, out, err = desk.say("change", "close", branch)
    assert (code, out) == (5, "")
    assert theirs[:12] in err
    assert desk.clones.tip(branch) == theirs


def test_a_colleagues_change_is_kept_here_when_it_is_closed(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    commit = desk.clones.tip(branch)
    desk.clones.operator.git("branch", "-q", "-D", branch)
    assert desk.say("change", "close", commit[:10])[0] == 0
    assert desk.clones.tip(branch) == ""
    assert desk.clones.operator.git("rev-parse", branch) == commit


def test_a_server_that_keeps_its_branches_is_heard(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    desk.clones.remote.git("config", "receive.denyDeletes", "true")
    commit = desk.clones.tip(branch)
    code, _, err = desk.say("change", "close", branch)
    assert code == 5
    assert "deletion prohibited" in err
    assert desk.clones.tip(branch) == commit
    assert desk.document("change", "show", branch)[1]["change"]["ending"] == "open"


def test_what_has_landed_and_what_is_no_change_is_not_closed(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    desk.say("land", branch)
    assert desk.say("change", "close", branch)[0] == 5
    assert desk.clones.tip(branch)
    desk.clones.operator.git("push", "-q", "origin", "main:refs/heads/feature/x")
    assert desk.say("change", "close", "feature/x")[0] == 2
    assert desk.say("change", "close", "main")[0] == 2
    assert desk.clones.tip("feature/x")


def test_of_two_changes_of_one_step_one_lands_and_the_other_is_superseded(desk: SharedRemote) -> None:
    first = to_shadow(desk)
    second = to_shadow(desk, other_than=first)
    code, _, err = desk.say("change", "show", "promote/")
    assert code == 2
    assert first in err
    assert second in err
    assert len(desk.document("change", "list")[1]["changes"]) == 2
    assert desk.document("change", "land", first)[0] == 0
    code, waited = desk.document("change", "wait", second, "--until", "merged")
    assert (code, waited["change"]["ending"]) == (5, "superseded")
    assert desk.document("change", "show", first)[1]["change"]["ending"] == "open"


def test_a_change_that_stayed_local_says_how_to_push_it(desk: SharedRemote) -> None:
    branch = to_shadow(desk, "--no-push")
    code, shown = desk.document("change", "show", branch)
    pushed = shown["change"]["rungs"]["pushed"]
    assert (code, pushed["state"], pushed["code"]) == (0, "waiting", "local-only")
    assert pushed["todo"] == f"mlconsole push {branch}"
    assert desk.document("change", "close", branch)[1]["remote"] == ""
    assert desk.document("change", "show", branch)[1]["change"]["ending"] == "closed"


def test_without_a_remote_git_alone_tells(desk: SharedRemote) -> None:
    desk.clones.operator.git("remote", "remove", "origin")
    branch = to_shadow(desk)
    code, shown = desk.document("change", "show", branch)
    assert code == 0
    assert states(shown)["pushed"] == "not-needed"
    assert states(shown)["merged"] == "waiting"
    desk.clones.operator.git("merge", "-q", "--ff-only", branch)
    code, waited = desk.document("change", "wait", branch, "--until", "merged")
    assert (code, states(waited)["merged"], states(waited)["checked"]) == (0, "reached", "unknown")


def test_a_remote_out_of_reach_leaves_it_unknown(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    home = desk.clones.remote.path
    home.rename(home.with_name("away.git"))
    code, shown = desk.document("change", "show", branch)
    assert code == 0
    assert {states(shown)[rung] for rung in ("pushed", "merged", "deployed")} == {"unknown"}
    assert shown["change"]["highest"] == "planned"
    code, waited = desk.document("change", "wait", branch, "--until", "merged", "--timeout", "0s")
    assert (code, waited["outcome"]) == (3, "unknown")
    assert desk.say("change", "close", branch)[0] == 3
    home.with_name("away.git").rename(home)
    assert desk.clones.tip(branch)
    assert desk.document("change", "show", branch)[1]["change"]["ending"] == "open"


def test_a_name_that_is_none_writes_nothing(desk: SharedRemote) -> None:
    for verb in ("show", "wait", "land", "close"):
        code, out, err = desk.say("change", verb, "rollback/nothing")
        assert (code, out) == (2, "")
        assert "rollback/nothing" in err
    assert desk.say("change", "wait", "x", "--timeout", "soon")[0] == 2
    assert desk.say("change", "list")[1].strip() == "There is no open change."


GH = """#!{python}
import json, pathlib, sys
if sys.argv[1] == "auth":
    sys.exit(0)
if sys.argv[2] == "create":
    print("https://github.com/acme/trading/pull/7")
    sys.exit(0)
print(pathlib.Path({answer!r}).read_text())
"""
SSH = """#!/bin/sh
for word; do :; done
exec sh -c "$(printf '%s' "$word" | sed "s#'acme/trading.git'#'{remote}'#")"
"""


def test_a_forge_tells_of_checks_and_review(
    desk: SharedRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remote is reached by its address at a forge, and ``gh`` is a stand-in that prints what the forge would."""
    answer, tools = tmp_path / "answer.json", tmp_path / "tools"
    tools.mkdir()
    for name, text in (
        ("gh", GH.format(python=sys.executable, answer=str(answer))),
        ("ssh", SSH.format(remote=desk.clones.remote.path)),
    ):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    desk.clones.operator.git("remote", "set-url", "origin", "git@github.com:acme/trading.git")
    desk.clones.operator.git("config", "core.sshCommand", str(tools / "ssh"))
    branch = to_shadow(desk)
    run_of = {"__typename": "CheckRun", "name": "gate", "status": "IN_PROGRESS", "conclusion": ""}
    pull = {
        "url": "https://github.com/acme/trading/pull/7",
        "state": "OPEN",
        "headRefName": branch,
        "headRefOid": desk.clones.tip(branch),
        "baseRefName": "main",
        "reviewDecision": "REVIEW_REQUIRED",
        "latestReviews": [],
        "statusCheckRollup": [run_of],
    }
    answer.write_text(json.dumps([pull]))
    code, waited = desk.document("change", "wait", branch, "--until", "checked", "--timeout", "0s")
    rungs = waited["change"]["rungs"]
    assert (code, rungs["checked"]["code"], rungs["approved"]["code"]) == (4, "checks-run", "approvals-missing")

    passed = {**run_of, "status": "COMPLETED", "conclusion": "SUCCESS", "completedAt": "2026-02-16T10:00:00Z"}
    answer.write_text(json.dumps([pull | {"statusCheckRollup": [passed], "reviewDecision": "APPROVED"}]))
    code, waited = desk.document("change", "wait", branch, "--until", "approved")
    rungs = waited["change"]["rungs"]
    assert (code, rungs["checked"]["state"], rungs["approved"]["state"]) == (0, "reached", "reached")
    assert rungs["checked"]["at"] == "2026-02-16T10:00:00Z"
    assert pull["url"] in rungs["checked"]["proof"]["text"]

    answer.write_text(json.dumps([pull | {"state": "CLOSED", "closedAt": "2026-02-16T11:00:00Z"}]))
    code, waited = desk.document("change", "wait", branch, "--until", "merged")
    assert (code, waited["change"]["ending"]) == (5, "closed")
    answer.write_text("no JSON")
    code, shown = desk.document("change", "show", branch)
    assert (code, shown["change"]["rungs"]["checked"]["code"]) == (0, "forge-silent")
