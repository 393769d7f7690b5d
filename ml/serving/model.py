"""One artifact, loaded: digests checked first, then one onnxruntime session on one thread."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnxruntime

from ml.artifacts.answers import Answers, Values, breach, misshapen
from ml.artifacts.questions import sizes_of, zeros
from ml.contract import ANY_NAME, FREE, REGIME, Contract, Output, family_contract
from ml.contract_reader import parse_contract
from ml.errors import Invalid
from ml.stage import Stage
from ml.text import visible


class ModelRefused(Invalid):
    """An artifact that the engine does not load. Its cause begins with the event that the runbook names."""


class LoadedModel:
    """An artifact that matches the registry's digest, ready to infer by its contract."""

    def __init__(self, deployment: Deployment, base: Path, model: str = "") -> None:
        """Check and load ``base / deployment.artifact_dir``.

        The contract is the one in its manifest, else the runbook's for the family of ``model`` or of the artifact.

        Raises:
            Invalid: a file is missing or differs from its digest, or onnxruntime refuses the model.
        """
        self.deployment = deployment
        directory = base / deployment.artifact_dir
        manifest = _manifest(directory)
        path = _pinned(directory, manifest, deployment.model_sha256)
        try:
            self.contract = _contract(manifest, model, deployment.artifact_id)
            self._session = onnxruntime.InferenceSession(path, _one_thread(), providers=["CPUExecutionProvider"])
            self._inputs = _inputs(self._session, self.contract)
            there = {one.name for one in self._session.get_outputs()}
            self._outputs = [one for one in self.contract.outputs if not one.optional or one.name in there]
            self.sizes = sizes_of(self.contract, _shapes(self._session, self._inputs))
            self._run(zeros(self.contract, self.sizes).one(0))  # warms up, and proves inputs and outputs
        except Exception as error:  # onnxruntime's own errors share no base class but Exception
            raise _refused("ONNX_LOAD_FAILED", f"{deployment.artifact_id}: {error}") from error

    def infer(self, question: Mapping[str, Values]) -> Answers:
        """Answer one question: a tensor for each input of the contract, as the model takes it.

        Raises:
            ValueError: the model answered something that its contract does not allow.
        """
        answers = self._run(question)
        for output in self._outputs:
            broken = breach(output, answers[output.name])
            if broken is not None:
                raise ValueError(f"{broken.line}: the model's answer is {broken.why}")
        return answers

    def _run(self, question: Mapping[str, Values]) -> Answers:
        feed = {self._inputs[name]: values for name, values in question.items()}
        found = self._session.run([one.name for one in self._outputs], feed)
        return {one.name: _alone(one, np.asarray(values)) for one, values in zip(self._outputs, found, strict=True)}


def _alone(output: Output, values: Values) -> Values:
    """One answer, with a first size of 1. Raises ValueError for another shape than the contract's."""
    rows = output.shape[:1] in ((FREE,), (1,)) if output.shape is not None else values.shape[:1] == (1,)
    each = values if rows else values[np.newaxis]
    line = misshapen(output, each.shape[1:])
    if line or each.shape[:1] != (1,):
        raise ValueError(f"{line or f'outputs.{output.name}.shape'}: the model's answer has the shape {values.shape}")
    return each


def _contract(manifest: Mapping[str, Any], model: str, artifact_id: str) -> Contract:
    """The manifest's contract, else the runbook's for the family. Raises ValueError for one with a mistake."""
    stated = manifest.get("contract")
    return parse_contract(stated) if stated is not None else family_contract(model, artifact_id) or REGIME


def _inputs(session: onnxruntime.InferenceSession, contract: Contract) -> dict[str, str]:
    """The model's own names of the contract's inputs."""
    own = [one.name for one in session.get_inputs()]
    if contract.inputs[0].name == ANY_NAME and len(own) == 1:
        return {ANY_NAME: own[0]}
    missing = [one.name for one in contract.inputs if one.name not in own]
    if missing or len(own) != len(contract.inputs):
        raise ValueError(f"inputs.{(missing or own)[0]}: the model takes {', '.join(own)}")
    return {name: name for name in own}


def _shapes(session: onnxruntime.InferenceSession, names: Mapping[str, str]) -> dict[str, tuple[int | None, ...]]:
    shapes = {one.name: one.shape for one in session.get_inputs()}
    return {
        name: tuple(size if isinstance(size, int) and size > 0 else None for size in shapes[own])
        for name, own in names.items()
    }


