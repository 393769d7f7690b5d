"""Prometheus over HTTP, through prometheus-api-client on a bounded session: data or a typed failure, in time.

Thanos, Mimir and VictoriaMetrics speak the same interface; credentials, certificates and tenant headers are
configuration. `requests` is imported with the first question, not at start-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from ml.adapters.http_deadline import Access
from ml.errors import ConsoleError
from ml.slo import source
from ml.slo.source import (
    Answer,
    Ask,
    BadAnswer,
    Kind,
    MetricsError,
    PartialAnswer,
    SourceTimedOut,
    SourceUnreachable,
)

if TYPE_CHECKING:
    from prometheus_api_client import PrometheusConnect
    from requests import Response

    from ml.adapters.http_deadline import BoundedSession

_MAX_BYTES = 32 << 20
_REST_S = 30.0


def _now() -> datetime:
    return datetime.now(UTC)


class Prometheus:
    """One Prometheus and, where given, a second one that is asked when the first cannot answer.

    Implements `ml.slo.source.Metrics`. ``timeout_s`` is the total deadline of one question, fallback included.
    ``now`` is the wall clock that answers are stamped with. Threads may share one object.
    """

    at_once = 2
    """Questions of one soak that are asked side by side: the server's second core, and not all of it."""

    def __init__(
        self,
        url: str,
        *,
        fallback_url: str = "",
        timeout_s: float = 5.0,
        access: Access | None = None,
        alertmanager_url: str = "",
        max_bytes: int = _MAX_BYTES,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._urls = tuple(each.rstrip("/") for each in (url, fallback_url) if each)
        self._alertmanager = alertmanager_url.rstrip("/")
        self._timeout_s = timeout_s
        self._access = access or Access()
        self._max_bytes = max_bytes
        self._now = now
        self._first_rests_until = 0.0

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        """Evaluate at one moment; without ``at``, at the server's own now."""
        return self._ask(Ask(Kind.QUERY, promql, at=at))

    def query_range(self, promql: str, start: datetime, end: datetime, step_s: int) -> Answer:
        """Evaluate at ``start``, ``start + step_s`` … up to ``end``, both in whole seconds."""
        return self._ask(Ask(Kind.RANGE, promql, start=start, end=end, step_s=step_s))

    def rules(self) -> Answer:
        """The alert rules that are loaded, with their health and state."""
        return self._ask(Ask(Kind.RULES))

    def alerts(self) -> Answer:
        """The alerts that are pending or firing now."""
        return self._ask(Ask(Kind.ALERTS))

    def silences(self) -> Answer | None:
        """Alertmanager's silences; ``None`` where no Alertmanager is configured."""
        if not self._alertmanager:
            return None
        try:
            return self._exchange(Ask(Kind.SILENCES), self._alertmanager, self._timeout_s)
        except ConsoleError as error:
            kind = type(error) if isinstance(error, MetricsError) else BadAnswer
            raise kind(error.cause, "Check that Alertmanager runs and that alertmanager.url is right.") from error

    def close(self) -> None:
        """Close the pooled connections."""
        if "_session" in self.__dict__:
            self._session.close()

    def _ask(self, ask: Ask) -> Answer:
        """Ask each URL in turn, within one deadline; only a source that cannot answer is passed over."""
        if not self._urls:
            raise SourceUnreachable("No Prometheus is configured.", "Set prometheus.url in console.toml.")
        ends = time.monotonic() + self._timeout_s
        if len(self._urls) > 1 and time.monotonic() >= self._first_rests_until:
            try:
                # The first may hang: it gets half, so that the fallback still has time to answer.
                return self._exchange(ask, self._urls[0], self._timeout_s / 2)
            except (SourceUnreachable, SourceTimedOut, BadAnswer):
                self._first_rests_until = time.monotonic() + _REST_S
        return self._exchange(ask, self._urls[-1], ends - time.monotonic())

    def _exchange(self, ask: Ask, url: str, deadline_s: float) -> Answer:
        # requests costs 140 ms, which the first frame does not wait for
        from ml.adapters.http_deadline import (  # noqa: PLC0415
            HELPER,
            failure_of,
            judge_status,
        )

        asked_at, started = self._now(), time.monotonic()
        try:
            response = HELPER.within(deadline_s, lambda: self._send(ask, url))
        except Exception as error:
            raise failure_of(error, url, deadline_s) from error
        judge_status(response, url, ask.kind)
        read = source.read(response.content, ask.kind)
        if read.partial:
            raise PartialAnswer(
                f"{url} answers with a part of its data only: some of its storages did not answer.",
                "Look at the storage nodes, then ask again.",
            )
        return Answer(
            ask=ask,
            raw=response.content,
            url=url,
            asked_at=asked_at,
            seconds=time.monotonic() - started,
            series=read.series,
            warnings=read.warnings,
        )

    def _send(self, ask: Ask, url: str) -> Response:
        """Send the request through the client library, and return the raw response, which we check more strictly."""
        from prometheus_api_client import PrometheusConnect  # noqa: PLC0415
        from prometheus_api_client.exceptions import PrometheusApiClientException  # noqa: PLC0415

        from ml.adapters.http_deadline import answered, last_response  # noqa: PLC0415

        if ask.kind is Kind.SILENCES:  # Alertmanager is another server: Prometheus's credentials are not for it
            return self._session.request("GET", f"{url}/api/v2/silences")
        headers, auth = self._access.headers_now(), self._access.basic()
        if ask.kind in (Kind.RULES, Kind.ALERTS):
            params = {"type": "alert"} if ask.kind is Kind.RULES else {}
            return self._session.request("GET", f"{url}/api/v1/{ask.kind}", params=params, headers=headers, auth=auth)
        client = PrometheusConnect(url, headers=headers, auth=auth, session=self._session, retry=0)
        try:
            _run(client, ask)
        except (PrometheusApiClientException, ValueError, KeyError, TypeError, RecursionError):
            # It raises for every answer without data in it, and it has no types for why.
            if not answered():
                raise
        return last_response()

    @cached_property
    def _session(self) -> BoundedSession:
        from ml.adapters.http_deadline import BoundedSession  # noqa: PLC0415

        session = BoundedSession(self._max_bytes)
        access = self._access
        session.verify = str(access.ca_file) if access.ca_file else True
        if access.cert_file:
            session.cert = (str(access.cert_file), str(access.key_file)) if access.key_file else str(access.cert_file)
        return session


# VictoriaMetrics shifts the steps of a range and the time of a query without this parameter. Prometheus ignores it.
_EXACTLY = {"nocache": "1"}


def _run(client: PrometheusConnect, ask: Ask) -> None:
    if ask.kind is Kind.RANGE:
        client.custom_query_range(ask.promql, ask.start, ask.end, str(ask.step_s), params=dict(_EXACTLY))
    else:
        client.custom_query(ask.promql, params=_EXACTLY | ({"time": ask.at.timestamp()} if ask.at else {}))
