"""The evidence of a promotion: canonical JSON of every verdict with the raw responses that it came from.

Anybody can check it offline, months later: `verify` reads the responses again, lets the same judge judge them again,
and names what differs. A seal over the parts identifies the part with a changed byte. Whoever changes both a part
and the seal changes the document's SHA-256, which stands in the commit's trailer and in the registry's event.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from ml.errors import ConsoleError
from ml.promotion.evidence_formats import (
    FORMATS,
    WRITTEN,
    Format,
    covered,
    differing,
    inspect,
    opened,
    plain,
    reviewed,
    sealed,
)
from ml.promotion.paths import Places
from ml.promotion.repository import Objects
from ml.promotion.values import Evidence, Target
from ml.registry.history import action_of
from ml.registry.schema import Event
from ml.slo import exchanges
from ml.slo import exchanges as transcript
from ml.slo.exchanges import Replay, skew_of
from ml.slo.source import Answer
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Check, Code, Gate, Verdict, finding

if TYPE_CHECKING:
    from ml.artifacts.digests import FileDigest
    from ml.policy import Policy
    from ml.slo.review import Review
    from ml.slo.soak import SoakJudgement


# The replay: a document's verdicts are judged again from its raw responses, by the judge of its own format. Pure.
#
# Verdicts, codes, numbers, names and times are compared, sentences never (see `ml.promotion.evidence_formats`).


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
    """Check that the policy in the document matches its bytes.

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
    recorded = values["review"]
    if recorded is None:
        return
    form = format_of(values)
    again = form.review(_replay(values["review_exchanges"]), _policy(values), recorded)
    fields = differing(recorded, again, form.reviewed)
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
    recorded = shown[0]
    said = visible(str(recorded["verdict"]), limit=40)
    if recorded["verdict"] == Verdict.WAIVED:
        return _same_waived(name, recorded, again, form)
    fields = differing(recorded, again, form.gate)
    if not fields:
        return _agrees(name, f"Judged again: {verdict}. {again['why']}")
    if "verdict" in fields:
        return _differs(name, f"The document says {said}; judged again it is {verdict}. {again['why']}", fields)
    return _differs(name, f"Judged again it is {verdict} as well, but these differ: {', '.join(fields)}.", fields)


def _same_waived(name: str, told: Mapping[str, Any], again: Mapping[str, Any], form: Format) -> Check:
    """Compare a waived gate's numbers. The waived result stands under ``was``; in v1 only in the report."""
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


class Verified(NamedTuple):
    """An artifact's verification: its checks, and its files, each of which evidence pins."""

    checks: Sequence[Check] = ()
    files: Sequence[FileDigest] = ()


NOT_VERIFIED = Verified()


def build(
    *,
    target: Target,
    policy: Policy,
    gates: Sequence[Gate],
    now: datetime,
    tool_version: str,
    verified: Verified = NOT_VERIFIED,
    soak: SoakJudgement | None = None,
    review: Review | None = None,
    finding: str = "",
) -> Evidence:
    """Write the evidence of one judged checklist.

    Args:
        gates: as they were shown, waivers included.
        verified: what the artifact's verification found.
        finding: what the reviewer typed about the dashboard.
    """
    from ml.policy import policy_document  # noqa: PLC0415  pydantic is not needed to import this module

    parts = {
        "schema_version": WRITTEN,
        "as_of": plain(now),
        "tool": {"name": "mlconsole", "version": tool_version},
        "target": plain(target),
        "policy": {"in_force": policy_document(policy), "source": policy.source.decode()},
        "clock": _clock(soak, now),
        "checks": plain(verified.checks),
        "files": [{"path": file.name, "sha256": file.sha256, "size": file.size} for file in verified.files],
        "gates": plain(gates),
        "soak": _soak(soak),
        "soak_exchanges": [exchanges.write(each) for each in soak.responses] if soak else [],
        "review": _review(review, finding),
        "review_exchanges": [exchanges.write(each) for each in review.responses] if review else [],
    }
    document = sealed(parts)
    return Evidence(document, hashlib.sha256(document).hexdigest(), review.svg if review else b"")


