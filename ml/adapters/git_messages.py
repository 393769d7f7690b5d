"""The message of every commit that we write, with the lines that this clone, its owner and its server want in it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ml.adapters.git_runner import GitRunner, last_words
from ml.errors import Refused, TimedOut, Unavailable
from ml.promotion.repository import Person, trailers
from ml.promotion.trailers import Wording, completed, joined

HOOKS = ("prepare-commit-msg", "commit-msg")
"""The hooks that write or judge a message, in the order in which git runs them."""

_HOOK_S = 10.0
_WITHOUT = "Correct the hook, or leave the clone's hooks out once with MLCONSOLE_COMMIT_HOOKS=false."


class MessageWriter:
    """Completes messages by a `Wording` and by git's own ``format.signOff``."""

    def __init__(self, git: GitRunner, wording: Wording) -> None:
        self._git = git
        self._wording = wording

    def completed(self, message: str, author: Person, content: Sequence[str]) -> str:
        """The message as it is committed; ``content`` are the ids of its tree and parents.

        Raises:
            Refused: a hook of this clone refuses the message, takes too long, or removes a line of ours.
        """
        wording = self._wording
        if not wording.signoff and self.signs_off():
            wording = Wording(True, wording.trailers, wording.hooks)
        text = self._hooked(message, author) if wording.hooks else message
        return completed(text, wording, author, content)

    def signs_off(self) -> bool:
        """True if every message gets a ``Signed-off-by``, by the configuration or by git's ``format.signOff``."""
        if self._wording.signoff:
            return True
        return self._git.finished("config", "--type=bool", "--get", "format.signOff").out.strip() == b"true"

    def hooks_left_out(self) -> tuple[str, ...]:
        """The hooks of this clone that would change or judge a message, and that we do not run."""
        folder = Path("" if self._wording.hooks else self._folder())
        return tuple(name for name in HOOKS if folder.is_absolute() and (folder / name).is_file())

    def _folder(self) -> str:
        """The clone's folder of hooks; the runner's own ``core.hooksPath`` comes last in the list and is left out."""
        found = self._git.finished("config", "--type=path", "--null", "--get-all", "core.hooksPath").out
        named = found.decode("utf-8", "surrogateescape").split("\0")[:-2]
        if not named:
            asked = ("rev-parse", "--path-format=absolute", "--git-common-dir")
            return str(Path(self._git(*asked).decode("utf-8", "surrogateescape").rstrip("\n")) / "hooks")
        top = self._git.finished("rev-parse", "--path-format=absolute", "--show-toplevel")
        root = top.out.decode("utf-8", "surrogateescape").rstrip("\n") if top.code == 0 else str(self._git.path)
        return str(Path(root, named[-1]))

    def _hooked(self, message: str, author: Person) -> str:
        folder = self._folder()
        own = trailers(message)
        with tempfile.TemporaryDirectory(prefix="mlconsole-message-") as place:
            file = Path(place) / "COMMIT_EDITMSG"
            file.write_text(message, encoding="utf-8")
            for name, more in zip(HOOKS, (("message",), ()), strict=True):
                self._run(name, folder, author, (str(file), *more))
            text = joined(file.read_bytes().decode("utf-8", "replace"), own)
        kept = trailers(text)
        lost = next((key for key, value in own.items() if kept.get(key) != value), "")
        if lost:
            raise Refused(f"A hook of this clone changes the line {lost} of the commit message.", _WITHOUT)
        return text

    def _run(self, name: str, folder: str, author: Person, args: Sequence[str]) -> None:
        names = {f"GIT_{role}_NAME": author.name for role in ("AUTHOR", "COMMITTER")}
        mails = {f"GIT_{role}_EMAIL": author.email for role in ("AUTHOR", "COMMITTER")}
        try:
            ended = self._git.finished(
                *("hook", "run", "--ignore-missing", name, "--", *args),
                deadline_s=_HOOK_S,
                env={**names, **mails, "GIT_EDITOR": ":"},
                config=(f"core.hooksPath={folder}",),
            )
        except (TimedOut, Unavailable) as sick:
            raise Refused(f"The hook {name} of this clone did not end within {_HOOK_S:g} s.", _WITHOUT) from sick
        if ended.code != 0:
            words = last_words((ended.err or ended.out).decode("utf-8", "replace"))
            raise Refused(f"The hook {name} of this clone refuses the commit message: {words}.", _WITHOUT)
