"""A model with 1 GiB of external data is verified, and memory stays flat: only the disk sees its size."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from support.artifacts import GOOD, artifact_of, edit_json, sha256, table_model

from ml.adapters import processes

_GIB = 1 << 30
_ROWS = _GIB // 4096 // 4
_MEASURE = (
    "import resource, subprocess, sys;"
    "code = subprocess.call([sys.executable, '-m', 'scripts.verify_onnx_artifact', sys.argv[1], '-v']);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss);"
    "sys.exit(code)"
)
"""Prints the peak resident memory, in KiB, of the largest of all processes that took part."""


def test_a_gibibyte_of_external_data_takes_no_memory(tmp_path: Path) -> None:
    table = tmp_path / "table.bin"
    with table.open("wb") as stream:
        stream.write(bytes(16) + os.urandom(1 << 20))  # a bias of zero, so that the answers are not all one
        stream.truncate(_GIB)  # the rest is a hole: hashed and copied as zeros, but never on the disk
    directory = artifact_of(table_model("table.bin", _ROWS), tmp_path / "large")
    table.rename(directory / "table.bin")
    with (directory / "table.bin").open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    listed = {name: sha256(directory / name) for name in ("model.onnx", "train_report.json")}
    edit_json(directory / "manifest.json", sha256={**listed, "table.bin": digest})

    small_lines, small_kib = _verify(GOOD, tmp_path)
    large_lines, large_kib = _verify(directory, tmp_path)

    assert small_lines[-2].endswith("PASS")
    assert large_lines[-2].endswith("PASS"), large_lines
    assert large_kib < small_kib + (150 << 10), f"{small_kib} KiB for 8 kB, {large_kib} KiB for 1 GiB"


def _verify(directory: Path, scratch: Path) -> tuple[list[str], int]:
    finished = processes.run(
        [sys.executable, "-c", _MEASURE, directory], deadline_s=60, env={**os.environ, "TMPDIR": str(scratch)}
    )
    lines = finished.out.decode().splitlines()
    assert finished.code == 0, json.dumps(lines, indent=1) + finished.err.decode()
    return lines[:-1], int(lines[-1])
