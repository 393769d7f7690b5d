"""PromQL texts: selectors of one stage, identification of engines, and joined questions.

An *engine* is one process that infers: the labels in `Scope.by` tell engines apart. What an engine counted belongs to
an artifact only while ``grinder_ml_model_info`` says that the engine serves it (`Scope.serves`). Metrics are named
here as the runbook names them; `Scope.names` has the exporter's names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ml.metrics_contract import INFO, LATENCY, RUNBOOK, Metric, MetricNames, quoted
from ml.slo.source import Series
from ml.stage import Stage

TAG = "mlconsole"
"""The label that tells the answers of joined questions apart."""
ENGINE = ("instance", "job")
"""The labels that identify engines by default."""
REMEMBERED = "1d"
"""A series that was not seen for this long before a window is born in the window."""


class Attribution(StrEnum):
    """The tie between numbers and an artifact: the engines' own report, mode and time, or both."""

    ARTIFACT = "artifact"
    MODE = "mode"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Scope:
    """The series of one stage of one model: the policy's ``selector`` (such as ``model="a"``), and the artifact.

    ``by`` are the labels that tell engines apart. ``latency`` is the histogram that shows in which mode an engine
    infers. ``swapped``: some engine served another artifact within the long window, so only some of its time counts.
    ``modeless``: some counters have no label ``mode`` and take the mode of their engine's histogram.
    ``split``: the label that separates several models that one question is about; ``selector`` then selects all of
    them, ``artifact_id`` is empty, and where engines were swapped each answer carries the label ``artifact_id``.
    ``born``: some counter may have been born within the window.
    ``counters`` count inferences besides the histogram: those of successes and errors of the policy's ratio.
    ``names``: the metrics contract of the model.
    """

    stage: Stage
    selector: str = ""
    artifact_id: str = ""
    by: tuple[str, ...] = ENGINE
    attribution: Attribution = Attribution.MODE
    swapped: bool = False
    modeless: bool = True
    latency: str = LATENCY
    split: str = ""
    born: bool = True
    counters: tuple[str, ...] = ()
    names: MetricNames = RUNBOOK

    @property
    def engines(self) -> str:
        """The labels that identify engines, as ``by (…)`` and ``on (…)`` take them."""
        return ", ".join(self.identifying)

    @property
    def identifying(self) -> tuple[str, ...]:
        """The labels of `engines`, with the one that separates models."""
        return tuple(sorted({*self.by, self.split})) if self.split else self.by

    @property
    def owners(self) -> str:
        """The labels by which a value of a whole model is added up; empty where the question is about one model."""
        return ", ".join((self.split, self.names.artifact) if self._labelled else (self.split,)) if self.split else ""

    def timed(self, metric: str) -> str:
        """A metric that the engine labels by mode, as it does its latencies."""
        return self._of(metric, self.names.in_stage(self.stage))

    def timed_with(self, metric: str, matcher: str) -> str:
        """Same as `timed`, with one more matcher."""
        return self._of(metric, f"{self.names.in_stage(self.stage)},{matcher}")

    def counted(self, metric: str) -> str:
        """Select a metric that only some engines label by mode: ours, or without a mode."""
        return self._of(metric, self._counted_mode)

    def counted_with(self, metric: str, matcher: str) -> str:
        """Same as `counted`, with one more matcher."""
        return self._of(metric, f"{self._counted_mode},{matcher}")

    @property
    def _counted_mode(self) -> str:
        return self.names.in_stage(self.stage, or_none=self.modeless)

    def plain(self, metric: str) -> str:
        """Select a metric in any mode."""
        return self._of(metric, "")

    def plain_with(self, metric: str, matcher: str) -> str:
        """Same as `plain`, with one more matcher."""
        return self._of(metric, matcher)

    def selecting(self, metric: Metric) -> str:
        """Select a metric of the exporter's in any mode, such as the blocks of a kill."""
        inside = ",".join(part for part in (metric.matchers, self.selector) if part)
        return f"{metric.name}{{{inside}}}" if inside else metric.name

    def _of(self, metric: str, mode: str) -> str:
        found = self.names.metric(metric)
        own = found.matchers if found.where or found.where_not else ""
        inside = ",".join(part for part in (mode, own, self.selector) if part)
        return f"{found.name}{{{inside}}}" if inside else found.name

    # --- engines and their artifacts ------------------------------------------------------------------------------

    @property
    def ours(self) -> str:
        """Select engines that report this artifact."""
        return self.timed_with(INFO, f"{self.names.artifact}={quoted(self.artifact_id)}")

    @property
    def others(self) -> str:
        """Select engines that report another artifact."""
        return self.timed_with(INFO, f"{self.names.artifact}!={quoted(self.artifact_id)}")

    def serves(self, window: str) -> str:
        """Select the engines that served only this artifact during a window; empty where no engine reports it."""
        if self.attribution is Attribution.MODE:
            return ""
        if self.split:
            return self._split_serves(window)
        by = self.engines
        says = (
            f"max by ({by}) (max_over_time({self.ours}[{window}])) > 0"
            f" unless on ({by}) max by ({by}) (max_over_time({self.others}[{window}])) > 0"
        )
        if self.attribution is Attribution.ARTIFACT:
            return f"({says})"
        return f"({says} or on ({by}) ({self._silent(window)}))"

    def _silent(self, window: str) -> str:
        """Select the engines that infer and never said which artifact they serve."""
        known = f"count by ({self.engines}) (last_over_time({self.timed(INFO)}[{REMEMBERED}]))"
        return f"{self.infers(window)} unless on ({self.engines}) {known}"

    @property
    def _labelled(self) -> bool:
        """True if answers carry the artifact, because the engines of these models served several."""
        return bool(self.split) and self.swapped and self.attribution is not Attribution.MODE

    def _split_serves(self, window: str) -> str:
        """Select the engines of many models that served one artifact during a window.

        The roster said which artifact that is, where no engine was swapped. Otherwise the value is 1 and its label
        ``artifact_id`` names the artifact.
        """
        by, label = self.engines, self.names.artifact
        if self._labelled:
            each = f"group by ({by}, {label}) (max_over_time({self.timed(INFO)}[{window}]) > 0)"
            named = self.timed_with(INFO, f'{label}!=""')
            says = (
                f"group by ({by}, {label}) (max_over_time({named}[{window}]) > 0)"
                f" and on ({by}) (count by ({by}) ({each}) == 1)"
            )
        else:
            says = f"max_over_time({self.timed(INFO)}[{window}]) > 0"
        if self.attribution is Attribution.ARTIFACT:
            return f"({says})"
        return f"({says} or on ({by}) group by ({by}) ({self._silent(window)}))"

    def infers(self, window: str) -> str:
        """Select the engines with a histogram of this mode in a window."""
        return f"count by ({self.engines}) (count_over_time({self.timed(f'{self.latency}_count')}[{window}]))"

    def attributed(self, promql: str, window: str, *, counter: bool = False) -> str:
        """A vector by engine, narrowed to what belongs to the artifact.

        ``counter``: of a metric that may have no mode, which then takes that of its engine's histogram.
        """
        serves = self.serves(window)
        if serves and self._labelled:
            promql, serves = f"({promql}) * on ({self.engines}) group_left ({self.names.artifact}) {serves}", ""
        conditions = [serves]
        if counter and self.modeless:
            conditions.append(self.infers(window))
        narrowed = "".join(f" and on ({self.engines}) {each}" for each in conditions if each)
        return f"({promql}{narrowed})" if narrowed or self._labelled else promql

    # --- what was counted -----------------------------------------------------------------------------------------

    def grown(self, series: str, window: str) -> str:
        """By how much counters grew in a window, by engine: what PromQL's own ``increase`` says."""
        return f"sum by ({self.engines}) (increase({series}[{window}]))"

    def counts(self, series: str, window: str, *, le: bool = False, restarts: bool = False) -> str:
        """Count a counter's increase in a window, by engine (and ``le``); a new counter counts from its first value.

        A bucket is born with its histogram only: another spelling of ``le`` is no birth. ``restarts``: of a counter
        that is born and restarts in the same window, its count before the restart must not be lost.
        """
        if not self.born:
            return f"sum by ({self.engines}{', le' if le else ''}) (increase({series}[{window}]))"
        highest, increase = f"max_over_time({series}[{window}])", f"increase({series}[{window}])"
        whole = series.replace("}", ',le="+Inf"}', 1) if le and "}" in series else series
        whole = f'{series}{{le="+Inf"}}' if le and "}" not in series else whole
        before = f"unless {'ignoring (le) ' if le else ''}last_over_time({whole}[{REMEMBERED}] offset {window})"
        if restarts:
            highest = f"(({increase} > {highest}) or {highest})"
        return f"sum by ({self.engines}{', le' if le else ''}) (({highest} {before}) or {increase})"


