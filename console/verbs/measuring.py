"""Options for the gate's own Prometheus, and the gate's output with the basis of each line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from console import documents
from console.invocation import Invocation
from console.remeasuring import source_at
from console.verbs import lines
from console.verbs.output import Answer
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
        # Without these options there is no second measurement, whatever this session's own Prometheus is.
        invocation.session.gate.source = source_at(prometheus, prometheus_token_file, prometheus_ca_file)
        return function(invocation, **others)

    made: Callable[..., Answer] = run
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


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
