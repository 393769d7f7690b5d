"""The git repository: all reads and writes of the console, through one runner.

Reading by plumbing costs one process of about 3 ms and works alike on SHA-1 and SHA-256, bare, shallow and
quarantined repositories; GitPython reads neither SHA-256 nor with a deadline (docs/decisions/gitpython.md), so it only
describes clones for people (`ml.adapters.git_clone`).
"""

from __future__ import annotations

from pathlib import Path

from ml.adapters import processes
from ml.adapters.git_clone import CloneDescribing
from ml.adapters.git_objects import AttributeReading, SignatureJudging
from ml.adapters.git_runner import GitRunner, plain
from ml.adapters.git_writing import CommitWriting, RemoteTalk
from ml.errors import Unavailable
from ml.ports import Runner
from ml.promotion.repository import CHANGE_PREFIXES, BaseRef, BranchInfo
from ml.text import visible


class Repository(AttributeReading, CommitWriting, RemoteTalk, SignatureJudging, CloneDescribing):
    """One git repository (`ml.promotion.repository.Writer`), named by any folder inside it."""

    def __init__(self, path: Path, *, run: Runner = processes.run) -> None:
        super().__init__(GitRunner(path, run))
        self.path = path

    def base(self, ref: str) -> BaseRef:
        """Find the base branch by a ref such as ``origin/main``, else the local branch of the same name.

        Raises:
            Unavailable: neither exists yet, for example before the first fetch.
        """
        remote, _, branch = ref.partition("/")
        if branch and self.url(remote):
            places = [(f"refs/remotes/{ref}", ref, branch), (f"refs/heads/{branch}", branch, branch)]
        else:
            remote = ""
            places = [(f"refs/heads/{name}", name, name) for name in (ref, branch) if name]
        for full, shown, name in places:
            commit = self.resolve(full)
            if commit:
                return BaseRef(shown, commit, remote, name)
        raise Unavailable(f"There is no branch {visible(ref)} here.", "Fetch first, or correct registry.ref.")

    def refs(self, pattern: str) -> tuple[tuple[str, str], ...]:
        """All refs under a prefix such as ``refs/approvals/``, as pairs of name and commit."""
        return self._listed(pattern)

    def branches(self, remote: str = "origin", *, unmerged_into: str = "") -> tuple[BranchInfo, ...]:
        """All change branches, local and of the remote as last fetched, by name.

        ``unmerged_into``: leave out the branches that this commit already contains.
        """
        local, tracked = "refs/heads/", f"refs/remotes/{remote}/"
        only = (f"--no-merged={plain(unmerged_into, 'a commit')}",) if unmerged_into else ()
        ours, there = (_changes_below(prefix, self._listed(prefix, *only)) for prefix in (local, tracked))
        tips = there | ours
        infos = {info.sha: info for info in self.commits(tuple(tips.values()))}
        return tuple(BranchInfo(name, infos[sha], pushed=there.get(name) == sha) for name, sha in sorted(tips.items()))

    def _listed(self, pattern: str, *only: str) -> tuple[tuple[str, str], ...]:
        out = self._git("for-each-ref", "--format=%(refname) %(objectname)", *only, "--", pattern)
        pairs = (line.split(" ") for line in out.decode("utf-8", "replace").splitlines())
        return tuple((name, commit) for name, commit in pairs)


def _changes_below(prefix: str, refs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    short = ((name.removeprefix(prefix), commit) for name, commit in refs)
    return {name: commit for name, commit in short if name.startswith(CHANGE_PREFIXES)}
