"""The ladder shows, per instance, how far a kill is proven, and what to do by hand when it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from fakes import NOW, kill_view
from support.widget_host import shown, staged

from ml.board import Delivery, InstanceReceipt, KillView, Rung
from widgets.receipt_ladder import ReceiptLadder, summary

ASKED = NOW - timedelta(seconds=6)


def ladder(view: KillView | None) -> ReceiptLadder:
    widget = ReceiptLadder()
    widget.view = view
    return widget


def receipts(*rungs: Rung) -> tuple[InstanceReceipt, ...]:
    return tuple(
        InstanceReceipt(f"engine-{number}:9100", rung, ASKED + timedelta(seconds=number), f"saw {rung}")
        for number, rung in enumerate(rungs, start=1)
    )


async def drawn(view: KillView | None, *, ascii_only: bool = False) -> list[str]:
    widget = ladder(view)
    async with staged(widget, (80, 24), ascii_only=ascii_only):
        return shown(widget)


async def test_each_rung_is_reached_in_words() -> None:
    expected = {
        Rung.REQUESTED: "● REQUESTED ○ written ○ applied ○ confirmed",
        Rung.WRITTEN: "● REQUESTED ● WRITTEN ○ applied ○ confirmed",
        Rung.APPLIED: "● REQUESTED ● WRITTEN ● APPLIED ○ confirmed",
        Rung.CONFIRMED: "● REQUESTED ● WRITTEN ● APPLIED ● CONFIRMED",
        Rung.UNCONFIRMED: "● REQUESTED ● WRITTEN ? APPLIED ✗ UNCONFIRMED",
    }
    for rung, words in expected.items():
        rows = await drawn(kill_view(rung, instances=receipts(rung)))
        assert any(words in row for row in rows), rung


async def test_seconds_since_the_request_and_the_observation_are_shown() -> None:
    rows = await drawn(kill_view(Rung.CONFIRMED, instances=receipts(Rung.CONFIRMED)))
    assert any("CONFIRMED   +1s" in row for row in rows)
    assert any(row.endswith("saw CONFIRMED") for row in rows)


async def test_three_of_four_is_said_as_three_of_four() -> None:
    four = receipts(Rung.CONFIRMED, Rung.CONFIRMED, Rung.CONFIRMED, Rung.UNCONFIRMED)
    view = kill_view(Rung.UNCONFIRMED, instances=four, manual=("Stop engine-4 by hand.",))
    rows = await drawn(view)
    assert rows[0] == "KILL CONFIRMED 3 of 4"
    assert any("✗ UNCONFIRMED" in row for row in rows)
    by_hand = rows.index("By hand, now:")
    assert rows[by_hand + 1].strip() == "1. Stop engine-4 by hand."
    assert by_hand < next(number for number, row in enumerate(rows) if "●" in row)


async def test_without_instances_it_says_that_nothing_can_be_confirmed() -> None:
    rows = await drawn(kill_view(Rung.WRITTEN, instances=()))
    assert rows[0] == "KILL WRITTEN"
    assert any("nothing can be confirmed" in row for row in rows)


async def test_a_write_that_failed_is_not_shown_as_written() -> None:
    failed = kill_view(
        Rung.UNCONFIRMED, instances=receipts(Rung.UNCONFIRMED), problem="The disk is full.", manual=("Free space.",)
    )
    rows = await drawn(replace(failed, engaged=False, asked=True))
    assert rows[0].startswith("KILL UNCONFIRMED")
    assert any("The disk is full." in row for row in rows)
    assert any("○ written" in row for row in rows)


async def test_a_release_has_a_ladder_of_its_own() -> None:
    rows = await drawn(kill_view(Rung.CONFIRMED, engaged=False, instances=receipts(Rung.CONFIRMED)))
    assert rows[0].startswith("RELEASE CONFIRMED")


async def test_before_the_first_answer_it_says_what_happens() -> None:
    assert (await drawn(None))[0].startswith("Engaging the switch")


async def test_ascii_only_draws_no_other_character() -> None:
    rows = await drawn(kill_view(Rung.UNCONFIRMED, instances=receipts(*Rung)), ascii_only=True)
    assert "\n".join(rows).isascii()


async def test_long_and_hostile_names_stay_whole_and_keep_the_columns() -> None:
    names = ("a" * 60, "b\x1b[2Jx", "c")
    rows = await drawn(kill_view(Rung.APPLIED, instances=tuple(InstanceReceipt(name, Rung.APPLIED) for name in names)))
    assert "a" * 60 in rows
    assert {row.index("●") for row in rows if "●" in row} == {2}
    assert "\x1b" not in "".join(rows)


async def test_a_wide_terminal_has_one_line_per_instance() -> None:
    widget = ladder(kill_view(Rung.CONFIRMED))
    async with staged(widget, (120, 24)):
        rows = [row for row in shown(widget) if "● CONFIRMED" in row]
    assert [row.split()[0] for row in rows] == ["engine-1:9100", "engine-2:9100"]
    assert all(row.endswith("active_on is 0 and blocks rise") for row in rows)


def test_summary_counts_confirmed_instances() -> None:
    assert (
        summary(kill_view(Rung.WRITTEN, instances=receipts(Rung.WRITTEN, Rung.WRITTEN)))
        == "WRITTEN, none of 2 confirmed"
    )
    assert summary(kill_view(Rung.CONFIRMED, instances=receipts(Rung.CONFIRMED))) == "CONFIRMED 1 of 1"
    assert summary(kill_view()) == "IDLE"


async def test_a_silent_engine_is_unproven_by_name() -> None:
    rows = await drawn(kill_view(Rung.UNPROVEN, instances=receipts(Rung.CONFIRMED, Rung.UNPROVEN)))
    assert any("engine-2:9100 ● REQUESTED ● WRITTEN ? APPLIED ✗ UNPROVEN" in row for row in rows)
    names = [row.split()[0] for row in rows if row.startswith("engine-")]
    assert names == ["engine-2:9100", "engine-1:9100"]


async def test_a_large_fleet_is_counted_and_the_worst_are_named() -> None:
    view = kill_view(Rung.UNCONFIRMED, instances=receipts(Rung.UNCONFIRMED), total=5_000, confirmed=4_998)
    rows = await drawn(view)
    assert rows[0] == "KILL CONFIRMED 4998 of 5000"
    assert rows[-1] == "and 4999 more engines; the worst are named above"


async def test_hosts_that_did_not_do_their_part_are_named() -> None:
    done = [Delivery(f"command ssh on h{number}", True) for number in range(3)]
    view = kill_view(Rung.WRITTEN, deliveries=(*done, Delivery("command ssh on bad\x1b[2J", False, "hangs.")))
    rows = await drawn(view)
    assert "Delivered by 3 of 4 actuators." in rows
    assert " ✗ command ssh on bad␛[2J: hangs." in rows


async def test_a_kill_thrown_elsewhere_says_so() -> None:
    beside = "This clone's kill file says off: the kill was thrown elsewhere."
    rows = await drawn(kill_view(Rung.CONFIRMED, by_engines=True, beside=beside))
    assert beside in rows
