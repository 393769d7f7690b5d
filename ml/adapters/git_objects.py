"""Readers of git objects: revisions, files, commits, trees and differences. They use no working tree."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ml.adapters.git_runner import OnRepository, failure, plain
from ml.errors import Invalid
from ml.promotion.repository import CommitInfo, PathChange, Person, Signature, TreeEntry
from ml.text import visible

_FORMAT = "%x00".join(("%H", "%P", "%T", "%an", "%ae", "%cn", "%ce", "%ct", "%B"))
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
_DIFF = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
_EXPORT_LIMIT = 1 << 30
_BATCH = 4096
_HEADS = frozenset({"HEAD", "FETCH_HEAD", "ORIG_HEAD", "MERGE_HEAD", "@"})
_WHOLE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_OBJECT_ID = re.compile(r"[0-9a-f]{7,64}")
_SUFFIX = re.compile(r"(?:[~^]\d*)*$")


class ObjectReading(OnRepository):
    """Reads objects by name. Every method starts one git process unless it says otherwise."""

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

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's bytes in a commit, or ``None`` when it is not there."""
        head, content = self._looked_up("--batch", commit, path)
        if head is None:
            return None
        size = int(head[2])
        if len(content) < size:
            raise Invalid(f"git returned only a part of {visible(path)}.", "Run git fsck, and fetch or clone anew.")
        return content[:size]

    def blob_id(self, commit: str, path: str) -> str:
        """The object id of a file in a commit, empty when it is not there."""
        head, _ = self._looked_up("--batch-check", commit, path)
        return "" if head is None else head[0].decode("ascii")

    def blob(self, blob: str) -> bytes | None:
        """The bytes of a blob by its object id, or ``None`` when this repository has no such blob."""
        if not _OBJECT_ID.fullmatch(blob):
            return None
        ended = self._git.finished("cat-file", "blob", blob)
        return ended.out if ended.code == 0 else None

    def _looked_up(self, how: str, commit: str, path: str) -> tuple[list[bytes] | None, bytes]:
        """Return a file's id, type and size from ``cat-file`` (or ``None``), and the bytes after them in its output."""
        spec = f"{plain(commit, 'a commit')}:{plain(path, 'a path')}"
        ended = self._git.finished("cat-file", how, stdin=spec.encode() + b"\n")
        if ended.err or ended.code != 0:  # a damaged object is reported as missing, with the truth on stderr
            raise failure("cat-file", ended.err)
        first, _, rest = ended.out.partition(b"\n")
        words = first.split(b" ")
        return (words if len(words) == 3 and words[1] == b"blob" else None), rest

    def commit(self, sha: str) -> CommitInfo:
        """One commit. Raises Unavailable when the repository does not have it."""
        return self._commits("--no-walk", plain(sha, "a commit"))[0]

    def commits(self, shas: Sequence[str]) -> tuple[CommitInfo, ...]:
        """Several commits at once, in no particular order, each once."""
        return self._commits("--no-walk=unsorted", *(plain(sha, "a commit") for sha in shas)) if shas else ()

    def between(self, base: str, head: str) -> tuple[CommitInfo, ...]:
        """Every commit that ``head`` reaches and ``base`` does not, each after all of its parents."""
        return self._commits("--reverse", "--topo-order", plain(head, "a commit"), f"^{plain(base, 'a commit')}")

    def independent(self, commits: Sequence[str]) -> tuple[str, ...]:
        """Those of some commits that none of the others reaches."""
        out = self._git("merge-base", "--independent", *(plain(commit, "a commit") for commit in commits))
        return tuple(out.decode("ascii").split())

    def commits_touching(self, commit: str, path: str, limit: int) -> tuple[CommitInfo, ...]:
        """The newest commits on a first-parent chain that changed a path, newest first."""
        return self._commits("--first-parent", f"--max-count={limit}", plain(commit, "a commit"), "--", path)

    def _commits(self, *selection: str) -> tuple[CommitInfo, ...]:
        args = selection if "--" in selection else (*selection, "--")
        out = self._git(*_LOG, *args).decode("utf-8", "replace")
        fields = out.removesuffix("\0").split("\0") if out else []
        if len(fields) % _FIELDS:
            raise Invalid("A commit here holds what no commit may hold.", "Run git fsck, and do not use that commit.")
        return tuple(_commit(fields[at : at + _FIELDS]) for at in range(0, len(fields), _FIELDS))

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

    def changes(self, base: str, head: str) -> tuple[PathChange, ...]:
        """All paths that differ between two commits' trees; renames are a deletion and an addition."""
        out = self._git(*_DIFF, plain(base, "a commit"), plain(head, "a commit"))
        parts = out.decode("utf-8", "surrogateescape").split("\0")
        return tuple(_change(raw, path) for raw, path in zip(parts[:-1:2], parts[1::2], strict=True))

    def differences(self, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[PathChange, ...], ...]:
        """`changes` of many pairs of trees (by their ids) in one process, in the order of the pairs."""
        wanted = [f"{plain(one, 'a tree')} {plain(other, 'a tree')}" for one, other in pairs if one != other]
        found: dict[str, list[PathChange]] = {}
        if wanted:
            out = self._git(*_DIFF, "--stdin", stdin="".join(f"{line}\n" for line in wanted).encode())
            found = _per_pair(out.decode("utf-8", "surrogateescape"))
        return tuple(tuple(found.get(f"{one} {other}", ())) for one, other in pairs)

    def tree(self, commit: str, path: str = "") -> tuple[TreeEntry, ...]:
        """All files at or under a path of a commit's tree; an empty path means the whole tree."""
        where = ("--", path) if path else ()
        out = self._git("ls-tree", "-r", "-z", "-l", "--full-tree", plain(commit, "a commit"), *where)
        return tuple(_entry(line) for line in out.decode("utf-8", "surrogateescape").split("\0") if line)

    def new_trees(self, base: str, head: str) -> Iterator[tuple[str, bytes]]:
        """Every tree that ``head`` reaches and ``base`` does not, as its id and raw bytes; some of the base's may come.

        One process lists the objects and one more reads each few thousand of them. Blobs are not looked at.
        """
        shown = ("--objects", "--no-object-names", "--filter=blob:none")
        out = self._git("rev-list", *shown, plain(head, "a commit"), f"^{plain(base, 'a commit')}", "--")
        listed = out.split()
        for first in range(0, len(listed), _BATCH):
            wanted = b"".join(each + b"\n" for each in listed[first : first + _BATCH])
            yield from _trees(self._git("cat-file", "--batch", stdin=wanted))

    def export(self, commit: str, directory: Path, paths: Sequence[str] = ()) -> None:
        """Write a commit's files (or those under ``paths``) into an existing directory.

        Two processes, whatever the number of files: the tree is listed and the blobs are read in one batch, because
        ``git archive`` would obey ``export-ignore`` attributes and thus leave out what a change wants unseen.
        Symbolic links become links, so that verification sees and refuses them; submodules are left out.

        Raises:
            Invalid: the files are larger than 1 GiB together, or a path leaves the directory.
        """
        entries = [entry for path in paths or ("",) for entry in self.tree(commit, path) if entry.mode != "160000"]
        if sum(entry.size for entry in entries) > _EXPORT_LIMIT:
            raise Invalid("The files to be exported are larger than 1 GiB.", "Keep large data out of git.")
        wanted = "".join(f"{entry.blob}\n" for entry in entries).encode()
        out = memoryview(self._git("cat-file", "--batch", stdin=wanted)) if entries else memoryview(b"")
        at = 0
        for entry in entries:
            at = bytes(out[at : at + 200]).index(b"\n") + at + 1
            _place(directory, entry, bytes(out[at : at + entry.size]))
            at += entry.size + 1


