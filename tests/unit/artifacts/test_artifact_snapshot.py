"""What is hashed is what is loaded: files that change, and copies that must not be left behind."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.artifacts import GOOD, artifact_of, copy_artifact, linear, repin, sound_weights, verifier

from ml.adapters import processes
from ml.artifacts.digests import MAX_FILES, Survey, digest_files, opened, snapshot, survey
from ml.artifacts.verify import Verifier
from ml.errors import Invalid, Unavailable
from ml.ports import Finished, Progress
from ml.verdict import Verdict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "artifact"
    path.mkdir()
    (path / "small").write_bytes(b"abc")
    (path / "large").write_bytes(os.urandom((3 << 20) + 17))
    (path / "empty").write_bytes(b"")
    return path


@pytest.fixture
def looked_at(folder: Path) -> Iterator[tuple[int, Survey]]:
    with opened(folder) as descriptor:
        yield descriptor, survey(descriptor)


def test_digests_are_those_of_hashlib(folder: Path, looked_at: tuple[int, Survey]) -> None:
    descriptor, surveyed = looked_at
    seen: list[Progress] = []
    for digest in digest_files(descriptor, surveyed.files, report=seen.append):
        content = (folder / digest.name).read_bytes()
        assert digest.sha256 == hashlib.sha256(content).hexdigest()
        assert digest.size == len(content)
    assert seen[-1].done == seen[-1].total == sum(file.size for file in surveyed.files)
    assert seen[-1].note.endswith("MiB/s")


def test_a_copy_holds_what_was_hashed_and_keeps_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "from", tmp_path / "to"
    source.mkdir()
    target.mkdir()
    with (source / "sparse").open("wb") as stream:
        stream.seek(64 << 20)
        stream.write(b"end")
        stream.truncate((80 << 20) + 5)
    with opened(source) as descriptor:
        digest_files(descriptor, survey(descriptor).files, copy_to=target)
    copy = target / "sparse"
    assert copy.stat().st_size == (80 << 20) + 5
    assert copy.read_bytes() == (source / "sparse").read_bytes()
    assert copy.stat().st_blocks * 512 < 4 << 20


@pytest.mark.parametrize("change", ["grow", "shrink", "same size", "replaced"])
def test_a_file_that_changed_since_it_was_seen_is_refused(
    folder: Path, looked_at: tuple[int, Survey], change: str
) -> None:
    descriptor, surveyed = looked_at
    file = folder / "small"
    match change:
        case "grow":
            file.write_bytes(b"abcd")
        case "shrink":
            os.truncate(file, 1)
        case "same size":
            file.write_bytes(b"xyz")
        case "replaced":
            (folder.parent / "other").write_bytes(b"abc")
            (folder.parent / "other").replace(file)
    with pytest.raises(Invalid, match="small changed"):
        digest_files(descriptor, surveyed.files)


def test_a_link_put_in_a_files_place_is_not_followed(folder: Path, looked_at: tuple[int, Survey]) -> None:
    descriptor, surveyed = looked_at
    (folder / "small").unlink()
    (folder / "small").symlink_to("/etc/hostname")
    with pytest.raises(Invalid, match="small cannot be read"):
        digest_files(descriptor, surveyed.files)


def test_a_model_swapped_after_hashing_is_never_loaded(tmp_path: Path) -> None:
    nan = sound_weights()
    nan[0, 0] = np.nan
    directory = artifact_of(linear(sound_weights()), tmp_path)
    hostile = linear(nan).SerializeToString()

    def swap(*arguments: object, **options: object) -> Finished:
        (directory / "model.onnx").write_bytes(hostile)
        return processes.run(*arguments, **options)  # type: ignore[arg-type]

    pinned = hashlib.sha256((directory / "model.onnx").read_bytes()).hexdigest()
    found = Verifier(swap, scratch=tmp_path).verify(directory)
    assert (directory / "model.onnx").read_bytes() == hostile
    assert found.model_sha256 == pinned
    assert found.check("finite").verdict is Verdict.PASS


def test_a_model_swapped_between_hashing_and_copying_is_noticed(tmp_path: Path) -> None:
    directory = copy_artifact(tmp_path / "a")

    def swap(progress: Progress) -> None:
        if progress.step == "digests":
            (directory / "model.onnx").write_bytes(b"something else")

    found = verifier(tmp_path / "scratch").verify(directory, report=swap)
    assert found.check("digests").verdict is Verdict.FAIL
    assert "model.onnx changed" in found.check("digests").why
    assert found.check("load").verdict is Verdict.NO_DATA


def test_the_copy_is_gone_afterwards_and_old_ones_are_swept(tmp_path: Path) -> None:
    directory, scratch = copy_artifact(tmp_path), tmp_path / "scratch"
    left, fresh = scratch / "mlconsole-artifact-left", scratch / "mlconsole-artifact-fresh"
    for path in (left, fresh):
        path.mkdir(parents=True)
    os.utime(left, (time.time() - 3600,) * 2)
    with opened(directory) as descriptor:
        surveyed = survey(descriptor)
        digests = digest_files(descriptor, surveyed.files)
        with snapshot(descriptor, surveyed, digests, scratch=scratch) as private:
            assert private.stat().st_mode & 0o777 == 0o700
            os.utime(private, (time.time() - 3600,) * 2)
            with snapshot(descriptor, surveyed, digests, scratch=scratch):
                assert (private / "model.onnx").exists(), "a copy in use was swept"
    assert list(scratch.iterdir()) == [fresh]


def test_no_room_is_said_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be copied") as caught:
        Verifier(processes.run, scratch=tmp_path / "absent").verify(GOOD)
    assert "TMPDIR" in caught.value.remedy


def test_a_directory_with_too_many_entries_is_refused_without_reading_them(tmp_path: Path) -> None:
    directory = copy_artifact(tmp_path)
    for number in range(MAX_FILES + 1):
        (directory / f"f{number}").touch()
    repin(directory)
    found = verifier(tmp_path / "scratch").verify(directory)
    assert f"more than {MAX_FILES} entries" in found.check("layout").why


def test_more_than_fits_the_cage_is_refused_without_hashing_it(tmp_path: Path) -> None:
    directory = copy_artifact(tmp_path)
    with (directory / "huge.bin").open("wb") as stream:
        stream.truncate(1 << 40)
    started = time.monotonic()
    found = verifier(tmp_path / "scratch").verify(directory)
    assert time.monotonic() - started < 5
    assert "more than the" in found.check("layout").why
    assert not found.valid
