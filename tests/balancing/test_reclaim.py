"""Tests of what a car leaves of its offer, and of when it is done."""

import pytest

from balancing.reclaim import NOTHING_RECLAIMED, Reclaim, Sample, cap_of, finished, observed, offered, woken


def watched(
    state: Reclaim, draws: dict[float, float], *, offer: float | None = None, charging_since_s: float = 0.0
) -> Reclaim:
    """The state after these samples, with the offer at its cap, or fixed."""
    for at_s, draw in draws.items():
        given = offer if offer is not None else min(16.0, state.cap or 16.0)
        state = offered(state, given, at_s - 0.1 if given != state.offer else at_s)
        state = observed(state, Sample(draw, at_s), min_current=6.0, charging_since_s=charging_since_s)
    return state


def every(seconds: int, until_s: int, draw: float, *, since_s: int = 0) -> dict[float, float]:
    """That draw, in such intervals."""
    return {float(at_s): draw for at_s in range(since_s, until_s + 1, seconds)}


def test_what_a_car_leaves_for_a_minute_is_taken_back() -> None:
    """It keeps its highest draw and 1.5 A, never less than its minimum; not in its first two minutes."""
    assert watched(NOTHING_RECLAIMED, every(10, 110, 9.0)).cap is None
    assert watched(NOTHING_RECLAIMED, every(10, 120, 9.0)).cap == 10.5
    assert watched(NOTHING_RECLAIMED, every(10, 120, 2.0)).cap == 6.0
    assert watched(NOTHING_RECLAIMED, every(10, 600, 15.0)).cap is None


def test_a_minute_begins_with_each_change() -> None:
    """What a car left of another offer says nothing about this one."""
    state = watched(NOTHING_RECLAIMED, every(10, 200, 12.0, since_s=130), offer=12.5)
    assert watched(state, every(10, 260, 12.0, since_s=210), offer=16.0).cap is None
    assert watched(state, every(10, 270, 12.0, since_s=210), offer=16.0).cap == 13.5


def test_a_car_that_takes_all_gets_more_at_once() -> None:
    """Within 0.5 A of its cap it gets 4 A more, then 8."""
    state = watched(NOTHING_RECLAIMED, every(10, 120, 2.0))
    once = watched(state, {130.0: 5.5})
    assert (once.cap, once.raise_a) == (10.0, 8.0)
    assert watched(once, {140.0: 9.5}).cap == 18.0
    assert cap_of(watched(once, {140.0: 9.5}), 16.0) is None


def test_a_cap_is_tried_every_five_minutes() -> None:
    """It is raised by 4 A, and comes back a minute later where the car leaves that, too."""
    state = watched(NOTHING_RECLAIMED, every(10, 410, 9.0))
    assert state.cap == 10.5
    assert watched(state, {420.0: 9.0}).cap == 14.5
    assert watched(state, every(10, 500, 9.0, since_s=420)).cap == 10.5


def test_a_taper_is_followed_in_steps() -> None:
    """A car that slowly takes less is told so when that is half an ampere, not at every reading."""
    caps = set()
    state = watched(NOTHING_RECLAIMED, every(10, 120, 9.0))
    for number in range(28):
        state = watched(state, {130.0 + 10 * number: 9.0 - 0.05 * number})
        caps.add(state.cap)
    assert len(caps) <= 3


def test_a_car_that_draws_nothing_of_its_minimum_is_finished() -> None:
    """After three minutes; a draw begins its charge anew."""
    state = watched(NOTHING_RECLAIMED, every(10, 120, 0.0))
    assert state.cap == 6.0
    assert not watched(state, every(10, 300, 0.0, since_s=130)).is_finished
    done = watched(state, every(10, 310, 0.0, since_s=130))
    assert done.is_finished
    assert not watched(done, {320.0: 3.0}).is_finished


def test_a_finished_car_is_tried_once_in_half_an_hour() -> None:
    """Where its minimum was taken away; while it is offered, the car can ask by itself."""
    done = offered(finished(NOTHING_RECLAIMED, 100.0), 0.0, 110.0)
    assert woken(done, 1899.0).is_finished
    assert not woken(done, 1900.0).is_finished
    assert woken(offered(done, 6.0, 200.0), 1900.0).is_finished
    assert finished(woken(done, 1900.0), 2100.0).finished_s == 2100.0


@pytest.mark.parametrize("state", [NOTHING_RECLAIMED, Reclaim(cap=7.0, offer=7.0, last_s=50.0)])
def test_what_is_old_or_was_not_offered_changes_nothing(state: Reclaim) -> None:
    """A repeated sample, or one while nothing is offered, is no evidence."""
    seen = observed(state, Sample(3.0, 50.0), min_current=6.0, charging_since_s=0.0)
    assert seen.cap == state.cap
    assert seen.leaves_since_s is None
