"""The judgement of a model's soak: its start on the base branch, the kills since then, and the report."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ml.board import SoakReport
from ml.clock import parse_utc
from ml.errors import ConsoleError, Refused, Unavailable
from ml.promotion.clone import Lack
from ml.promotion.repository import CommitInfo
from ml.promotion.values import REVIEW_GATE
from ml.registry.schema import Model, Pointer
from ml.session.context import Context
from ml.session.registries import Base, Registries, clone_gaps
from ml.slo.review import Review, review
from ml.slo.rivals import others_of, rivals_of
from ml.slo.soak import SoakJudgement, judge_soak
from ml.slo.source import Metrics
from ml.slo.tape import Killed, SoakSubject
from ml.text import visible
from ml.verdict import Code, Gate, Verdict, finding

_MOST_COMMITS = 500
_FRESH = timedelta(minutes=1)
_AT_A_TIME = 4
"""The number of soaks that are judged in parallel while a person waits for all of them."""
_UNDATED = "It cannot be told when the artifact landed in shadow"
_STANDS_IN = (Lack.VANISHED, Lack.NEVER_FETCHED)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Landing:
    """The time at which a pointer landed; ``unknown`` says why this clone cannot tell."""

    at: datetime
    unknown: str = ""


class Soaks:
    """Judges soaks and remembers the last report of each model for the board."""

    def __init__(self, context: Context, registries: Registries) -> None:
        self._context = context
        self._registries = registries
        self._lock = threading.Lock()
        self._reports: dict[str, SoakReport] = {}
        self._judged_at: dict[str, datetime] = {}
        self._judging: threading.Thread | None = None
        self._turns: dict[str, threading.Lock] = {}
        self._landed: dict[tuple[str, str], _Landing] = {}

    def judge(self, name: str, base: Base | None = None) -> SoakJudgement:
        """Judge the soak of a model's shadow artifact now.

        Raises:
            Refused: nothing is in shadow. Unavailable: no Prometheus is configured.
        """
        base = base or self._registries.now()
        metrics, pointer = self._metrics(), base.model(name).shadow
        if pointer is None:
            raise Refused(f"{visible(name)} has nothing in shadow.", "Promote an artifact to shadow first.")
        landed = self._landed_at(base, name, pointer)
        models = base.document.registry.models
        deployed = {each: base.policy.selector(each) for each, model in models.items() if model.shadow or model.active}
        others = others_of(name, rivals_of(deployed)[name], deployed)
        sha256 = pointer.model_sha256 or ""
        subject = SoakSubject(name, pointer.artifact_id, sha256, landed.at, landed.unknown, others)
        judgement = judge_soak(
            metrics,
            base.policy,
            subject,
            self._context.clock.now(),
            self._kills(),
            stale_s=min(self._context.place.stale_s, base.policy.soak.stale_seconds),
        )
        with self._lock:
            self._reports[name] = judgement.report
        return judgement

    def review(self, model: str, base: Base | None = None) -> Review:
        """Draw the dashboards of a model's last 24 h: shadow against active, and their oddities.

        Raises:
            Unavailable: no Prometheus is configured. A failed source is a ``problem`` of the review.
        """
        if self._context.metrics is None:
            raise Unavailable("No Prometheus is configured, so there is nothing to review.", "Set prometheus.url.")
        policy = (base or self._registries.now()).policy
        return review(self._context.metrics, policy, model, self._context.clock.now())

    def review_gate(self, base: Base, model: str, typed: str) -> tuple[Review, Gate]:
        """Draw the review and judge the finding; oddities do not close the gate, silence about them does.

        Raises:
            Unavailable: no Prometheus is configured.
        """
        found = self.review(model, base)
        return found, _judged(found, typed.strip())

    def keep_fresh(self, names: Sequence[str], now: datetime) -> None:
        """See to it, one at a time and in the background, that these models' reports are about a minute old."""
        with self._lock:
            # A clock that went back must not keep an old report for as long.
            due = [name for name in names if not timedelta() <= now - self._judged_at.get(name, _NEVER) <= _FRESH]
            if not due or (self._judging is not None and self._judging.is_alive()):
                return
            due.sort(key=lambda each: self._judged_at.get(each, _NEVER))
            self._judging = threading.Thread(target=self._judge_quietly, args=(due, now), name="soak", daemon=True)
        self._judging.start()

    def _judge_quietly(self, names: Sequence[str], now: datetime) -> None:
        """Judge one soak after the other. If the source falls silent, skip the rest and start with it next time."""
        for name in names:
            with self._lock:
                self._judged_at[name] = now
            report = self._judge_if_due(name)
            if report is not None and report.verdict is Verdict.ERROR:
                return

    def judge_all(self, names: Sequence[str]) -> None:
        """Judge each of these soaks that has no fresh report, a few side by side. Never raises for a failed source."""
        with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="soak") as pool:
            list(pool.map(self._judge_if_due, names))

    def _judge_if_due(self, name: str) -> SoakReport | None:
        """Judge a soak, unless another caller just did; ``None`` where it cannot be judged."""
        with self._lock:
            turn = self._turns.setdefault(name, threading.Lock())
        with turn, suppress(ConsoleError):
            base = self._registries.now()
            report = self.last(name, base.model(name))
            if report is None or not timedelta() <= self._context.clock.now() - report.as_of <= _FRESH:
                report = self.judge(name, base).report
            return report
        return None

    def last(self, name: str, model: Model) -> SoakReport | None:
        """The last report, if it is still about the artifact in shadow."""
        with self._lock:
            report = self._reports.get(name)
        if report is None or model.shadow is None:
            return None
        same = (report.artifact_id, report.model_sha256) == (model.shadow.artifact_id, model.shadow.model_sha256 or "")
        return report if same else None

    def started(self) -> dict[str, datetime]:
        """Return the start of each soak that has been judged."""
        with self._lock:
            return {name: report.started_at for name, report in self._reports.items() if report.started_at}

    def _metrics(self) -> Metrics:
        if self._context.metrics is None:
            raise Refused("No Prometheus is configured, so no soak can be judged.", "Set prometheus.url.")
        return self._context.metrics

    def _landed_at(self, base: Base, name: str, pointer: Pointer) -> _Landing:
        """Find the landing of a pointer on the base branch: the oldest commit in an unbroken row that has it."""
        key = (name, f"{pointer.artifact_id} {pointer.model_sha256} {base.blob}")
        if key not in self._landed:
            found = self._search(base, name, pointer)
            if found.unknown:
                return found  # the clone may be mended while this session runs
            self._landed[key] = found
        return self._landed[key]

    def _search(self, base: Base, name: str, pointer: Pointer) -> _Landing:
        repository, path = self._context.repository, self._context.place.places.registry
        landed: CommitInfo | None = None
        try:
            commits = repository.history.touching(base.commit, path, _MOST_COMMITS)
            for commit in commits:
                if not _has(repository.objects.read(commit.sha, path), name, pointer):
                    return _Landing((landed or repository.history.commit(base.commit)).at)
                landed = commit
        except ConsoleError as error:
            return _Landing(self._context.clock.now(), f"{_UNDATED}: {error.cause} {error.remedy}".rstrip())
        oldest = landed or repository.history.commit(base.commit)
        return _Landing(oldest.at, self._undated(oldest, len(commits)))

    def _undated(self, oldest: CommitInfo, looked: int) -> str:
        """Say why the oldest commit of this clone is not the landing; empty where it is."""
        if not oldest.parents and self._context.repository.clone.shallow():
            return f"{_UNDATED}: this clone is shallow. Run `git fetch --unshallow`."
        if looked >= _MOST_COMMITS:
            return f"{_UNDATED}: it is in all of the newest {_MOST_COMMITS} changes of the registry."
        if any(gap.lack in _STANDS_IN for gap in clone_gaps(self._context)):
            return f"{_UNDATED}: a local branch stands in for {visible(self._context.place.ref)}. Run `git fetch`."
        return ""

    def _kills(self) -> tuple[Killed, ...]:
        """List the kills in the audit log. The engines' counters cover those that it lacks."""
        try:
            lines = self._context.audit.read()
        except ConsoleError:
            return ()
        kills: list[Killed] = []
        since: datetime | None = None
        for line in lines:
            if line.kind == "kill" and since is None:
                since = parse_utc(line.at)
            elif line.kind == "release" and since is not None:
                kills.append(Killed(since, parse_utc(line.at)))
                since = None
        return (*kills, Killed(since)) if since else tuple(kills)


