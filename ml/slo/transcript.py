"""Exchanges with a metrics source, written as plain JSON values and read back, without losing a byte or a float."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ml.clock import parse_utc
from ml.slo import envelope
from ml.slo.recording import Exchange, Failure
from ml.slo.source import Answer, Ask, Kind


def write(exchange: Exchange) -> dict[str, Any]:
    """One exchange as JSON values. A response that is UTF-8 stays readable; any other is Base64."""
    asked = {
        "kind": str(exchange.ask.kind),
        "promql": exchange.ask.promql,
        "at": moment(exchange.ask.at),
        "start": moment(exchange.ask.start),
        "end": moment(exchange.ask.end),
        "step_s": exchange.ask.step_s,
    }
    if isinstance(exchange, Failure):
        return asked | {"failure": exchange.type, "cause": exchange.cause, "remedy": exchange.remedy}
    heard = {"url": exchange.url, "asked_at": moment(exchange.asked_at), "seconds": exchange.seconds}
    try:
        return asked | heard | {"body": exchange.raw.decode()}
    except UnicodeDecodeError:
        return asked | heard | {"body_base64": base64.b64encode(exchange.raw).decode()}


def read(written: Mapping[str, Any]) -> Exchange:
    """One exchange, its response read again by the same reader that read it live.

    Raises:
        MetricsError: the response is none that could have been read.
        KeyError, ValueError, TypeError: it is no exchange.
    """
    ask = Ask(
        kind=Kind(written["kind"]),
        promql=written["promql"],
        at=_parsed(written["at"]),
        start=_parsed(written["start"]),
        end=_parsed(written["end"]),
        step_s=written["step_s"],
    )
    if "failure" in written:
        return Failure(ask, written["failure"], written["cause"], written["remedy"])
    raw = written["body"].encode() if "body" in written else base64.b64decode(written["body_base64"], validate=True)
    heard = envelope.read(raw, ask.kind)
    asked_at = _parsed(written["asked_at"])
    if asked_at is None:
        raise ValueError("an answer has a time")
    return Answer(
        ask=ask,
        raw=raw,
        url=written["url"],
        asked_at=asked_at,
        seconds=float(written["seconds"]),
        series=heard.series,
        warnings=heard.warnings,
    )


def moment(at: datetime | None) -> str | None:
    """A time to the microsecond, in UTC, ending in ``Z``."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parsed(text: str | None) -> datetime | None:
    return None if text is None else parse_utc(text)
