"""The attacking machine: strangers, developers and operators push what they like, and the oracle watches main.

A state machine over one bare repository with the real hook. Each rule makes a commit (or keeps one back for the next
rule) and offers it through a real ``git push``. After each push that was taken the oracle must find nothing illegal,
and a push that the rules allow must be taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from support.clones import OPERATOR
from support.gatehouse import FRESH, LIVE, OLD, SECOND, SOAKED, STRANGER

from attack.crowd import (
    DEVELOPER,
    EXTRA,
    FORGERIES,
    LIVES,
    MODEL,
    PEOPLE,
    POLICY_FILE,
    REGISTRY,
    RULES,
    SIGNERS_FILE,
    SPACING,
    Start,
)
from attack.driver import rule
from attack.hands import Hands
from attack.ledger import Ledger
from attack.objects import SLASH, Stamp
from attack.oracle import Oracle
from attack.pushing import HOUR
from attack.tampering import ON_WAY, TAMPERINGS

ALL = (OLD, LIVE, SOAKED, FRESH, EXTRA)
FOLDERS = ("", "artifacts/other/")
TIMES = {
    "now": 0,
    "40 min ago": -2400,
    "2 h ago": -2 * HOUR,
    "26 h ago": -26 * HOUR,
    "40 d ago": -960 * HOUR,
    "in 3 d": 72 * HOUR,
}
KEYS = ("own", "none", "expired", "another's")
STEPS = ("stage", "to shadow", "to active", "roll back", "withdraw staging", "withdraw shadow")
TWINS = (
    *(REGISTRY, REGISTRY.replace("/", SLASH), f"ml/registry{SLASH}models.json", f"artifacts/onnx/{LIVE}/model.onnx"),
    *("ml/registry/policy.toml", "artifacts/onnx/.git", "ml/registry/..", "ml"),
)
"""Entries that a tree holds besides its own; `SLASH` is a slash inside one name."""
LANDINGS = ("as it is", "by a merge commit", "by a merge commit on a moved main", "rebased by a forge")
BENDS = (
    *(
        "event by another",
        "event a day back",
        "event of another action",
        "pointer of the event",
        "pointer of the stage",
    ),
    *("another stage too", "evidence elsewhere", "without evidence", "trailer", "a waiver", "an archive"),
    "report of the artifact",
)
JUNK = (
    *("a blob", "a commit of another change", "an approval of their own", "an approval under an operator's name"),
    *("an approval with files", "an operator's approval of main"),
)
SLOTS = (
    *("of the first edition", "of the approval itself", "the folder of all approvals", "a folder below the approval"),
    *("aside", "any"),
)
MERGES = ("main's", "the first's", "the last's")


class Attack(Hands):
    """One life of one repository under attack."""

    @rule(
        rules=sorted(RULES),
        lived=LIVES,
        moved=[False] * 5 + [True],
        denies=(False, True),
    )
    def begin(self, rules: str, lived: str, moved: bool, denies: bool) -> None:
        """A repository of one kind."""
        Hands.made += 1
        self.start: Start = self.world.start(rules, lived, moved=moved)
        self.remote = self.world.server(self.start, f"server-{Hands.made % 4}", denies=denies, guarded=self.guarded)
        self.oracle = Oracle(Ledger(self.remote), self.world.measured)
        self.main = self.start.main
        self.pool = [*self.start.older, self._orphan()]
        self.kept = ""
        self.ticks = 0
        self.story.append(f"a repository with {rules} rules, {lived} life{', registry.path moved' if moved else ''}")

    # --- rules ---------------------------------------------------------------------------------------------
    @rule(1, who=PEOPLE, keep=(False, True))
    def code(self, who: str, keep: bool) -> None:
        """An ordinary commit."""
        at = self._now()
        stamp = self._stamp(who, at, "none")
        commit = self.world.commit(self._base(), {f"src/{at}.py": b"x = 1\n"}, stamp, "Code\n")
        self._offer(commit, f"{who} commits code", keep=keep, honest="code")

    @rule(10, step=STEPS, artifact=ALL, lands=LANDINGS)
    def honest(self, step: str, artifact: str, lands: str) -> None:
        """A legal step by somebody who may make it, landed as people and forges do."""
        if self.start.moved:
            return
        if step == "to active" and not self.world.soaked(self.main):
            return
        waived = step == "to shadow" and self.world.is_condemned(self.main, self.world.standing(self.main, "staging"))
        who = OPERATOR if waived or step == "to active" else DEVELOPER
        self.kept = ""
        commit = self._step(step, artifact, who, self._now(), "own")
        if not commit:
            return
        refs = self._approved(commit, SECOND) if self.start.rules == "four" and step == "to active" else []
        usable = self.start.rules != "alone" or not step.startswith(("to", "stage"))
        usable = usable and not (self.start.rules == "shared" and step == "to active")
        if lands == "rebased by a forge" and self.start.rules != "plain":
            usable = usable and step == "roll back"  # a rebased commit loses its signature
        # Where operators let attributes in that alter bytes, nothing new goes into the folders below.
        usable = usable and not (step.startswith(("to", "stage")) and self._altered(artifact))
        head = self._landing(commit, lands)
        self._offer(head, f"{who}: {step} {artifact}, {lands}", refs=refs, honest=step if usable else "")

    def _altered(self, artifact: str) -> bool:
        above = ("", "artifacts/", "artifacts/onnx/", f"artifacts/onnx/{artifact}/")
        return any(f"{folder}.gitattributes" in self.world.store.trees[self.main] for folder in above)

    def _landing(self, commit: str, how: str) -> str:
        store = self.world.store
        if how == "as it is":
            return commit
        if how == "by a merge commit":
            return self._merged([self.main, commit], store.trees[commit])
        brought = {path: at for path, at in store.trees[commit].items() if store.trees[self.main].get(path) != at}
        at = self._now()
        code = self.world.commit(self.main, {f"src/{at}.py": b"x = 1\n"}, self._stamp(DEVELOPER, at, "none"), "Code\n")
        if self._push([f"{code}:refs/heads/main"], f"{DEVELOPER} commits code meanwhile")[0]:
            self.main = code
        tree = store.trees[self.main] | brought
        if how == "by a merge commit on a moved main":
            return self._merged([self.main, commit], tree)
        who, message = store.said[commit]
        return store.commit(tree, [self.main], Stamp(who, self._now(), store.times[commit]), message)

    @rule(0.4, junk=JUNK, slot=SLOTS, who=(STRANGER, DEVELOPER))
    def junk_approval(self, junk: str, slot: str, who: str, older: bool = False) -> None:
        """Somebody without a role puts junk where approvals go, and an operator's change lands all the same.

        ``older``: it was put there before the hook was.
        """
        if self.start.rules != "four" or self.start.moved or not self.world.soaked(self.main):
            return
        self.kept = ""
        commit = self._step("to active", "", OPERATOR, self._now(), "own")
        if not commit:
            return
        refs = self._approved(commit, SECOND)
        note = refs[0].partition(":")[0]
        names = {
            "of the first edition": f"{commit}/{hashlib.sha256(SECOND.encode()).hexdigest()[:16]}",
            "of the approval itself": f"{commit}/{note}",
            "the folder of all approvals": commit,
            "a folder below the approval": f"{commit}/{note}/x",
            "aside": f"{commit}-{note}",
            "any": f"{commit}/0000000000000000",
        }
        spec = f"{self._junk(junk, commit, who)}:refs/approvals/{names[slot]}"
        before = self.oracle.ledger.refs("refs")
        if older:
            self.world.git(self.remote, "config", "core.hooksPath", "nowhere")
        taken, _ = self._push([spec], f"{who} puts {junk} into the slot {slot} of {commit[:8]}")
        if older:
            self.world.git(self.remote, "config", "--unset", "core.hooksPath")
            if slot == "the folder of all approvals":  # a console then gives its approval the name aside
                refs = [f"{note}:refs/approvals/{names['aside']}"]
        elif taken:
            self._confess(self.oracle.sins_of_approvals(self.main, before, self.oracle.ledger.refs("refs")))
        self._offer(commit, f"{OPERATOR}: to active", refs=refs, honest="among junk")

    def _junk(self, junk: str, commit: str, who: str) -> str:
        """What is no approval of a commit by an operator."""
        store, at = self.world.store, self._now()
        stamp, claims, tree = self._stamp(who, at, "own"), self.world.stamp(SECOND, at), store.trees[commit]
        words = f"Approve\n\nApproves: {commit}\nApproved-By: {SECOND}\n"
        more = {**tree, "src/junk.py": ("100644", store.blob(b"junk = 1\n"))}
        ways: dict[str, Callable[[], str]] = {
            "a blob": lambda: store.blob(b"junk\n"),
            "a commit of another change": lambda: store.commit(tree, [self.main], stamp, words),
            "an approval of their own": lambda: store.commit(tree, [commit], stamp, words),
            "an approval under an operator's name": lambda: store.commit(tree, [commit], claims, words),
            "an approval with files": lambda: store.commit(more, [commit], stamp, words),
            "an operator's approval of main": lambda: self._approved(self.main, SECOND)[0].partition(":")[0],
        }
        return ways[junk]()

    @rule(1.5, bend=BENDS, step=("stage", "roll back", "withdraw shadow", "withdraw staging"), artifact=ALL)
    def bent(self, bend: str, step: str, artifact: str) -> None:
        """A legal step in whose event, pointer or files somebody altered one thing."""
        if self.start.moved:
            return
        who, at, base = DEVELOPER, self._now(), self._base()
        ways: dict[str, Callable[[], Any]] = {
            "stage": lambda: self.world.staging(base, artifact, who, at),
            "roll back": lambda: self.world.rolling(base, artifact, who, at),
            "withdraw shadow": lambda: self.world.withdrawal(base, "shadow", who, at),
            "withdraw staging": lambda: self.world.withdrawal(base, "staging", who, at),
        }
        commit = self._planned(lambda: _bent(ways[step](), bend), who, at, "own")
        self._offer(commit, f"{who}: {step} {artifact}, bent: {bend}")

    @rule(0.8, path=("policy", "signers"), who=(OPERATOR, SECOND))
    def rules_by_operator(self, path: str, who: str) -> None:
        """A legal change of the rules."""
        if self.start.moved or self.start.rules in ("alone", "shared"):
            return
        name = SIGNERS_FILE if path == "signers" else POLICY_FILE
        at = self._now()
        raw = self.world.store.read(self.main, name) or b""
        noted = raw.rpartition(b"# note ")[0] or raw
        files = {name: noted + f"# note {raw.count(b'# note')}{len(raw) % 2}\n".encode()}
        commit = self.world.commit(self.main, files, self._stamp(who, at, "own"), "Rules\n")
        refs = self._approved(commit, OPERATOR if who == SECOND else SECOND) if self.start.rules == "four" else []
        self._offer(commit, f"{who} changes {name}", refs=refs, honest=f"rules: {path}")

    @rule(0.8, path=TWINS, who=PEOPLE)
    def twin(self, path: str, who: str) -> None:
        """A tree that holds one name twice, or a slash in a name: tools disagree on what it means."""
        store, base = self.world.store, self._base()
        raw = (store.read(base, REGISTRY) or b"{}").replace(SOAKED.encode(), FRESH.encode())
        stamp = self._stamp(who, self._now(), "none")
        twins = {path: ("100644", store.blob(raw))}
        commit = store.commit(store.trees[base], [base], stamp, "Twin\n", twins)
        self._offer(commit, f"{who} writes {path} a second time into one tree")

    @rule(
        2,
        step=STEPS,
        artifact=ALL,
        who=PEOPLE,
        when=sorted(TIMES),
        key=KEYS,
        keep=(False, True),
    )
    def wrong_hands(self, step: str, artifact: str, who: str, when: str, key: str, keep: bool) -> None:
        """A step that our planner made, by anybody, dated anyhow, signed with any key."""
        commit = self._step(step, artifact, who, self._now() + TIMES[when], key)
        self._offer(commit, f"{who}: {step} {artifact}, dated {when}, key {key}", keep=keep)

    @rule(1.2, forged=FORGERIES, stage=("active", "active", "shadow"))
    def forged(self, forged: str, stage: str) -> None:
        """A promotion by an operator with one thing forged."""
        artifact = self.world.standing(self.main, "shadow" if stage == "active" else "staging")
        who, at = OPERATOR, self._now()
        commit = self._planned(
            lambda: self.world.promotion(self.main, artifact, stage, who, at, forged=forged), who, at, "own"
        )
        refs = self._approved(commit, SECOND) if commit and self.start.rules == "four" else []
        self._offer(commit, f"{who} promotes {artifact} to {stage}, forged: {forged}", refs=refs)

    @rule(
        1.5,
        artifact=ALL,
        folder=FOLDERS,
        source=(OLD, LIVE, FRESH),
        keep=(False, True),
        model=(MODEL, MODEL, SPACING),
    )
    def own_bytes(self, artifact: str, folder: str, source: str, keep: bool, model: str = MODEL) -> None:
        """A developer stages an id with other bytes, from another folder, or in another model."""
        who, at = DEVELOPER, self._now()
        where = f"{folder}{artifact}" if folder else ""
        base = self._base()
        commit = self._planned(
            lambda: self.world.staging(base, artifact, who, at, folder=where, source=source, model=model),
            who,
            at,
            "own",
        )
        self._offer(
            commit,
            f"{who} stages {artifact} of {model} with the bytes of {source} in {where or 'its folder'}",
            keep=keep,
        )

    @rule(2, artifact=ALL, origin=("newest", "invented"), who=PEOPLE)
    def false_rollback(self, artifact: str, origin: str, who: str) -> None:
        """A rollback written by hand: to whatever, with whatever pointer."""
        at, base = self._now(), self._base()
        commit = self._planned(lambda: self.world.rolling(base, artifact, who, at, origin=origin), who, at, "own")
        self._offer(commit, f"{who} rolls back to {artifact} by hand, pointer {origin}")

    @rule(3, what=sorted(TAMPERINGS), who=PEOPLE, key=KEYS[:3], keep=(False, True))
    def tamper(self, what: str, who: str, key: str, keep: bool) -> None:
        """Somebody edits files by hand in an ordinary commit."""
        commit = self._tampered(self._base(), what, who, key)
        self._offer(commit, f"{who}: {what}, key {key}", keep=keep)

    @rule(
        2,
        step=STEPS,
        what=(ON_WAY),
        before=(False, True),
        who=PEOPLE[:3],
    )
    def ride_along(self, step: str, what: str, before: bool, who: str) -> None:
        """A legal step, and an ordinary commit in the same push that touches what it should not."""
        if self.start.moved:
            return
        self.kept = ""
        if before:
            self.kept = self._tampered(self.main, what, who, "none")
        commit = self._step(step, EXTRA, OPERATOR, self._now(), "own")
        if commit and not before:
            commit = self._tampered(commit, what, who, "none")
        order = "after" if not before else "before"
        self._offer(commit, f"{OPERATOR}: {step}, and {order} it {who}: {what}")

    @rule(2.5, first=range(8), second=range(8), third=(-1, *range(6)), tree=MERGES, who=PEOPLE)
    def merge(self, first: int, second: int, third: int, tree: str, who: str) -> None:
        """A merge of any commits in any order, with the tree of one of them; one parent alone is a revert."""
        picks = [pick for pick in (first, second, third) if pick >= 0]
        known = [self.main, self.kept or self.main, *reversed(self.pool)]
        parents = list(dict.fromkeys(known[pick % len(known)] for pick in picks))
        if self.main not in parents and len(parents) < 3 and picks[0] % 2:
            parents.append(self.main)
        of = {"main's": self.main, "the first's": parents[0], "the last's": parents[-1]}[tree]
        head = self._merged(parents, self.world.store.trees[of], who)
        self._offer(head, f"{who} merges {', '.join(map(self._called, parents))} with {tree} tree")

    @rule(1, what=sorted(TAMPERINGS), who=PEOPLE, main_first=(True, False))
    def tampered_merge(self, what: str, who: str, main_first: bool) -> None:
        """A merge of a harmless branch that edits files itself, as no commit of the branch does."""
        store, self.kept = self.world.store, ""
        files = {f"src/{self._now()}.py": b"x = 1\n"}
        side = self.world.commit(self.main, files, self._stamp(who, self._now(), "none"), "Code\n")
        edited = self._tampered(side, what, who, "none")
        if edited:
            head = self._merged([self.main, side] if main_first else [side, self.main], store.trees[edited], who)
            self._offer(head, f"{who} merges {'code' if main_first else 'main into code'}; the merge {what}")

    @rule(0.7, pick=range(8), who=PEOPLE)
    def revert(self, pick: int, who: str) -> None:
        """An ordinary commit on main that brings an older tree back."""
        of = self.pool[pick % len(self.pool)]
        commit = self.world.store.commit(
            self.world.store.trees[of], [self.main], self._stamp(who, self._now(), "none"), "Revert\n"
        )
        self._offer(commit, f"{who} reverts to the tree of {self._called(of)}")

    @rule(0.4, pick=range(8), delete=(False, True))
    def force(self, pick: int, delete: bool) -> None:
        """Main is pushed to an older commit by force, or deleted."""
        of = "" if delete else self.pool[pick % len(self.pool)]
        self._offer(of, "main is deleted" if delete else f"main is forced to {self._called(of)}", forced=True)

    @rule(
        0.8,
        name=(
            (
                "tags/main",
                "tags/origin/main",
                "heads/origin/main",
                "heads/refs/heads/main",
                "tags/heads/main",
                "tags/refs/heads/main",
                "heads/try",
                "replace/{}",
                "remotes/origin/main",
                "approvals/{}/x",
                "heads/promote/x/y-to-active-1",
                "notes/commits",
            )
        ),
        pick=range(8),
        delete=(False, True),
    )
    def other_ref(self, name: str, pick: int, delete: bool) -> None:
        """Another ref is pushed or deleted, where it may be taken for main or for what is judged."""
        of = self.kept or self.pool[pick % len(self.pool)]
        ref = f"refs/{name.format(self.main)}"
        before = self.oracle.ledger.refs("refs")
        tale = f"{ref} is {'deleted' if delete else f'set to {self._called(of)}'}"
        self.taken, _ = self._push([f"+{'' if delete else of}:{ref}"], tale)
        if self.taken:
            self._check(self.main, f"{ref} moved")
            after = self.oracle.ledger.refs("refs")
            self._confess(self.oracle.sins_of_refs(before, after))
            self._confess(self.oracle.sins_of_approvals(self.main, before, after))

    @rule(0.5, what=(*ON_WAY, "code"), who=PEOPLE)
    def with_tag(self, what: str, who: str) -> None:
        """Main and a tag of main's name are pushed together."""
        commit = self._tampered(self._base(), what, who, "none")
        refs = [f"+{commit}:refs/tags/main", f"+{commit}:refs/tags/origin/main", f"+{commit}:refs/heads/origin/main"]
        self._offer(commit, f"{who}: {what}, pushed with tags of main's name", refs=refs if commit else [])


