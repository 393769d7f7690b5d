"""The ACK field takes one phrase typed by hand, and nothing else."""

from __future__ import annotations

from support.widget_host import shown, staged, type_by_hand
from textual import events
from textual.containers import Vertical
from textual.widgets import Button

from widgets.ack_input import AckInput

PHRASE = "I_UNDERSTAND_THIS_AFFECTS_TRADING"


async def test_the_exact_phrase_and_enter_confirm_once() -> None:
    field = AckInput(PHRASE)
    async with staged(field) as stage:
        field.focus()
        await type_by_hand(stage.pilot, PHRASE)
        assert field.matches
        assert "matches" in shown(field)[2]
        await stage.pilot.press("enter", "enter", "enter")
        assert [message.phrase for message in stage.heard(AckInput.Confirmed)] == [PHRASE]


async def test_enter_is_inert_until_the_phrase_matches() -> None:
    field = AckInput(PHRASE)
    async with staged(field) as stage:
        field.focus()
        await stage.pilot.press("enter")
        await type_by_hand(stage.pilot, PHRASE[:-1])
        await stage.pilot.press("enter")
        assert not stage.heard(AckInput.Confirmed)
        assert field.typed == PHRASE[:-1]


async def test_nothing_is_trimmed_or_folded() -> None:
    for wrong in (PHRASE + " ", " " + PHRASE, PHRASE.lower(), PHRASE.replace("_", " ")):
        field = AckInput(PHRASE)
        async with staged(field) as stage:
            field.focus()
            await type_by_hand(stage.pilot, wrong)
            await stage.pilot.press("enter")
            assert not field.matches
            assert not stage.heard(AckInput.Confirmed)


async def test_the_first_wrong_letter_is_named_and_can_be_deleted() -> None:
    field = AckInput(PHRASE)
    async with staged(field) as stage:
        field.focus()
        await type_by_hand(stage.pilot, "I_UNDEX")
        assert "letter 7" in shown(field)[2]
        await stage.pilot.press("backspace")
        assert field.typed == "I_UNDE"
        assert "6 of 33 letters" in shown(field)[2]
        await stage.pilot.press("ctrl+u")
        assert field.typed == ""


async def test_the_hint_names_the_key_that_leads_from_the_focus_to_the_field() -> None:
    before, field, behind = Button("before"), AckInput(PHRASE), Button("behind")
    async with staged(Vertical(before, field, behind)) as stage:
        for button, key in ((behind, "Shift+Tab"), (before, "Tab")):
            button.focus()
            await stage.pilot.pause()
            assert shown(field)[2].strip().startswith(f"{key} leads here")
            await stage.pilot.press(key.lower())
            assert field.has_focus


async def test_a_bracketed_paste_is_refused_and_said() -> None:
    field = AckInput(PHRASE)
    async with staged(field) as stage:
        field.focus()
        await type_by_hand(stage.pilot, "I_")
        field.post_message(events.Paste(PHRASE))
        await stage.pilot.pause()
        assert field.typed == ""
        assert "Paste is refused" in shown(field)[2]


async def test_a_paste_without_brackets_comes_faster_than_hands_and_is_refused() -> None:
    field = AckInput(PHRASE)
    async with staged(field) as stage:
        field.focus()
        await type_by_hand(stage.pilot, PHRASE, gap_s=0.001)
        await stage.pilot.press("enter")
        assert field.typed == ""
        assert not stage.heard(AckInput.Confirmed)
        assert "too fast for typing" in shown(field)[2]


async def test_a_line_that_stood_still_for_a_second_does_not_make_typing_a_paste() -> None:
    field = AckInput(PHRASE)
    async with staged(field) as stage:
        field.focus()
        await type_by_hand(stage.pilot, PHRASE[:11], gap_s=0.001)
        await type_by_hand(stage.pilot, PHRASE[11:])
        assert field.matches


async def test_a_short_word_in_one_burst_is_a_paste_too() -> None:
    field = AckInput("RELEASE")
    async with staged(field) as stage:
        field.focus()
        await type_by_hand(stage.pilot, "RELEASE", gap_s=0.001)
        assert field.typed == ""


async def test_an_empty_phrase_matches_nothing() -> None:
    field = AckInput("")
    async with staged(field) as stage:
        field.focus()
        await stage.pilot.press("enter")
        assert not field.matches
        assert not stage.heard(AckInput.Confirmed)


async def test_changed_tells_when_it_starts_and_ceases_to_match() -> None:
    field = AckInput("ab")
    async with staged(field) as stage:
        field.focus()
        await type_by_hand(stage.pilot, "abc")
        await stage.pilot.press("backspace")
        assert [message.matches for message in stage.heard(AckInput.Changed)][-4:] == [False, True, False, True]


async def test_letters_stay_in_the_field_and_other_keys_reach_their_bindings() -> None:
    field = AckInput(PHRASE)
    async with staged(field) as stage:
        field.focus()
        await stage.pilot.press("f9", "a", "escape")
        assert stage.pressed == ["f9", "escape"]
        assert field.typed == "a"
