"""Who may look at the console in a browser: a page of ours, under a name of ours, and from elsewhere with a token.

A read-only console still tells what trades and where, and any page that is open in the same browser may try to reach
it: by opening a WebSocket to it, which no same-origin rule forbids, or by pointing a name of its own at this address.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: an HTTP status and one sentence."""

    status: int
    why: str


@dataclass(frozen=True)
class Guard:
    """The rules of one server.

    Args:
        public_url: where browsers find the console; of the same host and port as ``names`` or of a proxy before it.
        names: further ``host:port`` under which it answers.
        token: what every request must show; empty where only this machine can reach the server.
    """

    public_url: str
    names: tuple[str, ...]
    token: str

    def refusal(self, host: str, origin: str | None, token: str) -> Refusal | None:
        """Judge a request by its ``Host`` and ``Origin`` headers and by the token that it shows; None lets it in."""
        # A proxy that speaks https passes a name without a port.
        asked = {_place(f"{scheme}://{host}") for scheme in _PORTS}
        if not self.token and not asked & self._places():
            return Refusal(403, f"This console answers only to {self.public_url}.")
        if origin is not None and _place(origin) not in (asked | {_place(self.public_url)}) - {None}:
            return Refusal(403, "Another site's page asked for this console.")
        if self.token and not self.knows(token):
            return Refusal(401, "Open the address with the token that `mlconsole serve` printed.")
        return None

    def knows(self, token: str) -> bool:
        """Whether this is the token, told in the same time whether it nearly is or not."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode())

    def _places(self) -> set[tuple[str, int] | None]:
        return {_place(self.public_url), *(_place(f"http://{name}") for name in self.names)} - {None}


def _place(url: str) -> tuple[str, int] | None:
    """Host and port of a URL; None for what is none, such as the origin ``null`` of a sandboxed page."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None
