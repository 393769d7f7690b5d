"""Verbs for an emergency: kill (run by `console.kill` without slow imports), watch, incident, drill."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console import documents
from console.invocation import Invocation
from console.kill import RELEASE_WORD, run_kill
from console.verbs.output import Answer, say, verb
from ml.clock import SystemClock, format_utc, parse_utc, span
from ml.emergency.incident import incident as incident_of
from ml.emergency.watch import Watch, summary_line, summary_markdown
from ml.errors import Refused, Usage
from ml.judgement import Judgement, live_of
from ml.verdict import Verdict

if TYPE_CHECKING:
    from console.demo.drill import Score


@click.command()
@click.argument("order", type=click.Choice(["on", "off", "status"]))
@click.option("--reason", default="", help="Reason; required for a release.")
@click.option("--confirm", default="", metavar=RELEASE_WORD, help="The typed confirmation of a release.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the engines confirm it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr.")
@click.pass_obj
def kill(invocation: Invocation, /, order: str, reason: str, confirm: str, no_wait: bool, as_json: bool) -> int:
    """Switch all machine learning off or on, and wait until the running engines confirm it."""
    argv = ["kill", order, f"--reason={reason}", f"--confirm={confirm}"]
    argv += [f"--repo={invocation.repo}"] if invocation.repo else []
    argv += [f"--config={invocation.config}"] if invocation.config else []
    flags = {
        "--no-wait": no_wait,
        "--json": as_json or invocation.as_json,
        "--read-only": invocation.read_only,
        "--no-kill": invocation.no_kill,
        "--debug": invocation.debug,
    }
    argv += [flag for flag, wanted in flags.items() if wanted]
    return run_kill(argv) or 0


@click.command()
@click.argument("model")
@click.option("--claim", is_flag=True, help="Take over the watch.")
@click.option("--follow", is_flag=True, help="Follow the watch until it ends. Exit code 0 without a breach, else 1.")
@click.option("--markdown", is_flag=True, help="Print a summary for the pull request.")
@verb
def watch(invocation: Invocation, model: str, claim: bool, follow: bool, markdown: bool) -> Answer:
    """Show the one-hour watch over a model that has just become active."""
    session = invocation.session
    if claim:
        say(session.watches.claim(model))
    held, live = _watch_of(invocation, model)
    while follow and held.ended_at is None:
        say(f"{format_utc(session.clock.now())} {held.artifact_id}: {_state(held, live, 'within its limits')}")
        time.sleep(invocation.settings.prometheus.poll_seconds)
        held, live = _watch_of(invocation, model)
    text = summary_markdown(held).splitlines() if markdown else [_watch_line(held, live, session.clock.now())]
    document = documents.envelope(session.clock.now()) | documents.plain(held)
    return Answer(text, document, 1 if held.breaches else 0)


@click.command()
@click.option("--since", default="24h", show_default=True, metavar="TIME", help="2026-02-16T10:00:00Z, or 90m, 6h, 2d.")
@verb
def incident(invocation: Invocation, since: str) -> Answer:
    """Print a timeline of actions and observations as Markdown, for the review after an incident."""
    session = invocation.session
    now = session.clock.now()
    begin = _moment(since, now)
    report = incident_of(session.audit.read(), session.registries.histories(), begin, now)
    document = documents.envelope(session.clock.now()) | documents.plain(report.document())
    return Answer(report.markdown().splitlines(), document)


@click.command()
@click.option("--seed", type=click.IntRange(min=0), help="Seed for fault and moment; default: random.")
@click.option("--headless", is_flag=True, help="Use a scripted operator, for CI.")
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Folder for the demo; default: a new one.")
@verb
def drill(invocation: Invocation, seed: int | None, headless: bool, directory: Path | None) -> Answer:
    """Practice an emergency on a demo system: notice, kill, roll back, and see how long you took."""
    # Imported here: the demo needs onnxruntime and more.
    from console.demo.drill import drill as run_drill  # noqa: PLC0415

    score = run_drill(seed=seed, headless=headless, directory=directory)
    document = documents.envelope(SystemClock().now()) | documents.plain(score)
    return Answer(_score_lines(score), document, 1 if score.missing else 0)


def _score_lines(score: Score) -> list[str]:
    reached = [f"{step:<16} {seconds:6.1f} s" for step, seconds in score.seconds.items()]
    missing = [f"{step:<16} missing" for step in score.missing]
    text = [f"seed {score.seed}: {score.fault.words}, seconds from its injection", *reached, *missing]
    if score.trouble:
        text.append(score.trouble)
    if score.total_s is None:
        return [*text, "not scored: every step has to be reached"]
    best = "new best" if score.new_best else f"best {score.best_s:.1f} s"
    return [*text, f"total {score.total_s:.1f} s ({best})"]


def _watch_of(invocation: Invocation, model: str) -> tuple[Watch, Judgement]:
    """Poll once, then return the model's watch with the current proof for the active artifact."""
    view = invocation.session.boards.poll().model(model)
    live = live_of(view) if view is not None else Judgement(Verdict.NO_DATA)
    for held in invocation.session.watches.known():
        if held.model == model:
            return held, live
    raise Refused(f"There is no watch over {model}.", "A watch begins when a newly active model is seen serving.")


def _state(held: Watch, live: Judgement, well: str) -> str:
    """Return the breaches. Unmeasured objectives are never reported as good."""
    if held.breaching:
        return "; ".join(trouble.why for trouble in held.breaching)
    return well if live.verdict.opens else f"not known to be well: {live.name} {live.verdict.value} {live.why}".rstrip()


def _watch_line(held: Watch, live: Judgement, now: datetime) -> str:
    if held.ended_at is not None:
        return summary_line(held)
    left = span((held.ends_at - now).total_seconds())
    state = _state(held, live, "nothing breaches")
    return f"{held.artifact_id} of {held.model} is watched by {held.keeper} for another {left}: {state}."


def _moment(text: str, now: datetime) -> datetime:
    unit = {"m": 60, "h": 3_600, "d": 86_400}.get(text[-1:])
    try:
        return now - timedelta(seconds=float(text[:-1]) * unit) if unit else parse_utc(text)
    except ValueError as error:
        raise Usage(f"{text!r} is not a time.", "Write 2026-02-16T10:00:00Z, or how long ago: 90m, 6h, 2d.") from error
