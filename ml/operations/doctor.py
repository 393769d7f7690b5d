"""Looking at what the console stands on, and the runbook's troubleshooting of one model."""

from __future__ import annotations

from ml.artifacts.runtime import check_cage, check_runtime
from ml.errors import Invalid, Refused, Unavailable
from ml.operations.artifacts import CommitArtifacts
from ml.operations.boards import Boards
from ml.operations.clone_gaps import clone_gaps
from ml.operations.context import Context
from ml.operations.left_behind import settle_changes
from ml.operations.registries import Registries
from ml.operations.troubleshooting import Advice, Troubleshooting
from ml.promotion.reconcile import Outcome
from ml.promotion.signers import people_of, unbelieved
from ml.slo.alert_findings import silences_of
from ml.slo.alerts import alerts_now
from ml.slo.recording import Failure, Recorder
from ml.text import visible
from ml.verdict import Verdict

_LATENCY = 'count({__name__=~"grinder_ml_inference_latency_ms_(bucket|count)"})'


class Doctor:
    """Asks each source one question and answers in one sentence, or raises with the fix as remedy."""

    def __init__(self, context: Context, registries: Registries, artifacts: CommitArtifacts, boards: Boards) -> None:
        self._context = context
        self._registries = registries
        self._artifacts = artifacts
        self._boards = boards

    def registry(self) -> str:
        """Where it is read, and how much it holds."""
        base = self._registries.now()
        return f"{base.ref.ref}@{base.commit[:7]} holds {len(base.document.registry.models)} models"

    def policy(self) -> str:
        """Who the operators are."""
        policy = self._registries.policy()
        if not policy.roles.operators:
            raise Refused(
                "The policy names no operators, so nothing can become active.",
                "Name them under [roles] operators in ml/registry/policy.toml, or run `mlconsole init`.",
            )
        return f"operators: {visible(', '.join(policy.roles.operators))}"

    def signatures(self) -> str:
        """How a person is known: by a signature, or by what they say of themselves."""
        policy = self._registries.policy()
        if not policy.ack.signed:
            return "self-declared: the policy asks for no signature, so who made a change is a claim"
        repository, places = self._context.repository, self._context.place.places
        raw = repository.read(self._registries.ref().commit, places.signers) or b""
        wrong, known = unbelieved(raw), people_of(raw)
        if wrong:
            line = f"line {wrong[0].line}: " if wrong[0].line else ""
            raise Refused(
                f"{visible(places.signers)} holds what the gate does not believe: {line}{visible(wrong[0].why)}.",
                "Name one person and one plain SSH key per line.",
            )
        missing = [each for each in policy.roles.operators if each not in known]
        if missing:
            raise Refused(
                f"{visible(places.signers)} has no key of {visible(', '.join(missing))}, who can prove nothing so.",
                "Add a line with the address and the public key, by a change of the rules.",
            )
        return f"proven by signatures; {len(known)} people have a key"

    def clone(self) -> str:
        """What kind of clone this is. Raises Unavailable naming all that it lacks."""
        described = visible(str(self._context.repository.describe()))
        gaps = clone_gaps(self._context)
        if gaps:
            raise Unavailable(" ".join(gap.what for gap in gaps), " ".join(gap.remedy for gap in gaps))
        return described

    def remote(self) -> str:
        """That the remote answers."""
        ref = self._registries.ref()
        if not ref.remote:
            return "there is no remote; branches stay local and `mlconsole land` moves the base"
        self._context.repository.remote_tip(ref.remote, f"refs/heads/{ref.branch}")
        return f"{visible(ref.remote)} answers"

    def prometheus(self) -> str:
        """That it answers and has the engine's histogram."""
        metrics = self._context.metrics
        if metrics is None:
            raise Unavailable("No Prometheus is configured.", "Set prometheus.url; gates stay closed without it.")
        answer = metrics.query(_LATENCY)
        if not answer.series:
            raise Unavailable(
                "Prometheus answers, but has no grinder_ml_inference_latency_ms.",
                "Let it scrape the engines; ml/monitoring/prometheus.yml is an example.",
            )
        return f"{visible(answer.url)} answers in {answer.seconds * 1000:.0f} ms"

    def rules(self) -> str:
        """That the policy's alert rules are loaded, and that a configured Alertmanager tells its silences."""
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
        told = " ".join(silences_of(silences, policy.alerts.quiet))
        return f"{len(view.findings)} rules are loaded{f'. {told}' if told else ''}"

    def runtime(self) -> str:
        """That onnxruntime computes here what the golden artifact expects."""
        check = check_runtime(self._context.verifier())
        if not check.verdict.opens:
            raise Invalid(check.why, "Go back to the onnxruntime that agreed; until then nothing goes to shadow.")
        return check.why

    def cage(self) -> str:
        """What the cage shuts off from a model here, and what this system cannot shut."""
        return check_cage(self._context.verifier()).why

    def journal(self) -> str:
        """What became of changes whose process died."""
        settled = settle_changes(self._context.audit, self._registries.desk())
        unknown = [item.why for item in settled if item.outcome is Outcome.UNKNOWN]
        if unknown:
            raise Unavailable(unknown[0], "Run doctor again when the remote answers.")
        return "; ".join(item.why for item in settled) or "nothing was left over"

    def model(self, name: str) -> tuple[Advice, ...]:
        """The runbook's last part: not loading, latency spike, shadow and active differ."""
        return Troubleshooting(self._context, self._artifacts).of(self._registries.now(), self._boards.board(), name)
