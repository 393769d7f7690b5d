"""PromQL with which the metric source judges each engine's obedience. It returns codes, not samples.

A fleet of 5,000 engines has millions of samples, and one number per engine, or a few counts, for an answer. Every
expression here has one value per ``job`` and ``instance``. Only ``*_over_time`` functions are used, which see the
samples inside their window and nothing else: `increase` extrapolates, and on VictoriaMetrics looks back before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from ml.metrics_contract import BLOCKS, RUNBOOK, Metric, MetricNames

_BY = "by (job, instance)"
_ON = "on (job, instance)"
_BY_WORKER = "by (job, instance, worker, worker_id, pid, process)"
"""Labels that distinguish the workers behind an exporter. Without them, an engine is one worker."""

MANY = 500
"""Engines from which on a cheap question finds the proven ones, and only the first of the others are judged closely."""
NAMED = 50
"""Engines of a large fleet that are named."""
_ENOUGH_MISSED = 5
"""Inferences that an engine always made in a shorter time, before its silence counts as a proof."""


class Code(IntEnum):
    """The meaning of one engine's samples since a request. Higher is worse, so that the worst of two jobs counts."""

    BLOCKED = 1
    """It counts snapshots that the switch forbade, and infers nothing."""
    PROVEN = 9
    """One of a large fleet that the cheap question found proven."""
    STOPPED = 2
    """It infers nothing for longer than it ever rested before; it counts no blocks."""
    INFERS_AGAIN = 3
    ACTIVE_AGAIN = 4
    """``active_on`` is 1 in two samples, and nothing is blocked."""
    NO_MODEL = 5
    """Released: it skips snapshots because no model is loaded, and no longer for the switch."""
    IDLE = 10
    """It neither infers nor is it blocked: what an engine without traffic shows, and one that hangs."""
    BLIND = 11
    """It is blocked, and exports nothing that would show inferences."""
    SOME_WORKERS = 12
    """Some of the workers behind one exporter are blocked, others are not."""
    SECOND_SAMPLE = 13
    """One sample is newer than the request; a pair is needed."""
    NO_SAMPLE = 14
    OPEN = 19
    """One of a large fleet that is not proven, and not among those that are judged closely."""
    STILL_ACTIVE = 15
    STILL_BLOCKED = 16
    INFERS = 17
    JUMPS = 18
    """Its counters go back again and again: several processes answer under one address in turns."""
    SILENT = 20
    """It was seen in the last day, and no fresh sample of it exists."""


PROOFS = frozenset({Code.BLOCKED, Code.STOPPED, Code.INFERS_AGAIN, Code.ACTIVE_AGAIN, Code.NO_MODEL, Code.PROVEN})


_Selectors = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proving:
    """The selectors of the metrics that prove a kill, of all engines: those of every metrics contract in force.

    ``active`` are gauges, 1 while a model decides; ``engaged`` gauges, 1 while an engine sees the switch on;
    ``blocked``, ``empty`` and ``counters`` count what the switch forbade, what no model was loaded for, and inferences.
    ``workers`` are those of the counters that every worker has. ``common`` almost every engine has, those with few
    series first; ``rare`` are the others.
    """

    active: _Selectors
    engaged: _Selectors
    blocked: _Selectors
    empty: _Selectors
    counters: _Selectors
    workers: _Selectors
    common: _Selectors
    rare: _Selectors

    @staticmethod
    def of(contracts: Sequence[MetricNames]) -> Proving:
        """The selectors by these metrics contracts."""

        def each(found: Callable[[MetricNames], Iterable[Metric]]) -> _Selectors:
            return tuple(dict.fromkeys(str(metric) for one in contracts for metric in found(one)))

        return Proving(
            active=each(lambda one: [one.active_on]),
            engaged=each(lambda one: [one.engaged] if one.engaged else []),
            blocked=each(lambda one: [one.blocked]),
            empty=each(lambda one: [one.unloaded]),
            counters=each(lambda one: one.counters),
            workers=each(lambda one: [metric for metric in one.counters if metric != one.errors]),
            common=each(lambda one: [one.active_on, one.counters[0], *_blocks(one), one.latency.part("_count")]),
            rare=each(lambda one: [one.errors, one.serving, *([one.engaged] if one.engaged else [])]),
        )


