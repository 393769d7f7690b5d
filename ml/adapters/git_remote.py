"""Talking to a remote: fetch, push one ref without force, and read back what it holds."""

from __future__ import annotations

from functools import cached_property

from ml.adapters.git_errors import failure
from ml.adapters.git_runner import OnRepository, plain
from ml.promotion.repository import APPROVALS, CHANGE_PREFIXES, PushResult
from ml.text import visible

_SSH = "-o BatchMode=yes -o ConnectTimeout=10"
_MOVED = ("non-fast-forward", "fetch first", "stale info", "failed to update ref", "cannot lock ref", "already exists")


class RemoteTalk(OnRepository):
    """The remotes of one repository."""

    @cached_property
    def _ssh(self) -> dict[str, str]:
        """An ssh that asks nothing and gives up: the operator's own command with our options behind it."""
        configured = self._git.finished("config", "--get", "core.sshCommand").out.decode("utf-8", "replace").strip()
        return {"GIT_SSH_COMMAND": f"{configured or 'ssh'} {_SSH}"}

    def url(self, remote: str) -> str:
        """A remote's address as configured (``insteadOf`` applied), empty when there is no such remote."""
        ended = self._git.finished("remote", "get-url", plain(remote, "a remote"))
        return ended.out.decode("utf-8", "replace").strip() if ended.code == 0 else ""

    def push(self, remote: str, ref: str, commit: str, deadline_s: float = 30.0) -> PushResult:
        """Offer one commit to one ref of the remote, never forced; every status line is read.

        Raises:
            Unavailable, TimedOut: out of reach, or its answer was lost; then `remote_tip` tells the truth.
        """
        ended = self._git.finished(
            *("push", "--porcelain", "--atomic", "--no-verify", "--no-force-with-lease", "--"),
            *(plain(remote, "a remote"), f"{plain(commit, 'a commit')}:{plain(ref, 'a ref')}"),
            deadline_s=deadline_s,
            env=self._ssh,
        )
        status = [line for line in ended.out.decode("utf-8", "replace").splitlines() if line[1:2] == "\t"]
        if status and status[0][0] == "!" and "unpacker error" not in status[0]:
            words = _refusal(status[0], ended.err)
            moved = "hook declined" not in words and any(sign in words for sign in _MOVED)
            return PushResult(accepted=False, words=words, moved=moved)
        if ended.code != 0 or not status:
            raise failure("push", ended.err)
        return PushResult(accepted=True)

    def remote_tip(self, remote: str, ref: str, deadline_s: float = 15.0) -> str | None:
        """The commit that a ref of the remote is at now; ``None`` when it does not exist. Raises as `push`."""
        out = self._git(
            "ls-remote", "--", plain(remote, "a remote"), plain(ref, "a ref"), deadline_s=deadline_s, env=self._ssh
        )
        for line in out.decode("utf-8", "replace").splitlines():
            sha, _, name = line.partition("\t")
            if name == ref:
                return sha
        return None

    def fetch(self, remote: str, base: str, deadline_s: float = 20.0) -> None:
        """Bring the base branch and the change branches (gone ones are dropped), and add new approvals.

        Raises:
            Unavailable, TimedOut: out of reach, or it has no branch ``base``.
        """
        remote, base = plain(remote, "a remote"), plain(base, "a branch")
        patterns = [base, *(f"{prefix}*" for prefix in CHANGE_PREFIXES)]
        branches = [f"+refs/heads/{name}:refs/remotes/{remote}/{name}" for name in patterns]
        fetch = ("fetch", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        self._git(*fetch, "--quiet", "--prune", "--", remote, *branches, deadline_s=deadline_s, env=self._ssh)
        approvals = f"{APPROVALS}*:{APPROVALS}*"
        ended = self._git.finished(*fetch, "--", remote, approvals, deadline_s=deadline_s, env=self._ssh)
        if ended.code != 0 and b"[rejected]" not in ended.err:  # one of ours that differs is ours to keep
            raise failure("fetch", ended.err)


def _refusal(status: str, err: bytes) -> str:
    """The server's own words: what its hook printed, and the reason in brackets of git's status line."""
    printed = [
        line.removeprefix("remote: ").rstrip()
        for line in err.decode("utf-8", "replace").splitlines()
        if line.startswith("remote: ") and line.removeprefix("remote: ").strip()
    ]
    reason = status.rsplit("\t", maxsplit=1)[-1]
    return visible("\n".join([*printed, reason]), lines=True)
