"""Read-only console in a browser: textual-serve behind an access guard, with one console process per browser window."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import os
import secrets
import shlex
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual.drivers.web_driver import WebDriver
from textual_serve.server import Server

from console.settings import Settings
from console.verbs.output import say
from ml.errors import Unavailable, Usage
from ml.text import visible

# Driver of a console in a browser. The console ends when its window or its server ends.

_LAST_RESORT_S = 3.0


class BrowserDriver(WebDriver):
    """Textual's driver for textual-serve, changed to end when its server has died. The original would poll forever."""

    def run_input_thread(self) -> None:
        """Read keys until the server closes the pipe."""
        super().run_input_thread()
        self._end()

    def on_meta(self, packet_type: str, payload: dict[str, object]) -> None:
        """Handle a message of the server. ``quit`` arrives when the window is closed."""
        if packet_type == "quit":
            self._end()
        else:
            super().on_meta(packet_type, payload)

    def _end(self) -> None:
        """End the application in order, or force it after a short wait.

        The session is read-only, so no write can be cut off.
        """
        if not self.exit_event.is_set():
            threading.Thread(target=self._last_resort, name="last resort", daemon=True).start()
            self._app.call_from_thread(self._app.exit)

    def _last_resort(self) -> None:
        threading.Event().wait(_LAST_RESORT_S)
        os._exit(0)


# Access rules: requests must come from our own page, under our own name, and from other machines with a token.
#
# A read-only console still shows what trades and where, and any page open in the same browser may try to reach it. A
# page can open a WebSocket, which no same-origin rule forbids, or point its own host name at this address.

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Refusal:
    """Reason why a request is refused: an HTTP status and one sentence."""

    status: int
    why: str


@dataclass(frozen=True)
class Guard:
    """The access rules of one server.

    Args:
        public_url: where browsers find the console; of the same host and port as ``names`` or of a proxy before it.
        names: further ``host:port`` under which it answers.
        token: what every request must show; empty where only this machine can reach the server.
    """

    public_url: str
    names: tuple[str, ...]
    token: str

    def refusal(self, host: str, origin: str | None, token: str) -> Refusal | None:
        """Judge a request by its ``Host`` and ``Origin`` headers and its token. Returns ``None`` when it is allowed."""
        # A proxy with https passes a name without a port.
        asked = {_place(f"{scheme}://{host}") for scheme in _PORTS}
        if not self.token and not asked & self._places():
            return Refusal(403, f"This console answers only to {self.public_url}.")
        if origin is not None and _place(origin) not in (asked | {_place(self.public_url)}) - {None}:
            return Refusal(403, "Another site's page asked for this console.")
        if self.token and not self.knows(token):
            return Refusal(401, "Open the address with the token that `mlconsole serve` printed.")
        return None

    def knows(self, token: str) -> bool:
        """Compare a token in constant time."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode())

    def _places(self) -> set[tuple[str, int] | None]:
        return {_place(self.public_url), *(_place(f"http://{name}") for name in self.names)} - {None}


def _place(url: str) -> tuple[str, int] | None:
    """Return host and port of a URL; ``None`` for a text that is no URL, such as the origin ``null`` of a sandboxed
    page."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None


MOST_VIEWERS = 8
"""Each window costs one process and polls Prometheus."""

_LEAVE_S = 5.0
_DRIVER = "console.serve:BrowserDriver"
_HEADERS = {
    # textual-serve's page asks for a font from another site. This policy blocks all requests to other sites.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self' data:",
            "frame-ancestors 'none'",
            "form-action 'none'",
            "base-uri 'none'",
        )
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def serve(settings: Settings, *, config: str | None, host: str, port: int, public_url: str) -> int:
    """Serve until a signal arrives. Returns the exit code.

    Args:
        settings: the configuration. The consoles show its repository.
        config: the configuration file to pass on, when one was named.
        host, port: where to listen; port 0 chooses a free one.
        public_url: where browsers find us, when that is a proxy or another name; else derived.

    Raises:
        Usage: the URL is none, or the host is not this machine's.
        Unavailable: the port is taken.
    """
    url = _checked(public_url)
    listener = _listen(host, port)
    address, bound = listener.getsockname()[:2]
    url = url or f"http://{_authority(_name_of(host, address), bound)}"
    alone = ipaddress.ip_address(address).is_loopback and _is_loopback(urlsplit(url).hostname or "")
    token = "" if alone else secrets.token_urlsafe(32)
    names = tuple(_authority(name, bound) for name in (host, address, "localhost"))
    server = GuardedServer(command(settings, config), Guard(url, names, token), port=bound)
    say(f"{url}/?token={token}" if token else f"{url}/")
    return asyncio.run(_until_signal(server, listener))


