"""The state of pull requests as ``gh`` and ``glab`` print it, and whatever else they may print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.adapters.forge_requests import ForgeRequests
from ml.adapters.processes import run
from ml.promotion.rungs import Checks, ForgeAnswer, ForgeState, Request, Review

GITHUB, GITLAB = "git@github.com:acme/trading.git", "git@gitlab.com:acme/ml/trading.git"
BRANCH, HEAD = "promote/m/x-to-active-20260216T100000Z", "a" * 40
PULL: dict[str, Any] = {
    "url": "https://github.com/acme/trading/pull/7",
    "state": "OPEN",
    "headRefName": BRANCH,
    "headRefOid": HEAD,
    "baseRefName": "main",
    "createdAt": "2026-02-16T10:00:00Z",
    "mergedAt": None,
    "mergedBy": None,
    "closedAt": None,
    "reviewDecision": "REVIEW_REQUIRED",
    "latestReviews": [],
    "statusCheckRollup": [],
}
RUN = {"__typename": "CheckRun", "name": "gate", "status": "COMPLETED", "conclusion": "SUCCESS"}
STATUS = {"__typename": "StatusContext", "context": "ci", "state": "SUCCESS"}
MERGE: dict[str, Any] = {
    "iid": 7,
    "web_url": "https://gitlab.com/acme/ml/trading/-/merge_requests/7",
    "state": "opened",
    "source_branch": BRANCH,
    "target_branch": "main",
    "sha": HEAD,
    "created_at": "2026-02-16T10:00:00.000Z",
}


class Tool:
    """A folder on PATH with a ``gh`` or ``glab`` that prints one file after the other, and notes what it is asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(self, name: str, *answers: object, auth: int = 0, code: int = 0, err: str = "") -> None:
        for number, answer in enumerate(answers):
            text = answer if isinstance(answer, str) else json.dumps(answer)
            (self.folder / f"answer{number}").write_text(text)
        program = self.folder / name
        program.write_text(
            f"#!{sys.executable}\n"
            "import pathlib, sys\n"
            f"if sys.argv[1] == 'auth': sys.exit({auth})\n"
            f"here = pathlib.Path({str(self.folder)!r})\n"
            "asked = here / 'asked'\n"
            "said = asked.read_text().splitlines() if asked.exists() else []\n"
            "asked.write_text('\\n'.join([*said, ' '.join(sys.argv[1:])]))\n"
            f"sys.stderr.write({err!r})\n"
            "answer = here / f'answer{len(said)}'\n"
            "sys.stdout.write(answer.read_text() if answer.exists() else '')\n"
            f"sys.exit({code})\n"
        )
        program.chmod(0o755)

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    def look(self, url: str = GITHUB, branch: str = BRANCH, tool: str = "auto") -> ForgeAnswer:
        return ForgeRequests(run, self.folder, tool).look(url, branch)

    def request(self, url: str = GITHUB) -> Request:
        (found,) = self.look(url).requests
        return found


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    return Tool(tmp_path, monkeypatch)


def test_a_merged_pull_request(tool: Tool) -> None:
    reviews = [{"author": {"login": "bob"}, "state": "APPROVED", "submittedAt": "2026-02-16T10:30:00Z"}]
    merged = {"state": "MERGED", "mergedAt": "2026-02-16T11:00:00Z", "mergedBy": {"login": "ann"}}
    checks = {"statusCheckRollup": [{**RUN, "completedAt": "2026-02-16T10:05:00Z"}, STATUS]}
    tool.install("gh", [PULL | merged | checks | {"reviewDecision": "APPROVED", "latestReviews": reviews}])
    found = tool.request()
    assert (found.tool, found.branch, found.head, found.base) == ("gh", BRANCH, HEAD, "main")
    assert (found.state, found.ended_by, found.checks, found.review) == (
        "merged",
        "ann",
        Checks.PASSED,
        Review.APPROVED,
    )
    assert found.reviewers == ("bob",)
    assert found.ended_at is not None
    assert found.checks_at is not None
    assert found.checks_at < found.ended_at
    (asked,) = tool.asked()
    assert asked.startswith(
        f"pr list --repo github.com/acme/trading --state all --limit 50 --head {BRANCH} --json url,"
    )


@pytest.mark.parametrize(
    ("rollup", "checks"),
    [
        ([], Checks.NONE),
        (None, Checks.UNREAD),
        ("SUCCESS", Checks.UNREAD),
        ([RUN], Checks.PASSED),
        ([STATUS], Checks.PASSED),
        ([{**RUN, "conclusion": "SKIPPED"}], Checks.NONE),
        ([RUN, {**RUN, "conclusion": "NEUTRAL"}], Checks.PASSED),
        ([RUN, {**RUN, "status": "IN_PROGRESS", "conclusion": ""}], Checks.RUNNING),
        ([RUN, {**RUN, "status": "QUEUED", "conclusion": None}], Checks.RUNNING),
        ([RUN, {**STATUS, "state": "PENDING"}], Checks.RUNNING),
        ([RUN, {**STATUS, "state": "EXPECTED"}], Checks.RUNNING),
        ([RUN, {**RUN, "conclusion": "FAILURE"}], Checks.FAILED),
        ([RUN, {**RUN, "conclusion": "CANCELLED"}], Checks.FAILED),
        ([RUN, {**STATUS, "state": "ERROR"}], Checks.FAILED),
        ([RUN, {**RUN, "conclusion": "A_NEW_WORD"}], Checks.RUNNING),
        ([RUN, "hello"], Checks.UNREAD),
        ([RUN, {}], Checks.RUNNING),
    ],
)
def test_checks_are_passed_only_where_all_of_them_say_so(tool: Tool, rollup: object, checks: Checks) -> None:
    tool.install("gh", [PULL | {"statusCheckRollup": rollup}])
    assert tool.request().checks is checks


