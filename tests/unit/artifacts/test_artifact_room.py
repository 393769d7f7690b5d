"""Room for large models: the sandbox's address space grows with the files, and a model that fills it is told so."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.artifacts import artifact_of, table_model

from ml.adapters import processes
from ml.artifacts.digests import MAX_BYTES
from ml.artifacts.probe import DEFAULT_LIMITS, Limits
from ml.artifacts.verify import Verifier
from ml.verdict import Verdict

_ROWS = 15_000
_BYTES = _ROWS * 4096 * 4


@pytest.mark.parametrize("size", [300 << 20, 2_280_000_000, MAX_BYTES])
def test_every_size_that_an_artifact_may_have_fits_into_the_sandbox(size: int) -> None:
    found = DEFAULT_LIMITS.with_room_for(size)
    assert found.address_space >= DEFAULT_LIMITS.address_space + 2 * size
    assert found.cpu_s > DEFAULT_LIMITS.cpu_s
    assert found.wall_s > DEFAULT_LIMITS.wall_s


def test_a_small_model_gets_no_more_than_the_limits() -> None:
    assert DEFAULT_LIMITS.with_room_for(8_000) == DEFAULT_LIMITS


def test_a_model_that_the_sandbox_cannot_hold_is_told_with_both_sizes(tmp_path: Path) -> None:
    """The words of native code, such as std::bad_alloc, name neither the limit nor the size."""
    directory = artifact_of(table_model("table.bin", _ROWS), tmp_path / "a", {"table.bin": bytes(_BYTES)})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    tight = Verifier(processes.run, scratch=scratch, limits=Limits(address_space=300 << 20))
    check = tight.verify(directory).check("load")
    assert check.verdict is not Verdict.PASS
    size = sum(path.stat().st_size for path in directory.iterdir() if path.name != "manifest.json")
    assert f"its files are {size:,} bytes" in check.why
    assert f"{300 << 20:,} bytes of address space" in check.why
