"""Targets, plans and submissions: a person's decision as a branch (contract §5); the first policy of a repository."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from ml.artifacts.ids import is_artifact_id
from ml.clock import format_utc
from ml.errors import ConsoleError, Invalid, Refused
from ml.ports import Report
from ml.promotion.attributes import committed
from ml.promotion.contracts import contract_of
from ml.promotion.gates import ack_gate, acknowledge, kill_warnings
from ml.promotion.land import Approval, approve, land
from ml.promotion.plan import Proposal, plan_promotion, plan_stage, plan_withdraw
from ml.promotion.publish import Desk, Sent, send
from ml.promotion.signers import people_of
from ml.promotion.submit import push_branch, submit
from ml.promotion.values import ACK_GATE, Ack, Checklist, Landing, Plan, Submission, Target, of_change
from ml.registry.codec import empty_document
from ml.registry.schema import Model, Pointer
from ml.session.checklists import Checklists, read_artifact
from ml.session.context import Context
from ml.session.gate import ChangeGate
from ml.session.registries import Base, Registries
from ml.slo.groups import proposed_selectors
from ml.stage import Action, Stage
from ml.text import visible

_SEVERAL = 2


def _artifacts(model: Model) -> tuple[str, ...]:
    """The artifacts that a model points to."""
    pointers = (model.pointer(stage) for stage in Stage)
    return tuple(pointer.artifact_id for pointer in pointers if pointer is not None)


class Changes:
    """Everything that ends in a branch, except rollback."""

    def __init__(self, context: Context, registries: Registries, gate: ChangeGate, checklists: Checklists) -> None:
        self._context = context
        self._registries = registries
        self._gate = gate
        self._checklists = checklists

    def target(self, model: str, to_stage: Stage) -> Target:
        """Fix a promotion: the artifact in the stage below, its digest, and the base commit.

        Raises:
            Refused: there is nothing to promote, or no such step. Unavailable, Usage: the registry cannot be read.
        """
        below = to_stage.below
        if below is None:
            raise Refused("Nothing is promoted to staging.", "Put an artifact into staging with `mlconsole stage DIR`.")
        base = self._registries.now()
        pointer = base.model(model).pointer(below)
        if pointer is None:
            raise Refused(
                f"{below.capitalize()} of {visible(model)} is empty, so there is nothing to promote to {to_stage}.",
                f"Bring an artifact into {below} first.",
            )
        return self._target(base, model, Action.PROMOTE, to_stage, pointer)

    def plan(self, checklist: Checklist, reason: str, *, ack: str = "", preview: bool = False) -> Plan:
        """Compute a promotion from its judged checklist: new registry, branch, message, PR body. Writes nothing.

        Except for a ``preview``, a typed ACK makes every gate be judged once more, because time has passed since.
        """
        self._context.require_write()
        target = checklist.target
        base = self._registries.at(target.base_commit)
        given = self._acknowledged(checklist, base, ack) if ack else None
        if given is not None and not preview:
            self._require_still_open(checklist)
        now = self._context.clock.now()
        gates = tuple(
            ack_gate(
                given, phrase=checklist.ack_phrase, target=target, evidence_sha256=checklist.evidence.sha256, now=now
            )
            if gate.name == ACK_GATE
            else gate
            for gate in checklist.gates
        )
        proposal = self._proposal(base, target, reason, checklist)
        if preview and given is None:
            gates = tuple(gate for gate in gates if gate.name != ACK_GATE)
            return replace(plan_promotion(replace(proposal, gates=gates)), gates=checklist.gates)
        return plan_promotion(replace(proposal, gates=gates, ack=given), phrase=checklist.ack_phrase)

    def plan_stage(self, artifact_dir: str, model: str, reason: str, report: Report | None = None) -> Plan:
        """Verify an artifact directory and plan to put it, files included, into a model's staging."""
        self._context.require_write()
        directory = self._directory(artifact_dir)
        base = self._registries.now()
        place = self._context.place
        contract = contract_of(
            self._context.repository.objects,
            base.commit,
            base.policy,
            model,
            base.document.registry.models.get(model),
            base.artifact_base,
        )
        verification = self._context.verifier().verify(directory, report=report, afresh=True, contract=contract)
        artifact = read_artifact(directory, place.root, base.artifact_base, verification)
        target = self._target(base, model, Action.STAGE, Stage.STAGING, artifact.pointer)
        checklist = self._checklists.staging(target, base, verification)
        lfs, repository = base.policy.artifacts.lfs, self._context.repository
        files = committed(repository, base.commit, artifact.files, lfs=lfs)
        plan = plan_stage(self._proposal(base, target, reason, checklist), artifact.pointer, files.files)
        return replace(plan, large=files.large)

    def plan_withdraw(self, model: str, stage: Stage, reason: str) -> Plan:
        """Plan to clear staging or shadow. Raises Refused for an empty stage, or for active."""
        self._context.require_write()
        base = self._registries.now()
        pointer = base.model(model).pointer(stage)
        if stage is Stage.ACTIVE or pointer is None:
            raise Refused(
                f"{stage.capitalize()} of {visible(model)} cannot be withdrawn.",
                "Only a filled staging or shadow can be; an active model is rolled back.",
            )
        target = self._target(base, model, Action.WITHDRAW, stage, pointer)
        return plan_withdraw(self._proposal(base, target, reason, self._checklists.withdrawal(target, base)))

    def submit(self, plan: Plan, report: Report | None = None, *, push: bool = True) -> Submission:
        """Commit a plan to its branch, push it, read the remote back, and note it in the audit log. One at a time.

        Raises:
            Conflict: the registry moved. Refused: the session is read-only, or the remote's hook refused, in its words.
        """
        self._context.require_write()
        now = self._context.clock.now()
        target = plan.target

        def record(commit: str, sent: Sent) -> str:
            try:
                self._context.audit.append_change(of_change(target), plan.branch, commit, pushed=sent.there)
            except ConsoleError as error:
                return str(error)
            return ""

        done = submit(plan, self._gate.desk(), now=now, push=push, report=report, record=record)
        self._context.notifier.tell(
            str(target.action),
            f"{target.actor}: {target.artifact_id} to {target.to_stage} of {target.model}. {done.why}",
            model=target.model,
            branch=done.branch,
        )
        return done

    def push(self, branch: str, report: Report | None = None) -> Submission:
        """Push a branch that stayed local, and note it in the audit log; ``why`` says where that failed."""
        self._context.require_write()
        by = (
            self._context.repository.writer.identity().email
        )  # asked for first: who has none is refused before, not after
        done = push_branch(branch, self._gate.desk(), report)
        problem = self._recorded("push", by, branch, commit=done.commit, pushed=done.pushed)
        return replace(done, why=f"{done.why} {problem}".rstrip())

    def land(self, branch: str, report: Report | None = None, *, expected: str = "") -> Landing:
        """Bring a branch into the base after the gate, and note it in the audit log; ``problem``: why that failed.

        ``expected`` is the commit that a person confirmed; another one is a Conflict.
        """
        self._context.require_write()
        by = self._context.repository.writer.identity().email
        landed = land(branch, self._gate.desk(), report, now=self._context.clock.now(), expected=expected)
        return replace(landed, problem=self._recorded("land", by, branch, commit=landed.commit, base=landed.base))

    def approve(self, branch: str, *, expected: str = "") -> Approval:
        """Approve another operator's branch, signed and bound to its commit, and note it in the audit log.

        ``expected`` is the commit that a person looked at; another one is a Conflict.
        """
        self._context.require_write()
        given = approve(branch, self._gate.desk(), now=self._context.clock.now(), expected=expected)
        self._context.audit.append("approve", by=given.by, branch=branch, commit=given.commit)
        return given

    def first_policy(self, *, push: bool = True, dry_run: bool = False) -> FirstPolicy:
        """Propose a first policy that names the caller as operator, and a registry where there is none."""
        self._context.require_write()
        desk, now = self._gate.desk(), self._context.clock.now()
        commit = self._registries.ref().commit
        return propose(desk, commit, now, push=push, dry_run=dry_run, selectors=self._selectors())

    def _selectors(self) -> dict[str, str | None]:
        """Return label matchers that tell several models' series apart, if registry and Prometheus can be asked."""
        try:
            base = self._registries.now()
        except ConsoleError:
            return {}
        models = base.document.registry.models
        if len(models) < _SEVERAL:
            return {}
        found: dict[str, str] = {}
        if self._context.metrics is not None:
            with suppress(ConsoleError):
                artifacts = {name: _artifacts(each) for name, each in models.items()}
                found = proposed_selectors(self._context.metrics, artifacts, base.policy.metrics)
        return {name: found.get(name) for name in models}

    def _recorded(self, kind: str, by: str, branch: str, **told: object) -> str:
        """Note what has taken effect already; why that failed, or nothing, because a failure must not deny it."""
        try:
            self._context.audit.append(kind, by=by, branch=branch, **told)
        except ConsoleError as error:
            return str(error)
        return ""

    def _acknowledged(self, checklist: Checklist, base: Base, typed: str) -> Ack:
        return acknowledge(
            typed,
            phrase=checklist.ack_phrase,
            expires_minutes=base.policy.ack.expires_minutes,
            target=checklist.target,
            evidence_sha256=checklist.evidence.sha256,
            by=checklist.target.actor,
            now=self._context.clock.now(),
        )

    def _require_still_open(self, checklist: Checklist) -> None:
        again = self._checklists.again(checklist)
        if not again.ready:
            closed = ", ".join(f"{gate.name} ({gate.verdict})" for gate in again.blockers if gate.name != ACK_GATE)
            raise Invalid(f"Gates have closed since the checklist was judged: {closed}.", "Look at it again.")

    def _proposal(self, base: Base, target: Target, reason: str, checklist: Checklist) -> Proposal:
        places = self._context.place.places
        return Proposal(
            target=target,
            document=base.document,
            reason=reason,
            at=self._context.clock.now(),
            evidence=checklist.evidence,
            archive=base.archives.get(target.model, b""),
            gates=checklist.gates,
            soak=checklist.soak,
            places=places,
            warnings=kill_warnings(self._context.kill_control.engaged(), target.to_stage),
        )

    def _target(self, base: Base, model: str, action: Action, to_stage: Stage, pointer: Pointer) -> Target:
        return Target.of(
            action,
            model,
            to_stage,
            pointer,
            base_commit=base.commit,
            registry_blob=base.blob,
            opened_at=self._context.clock.now(),
            actor=self._context.repository.writer.identity().email,
        )

    def _directory(self, artifact_dir: str) -> Path:
        directory = (self._context.place.root / artifact_dir).absolute()
        if not directory.is_relative_to(self._context.place.root):
            raise Refused(
                f"{visible(artifact_dir)} is outside the repository.",
                "Copy the artifact below artifacts/onnx/ of the repository first.",
            )
        if not is_artifact_id(directory.name):
            raise Refused(
                f"{visible(directory.name)} is no artifact id.",
                "Name it like regime_v2026_02_16_001.",
            )
        return directory


