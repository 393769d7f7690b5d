"""Where everything that belongs to a registry lives, derived from where the registry is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from ml.registry.paths import REGISTRY_PATH


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one registry, relative to the repository root."""

    registry: str = REGISTRY_PATH

    @property
    def folder(self) -> str:
        """The folder that holds the registry and what goes with it."""
        return str(PurePosixPath(self.registry).parent)

    @property
    def policy(self) -> str:
        """The rules that changes are judged by."""
        return f"{self.folder}/policy.toml"

    @property
    def signers(self) -> str:
        """Whose SSH keys may sign, in ssh-keygen's format."""
        return f"{self.folder}/allowed_signers"

    def archive(self, model: str) -> str:
        """A model's events beyond the newest fifty."""
        return f"{self.folder}/archive/{model}.jsonl"

    def evidence(self, artifact_id: str, name: str = "") -> str:
        """An artifact's evidence, or that of one change, named ``<time>-<action>``."""
        return f"{self.folder}/evidence/{artifact_id}/{name}".removesuffix("/")

    def governs(self, path: str) -> bool:
        """Whether a change to this path changes the registry, its rules, or what proves it; code beside it does not."""
        return path in (self.registry, self.policy, self.signers) or path.startswith(
            (f"{self.folder}/archive/", f"{self.folder}/evidence/")
        )
