"""A small Git LFS server after the published batch API, for the real ``git-lfs``; it keeps files in memory."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MIME = "application/vnd.git-lfs+json"


@dataclass
class LfsServer:
    """The server's address, the files that it has by digest, and what it was asked to do."""

    url: str
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def lfs_server() -> Iterator[LfsServer]:
    """Serve on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.endswith("/objects/batch"):
                self._answer(404, {"message": "no locks here"})
                return
            served.asked.append(asked["operation"])
            self._answer(200, {"objects": [self._offer(asked["operation"], each) for each in asked["objects"]]})

        def _offer(self, operation: str, wanted: dict[str, Any]) -> dict[str, Any]:
            oid = wanted["oid"]
            if (operation == "download") == (oid in served.objects):
                action = {"href": f"{served.url}/files/{oid}"}
                return wanted | {"actions": {operation: action}}
            missing = {"error": {"code": 404, "message": "no such object"}}
            return wanted | (missing if operation == "download" else {})

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            served.objects[hashlib.sha256(content).hexdigest()] = content
            self._answer(200, {})

        def do_GET(self) -> None:
            content = served.objects[self.path.rpartition("/")[2]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", _MIME)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = LfsServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
