"""``python -m scripts.make_man_page``: write docs/man/mlconsole.1 from the command line's own help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from console.verbs import cli
from console.version import __version__

PAGE = Path(__file__).resolve().parents[1] / "docs" / "man" / "mlconsole.1"

_EXIT_CODES = (
    ("0", "yes, done"),
    ("1", "the answer is no: invalid, breached, a gate failed"),
    ("2", "usage or configuration"),
    ("3", "unknown: a dependency or its data is not there, retry"),
    ("4", "timed out, or the kill is UNCONFIRMED"),
    ("5", "refused (read-only, role, ACK, freeze), or conflict: the registry moved"),
    ("70", "our bug; the path of a report is printed"),
    ("129, 130, 143", "ended by a signal"),
)
_FILES = (
    ("ml/registry/models.json", "the registry, in the repository"),
    ("ml/registry/policy.toml", "the policy: thresholds, roles, freeze windows"),
    ("console.toml", "the repository's configuration"),
    ("$XDG_CONFIG_HOME/mlconsole/config.toml", "the user's configuration"),
    ("$XDG_STATE_HOME/mlconsole/", "journal, audit log, drafts and watches, one folder per repository"),
)


def man_page() -> str:
    """The page, in the man macros of roff."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    root = click.Context(cli, info_name="mlconsole", **cli.context_settings)
    yield f'.TH MLCONSOLE 1 "" "mlconsole {__version__}" "User Commands"'
    yield from (".SH NAME", r"mlconsole \- promote, watch and pull back the ML models of a live trading system")
    yield from (".SH SYNOPSIS", r".B mlconsole", r"[\fIOPTIONS\fR] [\fIVERB\fR ...]")
    yield from (".SH DESCRIPTION", _roff(cli.help or ""))
    yield from (".SH OPTIONS", *_options(cli.get_params(root), root))
    yield ".SH VERBS"
    yield from _verbs(cli, root, "")
    yield from (".SH EXIT STATUS", *_list(_EXIT_CODES))
    yield from (".SH FILES", *_list(_FILES))
    yield ".SH ENVIRONMENT"
    yield _roff("MLCONSOLE_SECTION_KEY sets each setting that is a text, a number or yes or no; see mlconsole info.")


def _verbs(group: click.Group, context: click.Context, before: str) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        own = click.Context(command, info_name=name, parent=context)
        full = f"{before}{name}"
        if isinstance(command, click.Group):
            yield from _verbs(command, own, f"{full} ")
            continue
        yield from (".SS " + _roff(" ".join([full, *command.collect_usage_pieces(own)])), _roff(command.help or ""))
        yield from _options(command.params, own)


def _options(parameters: list[click.Parameter], context: click.Context) -> Iterator[str]:
    records = (each.get_help_record(context) for each in parameters)
    yield from _list(record for record in records if record)


def _list(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, words in rows:
        yield from (".TP", rf"\fB{_roff(term)}\fR", _roff(words) or r"\&")


def _roff(text: str) -> str:
    """Text as roff prints it: nothing at the beginning of a line is a command."""
    plain = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{plain}" if plain.startswith((".", "'")) else plain


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(man_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
