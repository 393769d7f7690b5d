"""``python -m scripts.make_reference``: write the pages of docs/ that are generated from the code."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

from textual.binding import Binding
from textual.keys import format_key

import console.screens
import widgets
from console import settings as configuration
from console.keys import APP_BINDINGS
from ml.metrics_contract import RUNBOOK
from ml.policy import Policy
from ml.policy.sections import DEFAULT_OBJECTIVES

DOCS = Path(__file__).resolve().parents[1] / "docs"

_MADE = "<!-- made by `python -m scripts.make_reference`; do not edit -->"
_TITLES = {
    "ViewScreen": "Every view",
    "StagesScreen": "Stages",
    "RowList": "Lists",
    "SoakTapes": "Soak: the tape",
    "ChangeList": "Open changes",
    "OpenChangeScreen": "One change",
    "SubmissionPage": "A receipt",
    "PushedScreen": "Every screen that opens on top",
    "PlanScreen": "Every plan",
    "PromoteScreen": "Promotion",
    "GateRows": "Promotion: the checklist",
    "WaiveScreen": "Promotion: a waiver",
    "AckInput": "A phrase typed by hand",
    "ChangeScreen": "Staging and withdrawal",
    "RollbackScreen": "Rollback",
    "CandidateRows": "Rollback: the targets",
    "KillScreen": "Kill switch",
    "ReviewScreen": "Dashboard review",
    "MeasureRows": "Dashboard review: the measures",
    "CompareScreen": "Compare",
}
"""Classes with keys of their own and their headings, in the order of the page."""

_KEYS_INTRO = """\
`?` (or `F1` while something is typed) shows the keys of the screen that is open. A key is changed by its id in the
user's configuration; several keys are separated by commas:

```toml
[interface.keymap]
promote = "ctrl+t"
"view.soak" = "s,2"
```

The kill key works over every screen, input and question, and F9 always is one: `kill = "f8"` adds a key, and no other
binding takes one of the kill keys. A further kill key is a function key, or ctrl or alt with a letter, so that nobody
types or pastes it. A read-only session has none of `p`, `r`, `s`, `u`, `w`; with
`--no-kill` the kill key only says so. Nothing needs a mouse."""

_CONFIGURATION_INTRO = """\
Settings come from four places, each over the one before: `console.toml` in the repository (or the file given with
`--config`), the user's `$XDG_CONFIG_HOME/mlconsole/config.toml`, environment variables, flags. An unknown name is
refused, with the nearest known one. `mlconsole config show` prints every value and where it came from,
`mlconsole config init` writes a first file. Secrets come from the environment or from files that are named here; a
secret in a configuration file is refused. Relative paths start at the repository's root.

`MLCONSOLE_REPO`, `MLCONSOLE_CONFIG` and `MLCONSOLE_READ_ONLY` stand for the flags of the same names.

## Trust

Whoever pushed last wrote the `console.toml` of a clone. It therefore counts only **after `mlconsole trust` has shown it
and you typed `yes`**. The same holds for a file that `--config` or `MLCONSOLE_CONFIG` names inside any git
working tree, and for a user's file that lies in the repository itself. Your own file, the environment and flags need
no trust.

* As long as nothing was ever trusted, only `[environment]`, `[registry]`, `interface.theme` and `interface.ascii` of
  the file count. Everything else has its value from your own file, the environment, or the default.
* Once a file was trusted, its *whole* content holds, until you trust another one: also when somebody pushes a change,
  breaks the file or removes it. `status`, `doctor`, the interface and every kill name the settings that do not count.
* `mlconsole trust` shows the difference to what was trusted before, whole and made visible, and points out characters
  that are not plain ASCII and programs that lie in the repository. `--show` only looks (exit code 0: trusted, 1: not);
  `--yes` asks nothing, and with `--digest SHA256` trusts only the file that you read; `--revoke` forgets.
* The trusted content lies in the state folder of this clone, with its SHA-256; other clones and worktrees have their
  own. A state folder inside the repository holds no trust, because it could be pushed.
* A change needs no question when it is in the registry's branch and the commit that made it there is signed by an
  operator, by the policy and the `allowed_signers` of the commit at which you last said yes.
* The kill switch writes the file, and runs the programs, that were trusted last, and says what it left out. Where that
  may be another target than the file names now, `kill on --no-wait` ends in 4, not in 0."""

_POLICY_INTRO = """\
`ml/registry/policy.toml` lies beside the registry and is always read from the *base* commit, so that a change cannot
relax its own rules. Every key is optional; these are the defaults. `mlconsole init` proposes a first one on a branch.
As long as no operator is named, nothing becomes active: rollback and kill need no role.

Further addresses of a person, such as a forge's `noreply`, stand under `[people]`
(see [Repositories](repositories.md)):