# ``mlconsole init``: a first policy with the operators, and an empty registry where there is none.

_DRY = "dry run: nothing was written"
_POLICY = """# The rules of promotion; always read from the base branch, so that a change cannot relax its own rules.
# Every key is optional; what is not here are the runbook's values (`mlconsole info`, docs/policy.md).

[roles]
operators = [{operator}]   # who may promote to active, waive gates, and change this file
developers = ["*"]           # who may stage, and promote to shadow

[soak]
hours = 24

[evidence]
remeasure = "report"         # "require": the gate must have a Prometheus of its own that says the same numbers

{signing}"""
_SIGNED = """[ack]
signed = true                # who made a change is proven by a key in allowed_signers, beside this file
"""
_SELF_DECLARED = """# [ack]
# signed = true              # without it, who made a change is self-declared: git lets everybody write any address
"""


_SELECTORS = """
# Several models share one Prometheus: each needs the label matchers that pick its own series.
"""

NO_MODELS: Mapping[str, str | None] = MappingProxyType({})


def _models(selectors: Mapping[str, str | None]) -> str:
    """The tables of the models, with the labels that tell them apart in the metrics."""
    lines = [
        f"[model.{name}]\nselector = '{selector}'\n"
        if selector
        else f"[model.{name}]\n# selector = 'model=\"{name}\"'   # no metric tells this model apart yet\n"
        for name, selector in selectors.items()
    ]
    return _SELECTORS + "\n".join(lines) if lines else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPolicy:
    """The proposed policy. ``commit`` is empty for a dry run; ``pushed`` only when the remote was read back.

    ``signed``: the policy asks for signatures, and the list of allowed signers names the operator's key.
    """

    branch: str
    commit: str
    pushed: bool
    why: str
    policy: str
    creates_registry: bool
    signed: bool = False


