"""Recording rules for the day's windows of many models, and their use where Prometheus has them. Pure.

A rule records exactly one question of the board, and its name ends in a digest of that question's text. So a rule that
was made for other thresholds, labels or windows is not mistaken for one that fits: then the question itself is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from ml.metrics_contract import LATENCY
from ml.slo.promql import Attribution, Scope
from ml.slo.questions import BOUNDS, COVERED, LONG, SAMPLES, SHOWN, Windows, board_questions, duration
from ml.slo.source import Series
from ml.stage import Stage

if TYPE_CHECKING:
    from ml.policy import Policy

RECORDED = (LONG, SAMPLES, SHOWN, COVERED, BOUNDS)
"""The parts that read a whole day and have an answer for every model."""
_EVALUATED = "mlconsole:evaluated"
_FRESH_S = 150
"""The age in seconds from which a recorded number is not believed; the proposed group is evaluated every minute."""
_RULE = "rule"
"""The label of the answer to `LOADED_QUERY` that holds a rule's name; VictoriaMetrics compares no names of series."""


def _numbers_of(series: str) -> str:
    return f'count by ({_RULE}) (label_replace({series}, "{_RULE}", "$1", "__name__", "(.+)"))'


_ALL = '{__name__=~"mlconsole:.+"}'
LOADED_QUERY = f"({_numbers_of(_ALL)} <= on ({_RULE}) {_numbers_of(f'last_over_time({_ALL}[{_FRESH_S}s])')})"
"""Asks which rules are loaded and evaluated: every number of such a rule was recorded lately.

A rule that fails keeps its last numbers for five minutes, whatever the other rules of its group do.
"""
KNOWN_QUERY = _numbers_of(_ALL)
"""Asks which rules have any numbers, with those that stopped a few minutes ago."""
_INTERVAL = "1m"


def recorded_as(part: str, text: str) -> str:
    """The name of the rule that records one question."""
    return f"mlconsole:{part}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def loaded(series: Iterable[Series]) -> frozenset[str]:
    """The names of rules, from the answer to `LOADED_QUERY` or `KNOWN_QUERY`."""
    return frozenset(each.label(_RULE) for each in series)


def recorded_texts(
    questions: Mapping[str, str], everything: Mapping[str, str], rules: frozenset[str]
) -> dict[str, str]:
    """The questions, with those replaced that a rule records.

    Args:
        questions: texts by part.
        everything: the same questions about all models that the label separates, as rules ask them.
        rules: the names of the rules with young numbers only.
    """
    named = {part: recorded_as(part, everything[part]) for part in RECORDED if part in everything}
    return {part: _recorded(named[part]) if named.get(part) in rules else text for part, text in questions.items()}


def _recorded(rule: str) -> str:
    """The numbers of a rule, each only while it is young. Without the addition each would carry the rule's name."""
    return f"({rule} + 0 and time() - timestamp({rule}) < {_FRESH_S})"


def all_of(scope: Scope, rest: str = "") -> Scope:
    """The scope of a question about every model that the label separates."""
    return replace(scope, selector=",".join(part for part in (f'{scope.split}!=""', rest) if part))


def rule_file(
    policy: Policy, *, label: str = "model", by: Sequence[str] = ("instance", "job", "model"), modeless: bool = False
) -> str:
    """The rules for a policy as YAML.

    Args:
        label: the label that separates models in the policy's selectors.
        by: the labels that tell engines apart.
        modeless: true if engines count successes and errors without the label ``mode``.
    """
    latency = next((each.metric for each in policy.objectives if each.metric), LATENCY)
    windows = Windows(duration(policy.soak.required_s), duration(policy.soak.step_s))
    rules: dict[str, str] = {}
    engines = tuple(sorted(by))
    for stage, names in product((Stage.SHADOW, Stage.ACTIVE), policy.every_metric_names()):
        bare = Scope(stage, by=engines, attribution=Attribution.ARTIFACT, split=label, latency=latency, names=names)
        scope = all_of(replace(bare, modeless=modeless, born=False))
        for objective in policy.objectives:
            asked = board_questions(objective, scope, windows, scope.latency)
            kept = [part for part in RECORDED if part in asked and not (objective.kind == "promql" and part == LONG)]
            rules |= {recorded_as(part, asked[part]): asked[part] for part in kept}
    lines = [f"      - record: {name}\n        expr: |\n          {text}\n" for name, text in rules.items()]
    return _HEAD.format(interval=_INTERVAL, evaluated=_EVALUATED) + "".join(lines)


_HEAD = """\
# Recording rules for many models: Prometheus computes the day's windows every minute, and a board with 200 models or
# more reads them. Made by `python -m scripts.make_recordings`; a rule's name is the digest of its question, so make the
# file again after a change of the policy's objectives or windows. A rule that does not fit is not used.
groups:
  - name: mlconsole
    interval: {interval}
    rules:
      - record: {evaluated}
        expr: time()
"""
