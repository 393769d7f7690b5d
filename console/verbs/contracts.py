"""Verbs about model contracts: contract show, contract infer."""

from __future__ import annotations

from pathlib import Path

import click

from console import documents
from console.invocation import Invocation
from console.verbs import lines
from console.verbs.output import Answer, code_of, verb
from ml.clock import SystemClock
from ml.contract import FAMILIES, Contract, InForce, Source
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding

_STATE_ONE = "`mlconsole contract infer MODEL.onnx` proposes one for the policy."


@click.group()
def contract() -> None:
    """Contracts of models: their inputs, their outputs, and the answers that they may give."""


@contract.command("show")
@click.argument("model")
@verb
def contract_show(invocation: Invocation, model: str) -> Answer:
    """Show the contract of a model, where it comes from, and the lines that it leaves open."""
    # Imported here: most verbs draw no contract.
    from ml.artifacts.proposal import toml  # noqa: PLC0415

    found = invocation.artifacts.contract(model)
    if found is None:
        missing = finding(Verdict.NO_DATA, Code.ABSENT, f"{visible(model)} has no contract. {_STATE_ONE}")
        return _answer(model, missing.check("contract"), None, [])
    source = Source.FAMILY if found in FAMILIES.values() else Source.MODEL
    return _answer(model, _open_lines(InForce(found, source)), found, toml(found, _prefix(model)).split("\n"), source)


@contract.command("infer")
@click.argument("model_file", metavar="MODEL.onnx", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="NAME", show_default=True, help="The model's name, for the policy's tables.")
@verb
def contract_infer(invocation: Invocation, model_file: Path, model: str) -> Answer:
    """Propose a contract from a model file, in a process with limits. Needs no repository."""
    # Imported here: they import the sandbox's client, which only this verb needs.
    from console.wiring import loose_artifacts  # noqa: PLC0415
    from ml.artifacts.proposal import propose, toml  # noqa: PLC0415

    signature = loose_artifacts(Path.cwd(), read_only=invocation.read_only).infer(model_file)
    proposal = propose(signature)
    check = _open_lines(InForce(proposal.contract, Source.MODEL))
    text = toml(proposal.contract, _prefix(model)).split("\n")
    notes = [f"# guessed: {guess}" for guess in proposal.guesses]
    notes += [f"# left out: {each}" for each in proposal.left_out]
    answer = _answer(model, check, proposal.contract, [*map(visible, notes), *text], Source.MODEL)
    more = {"guesses": list(proposal.guesses), "left_out": list(proposal.left_out)}
    return answer._replace(document=answer.document | more, code=0)


def _open_lines(held: InForce) -> Check:
    """The lines that a contract leaves open, by name."""
    if not held.open:
        accepted = held.contract.left_open
        if not accepted:
            return finding(Verdict.PASS, Code.SOUND, "Every line is stated.").check("contract")
        why = "; ".join(f"{line} is left open: {reason}" for line, reason in accepted)
        return finding(Verdict.WAIVED, Code.CONTRACT_OPEN, visible(why)).check("contract")
    named = visible(", ".join(held.open))
    why = f"Left open, so that no model could fail it: {named}."
    return finding(Verdict.VACUOUS, Code.CONTRACT_OPEN, why, lines=named).check("contract")


def _answer(model: str, check: Check, found: Contract | None, text: list[str], source: Source | None = None) -> Answer:
    document = documents.envelope(SystemClock().now(), check.verdict) | {
        "model": visible(model),
        "source": str(source) if source else None,
        "contract": found.document() if found else None,
        "open": list(found.open_lines) if found else [],
        "why": check.why,
    }
    head = [f"# source: {source}"] if source else []
    return Answer([*head, *text, f"# {lines.check(check)}"], document, code_of(check.verdict))


def _prefix(model: str) -> str:
    return f"model.{visible(model, limit=80)}.contract"