def verify(document: bytes) -> tuple[Check, ...]:
    """Judge a document offline: its form, its seal, and every verdict again from the raw responses.

    One check per thing looked at; those that FAIL name what differs. Never raises for what the document holds.
    """
    try:
        values = opened(document)
    except ValueError as error:
        why = f"The document cannot be read: {visible(str(error), limit=200)}."
        return (finding(Verdict.FAIL, Code.UNREADABLE, why).check("form"),)
    return (*inspect(document, values), *_again(values))


def _again(values: Mapping[str, Any]) -> Iterator[Check]:
    try:
        format_of(values)
    except ValueError as error:
        yield finding(Verdict.FAIL, Code.UNREADABLE, str(error)).check("format")
        return
    try:
        yield from policy_again(values)
        yield from gates_again(values)
        yield from review_again(values)
    except (ConsoleError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        cause = error.cause if isinstance(error, ConsoleError) else f"{type(error).__name__} {error}."
        why = f"The document lacks what a judge needs: {visible(cause, limit=200)}"
        yield finding(Verdict.FAIL, Code.INCOMPLETE, why).check("judged again")


def _clock(soak: SoakJudgement | None, now: datetime) -> dict[str, Any]:
    answers = [each for each in soak.responses if isinstance(each, Answer)] if soak else []
    first = next((each for each in answers if each.query == "time()"), None)
    skew = skew_of(first) if first else None
    return {"console": plain(now), "asked_at": plain(first.asked_at) if first else None, "skew_s": plain(skew)}


def _soak(soak: SoakJudgement | None) -> dict[str, Any] | None:
    if soak is None:
        return None
    return {
        "subject": plain(soak.subject),
        "kills": plain(soak.kills),
        "stale_s": soak.stale_s,
        # The queries stand in the exchanges, with their answers.
        "report": plain(replace(soak.report, queries=())),
    }


def _review(review: Review | None, typed: str) -> dict[str, Any] | None:
    if review is None:
        return None
    return {
        "model": review.model,
        "as_of": plain(review.as_of),
        "finding": typed,
        **reviewed(review),
    }


# Digests of every file of an artifact, pinned by the evidence of its first change (contract §3).
#
# A pointer names the digest of the model file alone. External weights, manifest, train report and golden vectors are
# pinned by the manifest and here, so that nobody can change them and the manifest together, unnoticed, later on.


def pinned(
    objects: Objects, commit: str, places: Places, events: Iterable[Event], artifact_id: str
) -> Mapping[str, str]:
    """Return the SHA-256 of each file by its name; empty when no event has evidence, as in hand-made registries.

    Args:
        commit: where the evidence is read.
        events: the model's, oldest first; the first that pins the artifact counts. A withdrawal never does: the gate
            verifies no artifact for it, so that its evidence may say anything.
    """
    home = places.evidence(artifact_id)
    for event in events:
        said = (event.model_extra or {}).get("evidence")
        if event.artifact_id != artifact_id or not isinstance(said, dict) or action_of(event) == Action.WITHDRAW:
            continue
        folder = str(said.get("path"))
        document = objects.read(commit, f"{folder}/evidence.json") if _directly_in(folder, home) else None
        if document is not None and hashlib.sha256(document).hexdigest() == said.get("sha256"):
            digests = _digests(document)
            if digests:
                return digests
    return {}


def _directly_in(folder: str, home: str) -> bool:
    return str(PurePosixPath(folder).parent) == home and ".." not in PurePosixPath(folder).parts


def _digests(document: bytes) -> dict[str, str]:
    try:
        return {str(file["path"]): str(file["sha256"]) for file in json.loads(document).get("files", ())}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