def _has(raw: bytes | None, name: str, pointer: Pointer) -> bool:
    """True if an older registry points to the same artifact; false if it cannot be read."""
    try:
        shadow = json.loads(raw or b"{}")["models"][name]["shadow"]
        return bool(shadow["artifact_id"] == pointer.artifact_id and shadow.get("model_sha256") == pointer.model_sha256)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


# The gate ``review``: a person looked at the day's charts and typed what they found (runbook, procedure 3).

_LEAST_LETTERS = 10
"""A finding shorter than this says nothing that a reviewer of the change could use."""


def _judged(found: Review, typed: str) -> Gate:
    number = len(found.oddities)
    odd = "1 oddity" if number == 1 else f"{number} oddities" if number else "nothing odd"
    if found.trouble:
        return replace(found.trouble, verdict=Verdict.NO_DATA).gate(REVIEW_GATE)
    if len(typed) < _LEAST_LETTERS:
        why = f"look at the charts ({odd}) and type your finding"
        return finding(Verdict.WAIT, Code.REVIEW_AWAITED, why, oddities=number).gate(REVIEW_GATE)
    said = visible(typed, limit=300)
    return finding(Verdict.PASS, Code.REVIEWED, f"{said} ({odd})", oddities=number).gate(REVIEW_GATE)
