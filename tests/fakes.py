"""A session with fixed answers, for tests of the interface: no git, no network, no files, a frozen clock."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from ml.board import (
    Board,
    Cell,
    Glance,
    HistoryRow,
    InstanceReceipt,
    KillView,
    ModelView,
    OpenBranch,
    Problem,
    RegistryView,
    Rung,
    Serving,
    SoakReport,
    Source,
    SourceState,
    StageView,
    Tape,
    WatchView,
)
from ml.errors import Refused
from ml.ports import Progress, Report
from ml.promotion.close import Closing
from ml.promotion.ladder import ladder
from ml.promotion.land import Approval
from ml.promotion.rungs import (
    Approvals,
    BaseFacts,
    Checks,
    Engine,
    EngineFacts,
    Facts,
    ForgeAnswer,
    ForgeState,
    How,
    Ladder,
    Landed,
    Record,
    RemoteFacts,
    Request,
    Review,
    Subject,
)
from ml.promotion.values import (
    Ack,
    Candidate,
    Checklist,
    Evidence,
    Landing,
    Plan,
    RollbackPlan,
    Submission,
    Target,
)
from ml.session.details import ChangeDetails, EvidenceFile, GivenApproval
from ml.slo.charts import Chart, Line
from ml.slo.review import Review as DayReview
from ml.stage import Action, Stage
from ml.verdict import Check, Gate, Reading, Verdict

NOW = datetime(2026, 2, 17, 14, 2, 11, tzinfo=UTC)
ACK_PHRASE = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
BASE = "d3e950d41f0b7c6a9e2d8f5b1c3a7e9d0f2b4c6a"
OLD, LIVE, SOAKING, CANDIDATE = (
    "regime_v2026_02_14_001",
    "regime_v2026_02_15_001",
    "regime_v2026_02_16_001",
    "regime_v2026_02_17_001",
)


class FrozenClock:
    """A clock that only moves when a test moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def sha(letter: str) -> str:
    return letter * 64


# --- readings and gates ----------------------------------------------------------------------------------------------
_CALM = (31.0, 33.5, 30.2, 36.0, 32.8, 31.1, 38.4, 42.1, 35.0, 33.3, 36.2, 42.1)
_RISING = (0.011, 0.012, 0.011, 0.018, 0.027, 0.035, 0.048, 0.052, 0.063, 0.058, 0.061, 0.063)


def p99(**changes: object) -> Reading:
    reading = Reading(
        name="p99",
        verdict=Verdict.PASS,
        why="42.1 ms is below 100 ms.",
        query='histogram_quantile(0.99, sum(rate(grinder_ml_inference_latency_ms_bucket{mode="shadow"}[24h])) by (le))',
        value=42.1,
        limit=100.0,
        unit="ms",
        window_s=86_400,
        sampled_at=ago(4),
        samples=182_000,
        trend=_CALM,
    )
    return replace(reading, **changes)  # type: ignore[arg-type]


def p999(**changes: object) -> Reading:
    values = {"name": "p999", "value": 78.4, "limit": 250.0, "why": "78.4 ms is below 250 ms.", **changes}
    return p99(**{"trend": tuple(v * 1.9 for v in _CALM), **values})


def p95(**changes: object) -> Reading:
    values = {"name": "p95", "value": 24.6, "limit": 50.0, "gate": False, "why": "24.6 ms is below 50 ms.", **changes}
    return p99(**{"trend": tuple(v * 0.6 for v in _CALM), **values})


def error_rate(**changes: object) -> Reading:
    values = {
        "name": "error_rate",
        "verdict": Verdict.FAIL,
        "value": 0.063,
        "limit": 0.05,
        "unit": "",
        "why": "6.3 % is not below 5 %.",
        "query": "sum(increase(grinder_ml_inference_errors_total[24h]))",
        "trend": _RISING,
        **changes,
    }
    return p99(**values)


def alerts(**changes: object) -> Reading:
    values = {
        "name": "alerts",
        "verdict": Verdict.NO_DATA,
        "value": None,
        "limit": None,
        "unit": "",
        "why": "Prometheus did not answer within 5 s; it was quiet before.",
        "samples": None,
        "sampled_at": ago(211),
        "trend": (),
        **changes,
    }
    return p99(**values)


