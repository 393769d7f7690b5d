"""An operator's clone and a stranger who pushes to the same remote, for tests of trust in what came with it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import ROOT
from support.clones import Clones, Folder, make_clones
from support.gatehouse import FRESH, LIVE, OLD, POLICY, SOAKED, artifact_files, life

from console.verbs import run as verb
from ml.adapters.git_hooks import install_gate
from ml.adapters.processes import run
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

STRANGER = "stranger@example.com"
CHECKS = '[checks]\nunit_tests = ["python3", "-c", "print(\'2 passed\')"]\n'


@dataclass
class SharedRemote:
    """An operator's clone, and a stranger who pushes to the same remote."""

    clones: Clones
    home: Path
    capfd: pytest.CaptureFixture[str]

    @property
    def path(self) -> Path:
        return self.clones.operator.path

    def push(self, text: str | None, message: str = "A better configuration") -> None:
        """A stranger pushes a console.toml (``None``: removes it), and the operator pulls."""
        other = Folder(self.home / "stranger", self.home)
        if not other.path.exists():
            self.clones.another("stranger", email=STRANGER)
        other.git("pull", "-q", "--ff-only")
        if text is None:
            other.git("rm", "-q", "console.toml")
        other.commit(message, {} if text is None else {"console.toml": text})
        other.git("push", "-q", "origin", "main")
        self.clones.operator.git("pull", "-q", "--ff-only")

    def say(self, *argv: str) -> tuple[int, str, str]:
        """One verb as a person types it; exit code, stdout, stderr."""
        self.capfd.readouterr()
        code = verb(["--repo", str(self.path), *argv])
        said = self.capfd.readouterr()
        return code, said.out, said.err

    def document(self, *argv: str) -> tuple[int, dict[str, Any]]:
        """One verb with --json; exit code and document."""
        code, out, _ = self.say(*argv, "--json")
        found: dict[str, Any] = json.loads(out)
        return code, found

    def own(self, text: str) -> None:
        """The operator's own configuration file."""
        file = self.home / ".config" / "mlconsole" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def guarded(home: Path, capfd: pytest.CaptureFixture[str]) -> SharedRemote:
    """An operator's clone, in which FRESH stands in staging, of a remote that is guarded by the hook."""
    files: dict[str, str | bytes] = {
        REGISTRY_PATH: life(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5), staged=True).raw,
        POLICY_PATH: POLICY + CHECKS,
    }
    for name in (OLD, LIVE, SOAKED, FRESH):
        files |= artifact_files(name)
    clones = make_clones(home, files)
    install_gate(clones.remote.path, run=run, python=Path(sys.executable), base="main", path=ROOT)
    return SharedRemote(clones, home, capfd)
