"""No module of the product leads back to itself by its imports, not even by those for types only."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest


def circle(*packages: str) -> list[str]:
    """Return one import circle among the modules of some packages; empty when there is none."""
    # Without a cache: another program may have kept an older state of the files.
    graph = grimp.build_graph(*packages, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_import_leads_back() -> None:
    assert circle("console", "widgets", "ml", "scripts") == []


@pytest.mark.parametrize(
    "back",
    [
        "import loop_of_a_test.a",
        "from loop_of_a_test import a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from loop_of_a_test.a import A",
        "def late():\n    from loop_of_a_test.a import A",
    ],
    ids=["module", "from", "for types", "inside a function"],
)
def test_a_circle_is_found_however_it_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: str) -> None:
    package = tmp_path / "loop_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").write_text("import loop_of_a_test.b\nclass A: ...\n")
    (package / "b.py").write_text(f"{back}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(circle("loop_of_a_test")) == {"loop_of_a_test.a", "loop_of_a_test.b"}
    (package / "b.py").write_text("import json\n")
    assert circle("loop_of_a_test") == []
