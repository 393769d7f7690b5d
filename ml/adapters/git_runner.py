"""The git runner, the only way to start git: argv lists, a clean environment, no prompts, a deadline."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ml.errors import Conflict, ConsoleError, Invalid, Refused, TimedOut, Unavailable, Usage
from ml.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ml.ports import Conversation, Converse, Finished, Runner


# Git's error messages as typed errors, with one sentence of cause and one of remedy.

REFETCH = "Run git fsck, remove the corrupt files that it names, then run git fetch --refetch; or clone anew."
"""The remedy of a lost object. git overwrites no corrupt file of its own, so that it has to be removed first."""

_Kind = type[ConsoleError]
_KNOWN: tuple[tuple[tuple[str, ...], _Kind, str, str], ...] = (
    (
        ("not a git repository",),
        Usage,
        "This is no git repository.",
        "Start inside a clone, or name it with --repo PATH.",
    ),
    (
        ("detected dubious ownership",),
        Refused,
        "git does not trust this repository, because another user owns it.",
        "Work in a clone of your own.",
    ),
    (
        ("reference already exists", "but expected", "unable to resolve reference"),
        Conflict,
        "The branch moved meanwhile; nothing was overwritten.",
        "Look at it again and repeat.",
    ),
    (
        (".lock': File exists", "another git process seems to be running"),
        Unavailable,
        "Another git process holds a lock in this repository.",
        "Wait for it to end; if none runs, remove the lock file that git names.",
    ),
    (
        (
            *(
                "is corrupt",
                "corrupt loose object",
                "inflate:",
                "unable to unpack",
                "unable to stream",
                "hash mismatch",
            ),
            *("error: Could not read", "unable to read tree", "bad tree object", "not a tree object", ": bad file"),
            "error: object file ",  # … is empty
        ),
        Invalid,
        "An object of this repository is damaged or missing.",
        REFETCH,
    ),
    (
        ("bad object", "Not a valid object name", "not a valid object"),
        Unavailable,
        "This repository does not have the commit that is asked for.",
        "Fetch, then try again.",
    ),
    (
        ("terminal prompts disabled", "Authentication failed", "Permission denied (", "could not read Username"),
        Unavailable,
        "The remote asks for credentials that this session does not have.",
        "Load your key or set up a credential helper, then push again.",
    ),
    (
        ("failed to sign", "failed to write commit object", "user.signingkey", "Couldn't load public key"),
        Refused,
        "git could not sign the commit.",
        "Load the signing key, or correct user.signingKey.",
    ),
    (
        ("No space left on device",),
        Unavailable,
        "The disk is full.",
        "Free some space and repeat.",
    ),
    (
        ("Permission denied", "insufficient permission", "Read-only file system"),
        Unavailable,
        "This repository cannot be written to.",
        "Correct the owner or the mode of its git folder.",
    ),
    (
        (
            "Could not read from remote repository",
            "does not appear to be a git repository",
            "unable to access",
            "Could not resolve host",
            "Connection refused",
            "Connection timed out",
            "the remote end hung up",
            "early EOF",
            "No such remote",
        ),
        Unavailable,
        "The remote is out of reach.",
        "Try again when it is back.",
    ),
)


def failure(command: str, err: bytes, why: str = "") -> ConsoleError:
    """Return the typed error of a failed git command, with git's last words."""
    said = err.decode("utf-8", "replace")
    words = why or last_words(said)
    for needles, kind, cause, remedy in _KNOWN:
        if any(needle in said for needle in needles):
            return kind(f"{cause[:-1]} (git {command}: {words}).", remedy)
    return Unavailable(f"git {command} failed: {words}.", "Run it by hand in the repository to see more.")


