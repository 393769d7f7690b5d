"""Where everything of one demo lies: one folder, so that removing it removes the demo."""

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
        """The bare remote, whose main branch is the truth."""
        return self.root / "remote.git"

    @property
    def clone(self) -> Path:
        """The operator's clone, in which the console runs."""
        return self.root / "clone"

    @property
    def deployment(self) -> Path:
        """The checkout that follows the remote's main branch and that engines serve from."""
        return self.root / "deploy"

    @property
    def deployed_commit(self) -> Path:
        """The file that tells engines which commit is deployed."""
        return self.root / "run" / "deployed_commit"

    @property
    def kill_file(self) -> Path:
        """The env file of the kill switch, at its default place in the clone."""
        return self.clone / "var" / "kill_switch.env"

    @property
    def prometheus(self) -> Path:
        """Configuration, alert rules, targets and data of Prometheus."""
        return self.root / "prometheus"

    @property
    def logs(self) -> Path:
        """What every process of the demo said."""
        return self.root / "logs"

    @property
    def state(self) -> Path:
        """The operator's ``XDG_STATE_HOME``: journal, audit log, drafts."""
        return self.root / "state"

    @property
    def shell(self) -> Path:
        """What a shell beside the console reads to be where and who the console is."""
        return self.root / "shell"

    def port_file(self, engine: str) -> Path:
        """Where an engine writes the port of its metrics."""
        return self.root / "run" / f"{engine}.port"

    def fault_file(self, engine: str) -> Path:
        """Where a drill writes what an engine suffers from."""
        return self.root / "run" / f"{engine}.fault.json"

    def counters_file(self, engine: str) -> Path:
        """Where the history leaves the counters that an engine continues from."""
        return self.root / "run" / f"{engine}.counters.json"

    def make(self) -> None:
        """Create the folders that processes expect."""
        for folder in (self.root, self.root / "run", self.logs, self.state, self.prometheus / "targets"):
            folder.mkdir(parents=True, exist_ok=True)


def shipped(path: str) -> Path:
    """A file or folder of ours that belongs to no package: beside the source, or inside an installed ``console``."""
    beside = _SOURCE / path
    return beside if beside.exists() else Path(console.__file__).resolve().parent / "shipped" / path


def source_path() -> Path:
    """What ``PYTHONPATH`` must hold so that ``python -m scripts.…`` works in any folder."""
    return _SOURCE
