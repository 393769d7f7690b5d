"""Every watch ends, whatever becomes of its model, and says why; one that cannot be kept hides nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import LIVE, NOW, OLD, model_view

from ml.board import ModelView, WatchView
from ml.emergency.watch import Watch
from ml.policy import parse_policy
from ml.records.audit import AuditLog
from ml.session.metrics import SERVING
from ml.session.watches import Watches

MODEL = "regime_classifier"


class Night:
    """One console's watches, and what the audit log and the webhook are told."""

    def __init__(self, state: Path) -> None:
        self.audit = AuditLog(state / "audit.jsonl")
        self.told: list[str] = []
        place = SimpleNamespace(state=state, read_only=False)
        notifier = SimpleNamespace(tell=lambda event, text, **_: self.told.append(event))
        context: Any = SimpleNamespace(
            place=place,
            audit=self.audit,
            metrics=None,
            person=SimpleNamespace(full=lambda: "ann@example.com"),
            notifier=notifier,
        )
        self.watches = Watches(context)

    def poll(self, minutes: float, *models: ModelView) -> tuple[WatchView, ...]:
        return self.watches.poll(parse_policy(None), models, NOW + timedelta(minutes=minutes))

    def ended(self) -> Watch:
        """The one watch, which is over and recorded as such."""
        (watch,) = self.watches.known()
        assert watch.ended_at
        last = self.audit.read()[-1]
        assert last.kind == "watch_ended"
        assert f"ended, {watch.ending}: " in last.fields["what"]
        assert self.told == ["watch_ended"]
        return watch


def active(artifact_id: str | None = LIVE, since: datetime | None = NOW) -> ModelView:
    view = model_view(MODEL)
    stage = replace(view.active, artifact_id=artifact_id, since=since, deployment=SERVING if artifact_id else "")
    return replace(view, active=stage)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """A watch that began a minute after the promotion."""
    made = Night(tmp_path)
    (begun,) = made.poll(1, active())
    assert begun.artifact_id == LIVE
    return made


def test_a_model_that_disappears_from_the_registry(night: Night) -> None:
    assert night.poll(10) == ()
    assert night.ended().ending == "the model is no longer in the registry"
    assert night.poll(11) == ()
    assert len(night.told) == 1


def test_an_active_stage_that_is_cleared(night: Night) -> None:
    assert night.poll(10, active(None, None)) == ()
    assert night.ended().ending == "nothing is active any more"


def test_another_promotion_even_before_it_serves(night: Night) -> None:
    replaced = active(OLD, NOW + timedelta(minutes=9))
    assert night.poll(10, replace(replaced, active=replace(replaced.active, deployment=""))) == ()
    assert night.ended().ending == f"{OLD} became active in its place"


def test_a_console_that_comes_back_days_later(night: Night) -> None:
    assert night.poll(3 * 24 * 60, active()) == ()
    assert night.ended().ending == "the time is over"


def test_a_pointer_whose_history_was_lost_is_watched_to_its_end(night: Night) -> None:
    (running,) = night.poll(30, active(since=None))
    assert running.artifact_id == LIVE
    assert night.poll(61, active(since=None)) == ()
    assert night.ended().ending == "the time is over"


def test_a_watch_that_cannot_be_kept_is_a_problem_in_words_and_no_error(night: Night, tmp_path: Path) -> None:
    (tmp_path / "watches" / f"{MODEL}.json").write_text("{")
    assert night.poll(10, active()) == ()
    (problem,) = night.watches.problems
    assert f"{MODEL}.json cannot be read" in problem.what
    assert problem.remedy
    (tmp_path / "watches" / f"{MODEL}.json").unlink()
    assert len(night.poll(11, active())) == 1
    assert night.watches.problems == ()
