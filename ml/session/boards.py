"""One poll: registry at its ref, one round of Prometheus, kill switch. A failed source is shown, never raised."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ml.board import (
    Board,
    Glance,
    KillView,
    ModelView,
    OpenBranch,
    Problem,
    RegistryView,
    SoakReport,
    Source,
    SourceState,
    StageView,
)
from ml.errors import ConsoleError
from ml.judgement import soak_at
from ml.policy import PolicyInvalid
from ml.promotion.checkout import altered_files
from ml.promotion.publish import Desk
from ml.promotion.repository import SUBMODULE, BranchInfo, Objects, Repository
from ml.registry.doctor import Finding, examine
from ml.registry.glance import glance_models
from ml.registry.history import chronological, condemned
from ml.registry.schema import Event, Model, Pointer
from ml.session.context import Context
from ml.session.metrics import MetricsRound, MetricsWatch, describe
from ml.session.registries import Base, CloneGaps, Registries
from ml.session.soaks import Soaks
from ml.session.watches import Watches, left_behind
from ml.stage import Stage
from ml.verdict import Code, Gate, Verdict, finding

# A model's view on the board, made from the registry once per commit. Pure.


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's place in the registry, before any engine is asked: panes, next step, condemned, problems."""

    panes: Mapping[Stage, StageView]
    hop: str
    condemned: tuple[str, ...]
    problems: tuple[Problem, ...]


def standing(model: Model, whole: Model, problems: tuple[Problem, ...]) -> Standing:
    """Work out a model's standing; ``whole`` is the model with its archived events."""
    events = chronological(model)
    return Standing(
        panes={stage: _pane(stage, model.pointer(stage), events) for stage in Stage},
        hop=_hop(model),
        condemned=tuple(sorted(condemned(whole))),
        problems=problems,
    )


def open_branch(branch: BranchInfo) -> OpenBranch:
    """The change branch, described by its commit's trailers."""
    commit = branch.commit
    return OpenBranch(
        name=branch.name,
        commit=commit.sha,
        action=branch.name.partition("/")[0],
        model=commit.trailer("Model"),
        artifact_id=commit.trailer("Artifact"),
        to_stage=commit.trailer("To-Stage"),
        by=commit.author.email,
        at=commit.at,
        pushed=branch.pushed,
    )


def _pane(stage: Stage, pointer: Pointer | None, events: Sequence[Event]) -> StageView:
    """The pane of a stage; its time and author come from the event that brought its artifact."""
    if pointer is None:
        return StageView(stage)
    arrivals = (
        event for event in reversed(events) if event.to_stage == stage and event.artifact_id == pointer.artifact_id
    )
    arrival = next(arrivals, None)
    return StageView(
        stage,
        artifact_id=pointer.artifact_id,
        model_sha256=pointer.model_sha256,
        artifact_dir=pointer.artifact_dir,
        since=(arrival.at if arrival else None) or pointer.promoted_at_utc or pointer.created_at_utc,
        by=(arrival.by if arrival else None) or pointer.actor or "",
        notes=pointer.notes or "",
    )


def _hop(model: Model) -> str:
    if model.shadow is not None:
        return "shadow→active"
    return "staging→shadow" if model.staging is not None else ""


def breach_problem(view: ModelView) -> Problem | None:
    """Return a live model's failed objectives as a problem; ``None`` when it meets them."""
    failing = view.breaching
    if not failing:
        return None
    names = ", ".join(reading.name for reading in failing)
    what = f"active {view.active.artifact_id} breaches {names}: {failing[0].why}"
    return Problem(view.name, what, f"Roll it back: r, or `mlconsole rollback {view.name} --reason TEXT`.")


def kill_gates(kill: KillView, hop: str) -> tuple[Gate, ...]:
    """The gate that the kill switch closes on the board, for as long as models may not act; none while it is off."""
    if kill.off or not hop:
        return ()
    verdict = Verdict.NO_DATA if kill.engaged is None else Verdict.WAIT if kill.releasing else Verdict.FAIL
    return (Gate(name="kill_switch", verdict=verdict, why=_kill_state(kill)),)


def kill_problems(kill: KillView) -> tuple[Problem, ...]:
    """A kill switch that is on or unknown, as a problem, so that the board does not look healthy."""
    if kill.off:
        return ()
    if kill.engaged is None:
        return (Problem("kill", kill.problem or "Nobody can tell whether the kill switch is on."),)
    if kill.releasing:
        return (Problem("kill", _kill_state(kill), "F9 stops models again; the kill screen names each engine."),)
    return (Problem("kill", " ".join(filter(None, (_kill_state(kill), kill.beside))), "U releases it."),)