def command(settings: Settings, config: str | None) -> str:
    """Return the shell command that starts one console: always read-only and without the kill key."""
    # -P: the current folder may hold a package of the same name.
    argv = [sys.executable, "-P", "-m", "console", "--read-only", "--no-kill", "--repo", str(settings.root)]
    # exec: the shell that textual-serve uses would outlive us.
    return f"exec env TEXTUAL_DRIVER={_DRIVER} {shlex.join([*argv, *(['--config', config] if config else [])])}"


class GuardedServer(Server):
    """textual-serve's server. Every request passes the guard first, and all consoles end with the server."""

    def __init__(self, command: str, guard: Guard, *, port: int) -> None:
        super().__init__(command, port=port, title="mlconsole", public_url=guard.public_url)
        self._guard = guard
        self._cookie = f"mlconsole-{port}"  # Browsers share cookies between ports, so the port is part of the name.
        self._viewers: set[asyncio.Task[object]] = set()

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._door())
        app.on_response_prepare.append(_add_headers)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: stderr shows the address already."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Close every window and wait until its console has ended."""
        for viewer in self._viewers:
            viewer.cancel()
        if self._viewers:
            await asyncio.wait(self._viewers, timeout=_LEAVE_S)

    def _door(self) -> Middleware:
        @web.middleware
        async def door(request: web.Request, handler: Handler) -> web.StreamResponse:
            shown = request.query.get("token", "")
            token = shown or request.cookies.get(self._cookie, "")
            refused = self._guard.refusal(request.host, request.headers.get("Origin"), token)
            if refused is not None:
                return web.Response(status=refused.status, text=refused.why)
            if self._guard.token and shown:
                return self._remembering(request)
            return await (self._watched(request, handler) if request.path == "/ws" else handler(request))

        return door

    def _remembering(self, request: web.Request) -> web.Response:
        """Redirect to the same page without the token, so that browser histories and bystanders do not get it."""
        response = web.Response(status=303, headers={"Location": request.path})
        secure = self._guard.public_url.startswith("https:")
        response.set_cookie(self._cookie, self._guard.token, httponly=True, samesite="Strict", secure=secure, path="/")
        return response

    async def _watched(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if len(self._viewers) >= MOST_VIEWERS:
            return web.Response(status=503, text=f"{MOST_VIEWERS} windows are open already; close one.")
        viewer = asyncio.current_task()
        assert viewer is not None
        self._viewers.add(viewer)
        try:
            return await handler(request)
        finally:
            self._viewers.discard(viewer)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _until_signal(server: GuardedServer, listener: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(number: int) -> None:
        if not ended.done():
            ended.set_result(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    # No access log: the first request holds the token.
    runner = web.AppRunner(await server._make_app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        return await ended
    finally:
        await runner.cleanup()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family)
    except socket.gaierror as error:
        raise Usage(f"{visible(host)} is not an address of this machine.", "Correct --host.") from error
    except (OSError, OverflowError) as error:
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else "no such port"
        raise Unavailable(f"Cannot listen on {visible(host)} port {port}: {why}.", "Choose another --port.") from error


def _checked(url: str) -> str:
    """Return a public URL without its last slash, when it is the address of a whole site. Empty stays empty."""
    with contextlib.suppress(ValueError):
        parts, bare = urlsplit(url), url.removesuffix("/")
        whole = parts.scheme in ("http", "https") and bare == f"{parts.scheme}://{parts.netloc}"
        if not url or (whole and parts.hostname and parts.port != 0):
            return bare
    raise Usage(f"{visible(url)!r} is not the URL of a site.", "Give --public-url like https://console.example.com.")


def _name_of(host: str, address: str) -> str:
    """Return the host name that other machines use. A wildcard address stands for the machine's own name."""
    return socket.gethostname() if ipaddress.ip_address(address).is_unspecified else host


def _authority(name: str, port: int) -> str:
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
