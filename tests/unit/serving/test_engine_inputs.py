from __future__ import annotations

from pathlib import Path

import pytest

from ml.serving.engine import Fault, FaultInput, KillInput
from ml.serving.meters import Meters, read_counters
from ml.stage import Stage


@pytest.mark.parametrize(
    ("content", "engaged"),
    [
        (b"ML_KILL_SWITCH=1\n", True),
        (b"# why\nML_KILL_SWITCH=1", True),
        (b"ML_KILL_SWITCH=0\n", False),
        (b"ML_KILL_SWITCH=1\nML_KILL_SWITCH=0\n", False),
        (b"ML_KILL_SWITCH=true\n", False),
        (b"#ML_KILL_SWITCH=1\n", False),
        (b"", False),
    ],
)
def test_the_env_file_counts_by_its_last_assignment_and_exact_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, engaged: bool
) -> None:
    monkeypatch.delenv("ML_KILL_SWITCH", raising=False)
    (tmp_path / "kill.env").write_bytes(content)
    assert KillInput(tmp_path / "kill.env", at_start=False).engaged() is engaged


def test_a_missing_file_is_off_and_the_environment_counts_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ML_KILL_SWITCH", raising=False)
    switch = KillInput(tmp_path / "none", at_start=False)
    frozen = KillInput(tmp_path / "none", at_start=True)
    assert not switch.engaged()
    monkeypatch.setenv("ML_KILL_SWITCH", "1")
    assert switch.engaged()
    assert not frozen.engaged()


def test_faults_follow_their_file_and_a_broken_one_injects_nothing(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    faults = FaultInput(file)
    assert faults.now() == Fault()
    for content, expected in (
        ('{"latency_ms": 300, "error_rate": 0.1}', Fault(300, 0.1)),
        ('{"latency_ms": -5}', Fault()),
        ('{"latency_ms": ', Fault()),
        ("[]", Fault()),
        ('{"error_rate": 1}', Fault(0, 1)),
    ):
        part = tmp_path / "part"
        part.write_text(content)
        part.replace(file)
        assert faults.now() == expected
    file.unlink()
    assert faults.now() == Fault()


def exposed(meters: Meters) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in meters.collect()
        for sample in family.samples
    }


def test_a_latency_on_a_bound_counts_below_it() -> None:
    meters = Meters(Stage.SHADOW)
    for latency in (100.0, 100.1, 600.0):
        meters.success(latency)
    found = exposed(meters)
    bucket = "grinder_ml_inference_latency_ms_bucket[('le', '{}'), ('mode', 'shadow')]"
    assert [found[bucket.format(bound)] for bound in ("50.0", "100.0", "250.0", "500.0", "+Inf")] == [0, 1, 2, 2, 3]
    assert found["grinder_ml_inference_latency_ms_sum[('mode', 'shadow')]"] == pytest.approx(800.1)


def test_counters_that_fall_or_are_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "counters.json"
    file.write_text('{"grinder_ml_inference_latency_ms_bucket{le=\\"1\\",mode=\\"shadow\\"}": 5}')
    with pytest.raises(ValueError, match="not cumulative"):
        Meters(Stage.SHADOW, read_counters(file))
    file.write_text('{"grinder_ml_inference_total{mode=": 5}')
    with pytest.raises(ValueError, match=r".+"):
        read_counters(file)
