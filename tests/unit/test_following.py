"""The forge is asked seldom: at most every 15 s about one branch, and more seldom after failures and rate limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from ml.promotion.publish import Desk
from ml.promotion.rungs import ForgeAnswer, ForgeState
from ml.session.context import Context
from ml.session.following import ForgeLook


class Forge:
    """A forge that notes at which second it is asked, and answers as told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.state = ForgeState.ANSWERED
        self.asked: list[tuple[float, str]] = []

    def monotonic(self) -> float:
        return self.now

    def look(self, remote_url: str, branch: str = "") -> ForgeAnswer:
        assert remote_url == "url of origin"
        self.asked.append((self.now, branch))
        return ForgeAnswer(state=self.state)

    def seconds(self, look: ForgeLook, upto: int) -> list[float]:
        """Ask every second; the seconds at which the forge itself was asked."""
        begun, self.asked = self.now, []
        while self.now < begun + upto:
            assert look.about("b", DESK).state in set(ForgeState)
            self.now += 1
        return [at - begun for at, _ in self.asked]


DESK = cast(
    "Desk",
    SimpleNamespace(
        remote="origin", repository=SimpleNamespace(remotes=SimpleNamespace(url=lambda name: f"url of {name}"))
    ),
)


def following(forge: Forge | None) -> ForgeLook:
    context = SimpleNamespace(requests=forge, clock=forge)
    return ForgeLook(cast("Context", context), jitter=lambda: 0.0)


def test_an_answer_is_kept_for_a_while() -> None:
    forge = Forge()
    assert forge.seconds(following(forge), 60) == [0, 15, 30, 45]


def test_a_forge_that_fails_is_asked_more_and_more_seldom() -> None:
    forge = Forge()
    forge.state = ForgeState.SILENT
    look = following(forge)
    assert forge.seconds(look, 900) == [0, 30, 90, 210, 450, 690]
    forge.state = ForgeState.ANSWERED
    forge.now += 1000
    assert forge.seconds(look, 31) == [0, 15, 30]


def test_a_rate_limit_is_obeyed_at_once() -> None:
    forge = Forge()
    forge.state = ForgeState.LIMITED
    assert forge.seconds(following(forge), 200) == [0, 120]


def test_each_branch_has_its_own_answer_and_no_forge_is_none() -> None:
    forge = Forge()
    look = following(forge)
    for branch in ("a", "b", "a", ""):
        look.about(branch, DESK)
    assert [branch for _, branch in forge.asked] == ["a", "b", ""]
    assert following(None).about("a", DESK).state is ForgeState.NONE
