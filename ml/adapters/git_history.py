"""Readers of commits, refs and signatures."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ml.adapters.git_clone import GitClone
from ml.adapters.git_runner import GitRunner, failure, plain
from ml.adapters.git_writing import GitRemotes
from ml.errors import Invalid, Unavailable
from ml.promotion.repository import CHANGE_PREFIXES, BaseRef, BranchInfo, CommitInfo, Person, Signature
from ml.text import visible

_FORMAT = "%x00".join(("%m", "%H", "%P", "%T", "%an", "%ae", "%cn", "%ce", "%ct", "%B"))
_FIELDS = _FORMAT.count("%x00") + 1
_LOG = (
    "log",
    "-z",
    f"--format={_FORMAT}",
    "--no-show-signature",
    "--no-mailmap",
    "--no-color",
    "--no-notes",
    "--encoding=none",
)
_OUTSIDE = "-"
_HEADS = frozenset({"HEAD", "FETCH_HEAD", "ORIG_HEAD", "MERGE_HEAD", "@"})
_WHOLE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_OBJECT_ID = re.compile(r"[0-9a-f]{7,64}")
_SUFFIX = re.compile(r"(?:[~^]\d*)*$")


class GitHistory:
    """Reads commits (`ml.promotion.repository.History`). Every method starts one git process."""

    def __init__(self, git: GitRunner) -> None:
        self._git = git

    def commit(self, sha: str) -> CommitInfo:
        """One commit. Raises Unavailable when the repository does not have it."""
        return self._commits("--no-walk", plain(sha, "a commit"))[0]

    def commits(self, shas: Sequence[str]) -> tuple[CommitInfo, ...]:
        """Several commits at once, in no particular order, each once."""
        return self._commits("--no-walk=unsorted", *(plain(sha, "a commit") for sha in shas)) if shas else ()

    def between(self, base: str, head: str) -> tuple[CommitInfo, ...]:
        """Every commit that ``head`` reaches and ``base`` does not, each after all of its parents."""
        return self._commits("--reverse", "--topo-order", plain(head, "a commit"), f"^{plain(base, 'a commit')}")

    def span(self, base: str, head: str) -> tuple[tuple[CommitInfo, ...], tuple[CommitInfo, ...]]:
        """`between`, and besides those commits their parents outside, and ``base``, in no particular order."""
        ends = (plain(head, "a commit"), f"^{plain(base, 'a commit')}")
        listed = self._listed("--boundary", "--reverse", "--topo-order", *ends)
        inside = tuple(commit for mark, commit in listed if mark != _OUTSIDE)
        outside = {commit.sha: commit for mark, commit in listed if mark == _OUTSIDE}
        wanted = {base, *(parent for commit in inside for parent in commit.parents)} - {each.sha for each in inside}
        missing = sorted(wanted - outside.keys())
        return inside, (*outside.values(), *self.commits(missing))

    def weight(self, commit: str, remote: str) -> int:
        """The bytes on disk that a commit needs and no branch of a remote, as last fetched, holds yet."""
        known = f"--remotes={plain(remote, 'a remote')}"
        ends = (plain(commit, "a commit"), "--not", known)
        return int(self._git("rev-list", "--objects", "--disk-usage", *ends).decode("ascii") or "0")

    def independent(self, commits: Sequence[str]) -> tuple[str, ...]:
        """Those of some commits that none of the others reaches."""
        out = self._git("merge-base", "--independent", *(plain(commit, "a commit") for commit in commits))
        return tuple(out.decode("ascii").split())

    def touching(self, commit: str, path: str, limit: int) -> tuple[CommitInfo, ...]:
        """The newest commits on a first-parent chain that changed a path, newest first."""
        return self._commits("--first-parent", f"--max-count={limit}", plain(commit, "a commit"), "--", path)

    def _commits(self, *selection: str) -> tuple[CommitInfo, ...]:
        return tuple(commit for _, commit in self._listed(*selection))

    def _listed(self, *selection: str) -> tuple[tuple[str, CommitInfo], ...]:
        """Commits, each with git's mark: ``-`` for one at the edge of the selection."""
        args = selection if "--" in selection else (*selection, "--")
        out = self._git(*_LOG, *args).decode("utf-8", "replace")
        fields = out.removesuffix("\0").split("\0") if out else []
        if len(fields) % _FIELDS:
            raise Invalid("A commit here holds what no commit may hold.", "Run git fsck, and do not use that commit.")
        rows = (fields[at : at + _FIELDS] for at in range(0, len(fields), _FIELDS))
        return tuple((mark.strip(), _commit(row)) for mark, *row in rows)

    def is_ancestor(self, older: str, newer: str) -> bool:
        """True if ``older`` is ``newer`` or one of its ancestors."""
        ended = self._git.finished("merge-base", "--is-ancestor", plain(older, "a commit"), plain(newer, "a commit"))
        return ended.code == 0

    def merge_base(self, one: str, other: str) -> str | None:
        """The newest commit that two revisions have in common, or ``None``."""
        ended = self._git.finished("merge-base", plain(one, "a revision"), plain(other, "a revision"))
        if ended.code not in (0, 1):
            raise failure("merge-base", ended.err)
        return ended.out.decode("ascii").strip() or None


