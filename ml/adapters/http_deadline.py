"""An HTTP session with a total deadline and a size limit, for servers that may hang or misbehave.

`requests` has timeouts per socket operation only: a server that sends one byte a second is never late. Here every
read, of headers and of body, gets what is left of one deadline. Ambient proxies, netrc files and redirects are
ignored, and nothing is retried; the caller decides what a failure means.
"""

from __future__ import annotations

import contextlib
import io
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from ml.errors import ConsoleError, Usage
from ml.slo import source
from ml.slo.source import BadAnswer, Kind, QuestionRefused, SourceTimedOut, SourceUnreachable
from ml.text import visible

T = TypeVar("T")

_CHUNK = 65_536
_LONG_QUERY = 2_000
_here = threading.local()


class TooLarge(requests.RequestException):
    """The response's body exceeds the size cap."""


class Late(requests.Timeout):
    """The total deadline passed."""


class Helper:
    """Runs work within a deadline, on at most as many threads as questions may run at a time.

    Work that is late keeps its thread and ends soon after, because its socket reads have the same deadline. Only a
    hanging name resolver can hold it longer, so the thread is a daemon and nothing waits for it. Threads are reused,
    because starting one can cost more than a question.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def within(self, deadline_s: float, work: Callable[[], T]) -> T:
        """Run ``work`` and return its result, or raise `Late` at the deadline and leave it behind."""
        with self._lock:
            worker = self._idle.pop() if self._idle else _Worker()
        outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        worker.tasks.put((time.monotonic() + deadline_s, work, outcome))
        try:
            result, error = outcome.get(timeout=deadline_s)
        except queue.Empty:
            worker.tasks.put(None)
            raise Late(f"no complete answer in {deadline_s:g} s") from None
        with self._lock:
            self._idle.append(worker)
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # work's own result, whatever its type


class _Worker:
    """A daemon thread that runs tasks until it gets ``None``; its name is ``http`` while it runs one."""

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[tuple[float, Callable[[], Any], queue.SimpleQueue[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="http idle", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (task := self.tasks.get()) is not None:
            _here.__dict__.clear()  # nothing of the task before may be taken for this one's
            _here.deadline, work, outcome = task
            self._thread.name = "http"
            found: tuple[Any, BaseException | None]
            try:
                found = (work(), None)
            except BaseException as error:  # noqa: BLE001  carried to the thread that waits
                found = (None, error)
            self._thread.name = "http idle"
            outcome.put(found)


HELPER = Helper()
"""The one helper of this process."""


def answered() -> bool:
    """True if any exchange of this task got a response."""
    return hasattr(_here, "response")


def last_response() -> requests.Response:
    """The response of the last exchange of this task; for clients that show only what they made of it."""
    response: requests.Response = _here.response
    return response


def _left() -> float:
    left = float(_here.deadline - time.monotonic())
    if left <= 0:
        raise TimeoutError("the total deadline passed")
    return left


class _Reader(io.RawIOBase):
    """Reads a connected socket through http.client's own file, each time with what is left of the deadline."""

    def __init__(self, sock: socket.socket, file: io.RawIOBase) -> None:
        self._sock, self._file = sock, file

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has arrived, waiting for at most what is left."""
        self._sock.settimeout(_left())
        return self._file.readinto(buffer)

    def close(self) -> None:
        """Return the file to its connection. The socket closes when the connection has released it."""
        self._file.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class BoundedSession(requests.Session):
    """A session for a `Helper`: whole bodies up to ``max_bytes``, no proxies, netrc, redirects or retries."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self.trust_env = False
        self.headers["Accept-Encoding"] = "identity"
        self._max_bytes = max_bytes
        self._adapter = _Adapter(max_retries=0)

    def get_adapter(self, url: str | bytes) -> HTTPAdapter:
        """Return our own adapter, whatever a client library mounts."""
        return self._adapter

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: a redirect is an answer like any other."""

    def request(self, method: str | bytes, url: str | bytes, **options: Any) -> requests.Response:  # type: ignore[override]  # the options pass through
        """One exchange, its body read whole. A long query travels in the body, where no proxy cuts it."""
        params = options.get("params") or {}
        if len(str(params.get("query", ""))) > _LONG_QUERY:
            method, options["data"], options["params"] = "POST", params, None
        options |= {"timeout": _left(), "stream": True, "allow_redirects": False}
        response = super().request(method, url, **options)
        with response:
            body = b"".join(self._chunks(response))
        response._content = body  # the attribute that requests itself fills from a stream
        _here.response = response
        return response

    def _chunks(self, response: requests.Response) -> Any:
        size = 0
        while chunk := response.raw.read(_CHUNK, decode_content=False):
            size += len(chunk)
            if size > self._max_bytes:
                raise TooLarge(f"more than {self._max_bytes >> 20} MiB")
            yield chunk

    def close(self) -> None:
        """Close the pooled connections."""
        super().close()
        self._adapter.close()


# Credentials of a metrics server: tokens, passwords, certificates and headers. Secrets are read when they are needed.


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A bearer token or user and password (each as a value or in a file), TLS files, and extra headers.

    Files of secrets are read with every question, so a rotated token works without a restart.
    """

    bearer_token: str = field(default="", repr=False)
    bearer_token_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def headers_now(self) -> dict[str, str]:
        """The headers to send, Authorization included when there is a token."""
        token = self.bearer_token or _secret(self.bearer_token_file)
        return {**self.headers, **({"Authorization": f"Bearer {token}"} if token else {})}

    def basic(self) -> tuple[str, str] | None:
        """User and password for basic authentication; ``None`` without a user."""
        return (self.username, self.password or _secret(self.password_file)) if self.username else None


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"The secret in {visible(str(path))} cannot be read: {visible(str(error), limit=200)}.",
            "Correct the path in the configuration, or the file's permissions.",
        ) from error


