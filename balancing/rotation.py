"""Whose turn it is: waiting cars climb in tiers, charging cars are protected for one rotation and then queue like all.

Numbers from the time layer of the balancer: R = 15 min; n equal cars on S places wait at most (⌈n/S⌉ - 1)·R.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

ROTATION_S = 900.0
"""R: how long a car that was admitted keeps its place, and the step in which waiting counts."""

PROTECTED_TIER = 2


@dataclass(frozen=True, slots=True)
class Turn:
    """Since when a car waits or charges, in seconds of one clock; both None: it neither waits nor charges."""

    waiting_since_s: float | None = None
    charging_since_s: float | None = None
    admitted_tier: int = 0
    """The tier in which it was admitted."""


NO_TURN = Turn()


@dataclass(frozen=True, slots=True)
class Place:
    """What the solver is told: higher tiers first, then the larger sum of credit."""

    tier: int
    credit: float


def place(turn: Turn, now_s: float) -> Place:
    """Where the car stands now."""
    if turn.charging_since_s is not None:
        charged_s = max(0.0, now_s - turn.charging_since_s)
        is_protected = charged_s < ROTATION_S
        tier = max(PROTECTED_TIER, turn.admitted_tier + 1) if is_protected else 0
        return Place(tier, max(0.0, ROTATION_S - charged_s))
    waited_s = 0.0 if turn.waiting_since_s is None else max(0.0, now_s - turn.waiting_since_s)
    rotations = int(waited_s // ROTATION_S)
    # Tier 2 stays free for protected cars: whoever waits longer than two rotations passes them.
    return Place(rotations if rotations < PROTECTED_TIER else rotations + 1, waited_s)


def turned(turn: Turn, *, wants_current: bool, is_served: bool, now_s: float) -> Turn:
    """The turn after a decision: a car that is newly served is protected, one that lost its place begins to wait."""
    if not wants_current:
        return NO_TURN
    if is_served:
        if turn.charging_since_s is not None:
            return turn
        return Turn(charging_since_s=now_s, admitted_tier=place(turn, now_s).tier)
    if turn.waiting_since_s is not None:
        return turn
    return Turn(waiting_since_s=now_s)


def next_slots(protected_until_s: Sequence[float], count: int, now_s: float) -> list[float]:
    """When each of `count` waiting cars, in their order, may expect a place where those cars charge now.

    A place comes free when its car is no longer protected, and again one rotation later. Nothing is expected where nobody charges.
    """
    ends = sorted(_not_past(end_s, now_s) for end_s in protected_until_s)
    return [ends[number % len(ends)] + ROTATION_S * (number // len(ends)) for number in range(count if ends else 0)]


def protected_until(turn: Turn) -> float | None:
    """Until when a charging car keeps its place whatever others wait; None for one that does not charge."""
    return None if turn.charging_since_s is None else turn.charging_since_s + ROTATION_S


def _not_past(at_s: float, now_s: float) -> float:
    """The instant, or the first after it by whole rotations that is still to come."""
    return at_s + ROTATION_S * max(0, math.ceil((now_s - at_s) / ROTATION_S))
