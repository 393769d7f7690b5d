"""The doctor's checks of the console's environment, and the runbook's troubleshooting of one model."""

from __future__ import annotations

from collections.abc import Iterator

from ml.artifacts.compare import Comparison, compare
from ml.artifacts.runtime import check_runtime, check_sandbox, latency_spike, not_loading, results_differ
from ml.board import Board
from ml.errors import ConsoleError, Invalid, Refused, Unavailable
from ml.metrics_contract import LATENCY, RUNBOOK, MetricNames
from ml.policy import Policy
from ml.ports import Report
from ml.promotion.publish import Outcome
from ml.promotion.signers import people_of, unbelieved
from ml.registry.history import previous_active
from ml.registry.schema import Pointer
from ml.session.artifacts import CommitArtifacts, RegistryCheck, check_registry
from ml.session.boards import Boards
from ml.session.context import Context
from ml.session.gate import ChangeGate
from ml.session.metrics import SERVING
from ml.session.registries import Base, Registries, clone_gaps
from ml.session.watches import settle_changes
from ml.slo.alert_findings import silences_of
from ml.slo.alerts import alerts_now
from ml.slo.exchanges import Failure, Recorder
from ml.slo.promql import Scope, joined, split
from ml.slo.recordings import KNOWN_QUERY, LOADED_QUERY, loaded
from ml.slo.source import Answer
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Check, Verdict

# The runbook's troubleshooting of one model: three questions, with the checks and the findings of each.

Advice = tuple[Check, str]
"""The finding, and a remedy if it is not good."""

_RESTORE = "Restore the artifact of that digest, or roll back."
_ROLL_BACK = "Consider a rollback if an SLO is breached."


class Troubleshooting:
    """Answers from the base's registry and artifacts, from what engines report, and from Prometheus."""

    def __init__(self, context: Context, artifacts: CommitArtifacts) -> None:
        self._context = context
        self._artifacts = artifacts

    def of(self, base: Base, board: Board, name: str) -> tuple[Advice, ...]:
        """Answer all three questions about a model.

        Raises:
            Refused: there is no such model. Unavailable: the repository or the sandbox cannot be used.
        """
        base.model(name)
        return (*self._loading(base, board, name), *self._spike(base, name), *self._difference(base, name))

    def _loading(self, base: Base, board: Board, name: str) -> Iterator[Advice]:
        """ "Model not loading after promotion": is it deployed, is it there, does it verify?"""
        view, model = board.model(name), base.model(name)
        deployed = [stage for stage in (Stage.ACTIVE, Stage.SHADOW) if model.pointer(stage) is not None]
        if not deployed:
            nothing = Check(
                "not loading", Verdict.NO_DATA, "Nothing is active or in shadow, so no engine has to load it."
            )
            yield nothing, "Promote an artifact first."
        for stage in deployed:
            pointer = model.pointer(stage)
            if pointer is None or view is None:
                continue
            words = view.stage(stage).deployment
            verdict = Verdict.PASS if words == SERVING else Verdict.FAIL if words else Verdict.NO_DATA
            yield (
                Check(f"{stage} deployment", verdict, words or "no engine reports what it serves"),
                f"Check ml_registry_path and ml_stage: {stage} of its engine, and its log for ML_REGISTRY and ONNX_.",
            )
            contract = base.policy.contract(name)
            verification = self._artifacts.standing(base, base.whole(name), pointer, contract=contract)
            for check in not_loading(pointer.artifact_dir, bool(verification.files), verification):
                yield check, _RESTORE

    def _spike(self, base: Base, name: str) -> Iterator[Advice]:
        """ "Latency spike after promotion": how fast is it now, and is it larger or slower than the one before it?"""
        live = self._live(base, name)
        yield live, _ROLL_BACK if live.verdict is Verdict.FAIL else "See that Prometheus scrapes the engines."
        active, before = base.model(name).active, previous_active(base.whole(name))
        if active is None or before is None:
            why = "There is no earlier active artifact to compare the active one with."
            yield Check("latency spike", Verdict.NO_DATA, why), "Look at the engine's machine, then at the model."
            return
        against = f"{visible(active.artifact_id)} after {visible(before.artifact_id)}"
        compared = self._comparison(base, name, active, before)
        if isinstance(compared, str):
            yield Check("latency spike", Verdict.NO_DATA, f"{against}: {compared}"), _RESTORE
            return
        for check in latency_spike(compared):
            yield Check(check.name, check.verdict, f"{against}: {check.why}"), _ROLL_BACK

    def _difference(self, base: Base, name: str) -> Iterator[Advice]:
        """ "Shadow and active showing different results": two models do; how often?"""
        shadow, active = base.model(name).shadow, base.model(name).active
        if shadow is None or active is None:
            why = f"{'Shadow' if shadow is None else 'Active'} is empty, so there are no two models that could differ."
            yield Check("decisions", Verdict.PASS, why), ""
            return
        compared = self._comparison(base, name, shadow, active)
        if isinstance(compared, str):
            yield Check("decisions", Verdict.NO_DATA, compared), _RESTORE
            return
        yield results_differ(compared), "Two models may differ; see `mlconsole compare`."

    def _live(self, base: Base, name: str) -> Check:
        """The runbook's own query: p99 over five minutes by mode."""
        metrics = self._context.metrics
        if metrics is None:
            return Check("live p99", Verdict.NO_DATA, "No Prometheus is configured.")
        try:
            answer = metrics.query(_live_query(base.policy, name))
        except ConsoleError as error:
            return Check("live p99", Verdict.NO_DATA, error.cause)
        objectives = (each for each in base.policy.objectives if each.kind == "quantile" and each.quantile == 0.99)
        limit = next((each.limit for each in objectives), None)
        return live_p99(answer, limit, base.policy.metric_names(name).mode)

    def _comparison(self, base: Base, name: str, left: Pointer, right: Pointer) -> Comparison | str:
        """Both side by side; or why there is no comparison."""
        paths = [base.located(pointer.artifact_dir) for pointer in (left, right)]
        gone = [path for path in paths if not self._context.repository.objects.tree(base.commit, path)]
        if gone:
            return f"{visible(gone[0])} is not in the base, so it cannot be compared."
        with self._artifacts.exported(base.commit, paths) as (left_path, right_path):
            ratio, contract = base.policy.checks.max_latency_ratio, base.policy.contract(name)
            return compare(self._context.verifier(), left_path, right_path, max_ratio=ratio, contract=contract)


