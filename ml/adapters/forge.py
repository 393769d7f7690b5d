"""Pull requests, opened with ``gh`` or ``glab`` where they are installed and logged in, else as a compare URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, urlsplit

from ml.errors import ConsoleError
from ml.ports import Finished, Runner

_SCP_LIKE = re.compile(r"(?:[^@/]+@)?(?P<host>[^:/]+):(?P<path>(?!//).+)")
_URL = re.compile(rb"https://\S+")
_DEADLINE_S = 30.0


def compare_url(remote_url: str, branch: str, base: str, fork_url: str = "") -> str:
    """The page of a forge where a person opens the pull request; empty for a remote that is no known forge.

    GitHub, GitLab, Gitea (also Forgejo, Codeberg) and Bitbucket are recognized by the host's name; remotes may be
    ``https://``, ``ssh://`` or ``git@host:owner/name``. ``fork_url`` is where the branch is, if that is another
    repository of the same forge.
    """
    host, path = _host_and_path(remote_url)
    kind, fork = _kind(host), _fork(remote_url, fork_url)
    if not kind or not path or (fork_url and not fork):
        return ""
    head, onto = quote(branch, safe=""), quote(base, safe="")
    own = f"https://{host}/{quote(fork or path)}"  # GitLab and Bitbucket open a request where the branch is
    owner = f"{quote(fork.rpartition('/')[0])}:" if fork else ""
    target = f"{quote(path, safe='')}%3A%3A{onto}" if fork else onto
    return {
        "github": f"https://{host}/{quote(path)}/compare/{onto}...{owner}{quote(branch)}?expand=1",
        "gitlab": f"{own}/-/merge_requests/new?merge_request%5Bsource_branch%5D={head}"
        f"&merge_request%5Btarget_branch%5D={onto}",
        "gitea": f"https://{host}/{quote(path)}/compare/{onto}...{owner}{quote(branch)}",
        "bitbucket": f"{own}/pull-requests/new?source={head}&dest={target}",
    }[kind]


def _fork(remote_url: str, fork_url: str) -> str:
    """The fork's owner and name, if it is at the same forge as the repository that it came from; else empty."""
    (host, path), (other, fork) = _host_and_path(remote_url), _host_and_path(fork_url)
    return fork if host == other and fork != path else ""


def _host_and_path(remote_url: str) -> tuple[str, str]:
    if "://" in remote_url:
        parts = urlsplit(remote_url)
        if parts.scheme not in ("https", "http", "ssh", "git"):
            return "", ""
        web = parts.scheme in ("https", "http") and parts.port
        host, path = parts.hostname or "", parts.path
        host = f"{host}:{parts.port}" if web else host
    else:
        match = _SCP_LIKE.fullmatch(remote_url)
        host, path = (match["host"], match["path"]) if match else ("", "")
    return host, path.strip("/").removesuffix(".git")


def _kind(host: str) -> str:
    names = {"github": "github", "gitlab": "gitlab", "bitbucket": "bitbucket"}
    names |= dict.fromkeys(("gitea", "forgejo", "codeberg"), "gitea")
    return next((kind for part, kind in names.items() if part in host), "")


def place_of(remote_url: str) -> tuple[str, str]:
    """The host of a remote and the path of its repository there; empty for what is no address of a server."""
    return _host_and_path(remote_url)


def fitting_tool(remote_url: str) -> str:
    """The tool for the forge of a remote, ``gh`` or ``glab``; empty for any other."""
    return {"github": "gh", "gitlab": "glab"}.get(_kind(_host_and_path(remote_url)[0]), "")


class CommandForge:
    """Opens pull requests (`ml.promotion.publish.Forge`) by a command-line tool, else by compare address.

    ``tool`` is ``auto``, ``gh``, ``glab`` or ``none``, as `pull_request.tool` of the configuration.
    """

    def __init__(self, run: Runner, folder: Path, tool: str = "auto") -> None:
        self._run = run
        self._folder = folder
        self._tool = tool

    def open_request(
        self, remote_url: str, branch: str, base: str, title: str, body: str, *, fork_url: str = ""
    ) -> str:
        """Open a pull request and return its address; else the compare address, or nothing."""
        host, path = _host_and_path(remote_url)
        tool = fitting_tool(remote_url) if self._tool == "auto" else self._tool
        fork = _fork(remote_url, fork_url)
        able = host and tool in ("gh", "glab") and (fork or not fork_url)
        opened = self._opened(tool, host, _creation(tool, branch, base, title, body, (path, fork))) if able else ""
        return opened or compare_url(remote_url, branch, base, fork_url)

    def _opened(self, tool: str, host: str, creation: tuple[tuple[str, ...], bytes]) -> str:
        words, stdin = creation
        try:
            if self._tell(tool, "auth", "status", "--hostname", host).code != 0:
                return ""
            ended = self._tell(tool, *words, stdin=stdin)
        except ConsoleError:
            return ""
        found = _URL.findall(ended.out)
        return found[-1].decode("ascii", "replace") if ended.code == 0 and found else ""

    def _tell(self, *argv: str, stdin: bytes = b"") -> Finished:
        quiet = {"GH_PROMPT_DISABLED": "1", "NO_PROMPT": "1", "NO_COLOR": "1", "GIT_TERMINAL_PROMPT": "0"}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        return self._run(argv, deadline_s=_DEADLINE_S, cwd=self._folder, env=kept | quiet, stdin=stdin)


def _creation(
    tool: str, branch: str, base: str, title: str, body: str, repositories: tuple[str, str]
) -> tuple[tuple[str, ...], bytes]:
    """The words that open a request, and what is typed into them; ``repositories`` are the forge's own and a fork."""
    path, fork = repositories
    if tool == "gh":
        head = f"{fork.rpartition('/')[0]}:{branch}" if fork else branch
        where = ("--repo", path) if fork else ()
        create = ("pr", "create", *where, "--head", head, "--base", base, "--title", title, "--body-file", "-")
        return create, body.encode()
    source = ("--repo", path, "--head", fork) if fork else ()
    create = ("mr", "create", *source, "--source-branch", branch, "--target-branch", base, "--title", title)
    return (*create, "--description", body, "--yes"), b""
