"""A hook of mkdocs that adds the pictures of snapshots/ to the site, for pages that link to them.

The runbook is kept word for word, with links to documents that are not part of this product; here they are words.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]


def on_files(files: Any, config: Any) -> Any:
    """Add every picture below ``snapshots/``."""
    from mkdocs.structure.files import File  # noqa: PLC0415 only mkdocs loads this, and only it has that

    for picture in sorted((_ROOT / "snapshots").rglob("*.svg")):
        files.append(File.generated(config, str(picture.relative_to(_ROOT)), abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point a page's pictures to where they are in the site; leave the runbook no link that leads nowhere."""
    if page.file.src_path.startswith("RUNBOOK"):
        return re.sub(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)[^)\s]+\)", r"\1", markdown)
    return markdown.replace("](../snapshots/", "](snapshots/")
