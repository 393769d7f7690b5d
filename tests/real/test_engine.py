"""The reference engine as a real process: what it exposes, what it obeys, what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.engines import FIRST, MODEL, SECOND, SOURCE, Deployment, EngineProcess, engine, write

from ml.contract import SPACING as SPACING_CONTRACT
from ml.training.run import Order, train_artifact

LATENCY = "grinder_ml_inference_latency_ms"


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    made.deploy(active=FIRST, shadow=SECOND)
    return made


@pytest.fixture
def active(deployment: Deployment) -> Iterator[EngineProcess]:
    with engine(deployment, "active") as running:
        running.until(lambda: running.value("grinder_ml_inference_total") > 0)
        yield running


@pytest.mark.parametrize(("stage", "artifact", "active_on"), [("active", FIRST, 1.0), ("shadow", SECOND, 0.0)])
def test_each_stage_serves_its_own_pointer_under_exactly_the_contracted_names(
    deployment: Deployment, stage: str, artifact: str, active_on: float
) -> None:
    with engine(deployment, stage) as running:
        running.until(lambda: running.value("grinder_ml_inference_total", mode=stage) >= 5)
        text = running.text()
        assert running.serves() == artifact
        assert running.value("grinder_ml_active_on") == active_on
        assert f'registry_commit="{"c" * 40}"' in text
        names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        assert names == {
            f"{LATENCY}_bucket",
            f"{LATENCY}_count",
            f"{LATENCY}_sum",
            "grinder_ml_inference_total",
            "grinder_ml_inference_errors_total",
            "grinder_ml_block_total",
            "grinder_ml_active_on",
            "grinder_ml_model_info",
        }
        bounds = [line.split('le="')[1].split('"')[0] for line in text.splitlines() if "_bucket{" in line]
        assert bounds == ["1.0", "2.0", "5.0", "10.0", "25.0", "50.0", "100.0", "250.0", "500.0", "+Inf"]


def test_a_success_moves_the_counter_and_the_histogram_alike(active: EngineProcess) -> None:
    active.rises("grinder_ml_inference_total", mode="active")
    text = active.text()
    counted = [float(line.split()[-1]) for line in text.splitlines() if line.startswith("grinder_ml_inference_total{")]
    timed = [float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{LATENCY}_count{{")]
    assert counted == timed


def test_the_kill_file_is_obeyed_from_one_snapshot_to_the_next(active: EngineProcess, deployment: Deployment) -> None:
    write(deployment.kill, "ML_KILL_SWITCH=1\n")
    active.rises("grinder_ml_block_total", reason="KILL_SWITCH_ENV")
    inferred = active.value("grinder_ml_inference_total")
    active.rises("grinder_ml_block_total", reason="KILL_SWITCH_ENV")
    assert active.value("grinder_ml_inference_total") == inferred
    assert active.value("grinder_ml_active_on") == 0
    active.logged("ML_KILL_SWITCH_ON")
    active.logged("ML_ACTIVE_BLOCKED reason=KILL_SWITCH_ENV")
    write(deployment.kill, "ML_KILL_SWITCH=0\n")
    active.rises("grinder_ml_inference_total")
    assert active.value("grinder_ml_active_on") == 1
    active.logged("ML_KILL_SWITCH_OFF")


def test_a_kill_file_that_cannot_be_read_counts_as_engaged(active: EngineProcess, deployment: Deployment) -> None:
    deployment.kill.mkdir()
    active.rises("grinder_ml_block_total", reason="KILL_SWITCH_ENV")


@pytest.mark.parametrize(("value", "killed"), [("1", True), ("true", False), ("0", False)])
def test_the_environment_kills_only_with_exactly_1(deployment: Deployment, value: str, killed: bool) -> None:
    with engine(deployment, "shadow", ML_KILL_SWITCH=value) as running:
        running.rises("grinder_ml_block_total" if killed else "grinder_ml_inference_total")
        assert (running.value("grinder_ml_inference_total") == 0) is killed


def test_an_engine_that_reads_its_environment_at_start_ignores_the_file(deployment: Deployment) -> None:
    write(deployment.kill, "ML_KILL_SWITCH=1\n")
    with engine(deployment, "active", "--env-at-start") as running:
        running.rises("grinder_ml_inference_total")
        assert running.value("grinder_ml_block_total", reason="KILL_SWITCH_ENV") == 0


def test_a_new_registry_is_followed_without_a_restart(active: EngineProcess, deployment: Deployment) -> None:
    deployment.deploy("d" * 40, active=SECOND)
    active.until(lambda: active.serves() == SECOND)
    assert f'registry_commit="{"d" * 40}"' in active.text()
    deployment.deploy("e" * 40)
    active.rises("grinder_ml_block_total", reason="MODEL_NOT_LOADED")
    assert (active.serves(), active.value("grinder_ml_active_on")) == ("", 0)
    active.logged("ML_REGISTRY_EMPTY")


def test_a_broken_registry_keeps_the_old_model_and_says_why(active: EngineProcess, deployment: Deployment) -> None:
    write(deployment.registry, '{"schema_version": "v1", "models": ')
    active.logged("ML_REGISTRY_REFUSED")
    active.rises("grinder_ml_inference_total")
    assert active.serves() == FIRST
    deployment.deploy(active=SECOND)
    active.until(lambda: active.serves() == SECOND)


def test_a_tampered_artifact_is_never_loaded_and_a_repaired_one_is(
    active: EngineProcess, deployment: Deployment
) -> None:
    model = deployment.root / "artifacts" / "onnx" / SECOND / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    deployment.deploy(active=SECOND)
    active.logged(f"ONNX_DIGEST_MISMATCH {SECOND}: model.onnx")
    assert active.serves() == FIRST
    model.write_bytes(whole)
    active.until(lambda: active.serves() == SECOND)


def test_a_pointer_with_another_digest_than_the_file_is_refused(deployment: Deployment) -> None:
    text = deployment.registry.read_text().replace(deployment.pointer(FIRST)["model_sha256"], "0" * 64)
    write(deployment.registry, text)
    with engine(deployment, "active") as running:
        running.logged(f"ONNX_DIGEST_MISMATCH {FIRST}")
        running.rises("grinder_ml_block_total", reason="MODEL_NOT_LOADED")


def test_drill_faults_make_real_latency_and_real_errors(active: EngineProcess, deployment: Deployment) -> None:
    deployment.break_with(latency_ms=120)
    active.until(lambda: _slow(active) >= 2)
    deployment.break_with(error_rate=1.0)
    active.rises("grinder_ml_inference_errors_total", mode="active")
    active.logged("ML_INFER_ERROR InjectedError")
    inferred = active.value("grinder_ml_inference_total")
    active.rises("grinder_ml_inference_errors_total", mode="active")
    assert active.value("grinder_ml_inference_total") == inferred
    deployment.faults.unlink()
    active.rises("grinder_ml_inference_total")


def _slow(running: EngineProcess) -> float:
    return running.value(f"{LATENCY}_count") - running.value(f"{LATENCY}_bucket", le="100.0")


def test_counters_continue_a_back_filled_history(deployment: Deployment) -> None:
    counters = {
        'grinder_ml_inference_total{mode="shadow"}': 5000,
        'grinder_ml_inference_errors_total{mode="shadow"}': 7,
        'grinder_ml_block_total{reason="KILL_SWITCH_ENV"}': 11,
        f'{LATENCY}_sum{{mode="shadow"}}': 4000.5,
        'grinder_ml_inference_total{mode="active"}': 999_999,
    }
    bounds = ["1.0", "2", "5.0", "10.0", "25.0", "50.0", "100", "250.0", "500.0", "+Inf"]
    counters |= {f'{LATENCY}_bucket{{le="{bound}",mode="shadow"}}': 4900 + 10 * n for n, bound in enumerate(bounds)}
    write(deployment.root / "counters.json", json.dumps(counters))
    with engine(deployment, "shadow", "--counters", str(deployment.root / "counters.json")) as running:
        running.until(lambda: running.value("grinder_ml_inference_total") > 5000)
        assert running.value("grinder_ml_inference_total", mode="shadow") < 6000
        assert running.value("grinder_ml_inference_errors_total") == 7
        assert running.value("grinder_ml_block_total", reason="KILL_SWITCH_ENV") == 11
        assert running.value(f"{LATENCY}_bucket", le="100.0") > 4960
        assert running.value(f"{LATENCY}_count") > 4990
        assert running.value(f"{LATENCY}_sum") > 4000.5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_in_a_slow_inference(deployment: Deployment, number: signal.Signals) -> None:
    deployment.break_with(latency_ms=60_000)
    with engine(deployment, "active") as running:
        running.logged("ONNX_LOADED")
        assert running.end(number) == 0
        assert "Traceback" not in running.log.read_text()


def test_it_listens_on_the_loopback_address_only(active: EngineProcess) -> None:
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if f":{active.port:04X} " in line
    ]
    assert any(each.startswith("0100007F:") for each in listening)
    assert not any(each.startswith("00000000:") for each in listening)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stage", "staging"], "invalid choice"),
        (["--stage", "active", "--rate", "0"], "0 is not between 0 and 10000"),
        (["--stage", "active", "--counters", "/nonexistent"], "The engine cannot start: [Errno 2]"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_a_sentence(arguments: list[str], said: str) -> None:
    argv = [sys.executable, "-m", "ml.serving", "--registry", "models.json", "--model", MODEL, *arguments]
    ended = subprocess.run(argv, cwd=SOURCE, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


SPACING = "spacing_v2026_02_17_001"


@pytest.fixture
def spacing(deployment: Deployment) -> Deployment:
    """A deployment in which the model ``spacing_grid`` has a trained spacing model in active."""
    out = deployment.root / "artifacts" / "onnx" / SPACING
    train_artifact(
        Order(out_dir=out, dataset_id="d", seed=1, n_samples=800, model_type="spacing"),
        git_sha="a" * 40,
        now=datetime.now(UTC),
    )
    _serve_grid(deployment, SPACING)
    return deployment


def _serve_grid(deployment: Deployment, artifact: str) -> None:
    entry = {"staging": None, "shadow": None, "active": deployment.pointer(artifact), "history": []}
    write(deployment.registry, json.dumps({"schema_version": "v1", "models": {"spacing_grid": entry}}))


def test_a_spacing_model_is_served_and_its_answers_are_counted(spacing: Deployment) -> None:
    with engine(spacing, "active", "--model", "spacing_grid") as running:
        running.until(lambda: running.value("grinder_ml_inference_total", mode="active") >= 5)
        assert running.serves() == SPACING
        assert running.value("grinder_ml_inference_errors_total") == 0
        _serve_grid(spacing, FIRST)
        running.logged("ONNX_LOAD_FAILED")
        assert "spacing_multiplier" in running.log.read_text()
        assert running.serves() == SPACING


def test_an_answer_out_of_the_contracts_range_is_an_error(spacing: Deployment) -> None:
    folder = spacing.root / "artifacts" / "onnx" / SPACING
    manifest = json.loads((folder / "manifest.json").read_text())
    contract = SPACING_CONTRACT.document()
    outputs = contract["outputs"]
    assert isinstance(outputs, list)
    outputs[0]["range"] = {"minimum": 100.0}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"contract": contract}))
    with engine(spacing, "active", "--model", "spacing_grid") as running:
        running.rises("grinder_ml_inference_errors_total")
        assert running.value("grinder_ml_inference_total", mode="active") == 0
        running.logged("outputs.spacing_multiplier.range")
