"""The paths of a registry's files, derived from the registry's own path."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import PurePosixPath

from ml.errors import Usage
from ml.registry.schema import REGISTRY_PATH
from ml.text import visible

CONFIG_PATH = "console.toml"
LFS_SETTINGS = ".lfsconfig"


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
        return self._beside("policy.toml")

    @property
    def signers(self) -> str:
        """The list of SSH keys that may sign, in ssh-keygen's format."""
        return self._beside("allowed_signers")

    @property
    def config(self) -> str:
        """The settings that come with the repository; they name the registry's path."""
        return CONFIG_PATH

    @property
    def archives(self) -> str:
        """The folder of all archives."""
        return self._beside("archive")

    def archive(self, model: str) -> str:
        """A model's events beyond the newest fifty."""
        return f"{self.archives}/{model}.jsonl"

    def evidence(self, artifact_id: str, name: str = "") -> str:
        """An artifact's evidence, or that of one change, named ``<time>-<action>``."""
        return str(PurePosixPath(self._beside("evidence"), artifact_id, name))

    def _beside(self, name: str) -> str:
        """A path beside the registry, which may lie in the repository's root."""
        return str(PurePosixPath(self.registry).with_name(name))


def registry_path(config: bytes | None) -> str:
    """The ``registry.path`` of a tracked console.toml, empty where it names none.

    Raises:
        Usage: the file is no TOML, or the path leads out of the repository.
    """
    return _named(config, "path")


def artifact_base_of(config: bytes | None) -> str:
    """The ``registry.artifact_base`` of a tracked console.toml, empty where it names none; raises alike."""
    return _named(config, "artifact_base")


def _named(config: bytes | None, key: str) -> str:
    try:
        table = tomllib.loads((config or b"").decode("utf-8")).get("registry", {})
    except (ValueError, RecursionError) as error:
        raise Usage(
            f"{CONFIG_PATH} cannot be read: {visible(str(error), limit=120)}.", "Correct it by hand."
        ) from error
    value = table.get(key, "") if isinstance(table, dict) else ""
    parts = PurePosixPath(value).parts if isinstance(value, str) else ("..",)
    if ".." in parts or parts[:1] == ("/",):
        raise Usage(f"registry.{key} of {CONFIG_PATH} leads out of the repository.", "Name a path inside of it.")
    return str(PurePosixPath(value)) if value else ""
