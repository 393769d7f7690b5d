"""What the tests and pictures of pushed screens share: a session that behaves, situations, and walks by keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace

from fakes import ACK_PHRASE, NOW, OLD, FakeSession, gate, kill_view, part, sha
from support.walk import reads_soon, type_by_hand, until
from textual.pilot import Pilot
from textual.widgets import Button, Input

from console.screens.promote.screen import PromoteScreen
from ml.artifacts.compare import Comparison, Row
from ml.artifacts.protocol import Decided
from ml.artifacts.verification import Verification
from ml.artifacts.verify import LatencyProbe
from ml.board import InstanceReceipt, Rung
from ml.ports import Progress, Report
from ml.promotion.values import Candidate, Checklist, Evidence, Plan, RollbackPlan, Submission, Target
from ml.stage import Stage
from ml.verdict import Check, Gate, Verdict
from widgets.ack_input import AckInput

MEASURED = (
    Gate(name="soak", verdict=Verdict.PASS, why="24h31m without a breach.", value=88_260, limit=86_400, unit="s"),
    Gate(name="p99", verdict=Verdict.PASS, why="42.1 ms is below 100 ms.", value=42.1, limit=100, unit="ms"),
    Gate(name="p999", verdict=Verdict.PASS, why="78.4 ms is below 250 ms.", value=78.4, limit=250, unit="ms"),
    Gate(name="error_rate", verdict=Verdict.PASS, why="0.4 % is below 5 %.", value=0.004, limit=0.05),
    gate("alerts", Verdict.PASS, "3 rules are loaded, none fired during the soak."),
    gate("review", Verdict.WAIT, "Type what you saw on the dashboards."),
    gate("verify", Verdict.PASS, "9 checks passed.", waivable=False),
    gate("role", Verdict.PASS, "operator@example.com is an operator.", waivable=False),
    gate("ack", Verdict.WAIT, "The phrase was not typed yet.", waivable=False),
)
BURST = Gate(
    name="error_rate",
    verdict=Verdict.FAIL,
    why="6.3 % is not below 5 %: a burst of ten minutes at 04:10 UTC, two windows of the soak.",
    value=0.063,
    limit=0.05,
)
SICK_ALERTS = gate("alerts", Verdict.NO_DATA, "Prometheus did not answer within 5 s; it was quiet 3m31s ago.")
ODD = ("p99 of the second half is 18 % above the first half (Mann-Whitney, p = 0.003).",)
TESTS_PRINTED = (
    "============================= test session starts =============================",
    "collected 412 items",
    "tests/test_codec.py ...................................................... [ 13%]",
    "tests/test_soak.py ....................................................... [ 26%]",
    "412 passed in 38.20s",
)
STEPS = (
    Progress("journal", 1, 1, "promote-20260217T140211Z"),
    Progress("commit", 1, 1, "d3e950d on promote/regime_classifier"),
    Progress("push", 3, 7, "objects"),
    Progress("read back", 0, 0, "origin"),
)


def instead(*gates: Gate) -> tuple[Gate, ...]:
    """The measured gates with some of them replaced by name."""
    named = {each.name: each for each in gates}
    return tuple(named.get(each.name, each) for each in MEASURED)


class WizardSession(FakeSession):
    """A fake session for pushed screens. ``measured`` is what the gates to active find before any answer."""

    def __init__(self, *gates: Gate) -> None:
        super().__init__()
        self.measured = instead(*gates)
        self.oddities: tuple[str, ...] = ()
        self.compared = comparison()

    def hold(self, method: str) -> None:
        """Keep a method from returning until `let_go`."""
        self._holds[method] = threading.Event()

    def let_go(self) -> None:
        """Let every held method return."""
        for held in self._holds.values():
            held.set()

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
        self._enter("checklist", target.artifact_id, finding, *(waivers or {}))
        active = target.to_stage is Stage.ACTIVE
        gates = tuple(self._answered(each, finding, waivers or {}) for each in (self.measured if active else _SHADOW))
        for each in gates:
            if on_gate:
                on_gate(each)
        for line in () if active or not on_output else TESTS_PRINTED:
            on_output(line)
        return Checklist(
            target=target,
            gates=gates,
            as_of=NOW,
            evidence=Evidence(b"{}", sha("e")),
            ack_phrase=ACK_PHRASE if active else "",
            oddities=self.oddities,
        )

    def _answered(self, each: Gate, finding: str, waivers: Mapping[str, str]) -> Gate:
        if each.name in waivers:
            return each.waived(waivers[each.name])
        if each.name == "review" and finding:
            return replace(each, verdict=Verdict.PASS, why=finding)
        return each

    def submit(self, plan: Plan, report: Report | None = None, *, push: bool = True) -> Submission:
        return self._stepwise(report, lambda: super(WizardSession, self).submit(plan, report))

    def rollback(
        self, prepared: RollbackPlan, reason: str, report: Report | None = None, *, push: bool = True
    ) -> Submission:
        return self._stepwise(report, lambda: super(WizardSession, self).rollback(prepared, reason, report))

    def _stepwise(self, report: Report | None, write: Callable[[], Submission]) -> Submission:
        assert report
        for step in STEPS[:3]:
            report(step)
        done = write()
        report(STEPS[3])
        return done

    @property
    def artifacts(self) -> SimpleNamespace:
        return part(compare=self.compare)

    def compare(self, a: str, b: str, report: Report | None = None) -> Comparison:
        if report:
            report(Progress("digests", 2, 3, "model.onnx"))
        self._enter("compare", a, b)
        return self.compared


_SHADOW = (
    gate("verify", Verdict.PASS, "9 checks passed.", waivable=False),
    gate("unit_tests", Verdict.PASS, "412 tests passed in 38 s."),
    gate("golden", Verdict.PASS, "3 golden vectors agree."),
)


def comparison() -> Comparison:
    """Two valid artifacts, the newer one larger."""
    digests = "9f2c4e7a1b3d5f60718293a4b5c6d7e8f9011223344556677889900aabbccddee"[:64], sha("a")
    rows = (
        ("artifact", "regime_v2026_02_16_001", "regime_v2026_02_15_001"),
        ("verdict", "PASS", "PASS"),
        ("size", "48,212 B", "31,870 B"),
        ("model sha256", *digests),
        ("parameters", "9,411", "6,019"),
        ("opset", "ai.onnx 17, ai.onnx.ml 3", "ai.onnx 17, ai.onnx.ml 3"),
        ("features", "15, 6b1f0a2c9d3e", "15, 6b1f0a2c9d3e"),
        ("dataset_id", "production_data_v4", "production_data_v3"),
        ("notes", "New training data Feb 2026", "First regime model"),
        ("report.accuracy", "0.914", "0.902"),
    )
    sound = (Check("layout", Verdict.PASS, "3 regular files."),)
    return Comparison(
        left=Verification(artifact_id="regime_v2026_02_16_001", checks=sound),
        right=Verification(artifact_id="regime_v2026_02_15_001", checks=sound),
        rows=tuple(Row(*row) for row in rows),
        latency=LatencyProbe(Check("latency", Verdict.PASS, "1.21 times the active artifact's p99, limit 1.5.")),
        decided=Decided(rows=4096, confusion=((1400, 60, 0), (40, 1300, 8), (0, 20, 1268)), largest_difference=0.4),
    )


# --- situations ----------------------------------------------------------------------------------------------------
CANDIDATES = (
    Candidate(artifact_id=OLD, active_from=None, tenure_s=345_600, verdict=Verdict.PASS, why="verified"),
    Candidate(
        artifact_id="regime_v2026_02_10_001",
        active_from=None,
        tenure_s=90_000,
        verdict=Verdict.FAIL,
        why="model.onnx is not the file that the registry names.",
    ),
    Candidate(
        artifact_id="regime_v2026_02_08_002", active_from=None, tenure_s=604_800, verdict=Verdict.PASS, why="verified"
    ),
)


def emergency() -> FakeSession:
    session = WizardSession()
    prepared = session.rollback_to
    assert prepared.plan
    session.rollback_to = replace(
        prepared,
        candidates=CANDIDATES,
        condemned=("regime_v2026_02_12_001",),
        reviving=("promote/regime_classifier/regime_v2026_02_12_001-to-active-20260216T100000Z",),
        plan=replace(prepared.plan, warnings=("The data set production_data_v2 is gone.",)),
    )
    return session


def four(*rungs: Rung) -> tuple[InstanceReceipt, ...]:
    why = {
        Rung.CONFIRMED: "active_on is 0 and blocks rise",
        Rung.UNCONFIRMED: "no sample newer than the request",
        Rung.WRITTEN: "no sample newer than the request yet",
    }
    asked = kill_view(Rung.WRITTEN).requested_at
    return tuple(
        InstanceReceipt(f"engine-{number}:9100", rung, asked, why.get(rung, ""))
        for number, rung in enumerate(rungs, start=1)
    )


PARTIAL = kill_view(
    Rung.UNCONFIRMED,
    instances=four(Rung.CONFIRMED, Rung.CONFIRMED, Rung.CONFIRMED, Rung.UNCONFIRMED),
    manual=("Log in to engine-4 and run: systemctl stop grinder-ml", "Check that grinder_ml_active_on is 0 there."),
)


# --- walks ---------------------------------------------------------------------------------------------------------
MODEL = "regime_classifier"


def to_active() -> PromoteScreen:
    return PromoteScreen(MODEL, Stage.ACTIVE)


async def to_the_reason(pilot: Pilot[object]) -> None:
    await until(pilot, lambda: not pilot.app.screen.query_one("#next", Button).disabled)
    await pilot.press("ctrl+n")
    await until(pilot, lambda: isinstance(pilot.app.focused, Input))


async def to_the_ack(pilot: Pilot[object]) -> None:
    await to_the_reason(pilot)
    await type_by_hand(pilot, "Soak passed")
    await pilot.press("enter")
    await type_by_hand(pilot, "Calm: nothing odd in 24 h")
    await pilot.press("ctrl+n")
    await reads_soon(pilot, "Shift+Tab leads here")


async def to_the_plan(pilot: Pilot[object]) -> None:
    await to_the_ack(pilot)
    pilot.app.screen.query_one(AckInput).focus()
    await type_by_hand(pilot, ACK_PHRASE)
    await pilot.press("enter")
    await reads_soon(pilot, "models.json")


async def submitted(pilot: Pilot[object]) -> None:
    await to_the_plan(pilot)
    pilot.app.screen.query_one("#next").focus()
    await pilot.press("enter")
