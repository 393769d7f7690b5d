"""A metrics contract guessed from what engines export: a block for the policy, with the reason for each line. Pure.

The guesses read names and values of labels only. A person reads the block before it becomes a rule.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ml.metrics_contract import MetricNames, MetricsInvalid, parse_metrics, quoted
from ml.slo.metrics_needs import Role
from ml.slo.source import Series
from ml.text import visible

_SHADOW = ("shadow", "canary", "challenger", "mirror", "dark", "candidate")
_ACTIVE = ("active", "live", "production", "prod", "primary", "champion")
_GOOD = ("ok", "success", "succeeded", "good", "200")
_OUTCOMES = ("outcome", "status", "result", "code")
_ARTIFACTS = ("artifact_id", "artifact", "model_version", "version")
_FAILURE = re.compile(r"err|fail|exception")
_INFERENCE = re.compile(r"infer|predict|scor|decision|request")
_FOREIGN = re.compile(r"(?:prometheus|go|process|python|net|scrape|promhttp)_.*|up|ALERTS.*")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_OTHER = frozenset({"__name__", "instance", "job", "le", "model"})
_WEIGHTS = (("infer", 4), ("predict", 4), ("scor", 2), ("model", 2), ("latenc", 1), ("seconds", 1), ("_ms", 1))

CANDIDATES = (
    'topk(50, count by (__name__) ({__name__=~"(?i).*(infer|predict|scor|model|latenc|duration|serv).*_bucket",'
    '__name__!~"(prometheus|go|process|net|promhttp)_.*"}))'
)
"""Asks for the histograms that may be those of inferences."""
_MOST_ENGINES = 5


@dataclass(frozen=True, slots=True)
class Proposal:
    """A block for the policy as TOML, and what was not found, in clauses."""

    toml: str
    not_found: tuple[str, ...] = ()


def best_histogram(candidates: Iterable[Series]) -> str:
    """The histogram that most looks like that of inferences, without ``_bucket``; empty where none does."""
    names = (each.label("__name__").removesuffix("_bucket") for each in candidates)
    scored = sorted((-_score(name), name) for name in names if _NAME.fullmatch(name))
    return scored[0][1] if scored and scored[0][0] < 0 else ""


def _score(name: str) -> int:
    return sum(weight for word, weight in _WEIGHTS if word in name.lower())


def engines_query(counts: Sequence[Series]) -> str:
    """Ask for everything but buckets that some engines of a histogram export; empty where they have no instance."""
    instances = sorted({each.label("instance") for each in counts} - {""})[:_MOST_ENGINES]
    pattern = "|".join(re.escape(each) for each in instances)
    return f'{{instance=~{quoted(pattern)},__name__!~".+_(bucket|created)"}}' if instances else ""


def propose(
    names: MetricNames, missing: Iterable[Role], exported: Sequence[Series], latency: str, artifacts: Iterable[str]
) -> Proposal | None:
    """Guess the missing parts of a contract.

    Args:
        names: the contract in force.
        missing: the parts without series.
        exported: what engines export, with ``__name__``.
        latency: the histogram of inferences, without ``_bucket``.
        artifacts: the ids that the registry points to.

    Returns: ``None`` where nothing can be guessed.
    """
    guess = _Guess(names, _by_name(exported), latency, frozenset(artifacts))
    wanted = frozenset(missing)
    lines = {table: tuple(found) for table, found in guess.tables(wanted).items()}
    blocks = [
        "\n".join((f"[{table}]", *(f"{key} = {value}  # {reason}" for key, value, reason in found)))
        for table, found in lines.items()
        if found
    ]
    if not blocks:
        return None
    text = "\n\n".join(blocks) + "\n"
    try:
        read = tomllib.loads(text)
        parse_metrics(read.pop("metrics"))
    except (MetricsInvalid, tomllib.TOMLDecodeError, KeyError):
        return None
    if read:
        return None
    return Proposal(text, tuple(guess.not_found(wanted, lines)))


_Line = tuple[str, str, str]
"""A key, its value as TOML, and the reason."""


def _by_name(exported: Sequence[Series]) -> Mapping[str, Sequence[Series]]:
    found: dict[str, list[Series]] = {}
    for each in exported:
        name = each.label("__name__")
        if _NAME.fullmatch(name) and not _FOREIGN.fullmatch(name):
            # A label with any other name could neither be written into the block nor asked for.
            labels = tuple(pair for pair in each.labels if _NAME.fullmatch(pair[0]))
            found.setdefault(name, []).append(Series(labels, each.points))
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class _Guess:
    names: MetricNames
    exported: Mapping[str, Sequence[Series]]
    latency: str
    artifacts: frozenset[str]

    def tables(self, missing: frozenset[Role]) -> dict[str, Iterator[_Line]]:
        return {
            "metrics": self._common(missing),
            "metrics.labels": self._labels() if Role.LATENCY in missing else iter(()),
            "metrics.serving": self._serving() if Role.SERVING in missing else iter(()),
            "metrics.receipt": self._receipt(missing),
        }

    def not_found(self, missing: frozenset[Role], lines: Mapping[str, Sequence[_Line]]) -> Iterator[str]:
        keys = {f"{table}.{key}".removeprefix("metrics.") for table, found in lines.items() for key, _, _ in found}
        if "receipt.engaged" in keys:
            keys.add("receipt.blocked")
        for role in sorted(missing - {Role.QUERY, Role.INFERRED}):
            if not any(key == role or key.startswith(f"{role}.") for key in keys):
                yield f"{role}: no metric of these engines looks like it"

    def _common(self, missing: frozenset[Role]) -> Iterator[_Line]:
        if Role.LATENCY in missing and self.latency and self.latency != self.names.latency.name:
            yield "latency", _text(self.latency), self._shown(f"{self.latency}_count", f"{self.latency}_bucket")
            unit = next((unit for unit in ("seconds", "ms") if self.latency.endswith(f"_{unit}")), "")
            yield "unit", _text(unit or "seconds"), "by its name" if unit else "guessed: its name says no unit"
        if missing & {Role.SUCCESSES, Role.ERRORS}:
            yield from self._counters()

    def _counters(self) -> Iterator[_Line]:
        counters = [name for name in self.exported if name.endswith("_total") and _INFERENCE.search(name)]
        failed = [name for name in self.exported if name.endswith("_total") and _FAILURE.search(name)]
        good = [name for name in counters if name not in failed]
        if not good:
            return
        if failed:
            yield "successes", _text(good[0]), self._shown(good[0])
            yield "errors", _text(failed[0]), self._shown(failed[0])
            return
        for name in good:
            for label in _OUTCOMES:
                values = {each.label(label) for each in self.exported[name]}
                right = next((value for value in sorted(values) if value.lower() in _GOOD), "")
                if right:
                    matcher = f"{{ {label} = {_text(right)} }}"
                    yield "successes", f"{{ name = {_text(name)}, where = {matcher} }}", self._shown(name)
                    yield "errors", f"{{ name = {_text(name)}, where_not = {matcher} }}", self._shown(name)
                    return

    def _labels(self) -> Iterator[_Line]:
        count = f"{self.latency or self.names.latency.name}_count"
        series = self.exported.get(count, ())
        for label in sorted({name for each in series for name, _ in each.labels} - _OTHER):
            values = sorted({each.label(label) for each in series} - {""})
            shadow, active = (next((v for v in values if v.lower() in words), "") for words in (_SHADOW, _ACTIVE))
            if shadow or active:
                reason = f"{count} has {label} = {', '.join(values[:4])}"
                yield "mode", _text(label), visible(reason, limit=120)
                for key, value in (("shadow", shadow), ("active", active)):
                    if value and value != key:
                        yield key, _text(value), visible(reason, limit=120)
                return

    def _serving(self) -> Iterator[_Line]:
        for name, series in self.exported.items():
            labels = sorted({label for each in series for label, _ in each.labels} - _OTHER)
            known = [label for label in labels if any(each.label(label) in self.artifacts for each in series)]
            named = [label for label in _ARTIFACTS if label in labels] if name.endswith("_info") else []
            for label in (*known, *named):
                yield "metric", _text(name), self._shown(name)
                yield "artifact", _text(label), "its values are artifacts" if known else "by its name"
                commit = next((each for each in labels if "commit" in each or "revision" in each), "")
                if commit and commit != label:
                    yield "commit", _text(commit), "by its name"
                return

    def _receipt(self, missing: frozenset[Role]) -> Iterator[_Line]:
        gauges = [name for name in self.exported if not name.endswith(("_total", "_count", "_sum", "_info"))]
        active = next((name for name in gauges if "active" in name or name.endswith(("_live", "trading_on"))), "")
        if Role.ACTIVE in missing and active:
            yield "active", _text(active), self._shown(active)
        if Role.BLOCKED not in missing:
            return
        engaged = next((name for name in gauges if "kill" in name), "")
        if engaged:
            yield "engaged", _text(engaged), self._shown(engaged)
        for name, series in self.exported.items():
            if name.endswith("_total") and re.search("kill|block|skip", name):
                told = sorted({pair for each in series for pair in each.labels if "kill" in pair[1].lower()})
                reason = next((pair for pair in told if pair[0] not in _OTHER), None)
                if reason is not None:
                    where = f"where = {{ {reason[0]} = {_text(reason[1])} }}"
                    yield "blocked", f"{{ name = {_text(name)}, {where} }}", self._shown(name)
                    return
                if "kill" in name:
                    yield "blocked", _text(name), self._shown(name)
                    return

    def _shown(self, name: str, called: str = "") -> str:
        """The first series of a metric as the reason for a guess; safe in a comment."""
        series = self.exported.get(name, ())
        labels = [pair for pair in series[0].labels if pair[0] not in ("__name__", "job")] if series else []
        inside = ",".join(f'{label}="{value}"' for label, value in labels)
        return visible(f"found {called or name}{{{inside}}}", limit=120)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
