"""One HTTP request with a total deadline, made of the standard library, for the kill switch and for notifications.

Nothing is retried and no redirect, proxy or netrc file is followed. `http.client` is imported with the first post,
because the kill key imports this module.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ml.errors import TimedOut, Unavailable, Usage
from ml.text import visible

if TYPE_CHECKING:
    from http.client import HTTPConnection

_MOST = 1 << 16


class Post(Protocol):
    """Sends a body to a URL and returns when the other side took it."""

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> None:
        """Raises TimedOut at the deadline, Unavailable when it was not taken, Usage for a URL that is none."""
        ...


class Reply(NamedTuple):
    """The answer's status, and the beginning of its content."""

    status: int
    content: bytes


def post(url: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> None:
    """POST ``body`` (`Post`). Any status but 2xx is a failure."""
    require_status(exchange("POST", url, body, headers, deadline_s).status, url)


def exchange(method: str, url: str, body: bytes | None, headers: Mapping[str, str], deadline_s: float) -> Reply:
    """Send one request and return the answer, of whatever status.

    Raises TimedOut at the deadline, Unavailable without an answer, Usage for a URL that is none.

    A name server or a peer that hangs costs the deadline and no more: the exchange runs on a daemon thread, and its
    socket is shut down when time is up.
    """
    connection, path = _connection(url, deadline_s)
    shown = visible(url.partition("?")[0], limit=200)
    outcome: list[Reply | Exception] = []

    def work() -> None:
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            outcome.append(Reply(response.status, response.read(_MOST)))
        except Exception as error:  # noqa: BLE001 - carried to the caller's thread, where it becomes a sentence
            outcome.append(error)

    worker = threading.Thread(target=work, name="post", daemon=True)
    worker.start()
    worker.join(deadline_s)
    late = worker.is_alive()
    _hang_up(connection)
    if late:
        raise TimedOut(f"{shown} gave no answer within {deadline_s:g} s.", "Check that it is up and reachable.")
    answer = outcome[0]
    if isinstance(answer, Exception):
        why = visible(str(answer) or type(answer).__name__, limit=200)
        raise Unavailable(f"{shown} could not be reached: {why}.", "Check the address and the network.")
    return answer


def _connection(url: str, deadline_s: float) -> tuple[HTTPConnection, str]:
    import http.client  # noqa: PLC0415 - see the module's docstring
    from urllib.parse import urlsplit  # noqa: PLC0415

    try:
        parts = urlsplit(url)
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[parts.scheme]
        if not parts.hostname:
            raise ValueError("no host")
        # The socket's own limit comes after ours, so that our deadline is the one that is reported.
        connection = kind(parts.hostname, parts.port, timeout=deadline_s + 1)
    except (ValueError, KeyError) as error:
        raise Usage(f"{visible(url, limit=200)} is not an http or https URL.", "Correct it in console.toml.") from error
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return connection, path


def _hang_up(connection: HTTPConnection) -> None:
    """End the exchange at any point. Closing the socket wakes the thread that reads from it."""
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(2)
    connection.close()


def require_status(status: int, url: str, wanted: int = 0) -> None:
    """Raise Unavailable for a status that is not ``wanted``, or not a 2xx where ``wanted`` is 0."""
    if status != wanted if wanted else not 200 <= status < 300:
        shown = visible(url.partition("?")[0], limit=200)
        raise Unavailable(f"{shown} answered with status {status}.", "Check the address and the credentials.")
