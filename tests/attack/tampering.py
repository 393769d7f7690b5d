"""What somebody may do to the files of a repository by hand, by name; each gives the files of one commit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from support.gatehouse import FRESH, LIVE, OLD, SOAKED, STRANGER, artifact_files

from attack.crowd import MODEL, MOVED, POLICY_FILE, REGISTRY, SIGNERS_FILE, WORKFLOW, Crowd, Files
from attack.objects import LINK, MODULE, PROGRAM

Tampering = Callable[[Crowd, str, str], Files]
TAMPERINGS: dict[str, Tampering] = {}
ATTRIBUTES = b"*.onnx text eol=crlf\n*.json text eol=crlf working-tree-encoding=UTF-16\n* ident\n"


def _named(name: str) -> Callable[[Tampering], Tampering]:
    def add(make: Tampering) -> Tampering:
        TAMPERINGS[name] = make
        return make

    return add


def is_rule(path: str) -> bool:
    """Whether a path holds rules."""
    return path in (POLICY_FILE, SIGNERS_FILE, WORKFLOW, "console.toml") or path.endswith(".gitattributes")


def _home(crowd: Crowd, base: str) -> str:
    return MOVED if MOVED in crowd.store.trees[base] else REGISTRY


def _edited(crowd: Crowd, base: str, edit: Callable[[dict[str, Any], dict[str, Any]], object]) -> Files:
    path = _home(crowd, base)
    values = json.loads(crowd.store.read(base, path) or b"{}")
    if MODEL not in values.get("models", {}):
        return {}
    edit(values, values["models"][MODEL])
    return {path: (json.dumps(values, indent=2) + "\n").encode()}


def _registry(name: str, edit: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    TAMPERINGS[f"edits the registry: {name}"] = lambda crowd, base, _: _edited(crowd, base, edit)


_registry("active becomes shadow's", lambda _, model: model.update(active=model["shadow"]))
_registry("an event is dropped", lambda _, model: model["history"].pop(0))
_registry("an event is rewritten", lambda _, model: model["history"][0].update(by=STRANGER))
_registry("history reversed", lambda _, model: model["history"].reverse())
_registry("active without a digest", lambda _, model: model["active"].pop("model_sha256", None))
_registry("a model is added", lambda values, model: values["models"].update(spacing=dict(model)))
_registry("the model is renamed", lambda values, model: values["models"].update(other=values["models"].pop(MODEL)))
_registry("something beside the models", lambda values, _: values.update(note="x"))
_registry("active is emptied", lambda _, model: model.update(active=None))
_registry("written anew, the same", lambda *_: None)


@_named("writes a key of the registry twice")
def _twice(crowd: Crowd, base: str, _: str) -> Files:
    path = _home(crowd, base)
    raw = crowd.store.read(base, path) or b""
    return {path: raw.replace(b'"models": {', b'"models": {}, "models": {', 1)}


@_named("deletes the registry")
def _gone(crowd: Crowd, base: str, _: str) -> Files:
    return {_home(crowd, base): None}


@_named("renames the registry")
def _renamed(crowd: Crowd, base: str, _: str) -> Files:
    path = _home(crowd, base)
    return {path: None, "ml/registry/old.json": crowd.store.read(base, path) or b""}


@_named("makes the registry a link")
def _linked(crowd: Crowd, base: str, _: str) -> Files:
    path = _home(crowd, base)
    return {path: (LINK, b"own.json"), f"{path.rpartition('/')[0]}/own.json": crowd.store.read(base, path) or b""}


@_named("makes the registry a program")
def _program(crowd: Crowd, base: str, _: str) -> Files:
    path = _home(crowd, base)
    return {path: (PROGRAM, crowd.store.read(base, path) or b"")}


@_named("makes the policy's folder a link")
def _folder_link(crowd: Crowd, base: str, _: str) -> Files:
    return {_home(crowd, base).rpartition("/")[0]: (LINK, b"elsewhere")}


@_named("names an operator")
def _operator(crowd: Crowd, base: str, who: str) -> Files:
    return {_home(crowd, base).replace("models.json", "policy.toml"): f'[roles]\noperators = ["{who}"]\n'.encode()}


@_named("asks for unsigned approvals")
def _unsigned(crowd: Crowd, base: str, _: str) -> Files:
    path = _home(crowd, base).replace("models.json", "policy.toml")
    raw = (crowd.store.read(base, path) or b"").partition(b"[ack]")[0]
    return {path: raw + b"[ack]\napprovals = 2\n"}


@_named("deletes the policy")
def _no_policy(crowd: Crowd, base: str, _: str) -> Files:
    return {_home(crowd, base).replace("models.json", "policy.toml"): None}


@_named("allows a key")
def _signer(crowd: Crowd, base: str, who: str) -> Files:
    path = _home(crowd, base).replace("models.json", "allowed_signers")
    raw = crowd.store.read(base, path) or b""
    return {path: raw + f"{who} {crowd.public(STRANGER)}\n".encode()}


@_named("brings a console.toml")
def _console(crowd: Crowd, base: str, _: str) -> Files:
    raw = crowd.store.read(base, "console.toml") or b""
    return {"console.toml": raw + b'[prometheus]\nurl = "http://stranger.example"\nbearer_token_file = "/etc/token"\n'}


@_named("moves registry.path to their own")
def _moved(crowd: Crowd, base: str, _: str) -> Files:
    own = _edited(crowd, base, lambda _, model: model.update(active=model["shadow"] or model["staging"]))
    raw = next(iter(own.values()), b"{}")
    return {"console.toml": b'[registry]\npath = "own/models.json"\n', "own/models.json": raw}


@_named("deletes console.toml")
def _no_console(crowd: Crowd, base: str, _: str) -> Files:
    return {"console.toml": None} if "console.toml" in crowd.store.trees[base] else {}


def _attributes(folder: str) -> None:
    path = f"{folder}/.gitattributes" if folder else ".gitattributes"
    TAMPERINGS[f"writes {path}"] = lambda *_: {path: ATTRIBUTES}


for _where in ("", "artifacts", "artifacts/onnx", f"artifacts/onnx/{LIVE}", "ml/registry", "src"):
    _attributes(_where)


@_named("makes the workflow say yes")
def _workflow(*_: object) -> Files:
    return {WORKFLOW: b"on: push\njobs: {gate: {runs-on: x, steps: [{run: 'true'}]}}\n"}


@_named("deletes the workflow")
def _no_workflow(*_: object) -> Files:
    return {WORKFLOW: None}


@_named("adds a line to the archive")
def _archive(crowd: Crowd, base: str, _: str) -> Files:
    path = _home(crowd, base).replace("models.json", f"archive/{MODEL}.jsonl")
    return {path: (crowd.store.read(base, path) or b"") + b'{"action": "promote", "to_stage": "active"}\n'}


@_named("empties the archive")
def _no_archive(crowd: Crowd, base: str, _: str) -> Files:
    path = _home(crowd, base).replace("models.json", f"archive/{MODEL}.jsonl")
    return {path: b""} if path in crowd.store.trees[base] else {}


@_named("alters evidence")
def _evidence(crowd: Crowd, base: str, _: str) -> Files:
    found = [path for path in crowd.store.trees[base] if path.endswith("/evidence.json")]
    return {found[-1]: b"{}"} if found else {}


@_named("leaves evidence lying")
def _planted(crowd: Crowd, base: str, _: str) -> Files:
    return {f"ml/registry/evidence/{FRESH}/20260101T000000Z-promote/evidence.json": b"{}\n"}


def _folder_of(crowd: Crowd, base: str, stage: str) -> str:
    raw = crowd.store.read(base, _home(crowd, base))
    try:
        pointer = json.loads(raw or b"{}")["models"][MODEL].get(stage)
    except (ValueError, KeyError):
        return ""
    return str(pointer["artifact_dir"]) if pointer else ""


def _artifact(stage: str) -> None:
    def other_bytes(crowd: Crowd, base: str, _: str) -> Files:
        folder = _folder_of(crowd, base, stage)
        other = artifact_files(OLD if not folder.endswith((OLD, LIVE)) else SOAKED)
        return {f"{folder}/{path.rpartition('/')[2]}": bytes(raw) for path, raw in other.items()} if folder else {}  # type: ignore[arg-type]

    def golden(crowd: Crowd, base: str, _: str) -> Files:
        folder = _folder_of(crowd, base, stage)
        raw = crowd.store.read(base, f"{folder}/train_report.json")
        return {f"{folder}/train_report.json": raw + b"\n"} if raw else {}

    def program(crowd: Crowd, base: str, _: str) -> Files:
        folder = _folder_of(crowd, base, stage)
        raw = crowd.store.read(base, f"{folder}/model.onnx")
        return {f"{folder}/model.onnx": (PROGRAM, raw)} if raw else {}

    def link(crowd: Crowd, base: str, _: str) -> Files:
        folder = _folder_of(crowd, base, stage)
        return {folder: (LINK, OLD.encode())} if folder else {}

    def gone(crowd: Crowd, base: str, _: str) -> Files:
        folder = _folder_of(crowd, base, stage)
        return {path: None for path in crowd.store.trees[base] if folder and path.startswith(f"{folder}/")}

    def more(crowd: Crowd, base: str, _: str) -> Files:
        folder = _folder_of(crowd, base, stage)
        return {f"{folder}/more.bin": b"more"} if folder else {}

    ways = (
        ("replaces the bytes", other_bytes),
        ("appends to the report", golden),
        ("makes the model a program", program),
    )
    ways += (("makes the folder a link", link), ("deletes the files", gone), ("adds a file", more))
    for name, make in ways:
        TAMPERINGS[f"{name} of {stage}"] = make


for _stage in ("staging", "shadow", "active"):
    _artifact(_stage)


@_named("makes artifacts/ a link")
def _artifacts_link(*_: object) -> Files:
    return {"artifacts": (LINK, b"elsewhere")}


@_named("makes ml/ a link")
def _ml_link(*_: object) -> Files:
    return {"ml": (LINK, b"elsewhere")}


@_named("makes .gitattributes a link")
def _attributes_link(*_: object) -> Files:
    return {".gitattributes": (LINK, b"src/attributes"), "src/attributes": ATTRIBUTES}


@_named("makes an artifact a submodule")
def _submodule(*_: object) -> Files:
    return {f"artifacts/onnx/{LIVE}": (MODULE, b"elsewhere")}


@_named("replaces the bytes of an earlier active")
def _earlier(*_: object) -> Files:
    other = artifact_files(SOAKED)
    return {f"artifacts/onnx/{OLD}/{path.rpartition('/')[2]}": bytes(raw) for path, raw in other.items()}  # type: ignore[arg-type]


ON_WAY = (
    "replaces the bytes of staging",
    "appends to the report of staging",
    "adds a file of staging",
    "replaces the bytes of active",
    "writes .gitattributes",
    "brings a console.toml",
    "names an operator",
    "alters evidence",
    "leaves evidence lying",
    "makes the workflow say yes",
    "deletes the files of staging",
)