@pytest.mark.parametrize(
    ("decision", "review"),
    [
        ("", Review.NONE),
        ("APPROVED", Review.APPROVED),
        ("CHANGES_REQUESTED", Review.CHANGES),
        ("REVIEW_REQUIRED", Review.REQUIRED),
        ("A_NEW_WORD", Review.UNREAD),
        (None, Review.UNREAD),
        (7, Review.UNREAD),
    ],
)
def test_a_review_is_what_the_forge_decided(tool: Tool, decision: object, review: Review) -> None:
    tool.install("gh", [PULL | {"reviewDecision": decision}])
    assert tool.request().review is review


@pytest.mark.parametrize(
    "broken",
    [
        {"url": "http://github.com/x"},
        {"url": "https://github.com/\x1b[2J"},
        {"url": None},
        {"headRefOid": "main"},
        {"headRefOid": "A" * 40},
        {"headRefOid": 7},
        {"state": "DRAFT"},
        {"state": None},
    ],
)
def test_a_request_that_cannot_be_read_is_none(tool: Tool, broken: dict[str, object]) -> None:
    tool.install("gh", [PULL | broken, PULL])
    assert len(tool.look().requests) == 1


def test_texts_are_made_visible(tool: Tool) -> None:
    tool.install("gh", [PULL | {"mergedBy": {"login": "an\x1bn\u202e"}, "baseRefName": "ma\nin"}])
    found = tool.request()
    assert found.ended_by.isprintable()
    assert found.base.isprintable()


@pytest.mark.parametrize("answer", ["", "no JSON", "[" * 100_000, "{}", '"x"', "[7, null]"])
def test_another_answer_is_no_request(tool: Tool, answer: str) -> None:
    tool.install("gh", answer)
    assert tool.look().requests == ()


def test_why_there_is_no_answer_is_a_value(tool: Tool) -> None:
    assert tool.look().state is ForgeState.NONE  # not installed
    assert tool.look("/srv/git/trading.git").state is ForgeState.NONE
    assert tool.look("https://git.example.com/a/b.git").state is ForgeState.NONE
    tool.install("gh", [PULL], auth=1)
    logged_out = tool.look()
    assert (logged_out.state, bool(logged_out.remedy)) == (ForgeState.NONE, True)
    tool.install("gh", code=1, err="HTTP 500: boom\x1b[2J\n")
    failed = tool.look()
    assert failed.state is ForgeState.SILENT
    assert failed.why.isprintable()
    tool.install("gh", code=1, err="GraphQL: API rate limit exceeded for user\n")
    assert tool.look().state is ForgeState.LIMITED
    assert tool.look(tool="none").state is ForgeState.NONE


@pytest.mark.parametrize(
    ("pipeline", "checks"),
    [
        (None, Checks.NONE),
        ({"status": "success", "sha": HEAD, "finished_at": "2026-02-16T10:05:00.000Z"}, Checks.PASSED),
        ({"status": "success", "sha": "b" * 40}, Checks.UNREAD),
        ({"status": "failed", "sha": HEAD}, Checks.FAILED),
        ({"status": "running", "sha": HEAD}, Checks.RUNNING),
        ({"status": "a_new_word", "sha": HEAD}, Checks.UNREAD),
    ],
)
def test_a_merge_request_has_its_pipeline(tool: Tool, pipeline: object, checks: Checks) -> None:
    tool.install("glab", [MERGE], MERGE | {"head_pipeline": pipeline}, {"approved": False, "approvals_left": 1})
    found = tool.request(GITLAB)
    assert (found.tool, found.checks, found.review) == ("glab", checks, Review.REQUIRED)
    listed, one, approvals = tool.asked()
    project = "api --hostname gitlab.com projects/acme%2Fml%2Ftrading/merge_requests"
    assert listed.startswith(f"{project}?state=all&")
    assert (one, approvals) == (f"{project}/7", f"{project}/7/approvals")


@pytest.mark.parametrize(
    ("approvals", "review"),
    [
        ({"approved": True, "approvals_left": 0, "approved_by": [{"user": {"username": "bob"}}]}, Review.APPROVED),
        ({"approved": True, "approvals_left": 0, "approved_by": []}, Review.NONE),
        ({"approved": "yes"}, Review.UNREAD),
        ([], Review.UNREAD),
    ],
)
def test_a_merge_request_is_approved_by_people_only(tool: Tool, approvals: object, review: Review) -> None:
    tool.install("glab", [MERGE], MERGE | {"head_pipeline": None}, approvals)
    assert tool.request(GITLAB).review is review


def test_all_requests_are_one_question(tool: Tool) -> None:
    tool.install("gh", [PULL, PULL | {"headRefName": "other"}])
    answer = tool.look(branch="")
    assert len(answer.requests) == 2
    assert answer.about(BRANCH, HEAD) is not None
    assert answer.about("unheard of", HEAD) is None
    assert {each.checks for each in answer.requests} == {Checks.NONE}
    assert len(tool.asked()) == 1
    assert "--head" not in tool.asked()[0]
