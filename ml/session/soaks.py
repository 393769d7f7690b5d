"""The judgement of a model's soak: its start on the base branch, the kills since then, and the report."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ml.board import SoakReport
from ml.clock import parse_utc
from ml.errors import ConsoleError, Refused, Unavailable
from ml.promotion.values import REVIEW_GATE
from ml.registry.schema import Model
from ml.session.context import Context
from ml.session.landings import Landing, Landings, Place
from ml.session.registries import Base, Registries
from ml.slo.review import Review, review
from ml.slo.rivals import others_of, rivals_of
from ml.slo.soak import SoakJudgement, judge_soak
from ml.slo.source import Metrics
from ml.slo.tape import Killed, SoakSubject
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Code, Gate, Verdict, finding

_FRESH = timedelta(minutes=1)
_AT_A_TIME = 4
"""The number of soaks that are judged in parallel. Each asks two questions at a time: together half of the queries that
Prometheus answers at a time by default, so that its alert rules and the next poll need not wait."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class Soaks:
    """Judges soaks and remembers the last report of each model for the board."""

    def __init__(self, context: Context, registries: Registries) -> None:
        self._context = context
        self._registries = registries
        self._lock = threading.Lock()
        self._reports: dict[str, SoakReport] = {}
        self._judged_at: dict[str, datetime] = {}
        self._judging: threading.Thread | None = None
        self._due: deque[str] = deque()
        self._turns: dict[str, threading.Lock] = {}
        self._landings = Landings(context)

    def judge(self, name: str, base: Base | None = None) -> SoakJudgement:
        """Judge the soak of a model's shadow artifact now.

        Raises:
            Refused: nothing is in shadow. Unavailable: no Prometheus is configured.
        """
        base = base or self._registries.now()
        metrics, pointer = self._metrics(), base.model(name).shadow
        if pointer is None:
            raise Refused(f"{visible(name)} has nothing in shadow.", "Promote an artifact to shadow first.")
        landed = self._landings.soaking(base)[name, Stage.SHADOW]
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
        """See to it, a few at a time and in the background, that these models' reports are about a minute old."""
        with self._lock:
            # A clock that went back must not keep an old report for as long.
            due = [name for name in names if not timedelta() <= now - self._judged_at.get(name, _NEVER) <= _FRESH]
            if not due or (self._judging is not None and self._judging.is_alive()):
                return
            due.sort(key=lambda each: self._judged_at.get(each, _NEVER))
            self._judging = threading.Thread(target=self._judge_quietly, args=(due, now), name="soak", daemon=True)
        self._judging.start()

    def _judge_quietly(self, names: Sequence[str], now: datetime) -> None:
        """Judge soaks, a few side by side. If the source falls silent, skip the rest and start with it next time."""
        self._due = deque(names)
        # Daemons, unlike those of an executor: a hanging source must not keep the console from leaving.
        lanes = [
            threading.Thread(target=self._judge_lane, args=(now,), name="soak", daemon=True)
            for _ in range(min(_AT_A_TIME, len(names)) - 1)
        ]
        for lane in lanes:
            lane.start()
        self._judge_lane(now)
        for lane in lanes:
            lane.join()

    def _judge_lane(self, now: datetime) -> None:
        while True:
            try:
                name = self._due.popleft()
            except IndexError:
                return
            with self._lock:
                self._judged_at[name] = now
            report = self._judge_if_due(name)
            if report is not None and report.verdict is Verdict.ERROR:
                self._due.clear()

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

    def deployed(self, base: Base, now: datetime) -> dict[Place, Landing]:
        """The time from which each artifact in shadow or active can have served: its landing, or its soak's start.

        It may be later than it was, never earlier.
        """
        found = dict(self._landings.serving(base, now))
        for name, model in base.document.registry.models.items():
            report, landing = self.last(name, model), found.get((name, Stage.SHADOW))
            if landing is not None and report is not None and report.started_at is not None:
                found[name, Stage.SHADOW] = replace(landing, at=max(landing.at, report.started_at))
        return found

    def _metrics(self) -> Metrics:
        if self._context.metrics is None:
            raise Refused("No Prometheus is configured, so no soak can be judged.", "Set prometheus.url.")
        return self._context.metrics

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
