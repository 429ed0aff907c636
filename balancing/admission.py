"""Who is served: class by class as many cars as fit at their minima, then the largest sum of credit.

Cars that load fewest lines come first, which is exact for equal minima. Where somebody waits, prices, small disorders and chains of
moves repair what greed missed.
"""

from typing import Final

import numpy as np

from balancing.chains import more_by_moves, more_credit, one_out_two_in, one_out_two_settle, two_for_two
from balancing.compiled import Ints, compiled
from balancing.filling import OFF
from balancing.gathering import gather
from balancing.pricing import market_of, most_for, price
from balancing.problem import Problem
from balancing.room import NARROWEST, Room, best_fitting, put, waiting
from balancing.shaking import shake

GATHERED: Final = 0.25
"""Part of a class's effort, twice."""

SHAKEN_BETWEEN: Final = 0.5
SHAKEN: Final = 0.8
"""Part of a class's effort, between those two where more cars may be served, and after them; it ends earlier where disorder is in vain."""


@compiled
def admit(p: Problem, room: Room, order: Ints, preference: int) -> None:
    """The empty room is filled class by class; `order` lists the cars, first class first, easiest to serve first."""
    room.choice[:] = OFF
    room.used[:] = 0.0
    room.price[:] = 0.0
    room.number[0] = 0
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and p.rank[order[end]] == p.rank[order[start]]:
            end += 1
        # Each class has its part of the effort, and what the ones before left of theirs.
        later = room.left[0] * (len(order) - end) // (len(order) - start)
        room.left[0] -= later
        serve(p, room, order[:start], order[start:end], preference)
        room.left[0] += later
        start = end


@compiled
def serve(p: Problem, room: Room, before: Ints, members: Ints, preference: int) -> None:
    """The cars of one class are admitted, until nothing brings more in or no effort is left.

    Those of the classes `before` keep their places, but perhaps not their lines.
    """
    for car in members:
        option = best_fitting(p, room, car, preference)
        if option != OFF:
            put(p, room, car, option)
    if waiting(room, members) == 0:
        return
    may_be_more = True
    if preference == NARROWEST:
        may_be_more, is_best = _bargain(p, room, before, members)
        if is_best:
            return
        shake(p, room, members, int(SHAKEN * room.left[0]))
    by_credit = members[np.argsort(-p.credit[members], kind="mergesort")]
    found = True
    while found and room.left[0] > 0:
        found = may_be_more and (more_by_moves(p, room, by_credit) or one_out_two_in(p, room, members))
        found = found or more_credit(p, room, by_credit)
        found = found or (may_be_more and one_out_two_settle(p, room, members))
        found = found or two_for_two(p, room, by_credit)


@compiled
def _bargain(p: Problem, room: Room, before: Ints, members: Ints) -> tuple[bool, bool]:
    """The class is served at least as well as it was; whether more of it may be, and whether this is known to be the best."""
    m = market_of(p, room, before, members)
    room.price[:] = 0.0
    bound = price(p, room, m, members)
    most = most_for(p, m, members, bound)
    gather(p, room, m, members, bound, int(GATHERED * room.left[0]))
    if len(members) - waiting(room, members) < most:
        # The less an answer may lose, the more of what is gathered next is of use.
        shake(p, room, members, int(SHAKEN_BETWEEN * room.left[0]))
    served = len(members) - waiting(room, members)
    # The best credit of so many is bounded more tightly where no more are counted on.
    m.most[0] = served
    is_best = gather(p, room, m, members, price(p, room, m, members), int(GATHERED * room.left[0]))
    served = len(members) - waiting(room, members)
    return served < most, is_best and served == most
