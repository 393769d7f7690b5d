"""A real HTTP server on this machine that misbehaves on purpose: it hangs, drips, breaks off, lies."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Visit:
    """A connection, the request that was read from it, body included, and an event: the server stops."""

    connection: socket.socket
    request: str
    stop: threading.Event


Behaviour = Callable[[Visit], None]


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

    def act(visit: Visit) -> None:
        visit.connection.sendall(whole)

    return act


def hangs(visit: Visit) -> None:
    """Never answers."""
    visit.stop.wait()


def drips(whole: bytes, every_s: float = 0.05) -> Behaviour:
    """Answers a byte at a time, so that no single read is ever late."""

    def act(visit: Visit) -> None:
        for byte in whole:
            visit.connection.sendall(bytes([byte]))
            if visit.stop.wait(every_s):
                return

    return act


def floods(chunk: bytes = b" " * 65_536) -> Behaviour:
    """Answers without an end."""

    def act(visit: Visit) -> None:
        visit.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        while not visit.stop.is_set():
            visit.connection.sendall(chunk)

    return act


@contextmanager
def sick(behaviour: Behaviour) -> Iterator[SickServer]:
    """Serve every connection by ``behaviour`` until the block ends."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SickServer(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                request = _request(connection)
                server.requests.append(request)
                behaviour(Visit(connection, request, stop))

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
    head, body = b"", b""
    while b"\r\n\r\n" not in head:
        chunk = connection.recv(65_536)
        if not chunk:
            return head.decode("latin-1")
        head += chunk
    head, _, body = head.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65_536)
    return (head + b"\r\n\r\n" + body).decode("latin-1")