```toml
[people]
"ann@example.com" = ["4711+ann@users.noreply.github.com"]
```"""

_METRICS_INTRO = """\
Names, labels and unit of the engines' metrics, for all models; `[model.NAME.metrics]` lies over it key by key. A metric
is a name, or a table with `name`, `where` and `where_not`. `receipt.engaged` and `receipt.inferred` have no default of
their own. See [Connect your engine](connect-engine.md)."""


def pages() -> dict[Path, str]:
    """Every page that is made, by its path."""
    made = {"keys.md": _keys(), "configuration.md": _configuration(), "policy.md": _policy()}
    return {DOCS / name: "\n".join(lines) + "\n" for name, lines in made.items()}


# --- keys --------------------------------------------------------------------------------------------------------
def _keys() -> Iterator[str]:
    yield from ("# Keys", "", _MADE, "", _KEYS_INTRO, "", "## Everywhere", "")
    yield from _bindings(APP_BINDINGS)
    found = dict(_with_keys())
    for name in sorted(found, key=list(_TITLES).index):
        yield from ("", f"## {_TITLES[name]}", "")
        yield from _bindings(found[name])


def _with_keys() -> Iterator[tuple[str, Sequence[Binding]]]:
    """Every class of ours that has keys of its own."""
    for package in (console.screens, widgets):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            for name, kind in inspect.getmembers(import_module(module.name), inspect.isclass):
                bindings = vars(kind).get("BINDINGS")
                if kind.__module__ == module.name and bindings:
                    yield name, bindings


def _bindings(bindings: Sequence[Binding]) -> Iterator[str]:
    shown = [each for each in bindings if each.id and each.tooltip]
    rows = (
        (" ".join(map(_key, each.key.split(","))), each.description, each.tooltip, f"`{each.id}`") for each in shown
    )
    yield from _table(("key", "name", "does", "id"), rows)


def _key(key: str) -> str:
    """A key as it is written on it."""
    *held, last = key.split("+")
    shown = format_key(last)
    return f"`{'+'.join([*held, shown.upper() if shown[1:].isdigit() else shown])}`"


# --- configuration -----------------------------------------------------------------------------------------------
def _configuration() -> Iterator[str]:
    yield from ("# Configuration", "", _MADE, "", _CONFIGURATION_INTRO)
    for name, kind in configuration.SECTIONS.items():
        yield from ("", f"## [{name}]", "", _prose(kind.__doc__), "")
        yield from _table(("key", "default", "environment"), _settings(name, kind))
    yield from ("", "## [[kill_switch.actuator]]", "", _prose(configuration.Actuator.__doc__), "")
    yield from _table(("key", "default"), _defaults(configuration.Actuator._field_defaults))


def _settings(section: str, kind: Any) -> Iterator[tuple[str, ...]]:
    for key, default in kind._field_defaults.items():
        variable = f"`MLCONSOLE_{section}_{key}`".upper() if isinstance(default, str | bool | float) else "–"
        shown = "only from the environment" if f"{section}.{key}" in configuration.SECRETS else _value(default)
        yield f"`{key}`", shown, variable


def _defaults(defaults: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield from ((f"`{key}`", _value(default)) for key, default in defaults.items())


# --- policy ------------------------------------------------------------------------------------------------------
def _policy() -> Iterator[str]:
    schema = Policy.model_json_schema(by_alias=True)
    yield from ("# Policy", "", _MADE, "", _POLICY_INTRO)
    yield from ("", "## [metrics]", "", _METRICS_INTRO, "")
    yield from _table(("key", "default"), _metrics("", RUNBOOK.document()))
    for name, field in schema["properties"].items():
        definition, brackets = _definition(field, name)
        if not definition:
            continue
        described = schema["$defs"][definition]
        yield from ("", f"## {brackets}", "", _prose(described["description"]), "")
        rows = ((f"`{key}`", *_rule(key, value, described)) for key, value in described["properties"].items())
        yield from _table(("key", "default", "value"), rows)
        if name == "objective":
            yield from _default_objectives()


def _metrics(prefix: str, table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each key of the metrics contract with the runbook's value; inner tables by their dotted names."""
    for key, value in table.items():
        if isinstance(value, Mapping) and "name" not in value:
            yield from _metrics(f"{prefix}{key}.", value)
        else:
            yield f"`{prefix}{key}`", _value(value)


def _definition(field: Mapping[str, Any], name: str) -> tuple[str, str]:
    """Find the schema table of a policy field, and its head in TOML."""
    heads = {"$ref": f"[{name}]", "items": f"[[{name}]]", "patternProperties": f"[{name}.NAME]"}
    for key, head in heads.items():
        if key in field:
            return re.findall(r"#/\$defs/(\w+)", json.dumps(field[key]))[0], head
    return "", ""


def _rule(key: str, value: Mapping[str, Any], described: Mapping[str, Any]) -> tuple[str, str]:
    default = "required" if key in described.get("required", ()) else _value(value.get("default"))
    return default, "; ".join(_limits(value))


def _limits(value: Mapping[str, Any]) -> Iterator[str]:
    kind = next((each for each in value.get("anyOf", ()) if each.get("type") != "null"), value)
    words = {
        "string": "text",
        "number": "number",
        "integer": "whole number",
        "boolean": "true or false",
        "object": "table",
    }
    shown = words.get(kind.get("type", ""), "list of texts")
    yield "date and time" if kind.get("format") == "date-time" else shown
    if "enum" in kind:
        yield "one of " + ", ".join(f"`{each}`" for each in kind["enum"])
    limits = {
        "exclusiveMinimum": "above",
        "minimum": "at least",
        "exclusiveMaximum": "below",
        "maximum": "at most",
    }
    yield from (f"{words} {kind[name]}" for name, words in limits.items() if name in kind)


def _default_objectives() -> Iterator[str]:
    yield from ("", "The objectives without any policy:", "")
    rows = (
        (f"`{each.name}`", each.kind, f"`{each.metric or each.errors}`", f"{each.limit:g} {each.unit}".strip(),
         "yes" if each.gate else "shown only")
        for each in DEFAULT_OBJECTIVES
    )  # fmt: skip
    yield from _table(("name", "kind", "reads", "limit", "gate"), rows)


# --- Markdown ----------------------------------------------------------------------------------------------------
def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def _prose(text: str | None) -> str:
    return inspect.cleandoc(text or "").replace("``", "`")


def _value(value: object) -> str:
    """A default as TOML writes it, which for these kinds is JSON."""
    if value is None or value == "":
        return "–"
    return f"`{json.dumps(value, ensure_ascii=False)}`" if value not in ((), {}, []) else "none"


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
