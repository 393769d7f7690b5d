"""A real HTTP server on this machine that misbehaves on purpose: it hangs, drips, breaks off, lies."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Behaviour = Callable[[socket.socket, threading.Event], None]
"""What is done with a connection whose request was read; the event is set when the server stops."""


@dataclass
class SickServer:
    """Where it listens, and the requests that it got: first lines and headers."""

    url: str
    requests: list[str] = field(default_factory=list)


def response(body: bytes, status: str = "200 OK", *, headers: str = "Content-Type: application/json\r\n") -> bytes:
    """A whole HTTP response."""
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def says(whole: bytes) -> Behaviour:
    """Answers at once."""

    def act(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(whole)

    return act


def hangs(_: socket.socket, stop: threading.Event) -> None:
    """Never answers."""
    stop.wait()


def drips(whole: bytes, every_s: float = 0.05) -> Behaviour:
    """Answers a byte at a time, so that no single read is ever late."""

    def act(connection: socket.socket, stop: threading.Event) -> None:
        for byte in whole:
            connection.sendall(bytes([byte]))
            if stop.wait(every_s):
                return

    return act


def floods(chunk: bytes = b" " * 65_536) -> Behaviour:
    """Answers without an end."""

    def act(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        while not stop.is_set():
            connection.sendall(chunk)

    return act


@contextmanager
def sick(behaviour: Behaviour) -> Iterator[SickServer]:
    """Serve every connection by ``behaviour`` until the block ends."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SickServer(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                server.requests.append(_request(connection))
                behaviour(connection, stop)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)


def _request(connection: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        if not chunk:
            break
        received += chunk
    return received.decode("latin-1")
