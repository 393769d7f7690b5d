"""Whether the answers in evidence came from the metrics source that the base names, where it names one (SPEC §8)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from ml.text import visible

CONFIG_FILE = "console.toml"
_NAMES = (("prometheus", "url"), ("prometheus", "fallback_url"), ("alertmanager", "url"))


def foreign_source(configured: bytes | None, values: Mapping[str, Any]) -> str:
    """Why the evidence is of another source: one clause; empty where it is not, or where the base names none.

    ``configured`` is the console.toml that the base tracks, ``None`` where it tracks none. Without an address in it,
    the address in the evidence is nothing but what its author reports.

    Raises:
        KeyError, TypeError: the evidence has no exchanges.
    """
    named = _named(configured)
    if not any(section == "prometheus" for section, _ in named):
        return ""
    allowed = {address for _, address in named}
    for part in ("soak_exchanges", "review_exchanges"):
        for exchange in values[part]:
            asked = exchange.get("url")
            if asked is not None and str(asked).rstrip("/") not in allowed:
                said = visible(str(asked), limit=120)
                return f"the evidence is of the source {said}, and the base's {CONFIG_FILE} names another"
    return ""


def _named(configured: bytes | None) -> tuple[tuple[str, str], ...]:
    try:
        found = tomllib.loads((configured or b"").decode())
    except (ValueError, RecursionError):
        return ()  # a file that nobody can read configures no console either
    return tuple(_addresses(found))


def _addresses(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section, key in _NAMES:
        table = found.get(section)
        address = table.get(key) if isinstance(table, dict) else None
        if isinstance(address, str) and address:
            yield section, address.rstrip("/")
