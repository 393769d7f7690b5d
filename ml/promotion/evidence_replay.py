"""A document's verdicts, judged again from its raw responses by the judge of the document's own format. Pure.

Verdicts, codes, numbers, names and times are compared, sentences never (see `ml.promotion.evidence_formats`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml.promotion.evidence_compare import covered, differing
from ml.promotion.evidence_formats import FORMATS, Format
from ml.slo import transcript
from ml.slo.recording import Replay
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Policy


def format_of(values: Mapping[str, Any]) -> Format:
    """The format that a document says it has.

    Raises:
        ValueError: there is no such format here, as in a document of a later version.
    """
    named = values.get("schema_version")
    if not isinstance(named, str) or named not in FORMATS:
        known = ", ".join(FORMATS)
        raise ValueError(f"The document's format is {visible(str(named), limit=40)}; this version reads {known}.")
    return FORMATS[named]


def policy_again(values: Mapping[str, Any]) -> Iterator[Check]:
    """Is the policy that the document shows the one that its bytes say?

    Raises:
        ConsoleError, ValueError, KeyError, TypeError: there is no policy.
    """
    from ml.policy import policy_document  # noqa: PLC0415  pydantic is not needed to import this module

    # A policy of today may have keys, with their defaults, that the document's day did not know.
    if covered(json.loads(values["policy"]["in_force"]), json.loads(policy_document(_policy(values)))):
        yield _agrees("policy", "The policy shown is what its bytes say.")
    else:
        yield _differs("policy", "The policy shown is not what its bytes say.")


def gates_again(values: Mapping[str, Any]) -> Iterator[Check]:
    """Judge the soak again and compare the whole report, then each gate that was shown.

    Raises:
        ConsoleError, ValueError, KeyError, TypeError: the document lacks something that the judge needs.
    """
    soak, target = values["soak"], values["target"]
    if soak is None:
        if (target["action"], target["to_stage"]) == (Action.PROMOTE, Stage.ACTIVE):
            yield _incomplete("soak", "This is a promotion to active without a soak.")
        return
    named = ("model", "artifact_id", "model_sha256")
    if [soak["subject"][name] for name in named] != [target[name] for name in named]:
        yield _differs("subject", "The soak is another artifact's than the target.")
    form = format_of(values)
    again = form.soak(_replay(values["soak_exchanges"]), _policy(values), soak)
    yield _same_report(soak["report"], again, form)
    for gate in again["gates"]:
        yield _same_gate(gate, [each for each in values["gates"] if each["name"] == gate["name"]], form)


def review_again(values: Mapping[str, Any]) -> Iterator[Check]:
    """Look at the dashboard again: the same oddities, the same drawing.

    Raises:
        ConsoleError, ValueError, KeyError, TypeError: the document lacks something that the review needs.
    """
    told = values["review"]
    if told is None:
        return
    form = format_of(values)
    again = form.review(_replay(values["review_exchanges"]), _policy(values), told)
    fields = differing(told, again, form.reviewed)
    if fields:
        yield _differs("review", f"Reviewed again, these differ: {', '.join(fields)}.", fields)
    else:
        yield _agrees("review", "Reviewed again, what is odd and the drawing are the same.")


def _replay(exchanges: Sequence[Mapping[str, Any]]) -> Replay:
    return Replay(transcript.read(each) for each in exchanges)


def _policy(values: Mapping[str, Any]) -> Policy:
    from ml.policy import policy_of_evidence  # noqa: PLC0415  pydantic is not needed to import this module

    return policy_of_evidence(values["policy"]["source"].encode() or None)


def _same_report(told: Any, again: Mapping[str, Any], form: Format) -> Check:
    fields = differing(told, again, form.report)
    if fields:
        return _differs("soak", f"Judged again, these differ: {', '.join(fields)}.", fields)
    return _agrees("soak", f"Judged again, the whole report is the same: {again['verdict']}.")


def _same_gate(again: Mapping[str, Any], shown: Sequence[Mapping[str, Any]], form: Format) -> Check:
    name, verdict = f"gate {again['name']}", again["verdict"]
    if len(shown) != 1:
        return _differs(name, f"The document shows it {len(shown)} times; judged again: {verdict}.")
    told = shown[0]
    said = visible(str(told["verdict"]), limit=40)
    if told["verdict"] == Verdict.WAIVED:
        return _same_waived(name, told, again, form)
    fields = differing(told, again, form.gate)
    if not fields:
        return _agrees(name, f"Judged again: {verdict}. {again['why']}")
    if "verdict" in fields:
        return _differs(name, f"The document says {said}; judged again it is {verdict}. {again['why']}", fields)
    return _differs(name, f"Judged again it is {verdict} as well, but these differ: {', '.join(fields)}.", fields)


def _same_waived(name: str, told: Mapping[str, Any], again: Mapping[str, Any], form: Format) -> Check:
    """A waiver keeps the gate's numbers. What was waived stands under ``was``; in v1 in the report alone."""
    waiver = {"verdict", "code", "facts", "waivable"}
    fields = differing(told, again, {key: inside for key, inside in form.gate.items() if key not in waiver})
    if form.waived is not None:
        fields = (*fields, *(f"was {each}" for each in differing(told.get("was"), again, form.waived)))
    if fields:
        why = f"It is waived, and judged again it is {again['verdict']}; these differ: {', '.join(fields)}."
        return _differs(name, why, fields)
    return _agrees(name, f"Waived, and judged again it is what was waived: {again['verdict']}.")


def _agrees(name: str, why: str) -> Check:
    return finding(Verdict.PASS, Code.AGREES, why).check(name)


def _differs(name: str, why: str, fields: Sequence[str] = ()) -> Check:
    return finding(Verdict.FAIL, Code.DIFFERS, why, fields=",".join(fields)).check(name)


def _incomplete(name: str, why: str) -> Check:
    return finding(Verdict.FAIL, Code.INCOMPLETE, why).check(name)
