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


def compare_url(remote_url: str, branch: str, base: str) -> str:
    """The page of a forge where a person opens the pull request; empty for a remote that is no known forge.

    GitHub, GitLab, Gitea (also Forgejo, Codeberg) and Bitbucket are recognized by the host's name; remotes may be
    ``https://``, ``ssh://`` or ``git@host:owner/name``.
    """
    host, path = _host_and_path(remote_url)
    kind = _kind(host)
    if not kind or not path:
        return ""
    site, head, onto = f"https://{host}/{quote(path)}", quote(branch, safe=""), quote(base, safe="")
    return {
        "github": f"{site}/compare/{onto}...{quote(branch)}?expand=1",
        "gitlab": f"{site}/-/merge_requests/new?merge_request%5Bsource_branch%5D={head}"
        f"&merge_request%5Btarget_branch%5D={onto}",
        "gitea": f"{site}/compare/{onto}...{quote(branch)}",
        "bitbucket": f"{site}/pull-requests/new?source={head}&dest={onto}",
    }[kind]


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


class CommandForge:
    """Opens pull requests (`ml.promotion.publish.Forge`) by a command-line tool, else by compare address.

    ``tool`` is ``auto``, ``gh``, ``glab`` or ``none``, as `pull_request.tool` of the configuration.
    """

    def __init__(self, run: Runner, folder: Path, tool: str = "auto") -> None:
        self._run = run
        self._folder = folder
        self._tool = tool

    def open_request(self, remote_url: str, branch: str, base: str, title: str, body: str) -> str:
        """Open a pull request and return its address; else the compare address, or nothing."""
        host, _ = _host_and_path(remote_url)
        fitting = {"github": "gh", "gitlab": "glab"}.get(_kind(host), "")
        tool = fitting if self._tool == "auto" else self._tool
        opened = self._opened(tool, host, branch, base, title, body) if host and tool in ("gh", "glab") else ""
        return opened or compare_url(remote_url, branch, base)

    def _opened(self, tool: str, host: str, branch: str, base: str, title: str, body: str) -> str:
        gh = ("pr", "create", "--head", branch, "--base", base, "--title", title, "--body-file", "-")
        glab = ("mr", "create", "--source-branch", branch, "--target-branch", base, "--title", title)
        create = gh if tool == "gh" else (*glab, "--description", body, "--yes")
        try:
            if self._tell(tool, "auth", "status", "--hostname", host).code != 0:
                return ""
            ended = self._tell(tool, *create, stdin=body.encode() if tool == "gh" else b"")
        except ConsoleError:
            return ""
        found = _URL.findall(ended.out)
        return found[-1].decode("ascii", "replace") if ended.code == 0 and found else ""

    def _tell(self, *argv: str, stdin: bytes = b"") -> Finished:
        quiet = {"GH_PROMPT_DISABLED": "1", "NO_PROMPT": "1", "NO_COLOR": "1", "GIT_TERMINAL_PROMPT": "0"}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        return self._run(argv, deadline_s=_DEADLINE_S, cwd=self._folder, env=kept | quiet, stdin=stdin)
