"""A private git server over HTTP: git's own ``http-backend``, which answers nobody without the right token."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class PrivateServer:
    """The server's address, the token that it takes, and the login of each request, empty without one."""

    url: str
    token: str
    logins: list[str] = field(default_factory=list)

    @property
    def login(self) -> str:
        """The token as a forge takes it: the Base64 text of a basic login."""
        return base64.b64encode(f"x-access-token:{self.token}".encode()).decode()


@contextmanager
def private_server(root: Path, token: str) -> Iterator[PrivateServer]:
    """Serve every repository below ``root`` until the block ends."""
    backend = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            login = (self.headers["Authorization"] or "").rpartition(" ")[2]
            served.logins.append(login)
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if login != served.login:
                self._answer(401, [("WWW-Authenticate", "Basic")], b"")
                return
            path, _, query = self.path.partition("?")
            about = {"GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path}
            about |= {"QUERY_STRING": query, "REQUEST_METHOD": self.command, "HOME": str(root)}
            about |= {"CONTENT_TYPE": self.headers["Content-Type"] or "", "CONTENT_LENGTH": str(len(body))}
            about |= {"HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "", "PATH": os.environ["PATH"]}
            about |= {"GIT_PROTOCOL": self.headers["Git-Protocol"] or "", "REMOTE_USER": "forge"}
            ended = subprocess.run(
                [backend / "git-http-backend"], input=body, env=about, capture_output=True, check=True, timeout=60
            )
            head, _, content = ended.stdout.partition(b"\r\n\r\n")
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
            status = next((int(value[:3]) for name, value in lines if name == "Status"), 200)
            self._answer(status, [(name, value) for name, value in lines if name != "Status"], content)

        do_GET = do_POST  # noqa: N815 the standard library's name

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = PrivateServer(f"http://127.0.0.1:{server.server_port}", token)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