def joined(questions: Mapping[str, str]) -> str:
    """One query that answers many: each expression's series carry its key in the label `TAG`.

    The expressions are joined by a balanced tree of ``or``: a chain would cost Prometheus the square of their number.
    """
    return _tree([f'label_replace({promql}, "{TAG}", "{key}", "", "")' for key, promql in questions.items()])


def _tree(terms: Sequence[str]) -> str:
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    left, right = _tree(terms[:middle]), _tree(terms[middle:])
    return f"{left} or {right}" if middle == 1 else f"({left}) or ({right})"


def parcels(questions: Mapping[str, str], most: int = 16_000) -> Sequence[Mapping[str, str]]:
    """Questions in as few groups as fit into one query each: VictoriaMetrics refuses more than 16 KiB."""
    groups: list[dict[str, str]] = []
    room = 0
    for key, promql in questions.items():
        size = len(promql.encode()) + len(key) + 50
        if size > room or not groups:
            groups.append({})
            room = most
        groups[-1][key] = promql
        room -= size
    return groups


def split(series: Sequence[Series]) -> dict[str, tuple[Series, ...]]:
    """Split the answers of a `joined` query by key, and remove its label."""
    found: dict[str, list[Series]] = {}
    for each in series:
        labels = tuple(pair for pair in each.labels if pair[0] != TAG)
        found.setdefault(each.label(TAG), []).append(Series(labels, each.points))
    return {key: tuple(parts) for key, parts in found.items()}
