"""Comparison of two artifacts: their content, their speed, and the share of different decisions (contract §3)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from ml.artifacts.inspection import Inspection
from ml.artifacts.manifest import feature_order_hash
from ml.artifacts.protocol import Decided, Request, Task
from ml.artifacts.verification import Verification
from ml.artifacts.verify import LatencyProbe, Verifier
from ml.contract import REGIMES
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

    ``latency`` and ``decided`` are ``None`` where one of the two is not valid; ``why`` then says so.
    """

    left: Verification
    right: Verification
    rows: tuple[Row, ...]
    latency: LatencyProbe | None = None
    decided: Decided | None = None
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """``PASS`` if both are valid. A difference is not a failure."""
        return worst((self.left.verdict, self.right.verdict))

    @property
    def disagreement(self) -> float | None:
        """The share of common inputs, 0 to 1, on which the two decide for different regimes."""
        if self.decided is None:
            return None
        same = sum(row[index] for index, row in enumerate(self.decided.confusion))
        return 1.0 - same / self.decided.rows

    def lines(self) -> Iterator[str]:
        """For a terminal: properties, latency, disagreement and the confusion of LOW, MID, HIGH."""
        for row in self.rows:
            left, right = (visible(text, limit=_COLUMN) for text in (row.left, row.right))
            yield f"{'≠' if row.differs else ' '} {visible(row.name, limit=22):<22} {left:<{_COLUMN}} {right}"
        if self.latency is not None:
            yield f"latency: {self.latency.check.why}"
        if self.decided is not None:
            shown = f"{self.disagreement:.2%} of {self.decided.rows:,} common inputs"
            yield f"decisions differ on {shown}; {self.left.artifact_id} down, {self.right.artifact_id} across"
            yield from self.confusion_lines()
        if self.why:
            yield self.why

    def confusion_lines(self) -> Iterator[str]:
        """Show the counts of the regimes that both chose on the same inputs: left's down, right's across."""
        if self.decided is None:
            return
        across = " ".join(f"{regime:>6}" for regime in REGIMES)
        yield f"{'down / across':<13} {across}"
        for regime, counts in zip(REGIMES, self.decided.confusion, strict=True):
            yield f"{regime:<13} " + " ".join(f"{count:>6}" for count in counts)

    def document(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "left": self.left.document(),
            "right": self.right.document(),
            "rows": [asdict(row) | {"differs": row.differs} for row in self.rows],
            "latency": asdict(self.latency) if self.latency else None,
            "decisions": asdict(self.decided) | {"disagreement": self.disagreement} if self.decided else None,
            "why": self.why,
        }


def compare(
    verifier: Verifier, left: Path, right: Path, *, max_ratio: float, report: Report | None = None
) -> Comparison:
    """Verify both artifacts, then run both in one sandbox on the same inputs.

    Args:
        verifier: verifies, and lends the models.
        left: the newer artifact, or the candidate.
        right: the one that it is compared with.
        max_ratio: the policy's ``max_latency_ratio``.
        report: takes the progress.

    Raises:
        Unavailable: the sandbox cannot be built.
    """
    verified = tuple(verifier.verify(directory, report=report) for directory in (left, right))
    try:
        with ExitStack() as stack:
            lent = [stack.enter_context(verifier.lend(directory, report=report)) for directory in (left, right)]
            if report is not None:
                report(Progress("decisions", note="in the sandbox"))
            subjects = tuple(one.subject for one in lent)
            decided = verifier.sandbox.ask(Request(Task.DECIDE, subjects), Decided)
    except Invalid as error:
        bare = tuple(_rows(verified, None))
        return Comparison(left=verified[0], right=verified[1], rows=bare, why=error.cause)
    latency = verifier.latency(left, right, max_ratio=max_ratio, report=report)
    rows = tuple(_rows(verified, tuple(one.inspection for one in lent)))
    return Comparison(left=verified[0], right=verified[1], rows=rows, latency=latency, decided=decided)


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
    yield _row("features", *(_features(one.feature_order) if one else _ABSENT for one in manifests))
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
    return f"{len(order)}, {feature_order_hash(order)[:12]}"


def _pairs(pairs: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{visible(name, limit=60)} {number}" for name, number in pairs[:12])


def _row(name: str, left: str, right: str) -> Row:
    return Row(name, left, right)
