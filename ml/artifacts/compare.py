"""Comparison of two artifacts: their content, their speed, and the share of different decisions (contract §3)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from ml.artifacts.inspection import Inspection
from ml.artifacts.manifest import feature_order_hash
from ml.artifacts.protocol import Compared, Decided, Request, Task
from ml.artifacts.verification import Verification
from ml.artifacts.verify import LatencyProbe, Verifier
from ml.contract import Contract
from ml.errors import Invalid
from ml.ports import Progress, Report
from ml.text import visible
from ml.verdict import Verdict, worst

_ABSENT = "—"
_MOST_REPORT_ROWS = 40
_COLUMN = 26
_SAID_ELSEWHERE = frozenset(
    {"model_sha256", "feature_order", "schema_version", "created_at_utc", "git_sha", "dataset_id", "notes"}
)


@dataclass(frozen=True, slots=True)
class Row:
    """One property of both artifacts, as text."""

    name: str
    left: str
    right: str

    @property
    def differs(self) -> bool:
        """True if the two differ here."""
        return self.left != self.right


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both verifications, all properties, the latency of the left over the right, and their decisions.

    ``decided`` compares the answers in the first output of the contract, and ``further`` those in the others.
    ``latency`` and ``decided`` are ``None`` where one of the two is not valid; ``why`` then says so.
    """

    left: Verification
    right: Verification
    rows: tuple[Row, ...]
    latency: LatencyProbe | None = None
    decided: Decided | None = None
    further: tuple[Decided, ...] = ()
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """``PASS`` if both are valid. A difference is not a failure."""
        return worst((self.left.verdict, self.right.verdict))

    @property
    def disagreement(self) -> float | None:
        """The share of common inputs, 0 to 1, on which the two decide or answer differently.

        ``None`` where nothing was compared, or where both give one answer to all inputs, which proves nothing.
        """
        return disagreement_of(self.decided) if self.decided is not None else None

    def lines(self) -> Iterator[str]:
        """For a terminal: properties, latency, disagreement and the confusion of LOW, MID, HIGH."""
        for row in self.rows:
            left, right = (visible(text, limit=_COLUMN) for text in (row.left, row.right))
            yield f"{'≠' if row.differs else ' '} {visible(row.name, limit=22):<22} {left:<{_COLUMN}} {right}"
        if self.latency is not None:
            yield f"latency: {self.latency.check.why}"
        for decided in self.all_decided:
            yield from self._decided_lines(decided)
        if self.why:
            yield self.why

    @property
    def all_decided(self) -> tuple[Decided, ...]:
        """The comparison of each common output."""
        return (self.decided, *self.further) if self.decided is not None else ()

    def _decided_lines(self, decided: Decided) -> Iterator[str]:
        share = disagreement_of(decided)
        if share is None:
            yield one_answer(decided)
            return
        shown = f"{share:.2%} of {decided.rows:,} common inputs"
        if decided.confusion:
            yield f"decisions differ on {shown}; {self.left.artifact_id} down, {self.right.artifact_id} across"
        else:
            yield f"{visible(decided.output, limit=60)} differs on {shown}"
        yield from measured_lines(decided)

    def document(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "left": self.left.document(),
            "right": self.right.document(),
            "rows": [asdict(row) | {"differs": row.differs} for row in self.rows],
            "latency": asdict(self.latency) if self.latency else None,
            "decisions": _document(self.decided) if self.decided else None,
            "further": [_document(each) for each in self.further],
            "why": self.why,
        }


def compare(
    verifier: Verifier,
    left: Path,
    right: Path,
    *,
    max_ratio: float,
    report: Report | None = None,
    contract: Contract | None = None,
) -> Comparison:
    """Verify both artifacts, then run both in one sandbox on the same inputs.

    Args:
        verifier: verifies, and lends the models.
        left: the newer artifact, or the candidate.
        right: the one that it is compared with.
        max_ratio: the policy's ``max_latency_ratio``.
        report: takes the progress.
        contract: the contract of their model; ``None`` takes each one's own.

    Raises:
        Unavailable: the sandbox cannot be built.
    """
    verified = tuple(verifier.verify(directory, report=report, contract=contract) for directory in (left, right))
    try:
        with ExitStack() as stack:
            lent = [
                stack.enter_context(verifier.lend(directory, report=report, contract=contract))
                for directory in (left, right)
            ]
            if report is not None:
                report(Progress("decisions", note="in the sandbox"))
            subjects = tuple(one.subject for one in lent)
            decided = verifier.sandbox.ask(Request(Task.DECIDE, subjects), Compared).outputs
    except Invalid as error:
        bare = tuple(_rows(verified, None))
        return Comparison(left=verified[0], right=verified[1], rows=bare, why=error.cause)
    latency = verifier.latency(left, right, max_ratio=max_ratio, report=report, contract=contract)
    rows = tuple(_rows(verified, tuple(one.inspection for one in lent)))
    first, *further = decided
    return Comparison(
        left=verified[0], right=verified[1], rows=rows, latency=latency, decided=first, further=tuple(further)
    )