def _live_query(policy: Policy, model: str) -> str:
    names = policy.metric_names(model)
    buckets = Scope(Stage.ACTIVE, policy.selector(model), names=names).plain(f"{LATENCY}_bucket")
    quantile = f"histogram_quantile(0.99, sum(rate({buckets}[5m])) by (le, {names.mode}))"
    return f"1000 * {quantile}" if names.unit == "seconds" else quantile


def live_p99(answer: Answer, limit: float | None, mode_label: str = RUNBOOK.mode) -> Check:
    """The answer to the runbook's query, by mode in milliseconds, against the policy's limit where it has one."""
    known = [(series.label(mode_label), series.points[-1][1]) for series in answer.series if series.points]
    measured = [(visible(mode or "no mode", limit=40), value) for mode, value in known if value >= 0]
    shown = f"Over five minutes: {', '.join(f'{mode} {value:.3g} ms' for mode, value in measured)}"
    if answer.warnings:
        return Check("live p99", Verdict.NO_DATA, f"Prometheus warns: {answer.warnings[0]}.")
    if not measured:
        return Check("live p99", Verdict.NO_DATA, "Prometheus has no inference of the last five minutes.")
    if limit is None:
        return Check("live p99", Verdict.VACUOUS, f"{shown}; the policy has no limit for it.")
    well = all(value < limit for _, value in measured)
    return Check("live p99", Verdict.PASS if well else Verdict.FAIL, f"{shown}, limit {limit:g} ms.")


_MANY = 50
"""Deployed models from which on recording rules are proposed."""


