"""Message about a configuration from the repository that does not count because it is not trusted."""

import os
from typing import NamedTuple

from console.config import not_counting
from console.paths import user_file
from console.settings import Settings
from ml.errors import Usage
from ml.text import visible

_COMMAND = "`mlconsole trust`"
_MOST_NAMES = 6


class Untrusted(NamedTuple):
    """A message: one sentence of cause, one of remedy, and the names of the ignored settings (empty: unknown).

    ``kill`` is True when settings of the kill switch are, or may be, among them.
    """

    what: str
    remedy: str
    names: tuple[str, ...]

    @property
    def kill(self) -> bool:
        """True when the kill switch may write to another place than the file says."""
        return not self.names or any(name.startswith("kill_switch.") for name in self.names)


def untrusted(settings: Settings) -> tuple[Untrusted, ...]:
    """List the ignored parts of the repository's configuration, and of a user's file inside the repository."""
    messages = []
    if (ours := _repository(settings)) is not None:
        messages.append(ours)
    if settings.own_file_left_out:
        shown = visible(str(user_file()))
        what = f"Your file {shown} is inside the repository, where everybody who pushes can change it. Ignored:"
        remedy = "Move it out of the repository, or set XDG_CONFIG_HOME."
        messages.append(Untrusted(f"{what} {_listed(settings.own_file_left_out)}.", remedy, settings.own_file_left_out))
    return tuple(messages)


def _repository(settings: Settings) -> Untrusted | None:
    here = settings.standing
    if here is None or here.trusted:
        return None
    shown = _name(settings)
    remedy = f"Run {_COMMAND} to read it and to decide."
    if here.barred:
        remedy = f"{here.barred} Set XDG_STATE_HOME to another folder, then run {_COMMAND}."
    try:
        names = not_counting(here)
    except Usage as error:
        holds = "the content trusted last holds" if here.record else "the defaults hold"
        return Untrusted(f"{shown} is not trusted, and {holds}: {error.cause}", remedy, ())
    if not names:
        return None
    if here.record is None:
        return Untrusted(
            f"{shown} came with the repository and is not trusted. Ignored: {_listed(names)}.", remedy, names
        )
    since = f" on {here.record.at}" if here.record.at else ""
    if here.changed:
        programs = visible(", ".join(here.changed), limit=200)
        what = f"{programs}, which {shown} runs, is not what was trusted{since}; the kill switch does not run it."
        return Untrusted(what, f"Look at the program, then run {_COMMAND}.", names)
    what = f"{shown} is not what was trusted{since}, which holds until you trust the change of {_listed(names)}."
    return Untrusted(what, remedy, names)


def _name(settings: Settings) -> str:
    """Return the file's path in the repository, or its full path outside."""
    assert settings.standing is not None
    path = os.path.abspath(settings.standing.path)
    inside = os.path.relpath(path, os.path.abspath(settings.root))
    return visible(path if inside.startswith("..") else inside, limit=200)


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