def _bent(plan: Any, how: str) -> Any:
    """A plan of which one thing is altered, and nothing else."""
    files = dict(plan.files)
    values = json.loads(files[REGISTRY])
    model = values["models"][plan.target.model]
    event = max(model["history"], key=lambda each: str(each["ts_utc"]))
    stage = str(plan.target.to_stage)
    edits: dict[str, Callable[[], object]] = {
        "event by another": lambda: event.update(by=OPERATOR, actor=OPERATOR),
        "event a day back": lambda: event.update(ts_utc="2026-01-01T00:00:00Z", timestamp_utc="2026-01-01T00:00:00Z"),
        "event of another action": lambda: event.update(action="promote"),
        "pointer of the event": lambda: event["pointer"].update(dataset_id="other"),
        "pointer of the stage": lambda: (model[stage] or {}).update(dataset_id="other"),
        "another stage too": lambda: model.update(active=model["shadow"] or model["staging"]),
        "a waiver": lambda: event.update(waivers=[{"gate": "verify", "why": "waived"}]),
    }
    edits.get(how, lambda: None)()
    files[REGISTRY] = (json.dumps(values, indent=2) + "\n").encode()
    if how == "evidence elsewhere":
        files = {
            path.replace(f"evidence/{plan.target.artifact_id}", "evidence/other"): raw for path, raw in files.items()
        }
        files[REGISTRY] = files[REGISTRY].replace(f"evidence/{plan.target.artifact_id}".encode(), b"evidence/other")
    if how == "without evidence":
        files = {path: raw for path, raw in files.items() if not path.endswith("evidence.json")}
    if how == "report of the artifact":
        alter = lambda raw: raw.replace(b'"model_sha256": "', b'"model_sha256": "0')  # noqa: E731
        files = {path: alter(raw) if path.endswith("/train_report.json") else raw for path, raw in files.items()}
    if how == "an archive":
        files[f"ml/registry/archive/{plan.target.model}.jsonl"] = b'{"action": "promote"}\n'
    message = plan.message.replace("Artifact: ", "Artifact: x") if how == "trailer" else plan.message
    return replace(plan, files=tuple(sorted(files.items())), message=message)
