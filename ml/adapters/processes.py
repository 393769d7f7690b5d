"""The only starter of processes: argv lists, own session, a deadline, and nothing left running."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from ml.errors import TimedOut, Unavailable
from ml.ports import Finished
from ml.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_POLL_S = 0.002
_CHUNK = 65_536


def run(
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
    """Run a program to its end or its deadline (`ml.ports.Runner`).

    The child gets a session of its own, so that it can neither open the operator's terminal nor outlive us:
    at the deadline, or when its output exceeds ``max_output`` bytes, the whole process group is killed.
    With ``grace_s`` it is asked to end first, and has that long to put its temporary files away.
    """
    started = time.monotonic()
    child = _start(argv, cwd, env)
    try:
        out, err, ended, truncated = _pump(child, stdin, started + deadline_s, max_output, on_output)
        if not ended and grace_s:
            _ask_to_end(child, grace_s)
    finally:
        _end_group(child)
    return Finished(
        code=child.returncode,
        out=out,
        err=err,
        seconds=time.monotonic() - started,
        timed_out=not ended and not truncated,
        truncated=truncated,
    )


def _start(argv: Sequence[str | Path], cwd: Path | None, env: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [os.fspath(part) for part in argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    except OSError as error:
        program = visible(os.fspath(argv[0]))
        raise Unavailable(
            f"{program} cannot be started: {error.strerror}.", f"Install {program} or correct the path."
        ) from error


def _pump(
    child: subprocess.Popen[bytes],
    stdin: bytes,
    deadline: float,
    max_output: int,
    on_output: Callable[[bytes], None] | None,
) -> tuple[bytes, bytes, bool, bool]:
    """Feed and drain the child's pipes until it ends; returns output, errors, whether it ended, whether cut."""
    assert child.stdin
    assert child.stdout
    assert child.stderr
    collected: dict[int, list[bytes]] = {child.stdout.fileno(): [], child.stderr.fileno(): []}
    size = 0
    pending = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(child.stderr, selectors.EVENT_READ)
        os.set_blocking(child.stdin.fileno(), False)
        if stdin:
            selector.register(child.stdin, selectors.EVENT_WRITE)
        else:
            child.stdin.close()
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for key, _ in selector.select(min(left, 0.2)):
                if key.fileobj is child.stdin:
                    pending = _feed(child, pending, selector)
                    continue
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                    continue
                collected[key.fd].append(chunk)
                size += len(chunk)
                if on_output is not None:
                    on_output(chunk)
            if size > max_output:
                break
            if _exited(child) and not selector.select(0):
                # A grandchild may hold the pipes open; the child's own end is what we were asked to wait for.
                break
    truncated = size > max_output
    ended = not truncated and _ends_by(child, deadline)
    out, err = (b"".join(parts) for parts in collected.values())
    return out, err, ended, truncated


def _feed(child: subprocess.Popen[bytes], pending: memoryview, selector: selectors.BaseSelector) -> memoryview:
    assert child.stdin
    try:
        pending = pending[os.write(child.stdin.fileno(), pending[:_CHUNK]) :]
    except BrokenPipeError:
        pending = pending[len(pending) :]
    if not pending:
        selector.unregister(child.stdin)
        child.stdin.close()
    return pending


def _exited(child: subprocess.Popen[bytes]) -> bool:
    """True if the child has ended. It is not reaped yet, so that no other process can take its group's id."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ends_by(child: subprocess.Popen[bytes], deadline: float) -> bool:
    while not _exited(child):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _ask_to_end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask the group to end, and wait until no process in it holds the child's pipes, which may outlast the child."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    with selectors.DefaultSelector() as selector:
        for pipe in (child.stdout, child.stderr):
            assert pipe
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                if not os.read(key.fd, _CHUNK):
                    selector.unregister(key.fileobj)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the rest of the child's process group, reap the child and close its pipes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None and not pipe.closed:
            pipe.close()


_MOST_COMPLAINTS = 1 << 16
_LONGEST_LINE = 1 << 16


class ProcessConversation:
    """A child process that answers one question after the other (`ml.ports.Conversation`)."""

    def __init__(self, argv: Sequence[str | Path], *, deadline_s: float, env: Mapping[str, str] | None = None) -> None:
        self._child = _start(argv, None, env)
        self._program = visible(os.fspath(argv[0]))
        self._deadline_s = deadline_s
        self._out = bytearray()
        self._err = bytearray()
        assert self._child.stdin
        assert self._child.stdout
        assert self._child.stderr
        self._in_fd, self._out_fd, self._err_fd = (
            pipe.fileno() for pipe in (self._child.stdin, self._child.stdout, self._child.stderr)
        )
        self._poll = select.poll()
        for fd in (self._in_fd, self._out_fd, self._err_fd):
            os.set_blocking(fd, False)
        for fd in (self._out_fd, self._err_fd):
            self._poll.register(fd, select.POLLIN)

    def say(self, words: bytes) -> None:
        """Write to its standard input; what it says meanwhile is kept, so that neither side waits for the other."""
        rest = memoryview(words)
        while rest:
            try:
                rest = rest[os.write(self._in_fd, rest) :]
            except BlockingIOError:
                self._poll.register(self._in_fd, select.POLLOUT)
                try:
                    self._listen()
                finally:
                    self._poll.unregister(self._in_fd)
            except BrokenPipeError as error:
                raise self._ended() from error

    def line(self) -> bytes:
        """The next line of its output, without its end."""
        while (end := self._out.find(b"\n")) < 0:
            if len(self._out) > _LONGEST_LINE or not self._listen():
                raise self._ended()
        found = bytes(self._out[:end])
        del self._out[: end + 1]
        return found

    def take(self, size: int) -> Iterator[bytes]:
        """The next ``size`` bytes of its output, in pieces."""
        while size:
            if not self._out and not self._listen():
                raise self._ended()
            piece = bytes(self._out[:size])
            del self._out[:size]
            size -= len(piece)
            if piece:
                yield piece

    def complaints(self) -> bytes:
        """Its standard error so far."""
        self._drain(self._err_fd, self._err)
        return bytes(self._err[:_MOST_COMPLAINTS])

    def close(self) -> None:
        """End it, with its whole process group."""
        _end_group(self._child)

    def _listen(self) -> bool:
        """Wait for something to read or to write; False when its output has ended."""
        ready = self._poll.poll(self._deadline_s * 1000)
        if not ready:
            raise TimedOut(f"{self._program} said nothing for {self._deadline_s:g} s.", "Try again.")
        going = True
        for fd, _ in ready:
            if fd == self._out_fd:
                going = self._drain(fd, self._out)
            elif fd == self._err_fd and not self._drain(fd, self._err):
                self._poll.unregister(fd)
        return going

    def _drain(self, fd: int, into: bytearray) -> bool:
        """Read what is there; False at the end of the pipe."""
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return True
        if into is self._out or len(into) < _MOST_COMPLAINTS:
            into += chunk
        return bool(chunk)

    def _ended(self) -> Unavailable:
        said = self.complaints().decode("utf-8", "replace").strip().splitlines()
        why = f": {visible(said[-1], limit=300)}" if said else ""
        return Unavailable(f"{self._program} ended before it had answered{why}.", "Run it by hand to see more.")
