"""The attackers' workshop: people with keys, repositories to begin from, and changes true, bent and forged.

What honest people do is made by our own planner (through `support.gatehouse`), so that an attack differs from a legal
change in the one thing that it is about. Nothing of this is used by the oracle.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from support.clones import OPERATOR, clean_environment
from support.gatehouse import (
    FRESH,
    LIVE,
    MODEL,
    OLD,
    PHRASE,
    SECOND,
    SOAKED,
    STRANGER,
    Gatehouse,
    artifact_files,
    gatehouse,
    life,
    much_later,
    pointer_to,
)
from support.warm_python import ROOT, WarmPython

from attack.objects import Stamp, Store
from ml.adapters.git_hooks import install_gate
from ml.adapters.processes import run
from ml.policy import parse_policy
from ml.promotion import plan as planning
from ml.promotion.evidence_formats import opened, sealed
from ml.promotion.gates import ROLE_GATE, acknowledge
from ml.promotion.plan import Proposal, plan_promotion, plan_rollback, plan_stage, plan_withdraw
from ml.promotion.values import ACK_GATE, Evidence, Plan
from ml.registry import changes
from ml.registry.codec import parse
from ml.registry.events import Recorder
from ml.registry.schema import Pointer
from ml.stage import Action, Stage

DEVELOPER, THIRD = "developer@example.com", "third@example.com"
PEOPLE = (OPERATOR, SECOND, DEVELOPER, STRANGER)
EXTRA = "regime_v2026_02_16_002"
SPACING = "spacing_classifier"
REGISTRY, POLICY_FILE, SIGNERS_FILE = (
    f"ml/registry/{name}" for name in ("models.json", "policy.toml", "allowed_signers")
)
WORKFLOW = ".github/workflows/registry-gate.yml"
MOVED = "trading/models.json"
ROLES = f'[roles]\noperators = ["{OPERATOR}", "{SECOND}"]\ndevelopers = ["{DEVELOPER}"]\n'
RULES = {
    "plain": ROLES,
    "signed": f"{ROLES}[ack]\nsigned = true\n",
    "four": f"{ROLES}[ack]\nsigned = true\napprovals = 2\n",
    "alone": f"{ROLES}[ack]\napprovals = 2\n",
    # The key of the second operator is listed for a third one too, and three must stand behind a change.
    "shared": ROLES.replace(f'"{SECOND}"', f'"{SECOND}", "{THIRD}"') + "[ack]\nsigned = true\napprovals = 3\n",
}
BELOW = {"shadow": "staging", "active": "shadow"}
LIVES = ("usual", "condemned", "long")
_STAGES = {"staging": Stage.STAGING, "shadow": Stage.SHADOW, "active": Stage.ACTIVE}

Files = dict[str, bytes | tuple[str, bytes] | None]


@dataclass(frozen=True)
class Start:
    """A repository to begin from: its template on disk, its main, and older commits of it, oldest first."""

    template: Path
    main: str
    older: tuple[str, ...]
    rules: str
    moved: bool


class Crowd:
    """People, keys, starts, and how changes are made. One for a whole run."""

    def __init__(self, house: Gatehouse, home: Path, python: Path) -> None:
        self.house, self.home, self.python = house, home, python
        self.store = Store(house.clones.operator.path / ".git")
        self.store.load(house.main)
        self.epoch = int(house.now.timestamp())
        self.keys = {who: _key(home, who.partition("@")[0]) for who in PEOPLE}
        self.keys["expired"] = _key(home, "expired")
        plain = parse_policy(RULES["plain"].encode())
        self._judged = {artifact: house.judged(plain, artifact) for artifact in (OLD, LIVE, SOAKED, FRESH, EXTRA)}
        self._starts: dict[tuple[str, str, bool], Start] = {}

    @cached_property
    def measured(self) -> dict[str, float]:
        """The day's true numbers, by gate."""
        judgement, _ = self._judged[SOAKED]
        return {gate.name: gate.value for gate in judgement.report.gates if isinstance(gate.value, float | int)}

    @cached_property
    def signers(self) -> bytes:
        """Operators and the developer, and a key of the operator's that has expired."""
        lines = [f"{who} {self.public(who)}\n" for who in (OPERATOR, SECOND, DEVELOPER)]
        expiry = datetime.fromtimestamp(self.epoch - 1200, UTC).strftime("%Y%m%d%H%M%S")
        return ("".join(lines) + f'{OPERATOR} valid-before="{expiry}Z" {self.public("expired")}\n').encode()

    def public(self, who: str) -> str:
        """A public key."""
        return Path(f"{self.keys[who]}.pub").read_text().strip()

    # --- where it begins ---------------------------------------------------------------------------------
    def start(self, rules: str, lived: str, *, moved: bool) -> Start:
        """A guarded bare repository of a kind; made once, copied for each use."""
        key = (rules, lived, moved)
        if key not in self._starts:
            self._starts[key] = self._made(rules, lived, moved=moved)
        return self._starts[key]

    def _made(self, rules: str, lived: str, *, moved: bool) -> Start:
        store, now, main = self.store, self.house.now, self.house.main
        registry, archive = _lived(lived, now)
        common: Files = {WORKFLOW: (ROOT / WORKFLOW).read_bytes()}
        earlier = {**common, POLICY_FILE: f'[roles]\noperators = ["{STRANGER}"]\n'.encode(), REGISTRY: _young(now)}
        files: Files = {**common, POLICY_FILE: RULES[rules].encode(), REGISTRY: registry, SIGNERS_FILE: self.signers}
        if rules == "shared":
            files[SIGNERS_FILE] = self.signers + f"{THIRD} {self.public(SECOND)}\n".encode()
        files |= {f"ml/registry/archive/{MODEL}.jsonl": archive} if archive else {}
        if lived == "long":
            files |= {path: bytes(raw) for path, raw in artifact_files(FRESH).items()}  # type: ignore[arg-type]
        if moved:
            files = {path.replace("ml/registry", "trading"): content for path, content in files.items()}
            files |= {"console.toml": f'[registry]\npath = "{MOVED}"\n'.encode(), POLICY_FILE: None, REGISTRY: None}
        begun = Stamp(OPERATOR, self.epoch - 70 * 3600)
        first = store.commit(store.changed(main, earlier), [], begun, "The beginning\n")
        now_on = store.commit(store.changed(first, files), [first], Stamp(OPERATOR, self.epoch - 60 * 3600), "Now\n")
        code = store.changed(now_on, {"engine.py": b"limit = 1\n"})
        tip = store.commit(code, [now_on], Stamp(DEVELOPER, self.epoch - 50 * 3600), "Code\n")
        template = self.home / f"template-{rules}-{lived}-{moved}.git"
        self.git(self.home, "init", "-q", "--bare", "-b", "main", str(template))
        self.git(self.house.clones.operator.path, "push", "-q", str(template), f"{tip}:refs/heads/main")
        install_gate(template, run=run, python=self.python, base="main", path=ROOT)
        # Many servers do not let git look at objects first, and no CI does; the gate must refuse them itself.
        self.git(template, "config", "receive.fsckObjects", "false")
        for name in ("hooks/*.sample", "description", "info/exclude"):
            for path in template.glob(name):
                path.unlink()
        return Start(template, tip, (first, now_on), rules, moved)

    def server(self, start: Start, name: str, *, denies: bool, guarded: bool = True) -> Path:
        """A copy of a start's repository; unguarded, anything may be pushed to it."""
        remote = self.home / f"{name}.git"
        shutil.rmtree(remote, ignore_errors=True)
        shutil.copytree(start.template, remote, symlinks=True)
        if not guarded:
            (remote / "hooks/pre-receive").unlink()
        if denies:
            self.git(remote, "config", "receive.denyNonFastForwards", "true")
        return remote

    def git(self, folder: Path, *args: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run git in a folder, cut off from this machine's settings."""
        return subprocess.run(
            ["git", *args],
            cwd=folder,
            env=clean_environment(self.house.clones.operator.home),
            capture_output=True,
            timeout=120,
            check=check,
        )

    def push(self, remote: Path, *args: str) -> tuple[bool, str]:
        """A real ``git push``; whether it was taken, and what was said."""
        ended = self.git(self.house.clones.operator.path, "push", str(remote), *args, check=False)
        return ended.returncode == 0, ended.stderr.decode("utf-8", "replace")

    # --- commits -----------------------------------------------------------------------------------------
    def stamp(self, who: str, at: int, key: str | None = None, authored: int | None = None) -> Stamp:
        """Who and when; ``key`` names whose key signs, None: nobody's."""
        return Stamp(who, at, authored, self.keys[key] if key else None)

    def commit(self, base: str, files: Mapping[str, Any], stamp: Stamp, message: str) -> str:
        """A commit on another."""
        return self.store.commit(self.store.changed(base, files), [base], stamp, message)

    def carried_out(self, plan: Plan, stamp: Stamp) -> str:
        """A plan as a commit."""
        return self.commit(plan.target.base_commit, dict(plan.files), stamp, plan.message)

    # --- plans -------------------------------------------------------------------------------------------
    def proposal(
        self, base: str, action: Action, artifact: str, stage: str, who: str, at: int, **more: Any
    ) -> Proposal:
        """What the planner is given; evidence and gates are true ones."""
        when = datetime.fromtimestamp(at, UTC)
        source = self.store.read(base, POLICY_FILE) or b""
        self.house.judgements[source + artifact.encode()] = self._judged[artifact]  # all policies here ask for the same
        made = self.house.propose(base, action, artifact, _STAGES[stage], by=who, at=when, **more)
        if all(gate.verdict.opens for gate in made.gates if gate.name == ROLE_GATE):
            return made
        # Nothing keeps an attacker from claiming a role in a checklist of their own.
        made = self.house.propose(base, action, artifact, _STAGES[stage], by=OPERATOR, at=when, **more)
        return self._about(made, actor=who)

    def staging(
        self, base: str, artifact: str, who: str, at: int, *, folder: str = "", source: str = "", model: str = MODEL
    ) -> Plan:
        """Stage an artifact; another ``folder`` or another artifact's bytes (``source``) make it something else."""
        proposal = self.proposal(base, Action.STAGE, artifact, "staging", who, at)
        folder, source = folder or f"artifacts/onnx/{artifact}", source or artifact
        origin = f"artifacts/onnx/{source}/"
        files = [(path.replace(origin, f"{folder}/"), bytes(raw)) for path, raw in artifact_files(source).items()]  # type: ignore[arg-type]
        digest = pointer_to(source).model_sha256 or ""
        full = {"artifact_dir": folder, "model_sha256": digest}
        pointer = pointer_to(artifact).model_copy(
            update=full | {"feature_order_hash": "b" * 64} if source != artifact else full
        )
        proposal = self._about(proposal, artifact_dir=folder, model_sha256=digest, model=model)
        try:
            return plan_stage(proposal, pointer, files)
        except Exception:
            if (folder, source, model) == (f"artifacts/onnx/{artifact}", artifact, MODEL):
                raise
            words = {"action": Action.STAGE, "from_stage": None, "to_stage": Stage.STAGING}
            return self._unplanned(proposal, {Stage.STAGING: pointer}, words, files)

    def promotion(self, base: str, artifact: str, stage: str, who: str, at: int, *, forged: str = "") -> Plan:
        """One step up; ``forged`` names what is wrong with its evidence, waivers or ACK (`FORGERIES`).

        Raises ValueError where other bytes stand there than those that the evidence here is about.
        """
        waive = ("condemned",) if forged in ("", "waived") and self.is_condemned(base, artifact) else ()
        more: dict[str, Any] = {"waive": (*waive, "verify") if forged == "waives verify" else waive}
        more |= {"about": LIVE} if forged == "other artifact" else {}
        judged_at = at - 2 * 3600 if forged == "stale" else at
        below = parse(self.house.raw(base)).registry.models[MODEL].pointer(_STAGES[BELOW[stage]])
        if below and below.model_sha256 != pointer_to(artifact).model_sha256:
            raise ValueError("other bytes stand there")
        proposal = self.proposal(base, Action.PROMOTE, artifact, stage, who, judged_at, **more)
        proposal = replace(proposal, at=datetime.fromtimestamp(at, UTC), evidence=_forged(proposal.evidence, forged))
        if stage == "active":
            proposal = self._acknowledged(proposal, who, at, forged)
        proposal = replace(proposal, gates=tuple(gate for gate in proposal.gates if gate.name != ACK_GATE))
        if not forged:
            return plan_promotion(proposal, phrase=PHRASE if stage == "active" else "")
        proposal = replace(proposal, gates=tuple(each for each in proposal.gates if each.verdict.opens))
        change = changes.promote(proposal.document, MODEL, _STAGES[stage], **planning._by(proposal))
        return planning._plan(proposal, change)

    def rolling(self, base: str, artifact: str, who: str, at: int, *, origin: str = "activation") -> Plan:
        """Roll back; ``origin`` says which pointer is written: the activation's, or another that the registry holds."""
        proposal = self.proposal(base, Action.ROLLBACK, artifact, "active", who, at)
        if origin == "activation":
            return plan_rollback(proposal)
        return self.roll_by_hand(proposal, artifact, origin)

    def roll_by_hand(self, proposal: Proposal, artifact: str, origin: str) -> Plan:
        """A rollback that no planner was asked about."""
        model = proposal.document.registry.models[MODEL]
        pointers = [each.pointer for each in model.history if each.pointer and each.pointer.artifact_id == artifact]
        pointers += [each for stage in Stage if (each := model.pointer(stage)) and each.artifact_id == artifact]
        invented = pointer_to(artifact).model_copy(update={"dataset_id": "invented", "git_sha": "f" * 40})
        pointer = pointers[-1] if pointers and origin != "invented" else invented
        signature = {"promoted_at_utc": proposal.at, "actor": proposal.target.actor, "source": "mlconsole"}
        left = model.active.artifact_id if model.active else ""
        words = {
            "action": Action.ROLLBACK,
            "from_stage": Stage.ACTIVE,
            "to_stage": Stage.ACTIVE,
            "left_artifact_id": left,
        }
        return self._unplanned(proposal, {Stage.ACTIVE: pointer.model_copy(update=signature)}, words)

    def withdrawal(self, base: str, stage: str, who: str, at: int) -> Plan:
        """Clear a stage."""
        proposal = self.proposal(base, Action.WITHDRAW, self.standing(base, stage), stage, who, at)
        pointer = proposal.document.registry.models[MODEL].pointer(_STAGES[stage])
        assert pointer
        return plan_withdraw(
            self._about(proposal, artifact_dir=pointer.artifact_dir, model_sha256=pointer.model_sha256)
        )

    def standing(self, base: str, stage: str) -> str:
        """The id of what stands in a stage, by the file itself; empty for nothing."""
        raw = self.store.read(base, REGISTRY) or self.store.read(base, MOVED) or b"{}"
        try:
            pointer = json.loads(raw)["models"][MODEL].get(stage)
            return str(pointer["artifact_id"]) if pointer else ""
        except (ValueError, KeyError, TypeError):
            return ""

    def soaked(self, base: str) -> bool:
        """Whether what stands in shadow entered it a day ago, so that the day's evidence can be about it.

        Once an operator's console.toml names another Prometheus, ours measured nothing that counts.
        """
        if b"[prometheus]" in (self.store.read(base, "console.toml") or b""):
            return False
        model = parse(self.house.raw(base)).registry.models[MODEL]
        ids = {model.shadow.artifact_id} if model.shadow else set()
        entered = [
            each.at for each in model.history if each.to_stage == "shadow" and each.artifact_id in ids and each.at
        ]
        return bool(entered) and max(entered) < self.house.now - timedelta(hours=24)

    def is_condemned(self, base: str, artifact: str) -> bool:
        """Whether a rollback left an artifact, so that only an operator's waiver brings it back."""
        from ml.registry.history import condemned  # noqa: PLC0415

        return artifact in condemned(parse(self.house.raw(base)).registry.models[MODEL])

    def _about(self, proposal: Proposal, **what: Any) -> Proposal:
        """The same checklist about another folder or digest, its evidence sealed anew."""
        target = replace(proposal.target, **what)
        values = opened(proposal.evidence.document)
        values.pop("seal")
        values["target"] |= {key: value for key, value in what.items() if key in values["target"]}
        return replace(proposal, target=target, evidence=_capsule(values, proposal.evidence))

    def _unplanned(
        self, proposal: Proposal, stages: dict[Stage, Pointer], words: dict[str, Any], files: Any = ()
    ) -> Plan:
        """What our planner would write if it refused nothing."""
        from ml.registry.events import spelled  # noqa: PLC0415

        ((stage, pointer),) = stages.items()
        written = spelled(pointer)
        recorder = Recorder(proposal.document, proposal.target.model, **planning._by(proposal))
        change = recorder.change(
            {stage: written}, {**words, "pointer": written}, proposal.target.artifact_id, emergency=True
        )
        return planning._plan(proposal, change, files)

    def _acknowledged(self, proposal: Proposal, who: str, at: int, forged: str) -> Proposal:
        if forged == "no ACK":
            return proposal
        when = datetime.fromtimestamp(at - (3600 if forged == "old ACK" else 0), UTC)
        by = SECOND if forged == "another's ACK" and who != SECOND else who
        ack = acknowledge(
            PHRASE,
            phrase=PHRASE,
            expires_minutes=15,
            target=proposal.target,
            evidence_sha256=proposal.evidence.sha256,
            by=by,
            now=when,
        )
        return replace(proposal, ack=replace(ack, phrase="yes") if forged == "another phrase" else ack)


FORGERIES = (
    "stale",
    "other artifact",
    "altered",
    "sealed anew",
    "other policy",
    "no evidence",
    "no ACK",
    "old ACK",
    "another's ACK",
    "another phrase",
    "waives verify",
    "unwaived",
)


def _forged(evidence: Evidence, how: str) -> Evidence:
    if how == "no evidence":
        return Evidence(b"", "")
    if how == "altered":
        return _digested(evidence.document.replace(b'"PASS"', b'"FAIL"', 1), evidence)
    values = opened(evidence.document)
    values.pop("seal")
    if how == "sealed anew":
        for gate in values["gates"]:
            if gate["name"] in ("p99", "error_rate"):
                gate["value"] = 0.001
    elif how == "other policy":
        values["policy"]["source"] += "# another\n"
    else:
        return evidence
    return _capsule(values, evidence)


def _capsule(values: dict[str, Any], evidence: Evidence) -> Evidence:
    return _digested(sealed(values), evidence)


def _digested(document: bytes, evidence: Evidence) -> Evidence:
    import hashlib  # noqa: PLC0415

    return replace(evidence, document=document, sha256=hashlib.sha256(document).hexdigest())


def _lived(how: str, now: datetime) -> tuple[bytes, bytes]:
    doc = life(now)
    if how == "long":
        return _raw(much_later(doc, now - timedelta(hours=3)))
    if how == "condemned":
        doc = life(now - timedelta(hours=50))
        when = iter(now - timedelta(hours=hours) for hours in (46, 44, 42, 30))
        by: Callable[[], dict[str, Any]] = lambda: {"by": OPERATOR, "reason": "as it went", "at": next(when)}  # noqa: E731
        doc = changes.promote(doc, MODEL, Stage.ACTIVE, **by()).document
        doc = changes.rollback(doc, MODEL, LIVE, **by()).document
        doc = changes.stage(doc, MODEL, pointer_to(SOAKED), **by()).document
        doc = changes.promote(doc, MODEL, Stage.SHADOW, **by()).document
    return doc.raw, b""


def _raw(made: tuple[Any, bytes]) -> tuple[bytes, bytes]:
    return made[0].raw, made[1]


def _young(now: datetime) -> bytes:
    """The registry as it was when only OLD had been active: its first three events."""
    values = json.loads(life(now).raw)
    model = values["models"][MODEL]
    model["history"] = model["history"][:3]
    model |= {"staging": None, "shadow": None, "active": model["history"][-1]["pointer"]}
    return (json.dumps(values, indent=2) + "\n").encode()


def _key(home: Path, name: str) -> Path:
    path = home / f"key-{name}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True, timeout=60)
    return path


@contextmanager
def crowd(home: Path) -> Iterator[Crowd]:
    """A crowd in a gatehouse of its own, and the hook's Python kept warm."""
    folder = home / "crowd"
    folder.mkdir(parents=True)
    (home / "house").mkdir()
    with gatehouse(home / "house") as house, WarmPython(folder) as warm:
        yield Crowd(house, folder, warm.program)


__all__ = ["EXTRA", "FRESH", "LIVE", "MODEL", "OLD", "SOAKED", "Crowd", "Start", "crowd"]
