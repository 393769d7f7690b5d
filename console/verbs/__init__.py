"""Command line: one click group. Each verb's module is imported only when the verb is called."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING

import click

from console.invocation import Invocation
from console.verbs.output import continued, ending, fail, tell_error
from console.version import __version__
from ml.errors import ConsoleError
from ml.text import visible, whole_lines

if TYPE_CHECKING:
    from types import TracebackType

_HOMES = {
    "looking": ("status", "check", "verify", "compare", "soak", "history", "log"),
    "changing": ("stage", "promote", "withdraw", "rollback", "push", "land", "gate", "approve", "evidence", "init"),
    "emergency": ("kill", "watch", "incident", "drill"),
    "setup": ("config", "info", "completion", "doctor", "demo", "serve", "build"),
    "trusting": ("trust",),
    "contracts": ("contract",),
    "change": ("change",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


class LazyGroup(click.Group):
    """A group that lists its verbs by name and imports a verb when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List all verbs in the runbook's order."""
        return list(_MODULE_OF)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb."""
        if cmd_name not in _MODULE_OF:
            return None
        command = getattr(import_module(f"console.verbs.{_MODULE_OF[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a verb. For an unknown name, the error suggests the nearest verb."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches  # noqa: PLC0415 it is needed only here

            if near := get_close_matches(args[0], _MODULE_OF, n=1):
                raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from error
            raise


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--repo", metavar="PATH", help="The repository that holds the registry; default: the one you are in.")
@click.option("--config", metavar="FILE", help="A configuration file in place of the repository's console.toml.")
@click.option("--read-only", is_flag=True, help="Allow no changes; the kill key still works.")
@click.option("--no-kill", is_flag=True, help="Disable the kill key.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with plain ASCII.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="mlconsole", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, /, **flags: str | bool | None) -> int | None:
    """Watch, promote and roll back the ML models of a live trading system. Without a verb, the interface starts."""
    ctx.obj = Invocation(**flags)  # type: ignore[arg-type]
    if ctx.invoked_subcommand is not None:
        return None
    # Imported here: a verb does not need the interface.
    from console.interface import run_interface  # noqa: PLC0415

    return run_interface(ctx.obj)


def run(argv: list[str]) -> int:
    """Run the command line; returns its exit code (contract §11)."""
    try:
        code = cli.main(args=argv, prog_name="mlconsole", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 whatever ends it becomes an exit code
        return code_of_end(error, argv)
    return code if isinstance(code, int) else 0


def code_of_end(error: BaseException, argv: list[str]) -> int:
    """Return the exit code for an exception, after explaining it on stderr.

    Only our own bugs end in 70, with a report on disk.
    """
    as_json = "--json" in argv
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        if as_json:
            tell_error(ending("It was interrupted.", "Run it again.", 130))
        return 130
    if isinstance(error, click.ClickException):
        shown = StringIO()
        error.show(file=shown)
        said = shown.getvalue().replace(error.message, continued(error.message))
        click.echo(whole_lines(said), err=True, nl=False)
        if as_json:
            tell_error(ending(visible(error.format_message(), limit=500), "See the help of the verb: --help.", 2))
        return 2
    if isinstance(error, BrokenPipeError):
        # The reader has closed the pipe; the interpreter must not report an error when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    if "--debug" in argv:
        sys.excepthook = _show_traceback
        raise error
    return _failed(error, argv)


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print Python's own traceback, with outside text made visible."""
    from traceback import format_exception  # noqa: PLC0415 only --debug shows one

    sys.stderr.write(whole_lines("".join(format_exception(kind, error, trace))))


def _failed(error: BaseException, argv: list[str]) -> int:
    if isinstance(error, ConsoleError):
        return fail(error, as_json="--json" in argv)
    # Imported here: only a bug needs it.
    from console.bugs import report  # noqa: PLC0415

    code = report(error, argv)
    if "--json" in argv:
        name = type(error).__name__
        tell_error(ending(f"mlconsole has a bug: {name}.", "The report is named on stderr.", code))
    return code
