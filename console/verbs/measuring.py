"""Options for the gate's own Prometheus, and the gate's output with the basis of each line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from console import documents
from console.invocation import Invocation
from console.verbs import lines
from console.verbs.output import Answer
from ml.errors import Usage
from ml.text import visible
from ml.verdict import Gate

_OPTIONS = (
    click.option("--prometheus", metavar="URL", help="Run the evidence's recorded queries again on this Prometheus."),
    click.option(
        "--prometheus-token-file", metavar="FILE", help="File with a bearer token for it, read for every query."
    ),
    click.option("--prometheus-ca-file", metavar="FILE", help="File with the authority that signed its certificate."),
)


def measuring(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add the options for the gate's own Prometheus, and connect the gate to it before the verb starts."""

    @functools.wraps(function)
    def run(
        invocation: Invocation,
        /,
        *,
        prometheus: str | None,
        prometheus_token_file: str | None,
        prometheus_ca_file: str | None,
        **others: Any,
    ) -> Answer:
        _measure(invocation, prometheus, prometheus_token_file, prometheus_ca_file)
        return function(invocation, **others)

    made: Callable[..., Answer] = run
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


def _measure(
    invocation: Invocation, prometheus: str | None, prometheus_token_file: str | None, prometheus_ca_file: str | None
) -> None:
    """Connect the gate to the Prometheus given on this command line, and to no other.

    Address and credentials never come from console.toml: the author of a change can edit that file.

    Raises:
        Usage: it is no address, or credentials are given without one.
    """
    if not prometheus:
        if prometheus_token_file or prometheus_ca_file:
            raise Usage("Credentials are given without a Prometheus.", "Add --prometheus URL.")
        invocation.session.gate.source = None
        return
    parts = urlsplit(prometheus)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        shown = visible(prometheus.rpartition("@")[2], limit=120)
        raise Usage(
            f"{shown} is not the address of a Prometheus.", "Write http://HOST:PORT, with credentials in a file."
        )
    # Imported here: a gate without a Prometheus does not need an HTTP client.
    from ml.adapters.http_deadline import Access  # noqa: PLC0415
    from ml.adapters.prometheus import Prometheus  # noqa: PLC0415

    token, authority = (Path(name) if name else None for name in (prometheus_token_file, prometheus_ca_file))
    access = Access(bearer_token_file=token, ca_file=authority)
    invocation.session.gate.source = Prometheus(prometheus, timeout_s=_QUESTION_S, access=access)


_QUESTION_S = 20.0


def judged_line(item: Gate) -> str:
    """Return a line of the gate with its basis."""
    from ml.promotion.gate.case import shown_basis  # noqa: PLC0415  it is needed by this verb alone

    return f"{lines.gate(item)}  ({shown_basis(item)})"


def judged_document(gates: Sequence[Gate]) -> list[dict[str, Any]]:
    """Return the gate's lines for scripts.

    ``basis`` is the evidence for each line; ``claimed_by`` is the claim's author.
    """
    from ml.promotion.gate.case import basis_of  # noqa: PLC0415  it is needed by this verb alone

    rows = []
    for gate in gates:
        basis, who = basis_of(gate)
        rows.append(documents.plain(gate) | {"basis": str(basis), "claimed_by": who or None})
    return rows
