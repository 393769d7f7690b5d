"""Snapshot of the last board in the state folder, which ``status --short`` may print without judging again.

The processes that poll boards (the interface, ``status --watch``, ``watch --follow``) replace it atomically after each
poll. It is valid for two polls, by the wall clock and by the machine's uptime, and only for the same version, registry
commit (which includes the policy), configuration and kill file. An outdated, torn or unknown snapshot is ignored, and
the board is judged again.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from console.version import __version__
from ml.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from console.settings import Settings
    from ml.board import Board

FILE = "status.json"
_FORMAT = 2
_MAX = 1 << 22
_POLLS = 2
_SECRETS = ("bearer_token", "password")
_LOOKED_AT = ("environment", "registry", "prometheus", "kill_switch", "alertmanager")


class Snapshot(NamedTuple):
    """Summary of a board: its verdict, the switch, each model with its word, and its age in seconds."""

    verdict: Verdict
    kill: str
    models: tuple[tuple[str, str], ...]
    age_s: float


def keep(settings: Settings, board: Board) -> None:
    """Replace the snapshot. A board with a soak that is still to be judged is not kept; disk errors are ignored."""
    # Imported here: a process that only reads snapshots judges nothing.
    from console.short import kill_word, words_of  # noqa: PLC0415
    from ml.judgement import board_verdict  # noqa: PLC0415
    from ml.records.durable import replace_file  # noqa: PLC0415

    if not whole(board):
        return
    body = {
        **_bound_to(settings, board.registry.commit),
        "as_of": board.as_of.timestamp(),
        "uptime": time.monotonic(),
        "verdict": board_verdict(board).value,
        "kill": kill_word(board.kill),
        "models": words_of(board),
    }
    try:
        replace_file(settings.state / FILE, _sealed(body), mode=0o600, lasting=False)
    except OSError:
        return


def whole(board: Board) -> bool:
    """Return True when every soak that can be judged was judged. While the source is silent, none can be."""
    from ml.board import SourceState  # noqa: PLC0415 as above

    waiting = any(model.shadow.artifact_id and model.soak is None for model in board.models)
    return bool(board.registry.commit) and not (waiting and board.prometheus.state is SourceState.OK)


def fresh(settings: Settings, now: float) -> Snapshot | None:
    """Return the snapshot if it is valid at ``now`` (Unix seconds), else ``None``: judge again."""
    body = _opened(_read(settings.state / FILE))
    commit = commit_at(settings.root, settings.registry.ref)
    if body is None or not commit:
        return None
    try:
        if any(body.get(name) != value for name, value in _bound_to(settings, commit).items()):
            return None
        age_s = now - float(body["as_of"])
        believed_s = _POLLS * settings.prometheus.poll_seconds
        # The wall clock may have been set back since; the other one cannot, but stands still while a machine sleeps.
        kept_s = time.monotonic() - float(body["uptime"])
        if not (0 <= age_s <= believed_s and 0 <= kept_s <= believed_s):
            return None
        models = tuple((str(name), str(word)) for name, word in body["models"])
        return Snapshot(Verdict(body["verdict"]), str(body["kill"]), models, age_s)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


# --- inputs that a snapshot is bound to -----------------------------------------------------------------------------
def _bound_to(settings: Settings, commit: str) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": __version__,
        "commit": commit,
        "configuration": _configuration(settings),
        "kill_file": _stamp(settings.resolve(settings.kill_switch.file)),
    }


def _configuration(settings: Settings) -> str:
    """Digest every setting that a verdict can depend on.

    Secrets are left out, because their digest could be guessed.
    """
    sections = {name: getattr(settings, name)._asdict() for name in _LOOKED_AT}
    for name in _SECRETS:
        del sections["prometheus"][name]
    return _digest(repr(sections).encode())


def _stamp(path: Path) -> str:
    """Return values that change when a file is replaced or written: the switch may have changed since."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return "none"
    except OSError:
        return "unknown"
    return f"{about.st_ino} {about.st_mtime_ns} {about.st_size}"


def commit_at(root: Path, ref: str) -> str:
    """Read the base branch's commit without running git; empty when plain files do not show it.

    Looked up as `ml.adapters.git_first` does: the last fetched commit, else the local branch of that name.
    """
    if ref.startswith("/") or ".." in ref:
        return ""
    branch = ref.partition("/")[2]
    names = [f"refs/remotes/{ref}"] if branch else []
    names += [f"refs/heads/{name}" for name in (ref, branch) if name]
    try:
        common = _common(root)
        return next(filter(None, (_loose(common, name) or _packed(common, name) for name in names)), "")
    except (OSError, ValueError):
        return ""


def _common(root: Path) -> Path:
    """Return the folder with the refs of a clone, a worktree or a bare repository."""
    folder = root / ".git"
    if folder.is_file():
        folder = root / folder.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        shared = folder / "commondir"
        return folder / shared.read_text(encoding="utf-8").strip() if shared.is_file() else folder
    return folder if folder.is_dir() else root


def _loose(common: Path, name: str) -> str:
    try:
        text = (common / name).read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""
    if not _is_commit(text):
        raise ValueError(f"{name} is symbolic")
    return text


def _packed(common: Path, name: str) -> str:
    try:
        lines = (common / "packed-refs").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return ""
    refs = (line.partition(" ") for line in lines if line.endswith(f" {name}"))
    return next((commit for commit, _, _ in refs if _is_commit(commit)), "")


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and set(text) <= set("0123456789abcdef")


# --- bytes -----------------------------------------------------------------------------------------------------------
def _sealed(body: dict[str, Any]) -> bytes:
    import json  # noqa: PLC0415 whoever finds no snapshot does not pay for it

    data = json.dumps(body, ensure_ascii=True).encode()
    return f"{_digest(data)}\n".encode() + data


def _opened(raw: bytes) -> dict[str, Any] | None:
    """Decode a snapshot after checking its digest."""
    import json  # noqa: PLC0415

    digest, _, data = raw.partition(b"\n")
    if not data or digest != _digest(data).encode():
        return None
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _digest(data: bytes) -> str:
    import hashlib  # noqa: PLC0415 as in `Settings.state`, which has loaded it

    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes:
    """Read a regular file that we own and nobody else may write. Other files read as empty."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        about = os.fstat(handle)
        ours = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o022
        if not ours or about.st_size > _MAX:
            return b""
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(_MAX)
    except OSError:
        return b""
    finally:
        os.close(handle)
