"""Protocols for running a child process, owned by the domain and implemented by the adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol


class Progress(NamedTuple):
    """The progress of a long action: ``done`` of ``total`` in its own unit, and a line to show with it."""

    step: str
    done: int = 0
    total: int = 0
    note: str = ""


Report = Callable[[Progress], None]
"""Takes progress; may be called from any thread, must not raise, must return at once."""


class Finished(NamedTuple):
    """A child process that ended: its exit code (negative: a signal), its output, its wall time in seconds."""

    code: int
    out: bytes
    err: bytes
    seconds: float
    timed_out: bool = False
    truncated: bool = False


class Conversation(Protocol):
    """A child process that answers one question after the other, until it is closed.

    Each wait ends when the child says nothing for its deadline. After an error the conversation is of no further use.
    """

    def say(self, words: bytes) -> None:
        """Write to its standard input. Raises TimedOut when it does not listen, Unavailable when it has ended."""
        ...

    def line(self) -> bytes:
        """The next line of its output, without its end. Raises as `take`."""
        ...

    def take(self, size: int) -> Iterator[bytes]:
        """The next ``size`` bytes of its output, in pieces.

        Raises:
            ml.errors.TimedOut: it says nothing. ml.errors.Unavailable: it ended before.
        """
        ...

    def complaints(self) -> bytes:
        """Its standard error so far, at most 64 KiB."""
        ...

    def close(self) -> None:
        """End it, with its whole process group. Never raises."""
        ...


class Converse(Protocol):
    """Starts a program that answers questions, by argv in a session of its own."""

    def __call__(
        self, argv: Sequence[str | Path], *, deadline_s: float, env: Mapping[str, str] | None = None
    ) -> Conversation:
        """Start it. Raises ml.errors.Unavailable when it cannot be started."""
        ...


class Runner(Protocol):
    """Runs a program by argv in a session of its own and ends the whole group at the deadline."""

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        deadline_s: float,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        max_output: int = 16 << 20,
        on_output: Callable[[bytes], None] | None = None,
        grace_s: float = 0.0,
    ) -> Finished:
        """Run to the end or the deadline; never raises for a non-zero exit.

        ``grace_s``: how long a child at its deadline may clean up after itself before it is killed.

        Raises:
            ml.errors.Unavailable: the program cannot be started at all.
        """
        ...
