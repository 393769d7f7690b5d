"""Actions of the application: each key opens a screen or starts an action. Nothing here blocks."""

from __future__ import annotations

from textual.binding import Binding

from console.keys import MUTATING
from console.screens.view import ViewScreen
from console.watching import WatchingApp
from ml.stage import Stage
from ml.text import visible
from widgets.model_list import by_need


class ActingApp(WatchingApp):
    """Opens the screen for each action. A screen's module is imported when the screen is first shown."""

    kill_allowed = True
    """True when the kill key works in this session."""

    # --- what may be done ----------------------------------------------------------------------------------------
    def offers(self, action: str) -> bool:
        """Return True when this session offers an action."""
        name = action.removeprefix("app.").partition("(")[0]
        return self.kill_allowed if name == "kill" else not (self.read_only and name in MUTATING)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable keys that change something in a read-only session; pressing one explains why.

        Same for F9 with --no-kill.
        """
        return self.read_only if action == "explain" else action == "kill" or self.offers(action)

    def action_explain(self, what: str) -> None:
        """Explain why a key does nothing in this session."""
        broken = self.board.registry.problem if self.board is not None else ""
        why = broken or "this session is read-only. Start the console without --read-only."
        self.say(f"{what} is not possible: {why}")

    def get_key_display(self, binding: Binding) -> str:
        """Return a key's name as keyboards print it."""
        display = super().get_key_display(binding)
        return display.upper() if display[:1] == "f" and display[1:].isdigit() else display

    # --- pushed screens ------------------------------------------------------------------------------------------
    def action_promote(self) -> None:
        """Open the promotion wizard for the stage in focus, or for the next possible step."""
        from console.screens.promote.screen import PromoteScreen  # noqa: PLC0415

        stage = self.screen.stage if isinstance(self.screen, ViewScreen) else None
        to_stage = {Stage.STAGING: Stage.SHADOW, Stage.SHADOW: Stage.ACTIVE}.get(stage) if stage else None
        if self._has_model():
            self.push_screen(PromoteScreen(self.model_name, to_stage))

    def action_rollback(self) -> None:
        """Open the rollback screen for the chosen model."""
        from console.screens.rollback import RollbackScreen  # noqa: PLC0415

        if self._has_model():
            self.push_screen(RollbackScreen(self.model_name))

    def action_stage(self) -> None:
        """Open the screen that puts an artifact into staging. It works without any model too."""
        from console.screens.change import StageScreen  # noqa: PLC0415

        views = [self.model.stage(stage) for stage in Stage] if self.model is not None else []
        near = next((view.artifact_dir for view in views if view.artifact_dir), "")
        self.push_screen(StageScreen(self.model_name, near))

    def action_withdraw(self) -> None:
        """Open the withdrawal screen for the stage in focus, or for the stage that holds an artifact."""
        from console.screens.change import WithdrawScreen  # noqa: PLC0415

        if self.model is None:
            self.say("There is no model yet, so there is nothing to withdraw.")
            return
        filled = [stage for stage in (Stage.STAGING, Stage.SHADOW) if self.model.stage(stage).artifact_id]
        meant = self.screen.stage if isinstance(self.screen, ViewScreen) else None
        if meant is Stage.ACTIVE:
            self.say("An active model is rolled back, not withdrawn: r.")
        elif meant is not None and meant not in filled:
            self.say(f"There is nothing to withdraw: {meant} is empty.")
        elif meant is None and len(filled) != 1:
            self.say("Go to staging or shadow first (h, l)." if filled else "Staging and shadow are empty.")
        else:
            self.push_screen(WithdrawScreen(self.model_name, meant or filled[0]))

    def action_compare(self) -> None:
        """Compare the chosen model's newest artifact with the one in the next stage."""
        from console.screens.compare import CompareScreen  # noqa: PLC0415

        views = [self.model.stage(stage) for stage in Stage] if self.model is not None else []
        found = [view.artifact_dir for view in views if view.artifact_dir]
        if len(found) < 2:
            self.say("There is nothing to compare: fewer than two stages hold an artifact.")
        else:
            self.push_screen(CompareScreen(found[-2], found[-1]))

    def action_review(self) -> None:
        """Show charts of the chosen model's last 24 hours."""
        from console.screens.review import ReviewScreen  # noqa: PLC0415

        if self._has_model():
            self.push_screen(ReviewScreen(self.model_name))

    def action_help(self) -> None:
        """Show the keys of the open screen."""
        from console.screens.help import HelpScreen  # noqa: PLC0415

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def _has_model(self) -> bool:
        if self.model is None:
            self.say("There is no model yet. Put one into staging: s.")
        return self.model is not None

    def action_release(self) -> None:
        """Open the screen that releases the kill switch."""
        from console.screens.kill import ReleaseScreen  # noqa: PLC0415

        self.push_screen(ReleaseScreen())

    # --- views ---------------------------------------------------------------------------------------------------
    async def action_view(self, name: str) -> None:
        """Switch to a view."""
        await self.switch_mode(name)
        self._seen("view")  # A failed poll of the previous view is shown again when that view is opened.
        self.look()

    async def go_to(self, model: str, stage: Stage) -> None:
        """Show one stage of a model."""
        self.select(model)
        await self.action_view("stages")
        self.screen.set_focus(self.screen.query_one(f"#{stage.value}"))

    async def action_filter(self) -> None:
        """Open the view's filter."""
        if isinstance(self.screen, ViewScreen):
            await self.screen.start_filter()

    def action_copy(self) -> None:
        """Copy the chosen item with OSC 52."""
        if isinstance(self.screen, ViewScreen) and (text := self.screen.chosen_text()):
            self.copy_to_clipboard(text)
            self.say(f"Copied: {visible(text, limit=60)}")

    def action_model(self, by: int) -> None:
        """Choose the previous or next model."""
        names = [each.model.name for each in by_need(self.models)]
        if names:
            self.select(names[(names.index(self.model_name) + by) % len(names)])

    def action_mouse(self) -> None:
        """Use the mouse in the console, or leave it to the terminal."""
        toggle = getattr(self._driver, "toggle_mouse", None)
        if toggle is None:
            self.say("The mouse cannot be switched in this session.")
        else:
            self.say(
                "The console uses the mouse now."
                if toggle()
                else "The terminal has the mouse again, for selecting text."
            )

    def action_refresh(self) -> None:
        """Poll everything now."""
        self._lookout.hurry()
