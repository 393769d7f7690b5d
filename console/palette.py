"""The palette: every action, model and artifact by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from console.keys import APP_BINDINGS
from ml.stage import Stage
from ml.text import visible

if TYPE_CHECKING:
    from console.app import ConsoleApp

_HIDDEN = frozenset({"palette", "palette.colon", "quit.help"})


class _Command(NamedTuple):
    name: str
    help: str
    run: Callable[[], object]


class ConsoleCommands(Provider):
    """Offers the actions that this session has, and ways to each model and artifact of the board."""

    @property
    def console(self) -> ConsoleApp:
        """The application."""
        return cast("ConsoleApp", self.app)

    async def discover(self) -> Hits:
        """All actions, before anything is typed."""
        for command in self._actions():
            yield DiscoveryHit(Content(command.name), command.run, command.name, command.help)

    async def search(self, query: str) -> Hits:
        """Whatever matches, best first."""
        matcher = self.matcher(query)
        for command in (*self._actions(), *self._places()):
            if (score := matcher.match(command.name)) > 0:
                yield Hit(score, matcher.highlight(command.name), command.run, command.name, command.help)

    def _actions(self) -> Iterator[_Command]:
        for binding in APP_BINDINGS:
            if binding.id not in _HIDDEN and self.console.offers(binding.action):
                run = partial(self.app.run_action, binding.action)
                yield _Command(f"{binding.description} ({self.app.get_key_display(binding)})", binding.tooltip, run)

    def _places(self) -> Iterator[_Command]:
        for model in self.console.models:
            name = visible(model.name, limit=80)
            yield _Command(f"model {name}", "Look at this model", partial(self.console.select, model.name))
            for stage in Stage:
                if artifact := model.stage(stage).artifact_id:
                    go = partial(self.console.go_to, model.name, stage)
                    yield _Command(f"artifact {visible(artifact, limit=80)}", f"{name}, {stage}", go)
