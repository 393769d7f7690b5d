"""What this repository holds true of its registry: the gate before shadow runs it, on a clean export."""

from __future__ import annotations

import hashlib
import json
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def pointers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pointer that a stage holds now, with the place where it stands."""
    registry = json.loads((ROOT / "ml/registry/models.json").read_text("utf-8"))
    for name, model in registry["models"].items():
        for stage in ("staging", "shadow", "active"):
            if model.get(stage):
                yield f"{name}.{stage}", model[stage]


def digest(path: Path) -> str:
    """A file's SHA-256, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class RegistryTest(unittest.TestCase):
    """The registry names artifacts that are here and unchanged."""

    def test_every_pointer_leads_to_its_model(self) -> None:
        """The digest in the registry is the digest of the file."""
        found = list(pointers())
        assert found, "no model stands in any stage"
        for where, pointer in found:
            with self.subTest(where):
                assert digest(ROOT / pointer["artifact_dir"] / "model.onnx") == pointer["model_sha256"]

    def test_artifacts_agree_with_their_manifests(self) -> None:
        """Every file that a manifest lists is what it says."""
        for manifest in sorted((ROOT / "artifacts/onnx").glob("*/manifest.json")):
            for name, listed in json.loads(manifest.read_text("utf-8"))["sha256"].items():
                with self.subTest(f"{manifest.parent.name}/{name}"):
                    assert digest(manifest.parent / name) == listed


if __name__ == "__main__":
    unittest.main()
