"""Measure the digests of 2 GiB in files, as a verification takes them, against one OpenSSL stream."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from benchmarks.measure import Result, in_turns
from ml.artifacts.digests import default_scratch, digest_files, opened, survey

_FILES = 8
_FILE_BYTES = 256 << 20
_BLOCK = 1 << 20
_ROUNDS = 3


def run() -> tuple[Result, ...]:
    """Write the files, then hash them in turns. ``hashlib`` is OpenSSL, and here it gets the files one by one."""
    with tempfile.TemporaryDirectory(dir=default_scratch()) as folder:
        directory = Path(folder)
        for number in range(_FILES):
            _fill(directory / f"weights_{number}.bin")
        ours, floor = in_turns(lambda: _ours(directory), lambda: _one_stream(directory), _ROUNDS)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return (Result(f"digests of 2 GiB in files, {cores} cores", "one OpenSSL SHA-256 stream", ours, floor, 0.6),)


def _ours(directory: Path) -> None:
    with opened(directory) as descriptor:
        digest_files(descriptor, survey(descriptor).files)


def _one_stream(directory: Path) -> None:
    digest, buffer = hashlib.sha256(), bytearray(_BLOCK)
    view = memoryview(buffer)
    for path in sorted(directory.iterdir()):
        with path.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                digest.update(view[:count])


def _fill(path: Path) -> None:
    block = os.urandom(_BLOCK)
    with path.open("wb") as stream:
        for _ in range(_FILE_BYTES // _BLOCK):
            stream.write(block)
        os.fsync(stream.fileno())  # else the kernel writes it down meanwhile, on the second core
