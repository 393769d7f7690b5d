"""The trainer as the runbook types it: real scikit-learn, real processes, the same bytes each time."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from support.artifacts import ROOT, sha256, verifier

from ml.artifacts.questions import market_features
from ml.contract import FEATURES, REGIMES
from ml.errors import Usage
from ml.ports import Finished
from ml.training.dataset import load
from ml.training.run import Order, train_artifact
from ml.verdict import Verdict

DATASET = "production_data_v4"


def train(out_dir: Path, *further: str, cwd: Path = ROOT, dataset: str = DATASET, seed: int = 42) -> Finished:
    argv = [sys.executable, "-m", "scripts.train_regime_model", "--out-dir", out_dir, "--dataset-id", dataset]
    ended = subprocess.run(
        [*argv, "--seed", str(seed), *further],
        cwd=cwd,
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    return Finished(ended.returncode, ended.stdout, ended.stderr, 0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact trained by the runbook's command."""
    out_dir = tmp_path_factory.mktemp("made") / "regime_v2026_02_16_001"
    ended = train(out_dir, "--notes", "New training data Feb 2026", "--n-samples", "2000")
    assert ended.code == 0, ended.err.decode()
    assert sha256(out_dir / "model.onnx") in ended.out.decode()
    assert ended.err == b""
    return out_dir


