"""Drafts survive, belong to their artifact, and never stand in the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ml.errors import Unavailable
from ml.records.drafts import Draft, Drafts
from ml.stage import Stage

DRAFT = Draft(
    model="regime_classifier",
    to_stage=Stage.ACTIVE,
    model_sha256="a" * 64,
    reason="soak passed",
    finding="stable — nothing odd",
    waivers=(("p99", "known"),),
)


def found(drafts: Drafts, digest: str = "a" * 64) -> Draft | None:
    return drafts.find("regime_classifier", Stage.ACTIVE, digest)


def test_a_draft_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    Drafts(tmp_path / "drafts").keep(DRAFT)
    Drafts(tmp_path / "drafts").keep(replace(DRAFT, reason="changed my mind"))
    assert found(Drafts(tmp_path / "drafts")) == replace(DRAFT, reason="changed my mind")


def test_a_draft_belongs_to_one_artifact_and_one_step(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    drafts.keep(DRAFT)
    assert found(drafts, "b" * 64) is None
    assert drafts.find("regime_classifier", Stage.SHADOW, "a" * 64) is None


def test_a_dropped_or_damaged_draft_is_none(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    assert found(drafts) is None
    for content in (b"", b"{", b"[]", b'{"model": 1}', b"\xff"):
        (tmp_path / "regime_classifier-active.json").write_bytes(content)
        assert found(drafts) is None
    drafts.keep(DRAFT)
    drafts.drop("regime_classifier", Stage.ACTIVE)
    drafts.drop("regime_classifier", Stage.ACTIVE)
    assert found(drafts) is None


def test_a_draft_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be kept"):
        Drafts(tmp_path / "file" / "drafts").keep(DRAFT)