class Doctor:
    """Asks each source one question and answers in one sentence, or raises with the fix as remedy."""

    def __init__(
        self, context: Context, registries: Registries, gate: ChangeGate, artifacts: CommitArtifacts, boards: Boards
    ) -> None:
        self._context = context
        self._registries = registries
        self._gate = gate
        self._artifacts = artifacts
        self._boards = boards

    def check_registry(self, report: Report | None = None) -> RegistryCheck:
        """Examine the whole registry, and verify every artifact that a stage points to."""
        context = self._context
        return check_registry(self._registries.now(), self._artifacts, context.repository, context.clock.now(), report)

    def identity(self) -> str:
        """The git identity of new commits. Raises Refused when git has none configured."""
        return self._context.repository.writer.identity().email

    def registry(self) -> str:
        """Describe the registry's place and size."""
        base = self._registries.now()
        return f"{base.ref.ref}@{base.commit[:7]} holds {len(base.document.registry.models)} models"

    def policy(self) -> str:
        """Name the operators."""
        policy = self._registries.policy()
        if not policy.roles.operators:
            raise Refused(
                "The policy names no operators, so nothing can become active.",
                "Name them under [roles] operators in ml/registry/policy.toml, or run `mlconsole init`.",
            )
        return f"operators: {visible(', '.join(policy.roles.operators))}"

    def signatures(self) -> str:
        """Say if a person is identified by a signature or only by a name in the commit."""
        policy = self._registries.policy()
        if not policy.ack.signed:
            return "self-declared: the policy asks for no signature, so who made a change is a claim"
        repository, places = self._context.repository, self._context.place.places
        raw = repository.objects.read(self._registries.ref().commit, places.signers) or b""
        wrong, known = unbelieved(raw), people_of(raw)
        if wrong:
            line = f"line {wrong[0].line}: " if wrong[0].line else ""
            raise Refused(
                f"{visible(places.signers)} holds what the gate does not believe: {line}{visible(wrong[0].why)}.",
                "Name one person and one plain SSH key per line.",
            )
        missing = [each for each in policy.roles.operators if not any(policy.same_person(each, one) for one in known)]
        if missing:
            raise Refused(
                f"{visible(places.signers)} has no key of {visible(', '.join(missing))}, who can prove nothing so.",
                "Add a line with the address and the public key, by a change of the rules.",
            )
        return f"proven by signatures; {len(known)} people have a key"

    def commits(self) -> str:
        """Say what the message of a new commit gets besides our own lines."""
        writer = self._context.repository.writer
        said = "new commits are signed off" if writer.signs_off() else "new commits are not signed off"
        hooks = writer.hooks_left_out()
        if not hooks:
            return said
        return f"{said}; not run, because hooks is false under [commit]: {', '.join(hooks)} of this clone"

    def clone(self) -> str:
        """Describe the kind of this clone. Raises Unavailable naming all its gaps."""
        described = visible(str(self._context.repository.clone.describe()))
        gaps = clone_gaps(self._context)
        if gaps:
            raise Unavailable(" ".join(gap.what for gap in gaps), " ".join(gap.remedy for gap in gaps))
        return described

    def remote(self) -> str:
        """Check that the remote answers."""
        ref = self._registries.ref()
        if not ref.remote:
            return "there is no remote; branches stay local and `mlconsole land` moves the base"
        self._context.repository.remotes.tip(ref.remote, f"refs/heads/{ref.branch}")
        fork = self._registries.fork(ref)
        if not fork:
            return f"{visible(ref.remote)} answers"
        self._context.repository.remotes.tip(fork, f"refs/heads/{ref.branch}", pushed=True)
        return f"{visible(ref.remote)} answers; change branches go to {visible(fork)}, which answers too"

    def prometheus(self) -> str:
        """Check that Prometheus answers and has the engine's histogram."""
        metrics = self._context.metrics
        if metrics is None:
            raise Unavailable("No Prometheus is configured.", "Set prometheus.url; gates stay closed without it.")
        contracts, doubt = self._contracts()
        latencies = dict.fromkeys(each.latency for each in contracts)
        wanted = {str(each): f"{each.part('_bucket')} or {each.part('_count')}" for each in latencies}
        answer = metrics.query(joined({str(number): f"count({text})" for number, text in enumerate(wanted.values())}))
        there = split(answer.series)
        missing = [name for number, name in enumerate(wanted) if str(number) not in there]
        if missing:
            raise Unavailable(
                f"Prometheus answers, but has no {visible(' and no '.join(missing))}.",
                "Let it scrape the engines (ml/monitoring/prometheus.yml is an example), or state the names that they "
                "export: `mlconsole doctor metrics` proposes them.",
            )
        return f"{visible(answer.url)} answers in {answer.seconds * 1000:.0f} ms{doubt}"

    def _contracts(self) -> tuple[tuple[MetricNames, ...], str]:
        """The metrics contracts of the deployed models, and why they may not be the policy's, if they may not."""
        try:
            base = self._registries.now()
        except ConsoleError:
            return (RUNBOOK,), "; the policy cannot be read, so the runbook's metrics were looked for"
        models = base.document.registry.models
        deployed = [name for name, model in models.items() if model.shadow or model.active]
        return tuple(dict.fromkeys(map(base.policy.metric_names, deployed))) or (base.policy.metrics,), ""

    def rules(self) -> str:
        """Check that the policy's alert rules are loaded, and that a configured Alertmanager lists its silences."""
        metrics, policy = self._context.metrics, self._registries.policy()
        if metrics is None:
            raise Unavailable("No Prometheus is configured.", "Set prometheus.url.")
        recorder = Recorder(metrics)
        view = alerts_now(recorder, policy.alerts.quiet, self._context.clock.now())
        missing = [name for name, found in view.findings if found.verdict is Verdict.VACUOUS]
        if missing or not view.findings:
            raise Unavailable(
                f"Alert rules are not loaded: {visible(', '.join(missing)) or 'none is named'}.",
                "Load ml/monitoring/ml_alerts.yml with Prometheus's rule_files.",
            )
        silences = recorder.silences()
        if isinstance(silences, Failure):
            raise silences.error()
        silenced = " ".join(silences_of(silences, policy.alerts.quiet))
        said = f"{len(view.findings)} rules are loaded{f'. {silenced}' if silenced else ''}"
        return f"{said}; {self._recordings(recorder)}" if self._many() else said

    def _many(self) -> bool:
        models = self._registries.now(despite_policy=True).document.registry.models.values()
        return sum(bool(model.shadow or model.active) for model in models) >= _MANY

    def _recordings(self, recorder: Recorder) -> str:
        """Say if Prometheus has the recording rules for many models, and which of them stopped."""
        answer, known = recorder.query(LOADED_QUERY), recorder.query(KNOWN_QUERY)
        young = loaded(answer.series) if isinstance(answer, Answer) else frozenset()
        stopped = loaded(known.series) - young if isinstance(known, Answer) else frozenset()
        if stopped:
            named = visible(", ".join(sorted(stopped)[:3]), limit=160)
            return f"{len(stopped)} recording rules were not evaluated lately ({named}); /api/v1/rules says why"
        if young:
            return f"{len(young)} recording rules are loaded"
        return "load ml/monitoring/ml_recordings.yml too, or the board reads the whole day of each model at every poll"

    def runtime(self) -> str:
        """Check that onnxruntime gives the golden artifact's outputs here."""
        check = check_runtime(self._context.verifier())
        if not check.verdict.opens:
            raise Invalid(check.why, "Go back to the onnxruntime that agreed; until then nothing goes to shadow.")
        return check.why

    def sandbox(self) -> str:
        """Describe the sandbox's barriers for a model here, and those that this system lacks."""
        return check_sandbox(self._context.verifier()).why

    def journal(self) -> str:
        """Describe the changes of dead processes."""
        settled = settle_changes(self._context.audit, self._gate.desk())
        unknown = [item.why for item in settled if item.outcome is Outcome.UNKNOWN]
        if unknown:
            raise Unavailable(unknown[0], "Run doctor again when the remote answers.")
        return "; ".join(item.why for item in settled) or "nothing was left over"

    def model(self, name: str) -> tuple[Advice, ...]:
        """The runbook's last part: not loading, latency spike, shadow and active differ."""
        return Troubleshooting(self._context, self._artifacts).of(self._registries.now(), self._boards.poll(), name)
