"""Paths of one demo. All lie in one folder, so removing the folder removes the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import console

_SOURCE = Path(console.__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one demo below its ``root``."""

    root: Path

    @property
    def remote(self) -> Path:
        """The bare remote. Its main branch is the source of truth."""
        return self.root / "remote.git"

    @property
    def clone(self) -> Path:
        """The operator's clone, in which the console runs."""
        return self.root / "clone"

    @property
    def deployment(self) -> Path:
        """The checkout that follows the remote's main branch. Engines serve from it."""
        return self.root / "deploy"

    @property
    def deployed_commit(self) -> Path:
        """The file that holds the deployed commit, for the engines."""
        return self.root / "run" / "deployed_commit"

    @property
    def kill_file(self) -> Path:
        """The kill file, at its default place in the clone."""
        return self.clone / "var" / "kill_switch.env"

    @property
    def prometheus(self) -> Path:
        """Configuration, alert rules, targets and data of Prometheus."""
        return self.root / "prometheus"

    @property
    def logs(self) -> Path:
        """The logs of all processes of the demo."""
        return self.root / "logs"

    @property
    def state(self) -> Path:
        """The operator's ``XDG_STATE_HOME``: journal, audit log, drafts."""
        return self.root / "state"

    @property
    def shell(self) -> Path:
        """The file that a second shell sources to use the same clone and identity as the console."""
        return self.root / "shell"

    def port_file(self, engine: str) -> Path:
        """The file in which an engine writes its metrics port."""
        return self.root / "run" / f"{engine}.port"

    def fault_file(self, engine: str) -> Path:
        """The file in which a drill writes an engine's fault."""
        return self.root / "run" / f"{engine}.fault.json"

    def counters_file(self, engine: str) -> Path:
        """The file with the counters that an engine continues after the history."""
        return self.root / "run" / f"{engine}.counters.json"

    def make(self) -> None:
        """Create the folders that the processes expect."""
        for folder in (self.root, self.root / "run", self.logs, self.state, self.prometheus / "targets"):
            folder.mkdir(parents=True, exist_ok=True)


def shipped(path: str) -> Path:
    """Return a shipped file outside all packages: beside the source, or inside an installed ``console``."""
    beside = _SOURCE / path
    return beside if beside.exists() else Path(console.__file__).resolve().parent / "shipped" / path


def source_path() -> Path:
    """Return the ``PYTHONPATH`` that makes ``python -m scripts.…`` work in every folder."""
    return _SOURCE
