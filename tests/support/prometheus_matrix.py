"""The fault matrix of Prometheus: twelve rows, each in the variants that a real source can be sick in."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote_plus

from support.sick_server import Behaviour, Visit, drips, floods, hangs, response, says

from ml.slo.promql import TAG
from ml.slo.source import (
    BadAnswer,
    MetricsError,
    PartialAnswer,
    QuestionRefused,
    SourceTimedOut,
    SourceUnreachable,
)

_KEYS = re.compile(rf'"{TAG}", "(\w+)')


@dataclass(frozen=True)
class Sick:
    """One way to be sick: what the server does, and the failure that a question meets; ``None``: data, but bad."""

    behaviour: Behaviour | None
    error: type[MetricsError] | None = None
    cause: str = ""


def html() -> bytes:
    return response(b"<!doctype html><title>Sign in</title>", headers="Content-Type: text/html\r\n")


def envelope(**members: object) -> bytes:
    return response(json.dumps(members).encode())


def status(line: str) -> Sick:
    return Sick(says(response(b"{}", line)), SourceUnreachable, f"({line[:3]})|status {line[:3]}")


def answers(value: Callable[[str, float], Iterable[tuple[dict[str, str], str]]], **more: object) -> Behaviour:
    """A Prometheus whose answer to each part of a question is what ``value`` says, for the part's name and the time."""

    def act(visit: Visit) -> None:
        now = time.time()
        keys = _KEYS.findall(unquote_plus(visit.request)) or ["shown"]
        found = [({**labels, TAG: key}, text) for key in dict.fromkeys(keys) for labels, text in value(key, now)]
        if "/query_range" in visit.request:
            series = [{"metric": labels, "values": [[now - 300 * i, text] for i in range(3)]} for labels, text in found]
            data: dict[str, object] = {"resultType": "matrix", "result": series}
        else:
            series = [{"metric": labels, "value": [now, text]} for labels, text in found]
            data = {"resultType": "vector", "result": series}
        if "/rules" in visit.request or "/alerts" in visit.request:
            data = {"groups": [], "alerts": []}
        visit.connection.sendall(envelope(status="success", data=data, **more))

    return act


_ABSENT = frozenset(
    {"blind", "uncounted", "killed", "down", "unmeasured", "blended", "changed", "info", "failed", "resets", "restarts"}
)
"""Parts of a question that a healthy day has no answer to."""


def healthy(age_s: float = 0, cells: float = 288) -> Callable[[str, float], Iterable[tuple[dict[str, str], str]]]:
    """A day that would pass, but for the age of its newest sample or the windows that hold data."""

    def value(key: str, now: float) -> Iterable[tuple[dict[str, str], str]]:
        if key in _ABSENT:
            return []
        if key == "bounds":
            return [({"le": le}, "1") for le in ("25.0", "50.0", "100.0", "250.0", "500.0", "+Inf")]
        numbers = {"newest": now - age_s, "covered": cells, "long": 0.01, "short": 0.01}
        return [({"le": "500.0"}, str(numbers.get(key, 90_000.0)))]

    return value


def everywhere(text: str) -> Behaviour:
    return answers(lambda key, now: [({}, text)])


def one_is_bad(key: str, now: float) -> Iterable[tuple[dict[str, str], str]]:
    well = list(healthy()(key, now))
    return [*well, ({"instance": "b"}, "9000")] if key in ("long", "short", "value") else well


EMPTY: dict[str, object] = {"resultType": "vector", "result": []}
WHOLE = envelope(status="success", data=EMPTY)
FAULTS = {
    "refused": [Sick(None, SourceUnreachable, "cannot be reached: Connection refused")],
    "hang": [Sick(hangs, SourceTimedOut, "no complete answer within")],
    "slow drip": [Sick(drips(WHOLE), SourceTimedOut, "no complete answer within")],
    "5xx and 429": [status("500 Oops"), status("502 Bad Gateway"), status("503 Busy"), status("429 Too Many Requests")],
    "4xx and 401": [
        Sick(says(response(b"{}", "401 Unauthorized")), QuestionRefused, r"refuses our credentials \(401\)"),
        Sick(says(response(b"{}", "404 Not Found")), QuestionRefused, "status 404"),
        Sick(
            says(response(b'{"status":"error","errorType":"bad_data","error":"parse error"}', "400 Bad Request")),
            QuestionRefused,
            "Prometheus refused the query: parse error",
        ),
    ],
    "HTML with 200": [Sick(says(html()), BadAnswer, "not JSON; it begins with “<!doctype html>")],
    "status=error with 200": [
        Sick(says(envelope(status="error", error="boom", errorType="internal")), SourceUnreachable, "boom"),
        Sick(
            says(
                envelope(status="error", error="late", errorType="timeout", data={"resultType": "vector", "result": []})
            ),
            SourceTimedOut,
            "late",
        ),
    ],
    "truncated or huge body": [
        Sick(says(WHOLE[:-20]), BadAnswer, "breaks off"),
        Sick(says(response(b'{"status":"success","data"')), BadAnswer, "not JSON"),
        Sick(says(response(b"[" * 100_000)), BadAnswer, "not JSON"),
        Sick(floods(), BadAnswer, "more than 1 MiB"),
    ],
    "NaN and infinite": [Sick(everywhere("NaN")), Sick(everywhere("+Inf")), Sick(everywhere("-Inf"))],
    "empty or missing series": [
        Sick(says(WHOLE), None),
        Sick(answers(lambda key, now: [])),
        Sick(says(envelope(status="success")), BadAnswer, "holds no data"),
    ],
    "several series or wrong type": [
        Sick(answers(one_is_bad)),
        Sick(
            says(envelope(status="success", data={"resultType": "string", "result": [1, "x"]})),
            BadAnswer,
            "The query's result is a string",
        ),
        Sick(
            says(envelope(status="success", data={"resultType": "vector", "result": [{"metric": {}}]})),
            BadAnswer,
            "malformed",
        ),
    ],
    "warnings, stale samples, partial window": [
        Sick(answers(healthy(), warnings=["remote storage is not there"])),
        Sick(says(envelope(status="success", data=EMPTY, isPartial=True)), PartialAnswer, "a part of its data only"),
        Sick(answers(healthy(age_s=240))),
        Sick(answers(healthy(cells=2))),
    ],
}
