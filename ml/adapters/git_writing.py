"""Writers of commits, and the remotes. They never touch the operator's working tree, index and HEAD.

Blobs and tree are made with a temporary index of our own, the ref moves by compare-and-swap, and everything is
fsynced (``core.fsync=all``). GitPython's ``repo.index.commit`` is not used: under a race it loses commits.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path

from ml.adapters.git_lfs import LfsStore
from ml.adapters.git_messages import MessageWriter
from ml.adapters.git_runner import LOCAL_S, GitRunner, failure, plain
from ml.errors import Refused, Unavailable
from ml.ports import Finished
from ml.promotion.repository import APPROVALS, CHANGE_PREFIXES, REGULAR_FILE, PathChange, Person, PushResult
from ml.text import visible

_QUEUE_S = 60.0
_TURN_S = 3.0
"""The longest wait of a fetch for another one of this process."""
_WRITTEN_PER_S = 4 << 20
"""The bytes that git compresses and writes in a second on a busy machine."""
_KEY = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[A-Za-z0-9@.-]+)[ \t]+([A-Za-z0-9+/=]+)(?:\s|$)")
_LONGEST_KEY = 1 << 14


class GitCommitWriter:
    """Makes commits (`ml.promotion.repository.CommitWriter`)."""

    def __init__(self, git: GitRunner, message: MessageWriter) -> None:
        self._git, self._message = git, message

    def signs_off(self) -> bool:
        """True if every new commit gets the author's ``Signed-off-by``."""
        return self._message.signs_off()

    def hooks_left_out(self) -> tuple[str, ...]:
        """The hooks of this clone that would write or judge a message, and that are not run."""
        return self._message.hooks_left_out()

    @cached_property
    def _private(self) -> Path:
        """Our folder inside the repository's common git folder, shared by all its worktrees."""
        common = self._git("rev-parse", "--path-format=absolute", "--git-common-dir").decode().rstrip("\n")
        return Path(common) / "mlconsole"

    @contextlib.contextmanager
    def exclusive(self, deadline_s: float = _QUEUE_S) -> Iterator[None]:
        """The serial queue of writes of this clone, across processes; waits for its turn.

        Files of a killed predecessor are removed first. While we hold the queue, no other process uses the folder.

        Raises:
            Unavailable: another write takes longer than ``deadline_s``, or the folder cannot be written.
        """
        try:
            self._private.mkdir(exist_ok=True)
            queue = (self._private / "queue").open("ab")
        except OSError as error:
            raise Unavailable(
                f"The repository cannot be written: {error.strerror}.", "Correct the owner or mode of its git folder."
            ) from error
        with queue:
            _await_lock(queue.fileno(), deadline_s)
            for left in self._private.glob("write-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def identity(self) -> Person:
        """Return the author of new commits, from git's configuration.

        Raises:
            Refused: git has no e-mail address configured, or one that names nobody.
        """
        settings = self._git.finished("config", "--null", "--get-regexp", r"^user\.(name|email)$").out
        pairs = (line.partition("\n") for line in settings.decode("utf-8", "replace").split("\0"))
        known = {key: value for key, _, value in pairs}  # git lists the most particular value last
        name, email = known.get("user.name", ""), known.get("user.email", "")
        if "@" not in email or any(char in email + name for char in "<>\n\0"):
            raise Refused(
                "git does not know who you are, and a change must have a name.",
                "Set it once: git config --global user.email YOU@EXAMPLE.COM (and user.name).",
            )
        return Person(name or email.partition("@")[0], email)

    def commit(self, base: str, files: Sequence[tuple[str, bytes]], message: str, author: Person, at: datetime) -> str:
        """Make a commit on ``base`` in which ``files`` have new bytes; no ref names it yet. Returns its id."""
        with tempfile.TemporaryDirectory(prefix="write-", dir=self._folder()) as folder:
            tree = self._tree(base, files, Path(folder))
        return self._commit(tree, base, message, author, at, signed=self.signs(), config=())

    def merge(
        self,
        base: str,
        other: str,
        entries: Sequence[PathChange],
        files: Sequence[tuple[str, bytes]],
        message: str,
        author: Person,
        at: datetime,
    ) -> str:
        """Merge ``other`` into ``base``; no ref names the merge yet. Returns its id.

        Its tree is the base's, in which ``entries`` are as their newer side has them and ``files`` have new bytes.
        """
        with tempfile.TemporaryDirectory(prefix="write-", dir=self._folder()) as folder:
            tree = self._tree(base, files, Path(folder), entries)
        return self._commit(tree, base, message, author, at, signed=self.signs(), config=(), other=other)

    def note(self, parent: str, message: str, author: Person, at: datetime) -> str:
        """Make an SSH-signed commit on ``parent`` that changes no file, such as an approval. Returns its id.

        Raises:
            Refused: it cannot be signed; an unsigned one would prove nothing.
        """
        tree = f"{plain(parent, 'a commit')}^{{tree}}"
        return self._commit(tree, parent, message, author, at, signed=True, config=("gpg.format=ssh",))

    def _folder(self) -> Path:
        self._private.mkdir(exist_ok=True)
        return self._private

    def _tree(
        self, base: str, files: Sequence[tuple[str, bytes]], folder: Path, changes: Sequence[PathChange] = ()
    ) -> str:
        sources = [folder / str(number) for number in range(len(files))]
        for source, (_, content) in zip(sources, files, strict=True):
            source.write_bytes(content)
        named = "".join(f"{source}\n" for source in sources).encode()
        deadline_s = LOCAL_S + sum(len(content) for _, content in files) / _WRITTEN_PER_S
        hashed = ("hash-object", "-w", "--no-filters", "--stdin-paths")
        blobs = self._git(*hashed, stdin=named, deadline_s=deadline_s).decode().split()
        index = {"GIT_INDEX_FILE": str(folder / "index")}
        entries = [f"{each.new_mode} {each.new_blob}\t{plain(each.path, 'a path')}\0" for each in changes]
        entries += [
            f"{REGULAR_FILE} {blob}\t{plain(path, 'a path')}\0" for blob, (path, _) in zip(blobs, files, strict=True)
        ]
        self._git("read-tree", plain(base, "a commit"), env=index)
        listed = "".join(entries).encode("utf-8", "surrogateescape")
        self._git("update-index", "-z", "--index-info", stdin=listed, env=index)
        # A partial clone would fetch every file of the tree to see that it is there.
        return self._git("write-tree", "--missing-ok", env=index).decode().strip()

    def _commit(
        self,
        tree: str,
        parent: str,
        message: str,
        author: Person,
        at: datetime,
        *,
        signed: bool,
        config: Sequence[str],
        other: str = "",
    ) -> str:
        when = f"{int(at.timestamp())} +0000"
        env = {
            f"GIT_{role}_{field}": value
            for role in ("AUTHOR", "COMMITTER")
            for field, value in (("NAME", author.name), ("EMAIL", author.email), ("DATE", when))
        }
        above = [plain(each, "a commit") for each in (parent, other) if each]
        parents = [word for each in above for word in ("-p", each)]
        args = ("commit-tree", *(("-S",) if signed else ()), *parents, tree)
        text = self._message.completed(message, author, (tree, *above))
        return self._git(*args, stdin=text.encode(), env=env, config=config).decode().strip()

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

    def signs(self) -> bool:
        """True if git is configured to sign commits. ``commit-tree`` ignores that setting."""
        return self._git.finished("config", "--type=bool", "--get", "commit.gpgSign").out.strip() == b"true"


def _public(path: Path) -> str:
    for each in (path if path.suffix == ".pub" else Path(f"{path}.pub"), path):
        try:
            with each.open("rb") as file:
                return file.read(_LONGEST_KEY).decode("ascii", "replace").strip()
        except OSError:
            continue
    return ""


def _await_lock(handle: int, deadline_s: float) -> None:
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Unavailable(
                    "Another change is being written in this clone.", "Wait for it to end, then repeat."
                ) from None
            time.sleep(0.01)
        else:
            return


# The remote: fetch, push one ref without force, and read it back.

_KEPT = (b"[rejected]", b"unable to update local ref")
"""An approval here that differs from the remote's, or stands where it has something else, is ours to keep."""
_SSH = "-o BatchMode=yes -o ConnectTimeout=10"
_MOVED = ("non-fast-forward", "fetch first", "stale info", "failed to update ref", "cannot lock ref", "already exists")


class GitRemotes:
    """Talks with the remotes of one repository (`ml.promotion.repository.Remotes`)."""

    def __init__(self, git: GitRunner, lfs: LfsStore) -> None:
        self._git, self._lfs = git, lfs
        self._fetching = threading.Lock()

    @cached_property
    def _ssh(self) -> dict[str, str]:
        """An ssh that asks nothing and gives up: the operator's own command with our options behind it."""
        configured = self._git.finished("config", "--get", "core.sshCommand").out.decode("utf-8", "replace").strip()
        return {"GIT_SSH_COMMAND": f"{configured or 'ssh'} {_SSH}"}

    def url(self, remote: str) -> str:
        """A remote's address as configured (``insteadOf`` applied), empty when there is no such remote."""
        ended = self._git.finished("remote", "get-url", plain(remote, "a remote"))
        return ended.out.decode("utf-8", "replace").strip() if ended.code == 0 else ""

    def push_remote(self, base: str) -> str:
        """The remote that branches made from a base are pushed to, as git is told; empty where it is told nothing.

        ``remote.pushDefault`` comes first, then ``branch.<base>.pushRemote``. A name that is no remote, such as the
        usual ``no_push``, counts as nothing.
        """
        asked = rf"^(remote\.pushdefault|branch\.{re.escape(base)}\.pushremote)$"
        out = self._git.finished("config", "--null", "--get-regexp", asked).out
        pairs = (each.partition("\n") for each in out.decode("utf-8", "replace").split("\0") if each)
        told = {"default" if key == "remote.pushdefault" else "branch": value for key, _, value in pairs}
        names = (told.get("default", ""), told.get("branch", ""))
        return next((name for name in names if name and not name.startswith("-") and self.url(name)), "")

    def push(self, remote: str, ref: str, commit: str, deadline_s: float = 30.0) -> PushResult:
        """Offer one commit to one ref of the remote, never forced; every status line is read.

        Files in Git LFS that come with the commit are uploaded first: a pointer without its file is worth nothing.

        Raises:
            Unavailable, TimedOut: out of reach, or its answer was lost; then `tip` tells the truth.
        """
        large = self._lfs.pending(commit, remote)
        if large:
            self._lfs.upload(remote, large, self._ssh)
        ended = self._git.finished(
            *("push", "--porcelain", "--atomic", "--no-verify", "--no-force-with-lease", "--"),
            *(plain(remote, "a remote"), f"{plain(commit, 'a commit')}:{plain(ref, 'a ref')}"),
            deadline_s=deadline_s,
            env=self._ssh,
        )
        return _pushed(ended)

    def delete(self, remote: str, ref: str, commit: str, deadline_s: float = 30.0) -> PushResult:
        """Delete one ref of the remote, if it is at exactly this commit there. Raises as `push`."""
        ref = plain(ref, "a ref")
        ended = self._git.finished(
            *("push", "--porcelain", "--atomic", "--no-verify"),
            f"--force-with-lease={ref}:{plain(commit, 'a commit')}",
            *("--", plain(remote, "a remote"), f":{ref}"),
            deadline_s=deadline_s,
            env=self._ssh,
        )
        return _pushed(ended)

    def tip(self, remote: str, ref: str, deadline_s: float = 15.0, *, pushed: bool = False) -> str | None:
        """The commit that a ref of the remote is at now; ``None`` when it does not exist. Raises as `push`.

        ``pushed``: ask where pushes go (``remote.<name>.pushurl``), which may be another server. Where those are
        several, and differ, the ref counts as missing.
        """
        if not pushed:
            return self._tip(plain(remote, "a remote"), ref, deadline_s)
        ended = self._git.finished("remote", "get-url", "--push", "--all", plain(remote, "a remote"))
        fetched = self.url(remote)
        places = ended.out.decode("utf-8", "surrogateescape").splitlines() if ended.code == 0 else []
        named = [remote if place == fetched else place for place in places] or [remote]
        tips = {self._tip(plain(place, "a remote"), ref, deadline_s) for place in named}
        return tips.pop() if len(tips) == 1 else None

    def _tip(self, place: str, ref: str, deadline_s: float) -> str | None:
        out = self._git("ls-remote", "--", place, plain(ref, "a ref"), deadline_s=deadline_s, env=self._ssh)
        for line in out.decode("utf-8", "replace").splitlines():
            sha, _, name = line.partition("\t")
            if name == ref:
                return sha
        return None

    def fetch(self, remote: str, base: str, deadline_s: float = 20.0, *, fork: str = "") -> None:
        """Bring the base branch and the change branches (gone ones are dropped), and add new approvals.

        ``fork`` is another remote that has change branches.

        Raises:
            Unavailable, TimedOut: out of reach, or it has no branch ``base``.
        """
        remote, base = plain(remote, "a remote"), plain(base, "a branch")
        with self._turn():
            self._fetch(remote, base, deadline_s, fork)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for another fetch of this process: two at once take each other's locks on refs, and one fails.

        A fetch that hangs holds up no other for long.
        """
        alone = self._fetching.acquire(timeout=_TURN_S)
        try:
            yield
        finally:
            if alone:
                self._fetching.release()

    def _fetch(self, remote: str, base: str, deadline_s: float, fork: str) -> None:
        patterns = [base, *(f"{prefix}*" for prefix in CHANGE_PREFIXES)]
        branches = [f"+refs/heads/{name}:refs/remotes/{remote}/{name}" for name in patterns]
        fetch = ("fetch", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        self._git(*fetch, "--quiet", "--prune", "--", remote, *branches, deadline_s=deadline_s, env=self._ssh)
        if fork:
            theirs = [f"+refs/heads/{prefix}*:refs/remotes/{fork}/{prefix}*" for prefix in CHANGE_PREFIXES]
            place = plain(fork, "a remote")
            self._git(*fetch, "--quiet", "--prune", "--", place, *theirs, deadline_s=deadline_s, env=self._ssh)
        approvals = f"{APPROVALS}*:{APPROVALS}*"
        ended = self._git.finished(*fetch, "--", remote, approvals, deadline_s=deadline_s, env=self._ssh)
        if ended.code != 0 and not any(sign in ended.err for sign in _KEPT):
            raise failure("fetch", ended.err)


def _pushed(ended: Finished) -> PushResult:
    """Read every status line of a push. Raises Unavailable where there is none, or the remote could not take it."""
    status = [line for line in ended.out.decode("utf-8", "replace").splitlines() if line[1:2] == "\t"]
    refused = next((line for line in status if line[0] == "!"), "")  # a remote may have several addresses
    if refused and "unpacker error" not in refused:
        words = _refusal(refused, ended.err)
        moved = "hook declined" not in words and any(sign in words for sign in _MOVED)
        return PushResult(accepted=False, words=words, moved=moved, wants=_wanted(words))
    if ended.code != 0 or not status:
        raise failure("push", ended.err)
    return PushResult(accepted=True)


_WANTS = (
    (re.compile(r"\bsigned[- ]off|\bDCO\b", re.IGNORECASE), "Signed-off-by"),
    (re.compile(r"\bchange-id\b", re.IGNORECASE), "Change-Id"),
)


def _wanted(words: str) -> str:
    """The trailer that a server's words ask for; empty where they name none that we know."""
    return next((name for pattern, name in _WANTS if pattern.search(words)), "")


def _refusal(status: str, err: bytes) -> str:
    """The server's own words: what its hook printed, and the reason in brackets of git's status line."""
    printed = [
        line.removeprefix("remote: ").rstrip()
        for line in err.decode("utf-8", "replace").splitlines()
        if line.startswith("remote: ") and line.removeprefix("remote: ").strip()
    ]
    reason = status.rsplit("\t", maxsplit=1)[-1]
    return visible("\n".join([*printed, reason]), lines=True)