def _kill_state(kill: KillView) -> str:
    if kill.engaged is None:
        return kill.problem or "Nobody can tell whether the kill switch is on."
    counted = f"{kill.proven} of {kill.engines} engines prove it"
    if kill.releasing:
        return f"The kill switch was released, and that is {kill.rung}: {counted}."
    if kill.by_engines:
        return f"The kill switch is ON by the engines, not by this clone's kill file: {counted}."
    return f"The kill switch is ON, {kill.rung}: {counted}."


def gates(model: Model, report: SoakReport | None, silent: str = "") -> tuple[Gate, ...]:
    """The gates of the next promotion as far as the board knows them; the wizard judges them all.

    ``report`` is as it may be shown now (`ml.judgement.soak_at`); ``silent``: why the source does not answer.
    """
    if model.shadow is None:
        return ()
    if report is None and silent:
        return (finding(Verdict.ERROR, Code.SOURCE_FAILED, f"The soak cannot be judged: {silent}").gate("soak"),)
    if report is None:
        return (finding(Verdict.WAIT, Code.BEING_JUDGED, "The soak is being judged.").gate("soak"),)
    return report.gates


# Problems of a registry at one commit: the doctor's severe findings, and pointers to a missing directory.


def registry_problems(base: Base, repository: Repository) -> tuple[Problem, ...]:
    """All severe problems; ``where`` is the model's name. Costs one listing of the commit's tree."""
    found = (*examine(base.document, archives=base.archives), *altered_at_checkout(base, repository))
    findings = (Problem(finding.model, finding.what, finding.remedy) for finding in found if finding.severe)
    return (*findings, *_missing_artifacts(base, repository.objects))


def altered_at_checkout(base: Base, repository: Repository) -> tuple[Finding, ...]:
    """Report files that a checkout of the base would alter."""
    objects, clone = repository.objects, repository.clone
    return tuple(altered_files(objects, clone, base.commit, base.document, base.places, base.artifact_base))


def _missing_artifacts(base: Base, objects: Objects) -> Iterator[Problem]:
    """Report pointers to a directory that is not where `Base.located` resolves it (contract §2)."""
    setting = "artifacts.base of the policy" if base.policy.artifacts.base else "registry.artifact_base"
    entries = objects.tree(base.commit)
    present = {entry.path.rpartition("/")[0] for entry in entries}
    submodules = tuple(f"{entry.path}/" for entry in entries if entry.mode == SUBMODULE)
    for name, model in base.document.registry.models.items():
        for stage in Stage:
            pointer = model.pointer(stage)
            if pointer is None:
                continue
            path = base.located(pointer.artifact_dir)
            if path.startswith(submodules):
                what = f"{stage} {pointer.artifact_id} is at {path}, in a submodule, where no commit of ours proves it."
                yield Problem(name, what, "Keep artifacts in the registry's own repository.")
            elif path not in present:
                what = f"{stage} {pointer.artifact_id} is not in the commit at {path}."
                yield Problem(name, what, f"Restore the directory, or correct {setting}.")


Began = Mapping[tuple[str, str], datetime]
"""The first sight of each artifact in service as the active one, by model and artifact."""


