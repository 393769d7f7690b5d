"""The 15 artifact faults (contract §14): each is refused, names its file, and costs at most its limits.

For every one: the verdict is FAIL with the file in its sentence, the artifact's bytes are as before, no gate
opens, the kill switch is written within a second meanwhile, and neither a process nor a private copy is left.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.artifacts import (
    artifact_of,
    copy_artifact,
    edit_json,
    endless_loop,
    external,
    growing,
    linear,
    long_chain,
    memory_bomb,
    noisy,
    repin,
    sha256,
    sound_weights,
    verifier,
)

from ml.artifacts.probe import DEFAULT_LIMITS
from ml.artifacts.verification import Verification
from ml.clock import SystemClock
from ml.emergency.switch import KillSwitch
from ml.records.audit import AuditLog
from ml.verdict import Verdict

Case = tuple[Path, str, str]
"""A damaged artifact, the check that must fail, and what its sentence must name."""

_SPARE_S = 8
"""Snapshots, digests and starting Python, beside the limits, on a busy machine."""


def _damaged(tmp: Path, damage: Callable[[Path], object]) -> Path:
    directory = copy_artifact(tmp)
    damage(directory)
    return directory


def missing_manifest(tmp: Path) -> Iterable[Case]:
    yield _damaged(tmp, lambda a: (a / "manifest.json").unlink()), "manifest", "manifest.json"


def bad_json(tmp: Path) -> Iterable[Case]:
    for at, text in enumerate((b"{", b"[" * 100_000, b'{"a":1,"a":2}', b"\xff\xfe", b'{"schema_version":"v9"}')):
        for name, check in (("manifest.json", "manifest"), ("train_report.json", "train_report")):
            directory = _damaged(tmp / f"{at}{name}", lambda a, n=name, t=text: (a / n).write_bytes(t))
            if name == "train_report.json":
                edit_json(directory / "manifest.json", sha256=_listed(directory, without={name}))
            yield directory, check, name


def missing_file(tmp: Path) -> Iterable[Case]:
    yield _damaged(tmp, lambda a: (a / "model.onnx").unlink()), "layout", "model.onnx"


def digest_mismatch(tmp: Path) -> Iterable[Case]:
    for name in ("model.onnx", "golden.json", "train_report.json"):
        directory = copy_artifact(tmp / name)
        data = bytearray((directory / name).read_bytes())
        data[len(data) // 2] ^= 1
        (directory / name).write_bytes(data)
        yield directory, "digests", name


def unlisted_file(tmp: Path) -> Iterable[Case]:
    yield _damaged(tmp, lambda a: (a / "extra.bin").write_bytes(b"x")), "layout", "extra.bin"


def symlink(tmp: Path) -> Iterable[Case]:
    yield _damaged(tmp / "file", lambda a: _linked(a / "model.onnx", os.symlink)), "layout", "model.onnx"
    real = copy_artifact(tmp / "real")
    link = tmp / "link"
    link.symlink_to(real)
    yield link, "layout", "link"


def hard_link(tmp: Path) -> Iterable[Case]:
    yield _damaged(tmp, lambda a: _linked(a / "model.onnx", os.link)), "layout", "model.onnx"


def fifo_or_directory(tmp: Path) -> Iterable[Case]:
    for name, make in (("fifo", os.mkfifo), ("directory", os.mkdir)):
        directory = copy_artifact(tmp / name)
        (directory / "model.onnx").unlink()
        make(directory / "model.onnx")
        yield directory, "layout", "model.onnx"


def path_outside(tmp: Path) -> Iterable[Case]:
    for at, name in enumerate(("../secret", "/etc/passwd", "a/../../b", "..")):
        directory = copy_artifact(tmp / str(at))
        edit_json(directory / "manifest.json", sha256={**_listed(directory), name: "0" * 64})
        yield directory, "manifest", name.rpartition("/")[2]


def external_data(tmp: Path) -> Iterable[Case]:
    model, weights = external("weights.bin")
    unlisted = artifact_of(model, tmp / "unlisted", {"weights.bin": weights})
    edit_json(unlisted / "manifest.json", sha256=_listed(unlisted, without={"weights.bin"}))
    yield unlisted, "layout", "weights.bin"
    for at, location in enumerate(("../weights.bin", "/etc/hostname", "missing.bin")):
        model, _ = external(location)
        yield artifact_of(model, tmp / str(at)), "load", location


def truncated_or_pointer(tmp: Path) -> Iterable[Case]:
    directory = copy_artifact(tmp / "short")
    whole = (directory / "model.onnx").read_bytes()
    (directory / "model.onnx").write_bytes(whole[: len(whole) // 2])
    yield directory, "digests", "model.onnx"
    repinned = _damaged(tmp / "repinned", lambda a: (a / "model.onnx").write_bytes(whole[:-7]))
    repin(repinned)
    yield repinned, "load", "model.onnx"
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 879\n"
    yield _damaged(tmp / "lfs", lambda a: (a / "model.onnx").write_text(pointer)), "layout", "model.onnx"


def cpu_bomb(tmp: Path) -> Iterable[Case]:
    yield artifact_of(endless_loop(), tmp / "loop"), "shape", "model.onnx"
    yield artifact_of(long_chain(), tmp / "chain"), "load", "model.onnx"


def memory_bombs(tmp: Path) -> Iterable[Case]:
    yield artifact_of(memory_bomb(), tmp / "at once"), "shape", "Failed to allocate memory"
    yield artifact_of(growing(), tmp / "growing"), "shape", "Failed to allocate memory"


def non_deterministic(tmp: Path) -> Iterable[Case]:
    yield artifact_of(noisy(None), tmp / "free"), "determinism", "model.onnx"
    yield artifact_of(noisy(1.0), tmp / "seeded"), "determinism", "model.onnx"


def nan_shape_or_opset(tmp: Path) -> Iterable[Case]:
    nan = sound_weights()
    nan[3, 1] = np.nan
    yield artifact_of(linear(nan), tmp / "nan"), "finite", "regime_probs"
    yield artifact_of(linear(sound_weights(4), classes=4), tmp / "classes"), "shape", "regime_probs"
    yield artifact_of(linear(sound_weights()[:14], width=14), tmp / "width"), "shape", "feature_order"
    yield artifact_of(linear(sound_weights(), opset=999), tmp / "opset"), "load", "model.onnx"


FAULTS = (
    missing_manifest,
    bad_json,
    missing_file,
    digest_mismatch,
    unlisted_file,
    symlink,
    hard_link,
    fifo_or_directory,
    path_outside,
    external_data,
    truncated_or_pointer,
    cpu_bomb,
    memory_bombs,
    non_deterministic,
    nan_shape_or_opset,
)


@pytest.mark.fault("artifacts")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_artifact_fault(fault: Callable[[Path], Iterable[Case]], tmp_path: Path) -> None:
    for number, (directory, check, named) in enumerate(fault(tmp_path)):
        before = _tree(directory)
        found, seconds = _verify_under_kill(directory, tmp_path / f"at{number}")
        failed = [one for one in found.checks if one.verdict is Verdict.FAIL]

        assert not found.verdict.opens
        assert not found.valid
        assert failed, f"{directory}: nothing failed"
        assert failed[0].name == check, failed[0]
        assert named in " ".join(one.why for one in failed)
        assert seconds < DEFAULT_LIMITS.wall_s + _SPARE_S
        assert _tree(directory) == before


def _verify_under_kill(directory: Path, place: Path) -> tuple[Verification, float]:
    """Verify while the kill switch is engaged; afterwards nothing may be left."""
    scratch = place / "scratch"
    switch = KillSwitch(place / "kill.env", (), AuditLog(place / "audit.jsonl"), SystemClock())
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        verifying = pool.submit(verifier(scratch).verify, directory)
        asked = time.monotonic()
        assert switch.engage("test", "a verification is running").written
        assert time.monotonic() - asked < 1.0
        found = verifying.result(timeout=60)
    assert list(scratch.iterdir()) == []
    assert _probes() == []
    return found, time.monotonic() - started


def _probes() -> list[list[bytes]]:
    """Probes that were started by this process and still live, as its children or as orphans."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            if b"ml.artifacts.probe" in argv and argv[-1] == b"%d" % os.getpid():
                found.append(argv)
    return found


def _tree(directory: Path) -> dict[str, object]:
    """Names, kinds and bytes of everything in an artifact."""
    found: dict[str, object] = {}
    for path in sorted(directory.iterdir()):
        mode = path.lstat().st_mode
        found[path.name] = (mode, path.read_bytes() if path.is_file() else None)
    return found


def _listed(directory: Path, without: Iterable[str] = ()) -> dict[str, str]:
    skipped = {"manifest.json", *without}
    return {path.name: sha256(path) for path in directory.iterdir() if path.name not in skipped}


def _linked(path: Path, link: Callable[[Path, Path], None]) -> None:
    """Replace a file by a link to its own content elsewhere."""
    elsewhere = path.parent.parent / "elsewhere.onnx"
    path.rename(elsewhere)
    link(elsewhere, path)
