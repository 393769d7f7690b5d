"""The command line of verification, as the runbook types it (runbook, step 2 and "Verify Artifact")."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ml.artifacts.verify import Verifier
from ml.errors import ConsoleError
from ml.ports import Runner
from ml.text import visible
from ml.verdict import Verdict


def main(argv: Sequence[str], run: Runner) -> int:
    """Verify one directory; returns the exit code: 0 valid, 1 invalid, 2 usage, 3 onnxruntime is not there."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verify_onnx_artifact", description="Verify an ONNX artifact directory."
    )
    parser.add_argument("artifact_dir", type=Path, help="directory with model.onnx, manifest.json, train_report.json")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every check, not only what is wrong")
    asked = parser.parse_args(argv)
    if not asked.artifact_dir.is_dir():
        parser.error(f"{visible(str(asked.artifact_dir))} is not a directory")
    try:
        found = Verifier(run).verify(asked.artifact_dir.absolute())
    except ConsoleError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    for check in found.checks:
        if asked.verbose or check.verdict not in (Verdict.PASS, Verdict.NO_DATA):
            sys.stdout.write(f"[{check.verdict:^7}] {check.name:<12} {check.why}\n")
    sys.stdout.write(f"{found.artifact_id}: {found.verdict}\n")
    if asked.verbose and found.model_sha256:
        sys.stdout.write(f"model_sha256 {found.model_sha256}\n")
    return 0 if found.verdict is Verdict.PASS else 1
