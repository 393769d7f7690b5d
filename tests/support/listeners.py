"""Small real HTTP servers on free ports: one that notes what it is told, one that never finishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Listener:
    """A server: where it is, the (path, headers, body) of each request, and the status that it answers with."""

    url: str
    status: int = 200
    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)

    def wait(self, count: int, deadline_s: float = 10.0) -> None:
        """Wait until so many posts have come."""
        ends = time.monotonic() + deadline_s
        while len(self.posts) < count:
            assert time.monotonic() < ends, f"{len(self.posts)} of {count} posts after {deadline_s:g} s"
            time.sleep(0.01)


@contextmanager
def listening(status: int = 200, *, drip_s: float = 0.0, content: bytes = b"") -> Iterator[Listener]:
    """Run a server until the block ends, which answers with ``content``.

    With ``drip_s`` its answer is one header byte per so many seconds.
    """
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            listener.methods.append(self.command)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            listener.posts.append((self.path, dict(self.headers), body))
            while drip_s and not released.wait(drip_s):
                self.wfile.write(b"H")
            if not drip_s:
                self.send_response(listener.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 the standard library's names

        def log_message(self, *_args: object) -> None:
            """Say nothing on the test's terminal."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                """The client hung up, which is what a dripping server is for."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener = Listener(f"http://127.0.0.1:{server.server_port}", status)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield listener
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()