def _trees(out: bytes) -> Iterator[tuple[str, bytes]]:
    """The trees among what ``cat-file --batch`` gives of some objects."""
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        words = out[at:end].decode("ascii", "replace").split(" ")
        if len(words) != 3:
            raise Invalid(f"The object {visible(words[0][:12])} is missing.", "Run git fsck, and fetch or clone anew.")
        sha, kind, size = words
        at = end + 1 + int(size) + 1
        if kind == "tree":
            yield sha, out[end + 1 : at - 1]


def _split(rev: str) -> tuple[str, str]:
    """A revision's name, and the steps back from it, as in ``main~2``."""
    match = _SUFFIX.search(rev)
    at = match.start() if match else len(rev)
    return rev[:at], rev[at:]


def _change(raw: str, path: str) -> PathChange:
    old_mode, new_mode, _, new_blob, _ = raw[1:].split(" ", 4)
    return PathChange(path, old_mode, new_mode, new_blob)


def _per_pair(out: str) -> dict[str, list[PathChange]]:
    """``diff-tree --stdin`` heads each difference with a line of the two trees; the rest ends in NUL.

    It is read from left to right, because a path may hold anything but NUL, such as a line like those.
    """
    found: dict[str, list[PathChange]] = {}
    at, changes = 0, list[PathChange]()
    while at < len(out):
        if out[at] == ":":
            middle = out.index("\0", at)
            end = out.index("\0", middle + 1)
            changes.append(_change(out[at:middle], out[middle + 1 : end]))
        else:
            end = out.index("\n", at)
            changes = []
            found[out[at:end]] = changes  # a pair that is asked for twice gets the same answer
        at = end + 1
    return found