def _manifest(directory: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads((directory / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        raise _refused("ONNX_ARTIFACT_UNREADABLE", f"{directory.name}: {error}") from error
    if not isinstance(manifest, dict):
        raise _refused("ONNX_ARTIFACT_UNREADABLE", f"{directory.name}: manifest.json is no object")
    return manifest


def _pinned(directory: Path, manifest: Mapping[str, Any], model_sha256: str) -> Path:
    """The model file, after every file that the manifest lists has proven its digest."""
    try:
        name, digests = str(manifest["model_file"]), dict(manifest["sha256"])
        found = {listed: _sha256(directory / listed) for listed in {name, *digests}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refused("ONNX_ARTIFACT_UNREADABLE", f"{directory.name}: {error}") from error
    wrong = sorted(listed for listed in digests if found[listed] != digests[listed])
    if wrong or found[name] != (model_sha256 or digests.get(name)):
        raise _refused("ONNX_DIGEST_MISMATCH", f"{directory.name}: {', '.join(wrong) or name}")
    return directory / name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _refused(code: str, what: str) -> ModelRefused:
    return ModelRefused(f"{code} {visible(what, limit=400)}", "Run `mlconsole verify` on the artifact.")


# The engine's own strict reader of the registry, independent of the console's code (contract §2).
#
# The deployed engine refuses files that the console must never write. Keeping those rules here, in code that shares
# nothing with `ml.registry`, makes every demo and every test check our writing.

_NAME = re.compile(r"[a-z0-9_]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_HISTORY = 50
_TIMES = ("ts_utc", "created_at_utc", "promoted_at_utc")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The artifact that a stage asks the engine to serve. ``model_sha256`` is empty where nothing pins it."""

    artifact_id: str
    artifact_dir: PurePosixPath
    model_sha256: str


def deployment(raw: bytes, model: str, stage: Stage) -> Deployment | None:
    """The artifact that a registry file puts into one stage of a model, or ``None`` when the stage is empty.

    Raises:
        Invalid: the file, or anything in it, is against the engine's rules; nothing of it may be served.
    """
    try:
        document = json.loads(raw)
        models = document["models"]
        entries = {name: dict(entry) for name, entry in models.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _refuse("the file", f"is no registry ({type(error).__name__}: {error})") from error
    if document.get("schema_version") != "v1":
        raise _refuse("schema_version", "is not v1")
    for name, entry in entries.items():
        _check_model(name, entry)
    pointer = entries.get(model, {}).get(stage.value)
    if pointer is None:
        return None
    return Deployment(
        artifact_id=str(pointer["artifact_id"]),
        artifact_dir=PurePosixPath(pointer["artifact_dir"]),
        model_sha256=str(pointer.get("model_sha256") or ""),
    )


def _check_model(name: str, entry: dict[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise _refuse(f"model {name!r}", "has a name outside [a-z0-9_]+")
    for stage in Stage:
        if entry.get(stage.value) is not None:
            _check_pointer(f"{name}.{stage}", entry[stage.value])
    for key in ("git_sha", "dataset_id", "promoted_at_utc"):
        active = entry.get(Stage.ACTIVE.value)
        if active is not None and not active.get(key):
            raise _refuse(f"{name}.active", f"lacks {key}")
    history = entry.get("history", [])
    if not isinstance(history, list) or len(history) > _MAX_HISTORY:
        raise _refuse(f"{name}.history", f"is no list of at most {_MAX_HISTORY} events")
    for index, event in enumerate(history):
        _check_event(f"{name}.history[{index}]", event)


def _check_event(where: str, event: Any) -> None:
    if not isinstance(event, dict):
        raise _refuse(where, "is no object")
    for key in ("ts_utc", "to_stage", "pointer"):
        if event.get(key) is None:
            raise _refuse(where, f"lacks {key}")
    if event["to_stage"] not in set(Stage):
        raise _refuse(where, "names an unknown to_stage")
    _check_times(where, event)
    _check_pointer(f"{where}.pointer", event["pointer"])


def _check_pointer(where: str, pointer: Any) -> None:
    if not isinstance(pointer, dict):
        raise _refuse(where, "is no object")
    for key in ("artifact_id", "artifact_dir"):
        if not isinstance(pointer.get(key), str) or not pointer[key]:
            raise _refuse(where, f"lacks {key}")
    path = PurePosixPath(pointer["artifact_dir"])
    if path.is_absolute() or ".." in path.parts:
        raise _refuse(f"{where}.artifact_dir", "is absolute or climbs out")
    commit = pointer.get("git_sha")
    if commit is not None and not (isinstance(commit, str) and _COMMIT.fullmatch(commit)):
        raise _refuse(f"{where}.git_sha", "is neither null nor 40 lowercase hex digits")
    _check_times(where, pointer)


def _check_times(where: str, holder: dict[str, Any]) -> None:
    for key in _TIMES:
        moment = holder.get(key)
        if moment is not None and not (isinstance(moment, str) and moment.endswith("Z")):
            raise _refuse(f"{where}.{key}", "does not end in Z")


def _refuse(where: str, what: str) -> Invalid:
    return Invalid(
        f"The engine refuses the registry: {visible(where)} {visible(what)}.", "Run `mlconsole check` on the file."
    )
