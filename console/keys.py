"""Table of the global keys: binding id for the user's keymap, key, action, and description."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from ml.errors import Usage
from ml.stage import Stage
from ml.text import visible

if TYPE_CHECKING:
    from textual.fuzzy import Matcher

    from console.protocol import Console


KILL_KEY = "f9"
_NO_TEXT = re.compile(r"(?:(?:ctrl|alt|shift|super|meta|hyper)\+)*f\d{1,2}|(?:ctrl|alt)\+[a-z]")
_TYPED = frozenset({"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+c", "ctrl+q"})
"""Control keys that are other names of Backspace, Tab, new line and Enter, and the keys that leave a screen."""

MUTATING = frozenset({"promote", "rollback", "release", "stage", "withdraw"})
"""Actions that a read-only session does not have."""

APP_BINDINGS = (
    Binding("1", "view('stages')", "Stages", id="view.stages", tooltip="Artifacts by stage, and the SLO gauges"),
    Binding("2", "view('soak')", "Soak", id="view.soak", tooltip="The 24 h soak window by window"),
    Binding("3", "view('history')", "History", id="view.history", tooltip="Every promotion and rollback of the model"),
    Binding("4", "view('log')", "Log", id="view.log", tooltip="The audit log of this machine"),
    Binding("5", "view('changes')", "Changes", id="view.changes", show=False,
            tooltip="Open changes of all models, each with its rungs up to serving"),
    Binding("p", "promote", "Promote", id="promote", tooltip="Promote one stage up: staging → shadow → active"),
    Binding("r", "rollback", "Rollback", id="rollback", tooltip="Roll active back to the previous artifact; no ACK"),
    Binding("s", "stage", "Stage", id="stage", tooltip="Put an artifact directory into a model's staging", show=False),
    Binding("w", "withdraw", "Withdraw", id="withdraw", tooltip="Clear the staging or shadow in focus", show=False),
    Binding("u", "release", "Release", id="release", tooltip="Release the kill switch", show=False),
    Binding("c", "compare", "Compare", id="compare", tooltip="Compare two artifacts", show=False),
    Binding("v", "review", "Review", id="review", show=False,
            tooltip="Charts of the last 24 h, shadow against active"),
    Binding(
        KILL_KEY, "kill", "KILL", id="kill", tooltip="Engage the kill switch now, without a question", priority=True,
        key_display="F9",
    ),
    Binding("question_mark", "help", "Keys", id="help", tooltip="All keys of this screen, in the runbook's words"),
    Binding("f1", "help", "Keys", id="help.f1", tooltip="The same, also while you type", show=False,
            priority=True, key_display="F1"),
    Binding("slash", "filter", "Filter", id="filter", tooltip="Filter the list of this view", show=False),
    Binding("y", "copy", "Copy", id="copy", tooltip="Copy the chosen row to the clipboard (OSC 52)", show=False),
    Binding("left_square_bracket", "model(-1)", "Previous model", id="model.before", tooltip="Show the previous model",
            show=False),
    Binding("right_square_bracket", "model(1)", "Next model", id="model.next", tooltip="Show the next model",
            show=False),
    Binding("f5", "refresh", "Refresh", id="refresh", tooltip="Ask Prometheus and the remote now", show=False),
    Binding("m", "mouse", "Mouse", id="mouse", tooltip="Mouse for the console, or for selecting text",
            show=False),
    Binding("ctrl+p", "command_palette", "Palette", id="palette", tooltip="Every action, model and artifact by name",
            show=False, priority=True),
    Binding("colon", "command_palette", "Palette", id="palette.colon", tooltip="The same palette", show=False),
    Binding("p", "explain('A promotion')", id="promote", show=False),
    Binding("r", "explain('A rollback')", id="rollback", show=False),
    Binding("u", "explain('A release')", id="release", show=False),
    Binding("s", "explain('Staging')", id="stage", show=False),
    Binding("w", "explain('A withdrawal')", id="withdraw", show=False),
    Binding("q", "quit", "Quit", id="quit", tooltip="Leave; engines and models keep running", show=False),
    Binding("ctrl+q", "quit", "Quit", id="quit.ctrl", tooltip="Leave, also while you type", show=False,
            priority=True, system=True),
    Binding("ctrl+c", "help_quit", "Quit", id="quit.help", tooltip="Say how to quit", show=False, system=True),
)  # fmt: skip

FOOTER = ("view.stages", "view.soak", "view.history", "view.log", "promote", "rollback", "kill", "help")
"""Ids of the keys in the footer, at most eight."""

FOOTER_KILLED = tuple("release" if name == "promote" else name for name in FOOTER)
"""Footer while the kill switch is not off: promotion is blocked, so the release key takes its place."""

FOOTER_READ_ONLY = (*FOOTER[:4], "copy", "filter", "kill", "help")


def kill_keys(configured: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys that engage the kill switch: F9 always, and the keys that the keymap (binding id → keys) adds.

    Raises:
        Usage: a further kill key is one that typing or pasting sends.
    """
    added = [key for key in _keys(configured.get("kill", "")) if key != KILL_KEY]
    for key in added:
        if not _NO_TEXT.fullmatch(key) or key in _TYPED:
            remedy = "Use a function key, or ctrl or alt with a letter."
            raise Usage(f"The kill key {visible(key)!r} could be typed or pasted by accident.", remedy)
    return (*added, KILL_KEY)  # The footer shows the last key.


