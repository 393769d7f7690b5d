"""Every link, picture and path of the documents leads to something, here and on the documents' site."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import console
from scripts import prose, site_pictures

ROOT = Path(console.__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# The runbook is kept word for word, with links to documents that are not part of this product.
PAGES = sorted(path for path in DOCS.rglob("*.md") if not path.name.startswith("RUNBOOK"))
OTHERS = sorted(ROOT.glob("*.md"))
FOLDERS = ("benchmarks", "console", "ml", "scripts", "tests", "widgets")
OF_A_REPOSITORY = re.compile(r"ml/registry/(?!.*\.py$)")
"""Data of the repository that holds a registry, which is not this one."""
PLACED = re.compile(r"^\| [^|]+ \| `([\w/]+\.py)` \| `([^`]+)` \|$", re.MULTILINE)
"""A row of the table "Where to find": what, file, name."""


def headings(page: Path) -> set[str]:
    """The anchors of a page, as mkdocs makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", each, flags=re.ASCII).strip().lower()) for each in found}


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def paths_in(text: str) -> set[str]:
    """Paths of this repository that a document names: files, folders, modules with dots. NAME stands for a new one."""
    folders = "|".join(FOLDERS)
    slashed = re.findall(rf"(?<![\w./-])((?:{folders})/[\w./*-]*)", text)
    dotted = re.findall(rf"(?<![\w./-])((?:{folders})(?:\.[a-z_]\w*)+)(?![\w/])", text)
    found = {path.rstrip(".") for path in slashed} | {path for path in dotted if not path.endswith(".toml")}
    return {path for path in found if "NAME" not in path}


def is_there(named: str) -> bool:
    """Whether a path, a pattern, or a module (perhaps with a name in it) is in this repository."""
    if "/" in named:
        return any(ROOT.glob(named.rstrip("/")))
    module = ROOT.joinpath(*named.split("."))
    if module.is_dir() or module.with_suffix(".py").is_file():
        return True
    name = rf"\b(?:def|class) {module.name}\b|^{module.name}\b"
    homes = (module.parent.with_suffix(".py"), module.parent / "__init__.py")
    return any(home.is_file() and re.search(name, home.read_text(encoding="utf-8"), re.MULTILINE) for home in homes)


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_every_named_path_is_in_the_repository(page: Path) -> None:
    named = paths_in(page.read_text(encoding="utf-8"))
    assert [path for path in sorted(named) if not OF_A_REPOSITORY.match(path) and not is_there(path)] == []


def test_every_module_that_is_named_without_a_folder_is_in_the_repository() -> None:
    there = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    named = {
        name for page in (*PAGES, *OTHERS) for name in re.findall(r"(?<![\w/.*-])\w+\.py\b", page.read_text("utf-8"))
    }
    assert len(named) > 20
    assert {name for name in named if not name.startswith("NAME")} - there == set()


def test_a_path_that_moved_is_noticed() -> None:
    kept = "`ml/slo/judge.py`, tests/real/test_*.py, `ml.text.visible`, `ml.slo.v1`, console.toml"
    gone = "`ml/gone.py`, `ml.text.gone`, `ml.gone`."
    assert len(paths_in(kept)) == 4
    assert {path for path in paths_in(kept + gone) if not is_there(path)} == {"ml/gone.py", "ml.text.gone", "ml.gone"}


def test_every_name_of_the_architecture_stands_in_its_file() -> None:
    rows = PLACED.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert len(rows) > 10
    assert [(file, name) for file, name in rows if name not in (ROOT / file).read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    ("file", "name", "line"),
    [
        ("ml/policy/sections.py", "_DEFAULTS", '_latency("p99", 0.99, 100.0, gate=True)'),
        ("ml/slo/judge.py", "_pass", "long.value < case.limit and short.value < case.limit"),
        ("ml/emergency/killfile.py", "replace_file(self._path", "replace_file(self._path, data, "),
        ("ml/records/durable.py", "replace_file", "os.rename(part, target)"),
    ],
)
def test_the_architecture_leads_a_reader_to_the_lines_that_decide(file: str, name: str, line: str) -> None:
    architecture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert "(ARCHITECTURE.md#where-to-find)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"| `{file}` | `{name}` |" in architecture
    assert line in (ROOT / file).read_text(encoding="utf-8")


def test_the_documents_are_in_plain_english() -> None:
    documents = [ROOT / name for name in (*prose.DOCUMENTS, "CHANGELOG.md")]
    assert [str(finding) for finding in prose.check(documents)] == []


def test_every_page_is_in_the_site_once() -> None:
    listed = re.findall(r": ([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_the_pages_reach_outside_docs_for_pictures_only() -> None:
    for page in PAGES:
        outside = re.findall(r"\]\((\.\./[^)]+)\)", page.read_text(encoding="utf-8"))
        allowed = "../snapshots/" if page.parent == DOCS else "../"
        assert [link for link in outside if not link.startswith(allowed)] == [], page.name


def test_the_site_has_no_link_of_the_runbook_that_leads_nowhere() -> None:
    runbook = next(DOCS.glob("RUNBOOK*.md"))
    page = SimpleNamespace(file=SimpleNamespace(src_path=runbook.name))
    shown = site_pictures.on_page_markdown(runbook.read_text(encoding="utf-8"), page)
    assert re.findall(r"\]\((?!#|https?:)", shown) == []
    assert "18_ML_INFERENCE_SLOS.md" in runbook.read_text(encoding="utf-8")
