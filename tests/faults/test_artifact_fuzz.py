"""Thousands of mutants of real models: none kills or hangs the parent, none is taken for the original.

Each mutant goes through the whole of `Verifier.verify` twice: once as it is, where the digests must betray
it, and once with manifest and train report made to fit, so that it really reaches onnxruntime in its sandbox.
Even then the digest that the registry pins, and those that the evidence pins, must refuse it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.artifacts import GOOD, OTHER, artifact_of, copy_artifact, external, repin, sha256
from support.zygote import Zygote

from ml.artifacts.probe import DEFAULT_LIMITS
from ml.artifacts.runtime import GOLDEN_ARTIFACT
from ml.artifacts.verify import Verifier
from ml.verdict import Check, Verdict

_WALL_S = DEFAULT_LIMITS.wall_s * 2 + 5
"""Two probes at most, and what the parent itself does."""

Mutate = Callable[[bytearray, random.Random], None]


def flip_bit(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def flip_many(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.randint(2, 40)):
        flip_bit(data, dice)


def extreme_byte(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] = dice.choice((0x00, 0x7F, 0x80, 0xFF))


def endless_number(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at : at + 9] = b"\xff" * 9


def cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def remove(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.randint(1, 64)]


def insert(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data) + 1)
    data[at:at] = dice.randbytes(dice.randint(1, 64))


def repeat(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at:at] = data[at : at + dice.randint(1, 256)] * dice.randint(1, 8)


def splice(data: bytearray, dice: random.Random) -> None:
    other = (OTHER / "model.onnx").read_bytes()
    at, size = dice.randrange(len(other)), dice.randint(1, 200)
    data[dice.randrange(len(data)) :] = other[at : at + size]


MUTATIONS: tuple[Mutate, ...] = (
    flip_bit,
    flip_many,
    extreme_byte,
    endless_number,
    cut,
    remove,
    insert,
    repeat,
    splice,
)


def regime(tmp: Path) -> tuple[Path, str]:
    return copy_artifact(tmp, GOOD), "model.onnx"


def golden(tmp: Path) -> tuple[Path, str]:
    return copy_artifact(tmp, GOLDEN_ARTIFACT), "model.onnx"


def with_external(tmp: Path) -> tuple[Path, str]:
    model, weights = external("weights.bin")
    return artifact_of(model, tmp, {"weights.bin": weights}), "model.onnx"


def external_weights(tmp: Path) -> tuple[Path, str]:
    directory, _ = with_external(tmp)
    return directory, "weights.bin"


SUBJECTS = ((regime, 700), (golden, 500), (with_external, 600), (external_weights, 250))
"""What is mutated, and how often: 2,050 in all."""


@pytest.mark.parametrize(("make", "mutants"), SUBJECTS, ids=[make.__name__ for make, _ in SUBJECTS])
def test_no_mutant_passes_and_none_does_harm(
    make: Callable[[Path], tuple[Path, str]],
    mutants: int,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    directory, name = make(tmp_path)
    original = {path.name: path.read_bytes() for path in directory.iterdir()}
    pinned = sha256(directory / "model.onnx")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    dice = random.Random(f"19 {make.__name__}")
    ends: Counter[str] = Counter()
    with Zygote() as zygote:
        verifier = Verifier(zygote, scratch=scratch)
        sound = verifier.verify(directory, expect_sha256=pinned)
        assert sound.valid
        pins = {file.name: file.sha256 for file in sound.files}
        for number in range(mutants):
            (directory / name).write_bytes(_mutant(original[name], MUTATIONS[number % len(MUTATIONS)], dice))
            found = verifier.verify(directory, expect_sha256=pinned)
            assert found.check("digests").verdict is Verdict.FAIL, number
            assert not found.valid

            repin(directory)
            started = time.monotonic()
            repinned = verifier.verify(directory)
            assert time.monotonic() - started < _WALL_S
            assert repinned.check("digests").verdict is Verdict.PASS
            assert repinned.check("load").verdict is not Verdict.NO_DATA, "it never came to the sandbox"
            ends[_end(repinned.checks)] += 1
            assert not repinned.pinned(pins).valid
            if name == "model.onnx":
                assert not repinned.expecting(pinned).valid
            for other in ("manifest.json", "train_report.json"):
                (directory / other).write_bytes(original[other])
        assert zygote.probes > mutants
    assert list(scratch.iterdir()) == []
    ended = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    record_property("count", f"fuzz {make.__name__}: {mutants} mutants, 0 verified, 0 crashes, 0 hangs ({ended})")
    assert ends["load"] > 0 or name != "model.onnx", "the mutants were too tame to test anything"


def _mutant(original: bytes, mutate: Mutate, dice: random.Random) -> bytes:
    while True:
        data = bytearray(original)
        mutate(data, dice)
        if data and bytes(data) != original:
            return bytes(data)


def _end(checks: tuple[Check, ...]) -> str:
    """The check at which a mutant failed, or that only its pins betray it."""
    failed = [check.name for check in checks if check.verdict is Verdict.FAIL]
    return failed[0] if failed else "sound by itself but not as pinned"
