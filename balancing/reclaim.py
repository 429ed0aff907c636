"""What a car leaves of its offer goes to the others: a cap that follows its draw, and the end of offers to a car that is done.

Numbers from the time layer of the balancer (docs/balancing.md §2). Pure: samples and the time come in; currents are ampere on the
highest of the car's lines.
"""

import math
from dataclasses import dataclass, replace

LEAVES_A = 1.0
LEAVES_FOR_S = 60.0
STARTS_WITHIN_S = 120.0
"""A car may take so long to begin; what it leaves until then proves nothing."""

MARGIN_A = 1.5
TAKES_ALL_WITHIN_A = 0.5
RAISE_A = 4.0
RAISED_EVERY_S = 300.0
LEAST_CHANGE_A = 0.5
"""A cap is not lowered by less: a car that tapers would be told something new at every reading."""

NOTHING_A = 0.5
FINISHED_AFTER_S = 180.0
WOKEN_EVERY_S = 1800.0


@dataclass(frozen=True, slots=True)
class Reclaim:
    """What a session's draw has shown; dropped at unplug, phase switch and a new session.

    `cap` None: the car may get all it is allowed. Instants are seconds of one monotonic clock.
    """

    cap: float | None = None
    raise_a: float = RAISE_A
    """By how much the cap is raised next."""
    moved_s: float = -math.inf
    """When the cap was last lowered or raised."""
    offer: float = 0.0
    offered_s: float = -math.inf
    """Since when it has had this offer."""
    leaves_since_s: float | None = None
    highest: float = 0.0
    """The highest draw since then."""
    idle_since_s: float | None = None
    is_finished: bool = False
    finished_s: float = -math.inf
    last_s: float = -math.inf


NOTHING_RECLAIMED = Reclaim()


@dataclass(frozen=True, slots=True)
class Sample:
    """A measured draw, and when it was taken."""

    draw: float
    at_s: float


def offered(state: Reclaim, offer: float, now_s: float) -> Reclaim:
    """The state while this is offered; a change begins every observation anew."""
    if offer == state.offer:
        return state
    return replace(state, offer=offer, offered_s=now_s, leaves_since_s=None, highest=0.0, idle_since_s=None)


def observed(state: Reclaim, sample: Sample, *, min_current: float, charging_since_s: float | None) -> Reclaim:
    """The state after a sample; an older or repeated one, or one while nothing is offered, changes nothing.

    `charging_since_s`: since when the car has been offered current without a pause.
    """
    if sample.at_s <= state.last_s:
        return state
    state = replace(state, last_s=sample.at_s)
    if sample.draw > NOTHING_A:
        state = replace(state, is_finished=False, idle_since_s=None)
    if state.offer <= 0 or sample.at_s < state.offered_s or charging_since_s is None:
        return state
    state = _raised(state, sample)
    state = _lowered(state, sample, min_current, charging_since_s)
    return _idle(state, sample, min_current)


def _raised(state: Reclaim, sample: Sample) -> Reclaim:
    """A car that takes what it may get is let to more at once, one that does not from time to time."""
    if state.cap is None:
        return state
    takes_all = sample.draw >= state.cap - TAKES_ALL_WITHIN_A
    if not takes_all and sample.at_s - state.moved_s < RAISED_EVERY_S:
        return state
    return replace(
        state,
        cap=state.cap + state.raise_a,
        raise_a=2 * state.raise_a if takes_all else state.raise_a,
        moved_s=sample.at_s,
        leaves_since_s=None,
        highest=0.0,
    )


def _lowered(state: Reclaim, sample: Sample, min_current: float, charging_since_s: float) -> Reclaim:
    if sample.draw >= state.offer - LEAVES_A:
        return replace(state, leaves_since_s=None, highest=0.0)
    since_s = sample.at_s if state.leaves_since_s is None else state.leaves_since_s
    highest = max(state.highest, sample.draw)
    state = replace(state, leaves_since_s=since_s, highest=highest)
    # The offer may have been told a while after the cap was raised: what counts is what the car has had.
    is_early = sample.at_s - charging_since_s < STARTS_WITHIN_S
    if is_early or sample.at_s - max(since_s, state.moved_s) < LEAVES_FOR_S:
        return state
    cap = max(min_current, highest + MARGIN_A)
    if state.cap is not None and cap > state.cap - LEAST_CHANGE_A:
        return replace(state, leaves_since_s=sample.at_s, highest=sample.draw)
    return replace(state, cap=cap, raise_a=RAISE_A, moved_s=sample.at_s)


def _idle(state: Reclaim, sample: Sample, min_current: float) -> Reclaim:
    """A car that draws nothing of its minimum for three minutes is finished."""
    if sample.draw > NOTHING_A or state.offer > min_current + TAKES_ALL_WITHIN_A:
        return replace(state, idle_since_s=None)
    since_s = sample.at_s if state.idle_since_s is None else state.idle_since_s
    if sample.at_s - since_s < FINISHED_AFTER_S or state.is_finished:
        return replace(state, idle_since_s=since_s)
    return finished(replace(state, idle_since_s=since_s), sample.at_s)


def finished(state: Reclaim, now_s: float) -> Reclaim:
    """The car, or its charger, says that it wants nothing more."""
    return state if state.is_finished else replace(state, is_finished=True, finished_s=now_s)


def woken(state: Reclaim, now_s: float) -> Reclaim:
    """A finished car that gets nothing is tried again once in half an hour: it can only ask while something is offered."""
    if not state.is_finished or state.offer > 0 or now_s - state.finished_s < WOKEN_EVERY_S:
        return state
    return replace(state, is_finished=False, idle_since_s=None)


def cap_of(state: Reclaim, max_current: float) -> float | None:
    """The car's maximum as the balancer is told; None where it is no limit."""
    return None if state.cap is None or state.cap >= max_current else state.cap
