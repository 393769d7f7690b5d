"""The page about the registry says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from ml.policy import parse_policy
from ml.registry import doctor
from ml.registry.schema import ALIASES
from ml.session import standings

PAGE = (Path(__file__).parents[3] / "docs/registry.md").read_text(encoding="utf-8")


def test_every_code_of_the_doctor_is_explained() -> None:
    code = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in (doctor, standings))
    named = set(re.findall(r'Finding\(\s*"([a-z-]+)"', code))
    table = PAGE.split("## What `check` names")[1].split("## The policy")[0]
    assert set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", table)) == named


def test_the_policy_that_is_shown_is_one() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    shown = parse_policy(text.encode())
    assert (shown.objectives[0].limit, shown.freezes[0].reason) == (80, "holidays")


def test_both_vocabularies_are_in_the_table() -> None:
    table = PAGE.split("## Two vocabularies")[1].split("## Legal changes")[0]
    assert [key for keys in ALIASES.values() for key in keys if f"`{key}`" not in table] == []
