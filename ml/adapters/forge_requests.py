"""The state of pull and merge requests, read with ``gh`` or ``glab`` where they are installed and logged in.

Whatever a tool prints is hostile until the parsers here took it: commits are hexadecimal, addresses are https, texts
are made visible. What cannot be read is unread, and never counts as passed or approved.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ml.adapters.forge import fitting_tool, place_of
from ml.errors import ConsoleError
from ml.ports import Finished, Runner
from ml.promotion.rungs import Checks, ForgeAnswer, ForgeState, Request, Review
from ml.text import visible

_DEADLINE_S = 10.0
_MOST = 50
_MOST_OUTPUT = 4 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LIMITED = re.compile(rb"rate limit|429|too many requests", re.IGNORECASE)
_FIELDS = (
    "url,state,headRefName,headRefOid,baseRefName,createdAt,mergedAt,mergedBy,closedAt,"
    "reviewDecision,latestReviews,statusCheckRollup"
)
_BRIEF = "url,state,headRefName,headRefOid,baseRefName,createdAt,mergedAt,mergedBy,closedAt,reviewDecision"

_Values = Mapping[str, Any]


class ForgeRequests:
    """Reads requests by a command-line tool. ``tool`` is ``auto``, ``gh``, ``glab`` or ``none``, as for `CommandForge`.

    One question starts one to four short processes; callers ask seldom (`ml.session.ladders`).
    """

    def __init__(self, run: Runner, folder: Path, tool: str = "auto") -> None:
        self._run = run
        self._folder = folder
        self._tool = tool

    def look(self, remote_url: str, branch: str = "") -> ForgeAnswer:
        """The requests of one branch with checks and review, or without a branch the newest ones in brief.

        Never raises: a forge that does not answer leaves the rungs unknown.
        """
        host, path = place_of(remote_url)
        tool = fitting_tool(remote_url) if self._tool == "auto" else self._tool
        if not host or not path or tool not in ("gh", "glab"):
            return ForgeAnswer(why="There is no forge here that gh or glab can ask.")
        try:
            signed_in = self._tell(tool, "auth", "status", "--hostname", host)
            if signed_in.timed_out:
                return ForgeAnswer(state=ForgeState.SILENT, why=f"{tool} did not answer within {_DEADLINE_S:g} s.")
            if signed_in.code != 0:
                return ForgeAnswer(
                    why=f"{tool} is not logged in at {visible(host)}.",
                    remedy=f"Log in with: {tool} auth login --hostname {visible(host)}",
                )
            ask = self._github if tool == "gh" else self._gitlab
            return ForgeAnswer(state=ForgeState.ANSWERED, requests=tuple(ask(host, path, branch)))
        except _Unanswered as sick:
            return sick.answer
        except ConsoleError:
            return ForgeAnswer(why=f"{tool} is not installed here.", remedy=f"Install {tool} and log in.")

    def _github(self, host: str, path: str, branch: str) -> Iterable[Request]:
        some = ("--head", branch) if branch else ()
        fields = _FIELDS if branch else _BRIEF
        where = ("--repo", f"{host}/{path}", "--state", "all", "--limit", str(_MOST))
        found = self._json("gh", "pr", "list", *where, *some, "--json", fields)
        return [made for each in _rows(found) if (made := _pull_request(each)) is not None]

    def _gitlab(self, host: str, path: str, branch: str) -> Iterable[Request]:
        project = f"projects/{quote(path, safe='')}/merge_requests"
        some = f"&source_branch={quote(branch, safe='')}" if branch else ""
        asked = f"{project}?state=all&order_by=updated_at&per_page={_MOST}{some}"
        rows = _rows(self._json("glab", "api", "--hostname", host, asked))
        if not branch or not rows:
            return [made for each in rows if (made := _merge_request(each, {}, {})) is not None]
        number = rows[0].get("iid")
        if not isinstance(number, int):
            return []
        whole = self._json("glab", "api", "--hostname", host, f"{project}/{number}")
        approvals = self._json("glab", "api", "--hostname", host, f"{project}/{number}/approvals")
        made = _merge_request(rows[0], _table(whole), _table(approvals))
        return [made] if made is not None else []

    def _json(self, tool: str, *words: str) -> object:
        ended = self._tell(tool, *words)
        if ended.timed_out:
            raise _Unanswered(ForgeState.SILENT, f"{tool} did not answer within {_DEADLINE_S:g} s.")
        if ended.code != 0:
            limited = _LIMITED.search(ended.err) is not None
            first = ended.err.decode("utf-8", "replace").strip().partition("\n")[0]
            why = "The forge asks for fewer questions." if limited else f"{tool} failed: {visible(first, limit=200)}"
            raise _Unanswered(ForgeState.LIMITED if limited else ForgeState.SILENT, why)
        try:
            return json.loads(ended.out)
        except (ValueError, RecursionError) as error:
            raise _Unanswered(ForgeState.SILENT, f"{tool} answered with something that is no JSON.") from error

    def _tell(self, *argv: str) -> Finished:
        quiet = {"GH_PROMPT_DISABLED": "1", "NO_PROMPT": "1", "NO_COLOR": "1", "GH_NO_UPDATE_NOTIFIER": "1"}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        return self._run(
            argv,
            deadline_s=_DEADLINE_S,
            cwd=self._folder,
            env=kept | quiet | {"GIT_TERMINAL_PROMPT": "0"},
            max_output=_MOST_OUTPUT,
        )


class _Unanswered(Exception):
    """A question that the forge did not answer."""

    def __init__(self, state: ForgeState, why: str) -> None:
        super().__init__(why)
        self.answer = ForgeAnswer(state=state, why=why)


# Strict readers of what the tools print.

_GITHUB_STATES = {"OPEN": "open", "MERGED": "merged", "CLOSED": "closed"}
_GITLAB_STATES = {"opened": "open", "merged": "merged", "closed": "closed", "locked": "open"}
_DECISIONS = {
    "APPROVED": Review.APPROVED,
    "REVIEW_REQUIRED": Review.REQUIRED,
    "CHANGES_REQUESTED": Review.CHANGES,
    "": Review.NONE,
}
_GOOD = frozenset({"SUCCESS", "NEUTRAL", "SKIPPED"})
_BAD = frozenset({"FAILURE", "ERROR", "CANCELLED", "TIMED_OUT", "ACTION_REQUIRED", "STARTUP_FAILURE", "STALE"})
_PIPELINES = {
    "success": Checks.PASSED,
    **dict.fromkeys(("failed", "canceled"), Checks.FAILED),
    **dict.fromkeys(
        ("created", "waiting_for_resource", "preparing", "pending", "running", "manual", "scheduled", "canceling"),
        Checks.RUNNING,
    ),
}


def _pull_request(row: _Values) -> Request | None:
    address, head, state = _address(row.get("url")), _commit(row.get("headRefOid")), row.get("state")
    if not address or not head or state not in _GITHUB_STATES:
        return None
    checks, checks_at, named = _rollup(row.get("statusCheckRollup"))
    reviews = [each for each in _rows(row.get("latestReviews")) if each.get("state") == "APPROVED"]
    decision = row.get("reviewDecision")
    return Request(
        tool="gh",
        address=address,
        branch=_text(row.get("headRefName")),
        head=head,
        base=_text(row.get("baseRefName")),
        state=_GITHUB_STATES[state],
        opened_at=_time(row.get("createdAt")),
        ended_at=_time(row.get("mergedAt")) or _time(row.get("closedAt")),
        ended_by=_name(row.get("mergedBy"), "login"),
        checks=checks,
        checks_at=checks_at,
        failed=named,
        review=_DECISIONS.get(decision, Review.UNREAD) if isinstance(decision, str) else Review.UNREAD,
        reviewers=tuple(filter(None, (_name(each.get("author"), "login") for each in reviews))),
        reviewed_at=max(filter(None, (_time(each.get("submittedAt")) for each in reviews)), default=None),
    )


def _rollup(value: object) -> tuple[Checks, datetime | None, tuple[str, ...]]:
    """All checks of a commit taken together: failed if one did, running while one does, passed if one passed."""
    if not isinstance(value, list):
        return Checks.UNREAD, None, ()
    results = [(_text(each.get("name") or each.get("context")), _conclusion(each)) for each in _rows(value)]
    at = max(filter(None, (_time(each.get("completedAt")) for each in _rows(value))), default=None)
    failed = tuple(name for name, result in results if result in _BAD)
    running = tuple(name for name, result in results if result not in _BAD and result not in _GOOD)
    if len(results) != len(value):
        return Checks.UNREAD, None, ()
    if failed:
        return Checks.FAILED, at, failed
    if running:
        return Checks.RUNNING, None, running
    passed = any(result == "SUCCESS" for _, result in results)
    return (Checks.PASSED, at, ()) if passed else (Checks.NONE, None, ())


def _conclusion(row: _Values) -> str:
    """The result of a check run or of a status; empty while there is none."""
    finished = row.get("status", "COMPLETED") == "COMPLETED"
    result = row.get("conclusion") or row.get("state")
    return result if finished and isinstance(result, str) else ""


def _merge_request(row: _Values, whole: _Values, approvals: _Values) -> Request | None:
    address, head, state = _address(row.get("web_url")), _commit(row.get("sha")), row.get("state")
    if not address or not head or state not in _GITLAB_STATES:
        return None
    pipeline = whole.get("head_pipeline")
    checks = Checks.UNREAD if not whole else Checks.NONE
    if isinstance(pipeline, dict):
        fits = _commit(pipeline.get("sha")) == head
        checks = _PIPELINES.get(str(pipeline.get("status")), Checks.UNREAD) if fits else Checks.UNREAD
    people = [_name(each.get("user"), "username") for each in _rows(approvals.get("approved_by"))]
    left = approvals.get("approvals_left")
    return Request(
        tool="glab",
        address=address,
        branch=_text(row.get("source_branch")),
        head=head,
        base=_text(row.get("target_branch")),
        state=_GITLAB_STATES[state],
        opened_at=_time(row.get("created_at")),
        ended_at=_time(row.get("merged_at")) or _time(row.get("closed_at")),
        ended_by=_name(row.get("merge_user") or row.get("merged_by") or row.get("closed_by"), "username"),
        checks=checks,
        checks_at=_time(pipeline.get("finished_at")) if isinstance(pipeline, dict) else None,
        failed=(_text(pipeline.get("status")),) if isinstance(pipeline, dict) else (),
        review=_approval(approvals.get("approved"), left, people),
        reviewers=tuple(filter(None, people)),
    )


def _approval(approved: object, left: object, people: Sequence[str]) -> Review:
    """GitLab calls a request without rules approved, so that a person must stand behind it."""
    if approved is True and any(people):
        return Review.APPROVED
    if isinstance(left, int) and left > 0:
        return Review.REQUIRED
    return Review.NONE if isinstance(approved, bool) else Review.UNREAD


def _rows(value: object) -> list[_Values]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _table(value: object) -> _Values:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return visible(value, limit=300) if isinstance(value, str) else ""


def _name(value: object, key: str) -> str:
    return visible(str(value.get(key) or ""), limit=80) if isinstance(value, dict) else ""


def _commit(value: object) -> str:
    return value if isinstance(value, str) and _COMMIT.fullmatch(value) else ""


def _address(value: object) -> str:
    plain = isinstance(value, str) and value.startswith("https://") and value.isascii() and value.isprintable()
    return visible(value, limit=500) if plain and isinstance(value, str) and " " not in value else ""


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        # gh writes the year 1 for a check that has not ended.
        return moment.astimezone(UTC) if moment.tzinfo is not None and moment.year > 1 else None
    except (ValueError, OverflowError):
        return None
