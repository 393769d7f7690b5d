"""A document's verdicts, judged again from its raw responses by the same judge that judged them live. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ml.clock import parse_utc
from ml.promotion.evidence_seal import plain
from ml.slo import transcript
from ml.slo.recording import Replay
from ml.slo.review import review
from ml.slo.soak import Killed, SoakSubject, judge_soak
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Check, Gate, Verdict

if TYPE_CHECKING:
    from ml.board import SoakReport
    from ml.policy import Policy


def policy_again(values: Mapping[str, Any]) -> Iterator[Check]:
    """Is the policy that the document shows the one that its bytes say?

    Raises:
        ConsoleError, ValueError, KeyError, TypeError: there is no policy.
    """
    from ml.policy import policy_document  # noqa: PLC0415  pydantic is not needed to import this module

    if policy_document(_policy(values)) == values["policy"]["in_force"]:
        yield Check("policy", Verdict.PASS, "The policy shown is what its bytes say.")
    else:
        yield Check("policy", Verdict.FAIL, "The policy shown is not what its bytes say.")


def gates_again(values: Mapping[str, Any]) -> Iterator[Check]:
    """Judge the soak again and compare the whole report, then each gate that was shown.

    Raises:
        ConsoleError, ValueError, KeyError, TypeError: the document lacks something that the judge needs.
    """
    soak, target = values["soak"], values["target"]
    if soak is None:
        if (target["action"], target["to_stage"]) == (Action.PROMOTE, Stage.ACTIVE):
            yield Check("soak", Verdict.FAIL, "This is a promotion to active without a soak.")
        return
    subject = _subject(soak["subject"])
    if (subject.model, subject.artifact_id, subject.model_sha256) != tuple(
        target[name] for name in ("model", "artifact_id", "model_sha256")
    ):
        yield Check("subject", Verdict.FAIL, "The soak is another artifact's than the target.")
    judged = judge_soak(
        _replay(values["soak_exchanges"]),
        _policy(values),
        subject,
        parse_utc(soak["report"]["as_of"]),
        [_killed(each) for each in soak["kills"]],
        stale_s=soak["stale_s"],
    )
    yield _same_report(soak["report"], judged.report)
    for gate in judged.report.gates:
        yield _same_gate(gate, [each for each in values["gates"] if each["name"] == gate.name])


def review_again(values: Mapping[str, Any]) -> Iterator[Check]:
    """Look at the dashboard again: the same oddities, the same drawing.

    Raises:
        ConsoleError, ValueError, KeyError, TypeError: the document lacks something that the review needs.
    """
    told = values["review"]
    if told is None:
        return
    seen = review(_replay(values["review_exchanges"]), _policy(values), told["model"], parse_utc(told["as_of"]))
    differing = [
        name
        for name, again in (
            ("oddities", list(seen.oddities)),
            ("problem", seen.problem),
            ("svg_sha256", hashlib.sha256(seen.svg).hexdigest()),
        )
        if told[name] != again
    ]
    if differing:
        yield Check("review", Verdict.FAIL, f"Reviewed again, these differ: {', '.join(differing)}.")
    else:
        yield Check("review", Verdict.PASS, "Reviewed again, the oddities and the drawing are the same.")


def _replay(exchanges: Sequence[Mapping[str, Any]]) -> Replay:
    return Replay(transcript.read(each) for each in exchanges)


def _policy(values: Mapping[str, Any]) -> Policy:
    from ml.policy import parse_policy  # noqa: PLC0415  pydantic is not needed to import this module

    return parse_policy(values["policy"]["source"].encode() or None)


def _subject(written: Mapping[str, Any]) -> SoakSubject:
    return SoakSubject(
        written["model"], written["artifact_id"], written["model_sha256"], parse_utc(written["landed_at"])
    )


def _killed(written: Mapping[str, Any]) -> Killed:
    return Killed(parse_utc(written["start"]), parse_utc(written["end"]) if written["end"] else None)


def _same_report(told: Mapping[str, Any], again: SoakReport) -> Check:
    found = plain(replace(again, queries=()))
    differing = sorted(name for name in {*told, *found} if told.get(name) != found.get(name))
    if differing:
        named = visible(", ".join(differing), limit=200)
        return Check("soak", Verdict.FAIL, f"Judged again, these differ: {named}.")
    return Check("soak", Verdict.PASS, f"Judged again, the whole report is the same: {again.verdict}.")


def _same_gate(again: Gate, shown: Sequence[Mapping[str, Any]]) -> Check:
    name = f"gate {again.name}"
    if len(shown) != 1:
        return Check(name, Verdict.FAIL, f"The document shows it {len(shown)} times; judged again: {again.verdict}.")
    told = shown[0]
    said = visible(str(told["verdict"]), limit=40)
    if said == Verdict.WAIVED and str(told["why"]).endswith(f"(was {again.verdict}: {again.why})"):
        return Check(name, Verdict.PASS, f"Waived, and judged again it is what was waived: {again.verdict}.")
    if (said, told["why"], told["value"]) == (again.verdict, again.why, plain(again.value)):
        return Check(name, Verdict.PASS, f"Judged again: {again.verdict}. {again.why}")
    return Check(name, Verdict.FAIL, f"The document says {said}; judged again it is {again.verdict}. {again.why}")
