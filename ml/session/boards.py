"""One poll: registry at its ref, one round of Prometheus, kill switch. A failed source is shown, never raised."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
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
from ml.promotion.publish import Desk
from ml.registry.glance import glance_models
from ml.session.context import Context
from ml.session.metrics import MetricsRound, MetricsWatch, describe
from ml.session.registries import Base, CloneGaps, Registries
from ml.session.soaks import Soaks
from ml.session.standings import (
    Standing,
    breach_problem,
    gates,
    kill_gates,
    kill_problems,
    open_branch,
    registry_problems,
    standing,
)
from ml.session.watches import Watches, left_behind
from ml.stage import Stage
from ml.verdict import Verdict

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
        metrics = self._watch.ask(base, now, self._soaks.deployed(base, now), place.stale_s, at_once=at_once)
        if metrics.source.state is SourceState.OK:
            soaking = tuple(name for name, model in base.document.registry.models.items() if model.shadow)
            self._soaks.keep_fresh(soaking, now)
        kill = self._context.kill_control.view(ask_engines=metrics.source.state is SourceState.OK)
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
        kill = self._context.kill_control.view()
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
            step=here.step,
            gates=(*kill_gates(kill, here.step), *gates(model, report, silent)),
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

    def _registry_at(self, commit: str) -> bytes:
        """The registry of a commit that an engine reports; an empty one where this clone does not have that commit.

        The commit is the engine's word: one that is not fetched yet, or is none, must not take the board down.
        """
        try:
            return self._context.repository.objects.read(commit, self._context.place.places.registry) or b"{}"
        except ConsoleError:
            return b"{}"

    def _pointer_at(self, commit: str, name: str, stage: Stage) -> str | None:
        if commit not in self._deployed:
            raw = self._registry_at(commit)
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
