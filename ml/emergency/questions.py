"""PromQL that lets the metric source itself judge how far each engine obeys: it answers codes, not samples.

A fleet of 5,000 engines has millions of samples, and one number per engine, or a few counts, for an answer. Every
expression here has one value per ``job`` and ``instance``. Only ``*_over_time`` functions are used, which see the
samples inside their window and nothing else: `increase` extrapolates, and on VictoriaMetrics looks back before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

_ACTIVE = "grinder_ml_active_on"
_BLOCKED = 'grinder_ml_block_total{reason="KILL_SWITCH_ENV"}'
_EMPTY = 'grinder_ml_block_total{reason="MODEL_NOT_LOADED"}'
_COUNTERS = (
    "grinder_ml_inference_total",
    "grinder_ml_inference_errors_total",
    "grinder_ml_inference_latency_ms_count",
)
_OF_ENGINES = (_ACTIVE, *_COUNTERS, "grinder_ml_block_total", "grinder_ml_model_info")
_BY = "by (job, instance)"
_ON = "on (job, instance)"
_BY_WORKER = "by (job, instance, worker, worker_id, pid, process)"
"""Labels by which an exporter tells the workers behind it apart; where it has none, an engine is one worker."""

MANY = 500
"""Engines from which on only counts and the first names are asked for, and the last day is looked at more coarsely."""
_NAMED = 50
_ENOUGH_MISSED = 5
"""Inferences that an engine always made in a shorter time, before its silence counts as a proof."""


class Code(IntEnum):
    """What the samples of one engine since a request say. Higher is worse, so that the worst of two jobs counts."""

    BLOCKED = 1
    """It counts snapshots that the switch forbade, and infers nothing."""
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
    STILL_ACTIVE = 15
    STILL_BLOCKED = 16
    INFERS = 17
    JUMPS = 18
    """Its counters go back again and again: several processes answer under one address in turns."""
    SILENT = 20
    """It was seen in the last day, and no fresh sample of it exists."""


PROOFS = frozenset({Code.BLOCKED, Code.STOPPED, Code.INFERS_AGAIN, Code.ACTIVE_AGAIN, Code.NO_MODEL})


def survey() -> Mapping[str, str]:
    """The cheap first question: the source's clock, how many engines it knows, how often it scrapes them.

    ``interval`` is what 95 of 100 engines stay below, in seconds.
    """
    counts = f"max {_BY} ({_each(_OF_ENGINES[:3], 'count_over_time({}[15m])')})"
    return {
        "time": "vector(time())",
        "engines": f"count(count by (instance) ({_present()}))",
        "interval": f"quantile(0.95, 900 / {counts})",
    }


class Window:
    """The samples that one look judges.

    Args:
        now: Unix seconds on the source's clock; every expression must be evaluated at this time.
        asked: the moment after which engines should have obeyed, on the same clock.
        interval: seconds between two scrapes of most engines.
        engines: how many there are, about.
    """

    def __init__(self, now: float, asked: float, interval: float, engines: int) -> None:
        self._now = now
        self._since_ms = max(1, round((now - asked) * 1000))
        longest = min(900.0, max(60.0, 3 * interval))
        self._ms = min(self._since_ms, round(longest * 1000))
        self._fresh_after = now - longest
        self._day_step = "30m" if engines > MANY else "5m"

    def codes(self, *, engage: bool, thorough: bool) -> str:
        """The `Code` of every engine of the last day. ``thorough``: an engine that only falls silent is judged too."""
        known = self._kill_codes(thorough=thorough) if engage else self._release_codes()
        fresh = self._fresh()
        chain = " or ".join(_coded(code, expression) for code, expression in (*known, (Code.NO_SAMPLE, fresh)))
        silent = _coded(Code.SILENT, f"({self._day()}) unless {_ON} {fresh}")
        return f"(({chain}) and {_ON} {fresh}) or {silent}"

    def blocked(self) -> str:
        """How many engines the kill switch blocks now, whoever threw it; nothing where it blocks none."""
        return f"count(count by (instance) (({self._blocked_workers()}) and {_ON} {self._fresh()}))"

    def last_seen(self, names: int = _NAMED) -> str:
        """When engines that are silent now were last seen, in Unix seconds; the latest of so many."""
        return f"topk({names}, max by (instance) (({self._day()}) unless {_ON} {self._fresh()}))"

    @staticmethod
    def counted(codes: str) -> str:
        """How many engines have each code, in the label ``code``; an engine that two jobs scrape counts once."""
        return f'count_values("code", max by (instance) ({codes}))'

    @staticmethod
    def named(codes: str) -> str:
        """The engines with the worst codes, a few of them."""
        return f"topk({_NAMED}, max by (instance) ({codes}))"

    @staticmethod
    def all_named(codes: str) -> str:
        """Every engine with its code."""
        return f"max by (instance) ({codes})"

    # --- a kill ------------------------------------------------------------------------------------------------------
    def _kill_codes(self, *, thorough: bool) -> list[tuple[Code, str]]:
        """What is looked for, what counts most first."""
        blocked, needed = self._blocked_workers(), self._workers()
        codes = [
            (Code.JUMPS, self._jumps()),
            (Code.INFERS, self._infers()),
            (Code.STILL_ACTIVE, f"max {_BY} ({_ACTIVE}) > 0"),
            (Code.SECOND_SAMPLE, f"{self._samples()} < 2"),
            (Code.SOME_WORKERS, f"({blocked}) < ({needed})"),
            (Code.BLOCKED, f"({blocked}) and {_ON} ({self._shows_inferences()})"),
            (Code.BLIND, blocked),
        ]
        if thorough:
            codes.append((Code.STOPPED, self._stopped()))
        return [*codes, (Code.IDLE, f"{self._samples()} >= 2")]

    def _infers(self) -> str:
        window = f"{self._ms}ms"
        return f"max {_BY} ({_each(_COUNTERS, _moved('{}', window) + ' or ' + self._born('{}'))})"

    def _jumps(self) -> str:
        return f"max {_BY} ({_each(_COUNTERS, f'resets({{}}[{self._ms}ms])')}) > 2"

    def _blocked_workers(self) -> str:
        """How many workers behind each engine are blocked."""
        moved = f"{_moved(_BLOCKED, f'{self._ms}ms')} or {self._born(_BLOCKED)}"
        return f"count {_BY} (count {_BY_WORKER} ({moved}))"

    def _workers(self) -> str:
        """How many workers each engine has, as far as its labels tell."""
        window = f"last_over_time({{}}[{self._ms}ms])"
        inferring = f"count {_BY} (count {_BY_WORKER} ({_each(_COUNTERS, window)}))"
        blocking = f"count {_BY} (count {_BY_WORKER} ({window.format(_BLOCKED)}))"
        return f"max {_BY} ({_tagged(inferring, 'i')} or {_tagged(blocking, 'b')})"

    def _born(self, metric: str) -> str:
        """A counter that appears after the request with its value: an earlier scrape since the request lacks it."""
        window = f"{self._ms}ms"
        fewer = f"count_over_time({metric}[{window}]) < {_ON} group_left () {self._samples()}"
        return f"(((last_over_time({metric}[{window}]) > 0) and ({fewer})) unless {_ON} ({metric} offset {window}))"

    def _samples(self) -> str:
        """How many samples of each engine are newer than the request."""
        return f"max {_BY} ({_each((_ACTIVE, *_COUNTERS[::2], _BLOCKED), f'count_over_time({{}}[{self._ms}ms])')})"

    @staticmethod
    def _shows_inferences() -> str:
        return f'group {_BY} ({{__name__=~"{"|".join((_ACTIVE, *_COUNTERS))}"}})'

    def _stopped(self) -> str:
        """Engines without a block counter that are silent for longer than they ever were in the 15 minutes before.

        A third of the window is surely shorter than the silence seen in it, once that holds two samples.
        """
        third = self._ms // 3
        step = min(30_000, max(5_000, third // 2))
        made = f"sum {_BY} ({{}}) - sum {_BY} ({{}} offset {third}ms)"
        least = f"min_over_time((max {_BY} ({_each(_COUNTERS, made)}))[15m:{step}ms] offset {self._since_ms}ms)"
        return f"(({least}) >= {_ENOUGH_MISSED}) unless {_ON} ({_BLOCKED})"

    # --- a release ---------------------------------------------------------------------------------------------------
    def _release_codes(self) -> list[tuple[Code, str]]:
        window = f"{self._ms}ms"
        return [
            (Code.STILL_BLOCKED, self._blocked_workers()),
            (Code.SECOND_SAMPLE, f"{self._samples()} < 2"),
            (Code.INFERS_AGAIN, self._infers()),
            (
                Code.ACTIVE_AGAIN,
                f"(max {_BY} (sum_over_time({_ACTIVE}[{window}])) >= 2) and {_ON} (max {_BY} ({_ACTIVE}) > 0)",
            ),
            (Code.NO_MODEL, f"max {_BY} ({_moved(_EMPTY, window)})"),
            (Code.IDLE, f"{self._samples()} >= 2"),
        ]

    # --- who there is ------------------------------------------------------------------------------------------------
    def _fresh(self) -> str:
        """Engines with a sample that is not too old."""
        return f"({_newest()} > {self._fresh_after:.3f})"

    def _day(self) -> str:
        """When each engine of the last day was last seen."""
        seen = _newest(coarse=True)
        lately, before = f"max_over_time({seen}[30m:1m])", f"max_over_time({seen}[1d:{self._day_step}])"
        return f"{lately} or {before}"


def _present() -> str:
    return f'group {_BY} ({{__name__=~"{"|".join(_OF_ENGINES)}"}})'


def _newest(*, coarse: bool = False) -> str:
    """Unix seconds of each engine's newest sample; ``coarse`` asks for the metrics that hardly an engine lacks."""
    metrics = (_ACTIVE, *_COUNTERS[::2], _BLOCKED) if coarse else _OF_ENGINES
    return f"max {_BY} ({_each(metrics, 'timestamp({})')})"


def _moved(metric: str, window: str) -> str:
    """A counter that counted between two samples of the window; after a restart, what the new process counted."""
    last, least, most = (f"{name}_over_time({metric}[{window}])" for name in ("last", "min", "max"))
    return f"({last} > {least} or ({last} > 0 < {most}))"


def _each(metrics: tuple[str, ...], template: str) -> str:
    """One expression for several metrics side by side: functions drop the name that tells their series apart."""
    return " or ".join(_tagged(template.replace("{}", metric), str(number)) for number, metric in enumerate(metrics))


def _coded(code: Code, expression: str) -> str:
    return f"group {_BY} ({expression}) * {int(code)}"


def _tagged(expression: str, tag: str) -> str:
    return f'label_replace({expression}, "of", "{tag}", "", "")'
