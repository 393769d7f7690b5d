"""The parts of a board that come from the registry, the kill switch and a soak report. Nothing of it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ml.board import KillView, ModelView, OpenBranch, Problem, SoakReport, StageView
from ml.promotion.attributes import above, altered
from ml.promotion.clone import Clone
from ml.promotion.gate.guard import artifact_folders, named_folders
from ml.promotion.paths import Places
from ml.promotion.repository import SUBMODULE, BranchInfo, Objects, Repository
from ml.promotion.values import KILL_GATE
from ml.registry.codec import Document
from ml.registry.doctor import Finding, examine
from ml.registry.history import chronological, condemned
from ml.registry.schema import Event, Model, Pointer, located
from ml.session.registries import Base
from ml.stage import Stage
from ml.text import visible
from ml.verdict import SOAK_GATE, Code, Gate, Verdict, finding

# A model's view on the board, made from the registry once per commit. Pure.


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's place in the registry, before any engine is asked: panes, next step, condemned, problems."""

    panes: Mapping[Stage, StageView]
    step: str
    condemned: tuple[str, ...]
    problems: tuple[Problem, ...]


def standing(model: Model, whole: Model, problems: tuple[Problem, ...]) -> Standing:
    """Work out a model's standing; ``whole`` is the model with its archived events."""
    events = chronological(model)
    return Standing(
        panes={stage: _pane(stage, model.pointer(stage), events) for stage in Stage},
        step=_step(model),
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


def _step(model: Model) -> str:
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


def kill_gates(kill: KillView, step: str) -> tuple[Gate, ...]:
    """The gate that the kill switch closes on the board, for as long as models may not act; none while it is off."""
    if kill.off or not step:
        return ()
    if kill.engaged is None:
        verdict, code = Verdict.NO_DATA, Code.KILL_SWITCH_UNKNOWN
    elif kill.releasing:
        verdict, code = Verdict.WAIT, Code.KILL_SWITCH_RELEASING
    else:
        verdict, code = Verdict.FAIL, Code.KILL_SWITCH_ON
    return (finding(verdict, code, _kill_state(kill)).gate(KILL_GATE),)


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
        return (finding(Verdict.ERROR, Code.SOURCE_FAILED, f"The soak cannot be judged: {silent}").gate(SOAK_GATE),)
    if report is None:
        return (finding(Verdict.WAIT, Code.BEING_JUDGED, "The soak is being judged.").gate(SOAK_GATE),)
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


# Files that a checkout would alter, by git's attributes.
#
# The gate and every verification read git's objects. An engine reads a checkout: a line in ``.gitattributes`` that
# asks for other line ends, a filter or another encoding makes it load other bytes than those that were verified.

_REMEDY = "Take the line out of .gitattributes (or of info/attributes in this clone), then check the engines' files."


def altered_files(
    objects: Objects, clone: Clone, commit: str, document: Document, places: Places, artifact_base: str
) -> Iterator[Finding]:
    """The registry and the files of every artifact that it names which a checkout of a commit would alter.

    One finding for each artifact, with the first of its files.
    """
    folders = artifact_folders(document, artifact_base)
    homes: dict[str, str] = {}
    for entry in objects.tree(commit):
        home = next((folder for folder in above(entry.path) if folder in folders), "")
        if home or entry.path == places.registry:
            homes[entry.path] = home
    attributes = clone.attributes(commit, list(homes))
    reported: set[str] = set()
    for path, home in homes.items():
        why = altered(path, attributes.get(path, {}))
        if why and home not in reported:
            reported.add(home)
            what = f"A checkout does not give {visible(path)} as it was committed: git {why}."
            model = _model_of(document, home, artifact_base)
            yield Finding("bytes-change-at-checkout", model, visible(path), True, what, _REMEDY)


def _model_of(document: Document, home: str, artifact_base: str) -> str:
    """The first model that names an artifact's directory; for the registry itself the first of all."""
    named = (
        name
        for name, model in document.registry.models.items()
        if not home or home in {located(folder, artifact_base) for folder in named_folders(model)}
    )
    return next(named, "")
