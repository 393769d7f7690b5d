"""The gate's rules that need no git: who made a change, when, with what acknowledgement, and which files it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

import pytest

from ml.policy import parse_policy
from ml.promotion.gate import authority
from ml.promotion.gate.authority import acknowledged, approved, author, clock, freeze, signed, timely, waivers
from ml.promotion.gate.case import Case, Move
from ml.promotion.gate.evidence import (
    _checklist,
    _foreign_soak,
    _laxer,
    _old,
    _strangeness,
    artifact,
    blob_id,
    foreign_source,
    required_gates,
)
from ml.promotion.gate.guard import Guard
from ml.promotion.gate.remeasure import acceptable_format, claims, measured
from ml.promotion.gate.scope import evidence_folder, rules_role, rules_scope, scope
from ml.promotion.gate.transition import _objections
from ml.promotion.paths import Places
from ml.promotion.repository import ABSENT, REGULAR_FILE, CommitInfo, PathChange, Person, Reader, Signature
from ml.registry.schema import Event, Model, Pointer
from ml.stage import Action, Stage
from ml.verdict import Code, Gate, Verdict

AT = datetime(2026, 2, 17, 14, 0, tzinfo=UTC)
ANN, BOB, CAT = "ann@example.com", "bob@example.com", "cat@example.com"
PHRASE = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
ID, OLD = "regime_v2026_02_16_001", "regime_v2026_02_14_001"
SHA, PARENT, BLOB, MODEL_SHA, EVIDENCE = "a" * 40, "b" * 40, "c" * 40, "d" * 64, "e" * 64
PLACES = Places()
FOLDER = f"{PLACES.evidence(ID)}/20260217T140000Z-promote"
OPERATORS = f'[roles]\noperators = ["{ANN}", "{BOB}", "{CAT}"]\n'
SECOND = timedelta(seconds=1)


def pointer(artifact_id: str = ID) -> Pointer:
    return Pointer(artifact_id=artifact_id, artifact_dir=f"artifacts/onnx/{artifact_id}", model_sha256=MODEL_SHA)


def trailers(**changed: str) -> str:
    lines = {
        "Model": "regime", "Artifact": ID, "From-Stage": "shadow", "To-Stage": "active",
        "Ack": PHRASE, "Ack-By": ANN, "Evidence-SHA256": EVIDENCE,
    } | {name.replace("_", "-"): value for name, value in changed.items()}  # fmt: skip
    return "Promote it\n\n" + "\n".join(f"{name}: {value}" for name, value in lines.items() if value) + "\n"


def commit(at: datetime = AT, by: str = ANN, sha: str = SHA, message: str = "") -> CommitInfo:
    person = Person(by, by)
    return CommitInfo(sha, (PARENT,), "f" * 40, person, person, at, message or trailers())


def case(policy: str = OPERATORS, **changed: Any) -> Case:
    values: dict[str, Any] = {
        "places": PLACES,
        "base": PARENT,
        "commit": commit(),
        "parent": commit(AT - timedelta(hours=1), sha=PARENT),
        "paths": (),
        "policy": parse_policy(policy.encode()),
        "signers": None,
        "artifact_base": ".",
        "before": None,
        "after": None,
        "guard": Guard(PLACES),
        "named": Guard(PLACES),
    }
    return Case(**values | changed)


def ack(**changed: str) -> dict[str, str]:
    return {
        "phrase": PHRASE,
        "by": ANN,
        "at": "2026-02-17T13:55:00Z",
        "expires_at": "2026-02-17T14:05:00Z",
        "model_sha256": MODEL_SHA,
        "evidence_sha256": EVIDENCE,
        "registry_blob": BLOB,
    } | changed


def move(action: str = "promote", to_stage: str = "active", **changed: Any) -> Move:
    written: dict[str, Any] = {
        "action": action,
        "from_stage": "shadow",
        "to_stage": to_stage,
        "artifact_id": ID,
        "by": ANN,
        "ack": ack(),
        "evidence": {"path": FOLDER, "sha256": EVIDENCE},
    } | changed.pop("written", {})
    event = Event.model_validate({**written, "pointer": pointer().model_dump(), "ts_utc": "2026-02-17T14:00:00Z"})
    values: dict[str, Any] = {
        "name": "regime",
        "before": Model(shadow=pointer(), active=pointer(OLD)),
        "after": Model(active=pointer()),
        "event": event,
        "written": written,
        "archive": b"",
        "committed_at": AT,
    }
    return Move(**values | changed)


def opens(gate: Gate) -> bool:
    return gate.verdict.opens


# --- author and clock ------------------------------------------------------------------------------------------------
class TestAuthor:
    def test_the_event_the_commit_and_its_trailers_agree(self) -> None:
        assert opens(author(case(), move()))

    def test_another_author_is_refused(self) -> None:
        assert not opens(author(case(commit=commit(by=BOB)), move()))

    @pytest.mark.parametrize(
        "name", ["Model", "Artifact", "From_Stage", "To_Stage", "Ack", "Ack_By", "Evidence_SHA256"]
    )
    @pytest.mark.parametrize("value", ["", "another"])
    def test_each_trailer_must_be_there_and_say_the_same(self, name: str, value: str) -> None:
        gate = author(case(commit=commit(message=trailers(**{name: value}))), move())
        assert not opens(gate)
        assert f"trailer {name.replace('_', '-')} is {value or 'missing'}, the event says " in gate.why

    def test_what_the_event_does_not_say_needs_no_trailer(self) -> None:
        plain = commit(message=trailers(From_Stage="", Ack="", Ack_By="", Evidence_SHA256=""))
        bare = move(written={"from_stage": None, "ack": None, "evidence": "x"})
        assert opens(author(case(commit=plain), bare))


class TestClock:
    @pytest.mark.parametrize(
        ("early", "allowed"), [(timedelta(minutes=5), True), (timedelta(minutes=5, seconds=1), False)]
    )
    def test_five_minutes_before_its_parent_are_allowed(self, early: timedelta, *, allowed: bool) -> None:
        assert opens(clock(case(parent=commit(AT + early)), None)) == allowed

    @pytest.mark.parametrize(
        ("early", "allowed"), [(timedelta(minutes=5), True), (timedelta(minutes=5, seconds=1), False)]
    )
    def test_five_minutes_of_future_are_allowed(self, early: timedelta, *, allowed: bool) -> None:
        assert opens(clock(case(), AT - early)) == allowed
        assert opens(clock(case(), None))

    def test_the_allowance_is_five_minutes(self) -> None:
        assert timedelta(minutes=5) == authority.SKEW


class TestAge:
    POLICY = f"{OPERATORS}[ack]\nlands_within_hours = 24\n"

    @pytest.mark.parametrize(("age", "allowed"), [(timedelta(hours=24), True), (timedelta(hours=24, seconds=1), False)])
    def test_a_change_lands_within_the_policys_hours(self, age: timedelta, *, allowed: bool) -> None:
        for step in (move(), move("stage", "staging"), move("withdraw", "shadow"), None):
            gate = timely(case(self.POLICY), AT + age, step)
            assert opens(gate) == allowed
        assert allowed or (gate.code, dict(gate.facts)) == (Code.TOO_OLD, {"age_s": age.total_seconds()})

    def test_a_rollback_may_be_old(self) -> None:
        assert opens(timely(case(self.POLICY), AT + timedelta(days=9), move("rollback")))

    def test_the_first_rules_may_be_old_and_later_ones_may_not(self) -> None:
        assert opens(timely(case(""), AT + timedelta(days=9)))
        assert not opens(timely(case(self.POLICY), AT + timedelta(days=9)))
        assert not opens(timely(case(""), AT + timedelta(days=9), move()))

    def test_a_clock_that_is_no_witness_refuses_nothing(self) -> None:
        assert opens(timely(case(self.POLICY), None, move()))


class TestFreeze:
    POLICY = f'{OPERATORS}[[freeze]]\nfrom = 2026-02-17T14:00:00Z\nto = 2026-02-17T15:00:00Z\nreason = "x"\n'

    @pytest.mark.parametrize(
        ("at", "allowed"),
        [(AT - SECOND, True), (AT, False), (AT + timedelta(minutes=59), False), (AT + timedelta(hours=1), True)],
    )
    def test_a_promotion_is_not_dated_in_a_window(self, at: datetime, *, allowed: bool) -> None:
        assert opens(freeze(case(self.POLICY, commit=commit(at)), move(), None)) == allowed

    @pytest.mark.parametrize(
        ("now", "allowed"),
        [(AT - SECOND, True), (AT, False), (AT + timedelta(minutes=59), False), (AT + timedelta(hours=1), True)],
    )
    def test_a_promotion_that_is_dated_before_a_window_does_not_land_in_it(
        self, now: datetime, *, allowed: bool
    ) -> None:
        before = case(self.POLICY, commit=commit(AT - timedelta(minutes=10)))
        assert opens(freeze(before, move(), now)) == allowed

    def test_only_a_waiver_of_the_freeze_waives_it(self) -> None:
        assert (
            freeze(case(self.POLICY), move(written={"waivers": [{"gate": "freeze"}]}), None).verdict is Verdict.WAIVED
        )
        assert not opens(freeze(case(self.POLICY), move(written={"waivers": [{"gate": "alerts"}]}), None))

    @pytest.mark.parametrize("action", ["rollback", "withdraw", "stage"])
    def test_everything_else_is_exempt(self, action: str) -> None:
        assert opens(freeze(case(self.POLICY), move(action), AT))


# --- acknowledgement, waivers, signatures, approvals -----------------------------------------------------------------
class TestAcknowledgement:
    def judged(self, blob: str = BLOB, **changed: str) -> Gate:
        return acknowledged(case(), move(written={"ack": ack(**changed)}), blob)

    def test_one_for_exactly_this_change(self) -> None:
        assert opens(self.judged())

    @pytest.mark.parametrize("name", ["phrase", "by", "model_sha256", "evidence_sha256", "registry_blob"])
    def test_one_for_anything_else_is_refused(self, name: str) -> None:
        assert not opens(self.judged(**{name: "another"}))

    def test_another_registry_is_refused(self) -> None:
        assert not opens(self.judged(blob="0" * 40))

    @pytest.mark.parametrize(
        ("at", "expires_at", "allowed"),
        [
            ("2026-02-17T14:00:00Z", "2026-02-17T14:05:00Z", True),
            ("2026-02-17T14:00:01Z", "2026-02-17T14:05:00Z", False),
            ("2026-02-17T13:55:00Z", "2026-02-17T14:00:00Z", True),
            ("2026-02-17T13:55:00Z", "2026-02-17T13:59:59Z", False),
            ("2026-02-17T13:55:00Z", "2026-02-17T14:10:00Z", True),
            ("2026-02-17T13:55:00Z", "2026-02-17T14:10:01Z", False),
        ],
    )
    def test_its_time(self, at: str, expires_at: str, *, allowed: bool) -> None:
        policy = f"{OPERATORS}[ack]\nexpires_minutes = 15\n"
        gate = acknowledged(case(policy), move(written={"ack": ack(at=at, expires_at=expires_at)}), BLOB)
        assert opens(gate) == allowed

    @pytest.mark.parametrize(
        "written", [{"ack": None}, {"ack": {}}, {"ack": "x"}, {"ack": {"phrase": PHRASE}}, {"ack": ack(at="x")}]
    )
    def test_none_and_an_incomplete_one(self, written: dict[str, Any]) -> None:
        assert not opens(acknowledged(case(), move(written=written), BLOB))

    def test_one_that_was_used_before(self) -> None:
        earlier = Event.model_validate({"action": "promote", "evidence": {"sha256": EVIDENCE}})
        other = Event.model_validate({"action": "promote", "evidence": {"sha256": "0" * 64}})
        assert not opens(acknowledged(case(), move(before=Model(history=(other, earlier))), BLOB))
        assert opens(acknowledged(case(), move(before=Model(history=(other,))), BLOB))

    @pytest.mark.parametrize(
        ("action", "to_stage"), [("promote", "shadow"), ("rollback", "active"), ("withdraw", "shadow")]
    )
    def test_only_a_promotion_to_active_needs_one(self, action: str, to_stage: str) -> None:
        assert opens(acknowledged(case(), move(action, to_stage, written={"ack": None}), BLOB))


class TestWaivers:
    POLICY = f'{OPERATORS}[waivers]\ngates = ["alerts", "condemned"]\n'

    def judged(self, *gates: str, by: str = ANN, **changed: Any) -> Gate:
        written = {"waivers": [{"gate": gate} for gate in gates], "by": by}
        return waivers(case(self.POLICY), move(written=written, **changed))

    def test_an_operator_waives_what_may_be_waived(self) -> None:
        assert self.judged("alerts").why == "alerts"
        assert self.judged().why == "none"

    def test_nobody_else_does_and_nothing_else_is(self) -> None:
        assert not opens(self.judged("alerts", by="dev@example.com"))
        assert opens(self.judged(by="dev@example.com"))
        assert not opens(self.judged("p99"))
        assert not opens(self.judged("alerts", "verify"))

    def test_an_artifact_that_a_rollback_left_needs_its_own_waiver(self) -> None:
        def event(action: str, artifact_id: str, hour: int) -> Event:
            at = f"2026-02-16T{hour:02}:00:00Z"
            return Event.model_validate(
                {"action": action, "to_stage": "active", "artifact_id": artifact_id, "ts_utc": at}
            )

        left = Model(history=(event("promote", ID, 1), event("rollback", OLD, 2)))
        assert not opens(self.judged(before=left))
        assert not opens(self.judged("alerts", before=left))
        assert opens(self.judged("condemned", before=left))

    @pytest.mark.parametrize("said", [None, "alerts", {"gate": "alerts"}, ["alerts"]])
    def test_what_is_no_list_of_waivers_waives_nothing(self, said: object) -> None:
        assert waivers(case(self.POLICY), move(written={"waivers": said})).why == "none"


GOOD = Signature(good=True, why="signed", principal=ANN, key="K1")


class TestSignature:
    POLICY = parse_policy(f"{OPERATORS}[ack]\nsigned = true\n".encode())

    def test_the_authors_own_good_signature(self) -> None:
        assert signed(self.POLICY, GOOD, ANN).code is Code.SIGNED
        assert not opens(signed(self.POLICY, GOOD, BOB))
        assert not opens(signed(self.POLICY, replace(GOOD, good=False), ANN))

    def test_where_none_is_asked_for_nothing_is_proven(self) -> None:
        assert signed(case().policy, replace(GOOD, good=False), ANN).code is Code.SELF_DECLARED

    @pytest.mark.parametrize(
        ("action", "exempt"),
        [("stage", ""), ("promote", ""), ("rollback", "a rollback needs none"), ("withdraw", "a withdraw needs none")],
    )
    def test_which_actions_need_none(self, action: str, exempt: str) -> None:
        assert authority.exemption(Action(action)) == exempt
        assert opens(signed(self.POLICY, replace(GOOD, good=False), ANN, exempt=exempt)) == bool(exempt)


class Approvals:
    """A repository that holds approvals and nothing else: who, and what differs from a good one."""

    def __init__(self, *given: tuple[str, dict[str, Any]]) -> None:
        self.given = {f"{number:040x}": each for number, each in enumerate(given, 1)}
        self.refs = self.history = self.signatures = self

    def below(self, *patterns: str) -> Sequence[tuple[str, str]]:
        assert patterns == (f"refs/approvals/{SHA}/", f"refs/approvals/{SHA}-*")
        return [(patterns[0] + sha, sha) for sha in self.given]

    def resolve(self, ref: str) -> str | None:
        return None if self.given[ref][1].get("garbage") else ref

    def commit(self, sha: str) -> CommitInfo:
        who, changed = self.given[sha]
        message = f"Approve\n\nApproves: {changed.get('names', SHA)}\n"
        return replace(commit(by=who, sha=sha, message=message), parents=changed.get("parents", (SHA,)))

    def judge(self, sha: str, signers: bytes) -> Signature:
        del signers
        who, changed = self.given[sha]
        return Signature(good=changed.get("good", True), why="x", principal=who, key=changed.get("key", f"K-{who}"))


class TestApprovals:
    def judged(self, needed: int, *given: tuple[str, dict[str, Any]], **changed: Any) -> Gate:
        policy = f"{OPERATORS}[ack]\nsigned = true\napprovals = {needed}\n"
        where = cast("Reader", Approvals(*given))
        return approved(where, case(policy, signers=b"list"), GOOD, ANN, **changed)

    @pytest.mark.parametrize(
        ("needed", "by", "allowed"),
        [
            (1, (), True),
            (2, (), False),
            (2, (BOB,), True),
            (3, (BOB,), False),
            (3, (BOB, BOB), False),
            (3, (BOB, CAT), True),
        ],
    )
    def test_as_many_operators_as_the_policy_asks_for_the_author_included(
        self, needed: int, by: tuple[str, ...], *, allowed: bool
    ) -> None:
        assert opens(self.judged(needed, *((who, {}) for who in by))) == allowed

    @pytest.mark.parametrize(
        ("who", "changed"),
        [
            (ANN, {}),
            (BOB, {"key": "K1"}),
            (BOB, {"good": False}),
            (BOB, {"parents": (PARENT,)}),
            (BOB, {"parents": (SHA, PARENT)}),
            (BOB, {"names": PARENT}),
            (BOB, {"garbage": True}),
            ("dev@example.com", {}),
        ],
    )
    def test_one_that_does_not_count(self, who: str, changed: dict[str, Any]) -> None:
        assert not opens(self.judged(2, (who, changed)))
        assert opens(self.judged(2, (who, changed), (CAT, {})))

    def test_what_needs_none(self) -> None:
        assert self.judged(3, exempt="a rollback needs none").why == "a rollback needs none"


# --- files -----------------------------------------------------------------------------------------------------------
def changed(path: str, old: str = REGULAR_FILE, new: str = REGULAR_FILE) -> PathChange:
    return PathChange(path, old, new)


ADDED = {"old": ABSENT}
USUAL = (changed(PLACES.registry), changed(PLACES.archive("regime")), changed(f"{FOLDER}/evidence.json", **ADDED))


class TestScope:
    def judged(self, *more: PathChange, of: Move | None = None, **values: Any) -> Gate:
        return scope(case(paths=(*USUAL, *more), **values), of or move())

    def test_its_own_files(self) -> None:
        assert self.judged().why == "3 files, all of them this change's own"
        for name in ("pr_body.md", "review.svg"):
            assert opens(self.judged(changed(f"{FOLDER}/{name}", **ADDED)))

    @pytest.mark.parametrize(
        "path",
        [
            "engine.py",
            f"{FOLDER}/other.json",
            f"{FOLDER}/deep/evidence.json",
            PLACES.archive("other"),
            PLACES.policy,
            PLACES.signers,
        ],
    )
    def test_nothing_else_rides_along(self, path: str) -> None:
        assert not opens(self.judged(changed(path, **ADDED)))

    def test_evidence_is_new_and_files_are_regular(self) -> None:
        assert not opens(self.judged(changed(f"{FOLDER}/pr_body.md")))
        assert not opens(self.judged(changed(f"{FOLDER}/pr_body.md", ABSENT, "120000")))
        assert not opens(self.judged(changed(f"{FOLDER}/pr_body.md", ABSENT, "100755")))

    def test_a_named_artifact_never_changes_and_a_staged_one_comes_whole(self) -> None:
        folder = f"artifacts/onnx/{ID}"
        staged = move("stage", "staging", after=Model(staging=pointer()), written={"evidence": None})
        files = (changed(PLACES.registry), changed(f"{folder}/model.onnx", **ADDED))
        assert opens(scope(case(paths=files), staged))
        assert not opens(scope(case(paths=files), move()))
        assert not opens(scope(case(paths=files, named=Guard(PLACES, frozenset({folder}))), staged))
        assert not opens(scope(case(paths=(*files, changed(f"{folder}/x", REGULAR_FILE, ABSENT))), staged))
        assert not opens(scope(case(paths=(*files, changed(f"{folder}2/x", **ADDED))), staged))
        misnamed = move("stage", "staging", after=Model(staging=pointer(OLD)), written={"evidence": None})
        assert not opens(scope(case(paths=(changed(f"artifacts/onnx/{OLD}/x", **ADDED),)), misnamed))

    @pytest.mark.parametrize(
        ("path", "good"),
        [
            (FOLDER, True),
            (f"{FOLDER}/deep", False),
            (FOLDER.replace("-promote", "-stage"), False),
            (FOLDER.replace(ID, OLD), False),
            ("/", False),
        ],
    )
    def test_where_evidence_may_be(self, path: str, *, good: bool) -> None:
        assert (evidence_folder(case(), move(written={"evidence": {"path": path}})) == path) == good
        assert bool(evidence_folder(case(), move(written={"evidence": {"path": path}}))) == good

    def test_a_change_without_evidence_has_its_only_text_there(self) -> None:
        body = changed(f"{FOLDER}/pr_body.md", **ADDED)
        bare = move(written={"evidence": None})
        assert evidence_folder(case(paths=(body,)), bare) == FOLDER
        assert evidence_folder(case(paths=(body, changed("other/pr_body.md", **ADDED))), bare) == ""
        assert evidence_folder(case(), bare) == ""


class TestRules:
    def judged(self, *paths: PathChange, **values: Any) -> Gate:
        return rules_scope(case(paths=paths, **{"before": object(), **values}))

    def test_rules_change_alone(self) -> None:
        assert opens(self.judged(changed(PLACES.policy), changed(PLACES.signers)))
        assert not opens(self.judged(changed(PLACES.policy), changed("engine.py")))
        assert not opens(self.judged(changed(PLACES.policy), changed(PLACES.registry)))
        assert opens(self.judged(changed(PLACES.policy), changed(PLACES.registry, **ADDED), before=None))

    @pytest.mark.parametrize("mode", [ABSENT, "120000"])
    def test_what_must_stay_stays_a_regular_file(self, mode: str) -> None:
        assert not opens(self.judged(changed(PLACES.policy, new=mode)))
        assert not opens(self.judged(changed(PLACES.signers, new=mode)))
        assert opens(self.judged(changed("console.toml", new=mode))) == (mode == ABSENT)

    def test_no_rule_under_another_spelling(self) -> None:
        assert "would take the place of" in self.judged(changed(PLACES.policy.upper(), **ADDED)).why

    def test_operators_change_them_and_anybody_the_first_ones(self) -> None:
        assert opens(rules_role(case()))
        assert not opens(rules_role(case(commit=commit(by="dev@example.com"))))
        assert opens(rules_role(case("", commit=commit(by="dev@example.com"))))


# --- transitions and evidence ----------------------------------------------------------------------------------------
class TestEvidence:
    def test_which_gates_must_be_shown(self) -> None:
        policy = parse_policy(None)
        active = required_gates(policy, Action.PROMOTE, Stage.ACTIVE)
        assert active == {"soak", "p99", "p999", "error_rate", "alerts", "review", "verify", "role"}
        assert len(required_gates(policy, Action.PROMOTE, Stage.SHADOW)) == 3
        assert len(required_gates(policy, Action.STAGE, Stage.STAGING)) == 4

    def checklist(self, *, waived: tuple[str, ...] = (), **verdicts: str | None) -> Gate:
        names = dict.fromkeys(required_gates(case().policy, Action.PROMOTE, Stage.ACTIVE), "PASS") | {"ack": "WAIT"}
        shown = [{"name": name, "verdict": said} for name, said in (names | verdicts).items() if said]
        written = {"waivers": [{"gate": gate} for gate in waived]}
        return _checklist(case(), move(written=written), cast("list[Any]", shown))

    def test_every_gate_is_shown_and_open(self) -> None:
        assert self.checklist().why == "8 gates, all open"
        assert not opens(self.checklist(p99=None))
        for verdict in set(Verdict) - {Verdict.PASS, Verdict.WAIVED}:
            assert not opens(self.checklist(p99=verdict))
            assert not opens(self.checklist(one_more=verdict))

    def test_waivers_of_event_and_evidence_are_the_same(self) -> None:
        assert opens(self.checklist(alerts="WAIVED", waived=("alerts",)))
        assert not opens(self.checklist(alerts="WAIVED"))
        assert not opens(self.checklist(waived=("alerts",)))

    @pytest.mark.parametrize("part", ["evidence", "soak", "review"])
    @pytest.mark.parametrize(
        ("later_s", "allowed"), [(-3_600, True), (-3_601, False), (0, True), (300, True), (301, False)]
    )
    def test_each_part_was_judged_in_the_hour_before(self, part: str, later_s: int, *, allowed: bool) -> None:
        good, at = "2026-02-17T14:00:00Z", (AT + timedelta(seconds=later_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
        moments = dict.fromkeys(("evidence", "soak", "review"), good) | {part: at}
        values = {
            "as_of": moments["evidence"],
            "soak": {"report": {"as_of": moments["soak"]}},
            "review": {"as_of": moments["review"]},
        }
        assert (not list(_old(move(), values))) == allowed
        assert not list(_old(move(), {"as_of": good, "soak": None, "review": None}))

    @pytest.mark.parametrize(
        ("stale_s", "allowed"),
        [(60.0, True), (20, True), (60.5, False), (120, False), (0, False), (-1, False), ("60", False)],
    )
    def test_samples_are_believed_no_longer_than_the_policy_allows(self, stale_s: object, *, allowed: bool) -> None:
        assert (not list(_laxer(case(), {"stale_s": stale_s}))) == allowed

    @pytest.mark.parametrize(
        ("landed_at", "sha", "allowed"),
        [
            ("2026-02-16T11:55:00Z", MODEL_SHA, True),
            ("2026-02-16T11:54:59Z", MODEL_SHA, False),
            ("2026-02-16T12:00:00Z", "0" * 64, False),
        ],
    )
    def test_the_soak_is_this_artifacts_since_it_entered_shadow(
        self, landed_at: str, sha: str, *, allowed: bool
    ) -> None:
        def entered(hour: int, artifact_id: str = ID) -> Event:
            at = f"2026-02-16T{hour:02}:00:00Z"
            return Event.model_validate({"to_stage": "shadow", "artifact_id": artifact_id, "ts_utc": at})

        past = Model(history=(entered(3), entered(12), entered(13, OLD)))
        subject = {"subject": {"model_sha256": sha, "landed_at": landed_at}}
        assert (not list(_foreign_soak(move(before=past), subject))) == allowed
        assert list(_foreign_soak(move(before=Model()), subject))

    @pytest.mark.parametrize(("brought", "allowed"), [("v4", True), ("v5", True), ("v3", False), ("v10", True)])
    def test_a_new_change_brings_no_older_format(self, brought: str, *, allowed: bool) -> None:
        policy = f'{OPERATORS}[evidence]\noldest_format = "v4"\n'
        values = {"schema_version": brought}
        for action in ("promote", "stage"):
            gate = acceptable_format(case(policy), move(action), values)
            assert (gate is None) == allowed
            assert gate is None or gate.code is Code.FORMAT_TOO_OLD
        assert acceptable_format(case(policy), move("rollback"), values) is None

    def test_the_first_format_asks_by_the_runbooks_metrics_only(self) -> None:
        contract = f'{OPERATORS}[metrics]\nlatency = "inference_seconds"\n'
        for policy, brought, allowed in (
            (OPERATORS, "v1", True),
            (contract, "v1", False),
            (contract, "v2", True),
            (f"{OPERATORS}[model.another.metrics]\nlatency = 'inference_seconds'\n", "v1", True),
        ):
            gate = acceptable_format(case(policy), move(), {"schema_version": brought})
            assert (gate is None) == allowed
            assert gate is None or gate.code is Code.FORMAT_TOO_OLD

    @pytest.mark.parametrize(
        ("mode", "verdict"), [("off", Verdict.PASS), ("report", Verdict.WAIVED), ("require", Verdict.NO_DATA)]
    )
    def test_without_a_source_of_its_own_the_gate_says_that_numbers_are_claimed(
        self, mode: str, verdict: Verdict
    ) -> None:
        (gate,) = measured(case(f'{OPERATORS}[evidence]\nremeasure = "{mode}"\n'), move(), {}, None)
        assert (gate.verdict, (gate.was or gate.found).code) == (verdict, Code.NOT_MEASURED_AGAIN)
        assert not list(measured(case(), move(to_stage="shadow"), {}, None))

    def test_what_only_the_author_claims(self) -> None:
        (to_active,) = claims(move())
        assert dict(to_active.facts) == {"who": ANN, "claims": 3}
        (to_shadow,) = claims(move(to_stage="shadow"))
        assert dict(to_shadow.facts) == {"who": ANN, "claims": 1}
        assert not list(claims(move("rollback")))


class TestStrangeness:
    TARGET: ClassVar[dict[str, str]] = {
        "artifact_id": ID,
        "model": "regime",
        "model_sha256": MODEL_SHA,
        "action": "rollback",
        "from_stage": "shadow",
        "to_stage": "active",
        "actor": ANN,
        "registry_blob": BLOB,
    }

    def test_evidence_about_exactly_this_change(self) -> None:
        assert not list(_strangeness(case(), move("rollback"), {"target": self.TARGET}, BLOB))

    @pytest.mark.parametrize("key", TARGET)
    def test_each_value_of_its_target_is_this_changes(self, key: str) -> None:
        (why,) = _strangeness(case(), move("rollback"), {"target": self.TARGET | {key: "another"}}, BLOB)
        assert why.startswith(f"the evidence is of another change: its {key} is another, and should be ")

    def test_a_promotion_is_judged_by_the_bases_policy(self) -> None:
        def found(source: str) -> list[str]:
            values = {
                "target": self.TARGET | {"action": "promote", "to_stage": "shadow"},
                "policy": {"source": source},
                "as_of": "2026-02-17T14:00:00Z",
                "soak": None,
                "review": None,
            }
            return list(_strangeness(case(), move(to_stage="shadow"), values, BLOB))

        assert not found(OPERATORS)
        assert found(f"{OPERATORS}# laxer") == ["the evidence was judged by another policy than the base's"]


class TestSource:
    NAMED = b'[prometheus]\nurl = "http://prom:9090/"\nfallback_url = "http://other:9090"\n[alertmanager]\nurl = "http://am:9093"\n'

    @staticmethod
    def judged(configured: bytes | None, soak: str | None, review: str | None = None) -> str:
        values = {"soak_exchanges": [{"url": soak}], "review_exchanges": [{"url": review}, {}]}
        return foreign_source(configured, values)

    @pytest.mark.parametrize(
        "url", ["http://prom:9090", "http://prom:9090/", "http://other:9090", "http://am:9093", None]
    )
    def test_an_address_that_the_base_names(self, url: str | None) -> None:
        assert self.judged(self.NAMED, url) == self.judged(self.NAMED, None, url) == ""

    def test_any_other_address(self) -> None:
        for said in (self.judged(self.NAMED, "http://mine:9090"), self.judged(self.NAMED, None, "http://mine:9090")):
            assert said.startswith("the evidence is of the source http://mine:9090, and the base's console.toml names")

    @pytest.mark.parametrize(
        "configured",
        [
            None,
            b"",
            b"[",
            b"\xff",
            b"prometheus = 7",
            b"[prometheus]\nurl = 7\n",
            b'[prometheus]\nurl = ""\n',
            b'[alertmanager]\nurl = "http://am:9093"\n',
        ],
    )
    def test_a_base_that_names_none_binds_nobody(self, configured: bytes | None) -> None:
        assert self.judged(configured, "http://mine:9090") == ""


def test_a_withdrawal_needs_no_artifact_and_a_misnamed_one_is_refused() -> None:
    nowhere: Any = None
    assert opens(artifact(nowhere, case(), move("withdraw", "shadow"), nowhere))
    other = artifact(nowhere, case(), move(after=Model(active=pointer(OLD))), nowhere)
    assert not opens(other)
    assert f"is not named after {ID}" in other.why


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        (40, "ce013625030ba8dba906f756967f9e9ca394464a"),
        (64, "2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4"),
    ],
)
def test_a_blobs_id_is_gits(digits: int, expected: str) -> None:
    assert blob_id(b"hello\n", digits) == expected


class TestTransition:
    @pytest.mark.parametrize(
        ("action", "to_stage", "says"),
        [
            ("invented", "active", "is none of ours"),
            ("promote", "heaven", "is none of ours"),
            ("stage", "shadow", "never straight to shadow"),
            ("promote", "staging", "nothing is promoted to staging"),
            ("promote", "shadow", "the only way to it is from staging"),
            ("rollback", "shadow", "a rollback leads to active"),
            ("withdraw", "active", "active cannot be withdrawn"),
        ],
    )
    def test_what_is_no_legal_step(self, action: str, to_stage: str, says: str) -> None:
        assert any(says in why for why in _objections(move(action, to_stage)))

    def test_what_was_not_in_the_stage_below_is_not_promoted(self) -> None:
        assert any("was not in shadow" in why for why in _objections(move(before=Model(shadow=pointer(OLD)))))
        assert any("where nothing stood" in why for why in _objections(move(before=Model())))
        assert not any("was not in shadow" in why for why in _objections(move()))
