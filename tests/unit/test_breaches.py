"""A breach rings once: not with every poll, not because its value moved, and again when it comes back."""

from __future__ import annotations

from fakes import watch_view

from console.status import Breaches

CALM = watch_view()
BREACHES = watch_view("p99: 640 ms is not below 100 ms.")
MOVED = watch_view("p99: 655 ms is not below 100 ms.")
WORSE = watch_view("p99: 655 ms is not below 100 ms.", "error_rate: 9 % is not below 5 %.")
OTHER = watch_view("p99: 300 ms is not below 100 ms.", model="regime_night")


def test_each_breach_is_new_once() -> None:
    breaches = Breaches()
    assert breaches.fresh((CALM,)) == ()
    assert breaches.fresh((BREACHES,)) == (BREACHES,)
    assert breaches.fresh((MOVED,)) == ()
    assert breaches.fresh((WORSE,)) == (WORSE,)
    assert breaches.fresh((WORSE, OTHER)) == (OTHER,)


def test_a_breach_that_ended_and_comes_back_is_new_again() -> None:
    breaches = Breaches()
    assert breaches.fresh((BREACHES,)) == (BREACHES,)
    assert breaches.fresh((CALM,)) == ()
    assert breaches.fresh((BREACHES,)) == (BREACHES,)
    assert breaches.fresh(()) == ()
    assert breaches.fresh((BREACHES,)) == (BREACHES,)
