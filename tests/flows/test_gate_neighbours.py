"""Neighbours of known attacks: merges that alter what runs the gate, files that nobody verified, floods of folders.

A stranger tries each with a real push to a bare repository with the real hook.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.artifacts import ROOT
from support.clones import Folder
from support.gatehouse import FRESH, LIVE, MODEL, SOAKED, STRANGER, Gatehouse, artifact_files
from support.landings import commit_object, merged, with_entry
from test_gate_governs import ONLY_OPERATORS, WORKFLOW, by
from test_gate_landing import refusal, taken

from ml.artifacts.manifest import parse_manifest
from ml.contract import FEATURES, FREE, Contract, Input, Kind, Output
from ml.registry.schema import REGISTRY_PATH

SHIPPED = (ROOT / WORKFLOW).read_text()
YES = SHIPPED.replace('gate/bin/mlconsole" "$@"', 'gate/bin/mlconsole" "$@" || true')
SPOOF = b"on: pull_request\njobs: {gate: {runs-on: x, steps: []}}\n"
FOLDER = f"artifacts/onnx/{FRESH}"

# --- what runs the gate, altered by the merge alone -------------------------------------------------------


def guarded(house: Gatehouse, workflow: str = SHIPPED, **more: str) -> str:
    """A base with a workflow that runs the gate; ``more`` are files by name, with ``__`` for a slash."""
    return house.base({WORKFLOW: workflow, **{name.replace("__", "/"): text for name, text in more.items()}})


@pytest.mark.parametrize(
    "files",
    [{WORKFLOW: YES.encode()}, {".github/workflows/x.yml": SPOOF}, {".github/workflows/x.yml": SHIPPED.encode()}],
)
@pytest.mark.parametrize("base_first", [True, False])
def test_no_merge_alters_what_runs_the_gate(
    house: Gatehouse, server: Folder, files: dict[str, bytes], base_first: bool
) -> None:
    base = guarded(house)
    side = by(house, STRANGER, {"engine.py": b"x = 1\n"}, base)
    tree = by(house, STRANGER, files, side)
    joined = commit_object(house, tree, (base, side) if base_first else (side, base), by=STRANGER)
    head = joined if base_first else commit_object(house, joined, (base, joined), by=STRANGER)
    assert "a merge commit changes the registry" in refusal(house, server, head, base)


def test_no_merge_deletes_what_runs_the_gate(house: Gatehouse, server: Folder) -> None:
    base = guarded(house)
    side = by(house, STRANGER, {"engine.py": b"x = 1\n"}, base)
    head = commit_object(house, house.main, (base, side), by=STRANGER)
    assert "a merge commit changes the registry" in refusal(house, server, head, base)


def test_no_merge_brings_an_older_workflow_back(house: Gatehouse, server: Folder) -> None:
    old = guarded(house, YES)
    base = house.base({WORKFLOW: SHIPPED}, on=old)
    side = by(house, STRANGER, {"engine.py": b"x = 1\n"}, old)
    for parents in ((base, side), (base, commit_object(house, side, (side, base), by=STRANGER))):
        head = commit_object(house, side, parents, by=STRANGER)
        assert "a merge commit changes the registry" in refusal(house, server, head, base)


def test_an_honest_merge_beside_a_workflow_is_taken(house: Gatehouse, server: Folder) -> None:
    old = guarded(house, YES)
    base = house.base({WORKFLOW: SHIPPED, ".github/workflows/docs.yml": "jobs:\n  docs: {}\n"}, on=old)
    side = by(house, STRANGER, {".github/workflows/lint.yml": b"jobs:\n  lint: {}\n"}, old)
    taken(house, server, merged(house, base, side), base)


# --- the steps of the repository's own, wherever they lie -------------------------------------------------

STEPS = "jobs:\n  gate:\n    steps:\n      - uses: ./{}\n      - run: mlconsole gate --base A\n"


@pytest.mark.parametrize(
    ("used", "path"),
    [
        ("ci/prepare", "ci/prepare/action.yml"),
        ("ci/prepare", "ci/prepare/run.sh"),
        ("ci/prepare", "tools/setup/action.yml"),
        ("", "action.yml"),
    ],
)
@pytest.mark.parametrize("home", [".github", ".forgejo", ".gitea"])
def test_a_step_of_the_gates_workflow_is_governed_wherever_it_lies(
    house: Gatehouse, server: Folder, home: str, used: str, path: str
) -> None:
    inner = "runs:\n  steps:\n    - uses: ./tools/setup\n"
    base = house.base({f"{home}/workflows/gate.yml": STEPS.format(used), "ci/prepare/action.yml": inner})
    assert ONLY_OPERATORS in refusal(house, server, by(house, STRANGER, {path: b"runs: {}\n"}, base), base)
    taken(house, server, by(house, STRANGER, {"ci/other/action.yml": b"runs: {}\n"}, base), base)


@pytest.mark.parametrize(
    "spelled",
    [
        b"jobs:\n    gate:\n        steps: []\n",
        b"jobs: {gate: {steps: []}}\n",
        b'jobs:\n  "gate" : {}\n',
        b"jobs:\n  x:\n    name: gate\n",
        b"jobs:\n  x: {'name': 'gate', steps: []}\n",
        b"jobs:\n  x:\n    name: >-\n      gate\n",
        b"jobs:\n  ? gate\n  : {}\n",
    ],
)
def test_no_workflow_answers_in_the_name_of_the_gate_however_it_is_written(
    house: Gatehouse, server: Folder, spelled: bytes
) -> None:
    base = guarded(house)
    head = by(house, STRANGER, {".github/workflows/x.yml": spelled}, base)
    assert ONLY_OPERATORS in refusal(house, server, head, base)


# --- files of an artifact that lay there before it was staged, and that nobody verified -------------------


@pytest.mark.parametrize(
    ("mode", "name", "why"),
    [
        ("160000", "weights", "weights is a submodule, and nobody verified its files"),
        ("120000", "weights", "artifact: "),
        ("100644", "MODEL.onnx", "takes the place of another file of the artifact"),
        ("100644", "n" * 300, "File name too long"),
    ],
)
def test_what_lay_in_the_folder_before_is_verified_or_refused(
    house: Gatehouse, server: Folder, mode: str, name: str, why: str
) -> None:
    files = [(path, bytes(content)) for path, content in artifact_files(FRESH).items()]  # type: ignore[arg-type]
    plain = house.commit(house.main, files, "The artifact", by=STRANGER)
    blob = house.main if mode == "160000" else house.repository.objects.blob_id(house.main, "README.md")
    base = with_entry(house, plain, mode, blob, f"{FOLDER}/{name}", by=STRANGER)
    taken(house, server, base)
    assert why in refusal(house, server, house.made(house.stage(base)), base)


def test_no_contract_of_something_staged_holds_up_a_rollback(house: Gatehouse, server: Folder) -> None:
    """A model without rules: what a developer put into shadow since states a contract that the old artifact breaks."""
    theirs = Contract(
        inputs=(Input("customer", "FP64", (FREE, len(FEATURES))),),
        outputs=(Output(name="chance", datatype="FP32", kind=Kind.SCALAR),),
        features=FEATURES,
    )
    path = f"artifacts/onnx/{SOAKED}/manifest.json"
    manifest = json.dumps(json.loads(house.raw(house.main, path)) | {"contract": theirs.document()})
    assert parse_manifest(manifest.encode()).contract == theirs
    registry = house.raw(house.main).replace(f'"{MODEL}"'.encode(), b'"sizes"')
    base = house.base({REGISTRY_PATH: registry, path: manifest})
    taken(house, server, house.made(house.rollback(base, model="sizes")), base)


# --- floods ------------------------------------------------------------------------------------------------


def test_folders_that_name_more_files_than_anybody_could_list(house: Gatehouse, server: Folder) -> None:
    """Each folder holds the one below ten times: a push of some kilobytes with 10^12 files."""
    operator = house.clones.operator
    blob = house.repository.objects.blob_id(house.main, "README.md")
    tree = operator.git("mktree", stdin="".join(f"100644 blob {blob}\t{name}\n" for name in range(10)))
    for _ in range(11):
        tree = operator.git("mktree", stdin="".join(f"040000 tree {tree}\t{name}\n" for name in range(10)))
    top = operator.git("ls-tree", house.main)
    root = operator.git("mktree", stdin=f"{top}\n040000 tree {tree}\tflood\n")
    text = operator.git("cat-file", "commit", commit_object(house, house.main, (house.main,), by=STRANGER))
    rest = text.partition("\n")[2]
    head = operator.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=f"tree {root}\n{rest}\n")
    assert "more files and folders to look at than one judgement can" in refusal(house, server, head)


# --- the server's own state --------------------------------------------------------------------------------


def test_a_graft_on_the_server_hides_no_commit(house: Gatehouse, server: Folder) -> None:
    """The tree of the head is well; the commit between replaced the bytes of what trades."""
    path = f"artifacts/onnx/{LIVE}/model.onnx"
    between = by(house, STRANGER, {path: b"other weights"})
    head = commit_object(house, house.main, (between,), by=STRANGER)
    Path(server.path, "info").mkdir(exist_ok=True)
    Path(server.path, "info", "grafts").write_text(f"{head} {house.main}\n")
    assert "belongs to an artifact that the registry names" in refusal(house, server, head)
