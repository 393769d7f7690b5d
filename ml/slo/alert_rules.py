"""A check of an alert rule's expression: the series that it reads, and the comparisons that can never hold. Pure.

This is no parser of PromQL. It finds the selectors of an expression, and the few forms of it that no series can ever
make true. A rule that it does not understand counts as a rule that can fire.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<number>(?:0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:ms|[smhdwy])*(?:\d+(?:ms|[smhdwy]))*)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:.]*)
    |(?P<sign>==|!=|>=|<=|=~|!~|.)""",
    re.VERBOSE | re.DOTALL,
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_AGGREGATIONS = frozenset(
    {"sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile"}
)
_WORDS = frozenset({"and", "or", "unless", "offset", "bool", "inf", "nan", "atan2", "default", "if", "ifnot"})
_MOST = 400
"""Tokens of one expression that are looked at."""
_THRESHOLD = re.compile(
    r"^(?P<left>.*[)\]}\w])\s*(?P<sign>>=|>|<=|<|==|!=)\s*(?:bool\s+)?(?P<number>[-+]?[\w.]+)\s*$", re.DOTALL
)
_BUCKET = "_bucket"


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector of an expression, such as ``metric{mode="shadow"}``; ``matchers`` is the text in the braces."""

    metric: str
    matchers: str = ""

    @property
    def text(self) -> str:
        """The selector as PromQL."""
        return f"{self.metric}{{{self.matchers}}}" if self.matchers or not self.metric else self.metric

    def narrowed(self, more: str) -> str:
        """The same with more matchers."""
        inside = ",".join(part for part in (self.matchers.rstrip(", "), more) if part)
        return f"{self.metric}{{{inside}}}" if inside else self.text


def selectors_of(expression: str) -> tuple[Selector, ...]:
    """The selectors of an expression, each once, in order."""
    return tuple(dict.fromkeys(selector for selector, _, _ in _found(expression)))


def rewritten(expression: str, other: Callable[[Selector], str]) -> str:
    """An expression with each of its selectors written in another way."""
    text, at = "", 0
    for selector, begin, end in _found(expression):
        text += expression[at:begin] + other(selector)
        at = end
    return text + expression[at:]


def _found(expression: str) -> list[tuple[Selector, int, int]]:
    """The selectors with where each begins and ends."""
    matches = [found for found in _TOKEN.finditer(expression) if found.lastgroup != "space"][:_MOST]
    tokens = [(str(found.lastgroup), found[0]) for found in matches]
    found: list[tuple[Selector, int, int]] = []
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "name" and text.lower() in _GROUPING and following == "(":
            at = _closing(tokens, at + 1, "(", ")") + 1
            continue
        metric = kind == "name" and not _is_word(text, following)
        if not metric and text != "{":
            at += 1
            continue
        inside, after = _braces(tokens, at + 1 if metric else at)
        found.append((Selector(text if metric else "", inside), matches[at].start(), matches[after - 1].end()))
        at = after
    return found


def _is_word(text: str, following: str) -> bool:
    """True if a name is a keyword of the language and not a metric."""
    return (
        following == "(" or text.lower() in _WORDS or (text.lower() in _AGGREGATIONS and following.lower() in _GROUPING)
    )


def _braces(tokens: list[tuple[str, str]], at: int) -> tuple[str, int]:
    if at >= len(tokens) or tokens[at][1] != "{":
        return "", at
    end = _closing(tokens, at, "{", "}")
    return "".join(text for _, text in tokens[at + 1 : end]), end + 1


def _closing(tokens: list[tuple[str, str]], at: int, opening: str, closing: str) -> int:
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index][1] == opening) - (tokens[index][1] == closing)
        if depth == 0:
            return index
    return len(tokens) - 1


def never_true(expression: str, top: float | None = None) -> str:
    """Say why no series can make the expression true, as the end of a sentence; empty where one may.

    Args:
        top: the top finite bound of the histograms that the expression reads, where it is known.
    """
    if not selectors_of(expression):
        return "its expression reads no series"
    found = _THRESHOLD.match(expression.strip())
    if not found or not _balanced(found["left"]):
        return ""
    left, sign, limit = found["left"].strip(), found["sign"], _value(found["number"])
    if limit is None:
        return "it compares a value with itself" if left == found["number"] and sign in (">", "<", "!=") else ""
    if math.isnan(limit) or (limit == math.inf and sign in (">", ">=")) or (limit == -math.inf and sign in ("<", "<=")):
        return f"no value is {sign} {found['number']}"
    if top is not None and _is_call(left, "histogram_quantile"):
        beyond = limit >= top if sign == ">" else limit > top if sign in (">=", "==") else False
        if beyond:
            return f"the top finite bucket is {top:g}, so no quantile is {sign} {limit:g}"
    return ""


def _is_call(text: str, name: str) -> bool:
    """True if the whole expression is one call of a function."""
    inner = text[len(name) :].strip()
    return text.startswith(name) and inner[:1] == "(" and inner[-1:] == ")" and _balanced(inner[1:-1])


def _balanced(text: str) -> bool:
    depth = 0
    for sign in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (sign in "({[") - (sign in ")}]")
        if depth < 0:
            return False
    return depth == 0


def _value(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def reads_buckets(selector: Selector) -> bool:
    """True if a selector reads the buckets of a histogram."""
    return selector.metric.endswith(_BUCKET)