def _place(directory: Path, entry: TreeEntry, content: bytes) -> None:
    target = directory / entry.path
    if ".." in target.parts or not target.is_relative_to(directory):
        raise Invalid(f"The path {visible(entry.path)} leads out of its folder.", "Do not use this commit.")
    target.parent.mkdir(parents=True, exist_ok=True)
    if entry.mode == "120000":
        target.symlink_to(os.fsdecode(content))
        return
    # Exclusive creation follows no link that an earlier entry may have put here.
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, int(entry.mode[-3:], 8))
    with open(handle, "wb") as file:
        file.write(content)


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


def _entry(line: str) -> TreeEntry:
    about, _, path = line.partition("\t")
    mode, _, blob, size = about.split()
    return TreeEntry(path, mode, blob, 0 if size == "-" else int(size))


# SSH signatures of commits, checked against a list of allowed signers (gitformat-signature, ssh-keygen(1) ``-Y``).

_SSH_HEADER = b"\ngpgsig -----BEGIN SSH SIGNATURE-----"
_SSH_HEADER_SHA256 = b"\ngpgsig-sha256 -----BEGIN SSH SIGNATURE-----"
_GIT_SIGNING_FORMAT = "--format=%G?%x00%GS%x00%GF"
_KEY = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[A-Za-z0-9@.-]+)[ \t]+([A-Za-z0-9+/=]+)(?:\s|$)")
_LONGEST_KEY = 1 << 14
_WORDS = {
    "N": "it carries no signature",
    "B": "its signature does not fit its content",
    "U": "the key that signed it belongs to nobody on the list of allowed signers",
    "E": "its signature could not be checked",
    "X": "its signature has expired",
    "Y": "the key that signed it had expired",
    "R": "the key that signed it is revoked",
}


class SignatureJudging(OnRepository):
    """Verification with a list that the caller chose, never with what the repository's configuration names."""

    def signature(self, commit: str, allowed_signers: bytes) -> Signature:
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

    def signing_key(self) -> str:
        """The SSH key that git signs with here, as its type and Base64 text; empty where git does not sign by SSH.

        ``user.signingKey`` may be the key itself, its file, or the file of the private key beside it.
        """
        if self._setting("gpg.format").lower() != "ssh":
            return ""
        named = self._setting("user.signingKey")
        text = named.removeprefix("key::")
        if named and not _KEY.match(text):
            text = _public(Path(named).expanduser())
        found = _KEY.match(text)
        return f"{found[1]} {found[2]}" if found else ""

    def _setting(self, key: str) -> str:
        return self._git.finished("config", "--get", key).out.decode("utf-8", "replace").strip()


def _public(path: Path) -> str:
    for each in (path if path.suffix == ".pub" else Path(f"{path}.pub"), path):
        try:
            with each.open("rb") as file:
                return file.read(_LONGEST_KEY).decode("ascii", "replace").strip()
        except OSError:
            continue
    return ""


# Git attributes of a commit's files, which decide how a checkout alters their bytes.

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
