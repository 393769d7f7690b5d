"""A verification is remembered for exactly these files and this runtime, and for nothing else."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.artifacts import GOOD, artifact_of, copy_artifact, linear, sha256, sound_weights
from support.zygote import Zygote

from ml.artifacts import cache as cache_module
from ml.artifacts import digests as digests_module
from ml.artifacts.cache import Terms, VerificationCache
from ml.artifacts.digests import opened, survey
from ml.artifacts.probe import DEFAULT_LIMITS, Limits
from ml.artifacts.verify import Verifier
from ml.contract import in_force
from ml.ports import Finished, Runner
from ml.verdict import Verdict


class CountingRunner:
    """Runs probes and counts them."""

    def __init__(self, run: Runner) -> None:
        self.probes = 0
        self._run = run

    def __call__(self, *arguments: object, **options: object) -> Finished:
        self.probes += 1
        return self._run(*arguments, **options)  # type: ignore[arg-type]


@pytest.fixture
def runner(zygote: Zygote) -> CountingRunner:
    return CountingRunner(zygote)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute from now, when files that were just written have been at rest for long."""
    now = time.time_ns
    monkeypatch.setattr(digests_module.time, "time_ns", lambda: now() + 60 * 10**9)


def make(tmp_path: Path, runner: CountingRunner, **options: object) -> Verifier:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    cache = VerificationCache(tmp_path / "state" / "verified.json")
    return Verifier(runner, cache=cache, scratch=scratch, **options)  # type: ignore[arg-type]


def rewrite(directory: Path) -> None:
    content = (directory / "model.onnx").read_bytes()
    (directory / "model.onnx").write_bytes(content)


def replace(directory: Path) -> None:
    shutil.copy2(directory / "model.onnx", directory.parent / "copy")
    (directory.parent / "copy").replace(directory / "model.onnx")


def forge_times(directory: Path) -> None:
    """Other bytes of the same length, and the old modification time put back."""
    model = directory / "model.onnx"
    before = model.stat()
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.usefixtures("settled")
def test_the_same_files_are_verified_once(tmp_path: Path, runner: CountingRunner) -> None:
    directory = copy_artifact(tmp_path)
    first = make(tmp_path, runner).verify(directory)
    assert runner.probes == 2
    assert make(tmp_path, runner).verify(directory) == first
    assert runner.probes == 2


@pytest.mark.usefixtures("settled")
def test_the_registrys_digest_is_judged_on_a_remembered_verification_too(
    tmp_path: Path, runner: CountingRunner
) -> None:
    directory = copy_artifact(tmp_path)
    verifier = make(tmp_path, runner)
    assert verifier.verify(directory, expect_sha256=sha256(directory / "model.onnx")).valid
    assert not verifier.verify(directory, expect_sha256="0" * 64).valid
    assert runner.probes == 2


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", [rewrite, replace, forge_times], ids=lambda change: change.__name__)
def test_any_change_of_identity_forgets(tmp_path: Path, runner: CountingRunner, change: Callable[[Path], None]) -> None:
    directory = copy_artifact(tmp_path)
    verifier = make(tmp_path, runner)
    assert verifier.verify(directory).valid
    change(directory)
    again = verifier.verify(directory)
    assert again.valid == (change is not forge_times)
    assert runner.probes == (2 if change is forge_times else 4)


@pytest.mark.usefixtures("settled")
def test_a_copy_of_the_same_name_is_not_the_same(tmp_path: Path, runner: CountingRunner) -> None:
    verifier = make(tmp_path, runner)
    verifier.verify(copy_artifact(tmp_path / "one"))
    verifier.verify(copy_artifact(tmp_path / "two"))
    assert runner.probes == 4


@pytest.mark.usefixtures("settled")
def test_other_limits_or_another_runtime_verify_again(
    tmp_path: Path, runner: CountingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = copy_artifact(tmp_path)
    make(tmp_path, runner).verify(directory)
    make(tmp_path, runner, limits=Limits(cpu_s=4)).verify(directory)
    assert runner.probes == 4
    monkeypatch.setattr(cache_module.importlib.metadata, "version", lambda _: "9.9.9")
    make(tmp_path, runner).verify(directory)
    assert runner.probes == 6


@pytest.mark.usefixtures("settled")
def test_the_same_identity_with_other_content_is_not_the_same(tmp_path: Path, runner: CountingRunner) -> None:
    directory = copy_artifact(tmp_path)
    found = make(tmp_path, runner).verify(directory)
    with opened(directory) as descriptor:
        surveyed = survey(descriptor)
    cache = VerificationCache(tmp_path / "state" / "verified.json")
    terms = Terms(DEFAULT_LIMITS, in_force(None, directory.name, None))
    assert cache.recall(directory, surveyed, found.files, terms) == found
    other = (found.files[0]._replace(sha256="0" * 64), *found.files[1:])
    assert cache.recall(directory, surveyed, other, terms) is None


@pytest.mark.usefixtures("settled")
def test_what_enters_the_registry_is_verified_afresh(tmp_path: Path, runner: CountingRunner) -> None:
    directory = copy_artifact(tmp_path)
    for _ in range(2):
        assert make(tmp_path, runner).verify(directory, afresh=True).valid
    assert runner.probes == 4


def test_files_that_were_just_written_are_not_remembered(
    tmp_path: Path, runner: CountingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = copy_artifact(tmp_path)
    written = (directory / "model.onnx").stat().st_ctime_ns
    monkeypatch.setattr(digests_module.time, "time_ns", lambda: written + 10**9)
    verifier = make(tmp_path, runner)
    verifier.verify(directory)
    verifier.verify(directory)
    assert runner.probes == 4


@pytest.mark.usefixtures("settled")
def test_what_failed_is_not_remembered(tmp_path: Path, runner: CountingRunner) -> None:
    directory = artifact_of(linear(sound_weights(), opset=999), tmp_path)
    verifier = make(tmp_path, runner)
    assert verifier.verify(directory).verdict is Verdict.FAIL
    assert verifier.verify(directory).verdict is Verdict.FAIL
    assert runner.probes == 2


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}', b"\xff", b"[]"])
def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, runner: CountingRunner, content: bytes) -> None:
    directory = copy_artifact(tmp_path)
    file = tmp_path / "state" / "verified.json"
    file.parent.mkdir()
    file.write_bytes(content)
    assert make(tmp_path, runner).verify(directory).valid
    assert make(tmp_path, runner).verify(directory).valid
    assert runner.probes == 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["verified.json"]


@pytest.mark.usefixtures("settled")
def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path, runner: CountingRunner) -> None:
    (tmp_path / "state").write_text("in the way")
    assert make(tmp_path, runner).verify(GOOD).valid
