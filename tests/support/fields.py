"""Repositories as they are found in the field, with a model's life in them, and the console's verbs typed there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.clones import Clones, Folder, make_clones
from support.gatehouse import FRESH, LIVE, MODEL, OLD, POLICY, SOAKED, artifact_files, life

from console.verbs import run
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

MONTH_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
HERE = f"artifacts/onnx/{FRESH}"


@dataclass
class Field:
    """A remote, an operator's clone, and the console on a clone."""

    clones: Clones
    home: Path
    capfd: pytest.CaptureFixture[str]

    @property
    def operator(self) -> Folder:
        return self.clones.operator

    def say(self, *argv: str, at: Folder | None = None) -> tuple[int, str, str]:
        """One verb as a person types it; exit code, stdout, stderr."""
        self.capfd.readouterr()
        code = run(["--repo", str((at or self.operator).path), *argv])
        said = self.capfd.readouterr()
        return code, said.out, said.err

    def document(self, *argv: str, at: Folder | None = None) -> tuple[int, dict[str, Any]]:
        """One verb with --json; exit code and document."""
        code, out, err = self.say(*argv, "--json", at=at)
        assert out, err
        found: dict[str, Any] = json.loads(out)
        return code, found

    def done(self, *argv: str, at: Folder | None = None) -> dict[str, Any]:
        """One change that must succeed; its document."""
        code, found = self.document(*argv, at=at)
        assert code == 0, found
        return found

    def refused(self, *argv: str, at: Folder | None = None) -> str:
        """One verb that must be refused, without any ref moved; its sentences."""
        folder = at or self.operator
        before = (folder.git("for-each-ref"), self.clones.remote.git("for-each-ref"))
        code, out, err = self.say(*argv, at=at)
        assert code != 0, out
        assert (folder.git("for-each-ref"), self.clones.remote.git("for-each-ref")) == before
        return out + err

    def gate(self, branch: str, at: Folder | None = None) -> tuple[int, dict[str, str]]:
        """The gate over a pushed branch; exit code, and the closed lines by name."""
        (at or self.operator).git("fetch", "-q", "origin")
        code, found = self.document("gate", "--base", "origin/main", "--head", f"origin/{branch}", at=at)
        return code, {gate["name"]: gate["why"] for gate in found["gates"] if gate["verdict"] not in ("PASS", "WAIVED")}

    def own(self, text: str) -> None:
        """The operator's own configuration, which needs no trust."""
        file = self.home / ".config" / "mlconsole" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def stage(self, *more: str, at: Folder | None = None) -> tuple[str, ...]:
        """Put FRESH into the working tree; the words that stage it."""
        for path, content in artifact_files(FRESH).items():
            (at or self.operator).write(path, content)
        return ("stage", HERE, "--model", MODEL, "--reason", "a new one", *more)


ROLLBACK = ("rollback", MODEL, "--reason", "EMERGENCY: it breaches")
MakeField = Callable[..., Field]


def make_field(
    home: Path, capfd: pytest.CaptureFixture[str], files: dict[str, str | bytes] | None = None, policy: str = ""
) -> Field:
    """A field whose ``main`` holds `life` (a month ago), its artifacts, a policy, and other files over them."""
    held: dict[str, str | bytes] = {REGISTRY_PATH: life(MONTH_AGO).raw, POLICY_PATH: POLICY + policy}
    for name in (OLD, LIVE, SOAKED):
        held |= artifact_files(name)
    return Field(make_clones(home, held | (files or {})), home, capfd)