def keymap_of(configured: Mapping[str, str]) -> dict[str, str]:
    """Return the keymap with the kill keys reserved: no other binding gets one of them. Raises as `kill_keys`."""
    kill = kill_keys(configured)
    others = {name: [key for key in _keys(keys) if key not in kill] for name, keys in configured.items()}
    keymap = {name: ",".join(keys) for name, keys in others.items() if keys and name != "kill"}
    return keymap | ({"kill": ",".join(kill)} if len(kill) > 1 else {})


def _keys(listed: str) -> list[str]:
    return [key for each in listed.split(",") if (key := each.strip())]


# Command palette: every action, model and artifact by name.

_HIDDEN = frozenset({"palette", "palette.colon", "quit.help"})


class _Command(NamedTuple):
    name: str
    help: str
    run: Callable[[], object]


def _marked(matcher: Matcher, name: str) -> Content:
    """Return a name with its matching letters marked. `Matcher.highlight` would read brackets in it as markup."""
    content = Content(name)
    for offset in matcher.fuzzy_search.match(matcher.query, name)[1]:
        if not name[offset].isspace():
            content = content.stylize(matcher.match_style, offset, offset + 1)
    return content


class ConsoleCommands(Provider):
    """Offers the session's actions, and every model and artifact of the board."""

    @property
    def console(self) -> Console:
        """The application."""
        return cast("Console", self.app)

    async def discover(self) -> Hits:
        """Yield all actions, before anything is typed."""
        for command in self._actions():
            yield DiscoveryHit(Content(command.name), command.run, command.name, command.help)

    async def search(self, query: str) -> Hits:
        """Yield the matching entries, best match first."""
        matcher = self.matcher(query)
        for command in (*self._actions(), *self._places()):
            if (score := matcher.match(command.name)) > 0:
                yield Hit(score, _marked(matcher, command.name), command.run, command.name, command.help)

    def _actions(self) -> Iterator[_Command]:
        for binding in APP_BINDINGS:
            if binding.id not in _HIDDEN and self.console.offers(binding.action):
                run = partial(self.app.run_action, binding.action)
                yield _Command(f"{binding.description} ({self.app.get_key_display(binding)})", binding.tooltip, run)

        for each in self.console.problems:
            if each.where == "configuration":
                words = f"{each.what} {each.remedy}"
                notify = partial(self.app.notify, words, title="Configuration", severity="warning", markup=False)
                yield _Command("trust: something in the configuration does not count", words, notify)

    def _places(self) -> Iterator[_Command]:
        for each in self.console.changes or ():
            open_it = partial(self.console.open_change, each.subject.branch)
            branch = visible(each.subject.branch, limit=120)
            yield _Command(f"change {branch}", f"Stands at {each.highest.rung.value.upper()}", open_it)
        for model in self.console.models:
            name = visible(model.name, limit=80)
            yield _Command(f"model {name}", "Look at this model", partial(self.console.select, model.name))
            for stage in Stage:
                if artifact := model.stage(stage).artifact_id:
                    go = partial(self.console.go_to, model.name, stage)
                    yield _Command(f"artifact {visible(artifact, limit=80)}", f"{name}, {stage}", go)
