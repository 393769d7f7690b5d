"""Verbs for setup: config, info, completion, doctor, demo, serve, build."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from console import documents
from console import settings as configuration
from console.__main__ import COMPLETE
from console.invocation import Invocation
from console.paths import user_file
from console.verbs import lines
from console.verbs.output import Answer, code_of, verb
from console.version import __version__
from ml.clock import SystemClock
from ml.errors import Refused, Usage
from ml.text import visible
from ml.verdict import worst

_SECRET_WORDS = ("token", "password")
_SECRETS = frozenset({"notify.url"})
"""Hide a webhook's address: anybody who knows it can post."""


@click.group()
def config() -> None:
    """Show or validate the settings, or write a first configuration file."""


@config.command("show")
@verb
def config_show(invocation: Invocation) -> Answer:
    """Show every setting with its effective value and source."""
    rows = _rows(invocation.settings)
    text = [f"{name:<34} {value!s:<32} {source}" for name, value, source in rows]
    body = {name: {"value": value, "source": source} for name, value, source in rows}
    return Answer(text, documents.envelope(SystemClock().now()) | {"settings": body})


@config.command("validate")
@verb
def config_validate(invocation: Invocation) -> Answer:
    """Check every file, variable and flag; exit code 2 when one is unknown or has a wrong type."""
    settings = invocation.settings
    named = sorted(set(settings.sources.values())) or ["defaults only"]
    return Answer([f"valid: {', '.join(named)}"], documents.envelope(SystemClock().now()) | {"sources": named})


@config.command("init")
@verb
def config_init(invocation: Invocation) -> Answer:
    """Write a console.toml with all defaults into the repository, if it has none."""
    path = invocation.settings.root / configuration.CONFIG_NAME
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_template())
    except FileExistsError as error:
        raise Refused(f"{path} exists already.", "Edit it; see `mlconsole config show`.") from error
    hint = "Its settings count in a clone after somebody has trusted them there with `mlconsole trust`."
    return Answer([f"wrote {path}", hint], documents.envelope(SystemClock().now()) | {"path": str(path)})


@click.command()
@verb
def info(invocation: Invocation) -> Answer:
    """Show version, paths, and the effective configuration."""
    settings = invocation.settings
    paths = {
        "version": __version__,
        "repository": str(settings.root),
        "console.toml": str(settings.root / configuration.CONFIG_NAME),
        "user configuration": str(user_file()),
        "state": str(settings.state),
        "kill file": str(settings.resolve(settings.kill_switch.file)),
    }
    rows = _rows(settings)
    text = [*(f"{name:<20} {value}" for name, value in paths.items()), ""]
    text += [f"{name:<34} {value!s:<32} {source}" for name, value, source in rows]
    body = {name: {"value": value, "source": source} for name, value, source in rows}
    return Answer(text, documents.envelope(SystemClock().now()) | {"paths": paths, "settings": body})


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script of a shell; in bash: source <(mlconsole completion bash)."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "mlconsole", COMPLETE).source())
    return 0


@click.command()
@click.argument("model", required=False, metavar="[MODEL | metrics [MODEL]]")
@click.argument("of_model", required=False, metavar="")
@verb
def doctor(invocation: Invocation, model: str | None, of_model: str | None) -> Answer:
    """Check configuration, git, remote, Prometheus, rules and actuators; with MODEL, the runbook's troubleshooting.

    ``metrics`` lists the series that each gate and each rung needs, of MODEL or of all deployed models: which are
    there, which are missing, and the block for the policy that what Prometheus has suggests.
    """
    if model == "metrics":
        # Imported here, like the other: they import everything, and most verbs do not.
        from console.verbs.metrics import metrics_answer  # noqa: PLC0415

        return metrics_answer(invocation, of_model or "")
    from console.doctor import examine  # noqa: PLC0415

    if of_model is not None:
        raise Usage(f"doctor takes one MODEL, and {visible(of_model)} is a second.", "Run `mlconsole doctor MODEL`.")
    findings = examine(invocation, model)
    text = []
    for finding in findings:
        text.append(lines.check(finding.check))
        if finding.remedy and not finding.check.verdict.opens:
            text.append(f"          {'→':>14} {finding.remedy}")
    verdict = worst(finding.check.verdict for finding in findings)
    document = documents.envelope(SystemClock().now(), verdict) | {"findings": documents.plain(findings)}
    return Answer(text, document, code_of(verdict))


