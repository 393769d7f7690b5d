"""The pages of docs/ that are made from the code say what the code says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from console.keys import APP_BINDINGS
from console.settings import SECTIONS
from ml.policy import Policy
from scripts.make_reference import DOCS, pages

PAGES = pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_page_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path], "run python -m scripts.make_reference"


def test_nothing_is_left_out() -> None:
    keys, settings, policy = (PAGES[DOCS / name] for name in ("keys.md", "configuration.md", "policy.md"))
    assert [each.id for each in APP_BINDINGS if each.tooltip and f"`{each.id}`" not in keys] == []
    for section, kind in SECTIONS.items():
        table = settings.partition(f"## [{section}]\n")[2].partition("\n## ")[0]
        assert [key for key in kind._fields if f"| `{key}` |" not in table] == []
    tables = (field.alias or name for name, field in Policy.model_fields.items() if name != "source")
    assert [name for name in tables if f"[{name}]" not in policy and f"[{name}.NAME]" not in policy] == []


def test_the_defaults_on_the_page_are_toml() -> None:
    for line in PAGES[DOCS / "policy.md"].splitlines():
        cells = [cell.strip() for cell in line.split(" | ")]
        if line.startswith("| `") and len(cells) == 3 and cells[1].startswith("`"):
            assert tomllib.loads(f"value = {cells[1].strip('`')}")
