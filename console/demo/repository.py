"""Repositories of the demo: a bare remote with nine days of history, the operator's clone, and the deployment."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import ml
from console.demo.engines import BRANCH, deploy
from console.demo.layout import Layout, shipped, source_path
from console.demo.scene import ARTIFACTS, MOVES, OPERATOR, Move, Step, policy, settings, steps
from console.paths import state_of
from console.settings import CONFIG_NAME
from console.trust import Record, standing, write_record
from ml.adapters.git_hooks import install_gate
from ml.adapters.git_runner import GitRunner
from ml.adapters.processes import run
from ml.artifacts.manifest import MANIFEST_FILE, feature_order_hash, parse_manifest
from ml.clock import SystemClock, format_utc, parse_utc
from ml.registry.schema import ARTIFACTS_PATH, POLICY_PATH, REGISTRY_PATH, Pointer

_SEED = Path(__file__).parent / "seed"
_DASHBOARDS = Path(ml.__file__).parent / "monitoring" / "grafana" / "dashboards"


def make_repositories(
    layout: Layout, now: datetime, url: str, moves: Sequence[Move] = MOVES
) -> tuple[tuple[Step, str], ...]:
    """Create remote, clone and deployment. Returns every step of the past with its commit, oldest first.

    Raises:
        ConsoleError: git cannot, or a shipped artifact is not what its manifest says.
    """
    past = tuple(steps(now, {artifact_id: _pointer(artifact_id) for artifact_id in ARTIFACTS}, moves))
    here = GitRunner(layout.root, run)
    here("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(layout.remote))
    remote = GitRunner(layout.remote, run)
    remote("fast-import", "--quiet", "--done", stdin=b"".join(_stream(past, url)))
    install_gate(layout.remote, run=run, python=Path(sys.executable), base=BRANCH, path=source_path())
    for folder in (layout.clone, layout.deployment):
        here("clone", "--quiet", str(layout.remote), str(folder))
    clone = GitRunner(layout.clone, run)
    for key, value in (("user.email", OPERATOR), ("user.name", "Demo Operator"), ("commit.gpgsign", "false")):
        clone("config", key, value)
    _trust_ours(layout, clone, url)
    deploy(layout)
    commits = remote("rev-list", "--reverse", BRANCH).decode("ascii").split()
    return tuple(zip(past, commits, strict=True))


def _trust_ours(layout: Layout, clone: GitRunner, url: str) -> None:
    """Trust the clone's console.toml while it holds exactly the content that this demo wrote."""
    state = state_of(layout.clone, {"XDG_STATE_HOME": str(layout.state)})
    here = standing(layout.clone / CONFIG_NAME, layout.clone, state, default=True)
    if here.content == settings(url).encode():
        commit = clone("rev-parse", "HEAD").decode("ascii").strip()
        at = format_utc(SystemClock().now())
        write_record(here, Record(here.content, at, "mlconsole demo", "demo", commit, commit))


def _pointer(artifact_id: str) -> Pointer:
    manifest = parse_manifest((_artifact(artifact_id) / MANIFEST_FILE).read_bytes())
    return Pointer(
        artifact_id=artifact_id,
        artifact_dir=f"{ARTIFACTS_PATH}/{artifact_id}",
        model_sha256=manifest.model_sha256,
        git_sha=manifest.git_sha,
        dataset_id=manifest.dataset_id,
        created_at_utc=parse_utc(manifest.created_at_utc or manifest.created_at),
        notes=manifest.notes,
        feature_order_hash=feature_order_hash(manifest.features),
    )


def _artifact(artifact_id: str) -> Path:
    return shipped(f"{ARTIFACTS_PATH}/{artifact_id}")


def _stream(past: tuple[Step, ...], url: str) -> Iterator[bytes]:
    """Return the whole history for ``git fast-import``, with committer dates in the past."""
    there: set[str] = set()
    for step in past:
        stamp = f"{step.by.partition('@')[0].title()} <{step.by}> {int(step.at.timestamp())} +0000"
        yield f"commit refs/heads/{BRANCH}\ncommitter {stamp}\n".encode() + _data(step.message.encode())
        files = {REGISTRY_PATH: step.registry}
        if not there:
            files |= _founding_files(url)
        if step.artifact_id not in there:
            files |= _files(_artifact(step.artifact_id), f"{ARTIFACTS_PATH}/{step.artifact_id}")
        there.add(step.artifact_id)
        for path, content in files.items():
            yield f"M 100644 inline {path}\n".encode() + _data(content)
    yield b"done\n"


def _founding_files(url: str) -> dict[str, bytes]:
    runbook = shipped("docs/RUNBOOK_19_ML_MODEL_PROMOTION.md")
    texts = {POLICY_PATH: policy(), CONFIG_NAME: settings(url), ".gitignore": "__pycache__/\n/var/\n"}
    return {
        **{path: text.encode() for path, text in texts.items()},
        f"docs/{runbook.name}": runbook.read_bytes(),
        **_files(_DASHBOARDS, "grafana/dashboards"),  # the runbook's links lead here
        **_files(_SEED, ""),
    }


def _files(folder: Path, into: str) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(Path(into, path.relative_to(folder))): path.read_bytes() for path in paths}


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
