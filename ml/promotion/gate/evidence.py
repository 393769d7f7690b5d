"""The evidence of a change: present, unaltered, about this change, and passing when judged again (contract §8)."""

from __future__ import annotations

import hashlib
import json
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from ml.artifacts.digests import MAX_BYTES
from ml.clock import format_utc, parse_utc
from ml.errors import ConsoleError
from ml.policy import Policy
from ml.promotion.attributes import fault_of_tree
from ml.promotion.contracts import contract_of
from ml.promotion.evidence import pinned, verify
from ml.promotion.gate.authority import SKEW, affects_trading, waived_gates
from ml.promotion.gate.case import Case, Move, passed, refused
from ml.promotion.gate.guard import twin
from ml.promotion.gate.remeasure import acceptable_format, claims, measured
from ml.promotion.gate.scope import evidence_folder
from ml.promotion.gates import (
    GOLDEN_GATE,
    ID_GATE,
    NEW_GATE,
    REPORT_GATE,
    ROLE_GATE,
    TESTS_GATE,
    VERIFY_GATE,
    return_gate,
    verify_gate,
)
from ml.promotion.lfs import pointers, resolve
from ml.promotion.plan import FRESH
from ml.promotion.repository import EVIDENCE_LIMIT, Objects, Reader
from ml.promotion.values import ACK_GATE, REVIEW_GATE
from ml.registry.codec import Document, RegistryInvalid, parse
from ml.registry.history import chronological
from ml.registry.schema import located
from ml.slo.charts import wordless
from ml.slo.soak_gates import ALERTS_GATE
from ml.slo.source import Metrics
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import SOAK_GATE, Gate, Verdict

if TYPE_CHECKING:
    from ml.artifacts.verification import Verification
    from ml.contract import Contract


# The artifact in the commit's own tree: complete and verified (contract §8).


class Verifies(Protocol):
    """The verifier of an artifact directory (`ml.artifacts.verify.Verifier`)."""

    def verify(
        self, directory: Path, *, expect_sha256: str | None = None, contract: Contract | None = None
    ) -> Verification:
        """All checks of one directory; the model must have the expected digest and keep the contract."""
        ...


def folder_of(case: Case, move: Move) -> str:
    """The folder of the artifact that a step brings into its stage; empty for a withdrawal."""
    pointer = None if move.action is Action.WITHDRAW else move.after.pointer(move.to_stage)
    return located(pointer.artifact_dir, case.artifact_base) if pointer is not None else ""


def artifact(repository: Reader, case: Case, move: Move, verifier: Verifies, server: str = "") -> Gate:
    """Export the artifact from the commit and verify it in the sandbox, by its pointer and by its pinned evidence.

    ``server`` is the remote that must have the artifact's files in Git LFS; empty where this repository is the server.
    """
    if move.action is Action.WITHDRAW:
        return passed("artifact", "a withdrawal needs no artifact")
    pointer = move.after.pointer(move.to_stage)
    assert pointer is not None
    path = folder_of(case, move)
    if PurePosixPath(path).name != move.artifact_id:
        return refused("artifact", f"{visible(path)} is not named after {visible(move.artifact_id)}")
    try:
        found = _examined(repository, case, move, (verifier, server), path)
    except ConsoleError as error:
        return refused("artifact", f"{visible(path)} could not be verified: {error.cause}")
    if isinstance(found, str):
        return refused("artifact", found)
    gate = return_gate(found) if move.action is Action.ROLLBACK else verify_gate(found)
    return passed("artifact", gate.why) if gate.verdict.opens else refused("artifact", gate.why)


def _examined(repository: Reader, case: Case, move: Move, how: tuple[Verifies, str], path: str) -> Verification | str:
    """The verification of the files that a checkout of the commit gives, or why it does not give them: one clause.

    Attributes hold up no rollback, because the artifact has traded with them.
    """
    verifier, server = how
    objects, pointer = repository.objects, move.after.pointer(move.to_stage)
    if move.action is not Action.ROLLBACK:
        why = fault_of_tree(objects, repository.clone, case.commit.sha, path, fresh=move.action is Action.STAGE)
        if why:
            return why
        double = twin(entry.path for entry in objects.tree(case.commit.sha, path))
        if double:
            return f"{visible(double)} takes the place of another file of the artifact on a disk that ignores case"
    with tempfile.TemporaryDirectory(prefix="mlconsole-gate-") as folder:
        if not objects.export(case.commit.sha, Path(folder), [path]):
            return f"{visible(path)} is not in the commit"
        why = restored(repository, case, Path(folder), server)
        if why:
            return why
        contract = _contract(objects, case, move)
        expected = pointer.model_sha256 if pointer else None
        found = verifier.verify(Path(folder) / path, expect_sha256=expected, contract=contract)
    events = (*chronological(move.past), move.event)
    return found.pinned(pinned(objects, case.commit.sha, case.places, events, move.artifact_id))