def propose(
    desk: Desk, base: str, now: datetime, *, push: bool, dry_run: bool, selectors: Mapping[str, str | None] = NO_MODELS
) -> FirstPolicy:
    """Commit a first policy to a branch of its own and push it.

    Args:
        selectors: for each model of several, what tells its series apart; ``None`` where nothing is known.

    Raises:
        Refused: there is a policy already, or git has no identity configured.
        Unavailable: git or the journal cannot write.
    """
    repository, places = desk.repository, desk.places
    if repository.objects.read(base, places.policy) is not None:
        raise Refused(f"There is a policy already at {visible(places.policy)}.", "Change it by a commit of its own.")
    author = repository.writer.identity()
    line = _signers_line(author.email, repository.writer.signing_key())
    signing = _SIGNED if line else _SELF_DECLARED
    text = _POLICY.format(operator=json.dumps(author.email), signing=signing) + _models(selectors)
    files = [(places.policy, text.encode())]
    if line:
        files.append((places.signers, line))
    missing = repository.objects.read(base, places.registry) is None
    if missing:
        files.append((places.registry, empty_document().raw))
    branch = f"init/policy-{format_utc(now).replace('-', '').replace(':', '')}"
    proposed = FirstPolicy(
        branch=branch,
        commit="",
        pushed=False,
        why=_DRY,
        policy=text,
        creates_registry=missing,
        signed=bool(line),
    )
    if dry_run:
        return proposed
    with (
        repository.writer.exclusive(),
        desk.journal.begin("submit", branch=branch, base=base, remote=desk.remote) as entry,
    ):
        message = f"Propose a first promotion policy\n\nOperators: {author.email}\n"
        commit = repository.writer.commit(base, tuple(sorted(files)), message, author, now)
        entry.step("branch", commit=commit)
        ref = f"refs/heads/{branch}"
        repository.refs.create(ref, commit)
        sent = send(desk, ref, commit, entry) if push and desk.remote else Sent(False, "The branch stays local.")
        if sent.settled:
            entry.done()
    return replace(proposed, commit=commit, pushed=sent.there, why=sent.why)


def _signers_line(email: str, key: str) -> bytes:
    """The operator's line in the list of allowed signers; empty where the gate would not believe it."""
    line = f"{email} {key}\n".encode()
    return line if key and people_of(line) == {email} else b""
