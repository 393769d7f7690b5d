"""What a failed exchange with a metrics server means, in one sentence and one typed error."""

from __future__ import annotations

import contextlib

import requests
import urllib3

from ml.adapters.http_deadline import Late, TooLarge
from ml.errors import ConsoleError, Usage
from ml.slo import envelope
from ml.slo.source import BadAnswer, Kind, QuestionRefused, SourceTimedOut, SourceUnreachable
from ml.text import visible

_LOOK = "Check that it runs and that prometheus.url is right."


_LATE = (Late, requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_TLS = (requests.exceptions.SSLError, urllib3.exceptions.SSLError)
_NO_ADDRESS = (ValueError, urllib3.exceptions.LocationParseError)
"""`requests` has such errors of its own, which are ValueErrors as well; nothing else here raises one unanswered."""


def failure_of(error: Exception, url: str, deadline_s: float) -> ConsoleError:
    """The typed failure behind whatever the HTTP libraries raised."""
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
    """Return when the response's status lets its body be read as an answer.

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
    # A Prometheus tells why in the envelope; anything else that answers so is not asked for its reasons.
    with contextlib.suppress(BadAnswer):
        envelope.read(response.content, kind)
    if status >= 500:
        raise SourceUnreachable(f"{host} fails with status {status}.", "Look at the server's log.")
    raise QuestionRefused(f"{host} refuses the question with status {status}.", _LOOK)


def _reason(error: BaseException) -> str:
    """The innermost cause that has words of its own."""
    words = str(error)
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            words = seen.strerror
        seen = seen.__cause__ or seen.__context__
    return visible(words, limit=200)
