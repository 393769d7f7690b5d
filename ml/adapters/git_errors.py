"""git's complaints in our words: which typed error, one sentence of cause, one of what to do."""

from __future__ import annotations

from ml.errors import Conflict, ConsoleError, Invalid, Refused, Unavailable, Usage
from ml.text import visible

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
        ("is corrupt", "corrupt loose object", "inflate:", "unable to unpack", "unable to stream", "hash mismatch"),
        Invalid,
        "An object of this repository is damaged.",
        "Run git fsck, and fetch or clone anew.",
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
    """The typed error for a git command that failed, with the last words that git said."""
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
