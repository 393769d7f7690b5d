"""The registry in the first frame: one git process, and only imports that the first frame needs.

`ml.adapters.git.Repository` reads everything carefully a moment later. No verdict uses this first read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ml.adapters.git_runner import REFETCH, GitRunner, failure, plain
from ml.board import Glance
from ml.errors import ConsoleError, Invalid, Unavailable
from ml.registry.glance import glance_models
from ml.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from ml.ports import Runner


_MOST = 800 << 20
"""More than three registries of the largest size that is read: each of three branches may hold one."""


class FirstFound(NamedTuple):
    """A file as the base branch has it: the ref as found, its commit, and the bytes, or ``None`` without the file."""

    ref: str
    commit: str
    content: bytes | None


def first_found(run: Runner, path: Path, ref: str, file: str) -> FirstFound:
    """Look a file up at a ref such as ``origin/main``, as last fetched, else at the local branch of that name.

    Raises:
        Unavailable: there is neither, or git is not there.
        Usage: this is no repository.
        Invalid: the file is there, and its object is damaged or missing.
    """
    places = _places(plain(ref, "a revision"))
    lines = [spec for full, _ in places for spec in (f"{full}^{{commit}}", f"{full}:{plain(file, 'a path')}")]
    ended = GitRunner(path, run).finished(
        "cat-file", "--batch", stdin="".join(f"{line}\n" for line in lines).encode(), max_output=_MOST
    )
    if ended.err or ended.code != 0:
        raise failure("cat-file", ended.err)
    rest = ended.out
    for _, shown in places:
        commit, _, rest = _next(rest)
        _, content, rest = _next(rest)
        if commit:
            if content is None:
                _require_absent(GitRunner(path, run), commit, file)
            return FirstFound(shown, commit, content)
    raise Unavailable(f"There is no branch {visible(ref)} here.", "Fetch first, or correct registry.ref.")


def _require_absent(git: GitRunner, commit: str, file: str) -> None:
    """Raise Invalid where a commit's tree names a file that `cat-file` calls missing: it is lost, not absent."""
    entry = git("ls-tree", "-z", "--full-tree", commit, "--", file).partition(b"\t")[0].split(b" ")
    if len(entry) == 3 and entry[1] == b"blob":
        raise Invalid(f"The object {entry[2][:12].decode('ascii')} is missing.", REFETCH)


def glance(run: Runner, root: Path, ref: str, registry: str) -> Glance:
    """Read the artifacts of each stage at the base, not judged. Never raises for missing or broken data.

    ``ref`` is the base as configured, such as ``origin/main``; ``registry`` the path of ``models.json`` in it.
    """
    try:
        found = first_found(run, root, ref, registry)
    except ConsoleError as error:
        return Glance(ref, "", (), str(error))
    if found.content is None:
        return Glance(found.ref, found.commit, (), f"{found.ref} has no registry at {registry}.")
    models, problem = glance_models(found.content)
    return Glance(found.ref, found.commit, models, problem)


def _places(ref: str) -> tuple[tuple[str, str], ...]:
    branch = ref.partition("/")[2]
    local = tuple((f"refs/heads/{name}", name) for name in (ref, branch) if name)
    return ((f"refs/remotes/{ref}", ref), *local) if branch else local


def _next(out: bytes) -> tuple[str, bytes | None, bytes]:
    """The next object of ``cat-file --batch``: its id, empty when it is missing; its content; and what follows."""
    head, _, rest = out.partition(b"\n")
    words = head.split(b" ")
    if len(words) != 3 or not words[2].isdigit():
        return "", None, rest
    size = int(words[2])
    if len(rest) <= size:
        raise Invalid("git returned only a part of an object.", REFETCH)
    return words[0].decode("ascii"), rest[:size], rest[size + 1 :]