class Boards:
    """Makes boards. ``keep`` gets every board, for later callers that do not judge; it raises nothing."""

    def __init__(
        self,
        context: Context,
        registries: Registries,
        soaks: Soaks,
        watches: Watches,
        *,
        desk: Callable[[], Desk],
        glance: Callable[[], Glance],
        keep: Callable[[Board], None] | None = None,
    ) -> None:
        self._context = context
        self._registries = registries
        self._soaks = soaks
        self._desk = desk
        self._glance = glance
        self._keep = keep
        self._lock = threading.Lock()
        self._watch = MetricsWatch(context.metrics)
        self._remote = Source("remote")
        self._gaps = CloneGaps(context)
        self._watches = watches
        self._aftermath: tuple[Problem, ...] | None = None
        self.last: Board | None = None
        """The board of the last poll."""
        self._known: tuple[str, Mapping[str, Standing]] = ("", {})
        self._deployed: dict[str, dict[tuple[str, Stage], str | None]] = {}

    def fetch(self) -> Source:
        """Fetch the base and the change branches; the state of the remote afterwards."""
        try:
            ref = self._registries.ref()
            if not ref.remote:
                self._remote = Source("remote", SourceState.NONE, why="The repository has no remote.")
                return self._remote
            self._context.repository.remotes.fetch(ref.remote, ref.branch, fork=self._registries.fork(ref))
        except ConsoleError as error:
            self._remote = replace(self._remote, state=SourceState.ERROR, why=str(error))
        else:
            self._remote = Source(ref.remote, SourceState.OK, self._context.clock.now())
        return self._remote

    def poll(self, *, at_once: bool = False) -> Board:
        """Poll once: registry at its ref, one round of Prometheus, kill switch. Never raises for a failed source.

        Polls from several threads take turns. A Prometheus that does not answer rests for some polls, unless it is to
        be asked ``at_once``.
        """
        board = self._poll(at_once=at_once)
        if self._keep is not None:
            self._keep(board)
        return board

    def release_warnings(self) -> tuple[str, ...]:
        """List reasons against releasing the kill switch, as of the last board: a breach, a condemned artifact."""
        board = self.last
        warnings = []
        for model in board.models if board else ():
            warnings += [
                f"{model.name}: {reading.name} is breached: {reading.why}"
                for reading in model.active_readings
                if reading.verdict is Verdict.FAIL
            ]
            if model.active.artifact_id in model.condemned:
                warnings.append(f"{model.name}: {model.active.artifact_id} is active and condemned.")
        return tuple(warnings)

    def _poll(self, *, at_once: bool) -> Board:
        with self._lock:
            now = self._context.clock.now()
            try:
                base = self._registries.now()
            except ConsoleError as error:
                self.last = self._unreadable(error, now)
            else:
                self.last = self._readable(base, now, at_once=at_once)
            return self.last

    def _readable(self, base: Base, now: datetime, *, at_once: bool) -> Board:
        place = self._context.place
        metrics = self._watch.ask(base, now, self._soaks.started(), place.stale_s, at_once=at_once)
        if metrics.source.state is SourceState.OK:
            soaking = tuple(name for name, model in base.document.registry.models.items() if model.shadow)
            self._soaks.keep_fresh(soaking, now)
        kill = self._context.kill_desk.view(ask_engines=metrics.source.state is SourceState.OK)
        names, began = base.document.registry.models, self._watches.began()
        models = tuple(self._model(base, name, metrics, now, began, kill) for name in names)
        watches = self._watches.poll(base.policy, models, now)
        return Board(
            as_of=now,
            environment=place.environment,
            production=place.production,
            read_only=place.read_only,
            operator=self._operator(),
            registry=RegistryView(base.ref.ref, base.commit, place.places.registry, self._remote, self._branches(base)),
            prometheus=metrics.source,
            kill=kill,
            models=models,
            watches=watches,
            problems=(
                *kill_problems(kill),
                *self._context.problems,
                *self._gaps.problems(),
                *self._left_behind(),
                *self._watches.problems,
                *self._source_problems(metrics.source),
            ),
        )

    def _unreadable(self, error: ConsoleError, now: datetime) -> Board:
        """A registry that cannot be read safely: names at most, read-only, and the reason in words.

        Where only the policy is at fault, the session is not read-only: a rollback asks for no policy.
        """
        place = self._context.place
        glanced = self._glance()
        kill = self._context.kill_desk.view()
        models = tuple(
            ModelView(
                name=name,
                staging=StageView(Stage.STAGING, staging),
                shadow=StageView(Stage.SHADOW, shadow),
                active=StageView(Stage.ACTIVE, active),
            )
            for name, (staging, shadow, active) in glanced.models
        )
        return Board(
            as_of=now,
            environment=place.environment,
            production=place.production,
            read_only=place.read_only or not isinstance(error, PolicyInvalid),
            operator=self._operator(),
            registry=RegistryView(glanced.ref, glanced.commit, place.places.registry, self._remote, problem=str(error)),
            prometheus=Source(
                "prometheus", SourceState.UNASKED, why="not asked, as long as the registry cannot be read"
            ),
            kill=kill,
            models=models,
            problems=(
                Problem("registry", error.cause, error.remedy),
                *kill_problems(kill),
                *self._context.problems,
                *self._gaps.problems(),
                *self._left_behind(),
            ),
        )

    def _operator(self) -> str:
        try:
            return self._context.repository.writer.identity().email
        except ConsoleError:
            return ""

    def _left_behind(self) -> tuple[Problem, ...]:
        """Report unfinished changes and kills of dead consoles. It looks once, at the first board."""
        if self._aftermath is None:
            sentences = left_behind(self._context, self._desk)
            self._aftermath = tuple(Problem("last session", why, severe=False) for why in sentences)
        return self._aftermath

    def _source_problems(self, prometheus: Source) -> tuple[Problem, ...]:
        found = []
        if prometheus.state is not SourceState.OK:
            found.append(Problem("prometheus", prometheus.why, "Gates that need it stay closed.", severe=False))
        if self._remote.state is SourceState.ERROR:
            never = self._remote.as_of is None
            since = "No fetch of this session has worked: " if never else ""
            remedy = "What is shown is what this clone saw last. Run `git fetch` by hand to see what fails."
            found.append(Problem(self._remote.name, f"{since}{self._remote.why}", remedy, severe=never))
        return tuple(found)

    def _model(
        self, base: Base, name: str, metrics: MetricsRound, now: datetime, began: Began, kill: KillView
    ) -> ModelView:
        here = self._standings(base)[name]
        model = base.document.registry.models[name]
        panes = {stage: self._pane(name, here.panes[stage], metrics, killed=not kill.off) for stage in Stage}
        report = self._soaks.last(name, model)
        report = soak_at(report, now) if report is not None else None
        panes = _served(name, panes, report, began)
        silent = "" if metrics.source.state is SourceState.OK else metrics.source.why
        view = ModelView(
            name=name,
            staging=panes[Stage.STAGING],
            shadow=panes[Stage.SHADOW],
            active=panes[Stage.ACTIVE],
            readings=metrics.readings.get(name, ()),
            active_readings=metrics.active.get(name, ()),
            hop=here.hop,
            gates=(*kill_gates(kill, here.hop), *gates(model, report, silent)),
            soak=report,
            condemned=here.condemned,
            problems=here.problems,
            silent=silent,
        )
        breach = breach_problem(view)
        return replace(view, problems=(*here.problems, breach)) if breach else view

    def _standings(self, base: Base) -> Mapping[str, Standing]:
        commit, known = self._known
        if commit == base.commit:
            return known
        problems: dict[str, list[Problem]] = {}
        for problem in registry_problems(base, self._context.repository):
            problems.setdefault(problem.where, []).append(problem)
        models = base.document.registry.models.items()
        made = {name: standing(model, base.whole(name), tuple(problems.get(name, ()))) for name, model in models}
        self._known = (base.commit, made)
        return made

    def _pane(self, name: str, pane: StageView, metrics: MetricsRound, *, killed: bool) -> StageView:
        instances = tuple(item for item in metrics.serving.get(name, ()) if item.stage is pane.stage)
        if not instances:
            return pane

        def deployed(commit: str, at_stage: Stage) -> str | None:
            return self._pointer_at(commit, name, at_stage)

        return replace(pane, serving=instances, deployment=describe(pane, instances, deployed, killed=killed))

    def _pointer_at(self, commit: str, name: str, stage: Stage) -> str | None:
        if commit not in self._deployed:
            raw = self._context.repository.objects.read(commit, self._context.place.places.registry) or b"{}"
            glanced, _ = glance_models(raw)
            pointers = {
                (model, at): artifact
                for model, artifacts in glanced
                for at, artifact in zip(Stage, artifacts, strict=True)
            }
            # Engines follow one or two commits at a time; what they left behind is not asked for again.
            self._deployed = {**dict(list(self._deployed.items())[-3:]), commit: pointers}
        return self._deployed[commit].get((name, stage))

    def _branches(self, base: Base) -> tuple[OpenBranch, ...]:
        try:
            remote, fork = base.ref.remote or "origin", self._registries.fork(base.ref)
            found = self._context.repository.refs.branches(remote, unmerged_into=base.commit, fork=fork)
        except ConsoleError:
            return ()
        return tuple(open_branch(branch) for branch in found)


def _served(
    name: str, panes: Mapping[Stage, StageView], report: SoakReport | None, began: Began
) -> dict[Stage, StageView]:
    """The panes with the time since which each artifact serves: by its soak, or by its watch."""
    shadow, active = panes[Stage.SHADOW], panes[Stage.ACTIVE]
    soaked = report.started_at if report is not None else None
    watched = began.get((name, active.artifact_id)) if active.artifact_id else None
    return {
        **panes,
        Stage.SHADOW: replace(shadow, served_since=soaked),
        Stage.ACTIVE: replace(active, served_since=watched),
    }
