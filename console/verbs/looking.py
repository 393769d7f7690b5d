"""Verbs that only read: status, check, verify, compare, soak, history, log."""

from __future__ import annotations

import time

import click

from console import documents
from console.invocation import Invocation
from console.short import short as short_of
from console.untrusted import untrusted
from console.verbs import lines
from console.verbs.output import Answer, code_of, emit, say, verb
from ml.board import SourceState
from ml.judgement import board_verdict
from ml.ports import Progress
from ml.records.audit import AuditReport
from ml.text import visible
from ml.verdict import Check, Verdict

_TELL_S = 1.0
_LONGEST = 1 << 20
"""Longest line in characters; the prompt's line names every model."""


@click.command()
@click.option("--short", is_flag=True, help="One line, for a prompt or a tmux status bar.")
@click.option("--watch", is_flag=True, help="Print again whenever something changes, until ^C.")
@verb
def status(invocation: Invocation, short: bool, watch: bool) -> Answer:
    """Show stages, readings, soak, switch and problems."""
    answer = _status(invocation, short)
    shown: list[str] = []
    while watch:
        if answer.lines != shown:
            emit(answer, as_json=invocation.as_json)
            shown = answer.lines
        time.sleep(invocation.settings.prometheus.poll_seconds)
        answer = _status(invocation, short)
    return answer


def _status(invocation: Invocation, short: bool) -> Answer:
    session = invocation.session
    board = session.boards.poll()
    soaking = [model.name for model in board.models if model.shadow.artifact_id and model.soak is None]
    if soaking and board.prometheus.state is SourceState.OK:
        # This process polls once, so it waits for judgments that the interface would make in the background.
        session.soaks.judge_all(soaking)
        board = session.boards.poll()
    text = [short_of(board, untrusted=bool(untrusted(invocation.settings)))] if short else lines.status(board)
    return Answer(
        [visible(line, limit=_LONGEST) for line in text], documents.status(board), code_of(board_verdict(board))
    )


@click.command()
@verb
def check(invocation: Invocation) -> Answer:
    """Check the whole registry and every artifact in it."""
    examined = invocation.session.doctor.check_registry(StepLines())
    text = [f"{finding.path}: {finding.what} {finding.remedy}".rstrip() for finding in examined.findings]
    for artifact in examined.artifacts:
        text.append(f"{lines.tag(artifact.verdict)} {artifact.artifact_id}")
        text += [f"  {lines.check(item)}" for item in artifact.checks if not item.verdict.opens]
    if examined.repair:
        text += ["", "A repair, not applied:", *examined.repair.expandtabs(8).split("\n")]
    body = {
        "findings": documents.plain(examined.findings),
        "artifacts": documents.plain(
            [
                {"artifact_id": item.artifact_id, "verdict": item.verdict, "checks": item.checks}
                for item in examined.artifacts
            ]
        ),
        "repair": examined.repair,
    }
    text.append(f"{lines.tag(examined.verdict)} {examined.why}")
    return Answer(text, documents.envelope(examined.as_of, examined.verdict) | body, code_of(examined.verdict))


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--model", default="", metavar="NAME", help="The model that it is for; else as its id says.")
@verb
def verify(invocation: Invocation, directory: str, model: str) -> Answer:
    """Verify one artifact directory, in a process with limits on time, memory and files."""
    result = invocation.artifacts.verify(directory, StepLines(), model=model)
    text = [*(lines.check(item) for item in result.checks), f"{lines.tag(result.verdict)} {result.artifact_id}"]
    document = documents.verification(
        invocation.artifacts.clock.now(), result.artifact_id, result.verdict, result.checks
    )
    return Answer(text, document, 0 if result.valid else 1)


@click.command()
@click.argument("model")
@click.option("--wait", is_flag=True, help="Wait for the soak's result. Exit code 0 when it passes, else 1.")
@click.option(
    "--timeout", type=float, default=0.0, metavar="SECONDS", help="Stop waiting after this time, with exit code 4."
)
@verb
def soak(invocation: Invocation, model: str, wait: bool, timeout: float) -> Answer:
    """Judge the shadow artifact's soak against its objectives, cell by cell."""
    started = time.monotonic()
    report = invocation.session.soaks.judge(model).report
    previous = ""
    while wait and report.verdict not in (Verdict.PASS, Verdict.FAIL):
        if timeout and time.monotonic() - started > timeout:
            return Answer(lines.soak(report), documents.soak(report), 4)
        line = f"{report.verdict.value}: {report.why}"
        if line != previous:  # Skip a line that repeats the previous one.
            say(line)
            previous = line
        time.sleep(invocation.settings.prometheus.poll_seconds)
        report = invocation.session.soaks.judge(model).report
    return Answer(lines.soak(report), documents.soak(report), code_of(report.verdict))


@click.command()
@click.argument("model")
@verb
def history(invocation: Invocation, model: str) -> Answer:
    """List a model's changes, newest first."""
    rows = invocation.session.registries.history(model)
    text = [
        f"{documents.plain(row.at) or '(no time)':<20} {row.action:<9} {row.from_stage or '-':>8} → {row.to_stage:<8} "
        f"{row.artifact_id}  {row.by}  {row.reason}"
        for row in rows
    ]
    document = documents.envelope(invocation.session.clock.now()) | {"model": model, "events": documents.plain(rows)}
    return Answer(text, document)


@click.command()
@click.argument("a")
@click.argument("b")
@verb
def compare(invocation: Invocation, a: str, b: str) -> Answer:
    """Compare two artifacts: size, parameters, features, latency, and share of different decisions."""
    comparison = invocation.artifacts.compare(a, b, StepLines())
    document = documents.envelope(invocation.artifacts.clock.now(), comparison.verdict) | comparison.document()
    return Answer(list(comparison.lines()), document, code_of(comparison.verdict))


@click.command()
@click.option("--verify", "check_chain", is_flag=True, help="Check that no line was cut or edited.")
@click.option("--limit", default=200, show_default=True, help="Number of lines, newest first.")
@verb
def log(invocation: Invocation, check_chain: bool, limit: int) -> Answer:
    """Show the audit log of kills, releases, promotions and rollbacks."""
    now = invocation.session.clock.now()
    if check_chain:
        chain = _chain(invocation.session.audit.verify())
        document = documents.envelope(now, chain.verdict) | {"why": chain.why}
        return Answer([lines.check(chain)], document, code_of(chain.verdict))
    rows = list(invocation.session.audit.sentences(limit))
    if not rows:
        say("The audit log of this machine is empty so far.")
    return Answer(rows, documents.envelope(now) | {"lines": rows})


def _chain(report: AuditReport) -> Check:
    if report.findings:
        return Check("audit log", Verdict.FAIL, "; ".join(finding.what for finding in report.findings))
    return Check("audit log", Verdict.PASS, f"{report.lines} lines, unbroken")


class StepLines:
    """Prints progress (`ml.ports.Report`) on stderr: each step as it starts, and every second its progress."""

    def __init__(self) -> None:
        self._step, self._told = "", 0.0

    def __call__(self, progress: Progress) -> None:
        """Print a new step; for a long step, print its share and its rate if it has one."""
        now, words = time.monotonic(), f"{progress.step} …"
        if progress.step == self._step:
            if progress.total <= 1 or now - self._told < _TELL_S:
                return
            words = f"{progress.step} {progress.done / progress.total:.0%} {progress.note}".rstrip()
        self._step, self._told = progress.step, now
        say(visible(words))