@click.command()
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Folder for the demo; default: a new one.")
@click.option("--keep", is_flag=True, help="Keep the folder afterwards.")
@click.option("--no-console", is_flag=True, help="Start the demo only, print its paths as JSON, and wait for ^C.")
def demo(directory: Path | None, keep: bool, no_console: bool) -> int:
    """Run a demo system: remote, engines, Prometheus with 26 h of history, and the console on it."""
    # Imported here: the demo needs onnxruntime and more.
    from console.demo.run import demo as run_demo  # noqa: PLC0415

    return run_demo(directory=directory, keep=keep, console=not no_console)


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; other machines need a token."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 chooses a free one.")
@click.option("--public-url", metavar="URL", default="", help="Address for browsers, when a proxy is in front.")
@click.pass_obj
def serve(invocation: Invocation, host: str, port: int, public_url: str) -> int:
    """Serve the console read-only, without the kill key, in a browser. Prints its address on stderr."""
    # Imported here: it is an optional extra, and only this verb needs it.
    try:
        from console.serve import serve as run_server  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Usage("The console in a browser is not installed.", "Run `pip install 'mlconsole[web]'`.") from error
    return run_server(invocation.settings, config=invocation.config, host=host, port=port, public_url=public_url)


@click.command()
@click.argument("model_file", metavar="MODEL.onnx", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", "out_dir", required=True, type=click.Path(path_type=Path), help="The artifact directory to create."
)
@click.option("--dataset-id", required=True, help="The training data set, for the manifest.")
@click.option("--notes", default="", help="Notes for its users, for the manifest.")
@click.option("--model", default="", metavar="NAME", help="The model that it is for; default: the one that DIR names.")
@verb
def build(invocation: Invocation, model_file: Path, out_dir: Path, dataset_id: str, notes: str, model: str) -> Answer:
    """Make an artifact from an existing model file."""
    from console.verbs.looking import StepLines  # noqa: PLC0415

    report = StepLines()
    built = invocation.artifacts.build(
        model_file, out_dir, dataset_id=dataset_id, notes=notes, report=report, model=model
    )
    document = documents.verification(invocation.artifacts.clock.now(), built.artifact_id, built.verdict, built.checks)
    return Answer([*(lines.check(item) for item in built.checks), f"wrote {out_dir}"], document, code_of(built.verdict))


def _rows(settings: configuration.Settings) -> list[tuple[str, Any, str]]:
    rows = []
    for name in configuration.SECTIONS:
        section = getattr(settings, name)
        for field in section._fields:
            full = f"{name}.{field}"
            value = getattr(section, field)
            named = any(word in field for word in _SECRET_WORDS) and not field.endswith("_file")
            secret = value and (named or full in _SECRETS)
            rows.append((full, "(secret)" if secret else _shown(value), settings.sources.get(full, "default")))
    return rows


def _shown(value: object) -> Any:
    """Convert named tuples to values by name, including the sources of secrets."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {
            key: "(secret)" if isinstance(item, str) and configuration.tells_a_secret(key) else _shown(item)
            for key, item in value.items()
        }
    return [_shown(item) for item in value] if isinstance(value, tuple) else value


def _template() -> str:
    parts = []
    for name, kind in configuration.SECTIONS.items():
        parts.append(f"[{name}]")
        for field, default in kind._field_defaults.items():
            if f"{name}.{field}" in configuration.SECRETS or isinstance(default, tuple | dict) or default is None:
                continue
            parts.append(f"# {field} = {_toml(default)}")
        parts.append("")
    return os.linesep.join(parts)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)
