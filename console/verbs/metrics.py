"""The answer of ``mlconsole doctor metrics``: a table of needs, and the proposed block for the policy."""

from __future__ import annotations

from collections.abc import Iterator

from console import documents
from console.invocation import Invocation
from console.verbs import lines
from console.verbs.output import Answer, code_of
from ml.clock import SystemClock
from ml.session.metrics_doctor import Judged, MetricsReport
from ml.slo.metrics_proposal import Proposal
from ml.text import visible

_ALERTS = "alerts"


def metrics_answer(invocation: Invocation, model: str) -> Answer:
    """Ask for the needs of one model, or of all deployed ones where ``model`` is empty."""
    report = invocation.session.metrics_doctor.report(model)
    document = documents.envelope(SystemClock().now(), report.verdict) | {
        "needs": [_need(each) for each in report.needs],
        "alerts": [{"name": visible(name), **documents.plain(found)} for name, found in report.alerts],
        "proposal": None if report.proposal is None else documents.plain(report.proposal),
        "left_out": report.left_out,
    }
    return Answer(list(_lines(report)), document, code_of(report.verdict))


def _need(each: Judged) -> dict[str, object]:
    need, found = each.need, each.found
    return {
        "verdict": found.verdict.value,
        "role": str(need.role),
        "needed_by": need.needed_by,
        "model": visible(need.model),
        "stage": need.stage,
        "query": visible(need.query),
        "series": dict(found.facts)["series"],
        "closes": need.closes,
        "why": found.why,
    }


def _lines(report: MetricsReport) -> Iterator[str]:
    heading = None
    for each in report.needs:
        need = each.need
        place = " ".join(part for part in (visible(need.model), need.stage) if part) or "every engine"
        if place != heading:
            heading = place
            yield f"{place}:"
        yield f"{lines.tag(each.found.verdict)} {need.needed_by}"
        yield f"          {each.found.why}"
    yield f"{_ALERTS}:"
    for name, found in report.alerts:
        yield f"{lines.tag(found.verdict)} {visible(name)}: {found.why}"
    if report.left_out:
        yield f"{report.left_out} more models are deployed: ask for one by name, `mlconsole doctor metrics MODEL`."
    if report.proposal is not None:
        yield from _proposed(report.proposal)
    elif not report.verdict.opens:
        yield "Nothing that Prometheus has suggests another metrics contract. docs/connect-engine.md has an exporter."


def _proposed(proposal: Proposal) -> Iterator[str]:
    yield ""
    yield "# What Prometheus has suggests this for ml/registry/policy.toml; read each line before you take it."
    yield "# For one model alone, write [model.NAME.metrics] for [metrics]."
    yield from proposal.toml.rstrip("\n").split("\n")
    for clause in proposal.not_found:
        yield f"# not found: {clause}"
