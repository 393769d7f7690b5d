"""The one way to start git: argv lists, a clean environment, no prompts, no local programs, a deadline."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ml.adapters.git_errors import failure
from ml.errors import Refused, TimedOut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ml.ports import Finished, Runner

LOCAL_S = 20.0
"""Deadline of git commands that stay on this machine, in seconds."""

_GRACE_S = 1.0
"""How long git at its deadline may remove its locks and half-received objects, here and in a remote on this machine."""

_QUARANTINE_PATH = "GIT_QUARANTINE_PATH"
_QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", _QUARANTINE_PATH)
_DROPPED = frozenset({"SSH_ASKPASS", "LANGUAGE", "LC_ALL"})
_FIXED = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",  # set but empty: git then looks no further for a program that asks
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # refs/replace would show the gate another history than the one that lands
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

    def __init__(self, path: Path, run: Runner) -> None:
        self.path = path
        self._run = run
        self._environment = environment(os.environ)

    def finished(
        self,
        *args: str,
        stdin: bytes = b"",
        deadline_s: float = LOCAL_S,
        env: Mapping[str, str] | None = None,
        config: Sequence[str] = (),
        max_output: int = 64 << 20,
    ) -> Finished:
        """Run a git command and return how it ended, whatever its exit code.

        Raises:
            TimedOut: the deadline passed.
            Unavailable: git is not installed, or said more than ``max_output`` bytes.
        """
        settings = [part for setting in (*_CONFIG, *config) for part in ("-c", setting)]
        ended = self._run(
            ["git", "-C", self.path, "--no-pager", *settings, *args],
            deadline_s=deadline_s,
            env={**self._environment, **(env or {})},
            stdin=stdin,
            max_output=max_output,
            grace_s=_GRACE_S,
        )
        if ended.timed_out:
            raise TimedOut(f"git {args[0]} did not answer within {deadline_s:g} s.", "Try again; look at the remote.")
        if ended.truncated:
            raise failure(args[0], b"", f"more than {max_output >> 20} MiB of output")
        return ended

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
            ConsoleError: a typed one, with git's own words (`ml.adapters.git_errors.failure`).
        """
        ended = self.finished(*args, stdin=stdin, deadline_s=deadline_s, env=env, config=config)
        if ended.code != 0:
            raise failure(args[0], ended.err)
        return ended.out


class OnRepository:
    """What the parts of `ml.adapters.git.Repository` share: the runner of their repository."""

    def __init__(self, git: GitRunner) -> None:
        self._git = git


def plain(value: str, what: str) -> str:
    """A value for git's command line, refused when git would read it as an option or cut it short."""
    if not value or value.startswith("-") or any(char in value for char in "\0\n\r"):
        raise Refused(f"{value!r} cannot be used as {what}.", "Give a name that does not begin with a dash.")
    return value