def disagreement_of(decided: Decided) -> float | None:
    """The share of common inputs with another decision or answer; ``None`` where none could have differed."""
    if not decided.varied:
        return None
    if not decided.confusion:
        return decided.different / decided.rows
    same = sum(row[index] for index, row in enumerate(decided.confusion))
    return 1.0 - same / decided.rows


def one_answer(decided: Decided) -> str:
    """Say that a comparison proves nothing, because neither model gave two answers."""
    name = visible(decided.output, limit=60)
    return f"{name}: {Verdict.VACUOUS}: each gives one answer to all inputs that were tried"


def measured_lines(decided: Decided) -> Iterator[str]:
    """Show one output's comparison: the confusion of its classes, or the quantiles of the difference of its numbers."""
    if decided.quantiles is not None:
        low, high, top = decided.quantiles
        largest = decided.largest_difference
        yield f"difference: median {low:.3g}, p90 {high:.3g}, p99 {top:.3g}, largest {largest:.3g}"
    if not decided.confusion:
        return
    names = [visible(name, limit=13) for name in decided.classes]
    across = " ".join(f"{name:>6}" for name in names)
    yield f"{'down / across':<13} {across}"
    for name, counts in zip(names, decided.confusion, strict=True):
        yield f"{name:<13} " + " ".join(f"{count:>6}" for count in counts)


def _document(decided: Decided) -> dict[str, object]:
    return asdict(decided) | {"disagreement": disagreement_of(decided)}


def _rows(verified: tuple[Verification, ...], inspections: tuple[Inspection, ...] | None) -> Iterator[Row]:
    yield _row("artifact", *(one.artifact_id for one in verified))
    yield _row("verdict", *(str(one.verdict) for one in verified))
    yield _row("files", *(str(len(one.files)) for one in verified))
    yield _row("size", *(f"{sum(file.size for file in one.files):,} B" for one in verified))
    yield _row("model sha256", *(one.model_sha256 or _ABSENT for one in verified))
    yield _row("parameters", *(f"{one.graph.parameters:,}" if one.graph else _ABSENT for one in verified))
    yield _row("nodes", *(f"{one.graph.nodes:,}" if one.graph else _ABSENT for one in verified))
    yield _row("opset", *(_pairs(one.graph.opsets) if one.graph else _ABSENT for one in verified))
    yield _row("operators", *(_pairs(one.graph.operators) if one.graph else _ABSENT for one in verified))
    yield _row("inputs", *(", ".join(one.takes) or _ABSENT for one in verified))
    yield _row("outputs", *(", ".join(one.gives) or _ABSENT for one in verified))
    if inspections is not None:
        yield from _document_rows(inspections)


def _document_rows(inspections: tuple[Inspection, ...]) -> Iterator[Row]:
    manifests = [one.manifest for one in inspections]
    yield _row("features", *(_features(one.features) if one else _ABSENT for one in manifests))
    yield _row("manifest", *(one.schema_version if one else _ABSENT for one in manifests))
    for name in ("created_at", "git_sha", "dataset_id", "notes"):
        yield _row(name, *(visible(str(getattr(one, name, None) or _ABSENT), limit=200) for one in manifests))
    reports = [dict(_flat(one.report.model_dump() if one.report else {})) for one in inspections]
    names = list(dict.fromkeys(name for report in reports for name in report))
    for name in names[:_MOST_REPORT_ROWS]:
        yield _row(f"report.{name}", *(report.get(name, _ABSENT) for report in reports))


def _flat(document: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A train report as lines; what the manifest or a digest already says is left out."""
    for key, value in document.items():
        if key in _SAID_ELSEWHERE:
            continue
        if isinstance(value, Mapping) and not prefix:
            yield from _flat(value, f"{key}.")
        else:
            shown = value if isinstance(value, str) else json.dumps(value)
            yield visible(prefix + key, limit=40), visible(shown, limit=200)


def _features(order: tuple[str, ...]) -> str:
    return f"{len(order)}, {feature_order_hash(order)[:12]}" if order else _ABSENT


def _pairs(pairs: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{visible(name, limit=60)} {number}" for name, number in pairs[:12])


def _row(name: str, left: str, right: str) -> Row:
    return Row(name, left, right)