def _commit(fields: Sequence[str]) -> CommitInfo:
    sha, parents, tree, author, author_email, committer, committer_email, at, message = fields
    try:
        moment = datetime.fromtimestamp(int(at), UTC)
    except (ValueError, OverflowError, OSError) as error:
        why = f"The commit {visible(sha.strip()[:12])} has a date that is in no calendar."
        raise Invalid(why, "Do not use that commit; make it anew with a right clock.") from error
    return CommitInfo(
        sha=sha.strip(),
        parents=tuple(parents.split()),
        tree=tree,
        author=Person(author, author_email),
        committer=Person(committer, committer_email),
        at=moment,
        message=message,
    )


class GitRefs:
    """Reads and moves refs (`ml.promotion.repository.RefWriter`)."""

    def __init__(self, git: GitRunner, history: GitHistory, remotes: GitRemotes, clone: GitClone) -> None:
        self._git, self._history, self._remotes, self._clone = git, history, remotes, clone

    def resolve(self, rev: str) -> str | None:
        """The commit that a revision names, or ``None``.

        ``origin/main`` is the remote's branch, else the local one, and then an object id. git itself would prefer a
        tag of that name, which anybody with push access can make; a tag counts only as ``refs/tags/NAME``.
        """
        name, suffix = _split(plain(rev, "a revision"))
        if name in _HEADS or _WHOLE_ID.fullmatch(name):
            return self._peeled(rev)
        for full in (name,) if name.startswith("refs/") else (f"refs/remotes/{name}", f"refs/heads/{name}"):
            ended = self._git.finished("show-ref", "--verify", "--hash", full)
            if ended.code == 0:
                found = ended.out.decode("ascii").strip()
                return self._peeled(found + suffix) if suffix or full.startswith("refs/tags/") else found
        return self._abbreviated(name, suffix) if _OBJECT_ID.fullmatch(name) else None

    def _abbreviated(self, name: str, suffix: str) -> str | None:
        """Return the only commit with this abbreviated id. Git would prefer a tag of the same name."""
        listed = self._git.finished("rev-parse", f"--disambiguate={name}").out.decode("ascii", "replace").split()
        found = {commit for each in listed if (commit := self._peeled(each + suffix))}
        return found.pop() if len(found) == 1 else None

    def _peeled(self, rev: str) -> str | None:
        ended = self._git.finished("rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
        return ended.out.decode("ascii").strip() if ended.code == 0 else None

    def base(self, ref: str) -> BaseRef:
        """Find the base branch by a ref such as ``origin/main``, else the local branch of the same name.

        For a ref that nobody configured, the remote's default branch comes before a local one (`GitClone.followed`).

        Raises:
            Unavailable: neither exists yet, for example before the first fetch.
        """
        remote, _, branch = ref.partition("/")
        if branch and self._remotes.url(remote):
            places = [(f"refs/remotes/{ref}", ref, branch), (f"refs/heads/{branch}", branch, branch)]
        else:
            remote = ""
            places = [(f"refs/heads/{name}", name, name) for name in (ref, branch) if name]
        for full, shown, name in places:
            commit = self.resolve(full)
            if commit:
                return BaseRef(shown, commit, remote, name)
            if remote and full.startswith("refs/remotes/") and (other := self._clone.followed(ref)) != ref:
                return self.base(other)
        raise Unavailable(f"There is no branch {visible(ref)} here.", "Fetch first, or correct registry.ref.")

    def below(self, *patterns: str) -> tuple[tuple[str, str], ...]:
        """All refs under some prefixes such as ``refs/approvals/``, as pairs of name and commit."""
        return self._listed(patterns)

    def branches(self, remote: str = "origin", *, unmerged_into: str = "", fork: str = "") -> tuple[BranchInfo, ...]:
        """All change branches, local and of the remote as last fetched, by name; ``fork`` is one more remote.

        ``unmerged_into``: leave out the branches that this commit already contains.
        """
        only = (f"--no-merged={plain(unmerged_into, 'a commit')}",) if unmerged_into else ()
        places = ["refs/heads/", *(f"refs/remotes/{each}/" for each in (remote, fork) if each)]
        ours, there, *more = (_changes_below(prefix, self._listed((prefix,), *only)) for prefix in places)
        for theirs in more:
            there |= theirs
        tips = there | ours
        infos = {info.sha: info for info in self._history.commits(tuple(tips.values()))}
        return tuple(BranchInfo(name, infos[sha], pushed=there.get(name) == sha) for name, sha in sorted(tips.items()))

    def _listed(self, patterns: Sequence[str], *only: str) -> tuple[tuple[str, str], ...]:
        out = self._git("for-each-ref", "--format=%(refname) %(objectname)", *only, "--", *patterns)
        pairs = (line.split(" ") for line in out.decode("utf-8", "replace").splitlines())
        return tuple((name, commit) for name, commit in pairs)

    def create(self, ref: str, commit: str) -> None:
        """Create a ref that must not exist yet. Raises Conflict when it does."""
        self.move(ref, commit, "")

    def move(self, ref: str, new: str, old: str) -> None:
        """Move a ref by compare-and-swap; an empty ``old`` means that it must not exist. Raises Conflict."""
        expected = old or "0" * len(new)
        self._git("update-ref", "-m", "mlconsole", plain(ref, "a ref"), new, expected)

    def delete(self, ref: str, old: str) -> None:
        """Delete a ref by compare-and-swap. Raises Conflict when it is not at ``old``."""
        self._git("update-ref", "-d", plain(ref, "a ref"), plain(old, "a commit"))

    def checked_out(self, branch: str) -> bool:
        """True if a working tree of this repository has the branch checked out. We never move such a branch."""
        ref = f"refs/heads/{plain(branch, 'a branch')}"
        return bool(self._git("for-each-ref", "--format=%(worktreepath)", "--", ref).strip())


def _split(rev: str) -> tuple[str, str]:
    """A revision's name, and the steps back from it, as in ``main~2``."""
    match = _SUFFIX.search(rev)
    at = match.start() if match else len(rev)
    return rev[:at], rev[at:]


def _changes_below(prefix: str, refs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    short = ((name.removeprefix(prefix), commit) for name, commit in refs)
    return {name: commit for name, commit in short if name.startswith(CHANGE_PREFIXES)}


# SSH signatures of commits, checked against a list of allowed signers (gitformat-signature, ssh-keygen(1) ``-Y``).

_SSH_HEADER = b"\ngpgsig -----BEGIN SSH SIGNATURE-----"
_SSH_HEADER_SHA256 = b"\ngpgsig-sha256 -----BEGIN SSH SIGNATURE-----"
_GIT_SIGNING_FORMAT = "--format=%G?%x00%GS%x00%GF"
_WORDS = {
    "N": "it carries no signature",
    "B": "its signature does not fit its content",
    "U": "the key that signed it belongs to nobody on the list of allowed signers",
    "E": "its signature could not be checked",
    "X": "its signature has expired",
    "Y": "the key that signed it had expired",
    "R": "the key that signed it is revoked",
}


class GitSignatures:
    """Verification with a list that the caller chose, never with what the repository's configuration names."""

    def __init__(self, git: GitRunner) -> None:
        self._git = git

    def judge(self, commit: str, allowed_signers: bytes) -> Signature:
        """Judge a commit's SSH signature. Signatures of other kinds count as none."""
        header = self._git("cat-file", "commit", plain(commit, "a commit")).partition(b"\n\n")[0]
        if _SSH_HEADER not in header and _SSH_HEADER_SHA256 not in header:
            return Signature(good=False, why="it carries no SSH signature")
        with tempfile.NamedTemporaryFile(prefix="mlconsole-signers-") as signers:
            signers.write(allowed_signers)
            signers.flush()
            trust = (
                "gpg.format=ssh",
                f"gpg.ssh.allowedSignersFile={Path(signers.name)}",
                "gpg.ssh.program=ssh-keygen",  # a repository's own setting would let it choose its judge
                "gpg.ssh.revocationFile=",
                "gpg.minTrustLevel=undefined",
            )
            said = self._git("log", "-1", _GIT_SIGNING_FORMAT, commit, "--", config=trust)
        state, principal, key = said.decode("utf-8", "replace").rstrip("\n").split("\0")
        if state != "G" or not principal:
            return Signature(good=False, why=_WORDS.get(state, f"git judges its signature as {visible(state)}"))
        return Signature(good=True, why=f"signed by {visible(principal)}", principal=principal, key=key)
