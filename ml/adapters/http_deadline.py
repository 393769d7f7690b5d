"""An HTTP session with a total deadline and a size cap, for talking to servers that may be sick.

`requests` has timeouts per socket operation only: a server that sends one byte a second is never late. Here every
read, of headers and of body, gets what is left of one deadline. Ambient proxies, netrc files and redirects are
ignored, and nothing is retried; the caller decides what a failure means.
"""

from __future__ import annotations

import io
import queue
import socket
import threading
import time
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

T = TypeVar("T")

_CHUNK = 65_536
_LONG_QUERY = 2_000
_here = threading.local()


class TooLarge(requests.RequestException):
    """The response's body exceeds the size cap."""


class Late(requests.Timeout):
    """The total deadline passed."""


class Helper:
    """Runs work within a deadline, on as many threads as there are questions at a time.

    What is late is left behind with its thread: it ends soon by itself, because its socket reads know the same
    deadline. Only a resolver that hangs can hold it longer, which is why the thread is a daemon that nobody waits for.
    A thread for each question would cost more than many a question does.
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
    """A daemon thread that takes tasks until it is told to end by ``None``; named ``http`` while it is at one."""

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
    """Whether any exchange of this task got a response."""
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
        """Give the file back; its socket closes with it when the connection has let go of it."""
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
        """Always ours, whatever a client library mounts."""
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