def _contract(objects: Objects, case: Case, move: Move) -> Contract | None:
    """The contract of the artifact. For a rollback the policy's alone, so that nothing staged since holds it up."""
    if move.action is Action.ROLLBACK:
        return case.policy.contract(move.name)
    before = case.before.registry.models.get(move.name) if case.before is not None else None
    return contract_of(objects, case.parent.sha, case.policy, move.name, before, case.artifact_base)


# The metrics source of the evidence, which must be the base's where it names one (contract §8).

CONFIG_FILE = "console.toml"
_NAMES = (("prometheus", "url"), ("prometheus", "fallback_url"), ("alertmanager", "url"))


def foreign_source(configured: bytes | None, values: Mapping[str, Any]) -> str:
    """Say why the evidence is of another source: one clause; empty where it is not, or where the base names none.

    ``configured`` is the console.toml that the base tracks, ``None`` where it tracks none. Without an address in it,
    the address in the evidence is only its author's report.

    Raises:
        KeyError, TypeError: the evidence has no exchanges.
    """
    named = _named(configured)
    if not any(section == "prometheus" for section, _ in named):
        return ""
    allowed = {address for _, address in named}
    for part in ("soak_exchanges", "review_exchanges"):
        for exchange in values[part]:
            asked = exchange.get("url")
            if asked is None and not exchange.keys().isdisjoint(("body", "body_base64")):
                return f"the evidence does not name the source of an answer, and the base's {CONFIG_FILE} names one"
            if asked is not None and str(asked).rstrip("/") not in allowed:
                said = visible(str(asked), limit=120)
                return f"the evidence is of the source {said}, and the base's {CONFIG_FILE} names another"
    return ""


def _named(configured: bytes | None) -> tuple[tuple[str, str], ...]:
    try:
        found = tomllib.loads((configured or b"").decode())
    except (ValueError, RecursionError):
        return ()  # an unreadable file configures no console either
    return tuple(_addresses(found))


