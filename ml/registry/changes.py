"""The legal changes of a registry, as pure functions from document to document (contract §2).

Add → staging, staging → shadow, shadow → active, rollback active → an earlier active, withdraw. Everything else
is refused here, and again by the gate. Each change writes one event in both vocabularies and, in the same commit,
moves events beyond the newest fifty to the archive.
"""

from __future__ import annotations

import json
import re
from typing import Unpack

from ml.errors import Refused
from ml.registry.codec import Document
from ml.registry.edits import pointer_text, with_members
from ml.registry.events import (
    Change,
    Context,
    Recorder,
    completed,
    refuse_faults,
    refuse_known_otherwise,
    refuse_unconventional,
    spelled,
    with_archive,
    without_faults,
)
from ml.registry.history import LEFT_KEY, activates, activation_pointer, condemned, known_pointer
from ml.registry.scanner import layout_of
from ml.registry.schema import MODEL_NAME_PATTERN, Model, Pointer
from ml.stage import Action, Stage
from ml.text import visible

__all__ = ["Change", "Context", "promote", "rollback", "stage", "withdraw"]

_NOTHING = "Nothing needs to be done."


def stage(
    doc: Document,
    model: str,
    pointer: Pointer,
    **context: Unpack[Context],
) -> Change:
    """Put an artifact into a model's staging; the model is added where the registry does not have it.

    An artifact that is in staging already is replaced.

    Raises:
        Refused: the artifact stands in a stage of the model already, the registry or the model's archive knows its id
            with another digest or folder, or the pointer breaks a rule of the engine.
    """
    if not re.fullmatch(MODEL_NAME_PATTERN, model):
        raise Refused(f"{visible(model)} is no model name.", "Use only a to z, 0 to 9 and _.")
    now = doc.registry.models.get(model, Model())
    for each in Stage:
        there = now.pointer(each)
        if there and there.artifact_id == pointer.artifact_id:
            raise Refused(
                f"{pointer.artifact_id} is already in {each} of {visible(model)}.",
                "Stage an artifact that is in no stage.",
            )
    refuse_unconventional(pointer)
    whole = with_archive(now, context.get("archive", b""))
    refuse_known_otherwise({**doc.registry.models, model: whole}, pointer)
    recorder = Recorder(doc, model, **context)
    signed = pointer.model_copy(update={"actor": recorder.by, "source": recorder.source, "promoted_at_utc": None})
    written = spelled(signed)
    refuse_faults(written, active=False)
    words = {"action": Action.STAGE, "from_stage": None, "to_stage": Stage.STAGING, "pointer": written}
    return recorder.change({Stage.STAGING: written}, words, pointer.artifact_id)


def promote(
    doc: Document,
    model: str,
    to_stage: Stage,
    **context: Unpack[Context],
) -> Change:
    """Move the artifact one stage up, staging → shadow or shadow → active; the stage below is empty afterwards.

    Raises:
        Refused: nothing is in the stage below, the step is none of the two, or the engine would refuse the pointer.
    """
    below = to_stage.below
    if below is None:
        raise Refused("Nothing is promoted to staging.", "Put an artifact into staging with the verb stage.")
    pointer = _model(doc, model).pointer(below)
    if pointer is None:
        raise Refused(
            f"{below.capitalize()} of {visible(model)} is empty, so there is nothing to promote to {to_stage}.",
            f"Put an artifact into {below} first.",
        )
    for each in Stage:
        other = _model(doc, model).pointer(each)
        if each is not below and other and other.artifact_id == pointer.artifact_id:
            raise Refused(f"{pointer.artifact_id} is in {each} as well as in {below}.", f"Withdraw it from {below}.")
    recorder = Recorder(doc, model, **context)
    moved = with_members(pointer_text(doc, model, below), recorder.signature(), layout_of(doc.text))
    refuse_faults(json.loads(moved.text), active=to_stage is Stage.ACTIVE)
    words = {"action": Action.PROMOTE, "from_stage": below, "to_stage": to_stage, "pointer": moved}
    return recorder.change({below: None, to_stage: moved}, words, pointer.artifact_id)


def rollback(
    doc: Document,
    model: str,
    artifact_id: str,
    pointer: Pointer | None = None,
    **context: Unpack[Context],
) -> Change:
    """Make an artifact active again that was active before, by the history or its archive.

    The artifacts in staging and shadow stay. The pointer is the one of the artifact's last activation, never a
    staging's.

    ``pointer`` fills what that one lacks, and stands in where no activation holds any: files in the runbook's words
    keep no pointers, and the engine needs one with digest, commit and data set (the manifest has them).

    Raises:
        Refused: nothing is active, the artifact is active now, it never was, a rollback left it before, or its pointer
            is not fit for active.
    """
    now = with_archive(_model(doc, model), context.get("archive", b""))
    if now.active is None:
        raise Refused(f"Nothing is active in {visible(model)}, so there is nothing to roll back.", _NOTHING)
    if now.active.artifact_id == artifact_id:
        raise Refused(f"{visible(artifact_id)} is active already, so there is nothing to roll back.", _NOTHING)
    if not any(activates(event) and event.artifact_id == artifact_id for event in now.history):
        raise Refused(
            f"{visible(artifact_id)} was never active in {visible(model)}.",
            "Choose an artifact that the history shows as active before.",
        )
    if artifact_id in condemned(now):
        raise Refused(
            f"A rollback left {visible(artifact_id)} before, so no rollback leads back to it.",
            "Roll back to another artifact, or promote it again with a waiver.",
        )
    recorder = Recorder(doc, model, **context)
    known = activation_pointer(now, artifact_id) or pointer or known_pointer(now, artifact_id)
    written = {**spelled(completed(known, pointer)), **recorder.signature()}
    refuse_faults(written, active=True)
    words = {
        "action": Action.ROLLBACK,
        "from_stage": Stage.ACTIVE,
        "to_stage": Stage.ACTIVE,
        "pointer": written,
        LEFT_KEY: now.active.artifact_id,
    }
    return recorder.change({Stage.ACTIVE: written}, words, artifact_id, emergency=True)


def withdraw(
    doc: Document,
    model: str,
    from_stage: Stage,
    **context: Unpack[Context],
) -> Change:
    """Clear staging or shadow; the event's ``to_stage`` stays the stage that is cleared.

    Raises:
        Refused: the stage is empty already, or it is active, which only a rollback changes.
    """
    if from_stage is Stage.ACTIVE:
        raise Refused(
            "The active artifact cannot be withdrawn.", "Roll back to an earlier one, or engage the kill switch."
        )
    pointer = _model(doc, model).pointer(from_stage)
    if pointer is None:
        raise Refused(f"{from_stage.capitalize()} of {visible(model)} is empty already.", _NOTHING)
    words = {
        "action": Action.WITHDRAW,
        "from_stage": from_stage,
        "to_stage": from_stage,
        "pointer": without_faults(pointer),
    }
    recorder = Recorder(doc, model, **context)
    return recorder.change({from_stage: None}, words, pointer.artifact_id)


def _model(doc: Document, name: str) -> Model:
    model = doc.registry.models.get(name)
    if model is None:
        known = ", ".join(doc.registry.models) or "none"
        raise Refused(f"The registry has no model {visible(name)}.", f"It has: {visible(known, limit=200)}.")
    return model