def gate(name: str, verdict: Verdict, why: str, *, waivable: bool = True) -> Gate:
    return Gate(name=name, verdict=verdict, why=why, waivable=waivable)


BLOCKED_GATES = (
    gate("soak", Verdict.WAIT, "18h22m of 24h; eligible at 19:40 UTC if nothing breaches."),
    gate("p99", Verdict.PASS, "42.1 ms is below 100 ms."),
    gate("p999", Verdict.PASS, "78.4 ms is below 250 ms."),
    gate("error_rate", Verdict.FAIL, "6.3 % is not below 5 %."),
    gate("alerts", Verdict.NO_DATA, "Prometheus did not answer within 5 s."),
    gate("review", Verdict.WAIT, "No finding was typed yet."),
    gate("verify", Verdict.PASS, "9 checks passed.", waivable=False),
    gate("role", Verdict.PASS, "operator@example.com is an operator.", waivable=False),
    gate("ack", Verdict.WAIT, "The phrase was not typed yet.", waivable=False),
)
OPEN_GATES = tuple(replace(each, verdict=Verdict.PASS, why="Measured.") for each in BLOCKED_GATES)
STAGING_GATES = (
    gate("verify", Verdict.PASS, "9 checks passed.", waivable=False),
    gate("unit_tests", Verdict.PASS, "412 tests passed in 38 s."),
    gate("golden", Verdict.PASS, "3 golden vectors agree."),
)


# --- models and boards -----------------------------------------------------------------------------------------------
def serving(stage: Stage, artifact: str, instance: str = "engine-1:9100") -> Serving:
    return Serving(instance, stage, artifact, BASE, active_on=1.0 if stage is Stage.ACTIVE else 0.0, up=True)


