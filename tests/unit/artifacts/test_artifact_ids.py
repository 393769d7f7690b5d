from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.artifacts.ids import ArtifactId, is_artifact_id, parse_id


@given(
    model=st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,5}){0,2}", fullmatch=True),
    day=st.dates(min_value=date(1000, 1, 1)),
    sequence=st.integers(1, 999),
)
def test_an_id_is_read_as_it_was_written(model: str, day: date, sequence: int) -> None:
    artifact_id = ArtifactId(model, day, sequence)
    assert parse_id(str(artifact_id)) == artifact_id


@pytest.mark.parametrize("text", ["regime_v2026_02_15_001", "regime_v2026_02_15_002", "spacing_v2026_02_16_001"])
def test_the_runbooks_examples_are_well_formed(text: str) -> None:
    assert str(parse_id(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "golden_regime_v1",
        "regime_v2026_02_30_001",
        "regime_v2026_13_01_001",
        "regime_v2025_02_29_001",
        "regime_v2026_02_15_000",
        "regime_v2026_02_15_1",
        "regime_v2026_02_15_001\n",
        "Regime_v2026_02_15_001",
        "../regime_v2026_02_15_001",
        "regime_v２０２６_02_15_001",
        "_v2026_02_15_001",
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert not is_artifact_id(text)


def test_the_error_says_what_is_wrong_and_shows_control_characters() -> None:
    with pytest.raises(ValueError, match="no real date"):
        parse_id("regime_v2026_02_30_001")
    with pytest.raises(ValueError, match="␛"):
        parse_id("\x1b[31mregime")
