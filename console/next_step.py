"""What follows a written change: the same words on the receipt of the interface and of a verb."""

from __future__ import annotations

from ml.promotion.values import Submission


def next_words(submission: Submission) -> str:
    """What to do next, without the command for it."""
    if submission.pushed:
        return "Have it reviewed. Where there is no forge, land it then"
    return "When the remote is back, push it"


def next_command(submission: Submission) -> str:
    """The command that goes on from this submission."""
    return f"mlconsole {'land' if submission.pushed else 'push'} {submission.branch}"
