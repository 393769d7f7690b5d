"""The git attributes that a commit gives to its files: what a checkout would do to their bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ml.adapters.git_objects import ObjectReading
from ml.adapters.git_runner import plain

_CONVERSIONS = ("filter", "ident", "working-tree-encoding", "text", "eol", "crlf")


class AttributeReading(ObjectReading):
    """Asks git itself, with an index of our own that holds the commit's attribute files alone."""

    def attributes(self, commit: str, paths: Sequence[str]) -> dict[str, dict[str, str]]:
        """The attributes by which git converts each path at checkout: ``set``, ``unset`` or a value, by name.

        Those of this clone (``info/attributes``, ``core.attributesFile``) count too, as they do at a checkout here.
        Three processes, whatever the number of paths; paths without such attributes are left out.
        """
        if not paths:
            return {}
        files = [entry for entry in self.tree(commit) if entry.path.rpartition("/")[2] == ".gitattributes"]
        listed = "".join(f"{entry.mode} {entry.blob}\t{entry.path}\0" for entry in files)
        with tempfile.TemporaryDirectory(prefix="mlconsole-attributes-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self._git("update-index", "-z", "--index-info", stdin=listed.encode("utf-8", "surrogateescape"), env=index)
            asked = "".join(f"{plain(path, 'a path')}\0" for path in paths).encode("utf-8", "surrogateescape")
            out = self._git("check-attr", "--cached", "-z", "--stdin", *_CONVERSIONS, stdin=asked, env=index)
        said = out.decode("utf-8", "surrogateescape").split("\0")
        found: dict[str, dict[str, str]] = {}
        for path, name, value in zip(said[:-1:3], said[1::3], said[2::3], strict=True):
            if value != "unspecified":
                found.setdefault(path, {})[name] = value
        return found