def write_csv(path: Path, rows: int = 400) -> Path:
    """A dataset of calm, ordinary and violent hours by their volatility, with a column that nobody asked for."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["comment", "regime", *FEATURES])
        for row in market_features(5, rows):
            volatility = row[FEATURES.index("volatility_1h_bps")]
            writer.writerow(["x", REGIMES[int(volatility > 35) + int(volatility > 80)], *map(float, row)])
    return path


def test_the_artifact_passes_every_check_at_once(made: Path, tmp_path: Path) -> None:
    found = verifier(tmp_path).verify(made)
    assert {check.verdict for check in found.checks} == {Verdict.PASS}, found.checks


def test_manifest_and_report_say_where_it_comes_from(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    report = json.loads((made / "train_report.json").read_text())
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=made, capture_output=True, text=True, check=False)
    assert head.returncode != 0, "the temporary directory must not lie in a repository for this test"
    assert manifest["schema_version"] == "v1.1"
    assert manifest["git_sha"] is None
    assert tuple(manifest["feature_order"]) == FEATURES
    assert manifest["dataset_id"] == report["dataset_id"] == DATASET
    assert manifest["notes"] == report["notes"] == "New training data Feb 2026"
    assert set(manifest["sha256"]) == {path.name for path in made.iterdir()} - {"manifest.json"}
    assert report["model_sha256"] == manifest["sha256"]["model.onnx"] == sha256(made / "model.onnx")
    assert report["n_samples"] == 2000
    assert report["held_out"]["accuracy"] > 0.75


def test_the_same_order_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "again", "--n-samples", "2000", "--notes", "other words").code == 0
    assert (tmp_path / "again" / "model.onnx").read_bytes() == (made / "model.onnx").read_bytes()


@pytest.mark.parametrize(("dataset", "seed", "rows"), [("other", 42, 2000), (DATASET, 43, 2000), (DATASET, 42, 2001)])
def test_another_order_gives_other_bytes(made: Path, tmp_path: Path, dataset: str, seed: int, rows: int) -> None:
    order = Order(out_dir=tmp_path / "other", dataset_id=dataset, seed=seed, n_samples=rows)
    result = train_artifact(order, git_sha=None, now=datetime(2026, 2, 16, tzinfo=UTC))
    assert result.model_sha256 == sha256(tmp_path / "other" / "model.onnx")
    assert result.model_sha256 != sha256(made / "model.onnx")


def test_a_committed_artifact_can_be_trained_again(tmp_path: Path) -> None:
    committed = ROOT / "artifacts" / "onnx" / "regime_v2026_02_15_001"
    report = json.loads((committed / "train_report.json").read_text())
    again = train(
        tmp_path / "again",
        "--n-samples",
        str(report["n_samples"]),
        dataset=report["dataset_id"],
        seed=report["seed"],
    )
    assert again.code == 0
    ours, theirs = (folder / "model.onnx" for folder in (tmp_path / "again", committed))
    assert sha256(theirs) == report["model_sha256"]
    # The artifact was made with AVX-512; other kernels of OpenBLAS round the last digit differently.
    if "avx512f" in Path("/proc/cpuinfo").read_text():
        assert sha256(ours) == sha256(theirs)
    else:
        assert _same_but_for_rounding(ours, theirs)


def _same_but_for_rounding(one: Path, other: Path) -> bool:
    """Return True when two models have the same graph, and numbers that agree to the last digit kept (1e-4)."""
    import numpy as np  # noqa: PLC0415
    import onnx  # noqa: PLC0415
    from onnx import numpy_helper  # noqa: PLC0415

    def taken_apart(path: Path) -> tuple[bytes, list[Any]]:
        model = onnx.load(path)
        numbers: list[Any] = []
        for initializer in model.graph.initializer:
            numbers.append(numpy_helper.to_array(initializer))
            initializer.ClearField("raw_data")
            initializer.ClearField("float_data")
        for attribute in (each for node in model.graph.node for each in node.attribute):
            numbers.append(np.array([attribute.f, *attribute.floats]))
            attribute.ClearField("f")
            attribute.ClearField("floats")
        return model.SerializeToString(deterministic=True), numbers

    (graph, numbers), (graph_again, numbers_again) = taken_apart(one), taken_apart(other)
    same = [np.allclose(left, right, rtol=1e-4, atol=2e-4) for left, right in zip(numbers, numbers_again, strict=True)]
    return graph == graph_again and bool(same) and all(same)


def test_the_commit_is_recorded_where_there_is_a_repository(tmp_path: Path) -> None:
    for argv in (
        ["init", "-q"],
        ["-c", "user.name=t", "-c", "user.email=t@e", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *argv], cwd=tmp_path, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert train(Path("deep/er/regime_v2026_02_16_001"), "--n-samples", "500", cwd=tmp_path).code == 0
    manifest = json.loads((tmp_path / "deep/er/regime_v2026_02_16_001/manifest.json").read_text())
    assert manifest["git_sha"] == head.stdout.strip()


def test_nothing_is_ever_overwritten(made: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    refused = train(made)
    assert refused.code == 2
    assert b"exists already. Nothing was overwritten" in refused.err
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    assert [path.name for path in made.parent.iterdir()] == [made.name]
    file = tmp_path / "file"
    file.write_text("mine")
    assert train(file).code == 2
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("further", "said"),
    [
        (["--n-samples", "99"], b"--n-samples 99 is not between"),
        (["--n-samples", "x"], b"invalid int value"),
        (["--seed", "-1"], b"--seed -1 is not between"),
        (["--dataset-path", "absent.csv"], b"absent.csv cannot be read"),
        (["--dataset-path", "data.xlsx"], b"neither .csv nor .parquet"),
        (["--unknown"], b"unrecognized arguments"),
    ],
)
def test_a_wrong_order_is_usage_and_writes_nothing(further: list[str], said: bytes, tmp_path: Path) -> None:
    refused = train(tmp_path / "out", *further)
    assert refused.code == 2
    assert said in refused.err
    assert b"Traceback" not in refused.err
    assert list(tmp_path.iterdir()) == []


def test_a_csv_is_learnt_from_and_its_digest_recorded(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "data.csv")
    ended = train(tmp_path / "regime_v2026_02_16_001", "--dataset-path", str(data))
    assert ended.code == 0, ended.err.decode()
    report = json.loads((tmp_path / "regime_v2026_02_16_001" / "train_report.json").read_text())
    assert report["dataset_sha256"] == sha256(data)
    assert report["dataset_file"] == "data.csv"
    assert report["n_samples"] == sum(report["classes"].values()) == 400
    assert verifier(tmp_path / "scratch").verify(tmp_path / "regime_v2026_02_16_001").valid


def test_parquet_is_learnt_from_like_the_csv_of_the_same_rows(tmp_path: Path) -> None:
    rows = pyarrow.csv.read_csv(write_csv(tmp_path / "data.csv"))
    data = tmp_path / "data.parquet"
    pyarrow.parquet.write_table(rows, data)
    trained = {}
    for file in ("data.csv", "data.parquet"):
        out = tmp_path / file.partition(".")[2] / "regime_v2026_02_16_001"
        ended = train(out, "--dataset-path", str(tmp_path / file))
        assert ended.code == 0, ended.err.decode()
        trained[file] = json.loads((out / "train_report.json").read_text())
    assert trained["data.parquet"]["dataset_sha256"] == sha256(data)
    assert trained["data.parquet"]["model_sha256"] == trained["data.csv"]["model_sha256"]
    assert verifier(tmp_path / "scratch").verify(out).valid


def _no_label(rows: pyarrow.Table) -> pyarrow.Table:
    return rows.drop_columns(["regime"])


def _a_hole(rows: pyarrow.Table) -> pyarrow.Table:
    holed = pyarrow.array([None, *rows["spread_bps"].to_pylist()[1:]], pyarrow.float64())
    return rows.set_column(rows.column_names.index("spread_bps"), "spread_bps", holed)


def _words(rows: pyarrow.Table) -> pyarrow.Table:
    return rows.set_column(rows.column_names.index("spread_bps"), "spread_bps", pyarrow.array(["wide"] * len(rows)))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_no_label, b"lacks the column regime"),
        (_a_hole, b"row 1: spread_bps is"),
        (_words, b"row 1: spread_bps is 'wide'"),
        (None, b"data.parquet is not valid Parquet"),
    ],
)
def test_an_unusable_parquet_is_named_too(
    damage: Callable[[pyarrow.Table], pyarrow.Table] | None, said: bytes, tmp_path: Path
) -> None:
    rows = pyarrow.csv.read_csv(write_csv(tmp_path / "data.csv"))
    data = tmp_path / "data.parquet"
    pyarrow.parquet.write_table(damage(rows) if damage is not None else rows, data)
    if damage is None:
        data.write_bytes(data.read_bytes()[:-100])
    refused = train(tmp_path / "out", "--dataset-path", str(data))
    assert refused.code == 1
    assert said in refused.err
    assert b"Traceback" not in refused.err
    assert not (tmp_path / "out").exists()


def test_fewer_rows_than_the_file_has_are_chosen_by_the_seed(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "data.csv")
    parts = [load(data, seed, 200) for seed in (1, 1, 2)]
    assert [len(part.labels) for part in parts] == [200] * 3
    assert (parts[0].features == parts[1].features).all()
    assert not (parts[0].features == parts[2].features).all()
    with pytest.raises(Usage, match="more than the 400 rows"):
        load(data, 1, 401)


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", 1, b"lacks the columns price_mid"),
        (b"regime\nLOW\n", 1, b"lacks the columns price_mid"),
        (
            b"%s\n%sLOW\n" % ((",".join([*FEATURES, "regime"])).encode(), b"1," * 14 + b"nan,"),
            1,
            b"row 1: momentum_1h is 'nan'",
        ),
        (b"%s\n%sLOW\n" % ((",".join([*FEATURES, "regime"])).encode(), b"1e39," * 15), 1, b"no finite number"),
        (b"%s\n%slow\n" % ((",".join([*FEATURES, "regime"])).encode(), b"1," * 15), 1, b"row 1: regime is 'low'"),
        (b"%s\n%sLOW\n" % ((",".join([*FEATURES, "regime"])).encode(), b"1," * 15), 1, b"has 1 rows labeled LOW"),
        (b"%s\n1\n" % (",".join([*FEATURES, "regime"])).encode(), 1, b"price_bid is ''"),
        (b"\xff\xfe\x00", 1, b"is not valid CSV"),
        (b'%s\n"' % (",".join([*FEATURES, "regime"])).encode(), 1, b"is not valid CSV"),
    ],
)
def test_an_unusable_dataset_is_named_by_row_and_column(content: bytes, code: int, said: bytes, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    refused = train(tmp_path / "out", "--dataset-path", str(tmp_path / "data.csv"))
    assert refused.code == code
    assert said in refused.err
    assert b"Traceback" not in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


@pytest.mark.parametrize(
    ("absent", "further", "said"),
    [
        (("sklearn", "skl2onnx", "onnx"), [], b"pip install 'mlconsole[train]'"),
        (("pyarrow",), ["--dataset-path", "data.parquet"], b"Reading Parquet needs pyarrow"),
    ],
)
def test_a_missing_library_is_said_in_a_sentence(
    absent: tuple[str, ...], further: list[str], said: bytes, tmp_path: Path
) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    packages = _packages_without(absent, tmp_path / "packages")
    ended = subprocess.run(
        [sys.executable, "-S", "-m", "scripts.train_regime_model", "--out-dir", "out", "--dataset-id", "x", *further],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{packages}"},
    )
    assert ended.returncode == 3, ended.stderr.decode()
    assert said in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def _packages_without(absent: tuple[str, ...], to: Path) -> Path:
    """A directory with all installed packages but some."""
    to.mkdir()
    for entry in Path(np.__file__).parents[1].iterdir():
        if entry.name not in absent:
            (to / entry.name).symlink_to(entry)
    return to


def test_a_spacing_model_passes_every_check_and_its_bytes_are_the_orders(tmp_path: Path) -> None:
    for name in ("one", "two"):
        ended = train(tmp_path / name / "spacing_v2026_02_16_001", "--model-type", "spacing", "--n-samples", "2000")
        assert ended.code == 0, ended.err.decode()
        assert ended.err == b""
        assert b"mean absolute error" in ended.out
    one, two = (tmp_path / name / "spacing_v2026_02_16_001" for name in ("one", "two"))
    assert (one / "model.onnx").read_bytes() == (two / "model.onnx").read_bytes()
    found = verifier(tmp_path / "scratch").verify(one)
    assert {check.verdict for check in found.checks} == {Verdict.PASS}, found.checks
    report = json.loads((one / "train_report.json").read_text())
    assert report["held_out"]["r2"] > 0.7
    golden = json.loads((one / "golden.json").read_text())
    assert len({tuple(row) for row in golden["outputs"]}) > 8


def test_a_spacing_model_learns_from_a_table_of_multipliers(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    with data.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*FEATURES, "spacing_multiplier"])
        for row in market_features(5, 300):
            writer.writerow([*map(float, row), 0.5 + float(row[FEATURES.index("volatility_1h_bps")]) / 100])
    out = tmp_path / "spacing_v2026_02_16_001"
    ended = train(out, "--model-type", "spacing", "--dataset-path", str(data))
    assert ended.code == 0, ended.err.decode()
    assert verifier(tmp_path / "scratch").verify(out).valid
    data.write_text(data.read_text().replace("\r\n", "\n").rpartition(",")[0] + ",-1\n")
    refused = train(tmp_path / "other", "--model-type", "spacing", "--dataset-path", str(data))
    assert refused.code == 1
    assert b"row 300: spacing_multiplier is '-1'. It must be a positive number." in refused.err


def test_a_model_under_the_id_of_another_family_is_told(tmp_path: Path) -> None:
    ended = train(tmp_path / "regime_v2026_02_16_001", "--model-type", "spacing", "--n-samples", "500")
    assert ended.code == 0
    assert b"names a regime model, and this is a spacing model" in ended.err
