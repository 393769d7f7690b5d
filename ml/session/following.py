"""Facts about one change beyond git's branches: signed approvals, the forge's requests, and the engines."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ml.board import Serving
from ml.errors import ConsoleError
from ml.policy import Policy, PolicyInvalid, parse_policy
from ml.promotion.approvals import homes, slot_of
from ml.promotion.gate.authority import Electorate, exemption, signature_of, why_no_approval
from ml.promotion.landed import Tracked, holds
from ml.promotion.publish import Desk
from ml.promotion.rungs import Approvals, BaseFacts, Engine, EngineFacts, ForgeAnswer, ForgeState, Subject
from ml.session.context import Context
from ml.session.registries import Registries
from ml.slo.promql import Scope
from ml.slo.roster import serving
from ml.stage import Action, Stage

if TYPE_CHECKING:
    from ml.promotion.repository import Repository

# Signed approvals, by the same rules as the gate's.


def approvals_of(desk: Desk, base: str, subject: Subject, now: datetime) -> Approvals:
    """The signed approvals of a change's commit that the base's rules count. Never raises."""
    repository, places = desk.repository, desk.places
    try:
        policy = parse_policy(repository.objects.read(base, places.policy))
        rules = Electorate(policy, repository.objects.read(base, places.signers))
        counted = _counted(repository, subject, rules, now)
    except PolicyInvalid as error:
        return Approvals(why=error.cause)
    except ConsoleError as sick:
        return Approvals(why=sick.cause)
    at = max((moment for _, moment in counted), default=None)
    return Approvals(needed=_needed(policy, subject), by=tuple(sorted({who for who, _ in counted})), at=at)


def _needed(policy: Policy, subject: Subject) -> int:
    """The approvals beside the author's: for a change of active and of the rules, and never for a rollback."""
    rules = not subject.model or subject.action not in set(Action)
    trading = subject.action == Action.PROMOTE and subject.to_stage == Stage.ACTIVE
    exempt = not rules and bool(exemption(Action(subject.action)))
    return max(0, policy.approvals - 1) if (trading or rules) and not exempt else 0


def _counted(repository: Repository, subject: Subject, rules: Electorate, now: datetime) -> list[tuple[str, datetime]]:
    policy = rules.policy
    found: list[tuple[str, datetime]] = []
    notes = repository.refs.below(*homes(subject.commit))
    if not notes:
        return []
    author = policy.person(subject.by)
    own = signature_of(repository.signatures, subject.commit, rules.signers, now, author)
    for name, note in notes:
        slot = slot_of(name)
        if slot is None or why_no_approval(repository, slot, note, rules, now):
            continue
        given = repository.history.commit(note)
        signature = signature_of(repository.signatures, note, rules.signers, now, policy.person(given.author.email))
        same_key = own.good and own.key == signature.key
        if signature.good and not same_key and not policy.same_person(signature.principal, author):
            found.append((policy.person(signature.principal), given.at))
    return found


# The forge, asked seldom.

_REST_S, _LONGEST_REST_S, _LIMITED_REST_S = 15.0, 240.0, 120.0


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: ForgeAnswer
    until: float
    failures: int


class ForgeLook:
    """Asks the forge about one branch at most every 15 s, and more seldom after failures and rate limits.

    Args:
        jitter: spreads the questions of several consoles; 0 to 1.
    """

    def __init__(self, context: Context, jitter: Callable[[], float] = random.random) -> None:
        self._context = context
        self._jitter = jitter
        self._kept: dict[str, _Kept] = {}

    def about(self, branch: str, desk: Desk, *, ask: bool = True) -> ForgeAnswer:
        """The forge's answer about a branch, or in brief about all (empty); one that is younger than its rest.

        ``ask``: without it, only an answer that is known already counts, however old.
        """
        requests = self._context.requests
        if requests is None:
            return ForgeAnswer()
        now, kept = self._context.clock.monotonic(), self._kept.get(branch)
        if not ask:
            return kept.answer if kept is not None else ForgeAnswer()
        if kept is not None and now < kept.until:
            return kept.answer
        answer = requests.look(desk.repository.remotes.url(desk.remote), branch)
        failed = answer.state in (ForgeState.SILENT, ForgeState.LIMITED)
        failures = (kept.failures if kept else 0) + 1 if failed else 0
        rest = min(_REST_S * 2.0**failures, _LONGEST_REST_S)
        if answer.state is ForgeState.LIMITED:
            rest = max(rest, _LIMITED_REST_S)
        self._kept[branch] = _Kept(answer, now + rest * (1 + self._jitter() / 4), failures)
        return answer


# The engines.

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SINCE = "2h"
_SINCE_S = 7_200.0
_STEP_S = 15.0


class EngineLook:
    """Asks the metrics source which artifact each engine of a model serves, and from which registry."""

    def __init__(self, context: Context, registries: Registries) -> None:
        self._context = context
        self._registries = registries

    def facts(self, subject: Subject, base: BaseFacts, content: Tracked) -> EngineFacts:
        """The engines of a landed change's model. Never raises for a source that does not answer."""
        metrics = self._context.metrics
        if metrics is None:
            return EngineFacts()
        found = EngineFacts(configured=True)
        if not subject.model or subject.to_stage not in (Stage.SHADOW, Stage.ACTIVE):
            return found
        try:
            policy = self._registries.now(despite_policy=True).policy
            instances = serving(metrics, policy, [subject.model])[subject.model]
            engines = tuple(self._engine(each, base, content) for each in instances)
            since = self._since(policy, subject, engines)
        except ConsoleError as sick:
            return replace(found, why=str(sick))
        metric, killed = policy.metric_names(subject.model).serving.name, self._context.kill_control.engaged()
        return replace(found, engines=engines, since=since, killed=killed, metric=metric)

    def _engine(self, instance: Serving, base: BaseFacts, content: Tracked) -> Engine:
        repository, places = self._context.repository, self._context.place.places
        commit, landing = instance.registry_commit, base.landed.commit if base.landed else ""
        known = bool(_COMMIT.fullmatch(commit)) and bool(landing)
        return Engine(
            instance=instance.instance,
            stage=str(instance.stage),
            artifact_id=instance.artifact_id,
            registry_commit=commit,
            holds=holds(repository, places, commit, content, landing) if known else None,
            up=instance.up,
            active_on=instance.active_on,
        )

    def _since(self, policy: Policy, subject: Subject, engines: tuple[Engine, ...]) -> datetime | None:
        """The time when the last engine began to report the artifact; ``None`` where that is longer ago than 2 h."""
        metrics = self._context.metrics
        if metrics is None or subject.action == Action.WITHDRAW:
            return None
        if not any(each.artifact_id == subject.artifact_id for each in engines):
            return None
        names = policy.metric_names(subject.model)
        scope = Scope(Stage(subject.to_stage), policy.selector(subject.model), subject.artifact_id, names=names)
        # A subquery looks at whole multiples of its step: a series born since the last of these has its present time.
        told = f"timestamp({scope.ours} == 1)"
        asked = f"max(min_over_time({told}[{_SINCE}:{_STEP_S:g}s]) or {told})"
        answer = metrics.query(asked)
        values = [series.points[-1][1] for series in answer.series if series.points]
        if answer.warnings or not values:
            return None
        at, now = values[0], self._context.clock.now()
        seen = now.timestamp() - at
        moment = datetime.fromtimestamp(at, now.tzinfo)
        # An artifact that served before, and came back, was seen before its change was planned.
        return moment if 0 <= seen < _SINCE_S - 2 * _STEP_S and moment >= subject.at else None