def _blocks(names: MetricNames) -> Sequence[Metric]:
    """Blocks of any reason. A counter of the exporter's own may count other things too, so its matchers stay."""
    return [Metric(BLOCKS)] if names.blocked == RUNBOOK.blocked else [names.blocked, names.unloaded]


BY_RUNBOOK = Proving.of([RUNBOOK])


def survey(by: Proving = BY_RUNBOOK) -> Mapping[str, str]:
    """The cheap first question: the source's clock, how many engines it knows, how often it scrapes them.

    ``interval`` is what 95 of 100 engines stay below, in seconds.
    """
    # An engine that just began has few samples in 15 minutes, and a slow one has none in the last.
    few = by.common[:2] if by == BY_RUNBOOK else by.common
    lately, before = _first(by.common, "count_over_time({}[1m])"), _first(few, "count_over_time({}[15m])")
    return {
        "time": "vector(time())",
        "engines": f"count(count by (instance) ({_first((*by.common, *by.rare), '{}')}))",
        "interval": f"quantile(0.95, 60 / (({lately}) >= 2) or 900 / ({before}))",
    }


class Window:
    """The samples that one look judges.

    Args:
        now: Unix seconds on the source's clock; every expression must be evaluated at this time.
        asked: the moment after which engines should have obeyed, on the same clock.
        interval: seconds between two scrapes of most engines.
        only: the instances that are asked about; empty: all.
        by: the metrics that prove it.
    """

    def __init__(
        self, now: float, asked: float, interval: float, only: Collection[str] = (), by: Proving = BY_RUNBOOK
    ) -> None:
        self._since_ms = max(1, round((now - asked) * 1000))
        longest = min(900.0, max(60.0, 3 * interval))
        self._ms = min(self._since_ms, round(longest * 1000))
        self._window = f"{self._ms}ms"
        self._fresh_after = now - longest
        matcher = f"instance=~{_quoted('|'.join(map(re.escape, only)))}" if only else ""

        def each(metrics: _Selectors) -> _Selectors:
            return tuple(_matching(metric, matcher) for metric in metrics)

        self._active, self._engaged, self._blocked = each(by.active), each(by.engaged), each(by.blocked)
        self._empty, self._counters, self._working = each(by.empty), each(by.counters), each(by.workers)
        self._common = each(by.common)
        self._any = (*self._common, *each(by.rare))

    # --- one engine at a time ----------------------------------------------------------------------------------------
    def codes(self, *, engage: bool, thorough: bool) -> str:
        """The `Code` of every engine of the last day. ``thorough``: an engine that only falls silent is judged too."""
        known = self._kill_codes(thorough=thorough) if engage else self._release_codes()
        fresh = self._fresh()
        chain = " or ".join(_coded(code, expression) for code, expression in (*known, (Code.NO_SAMPLE, fresh)))
        silent = _coded(Code.SILENT, f"({self._day()}) unless {_ON} {fresh}")
        return f"max by (instance) ((({chain}) and {_ON} {fresh}) or {silent})"

    def last_seen(self) -> str:
        """Return the query for the last sight of each of these engines, in Unix seconds."""
        sampled_at = _first(self._common, "timestamp({})")
        spans = ("10m:5s", "1d:5m")
        return f"max by (instance) ({' or '.join(f'max_over_time(({sampled_at})[{span}])' for span in spans)})"

    # --- a large fleet -----------------------------------------------------------------------------------------------
    def counted(self, *, engage: bool) -> str:
        """Return the query for the numbers of engines that are `Code.PROVEN` and `Code.OPEN`, in the label ``code``.

        Only engines that need no close look count as proven. Two jobs that scrape one engine count once.
        """
        proven = f"({self._plainly(engage=engage)}) and {_ON} {self._fresh()}"
        codes = f"{_coded(Code.PROVEN, proven)} or {_coded(Code.OPEN, self._day())}"
        return f'count_values("code", max by (instance) ({codes}))'

    def open(self, *, engage: bool) -> str:
        """Some of the engines that `counted` leaves open, the ones that do the contrary first."""
        contrary = self._changed() if engage else self._moved_blocks()
        proven = f"({self._plainly(engage=engage)}) and {_ON} {self._fresh()}"
        ranked = f"{_coded(Code.INFERS, contrary)} or {_coded(Code.IDLE, self._day())}"
        return f"topk({NAMED}, max by (instance) (({ranked}) unless {_ON} ({proven})))"

    def _plainly(self, *, engage: bool) -> str:
        if not engage:
            return f"({self._moved_counters()}) unless {_ON} ({self._moved_blocks()})"
        moved = " or ".join((*(_moved(metric, self._window) for metric in self._blocked), *self._says("min")))
        blocked = f"({_workers_of(moved)}) >= ({self._workers()})"
        born = _first(self._counters, f"({{}} > 0) unless {{}} offset {self._window}")
        acts = f"{self._acts()} or {self._changed()} or {born}"
        return f"(({blocked}) and {_ON} ({self._shows_inferences()})) unless {_ON} ({acts})"

    def blocked(self) -> str:
        """Return the query for the number of engines that any kill switch blocks now; no series where there is none."""
        return f"count(count by (instance) (({self._moved_blocks()}) and {_ON} {self._fresh()}))"

    def _changed(self) -> str:
        return _first(self._counters, f"changes({{}}[{self._window}]) > 0")

    def _moved_counters(self) -> str:
        return _first(self._counters, _moved("{}", self._window))

    def _moved_blocks(self) -> str:
        moved = (*(_moved(metric, self._window) for metric in self._blocked), *self._says("last"))
        return _first(moved, "{}")

    def _acts(self) -> str:
        """Engines with a model that decides."""
        return " or ".join(f"max {_BY} ({metric}) > 0" for metric in self._active)

    def _says(self, function: str) -> tuple[str, ...]:
        """Engines that say of themselves that they see the switch on: in every sample (``min``), or the ``last``.

        One sample of a gauge is no proof; a counter shows two by having moved.
        """
        said = (f"{function}_over_time({metric}[{self._window}]) > 0" for metric in self._engaged)
        if function == "last":
            return tuple(f"({each})" for each in said)
        twice = (f"count_over_time({metric}[{self._window}]) >= 2" for metric in self._engaged)
        return tuple(f"({each} and {other})" for each, other in zip(said, twice, strict=True))

    # --- a kill ------------------------------------------------------------------------------------------------------
    def _kill_codes(self, *, thorough: bool) -> list[tuple[Code, str]]:
        """Return the codes to look for, the most important first."""
        blocked, needed = self._blocked_workers("min"), self._workers()
        codes = [
            (Code.JUMPS, _first(self._counters, f"resets({{}}[{self._window}]) > 2")),
            (Code.INFERS, self._infers()),
            (Code.STILL_ACTIVE, self._acts()),
            (Code.SECOND_SAMPLE, f"({self._samples()}) < 2"),
            (Code.SOME_WORKERS, f"({blocked}) < ({needed})"),
            (Code.BLOCKED, f"({blocked}) and {_ON} ({self._shows_inferences()})"),
            (Code.BLIND, blocked),
        ]
        if thorough:
            codes.append((Code.STOPPED, self._stopped()))
        return [*codes, (Code.IDLE, f"({self._samples()}) >= 2")]

    def _infers(self) -> str:
        return f"{self._moved_counters()} or {_first(self._counters, self._born('{}'))}"

    def _blocked_workers(self, says: str) -> str:
        """Return the query for the number of blocked workers behind each engine. ``says`` as in `_says`."""
        counted = (f"{_moved(metric, self._window)} or {self._born(metric)}" for metric in self._blocked)
        return _workers_of(" or ".join((*counted, *self._says(says))))

    def _workers(self) -> str:
        """Return the query for the number of workers of each engine, as far as its labels tell."""
        counts = (
            _tagged(_workers_of(f"last_over_time({metric}[{self._window}])"), str(number))
            for number, metric in enumerate((*self._blocked, *self._working))
        )
        return f"max {_BY} ({' or '.join(counts)})"

    def _born(self, metric: str) -> str:
        """A counter that appears after the request with its value: an earlier scrape since the request lacks it."""
        fewer = f"count_over_time({metric}[{self._window}]) < {_ON} group_left () ({self._samples()})"
        positive = f"last_over_time({metric}[{self._window}]) > 0"
        return f"((({positive}) and ({fewer})) unless {_ON} ({metric} offset {self._window}))"

    def _samples(self) -> str:
        """Return the query for the number of each engine's samples after the request."""
        return _first(self._common, f"count_over_time({{}}[{self._window}])")

    def _shows_inferences(self) -> str:
        return _first((*self._active, *self._counters), "{}")

    def _stopped(self) -> str:
        """Engines without a block counter that are silent for longer than they ever were in the 15 minutes before.

        A third of the window is surely shorter than the silence seen in it, once that holds two samples.
        """
        third = self._ms // 3
        step = min(30_000, max(5_000, third // 2))
        made = (
            _tagged(f"(sum {_BY} ({metric}) - sum {_BY} ({metric} offset {third}ms))", str(number))
            for number, metric in enumerate(self._counters)
        )
        least = f"min_over_time((max {_BY} ({' or '.join(made)}))[15m:{step}ms] offset {self._since_ms}ms)"
        return f"(({least}) >= {_ENOUGH_MISSED}) unless {_ON} ({' or '.join(self._blocked)})"

    # --- a release ---------------------------------------------------------------------------------------------------
    def _release_codes(self) -> list[tuple[Code, str]]:
        active = " or ".join(f"max {_BY} (sum_over_time({each}[{self._window}])) >= 2" for each in self._active)
        empty = _first(tuple(_moved(metric, self._window) for metric in self._empty), "{}")
        return [
            (Code.STILL_BLOCKED, self._blocked_workers("last")),
            (Code.SECOND_SAMPLE, f"({self._samples()}) < 2"),
            (Code.INFERS_AGAIN, self._infers()),
            (Code.ACTIVE_AGAIN, f"({active}) and {_ON} ({self._acts()})"),
            (Code.NO_MODEL, empty),
            (Code.IDLE, f"({self._samples()}) >= 2"),
        ]

    # --- who there is ------------------------------------------------------------------------------------------------
    def _fresh(self) -> str:
        """Engines with a sample that is not too old."""
        return f"(({_first(self._any, 'timestamp({})')}) > {self._fresh_after:.3f})"

    def _day(self) -> str:
        """The engines of the last day; of those older than ten minutes, one that lived for less than five may lack."""
        lately = _first(self._common, "count_over_time({}[10m])")
        return f"{_first(self._any, 'count_over_time({}[1d:5m])')} or {lately}"


def _first(metrics: Collection[str], template: str) -> str:
    """One value per engine: of the first of these metrics that it has. Of conditions: whether any of them holds."""
    return " or ".join(f"max {_BY} ({template.replace('{}', metric)})" for metric in metrics)


def _workers_of(expression: str) -> str:
    return f"count {_BY} (count {_BY_WORKER} ({expression}))"


def _moved(metric: str, window: str) -> str:
    """A counter that counted between two samples of the window; after a restart, what the new process counted."""
    last, least, most = (f"{name}_over_time({metric}[{window}])" for name in ("last", "min", "max"))
    return f"({last} > {least} or ({last} > 0 < {most}))"


def _matching(metric: str, matcher: str) -> str:
    if not matcher:
        return metric
    return f"{metric[:-1]},{matcher}}}" if metric.endswith("}") else f"{metric}{{{matcher}}}"


def _quoted(text: str) -> str:
    """A PromQL string: JSON's escapes are among Go's, once nothing needs a pair of surrogates."""
    return json.dumps(text, ensure_ascii=False)


def _coded(code: Code, expression: str) -> str:
    return f"group {_BY} ({expression}) * {int(code)}"


def _tagged(expression: str, tag: str) -> str:
    return f'label_replace({expression}, "of", "{tag}", "", "")'
