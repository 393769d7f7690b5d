"""A file whose object is lost is an error with a remedy, never "no such file": for every verb, in a real repository."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clones import OPERATOR, Clones, Folder, make_clones
from support.gatehouse import FRESH, LIVE, MODEL, OLD, POLICY, SECOND, SIGNERS, SOAKED, artifact_files, life
from support.shell import Shell

from ml.adapters import processes
from ml.adapters.git import open_repository
from ml.adapters.git_first import glance
from ml.errors import Invalid, Unavailable
from ml.promotion.evidence import pinned
from ml.promotion.paths import Places
from ml.registry.codec import parse
from ml.registry.events import with_archive
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

CHECKS = '[checks]\nunit_tests = ["python3", "-c", "print(\'2 passed\')"]\n'
MANIFEST = f"artifacts/onnx/{OLD}/manifest.json"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
LOST = "missing|damaged"


def _gone(path: Path) -> None:
    path.unlink()


def _corrupted(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[2:] = bytes(255 - byte for byte in raw[2:])
    path.unlink()  # a local clone shares its files with the remote
    path.write_bytes(raw)


def _truncated(path: Path) -> None:
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[: len(raw) // 2])


def _emptied(path: Path) -> None:
    path.unlink()
    path.touch()


DAMAGES = (_gone, _corrupted, _truncated, _emptied)


def _object(folder: Folder, spec: str) -> Path:
    sha = folder.git("rev-parse", spec)
    return folder.path / ".git/objects" / sha[:2] / sha[2:]


def _files() -> dict[str, str | bytes]:
    early = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    files: dict[str, str | bytes] = {REGISTRY_PATH: life(early, staged=True).raw, POLICY_PATH: POLICY + CHECKS}
    files[SIGNERS] = f"{OPERATOR},{SECOND} {KEY}\n"
    for name in (OLD, LIVE, SOAKED, FRESH):
        files |= artifact_files(name)
    return files


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    clones = make_clones(tmp_path, _files())
    monkeypatch.chdir(clones.operator.path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Shell(clones, capfd)


# --- the readers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("path", [REGISTRY_PATH, POLICY_PATH, SIGNERS, MANIFEST])
def test_absent_and_lost_are_two_answers(clones: Clones, damage: Callable[[Path], None], path: str) -> None:
    head = clones.operator.commit("everything", _files())
    damage(_object(clones.operator, f"{head}:{path}"))
    objects = open_repository(clones.operator.path).objects
    with objects.held() as held:
        for reader in (objects, held):
            assert reader.read(head, "no/such/file") is None
            assert reader.blob_id(head, "no/such/file") == ""
            with pytest.raises(Invalid, match=LOST) as told:
                reader.read(head, path)
            assert "git fsck" in told.value.remedy
            assert "git fetch --refetch" in told.value.remedy
    entry = next(each for each in objects.tree(head) if each.path == path)
    with pytest.raises(Invalid, match=LOST):
        objects.content(entry)


@pytest.mark.parametrize("folder", ["", "ml", "ml/registry"])
def test_a_lost_folder_is_no_empty_one(clones: Clones, folder: str) -> None:
    head = clones.operator.commit("everything", _files())
    _gone(_object(clones.operator, f"{head}:{folder}" if folder else f"{head}^{{tree}}"))
    objects = open_repository(clones.operator.path).objects
    with objects.held() as held:
        for reader in (objects, held):
            with pytest.raises((Invalid, Unavailable)):
                reader.read(head, REGISTRY_PATH)
            with pytest.raises((Invalid, Unavailable)):
                reader.tree(head, "ml/registry")


def test_a_commit_that_is_not_here_holds_no_absent_file(clones: Clones) -> None:
    with pytest.raises(Unavailable, match="does not have the commit"):
        open_repository(clones.operator.path).objects.read("1" * 40, REGISTRY_PATH)


def test_a_folder_at_a_files_place_is_no_file_and_not_lost(clones: Clones) -> None:
    head = clones.operator.commit("everything", _files())
    assert open_repository(clones.operator.path).objects.read(head, "ml/registry") is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_first_frame_says_lost_and_not_no_registry(clones: Clones, damage: Callable[[Path], None]) -> None:
    folder = clones.operator
    empty = glance(processes.run, folder.path, "main", REGISTRY_PATH)
    assert "has no registry" in empty.problem
    folder.commit("everything", _files())
    damage(_object(folder, f"main:{REGISTRY_PATH}"))
    found = glance(processes.run, folder.path, "main", REGISTRY_PATH)
    assert "has no registry" not in found.problem
    assert "git fetch --refetch" in found.problem


# --- the verbs -----------------------------------------------------------------------------------------------------

ASKS = {
    "status": ("status",),
    "check": ("check",),
    "plan": ("promote", MODEL, "--to", "shadow", "--reason", "to see", "--dry-run"),
    "rollback": ("rollback", MODEL, "--to", OLD, "--reason", "to see", "--dry-run"),
    "init": ("init",),
}


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        *((REGISTRY_PATH, ask) for ask in ASKS if ask != "init"),  # it looks for a policy, and finds one
        *((POLICY_PATH, ask) for ask in ASKS),
        (MANIFEST, "rollback"),
        (f"artifacts/onnx/{FRESH}/manifest.json", "check"),
        (f"artifacts/onnx/{FRESH}/manifest.json", "plan"),
    ],
)
def test_a_verb_names_the_lost_object_and_the_remedy(shell: Shell, path: str, ask: str) -> None:
    folder, refs = shell.clones.operator, shell.refs()
    _gone(_object(folder, f"origin/main:{path}"))
    code, out, err = shell.run(*ASKS.get(ask, (ask,)))
    said = " ".join((out + err).split())
    assert code != 0, said
    assert "is missing." in said
    assert "git fsck" in said
    for folded in ("has no registry", "no policy", "no such file", "is not in the commit"):
        assert folded not in said
    assert shell.refs() == refs


def test_lost_signers_are_not_taken_for_none(shell: Shell) -> None:
    folder = shell.clones.operator
    folder.commit("Sign", {POLICY_PATH: POLICY + CHECKS + "[ack]\nsigned = true\n"})
    folder.git("push", "-q", "origin", "main")
    assert "proven by signatures" in shell.run("doctor")[1]
    _gone(_object(folder, f"origin/main:{SIGNERS}"))
    code, out, _ = shell.run("doctor")
    assert code != 0
    assert "is missing." in " ".join(out.split()), out
    assert "has no key" not in out


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_remedy_brings_a_lost_registry_back(shell: Shell, damage: Callable[[Path], None]) -> None:
    folder = shell.clones.operator
    file = _object(folder, f"origin/main:{REGISTRY_PATH}")
    damage(file)
    assert shell.run("check")[0] == 1
    file.unlink(missing_ok=True)  # what git fsck names as corrupt
    folder.git("fetch", "-q", "--refetch")
    assert shell.run("check")[0] == 0


def test_lost_evidence_is_not_taken_for_none(shell: Shell) -> None:
    """Evidence pins an artifact's files; without it, a change of them would go unseen."""
    code, done = shell.document("promote", MODEL, "--to", "shadow", "--reason", "go")
    assert code == 0
    assert shell.document("land", done["branch"])[0] == 0
    folder = shell.clones.operator
    (path,) = [
        line
        for line in folder.git("ls-tree", "-r", "--name-only", "origin/main").split("\n")
        if "evidence.json" in line
    ]
    objects, head = open_repository(folder.path).objects, folder.git("rev-parse", "origin/main")
    model = parse(objects.read(head, REGISTRY_PATH) or b"").registry.models[MODEL]
    events = with_archive(model, b"").history
    assert "model.onnx" in pinned(objects, head, Places(), events, FRESH)
    _gone(_object(folder, f"origin/main:{path}"))
    with pytest.raises(Invalid, match=LOST):
        pinned(objects, head, Places(), events, FRESH)
    code, out, err = shell.run("check")
    assert code == 1, out
    assert "is missing" in " ".join((out + err).split())


def test_a_partial_clone_fetches_what_it_lacks(clones: Clones, tmp_path: Path) -> None:
    files = _files()
    clones.operator.commit("everything", files)
    clones.operator.git("push", "-q", "origin", "main")
    clones.remote.git("config", "uploadpack.allowFilter", "true")
    partial = Folder(tmp_path / "partial", tmp_path)
    address = f"file://{clones.remote.path}"
    Folder(tmp_path, tmp_path).git("clone", "-q", "--no-checkout", "--filter=blob:none", address, partial.path)
    head = partial.git("rev-parse", "HEAD")
    objects = open_repository(partial.path).objects
    assert objects.read(head, "no/such/file") is None
    assert objects.read(head, REGISTRY_PATH) == files[REGISTRY_PATH]
    with objects.held() as held:
        assert held.read(head, POLICY_PATH) == (POLICY + CHECKS).encode()
    assert glance(processes.run, partial.path, "origin/main", REGISTRY_PATH).problem == ""
    clones.remote.path.rename(tmp_path / "away")
    with pytest.raises((Invalid, Unavailable)):
        objects.read(head, SIGNERS)
