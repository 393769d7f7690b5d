"""The read-only console in a browser: textual-serve behind a guard, one process of the console per browser window."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import shlex
import signal
import socket
import sys
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server

from console.config import Settings
from console.guard import Guard
from console.verbs.output import say
from ml.errors import Unavailable, Usage
from ml.text import visible

MOST_VIEWERS = 8
"""Each window costs a process and polls Prometheus."""

_LEAVE_S = 5.0
_DRIVER = "console.browser:BrowserDriver"
_HEADERS = {
    # The page of textual-serve asks for a font from outside; nothing of this console may be told to anybody.
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
    """Serve until a signal; returns the exit code.

    Args:
        settings: the configuration, whose root the consoles look at.
        config: the configuration file to pass on, when one was named.
        host, port: where to listen; port 0 takes a free one.
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
    """The shell's command line that starts one console: read-only, without the kill key, whatever else is set."""
    # -P: the folder that we are in may hold a package of the same name.
    argv = [sys.executable, "-P", "-m", "console", "--read-only", "--no-kill", "--repo", str(settings.root)]
    # exec: the shell that textual-serve runs this by would outlive us.
    return f"exec env TEXTUAL_DRIVER={_DRIVER} {shlex.join([*argv, *(['--config', config] if config else [])])}"


class GuardedServer(Server):
    """textual-serve's server, whose every request passes the guard first, and whose consoles end with it."""

    def __init__(self, command: str, guard: Guard, *, port: int) -> None:
        super().__init__(command, port=port, title="mlconsole", public_url=guard.public_url)
        self._guard = guard
        self._cookie = f"mlconsole-{port}"  # browsers do not keep the cookies of two ports apart
        self._viewers: set[asyncio.Task[object]] = set()

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._door())
        app.on_response_prepare.append(_add_headers)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the address is on stderr already."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Close every window and wait for its console to leave."""
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
        """The same page without the token in its address, which goes into histories and over shoulders."""
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
        raise Usage(f"{visible(host)} is no address of this machine.", "Correct --host.") from error
    except (OSError, OverflowError) as error:
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else "no such port"
        raise Unavailable(f"Cannot listen on {visible(host)} port {port}: {why}.", "Choose another --port.") from error


def _checked(url: str) -> str:
    """A public URL without its last slash, if it is the address of a whole site; empty stays empty."""
    with contextlib.suppress(ValueError):
        parts, bare = urlsplit(url), url.removesuffix("/")
        whole = parts.scheme in ("http", "https") and bare == f"{parts.scheme}://{parts.netloc}"
        if not url or (whole and parts.hostname and parts.port != 0):
            return bare
    raise Usage(f"{visible(url)!r} is not the URL of a site.", "Give --public-url like https://console.example.com.")


def _name_of(host: str, address: str) -> str:
    """What a browser elsewhere calls us; every address has no name but the machine's."""
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
