"""Private copies of an artifact's files: what is loaded is exactly what was hashed.

A file that lies where others can write may change between its digest and its load, or its path may come to
mean another file. So the bytes are hashed once more while they are copied into a directory of our own, and
only that copy is ever given to onnxruntime.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ml.artifacts.digests import FileDigest, digest_files
from ml.artifacts.survey import FileIdentity, Survey
from ml.errors import Invalid, Unavailable
from ml.ports import Report
from ml.text import visible

_PREFIX = "mlconsole-artifact-"
_LEFT_BEHIND_S = 60
_ON_DISK = "/var/tmp"  # noqa: S108 - only ever through mkdtemp


@contextlib.contextmanager
def snapshot(
    directory: int, surveyed: Survey, digests: Sequence[FileDigest], *, scratch: Path, report: Report | None = None
) -> Iterator[Path]:
    """A private directory with copies of the files in ``digests``, gone when the block ends.

    Args:
        directory: descriptor of the artifact's directory.
        surveyed: what was found in it.
        digests: the files to copy, and the content that each must have.
        scratch: where the private directory is made; needs room for the files.
        report: takes the progress, in bytes.

    Raises:
        Invalid: a file's content is not what its digest says any more.
        Unavailable: the copy cannot be written.
    """
    _sweep(scratch)
    files = [file for wanted in digests if (file := surveyed.file(wanted.name))]
    try:
        private = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))
        claim = _claim(private)
    except OSError as error:
        raise _no_room(scratch, error) from error
    try:
        copied = _copy(directory, files, private, report)
        for wanted, got in zip(digests, copied, strict=True):
            if got != wanted:
                raise Invalid(f"{visible(wanted.name)} changed while it was being verified.", "Verify again.")
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)
        os.close(claim)


def default_scratch() -> Path:
    """Where large temporary files belong: ``TMPDIR``, else ``/var/tmp`` (on disk; ``/tmp`` is often memory)."""
    named = os.environ.get("TMPDIR")
    if not named and os.access(_ON_DISK, os.W_OK | os.X_OK):
        return Path(_ON_DISK)
    return Path(tempfile.gettempdir())


def _copy(directory: int, files: Sequence[FileIdentity], private: Path, report: Report | None) -> list[FileDigest]:
    try:
        copied = digest_files(directory, files, step="copy", report=report, copy_to=private)
    except OSError as error:
        raise _no_room(private, error) from error
    return list(copied)


def _claim(private: Path) -> int:
    """Lock a private directory for as long as the descriptor is open; raises OSError when another has it."""
    descriptor = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(scratch: Path) -> None:
    """Remove what a killed process left behind: old, ours, and locked by nobody."""
    for left in scratch.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = left.lstat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > _LEFT_BEHIND_S:
                os.close(_claim(left))
                shutil.rmtree(left, ignore_errors=True)


def _no_room(where: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The artifact cannot be copied to {visible(str(where))}: {error.strerror}.",
        "Make room there, or set TMPDIR to a directory that has it.",
    )