def last_words(said: str) -> str:
    """The most telling line of git's standard error, safe to show: the first fatal or error, else the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))]
    chosen = (telling or lines[-1:] or ["no message"])[0]
    return visible(chosen.removeprefix("fatal: ").removeprefix("error: ").rstrip("."), limit=300)


LOCAL_S = 20.0
"""Deadline of git commands that stay on this machine, in seconds."""

MOST_OUTPUT = 256 << 20
"""The most that is taken of a listing, in bytes: some million files. The content of files has its own limits."""

_GRACE_S = 1.0
"""The time that git has after its deadline to remove its locks and half-received objects, also in a local remote."""

_QUARANTINE_PATH = "GIT_QUARANTINE_PATH"
_QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", _QUARANTINE_PATH)
_DROPPED = frozenset({"SSH_ASKPASS", "LANGUAGE", "LC_ALL"})
_FIXED = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",  # set but empty: git then looks no further for a program that asks
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # refs/replace would show the gate another history than the one that lands
    "GIT_GRAFT_FILE": f"{os.devnull}/none",  # it must not exist; a graft would show other parents than the commits have
    "GIT_LITERAL_PATHSPECS": "1",
}
_CONFIG = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.fsync=all",
    "gc.auto=0",  # a detached gc would outlive us
    "maintenance.auto=false",
    "submodule.recurse=false",
    "push.recurseSubmodules=no",
    "push.followTags=false",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
)


def environment(source: Mapping[str, str]) -> dict[str, str]:
    """The environment that git runs in, made from ours.

    Every ``GIT_*`` variable is dropped, because one left over from a hook or a shell would make git read another
    repository. Only in a ``pre-receive`` hook, which sees ``GIT_QUARANTINE_PATH``, those that name the pushed objects
    are kept: nothing else makes them visible.
    """
    kept = {key: value for key, value in source.items() if not key.startswith("GIT_") and key not in _DROPPED}
    if _QUARANTINE_PATH in source:
        kept |= {key: source[key] for key in _QUARANTINE if key in source}
    return kept | _FIXED


class GitRunner:
    """Runs git on one repository. ``path`` is anywhere inside it; a bare repository is its own folder."""

    def __init__(self, path: Path, run: Runner, converse: Converse | None = None) -> None:
        self.path = path
        self._run = run
        self._converse = converse
        self._environment = environment(os.environ)

    def finished(
        self,
        *args: str,
        stdin: bytes = b"",
        deadline_s: float = LOCAL_S,
        env: Mapping[str, str] | None = None,
        config: Sequence[str] = (),
        max_output: int = MOST_OUTPUT,
        too_much: ConsoleError | None = None,
    ) -> Finished:
        """Run a git command and return its result, whatever its exit code.

        Raises:
            TimedOut: the deadline passed.
            Unavailable: git is not installed, or said more than ``max_output`` bytes (else ``too_much``).
        """
        ended = self._run(
            self._argv(args, config),
            deadline_s=deadline_s,
            env={**self._environment, **(env or {})},
            stdin=stdin,
            max_output=max_output,
            grace_s=_GRACE_S,
        )
        if ended.timed_out:
            raise TimedOut(
                f"git {args[0]} did not answer within {round(deadline_s, 1):g} s.", "Try again; look at the remote."
            )
        if ended.truncated:
            raise too_much or failure(args[0], b"", f"more than {max_output >> 20} MiB of output")
        return ended

    def conversation(self, *args: str) -> Conversation:
        """Start a git command that answers questions; whoever starts it closes it."""
        assert self._converse is not None, "this runner was made without a way to converse"
        return self._converse(self._argv(args), deadline_s=LOCAL_S, env=self._environment)

    def _argv(self, args: Sequence[str], config: Sequence[str] = ()) -> list[str | Path]:
        settings = [part for setting in (*_CONFIG, *config) for part in ("-c", setting)]
        return ["git", "-C", self.path, "--no-pager", *settings, *args]

    def __call__(
        self,
        *args: str,
        stdin: bytes = b"",
        deadline_s: float = LOCAL_S,
        env: Mapping[str, str] | None = None,
        config: Sequence[str] = (),
    ) -> bytes:
        """Run a git command that must succeed; returns its standard output.

        Raises:
            ConsoleError: a typed one, with git's own words (`ml.adapters.git_runner.failure`).
        """
        ended = self.finished(*args, stdin=stdin, deadline_s=deadline_s, env=env, config=config)
        if ended.code != 0:
            raise failure(args[0], ended.err)
        return ended.out


def plain(value: str, what: str) -> str:
    """A value for git's command line, refused when git would read it as an option or cut it short."""
    if not value or value.startswith("-") or any(char in value for char in "\0\n\r"):
        raise Refused(f"{value!r} cannot be used as {what}.", "Give a name that does not begin with a dash.")
    return value
