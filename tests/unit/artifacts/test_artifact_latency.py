from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from support.artifacts import GOOD, OTHER, artifact_of, copy_artifact, linear, model_of, sound_weights, verifier
from support.zygote import Zygote

from ml.artifacts.protocol import Raced, Timing
from ml.artifacts.verify import judge
from ml.verdict import Verdict


def raced(p50: float, p99: float, p99_low: float) -> Raced:
    return Raced(Timing(p50, p99), Timing(1.0, 1.0), 4000, p50, (p50, p50), p99, (p99_low, p99))


@pytest.mark.parametrize(
    ("p50", "p99", "p99_low", "verdict"),
    [
        (1.0, 1.0, 1.0, Verdict.PASS),
        (1.49, 1.0, 1.0, Verdict.PASS),
        (1.5, 1.0, 1.0, Verdict.FAIL),
        (float("nan"), 1.0, 1.0, Verdict.FAIL),
        (1.0, 9.0, 1.2, Verdict.PASS),
        (1.0, 9.0, 1.6, Verdict.FAIL),
    ],
)
def test_the_median_is_judged_and_the_tail_when_it_is_clear(
    p50: float, p99: float, p99_low: float, verdict: Verdict
) -> None:
    check = judge(raced(p50, p99, p99_low), 1.5)
    assert check.verdict is verdict
    assert "limit 1.5×, 4,000 turns" in check.why


def test_a_model_against_its_like_is_about_as_fast(tmp_path: Path, zygote: Zygote) -> None:
    probe = verifier(tmp_path, zygote).latency(GOOD, OTHER, max_ratio=3.0)
    assert probe.check.verdict is Verdict.PASS, probe.check
    assert probe.raced
    assert probe.raced.turns >= 20
    assert probe.raced.p50_spread[0] <= probe.raced.p50_ratio <= probe.raced.p50_spread[1]


def test_a_model_with_far_more_to_do_is_slower(tmp_path: Path, zygote: Zygote) -> None:
    wide = 700
    dice = np.random.default_rng(3)
    heavy = model_of(
        [
            helper.make_node("MatMul", ["input", "in"], ["a"]),
            helper.make_node("MatMul", ["a", "middle"], ["b"]),
            helper.make_node("MatMul", ["b", "out"], ["c"]),
            helper.make_node("Softmax", ["c"], ["regime_probs"], axis=-1),
        ],
        {
            "in": dice.normal(size=(15, wide)).astype(np.float32) * 1e-6,
            "middle": dice.normal(size=(wide, wide)).astype(np.float32) * 1e-2,
            "out": dice.normal(size=(wide, 3)).astype(np.float32),
        },
    )
    slow = artifact_of(heavy, tmp_path / "slow")
    fast = artifact_of(linear(sound_weights()), tmp_path / "fast")
    probe = verifier(tmp_path / "scratch", zygote).latency(slow, fast, max_ratio=1.5)
    assert probe.check.verdict is Verdict.FAIL
    assert probe.raced
    assert probe.raced.p50_ratio > 1.5
    assert verifier(tmp_path / "scratch", zygote).latency(fast, slow, max_ratio=1.5).check.verdict is Verdict.PASS


def test_nothing_active_is_no_data(tmp_path: Path, zygote: Zygote) -> None:
    assert verifier(tmp_path, zygote).latency(GOOD, None, max_ratio=1.5).check.verdict is Verdict.NO_DATA


def test_a_tampered_artifact_is_never_timed(tmp_path: Path, zygote: Zygote) -> None:
    directory = copy_artifact(tmp_path)
    (directory / "model.onnx").write_bytes(b"tampered")
    probe = verifier(tmp_path / "scratch", zygote).latency(GOOD, directory, max_ratio=1.5)
    assert probe.raced is None
    assert probe.check.verdict is Verdict.NO_DATA
    assert "model.onnx" in probe.check.why