def _addresses(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section, key in _NAMES:
        table = found.get(section)
        address = table.get(key) if isinstance(table, dict) else None
        if isinstance(address, str) and address:
            yield section, address.rstrip("/")


# The binding of acknowledgement and evidence: to a model's slice of the registry, not to the whole file (contract §14).
#
# Both name the registry by its object id. If the base moved on and the file changed, they hold as long as the
# model's own text in the file that they name is the text in the file that the change was made on.


def bound(objects: Objects, case: Case, move: Move, written: object) -> str:
    """The registry that an acknowledgement, or evidence, must name: the one before the change, or one with its slice.

    Args:
        written: what names a ``registry_blob``.
    """
    own = objects.blob_id(case.parent.sha, case.places.registry)
    said = written.get("registry_blob") if isinstance(written, dict) else None
    if not isinstance(said, str) or said == own:
        return own
    raw = objects.blob(said)
    try:
        named = parse(raw) if raw is not None else None
    except RegistryInvalid:
        return own
    return said if named is not None and same_slice(named, case.before, move.name) else own


def same_slice(one: Document | None, other: Document | None, name: str) -> bool:
    """True if two registries hold the same text of a model, or neither has it."""
    return _slice(one, name) == _slice(other, name)


def _slice(document: Document | None, name: str) -> str | None:
    return document.model_text(name) if document is not None and name in document.spans else None


def blob_id(content: bytes, digits: int) -> str:
    """Return git's object id of a file's bytes, in a repository with ids of 40 or 64 digits."""
    known = hashlib.sha256() if digits == 64 else hashlib.sha1(usedforsecurity=False)
    known.update(b"blob %d\0" % len(content) + content)
    return known.hexdigest()


def required_gates(policy: Policy, action: Action, to_stage: Stage) -> frozenset[str]:
    """The gates that a change's evidence must show; more may be there, and must be open too."""
    if action is Action.STAGE:
        return frozenset({ID_GATE, VERIFY_GATE, REPORT_GATE, NEW_GATE})
    if to_stage is Stage.SHADOW:
        return frozenset({VERIFY_GATE, TESTS_GATE, GOLDEN_GATE})
    objectives = {objective.name for objective in policy.objectives if objective.gate}
    return frozenset({SOAK_GATE, *objectives, ALERTS_GATE, REVIEW_GATE, VERIFY_GATE, ROLE_GATE})


def evidence(objects: Objects, case: Case, move: Move, source: Metrics | None = None) -> Iterator[Gate]:
    """Judge the evidence that the event names: there and about this change, judged again, complete, measured twice.

    ``source`` is the gate's own metrics source, ``None`` where it has none.
    """
    if move.action in (Action.ROLLBACK, Action.WITHDRAW) and not move.written.get("evidence"):
        yield passed("evidence", f"a {move.action} needs none")
        return
    document, why = _document(objects, case, move)
    if document is None:
        yield refused("evidence", why)
        return
    failed = [check for check in verify(document) if not check.verdict.opens]
    if failed:
        yield refused("verdicts", f"the evidence does not hold when it is judged again: {failed[0].why}")
        return
    values = json.loads(document)
    outdated = acceptable_format(case, move, values)
    if outdated:
        yield outdated
        return
    drawing = objects.read(case.commit.sha, f"{evidence_folder(case, move)}/review.svg")
    blob = bound(objects, case, move, values.get("target"))
    try:
        configured = objects.read(case.base, CONFIG_FILE)
        why = next(_strangeness(case, move, values, blob), "") or _altered_drawing(values, drawing)
        why = why or foreign_source(configured, values)
        checklist = _checklist(case, move, values["gates"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"the evidence is incomplete ({type(error).__name__}: {visible(str(error), limit=80)})"
    if why:
        yield refused("evidence", why)
        return
    yield passed("evidence", f"about this change, {hashlib.sha256(document).hexdigest()[:12]}")
    yield passed("verdicts", "judged again from the raw responses, everything is as it says")
    if move.action in (Action.STAGE, Action.PROMOTE):
        yield checklist
        if checklist.verdict.opens:
            yield from measured(case, move, values, source)
            yield from claims(move)


def _document(objects: Objects, case: Case, move: Move) -> tuple[bytes | None, str]:
    said = move.written.get("evidence")
    folder = evidence_folder(case, move)
    if not isinstance(said, dict) or not folder:
        return None, "the event names no evidence of its own"
    document = objects.read(case.commit.sha, f"{folder}/evidence.json")
    if document is None:
        return None, f"{visible(folder)}/evidence.json is not in the commit"
    if len(document) > EVIDENCE_LIMIT:
        return None, f"the evidence has more than {EVIDENCE_LIMIT >> 20} MiB"
    digest = hashlib.sha256(document).hexdigest()
    if said.get("sha256") != digest:
        return (
            None,
            f"the evidence has the SHA-256 {digest[:12]}, the event says {visible(str(said.get('sha256')))[:12]}",
        )
    return document, ""


def _strangeness(case: Case, move: Move, values: Mapping[str, Any], registry_blob: str) -> Iterator[str]:
    """Everything that shows evidence to be another change's; the document's own form was checked before."""
    target = values["target"]
    pointer = move.event.pointer
    expected = {
        "artifact_id": move.artifact_id,
        "model": move.name,
        "model_sha256": pointer.model_sha256 if pointer else None,
        "action": str(move.action),
        "from_stage": move.event.from_stage,
        "to_stage": str(move.to_stage),
        "actor": move.by,
        "registry_blob": registry_blob,
    }
    for key, value in expected.items():
        if target.get(key) != value:
            found = visible(str(target.get(key)))
            yield f"the evidence is of another change: its {key} is {found}, and should be {visible(str(value))}"
    if move.action not in (Action.STAGE, Action.PROMOTE):
        return  # an emergency is not held up by the age of what was found before it
    if values["policy"]["source"].encode() != case.policy.source:
        yield "the evidence was judged by another policy than the base's"
    yield from _old(move, values)
    if affects_trading(move):
        yield from _foreign_soak(move, values["soak"])
        yield from _laxer(case, values["soak"])


def _old(move: Move, values: Mapping[str, Any]) -> Iterator[str]:
    """Each time at which something was judged lies in the last hour before the change."""
    soak, review = values["soak"], values["review"]
    times = {"evidence": values["as_of"]}
    times |= {"soak's report": soak["report"]["as_of"]} if soak else {}
    times |= {"dashboard review": review["as_of"]} if review else {}
    at = move.made_at
    for name, written in times.items():
        as_of = parse_utc(written)
        if not at - FRESH <= as_of <= at + SKEW:
            yield f"the {name} is of {format_utc(as_of)}, the change of {format_utc(at)}"


def _laxer(case: Case, soak: Mapping[str, Any]) -> Iterator[str]:
    """The age from which a sample is not believed is the author's own number; it may only be stricter."""
    stale_s, allowed = soak["stale_s"], case.policy.soak.stale_seconds
    if not isinstance(stale_s, int | float) or not 0 < stale_s <= allowed:
        said = visible(str(stale_s), limit=40)
        yield f"the soak believes samples of {said} s, the base's policy only those of {allowed:g} s"


def _foreign_soak(move: Move, soak: Mapping[str, Any]) -> Iterator[str]:
    subject = soak["subject"]
    pointer = move.event.pointer
    if subject["model_sha256"] != (pointer.model_sha256 if pointer else None):
        yield "the soak was of another artifact"
    entered = [
        event.at for event in chronological(move.past) if _entered_shadow(event.to_stage, event.artifact_id, move)
    ]
    if not entered or entered[-1] is None:
        yield "the history does not say when the artifact entered shadow"
    elif parse_utc(subject["landed_at"]) < entered[-1] - SKEW:
        yield f"the soak is said to begin before the artifact entered shadow at {format_utc(entered[-1])}"


def _entered_shadow(to_stage: str | None, artifact_id: str | None, move: Move) -> bool:
    return to_stage == Stage.SHADOW and artifact_id == move.artifact_id


def _altered_drawing(values: Mapping[str, Any], drawing: bytes | None) -> str:
    review = values["review"]
    expected = review["svg_sha256"] if review else None
    found = hashlib.sha256(drawing).hexdigest() if drawing is not None else None
    if expected != found and not (drawing is None and expected == hashlib.sha256(b"").hexdigest()):
        return "the drawing of the review is not the one in the evidence"
    # What the judge drew again is compared without its words; so what is shown must be the same without them.
    drawn = review.get("drawing_sha256") if review else None
    if drawn is not None and drawn != hashlib.sha256(wordless(drawing or b"")).hexdigest():
        return "the drawing of the review does not show what was measured"
    return ""


def _checklist(case: Case, move: Move, shown: list[Mapping[str, Any]]) -> Gate:
    """Check that all gates of the step are shown and open, and that the waived ones match the event."""
    verdicts = {str(gate["name"]): str(gate["verdict"]) for gate in shown if gate["name"] != ACK_GATE}
    missing = sorted(required_gates(case.policy, move.action, move.to_stage) - verdicts.keys())
    if missing:
        return refused("checklist", f"the evidence does not show the gate {missing[0]}")
    closed = [name for name, verdict in verdicts.items() if verdict not in (Verdict.PASS, Verdict.WAIVED)]
    if closed:
        return refused("checklist", f"the gate {visible(closed[0])} is {visible(verdicts[closed[0]])} in the evidence")
    waived = {name for name, verdict in verdicts.items() if verdict == Verdict.WAIVED}
    if waived != waived_gates(move):
        return refused("checklist", "the event and the evidence name different waivers")
    return passed("checklist", f"{len(verdicts)} gates, all open")


# Files of a judged artifact in Git LFS: allowed by the base's policy, on the server, and restored by a checkout.


def restored(repository: Reader, case: Case, directory: Path, server: str) -> str:
    """Put the server's files in the place of an exported commit's pointers; why that fails: one clause, or empty.

    Args:
        directory: the exported files, with their paths from the root of the repository.
        server: the remote that must have the files; empty where this repository is the server.
    """
    found = {path.relative_to(directory).as_posix(): pointer for path, pointer in pointers(directory)}
    if not found:
        return ""
    first = visible(next(iter(found)))
    if not case.policy.artifacts.lfs:
        return f"{first} is a Git LFS pointer, and the base's policy allows none (artifacts.lfs)"
    large = next((path for path, pointer in found.items() if pointer.size > MAX_BYTES), "")
    if large:
        return f"the file of the Git LFS pointer {visible(large)} has more than {MAX_BYTES:,} bytes"
    if sum(pointer.size for pointer in found.values()) > MAX_BYTES:
        return f"the files of its {len(found)} Git LFS pointers have more than {MAX_BYTES:,} bytes together"
    attributes = repository.clone.attributes(case.commit.sha, list(found))
    bare = next((path for path in found if attributes.get(path, {}).get("filter") != "lfs"), "")
    if bare:
        return f"{visible(bare)} is a Git LFS pointer without the attribute filter=lfs, so a checkout keeps the pointer"
    with repository.lfs.served(server, case.commit.sha, tuple(found)) as store:
        missing = resolve(directory, store)
    return f"the file of the Git LFS pointer {visible(missing[0])} is not on the server" if missing else ""
