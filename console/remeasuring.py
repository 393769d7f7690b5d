"""The gate's own Prometheus, as a command line names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ml.errors import Usage
from ml.text import visible

if TYPE_CHECKING:
    from ml.slo.source import Metrics

_QUESTION_S = 20.0


def source_at(url: str | None, token_file: str | None, ca_file: str | None) -> Metrics | None:
    """Return the Prometheus at which the gate asks recorded questions again; ``None`` without an address.

    Address and credentials never come from console.toml: the author of a change can edit that file.

    Raises:
        Usage: it is no address, or credentials are given without one.
    """
    if not url:
        if token_file or ca_file:
            raise Usage("Credentials are given without a Prometheus.", "Add --prometheus URL.")
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        shown = visible(url.rpartition("@")[2], limit=120)
        raise Usage(
            f"{shown} is not the address of a Prometheus.", "Write http://HOST:PORT, with credentials in a file."
        )
    # Imported here: a gate without a Prometheus does not need an HTTP client.
    from ml.adapters.http_deadline import Access  # noqa: PLC0415
    from ml.adapters.prometheus import Prometheus  # noqa: PLC0415

    token, authority = (Path(name) if name else None for name in (token_file, ca_file))
    access = Access(bearer_token_file=token, ca_file=authority)
    return Prometheus(url, timeout_s=_QUESTION_S, access=access)
