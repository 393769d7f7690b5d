"""Every link and picture of the documents leads to something, here and on the documents' site."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import console
from scripts import site_pictures

ROOT = Path(console.__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# The runbook is kept word for word, with links to documents that are not part of this product.
PAGES = sorted(path for path in DOCS.rglob("*.md") if not path.name.startswith("RUNBOOK"))
OTHERS = sorted(ROOT.glob("*.md"))


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