# Failed exchanges with a metrics server as one typed error with one sentence.

_LOOK = "Check that it runs and that prometheus.url is right."


_LATE = (Late, requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_TLS = (requests.exceptions.SSLError, urllib3.exceptions.SSLError)
_NO_ADDRESS = (ValueError, urllib3.exceptions.LocationParseError)
"""`requests` has such errors of its own, which are ValueErrors as well; nothing else here raises one unanswered."""


def failure_of(error: Exception, url: str, deadline_s: float) -> ConsoleError:
    """Return the typed failure for an exception of the HTTP libraries."""
    host = visible(url, limit=200)
    failure: ConsoleError
    if isinstance(error, ConsoleError):
        failure = error
    elif isinstance(error, _LATE):
        failure = SourceTimedOut(
            f"{host} gave no complete answer within {deadline_s:.3g} s.",
            "Look at the server's load; prometheus.timeout_seconds sets the deadline.",
        )
    elif isinstance(error, TooLarge):
        failure = BadAnswer(f"{host} answers with {error}.", "Ask for less: narrow the selector in the policy.")
    elif isinstance(error, _TLS):
        failure = SourceUnreachable(
            f"The TLS connection to {host} failed: {_reason(error)}.",
            "Check prometheus.ca_file, cert_file and key_file.",
        )
    elif isinstance(error, _NO_ADDRESS):
        failure = Usage(f"{host} is no address that can be asked.", "Correct prometheus.url; it begins with http.")
    elif isinstance(error, urllib3.exceptions.ProtocolError):
        failure = BadAnswer(f"The answer of {host} breaks off.", _LOOK)
    elif isinstance(error, requests.ConnectionError):
        failure = SourceUnreachable(f"{host} cannot be reached: {_reason(error)}.", _LOOK)
    elif isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        failure = Usage(f"A TLS file cannot be used: {_reason(error)}.", "Check ca_file, cert_file and key_file.")
    else:
        failure = BadAnswer(f"{host} answers unintelligibly: {_reason(error)}.", _LOOK)
    return failure


def judge_status(response: requests.Response, url: str, kind: Kind) -> None:
    """Pass if the response's status allows its body to be read as an answer.

    Raises:
        MetricsError: the subclass that says what a script should do next.
    """
    host, status = visible(url, limit=200), response.status_code
    if status == 200:
        return
    if 300 <= status < 400:
        where = visible(response.headers.get("Location", "nowhere"), limit=200)
        raise BadAnswer(
            f"{host} redirects to {where}, which is not followed.", "Put the final address in the configuration."
        )
    if status in (401, 403):
        raise QuestionRefused(f"{host} refuses our credentials ({status}).", "Check the token, user or certificate.")
    if status in (408, 429):
        raise SourceUnreachable(f"{host} asks us to slow down ({status}).", "Raise prometheus.poll_seconds.")
    # A Prometheus gives the reason in the envelope. Other servers are not asked for one.
    with contextlib.suppress(BadAnswer):
        source.read(response.content, kind)
    if status >= 500:
        raise SourceUnreachable(f"{host} fails with status {status}.", "Look at the server's log.")
    raise QuestionRefused(f"{host} refuses the question with status {status}.", _LOOK)


def _reason(error: BaseException) -> str:
    """The innermost cause that has words of its own."""
    words = str(error)
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.strerror:
            words = current.strerror
        current = current.__cause__ or current.__context__
    return visible(words, limit=200)
