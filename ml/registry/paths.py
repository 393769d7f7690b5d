"""Where the registry lives in a repository; every path is relative to the repository root, with ``/``."""

from __future__ import annotations

from pathlib import PurePosixPath

REGISTRY_PATH = "ml/registry/models.json"
POLICY_PATH = "ml/registry/policy.toml"
ARTIFACTS_PATH = "artifacts/onnx"

MAX_HISTORY = 50
"""Most events that the engine accepts in a model's history; older ones move to `archive_path`."""


def archive_path(model: str) -> str:
    """The JSON Lines file that keeps a model's events beyond the newest `MAX_HISTORY`, oldest first."""
    return f"ml/registry/archive/{model}.jsonl"


def located(artifact_dir: str, artifact_base: str) -> str:
    """A pointer's directory from the repository root; ``artifact_base`` is ``.`` or a folder below the root."""
    return str(PurePosixPath(artifact_base, artifact_dir))


def plain_directory(artifact_dir: str) -> str:
    """A pointer's directory in its one form, without ``./`` before it or ``/`` behind it."""
    return str(PurePosixPath(artifact_dir))
