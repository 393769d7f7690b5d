"""One step of a model's life, judged by the contract: who, how, with which proof, and what came with it.

Part of the oracle (`attack.oracle`), and as independent of the gate.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from attack.ledger import STAGES, Commit, Ledger, State

PHRASE = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
HOUR, SKEW = 3600, 360
LIMITS = {"p99": 100.0, "p999": 250.0, "error_rate": 0.05}
BELOW = {"shadow": "staging", "active": "shadow"}
ORIGIN = ("artifact_id", "artifact_dir", "model_sha256", "git_sha", "dataset_id", "created_at_utc")
"""What a pointer carries from stage to stage, and back in a rollback."""
TO_ACTIVE = ("soak", "p99", "p999", "error_rate", "alerts", "review", "verify", "role")


_LEGAL = {("stage", "staging"), ("promote", "shadow"), ("promote", "active"), ("rollback", "active")}
_LEGAL |= {("withdraw", "staging"), ("withdraw", "shadow")}


@dataclass
class Witness:
    """What is known besides a repository's states: the true measurements, the time, and what landed when.

    ``measured`` are the true values of the gates by name, ``landed`` when an artifact was seen to enter shadow.
    """

    ledger: Ledger
    measured: Mapping[str, float]
    clock: Callable[[], float]
    landed: dict[tuple[str, str], float] = field(default_factory=dict)

    def proven(self, old: State, change: Commit) -> Iterator[str]:
        """Where the old rules ask for it: signed by the author, and approved by enough others."""
        ack = (old.policy or {}).get("ack", {})
        if not ack.get("signed", False):
            return
        times = (float(change.committed), self.clock())
        key = self.ledger.signed_by(change.sha, old.signers, change.author, times)
        if not key:
            yield f"the change is not signed by a key of {change.author} that is good now and was good then"
        needed = ack.get("approvals", 1) - 1
        operators = old.policy.get("roles", {}).get("operators", []) if old.policy else []
        found = {}
        places = (f"refs/approvals/{change.sha}", f"refs/approvals/{change.sha}-*")
        for ref in (each for place in places for each in self.ledger.refs(place).values()):
            for operator in operators:
                by = self.ledger.signed_by(ref, old.signers, operator, (self.clock(),))
                if by and operator != change.author and by != key and self.ledger.commit(ref).parents == (change.sha,):
                    found[by] = operator
        if len(set(found.values())) < needed:
            yield f"{len(set(found.values()))} of {needed} approvals are there"

    def dated(self, old: State, made: float) -> Iterator[str]:
        """Made within what the rules allow, in Unix seconds."""
        hours = (old.policy or {}).get("ack", {}).get("lands_within_hours", 24)
        age = self.clock() - made
        if age > hours * HOUR + SKEW:
            yield f"the change is dated {age / HOUR:.0f} h back"
        if age < -SKEW:
            yield "the change is dated in the future"


@dataclass(frozen=True)
class Step:
    """One event of one model, and the model before and after it."""

    witness: Witness
    old: State
    new: State
    change: Commit
    name: str
    event: Mapping[str, Any]

    @property
    def _made(self) -> float:
        """When the step was made, as its author says: the earlier one of its event and its commit."""
        try:
            told = next(self.event[key] for key in ("timestamp_utc", "ts_utc", "at") if key in self.event)
            return min(_seconds(told), self.change.committed)
        except (StopIteration, ValueError):
            return self.change.committed

    def sins(self) -> Iterator[str]:
        """Everything that is wrong with the step."""
        before, after = self.old.models.get(self.name, {}), self.new.models[self.name]
        action, stage, artifact = (str(self.event.get(key)) for key in ("action", "to_stage", "artifact_id"))
        moves = {(each, stage) for each in [BELOW.get(stage)] if each and action == "promote"} or {stage}
        expected = {each for one in moves for each in (one if isinstance(one, tuple) else (one,))}
        changed = {each for each in STAGES if before.get(each) != after.get(each)}
        if changed - expected:
            yield f"a {action} to {stage} changed {', '.join(sorted(changed))}"
        now = after.get(stage)
        if action == "withdraw":
            if now is not None or stage == "active":
                yield f"a withdrawal left {stage} as {now and now['artifact_id']}"
        elif now is None or now["artifact_id"] != artifact or not _same(now, self.event.get("pointer") or {}):
            yield f"the event says {artifact}, {stage} holds {now and now['artifact_id']}"
        else:
            yield from self._bytes(now)
        judges = {"stage": self._stage, "promote": self._promote, "rollback": self._rollback, "withdraw": self._role}
        if action not in judges or (action, stage) not in _LEGAL:
            yield f"{action} to {stage} is no legal step"
            return
        if self.event.get("by") != self.change.author:
            yield f"the event is by {self.event.get('by')}, the commit by {self.change.author}"
        if action != "rollback":
            yield from self.witness.dated(self.old, self._made)
        yield from judges[action](before, now or {}, stage)

    def stray(self, everything: set[str]) -> Iterator[str]:
        """Paths that have no part in the step."""
        artifact = str(self.event.get("artifact_id"))
        folder = posixpath.normpath(str((self.event.get("pointer") or {}).get("artifact_dir")))
        capsules = {posixpath.dirname(path) for path in everything if path.startswith(self.old.beside("evidence/"))}
        if len(capsules) > 1 or any(
            posixpath.dirname(each) != self.old.beside(f"evidence/{artifact}") for each in capsules
        ):
            yield f"evidence lands in {sorted(capsules)}"
        for path in sorted(everything):
            ours = path in (self.old.path, self.old.beside(f"archive/{self.name}.jsonl"))
            fresh = self.event.get("action") == "stage" and path.startswith(f"{folder}/") and below(path, {folder})
            if not ours and not fresh and posixpath.dirname(path) not in capsules:
                yield f"{path} rides along"

    def _bytes(self, pointer: Mapping[str, Any]) -> Iterator[str]:
        folder = posixpath.normpath(pointer["artifact_dir"])
        tree = self.witness.ledger.tree(self.new.commit)
        files = {path: entry for path, entry in tree.items() if path.startswith(f"{folder}/")}
        if any(mode not in ("100644", "100755") for mode, _ in files.values()):
            yield f"{folder} holds what is no regular file"
        read = self.witness.ledger.read
        model, manifest = (read(self.new.commit, f"{folder}/{name}") for name in ("model.onnx", "manifest.json"))
        report = read(self.new.commit, f"{folder}/train_report.json")
        digest = hashlib.sha256(model or b"").hexdigest()
        if digest != pointer.get("model_sha256") or model is None:
            yield f"the model of {folder} is not what its pointer names"
        try:
            pinned = json.loads(manifest or b"")["sha256"]
            reported = json.loads(report)["model_sha256"] if report else digest
        except (ValueError, KeyError, TypeError):
            yield f"{folder} has no good manifest or report"
            return
        if reported != digest:
            yield f"the report of {folder} is of another model"
        for name, expected in pinned.items():
            content = read(self.new.commit, f"{folder}/{name}")
            if content is None or hashlib.sha256(content).hexdigest() != expected:
                yield f"{name} of {folder} is not what its manifest pins"

    def _role(self, *_: object) -> Iterator[str]:
        roles = (self.old.policy or {}).get("roles", {})
        allowed = [*roles.get("developers", ["*"]), *roles.get("operators", [])]
        if self.old.policy is not None and "*" not in allowed and self.change.author not in allowed:
            yield f"{self.change.author} has no role for this"

    def _stage(self, before: Mapping[str, Any], now: Mapping[str, Any], stage: str) -> Iterator[str]:
        yield from self._role()
        yield from self._signed()
        if any((before.get(each) or {}).get("artifact_id") == now.get("artifact_id") for each in STAGES):
            yield f"{now.get('artifact_id')} stood in a stage already"
        yield from self._evidence(now, ("verify",))

    def _promote(self, before: Mapping[str, Any], now: Mapping[str, Any], stage: str) -> Iterator[str]:
        below = before.get(BELOW[stage]) or {}
        if any(below.get(key) != now.get(key) for key in ORIGIN):
            yield f"{stage} is not what stood in {BELOW[stage]}"
        if self.new.models[self.name].get(BELOW[stage]) is not None:
            yield f"{BELOW[stage]} was not cleared"
        yield from self._signed()
        if self.old.policy is None:
            yield "a promotion landed on a base whose policy cannot be used"
        if now.get("artifact_id") in self._condemned() and "condemned" not in self._waived():
            yield f"the condemned {now.get('artifact_id')} was promoted without a waiver"
        operators = (self.old.policy or {}).get("roles", {}).get("operators", [])
        if self._waived() and self.change.author not in operators:
            yield f"{self.change.author} waived and is no operator"
        if self._waived() & {"verify", "role", "ack"}:
            yield f"what is never waived was waived: {sorted(self._waived())}"
        if stage == "shadow":
            yield from self._role()
            yield from self._evidence(now, ("verify", "unit_tests", "golden"))
            return
        if self.change.author not in operators:
            yield f"{self.change.author} made {now.get('artifact_id')} active and is no operator"
        yield from self._acknowledged(now)
        yield from self._evidence(now, TO_ACTIVE)

    def _rollback(self, before: Mapping[str, Any], now: Mapping[str, Any], stage: str) -> Iterator[str]:
        target = now.get("artifact_id")
        activations = [
            event.get("pointer") or {}
            for event in self.old.events(self.name)
            if event.get("to_stage") == "active" and event.get("artifact_id") == target
        ]
        if not activations:
            yield f"a rollback to {target}, which was never active"
        elif not any(all(each.get(key) == now.get(key) for key in ORIGIN) for each in activations):
            yield f"a rollback gave {target} a pointer that no activation had"
        if target in self._condemned():
            yield f"a rollback to the condemned {target}"

    def _signed(self) -> Iterator[str]:
        ack = (self.old.policy or {}).get("ack", {})
        if self.event.get("to_stage") == "active":
            yield from self.witness.proven(self.old, self.change)
        elif ack.get("signed", False):
            times = (float(self.change.committed), self.witness.clock())
            if not self.witness.ledger.signed_by(self.change.sha, self.old.signers, self.change.author, times):
                yield f"the step is not signed by a key of {self.change.author} that is good now and was good then"

    def _condemned(self) -> set[str]:
        """What rollbacks left, and no waived promotion brought back since."""
        left: set[str] = set()
        active = None
        for event in self.old.events(self.name):
            if event.get("to_stage") != "active" or event.get("action") == "withdraw":
                continue
            if event.get("action") == "rollback":
                left |= {each for each in (active, event.get("left_artifact_id")) if each}
            else:
                left.discard(str(event.get("artifact_id")))
            active = event.get("artifact_id")
            if event.get("action") == "rollback":
                left.discard(str(active))
        return left

    def _waived(self) -> set[str]:
        return {str(each.get("gate")) for each in self.event.get("waivers") or []}

    def _acknowledged(self, now: Mapping[str, Any]) -> Iterator[str]:
        ack, evidence = self.event.get("ack") or {}, self.event.get("evidence") or {}
        told = (self.old.policy or {}).get("ack", {})
        if ack.get("phrase") != told.get("phrase", PHRASE) or ack.get("by") != self.change.author:
            yield f"active came without an ACK by {self.change.author}"
            return
        if ack.get("model_sha256") != now.get("model_sha256") or ack.get("evidence_sha256") != evidence.get("sha256"):
            yield "the ACK is for another artifact or other evidence"
        given, until = _seconds(ack.get("at")), _seconds(ack.get("expires_at"))
        if not given <= self._made <= until or until - given > 60 * told.get("expires_minutes", 15):
            yield "the ACK was not good when the change was made"
        used = [(event.get("evidence") or {}).get("sha256") for event in self.old.events(self.name)]
        if evidence.get("sha256") in used:
            yield "the ACK was used before"

    def _evidence(self, now: Mapping[str, Any], needed: tuple[str, ...]) -> Iterator[str]:
        said = self.event.get("evidence") or {}
        path = f"{said.get('path')}/evidence.json"
        raw = self.witness.ledger.read(self.new.commit, path)
        if raw is None or hashlib.sha256(raw).hexdigest() != said.get("sha256"):
            yield f"{path} is not the evidence that the event names"
            return
        if path in self.witness.ledger.tree(self.old.commit):
            yield "the evidence was there before the change"
        told = json.loads(raw)
        target = told["target"]
        expected = {"artifact_id": now["artifact_id"], "model_sha256": now["model_sha256"], "model": self.name}
        expected |= {"action": self.event["action"], "to_stage": self.event["to_stage"], "actor": self.change.author}
        for key, value in expected.items():
            if target.get(key) != value:
                yield f"the evidence is of another {key}: {target.get(key)}"
        policy = self.witness.ledger.read(self.old.commit, self.old.beside("policy.toml")) or b""
        if told["policy"]["source"].encode() != policy:
            yield "the evidence was judged by another policy"
        age = self._made - _seconds(told["as_of"])
        if not -SKEW <= age <= HOUR:
            yield f"the evidence is {age / HOUR:.1f} h older than the change"
        gates = {gate["name"]: gate for gate in told["gates"]}
        for name in needed:
            yield from self._gate(name, gates.get(name))
        if self.event["to_stage"] == "active":
            yield from self._soaked(now, told["soak"])

    def _gate(self, name: str, gate: Mapping[str, Any] | None) -> Iterator[str]:
        if gate is None or gate["verdict"] not in ("PASS", "WAIVED"):
            yield f"the gate {name} is {gate and gate['verdict']} in the evidence"
        elif gate["verdict"] == "WAIVED" and name not in self._waived():
            yield f"the gate {name} is waived in the evidence and not in the event"
        elif gate["verdict"] == "PASS" and name in LIMITS:
            value = float(gate["value"])
            if not value < LIMITS[name]:
                yield f"{name} is {value}"
            if abs(value - self.witness.measured[name]) > 1e-6 * max(1.0, value):
                yield f"{name} is {value} in the evidence, and {self.witness.measured[name]} was measured"

    def _soaked(self, now: Mapping[str, Any], soak: Mapping[str, Any]) -> Iterator[str]:
        subject = soak["subject"]
        if subject["model_sha256"] != now["model_sha256"] or subject["artifact_id"] != now["artifact_id"]:
            yield "the soak was of another artifact"
        if "soak" in self._waived():
            return
        entered = [
            _seconds(event.get("ts_utc"))
            for event in self.old.events(self.name)
            if event.get("to_stage") == "shadow" and event.get("artifact_id") == now["artifact_id"]
        ]
        seen = self.witness.landed.get((self.name, now["artifact_id"]), 0.0)
        since = max(max(entered, default=float("inf")), seen)
        if _seconds(subject["landed_at"]) < since - SKEW:
            yield "the soak began before the artifact entered shadow"


def below(path: str, folders: frozenset[str] | set[str]) -> bool:
    """In an artifact folder, or in its place: a file or a link where a folder was."""
    return any(path.startswith(f"{folder}/") or folder == path or folder.startswith(f"{path}/") for folder in folders)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ORIGIN)


def _seconds(text: object) -> float:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")).astimezone(UTC).timestamp()
