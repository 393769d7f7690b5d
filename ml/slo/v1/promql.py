"""PromQL as text: selectors merged from a stage and the policy, and many questions joined into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml.slo.source import Series
from ml.stage import Stage

TAG = "mlconsole"
"""The label by which the answers to questions that were asked as one are told apart."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose series are meant: one stage of one model, by the policy's ``selector`` (such as ``model="a"``)."""

    stage: Stage
    selector: str = ""

    def timed(self, metric: str) -> str:
        """A metric that the engine labels by mode, as it does its latencies."""
        return self._of(metric, f'mode="{self.stage}"')

    def timed_with(self, metric: str, matcher: str) -> str:
        """As `timed`, with one more matcher."""
        return self._of(metric, f'mode="{self.stage}",{matcher}')

    def counted(self, metric: str) -> str:
        """A metric that some engines label by mode and some do not: ours, or nobody's."""
        return self._of(metric, f'mode=~"{self.stage}|"')

    def plain(self, metric: str) -> str:
        """A metric whatever its mode."""
        return self._of(metric, "")

    def plain_with(self, metric: str, matcher: str) -> str:
        """As `plain`, with one more matcher."""
        return self._of(metric, matcher)

    def _of(self, metric: str, mode: str) -> str:
        inside = ",".join(part for part in (mode, self.selector) if part)
        return f"{metric}{{{inside}}}" if inside else metric


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


def split(series: Sequence[Series]) -> dict[str, tuple[Series, ...]]:
    """The answers of a `joined` query by key, without the label that told them apart."""
    found: dict[str, tuple[Series, ...]] = {}
    for each in series:
        labels = tuple(pair for pair in each.labels if pair[0] != TAG)
        found[each.label(TAG)] = (*found.get(each.label(TAG), ()), Series(labels, each.points))
    return found
