"""The four views as a person uses them: by keys, on a fake session, with a frozen clock."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from fakes import (
    LIVE,
    SOAKING,
    FakeSession,
    FrozenClock,
    ago,
    board,
    healthy_model,
    kill_view,
    many_models,
    model_view,
    p99,
    soak_report,
)
from support.views import console, console_of, settled, told
from support.walk import reads, reads_soon, shown_on, until
from textual.message import Message
from textual.widgets import Input

from console.app import ConsoleApp
from console.keys import KILL_KEY, keymap_of, kill_keys
from console.messages import BoardArrived
from console.screens.change import StageScreen, WithdrawScreen
from console.screens.compare import CompareScreen
from console.screens.help import HelpScreen
from console.screens.kill import KillScreen, ReleaseScreen
from console.screens.promote.screen import PromoteScreen
from console.screens.rollback import RollbackScreen
from console.screens.stages import StagesScreen
from ml.board import Board, Problem, Rung
from ml.errors import Unavailable, Usage
from ml.stage import Stage
from widgets.slo_gauge import SloGauges

MUTATING_KEYS = ("p", "r", "u", "s", "w")


class Written(Message):
    """What a write answers in these tests."""


# --- first frame and data --------------------------------------------------------------------------------------------
async def test_the_first_frame_names_artifacts_and_claims_nothing() -> None:
    session = FakeSession()
    with session.held("board"):
        app = ConsoleApp(session, FrozenClock(), environment="prod", production=True)
        async with app.run_test(size=(80, 24)) as pilot:
            await reads_soon(pilot, LIVE)
            assert reads(pilot, "!PROD! RW")
            assert reads(pilot, "checking …")
            for claim in ("PASS", "LIVE", "serving", "KILL off", "prom OK"):
                assert not reads(pilot, claim), claim


async def test_the_board_fills_panes_gauges_gate_and_header() -> None:
    async with console() as pilot:
        for words in (
            "!PROD! RW │ regime_classifier │ d3e950d 15s │ prom OK 5s │ KILL off │ 14:02:11Z",
            "SHADOW · BREACHED", "ACTIVE · LIVE", SOAKING, "soak 18h22m/24h", "serving",
            "GATE shadow→active · window 24h · BLOCKED: 1 FAIL · 1 NO DATA · 3 WAIT",
            "✗ FAIL error_rate 6.3 % < 5 %",
            "OPEN promote regime_v2026_02_16_001 → active pushed by developer@example.com",
        ):  # fmt: skip
            assert reads(pilot, words), words


async def test_a_hanging_source_blocks_neither_keys_nor_clock() -> None:
    session = FakeSession()
    async with console(session) as pilot:
        app = console_of(pilot)
        with session.held("board"), session.held("soak"), session.held("fetch"):
            app.action_refresh()
            await pilot.press("2")
            await reads_soon(pilot, "asking for the soak of")
            await pilot.press("1")
            await reads_soon(pilot, "GATE shadow→active")


async def test_a_failed_poll_keeps_what_is_shown_and_says_why() -> None:
    session = FakeSession()
    async with console(session) as pilot:
        session.failures["board"] = Unavailable("The registry cannot be read.", "Check the repository.")
        console_of(pilot).action_refresh()
        await reads_soon(pilot, "! board: The registry cannot be read. Check the repository.")
        assert reads(pilot, "42.1 ms")
        del session.failures["board"]
        console_of(pilot).action_refresh()
        await until(pilot, lambda: not reads(pilot, "cannot be read"))


async def test_an_empty_registry_says_how_to_begin() -> None:
    empty = replace(board(), models=())
    async with console(FakeSession(empty)) as pilot:
        assert reads(pilot, "mlconsole stage DIR --model NAME")
        await pilot.press("p")
        assert isinstance(pilot.app.screen, type(pilot.app.screen_stack[0]))


async def test_problems_are_one_line_and_counted() -> None:
    problems = (Problem("ml/registry", "Line 3: duplicate key.", "Fix it."), Problem("x", "y"))
    async with console(FakeSession(board(problems=problems))) as pilot:
        assert reads(pilot, "! ml/registry: Line 3: duplicate key. Fix it. (+1 more)")


async def test_an_equal_board_repaints_nothing_but_ages() -> None:
    async with console() as pilot:
        app = console_of(pilot)
        before = shown_on(pilot)
        repainted: list[object] = []
        gauges = app.screen.query_one(SloGauges)
        gauges.refresh_line = repainted.append  # type: ignore[method-assign, assignment]
        app.take(BoardArrived(board()))
        await pilot.pause()
        assert repainted == []
        assert shown_on(pilot) == before


# --- keys ------------------------------------------------------------------------------------------------------------
async def test_number_keys_open_the_four_views() -> None:
    async with console() as pilot:
        for key, words in (("2", "coverage 99.4 %"), ("3", "newest first"), ("4", "AUDIT LOG"), ("1", "GATE")):
            await pilot.press(key)
            await reads_soon(pilot, words)


async def test_keys_push_the_screens_that_do_things() -> None:
    async with console() as pilot:
        for key, kind in (
            ("p", PromoteScreen), ("r", RollbackScreen), ("u", ReleaseScreen), ("c", CompareScreen),
            ("s", StageScreen), ("w", WithdrawScreen),
            ("question_mark", HelpScreen), ("f1", HelpScreen),
        ):  # fmt: skip
            await pilot.press(key)
            await until(pilot, lambda kind=kind: isinstance(pilot.app.screen, kind))  # type: ignore[misc]
            await pilot.press("escape")
            await until(pilot, lambda: len(pilot.app.screen_stack) == 1)


async def test_promote_means_the_stage_in_focus() -> None:
    session = FakeSession()
    async with console(session) as pilot:
        pilot.app.screen.query_one("#staging").focus()
        await pilot.press("p")
        await until(pilot, lambda: session.called("target"))
        assert ("target", "regime_classifier", Stage.SHADOW) in session.calls


async def test_promote_means_the_stage_that_the_key_before_went_to() -> None:
    session = FakeSession()
    async with console(session) as pilot:
        screen = cast("StagesScreen", pilot.app.screen)
        for by, stage in ((-1, Stage.STAGING), (1, Stage.SHADOW), (1, Stage.ACTIVE), (-1, Stage.SHADOW)):
            screen.action_pane(by)
            assert screen.stage is stage  # no message was handled in between
            assert screen.query_one("StagePane.-current").id == stage


async def test_the_header_of_a_task_names_the_model_that_it_is_about() -> None:
    session = FakeSession(board(healthy_model("regime_a"), healthy_model("regime_b")))
    async with console(session) as pilot:
        app = console_of(pilot)
        app.select("regime_a")
        await pilot.press("p")
        await reads_soon(pilot, "Promote regime_a")
        app.select("regime_b")
        await pilot.pause()
        assert "regime_a" in shown_on(pilot)[0]
        await pilot.press("escape")
        await until(pilot, lambda: "regime_b" in shown_on(pilot)[0])


async def test_f9_throws_the_switch_over_every_screen_and_input() -> None:
    for keys in ((), ("p",), ("slash", "a"), ("ctrl+p",)):
        session = FakeSession()
        async with console(session) as pilot:
            await pilot.press(*keys)
            await pilot.pause()
            await pilot.press("f9")
            await until(pilot, lambda o=session: o.called("kill") == 1)  # type: ignore[misc]
            await until(pilot, lambda: isinstance(pilot.app.screen, KillScreen))
            await reads_soon(pilot, "KILL ON")
            await pilot.press("escape")


async def test_receipts_are_read_back_until_they_are_proven() -> None:
    session = FakeSession()
    async with console(session) as pilot:
        await pilot.press("f9")
        await until(pilot, lambda: session.called("kill_view") >= 1)
        session.kill_state = kill_view(Rung.CONFIRMED)
        await reads_soon(pilot, "CONFIRMED 2 of 2")


async def test_an_older_board_does_not_hide_a_newer_kill() -> None:
    session = FakeSession()
    async with console(session) as pilot:
        await pilot.press("f9")
        await reads_soon(pilot, "KILL ON")
        console_of(pilot).take(BoardArrived(board()))
        await pilot.pause()
        assert reads(pilot, "KILL ON")


async def test_with_the_switch_on_the_stages_offer_the_release() -> None:
    session = FakeSession(board(kill=kill_view(Rung.CONFIRMED)))
    async with console(session) as pilot:
        await reads_soon(pilot, "u Release")
        assert not reads(pilot, "p Promote")
        # Every later look sees it off; this board is younger than the look at the switch on its own.
        session.kill_state, session.shown = kill_view(), board(as_of=ago(-1))
        console_of(pilot).take(BoardArrived(session.shown))
        await reads_soon(pilot, "p Promote")


async def test_a_session_without_the_kill_key_says_so() -> None:
    session = FakeSession()
    async with console(session, kill_key=False) as pilot:
        assert not reads(pilot, "F9 KILL")
        await pilot.press("f9")
        await until(pilot, lambda: "--no-kill" in told(pilot))
        assert session.called("kill") == 0
        pilot.app.clear_notifications()
        await until(pilot, lambda: "--no-kill" not in " ".join(shown_on(pilot)))
        await pilot.press("f1")
        await reads_soon(pilot, "Everywhere")
        assert not reads(pilot, "F9")


async def test_a_read_only_session_has_no_mutating_keys_and_says_why() -> None:
    session = FakeSession(board(read_only=True))
    async with console(session, read_only=True) as pilot:
        assert reads(pilot, "!PROD! RO")
        assert not reads(pilot, "p Promote")
        for key in MUTATING_KEYS:
            await pilot.press(key)
            await until(pilot, lambda: "this session is read-only" in told(pilot))
            assert len(pilot.app.screen_stack) == 1
            pilot.app.clear_notifications()
            await pilot.pause()
        await pilot.press("f9")
        await until(pilot, lambda: session.called("kill") == 1)


@pytest.mark.parametrize("key", ["f8", "f9"])
async def test_a_keymap_moves_keys_and_only_adds_to_the_kill_key(key: str) -> None:
    session = FakeSession()
    async with console(session, keymap={"promote": "P", "kill": "f8", "help": "f9,h"}) as pilot:
        assert reads(pilot, "P Promote")
        await pilot.press("p")
        assert len(pilot.app.screen_stack) == 1
        assert console_of(pilot).kill_keys == {"f9", "f8"}
        assert reads(pilot, "F9 KILL")
        await pilot.press(key)
        await until(pilot, lambda: session.called("kill") == 1)


@pytest.mark.parametrize("key", ["k", "enter", "space", "question_mark", "ctrl+m", "ctrl+i", "escape", "shift+a"])
def test_a_key_that_could_be_typed_or_pasted_is_no_kill_key(key: str) -> None:
    with pytest.raises(Usage, match="could be typed or pasted"):
        ConsoleApp(FakeSession(), FrozenClock(), keymap={"kill": key})


@pytest.mark.parametrize(
    "keymap", [{}, {"kill": ""}, {"kill": "f8"}, {"quit": "f9"}, {"kill": " , "}, {"help.f1": "f9"}]
)
def test_no_keymap_takes_f9_from_the_kill_switch(keymap: dict[str, str]) -> None:
    assert "f9" in kill_keys(keymap)
    keys = keymap_of(keymap)
    assert "f9" in keys.get("kill", KILL_KEY).split(",")
    assert not [name for name, listed in keys.items() if name != "kill" and "f9" in listed.split(",")]


def test_every_binding_has_an_id_words_and_a_tooltip() -> None:
    bindings = [binding for _, binding in ConsoleApp(FakeSession(), FrozenClock())._bindings]
    named = [binding for binding in bindings if not binding.action.startswith("explain")]
    assert [binding.key for binding in named if not (binding.id and binding.description and binding.tooltip)] == []


def test_an_unknown_theme_is_refused_with_the_known_names() -> None:
    with pytest.raises(Usage) as caught:
        ConsoleApp(FakeSession(), FrozenClock(), theme="drak")
    assert "mlconsole-dark" in caught.value.remedy


async def test_quitting_warns_while_a_write_runs_and_then_waits_for_it() -> None:
    session = FakeSession()
    async with console(session) as pilot:
        app = console_of(pilot)
        with session.held("push"):
            app.jobs.start(
                app, lambda: session.changes.push("b"), done=lambda _: Written(), failed=lambda _: Written(),
                name="push b", writes=True,
            )  # fmt: skip
            await pilot.press("q")
            await until(pilot, lambda: "Still writing: push b" in told(pilot))
            assert app.return_code is None
            await pilot.press("q")
            await pilot.pause()
            assert app.return_code is None
        await until(pilot, lambda: app.return_code == 0)


async def test_copy_sends_what_is_chosen_to_the_clipboard() -> None:
    async with console() as pilot:
        pilot.app.screen.query_one("#active").focus()
        await pilot.press("y")
        assert pilot.app.clipboard == LIVE
        await pilot.press("2")
        await settled(pilot)
        await pilot.press("y")
        assert pilot.app.clipboard.splitlines() == list(soak_report().queries)


async def test_the_palette_finds_actions_models_and_artifacts() -> None:
    models = board(model_view(), healthy_model("spacing"))
    for key in ("ctrl+p", "colon"):
        async with console(FakeSession(models)) as pilot:
            await pilot.press(key, *"spacing")
            await reads_soon(pilot, "model spacing")
            await pilot.press("enter")
            await until(pilot, lambda: console_of(pilot).model_name == "spacing")
            await pilot.press(key, *"artifact 02_15")
            await reads_soon(pilot, f"artifact {LIVE}")
            await pilot.press("enter")
            await until(pilot, lambda: getattr(pilot.app.focused, "stage", None) is Stage.ACTIVE)


async def test_the_palette_names_a_configuration_that_does_not_count() -> None:
    told = Problem("configuration", "console.toml is not trusted; left out: [prometheus].", "Run `mlconsole trust`.")
    async with console(FakeSession(replace(board(), problems=(told,)))) as pilot:
        await settled(pilot)
        await pilot.press("colon", *"trust")
        await reads_soon(pilot, "trust: something in the configuration does not count")
        await pilot.press("enter")
        await until(pilot, lambda: told.remedy in "".join(each.message for each in pilot.app._notifications))
    async with console(FakeSession(board())) as pilot:
        await pilot.press("colon", *"trust")
        await reads_soon(pilot, "No matches found")


async def test_a_read_only_palette_offers_nothing_that_changes() -> None:
    async with console(FakeSession(board(read_only=True)), read_only=True) as pilot:
        await pilot.press("ctrl+p", *"promote")
        await pilot.pause()
        await reads_soon(pilot, "No matches found")


# --- many models -----------------------------------------------------------------------------------------------------
async def test_models_that_need_somebody_come_first_and_are_chosen() -> None:
    async with console(FakeSession(many_models(200))) as pilot:
        assert console_of(pilot).model_name == "model_0007"
        await pilot.press("down")
        assert console_of(pilot).model_name == "model_0057"
        await reads_soon(pilot, "│ model_0057 │")


async def test_the_filter_finds_and_escape_shows_all_again() -> None:
    async with console(FakeSession(many_models(200))) as pilot:
        await pilot.press("slash", *"0142")
        await until(pilot, lambda: console_of(pilot).model_name == "model_0142")
        # A blinking cursor would repaint twice a second for as long as somebody types, over SSH too.
        assert not pilot.app.screen.query_one("#filter", Input).cursor_blink
        await pilot.press("enter")
        assert pilot.app.focused is pilot.app.screen.query_one("#models")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen.query_one("#models").count == 200)  # type: ignore[attr-defined]
        assert console_of(pilot).model_name == "model_0142"


async def test_brackets_step_through_models_in_every_view() -> None:
    models = board(healthy_model("a"), healthy_model("b"))
    async with console(FakeSession(models)) as pilot:
        await pilot.press("3", "right_square_bracket")
        await reads_soon(pilot, "HISTORY b")
        await pilot.press("left_square_bracket")
        await reads_soon(pilot, "HISTORY a")


async def test_a_chosen_model_stays_chosen_over_polls() -> None:
    session = FakeSession(board(healthy_model("a"), healthy_model("b")))
    async with console(session) as pilot:
        console_of(pilot).select("b")
        session.shown = board(model_view("worst"), healthy_model("a"), healthy_model("b"))
        console_of(pilot).action_refresh()
        await until(pilot, lambda: len(console_of(pilot).models) == 3)
        assert console_of(pilot).model_name == "b"


# --- views -----------------------------------------------------------------------------------------------------------
async def test_history_filters_and_shows_the_chosen_event_whole() -> None:
    async with console() as pilot:
        await pilot.press("3")
        await settled(pilot)
        await pilot.press("slash", *"emergency", "enter")
        await reads_soon(pilot, "EMERGENCY: p99 latency spike to 500ms after promotion")
        assert not reads(pilot, "Soak passed")
        assert any(line.startswith("▸ ") and "rollback" in line for line in shown_on(pilot))


async def test_the_log_shows_lines_and_the_chosen_one_whole() -> None:
    async with console() as pilot:
        await pilot.press("4")
        await settled(pilot)
        await pilot.press("j")
        await reads_soon(pilot, "CONFIRMED on 2 instances")


async def test_the_soak_of_another_model_is_not_shown() -> None:
    session = FakeSession(board(healthy_model("a"), healthy_model("b")))
    async with console(session) as pilot:
        await pilot.press("2")
        await settled(pilot)
        with session.held("soak"):
            await pilot.press("right_square_bracket")
            await reads_soon(pilot, "asking for the soak of")
        await reads_soon(pilot, "coverage 99.4 %")
        assert console_of(pilot).soak is not None
        assert console_of(pilot).soak.model == "b"  # type: ignore[union-attr]


# --- sizes -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(59, 24), (80, 15), (1, 1), (10, 3)])
async def test_a_tiny_terminal_gets_a_sentence(size: tuple[int, int]) -> None:
    async with console(size=size) as pilot:
        assert not pilot.app.screen.query_one("#body").display
        if size[0] > 20:
            assert reads(pilot, "`mlconsole status` shows the same as text.")


async def test_a_narrow_terminal_shows_one_pane_and_arrows_change_it() -> None:
    async with console(size=(70, 24)) as pilot:
        assert reads(pilot, "SHADOW · BREACHED")
        assert not reads(pilot, "ACTIVE · LIVE")
        await pilot.press("right")
        await reads_soon(pilot, "ACTIVE · LIVE")
        assert not reads(pilot, "SHADOW · BREACHED")


async def test_any_size_is_survived_with_a_screen_open() -> None:
    async with console() as pilot:
        await pilot.press("p")
        for width, height in ((1, 1), (240, 70), (59, 15), (80, 24), (3, 90), (200, 2), (80, 24)):
            await pilot.resize_terminal(width, height)
        await pilot.press("escape")
        await reads_soon(pilot, "GATE shadow→active")


# --- a monochrome or poor terminal -----------------------------------------------------------------------------------
async def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console() as pilot:
        styles = [segment.style for strip in pilot.app.screen._compositor.render_strips() for segment in strip]
        colors = [color for style in styles if style for color in (style.color, style.bgcolor) if color is not None]
        assert any(style and style.bold for style in styles)
        assert [color for color in colors if not color.is_default] == []


@pytest.mark.parametrize("view", ["1", "2", "3", "4"])
async def test_ascii_is_ascii_in_every_view(view: str) -> None:
    async with console(FakeSession(board(model_view(), healthy_model("b"))), ascii_only=True) as pilot:
        await pilot.press(view)
        await settled(pilot)
        text = "\n".join(shown_on(pilot))
        assert sorted(set(text) - set(map(chr, range(128)))) == []


async def test_hostile_text_in_every_field_is_only_shown() -> None:
    evil = "\x1b[31m[red]x[/]\u202e\x9b\x07"
    hostile: Board = board(
        model_view(
            evil,
            readings=(p99(name=evil, why=evil, query=evil),),
            problems=(Problem(evil, evil, evil),),
        ),
        operator=evil,
        environment=evil,
    )
    hostile = replace(hostile, registry=replace(hostile.registry, ref=evil, commit=evil))
    async with console(FakeSession(hostile)) as pilot:
        text = "".join(shown_on(pilot))
        assert "[red]x[/]" in text
        assert all(char.isprintable() for char in text)