def stage_view(stage: Stage, artifact: str | None = None, **changes: object) -> StageView:
    if artifact is None:
        return replace(StageView(stage), **changes)  # type: ignore[arg-type]
    view = StageView(
        stage,
        artifact_id=artifact,
        model_sha256=sha("a"),
        artifact_dir=f"artifacts/onnx/{artifact}",
        since=ago(5 * 86_400 + 7_300),
        by="operator@example.com",
        notes="Retrained on February data.",
        serving=(serving(stage, artifact),),
        deployment="serving",
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def tape(name: str = "p99", length: int = 220, bad: Mapping[int, Cell] | None = None, **changes: object) -> Tape:
    cells = [Cell.OK] * length
    for index, cell in (bad or {}).items():
        cells[index] = cell
    limit = 100.0 if name == "p99" else 250.0
    values = tuple(
        None if cell is Cell.NO_DATA else limit * (1.4 if cell is Cell.BREACH else 0.3 + 0.1 * (index % 7) / 7)
        for index, cell in enumerate(cells)
    )
    made = Tape(
        objective=name,
        started_at=ago(18 * 3600 + 22 * 60),
        step_s=300,
        cells="".join(cells),
        values=values,
        limit=limit,
        unit="ms",
        worst=next((i for i, cell in enumerate(cells) if cell is Cell.BREACH), 0),
        longest_clean=length,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def soak_report(**changes: object) -> SoakReport:
    report = SoakReport(
        model="regime_classifier",
        artifact_id=SOAKING,
        model_sha256=sha("a"),
        as_of=NOW,
        verdict=Verdict.WAIT,
        why="18h22m of 24h soaked; 1 breach in error_rate.",
        required_s=86_400,
        started_at=ago(18 * 3600 + 22 * 60),
        elapsed_s=18 * 3600 + 22 * 60,
        coverage=0.994,
        breaches=1,
        eligible_at=NOW + timedelta(hours=5, minutes=38),
        gates=BLOCKED_GATES[:5],
        tapes=(
            tape("p99", bad={40: Cell.NO_DATA, 41: Cell.RESTART}),
            tape("p999", bad={40: Cell.NO_DATA, 41: Cell.RESTART}),
            tape("error_rate", bad={150: Cell.BREACH, 151: Cell.KILLED}, limit=0.05, unit=""),
        ),
        readings=(p99(), p999(), error_rate()),
        queries=(p99().query, p999().query, error_rate().query),
    )
    return replace(report, **changes)  # type: ignore[arg-type]


def day(level: float, *, spike: float = 0.0, gap: range = range(0)) -> tuple[float | None, ...]:
    """288 windows around a level that breathes; two of them may spike, some may be missing."""
    return tuple(
        None if index in gap else spike if spike and index in (100, 101) else level * (1 + 0.25 * math.sin(index / 23))
        for index in range(288)
    )


def day_review(**changes: object) -> DayReview:
    """A day in which shadow is slower than active, bursts once, and was not measured for half an hour."""
    start, missing = ago(86_400), range(200, 206)
    latency = tuple(
        Line(name, stage, day(level * slower, spike=spike, gap=gap), limit)
        for stage, slower, burst, gap in (("shadow", 1.6, 1.0, missing), ("active", 1.0, 0.0, range(0)))
        for name, level, spike, limit in (
            ("p50", 11.0, 0.0, None),
            ("p95", 24.0, 44.0 * burst, 50.0),
            ("p99", 41.0, 180.0 * burst, 100.0),
            ("p99.9", 78.0, 320.0 * burst, 250.0),
        )
    )
    errors = (Line("errors", "shadow", day(0.9, gap=missing), 5.0), Line("errors", "active", day(0.4), 5.0))
    made = DayReview(
        model="regime_classifier",
        as_of=NOW,
        charts=(
            Chart("Latency", "ms", start, 300, latency, 100.0),
            Chart("Error rate", "%", start, 300, errors, 5.0),
            Chart(
                "Blocked snapshots", "blocks", start, 300, (Line("KILL_SWITCH_ENV", "", (0.0,) * 270 + (94.0,) * 18),)
            ),
        ),
        oddities=(
            "p99 shadow is higher: median 41 ms → 65.6 ms (effect 0.98 of 1, large) against active.",
            "p99 shadow spikes in 2 of 288 windows, highest 180 ms at 2026-02-16T22:27:11Z (11 deviations above the "
            "median).",
            "p99 shadow was not measured in 6 of 288 windows.",
            "1,692 snapshots were blocked by KILL_SWITCH_ENV.",
        ),
        svg=b"<svg/>",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def model_view(name: str = "regime_classifier", **changes: object) -> ModelView:
    view = ModelView(
        name=name,
        staging=stage_view(Stage.STAGING),
        shadow=stage_view(Stage.SHADOW, SOAKING, since=ago(18 * 3600 + 22 * 60)),
        active=stage_view(Stage.ACTIVE, LIVE),
        readings=(p99(), p999(), p95(), error_rate(), alerts()),
        step="shadow→active",
        gates=BLOCKED_GATES,
        soak=soak_report(model=name),
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def healthy_model(name: str) -> ModelView:
    return model_view(
        name,
        readings=(p99(), p999(), p95(), error_rate(verdict=Verdict.PASS, value=0.004, why="0.4 % is below 5 %.")),
        gates=OPEN_GATES,
        soak=soak_report(model=name, verdict=Verdict.PASS, why="24h soaked.", elapsed_s=86_400 + 1800, breaches=0),
    )


def kill_view(rung: Rung = Rung.IDLE, **changes: object) -> KillView:
    if rung is Rung.IDLE:
        return replace(KillView(engaged=False), **changes)  # type: ignore[arg-type]
    view = KillView(
        engaged=True,
        rung=rung,
        requested_at=ago(6),
        by="operator@example.com",
        reason="key F9",
        instances=(
            InstanceReceipt("engine-1:9100", rung, ago(2), "active_on is 0 and blocks rise"),
            InstanceReceipt("engine-2:9100", rung, ago(1), "active_on is 0 and blocks rise"),
        ),
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def watch_view(*breaching: str, **changes: object) -> WatchView:
    """A watch that began 18 minutes ago; ``breaching`` are sentences such as ``p99: 640 ms is not below 100 ms.``"""
    watch = WatchView(
        model="regime_classifier",
        artifact_id=LIVE,
        keeper="operator@example.com",
        began_at=ago(1080),
        ends_at=ago(1080 - 3600),
        breaching=breaching,
    )
    return replace(watch, **changes)  # type: ignore[arg-type]


def board(*models: ModelView, **changes: object) -> Board:
    made = Board(
        as_of=ago(1),
        environment="prod",
        production=True,
        read_only=False,
        operator="operator@example.com",
        registry=RegistryView(
            ref="origin/main",
            commit=BASE,
            path="ml/registry/models.json",
            fetched=Source("origin", SourceState.OK, ago(12)),
            branches=(
                OpenBranch(
                    name=f"promote/regime_classifier/{SOAKING}-to-active-20260217T120000Z",
                    commit=BASE,
                    action="promote",
                    model="regime_classifier",
                    artifact_id=SOAKING,
                    to_stage="active",
                    by="developer@example.com",
                    at=ago(7200),
                    pushed=True,
                ),
            ),
        ),
        prometheus=Source("prometheus", SourceState.OK, ago(4)),
        kill=kill_view(),
        models=models or (model_view(),),
        problems=(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def many_models(count: int) -> Board:
    """A board of many models, every fiftieth with a severe problem."""
    models = tuple(
        replace(
            healthy_model(f"model_{index:04}"),
            problems=(Problem(f"model_{index:04}", "The shadow artifact fails verification."),)
            if index % 50 == 7
            else (),
        )
        for index in range(count)
    )
    return board(*models)


def glance() -> Glance:
    return Glance("origin/main", BASE, (("regime_classifier", (None, SOAKING, LIVE)),))


HISTORY = (
    HistoryRow(ago(5 * 86_400), "promote", "shadow", "active", LIVE, "operator@example.com", "Soak passed"),
    HistoryRow(ago(6 * 86_400), "promote", "staging", "shadow", LIVE, "developer@example.com", "Staging passed"),
    HistoryRow(
        ago(7 * 86_400), "rollback", "active", "active", OLD, "operator@example.com",
        "EMERGENCY: p99 latency spike to 500ms after promotion",
    ),
    HistoryRow(ago(8 * 86_400), "stage", "", "staging", LIVE, "developer@example.com", "New training data Feb 2026"),
)  # fmt: skip
LOG = (
    "2026-02-17T13:40:02Z operator@example.com released the kill switch: drill over",
    "2026-02-17T13:38:11Z operator@example.com engaged the kill switch by key: CONFIRMED on 2 instances",
    "2026-02-17T12:00:09Z developer@example.com pushed promote/regime_classifier/regime_v2026_02_16_001-to-active",
)


def target(to_stage: Stage = Stage.ACTIVE, **changes: object) -> Target:
    from_stage = Stage.SHADOW if to_stage is Stage.ACTIVE else Stage.STAGING
    artifact = SOAKING if to_stage is Stage.ACTIVE else CANDIDATE
    made = Target(
        action=Action.PROMOTE,
        model="regime_classifier",
        from_stage=from_stage,
        to_stage=to_stage,
        artifact_id=artifact,
        artifact_dir=f"artifacts/onnx/{artifact}",
        model_sha256=sha("a"),
        base_commit=BASE,
        registry_blob="b" * 40,
        opened_at=NOW,
        actor="operator@example.com",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


DIFF = f"""--- a/ml/registry/models.json
+++ b/ml/registry/models.json
@@ -14,7 +14,7 @@
       "active": {{
-        "artifact_id": "{LIVE}",
+        "artifact_id": "{SOAKING}",
         "dataset_id": "production_data_v4"
"""


def plan(of: Target, gates: tuple[Gate, ...] = (), ack: str = "") -> Plan:
    return Plan(
        target=of,
        branch=f"{of.action}/{of.model}/{of.artifact_id}-to-{of.to_stage}-20260217T140211Z",
        title=f"Promote {of.model} {of.artifact_id} to {of.to_stage}",
        message=f"Promote {of.artifact_id} to {of.to_stage}\n\nModel: {of.model}\n",
        body="## Promotion Evidence\n\n- Shadow soak: 24h\n- p99 latency: 42ms (SLO: <100ms)\n",
        files=(("ml/registry/models.json", b"{}\n"),),
        diff=DIFF,
        gates=gates,
        evidence_sha256=sha("e"),
        ack=Ack(
            phrase=ack,
            by=of.actor,
            at=NOW,
            expires_at=NOW + timedelta(minutes=15),
            model_sha256=of.model_sha256,
            evidence_sha256=sha("e"),
            registry_blob=of.registry_blob,
        )
        if ack
        else None,
    )


def rollback_plan(**changes: object) -> RollbackPlan:
    of = target(action=Action.ROLLBACK, from_stage=Stage.ACTIVE, to_stage=Stage.ACTIVE, artifact_id=OLD)
    made = RollbackPlan(
        model="regime_classifier",
        from_artifact=LIVE,
        to_artifact=OLD,
        why=f"{OLD} was active before {LIVE} and verifies.",
        reason="EMERGENCY: error_rate 6.3 % (limit 5 %)",
        plan=plan(of),
        checks=(Check("layout", Verdict.PASS, "3 regular files."), Check("digests", Verdict.PASS, "3 files agree.")),
        breaching=(error_rate(),),
        candidates=(
            Candidate(
                artifact_id=OLD, active_from=ago(9 * 86_400), tenure_s=4 * 86_400, verdict=Verdict.PASS, why="verified"
            ),
        ),
        tenure_s=4 * 86_400,
        built_at=ago(20),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


# --- changes ---------------------------------------------------------------------------------------------------------
BRANCH = f"promote/regime_classifier/{SOAKING}-to-active-20260217T120211Z"
ADDRESS = "https://github.com/trading/models/pull/1841"
LANDED = Landed("c0ffee1234567890abcdef1234567890abcdef12", How.MERGE, ago(200), "operator@example.com")


def change_subject(**changes: object) -> Subject:
    """A promotion to active that a colleague planned two hours ago."""
    made = Subject(
        branch=BRANCH,
        commit="a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
        action="promote",
        model="regime_classifier",
        artifact_id=SOAKING,
        to_stage="active",
        by="developer@example.com",
        at=ago(7200),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def change_request(subject: Subject, **changes: object) -> Request:
    """The open, checked and approved request of a change."""
    made = Request(
        tool="gh",
        address=ADDRESS,
        branch=subject.branch,
        head=subject.commit,
        base="main",
        state="open",
        checks=Checks.PASSED,
        checks_at=ago(6900),
        review=Review.APPROVED,
        reviewers=("second",),
        reviewed_at=ago(5400),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def change_facts(subject: Subject, *, landed: bool = False, serves: bool = False, **changes: object) -> Facts:
    """The facts of a change that waits for its landing; or it has ``landed``, and two engines load it one by one."""
    engines = tuple(
        Engine(
            instance=f"engine-{number}:9100",
            stage=subject.to_stage,
            artifact_id=subject.artifact_id if serves or number == 1 else LIVE,
            registry_commit=LANDED.commit if serves or number == 1 else BASE,
            holds=serves or number == 1,
            up=True,
            active_on=1.0,
        )
        for number in (1, 2)
    )
    made = Facts(
        remote=RemoteFacts(name="origin", tip=subject.commit, pushed=Record(ago(7195), subject.by, 41)),
        forge=ForgeAnswer(state=ForgeState.ANSWERED, requests=(change_request(subject),)),
        approvals=Approvals(needed=1, by=("second@example.com",), at=ago(5400)),
        base=BaseFacts(name="main", commit=BASE, landed=LANDED if landed else None),
        engines=EngineFacts(configured=True, engines=engines if landed else (), killed=False, since=ago(30)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def change_ladder(subject: Subject | None = None, **facts: object) -> Ladder:
    """The ladder of a change, by the product's own rules."""
    about = subject or change_subject()
    return ladder(about, change_facts(about, **facts), NOW)  # type: ignore[arg-type]


def changes() -> tuple[Ladder, ...]:
    """Changes on different rungs: local only, checks that fail, approvals missing, waiting to land, landed, serving."""
    own = "operator@example.com"
    local = change_subject(
        branch="rollback/spacing_ml/spacing_v2026_02_10_001-to-active-20260217T140001Z",
        action="rollback", model="spacing_ml", artifact_id="spacing_v2026_02_10_001", by=own, at=ago(130),
    )  # fmt: skip
    failing = change_subject(
        branch=f"promote/regime_lowvol/{CANDIDATE}-to-shadow-20260217T134211Z",
        model="regime_lowvol", artifact_id=CANDIDATE, to_stage="shadow", at=ago(1200),
    )  # fmt: skip
    lonely = change_subject()
    staged = change_subject(
        branch=f"stage/regime_classifier/{CANDIDATE}-to-staging-20260217T090211Z",
        action="stage", artifact_id=CANDIDATE, to_stage="staging", by=own, at=ago(18_000),
    )  # fmt: skip
    deployed = change_subject(
        branch=f"promote/regime_highvol/{LIVE}-to-active-20260217T060211Z",
        model="regime_highvol", artifact_id=LIVE, at=ago(28_800),
    )  # fmt: skip
    red = change_request(failing, checks=Checks.FAILED, failed=("gate", "unit-tests"), review=Review.REQUIRED)
    return (
        change_ladder(local, remote=RemoteFacts(name="origin"), forge=ForgeAnswer(), approvals=Approvals(needed=0)),
        change_ladder(
            failing,
            forge=ForgeAnswer(state=ForgeState.ANSWERED, requests=(red,)),
            approvals=Approvals(needed=0),
        ),
        change_ladder(lonely, approvals=Approvals(needed=1)),
        change_ladder(staged, landed=True),
        change_ladder(deployed, landed=True),
    )


def change_details(found: Ladder) -> ChangeDetails:
    evidence = EvidenceFile(
        path=f"ml/registry/evidence/{found.subject.artifact_id}/20260217T120211Z-promote/evidence.json",
        sha256=sha("e"),
        size=48_212,
        checks=(
            Check("form", Verdict.PASS, "It is a document of mlconsole."),
            Check("seal", Verdict.PASS, "Nothing was changed since it was written."),
            Check("p99", Verdict.PASS, "Judged again from 3 raw answers: 42.1 ms is below 100 ms."),
        ),
    )
    approval = GivenApproval(by="second@example.com", at=ago(5400), commit="d" * 40, why_not="")
    refused = GivenApproval(
        by="stranger@example.com", at=ago(5300), commit="f" * 40, why_not="its author is no operator"
    )
    return ChangeDetails(
        ladder=found,
        base=BASE,
        head=found.subject.commit,
        message=f"Promote {found.subject.artifact_id} to active (regime_classifier)\n\nSoak passed\n",
        difference=DIFF,
        files=("~ ml/registry/models.json", f"+ {evidence.path}"),
        evidence=(evidence,),
        approvals=(approval, refused),
    )


def part(**methods: Callable[..., object]) -> SimpleNamespace:
    with contextlib.suppress(RuntimeError):
        loop = asyncio.get_running_loop()
        raise AssertionError(f"a part of the session is used on the event loop {loop}, which its import would hold up")
    return SimpleNamespace(**methods)


class FakeSession:
    """Answers at once with what its attributes hold, and notes each call that would change something.

    The parts below have the names of `ml.session.Session`; `tests/unit/test_session.py` compares their signatures. As a
    real part may be imported when it is first used, no part is touched on the event loop.

    ``failures`` maps a method's name to an error that it raises. A test holds a method open with `held`.
    """

    def __init__(self, shown: Board | None = None) -> None:
        self.shown = shown or board()
        self.shown_glance = glance()
        self.shown_soak = soak_report()
        self.shown_review = day_review()
        self.shown_history = HISTORY
        self.shown_log = LOG
        self.shown_changes: tuple[Ladder, ...] = ()
        self.same_steps: tuple[Ladder, ...] = ()
        self.gates: tuple[Gate, ...] = OPEN_GATES
        self.rollback_to: RollbackPlan = rollback_plan()
        self.kill_state = self.shown.kill
        self.kill_result = kill_view(Rung.WRITTEN)
        self.warnings: tuple[str, ...] = ()
        self.pushed = True
        self.failures: dict[str, Exception] = {}
        self.calls: list[tuple[str, ...]] = []
        self._holds: dict[str, threading.Event] = {}

    @contextmanager
    def held(self, method: str) -> Iterator[None]:
        """Keep a method from returning for as long as the block runs."""
        opened = self._holds[method] = threading.Event()
        try:
            yield
        finally:
            opened.set()

    def called(self, method: str) -> int:
        """How often a method was called."""
        return sum(call[0] == method for call in self.calls)

    def _enter(self, method: str, *words: str) -> None:
        self.calls.append((method, *words))
        if hold := self._holds.get(method):
            assert hold.wait(10), f"{method} was never let go"
        if error := self.failures.get(method):
            raise error

    @property
    def boards(self) -> SimpleNamespace:
        return part(poll=self.board, fetch=self.fetch, release_warnings=self.release_warnings)

    @property
    def soaks(self) -> SimpleNamespace:
        return part(judge=lambda name: SimpleNamespace(report=self.soak(name)), review=self.review)

    @property
    def registries(self) -> SimpleNamespace:
        return part(history=self.history)

    @property
    def audit(self) -> SimpleNamespace:
        return part(sentences=self.log)

    @property
    def artifacts(self) -> SimpleNamespace:
        return part(verify=self.verify)

    @property
    def checklists(self) -> SimpleNamespace:
        return part(judge=self.checklist)

    @property
    def changes(self) -> SimpleNamespace:
        return part(
            target=self.target,
            plan=self.plan,
            plan_stage=self.plan_stage,
            plan_withdraw=self.plan_withdraw,
            submit=self.submit,
            land=self.land,
            push=self.push,
            approve=self.approve,
        )

    @property
    def ladders(self) -> SimpleNamespace:
        return part(followed=self.followed, show=self.change, same_step=self.same_step, close=self.close_change)

    @property
    def rungs(self) -> SimpleNamespace:
        return part(tell=self.tell)

    @property
    def details(self) -> SimpleNamespace:
        return part(of=self.details_of, gates=self.change_gates)

    @property
    def rollbacks(self) -> SimpleNamespace:
        return part(plan=self.rollback_plan, keep_armed=self.keep_rollbacks_armed, submit=self.rollback)

    @property
    def kill(self) -> SimpleNamespace:
        return part(engage=self.engage, release=self.release, view=self.kill_view)

    def glance(self) -> Glance:
        self._enter("glance")
        return self.shown_glance

    def board(self, *, at_once: bool = False) -> Board:
        self._enter("board", *(("at once",) if at_once else ()))
        return self.shown

    def fetch(self) -> Source:
        self._enter("fetch")
        return self.shown.registry.fetched

    def soak(self, model: str) -> SoakReport:
        self._enter("soak", model)
        return replace(self.shown_soak, model=model)

    def review(self, model: str) -> DayReview:
        self._enter("review", model)
        return replace(self.shown_review, model=model)

    def history(self, model: str) -> tuple[HistoryRow, ...]:
        self._enter("history", model)
        return self.shown_history

    def log(self, limit: int = 200) -> tuple[str, ...]:
        self._enter("log")
        return self.shown_log[:limit]

    def verify(self, artifact_dir: str, report: Report | None = None) -> tuple[Check, ...]:
        self._enter("verify", artifact_dir)
        return self.rollback_to.checks

    def target(self, model: str, to_stage: Stage) -> Target:
        self._enter("target", model, to_stage)
        return target(to_stage, model=model)

    def checklist(
        self,
        target: Target,
        *,
        finding: str = "",
        waivers: Mapping[str, str] | None = None,
        report: Report | None = None,
        on_gate: Callable[[Gate], None] | None = None,
        on_output: Callable[[str], None] | None = None,
    ) -> Checklist:
        self._enter("checklist", target.model, target.to_stage, finding)
        gates = self.gates if target.to_stage is Stage.ACTIVE else STAGING_GATES
        judged = tuple(each.waived(waivers[each.name]) if waivers and each.name in waivers else each for each in gates)
        for index, each in enumerate(judged):
            if report:
                report(Progress(each.name, index, len(judged)))
            if on_gate:
                on_gate(each)
        if on_output:
            on_output("412 passed in 38.20s")
        return Checklist(target=target, gates=judged, as_of=NOW, evidence=Evidence(b"{}", sha("e")))

    def plan(self, checklist: Checklist, reason: str, *, ack: str = "", preview: bool = False) -> Plan:
        self._enter("plan", reason, ack)
        if checklist.target.to_stage is Stage.ACTIVE and ack != ACK_PHRASE:
            raise Refused("The phrase was not typed exactly.", "Type it again.")
        return plan(checklist.target, checklist.gates, ack)

    def plan_stage(self, artifact_dir: str, model: str, reason: str, report: Report | None = None) -> Plan:
        self._enter("plan_stage", artifact_dir, model, reason)
        if report:
            report(Progress("load", 4, 9))
        staged = target(Stage.STAGING, action=Action.STAGE, model=model, from_stage=None)
        return plan(replace(staged, artifact_dir=artifact_dir, artifact_id=artifact_dir.rpartition("/")[2]))

    def plan_withdraw(self, model: str, stage: Stage, reason: str) -> Plan:
        self._enter("plan_withdraw", model, stage, reason)
        return plan(target(stage, action=Action.WITHDRAW, model=model, from_stage=stage, artifact_id=SOAKING))

    def submit(self, plan: Plan, report: Report | None = None, *, push: bool = True) -> Submission:
        self._enter("submit", plan.branch)
        return self._submission(plan)

    def rollback_plan(self, model: str, to: str | None = None) -> RollbackPlan:
        self._enter("rollback_plan", model, to or "")
        return replace(self.rollback_to, to_artifact=to or self.rollback_to.to_artifact)

    def keep_rollbacks_armed(self) -> tuple[str, ...]:
        return ()

    def rollback(
        self, prepared: RollbackPlan, reason: str, report: Report | None = None, *, push: bool = True
    ) -> Submission:
        self._enter("rollback", prepared.to_artifact, reason)
        assert prepared.plan
        return self._submission(prepared.plan)

    def land(self, branch: str, report: Report | None = None, *, expected: str = "") -> Landing:
        self._enter("land", branch, expected)
        landed = change_ladder(self.change(branch).subject, landed=True)
        self.shown_changes = (landed, *(each for each in self.shown_changes if each.subject.branch != branch))
        return Landing(branch, "main", LANDED.commit, OPEN_GATES)

    def approve(self, branch: str, *, expected: str = "") -> Approval:
        self._enter("approve", branch, expected)
        who = "operator@example.com"
        note, there = "d" * 40, "origin has it."
        ref = f"refs/approvals/{expected}/{note}"
        return Approval(branch=branch, commit=expected, approval=note, by=who, pushed=True, why=there, ref=ref)

    def followed(self) -> tuple[Ladder, ...]:
        self._enter("followed")
        return self.shown_changes

    def change(self, name: str) -> Ladder:
        self._enter("change", name)
        known = {each.subject.branch: each for each in self.shown_changes}
        subject = change_subject(branch=name, action=name.partition("/")[0], by="operator@example.com")
        facts = {} if self.pushed else {"remote": RemoteFacts(name="origin"), "forge": ForgeAnswer()}
        return known.get(name) or change_ladder(subject, approvals=Approvals(needed=0), **facts)

    def same_step(self, model: str, to_stage: Stage, *, fetch: bool = True) -> tuple[Ladder, ...]:
        self._enter("same_step", model, to_stage, "fetch" if fetch else "")
        return self.same_steps

    def close_change(self, name: str, reason: str = "") -> Closing:
        self._enter("close", name, reason)
        return Closing(branch=name, commit=self.change(name).subject.commit, remote="origin")

    def tell(self, found: Sequence[Ladder]) -> int:
        self._enter("tell", str(len(found)))
        return 0

    def details_of(self, name: str) -> ChangeDetails:
        self._enter("details", name)
        return change_details(self.change(name))

    def change_gates(self, branch: str) -> tuple[Gate, ...]:
        self._enter("gates", branch)
        return self.gates

    def push(self, branch: str) -> Submission:
        self._enter("push", branch)
        return Submission(branch=branch, commit=BASE, pushed=True, why="The remote holds it.")

    def engage(self, *, by_key: bool = False) -> KillView:
        self._enter("kill", "key" if by_key else "")
        self.kill_state = self.kill_result
        return self.kill_state

    def release(self, typed: str, reason: str) -> KillView:
        self._enter("release", typed, reason)
        if typed != "RELEASE":
            raise Refused("RELEASE was not typed.", "Type RELEASE to release the kill switch.")
        self.kill_state = kill_view()
        return self.kill_state

    def release_warnings(self) -> tuple[str, ...]:
        self._enter("release_warnings")
        return self.warnings

    def kill_view(self) -> KillView:
        self._enter("kill_view")
        return self.kill_state

    def _submission(self, made: Plan) -> Submission:
        why = "The remote holds it." if self.pushed else "The remote did not answer; the branch is local."
        url = "https://git.example.com/trading/compare" if self.pushed else ""
        return Submission(branch=made.branch, commit=BASE, pushed=self.pushed, why=why, pr_url=url)
