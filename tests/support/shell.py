"""A person at a shell in an operator's clone: verbs as they are typed, with their exit codes and answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.clones import Clones

from console.verbs import run


@dataclass
class Shell:
    """A person at a shell in the operator's clone."""

    clones: Clones
    capfd: pytest.CaptureFixture[str]

    @property
    def path(self) -> Path:
        """The operator's clone."""
        return self.clones.operator.path

    def run(self, *argv: str) -> tuple[int, str, str]:
        """One command; returns exit code, stdout and stderr."""
        self.capfd.readouterr()
        code = run([*argv])
        seen = self.capfd.readouterr()
        return code, seen.out, seen.err

    def document(self, *argv: str) -> tuple[int, dict[str, Any]]:
        """One command with --json; returns exit code and the document."""
        code, out, err = self.run(*argv, "--json")
        assert out, err
        found = json.loads(out)
        assert found["schema_version"] == "v1"
        assert found["as_of"].endswith("Z")
        return code, found

    def refs(self) -> str:
        """Every ref of clone and remote: what bad input must not move."""
        listing = ("for-each-ref", "--format=%(refname) %(objectname)")
        return self.clones.operator.git(*listing) + self.clones.remote.git(*listing)
