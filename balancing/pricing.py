"""Who is served where many want the same rows: each row has a price, which rises while more want it than it carries.

A car that waits takes the cheapest of its options if that costs less than the car is worth; who is served already takes its cheapest in
any case. The prices that result say which cars and which lines leave most to others, and bound what can be served at all (Lagrangian
relaxation, as in Held, Wolfe and Crowder, Validation of subgradient optimization, 1974).
"""

import math
from typing import Final, NamedTuple

import numpy as np

from balancing.chains import settle
from balancing.compiled import Floats, Ints, compiled, in_place
from balancing.filling import OFF
from balancing.phases import SLACK
from balancing.problem import Problem
from balancing.room import LOOKS, Room, credit_of, fits, put, waiting

ROUNDS: Final = 100
"""Changes of prices."""

PLACED_EVERY: Final = 4
"""After so many rounds the cars are placed as the prices say."""

CREDIT: Final = 0.25
"""What the largest credit of a class is worth beside a car: small, as one more car comes before any credit."""

FIRST_STEP: Final = 1.5
PATIENCE: Final = 4
"""Rounds without a lower bound after which the steps are halved."""

LOWER: Final = 0.999
"""What a bound has to be of the lowest before, at most, to count as a lower one."""

LEAST_GAP: Final = 0.01
"""Cars: a step is as long as if the bound were at least so far from what is served."""

DEARER: Final = 1e9
"""More than any car's gain: whoever is served in any case is placed before all others."""

LEAST_SCALE: Final = 6.0
"""Ampere: rows with less are told apart no further."""


class Market(NamedTuple):
    """Who wants what. The first `kept` of `cars` are served in any case, the others are the class's own."""

    cars: Ints
    kept: int
    worth: Floats
    """Per car, in cars; 0 for those who are served in any case."""
    is_open: Ints
    """Per option 1 where it fits at all."""
    entries: int
    """Rows of all open options, which is what a round costs."""
    capacity: Floats
    """Per row ampere for all of them; where all take the same there, a whole multiple of that."""
    scale: Floats
    load: Floats
    preferred: Ints
    """Per car the cheapest open option, or OFF."""
    gain: Floats
    """Per car its worth less that price."""


@compiled
def price(p: Problem, room: Room, before: Ints, members: Ints) -> bool:
    """The class is served at least as well as it was; whether prices leave it open that more of it can be served.

    Those of the classes `before` keep their places, but perhaps not their lines.
    """
    best, waits, credit = room.choice.copy(), waiting(room, members), credit_of(p, room, members)
    m = _market(p, room, before, members)
    unit = CREDIT / max(np.max(p.credit[members]), 1.0)
    smallest = np.sort(p.credit[members])
    bound, step, idle, may_be_more = np.inf, FIRST_STEP, 0, True
    for turn in range(ROUNDS):
        room.left[0] -= m.entries // LOOKS
        if room.left[0] <= 0:
            break
        total = _choose(p, room, m)
        idle = 0 if total < LOWER * bound else idle + 1
        bound = min(bound, total)
        if turn % PLACED_EVERY == PLACED_EVERY - 1:
            room.left[0] -= m.entries // LOOKS
            is_whole = _place(p, room, m, np.argsort(-m.gain, kind="mergesort"))
            now, brings = waiting(room, members), credit_of(p, room, members)
            if is_whole and (now < waits or (now == waits and brings > credit + SLACK)):
                waits, credit = now, brings
                best[:] = room.choice
            _clear(p, room, m.cars)
        served = len(members) - waits
        may_be_more = bool(waits > 0 and bound + SLACK >= served + 1 + unit * np.sum(smallest[: served + 1]))
        if waits == 0 or not _reprice(room, m, step * max(bound - served - unit * credit, LEAST_GAP)):
            break
        if idle == PATIENCE:
            step, idle = step / 2, 0
    for car in range(len(best)):
        if room.choice[car] != best[car]:
            put(p, room, car, best[car])
    return may_be_more


@compiled
def _market(p: Problem, room: Room, before: Ints, members: Ints) -> Market:
    """Everybody concerned, without a place."""
    kept = before[room.choice[before] != OFF]
    cars = np.concatenate((kept, members))
    _clear(p, room, cars)
    rows = len(p.capacity)
    unit, is_open, entries = np.full(rows, np.inf), np.zeros(len(p.car), np.int64), 0
    for car in cars:
        for option in range(p.first_option[car], p.first_option[car + 1]):
            if not fits(p, room, option):
                continue
            is_open[option] = 1
            entries += p.first_row[option + 1] - p.first_row[option]
            for entry in range(p.first_row[option], p.first_row[option + 1]):
                row, takes = p.row[entry], p.lowest[option] * p.along[entry]
                unit[row] = takes if unit[row] == np.inf or abs(unit[row] - takes) < SLACK else 0.0
    capacity = np.maximum(p.capacity - room.used[:, 0], 0.0)
    for row in range(rows if not p.is_vector else 0):
        if 0.0 < unit[row] < np.inf:
            capacity[row] = math.floor((capacity[row] + SLACK) / unit[row]) * unit[row]
    worth = 1.0 + CREDIT * p.credit[cars] / max(np.max(p.credit[members]), 1.0)
    worth[: len(kept)] = 0.0
    return Market(
        cars,
        len(kept),
        worth,
        is_open,
        entries,
        capacity,
        np.maximum(capacity, LEAST_SCALE),
        np.zeros(rows),
        np.full(len(cars), OFF),
        np.zeros(len(cars)),
    )


@in_place
def _clear(p: Problem, room: Room, cars: Ints) -> None:
    for car in cars:
        put(p, room, car, OFF)


@in_place
def cost(p: Problem, room: Room, option: int) -> float:
    """What the option's minimum costs."""
    total = 0.0
    for entry in range(p.first_row[option], p.first_row[option + 1]):
        total += room.price[p.row[entry]] * p.along[entry] * p.lowest[option]
    return total


@in_place
def _choose(p: Problem, room: Room, m: Market) -> float:
    """A bound of what all can be worth: every car takes what it prefers at these prices, whether it fits or not."""
    m.load[:] = 0.0
    total = 0.0
    for row in range(len(m.load)):
        total += room.price[row] * m.capacity[row]
    for at in range(len(m.cars)):
        car = m.cars[at]
        least, taken = np.inf, OFF
        for option in range(p.first_option[car], p.first_option[car + 1]):
            if m.is_open[option]:
                asked = cost(p, room, option)
                if asked < least:
                    least, taken = asked, option
        m.preferred[at], m.gain[at] = taken, m.worth[at] - least
        if taken != OFF and (at < m.kept or m.gain[at] > 0.0):
            total += m.gain[at]
            for entry in range(p.first_row[taken], p.first_row[taken + 1]):
                m.load[p.row[entry]] += p.lowest[taken] * p.along[entry]
        if at < m.kept:
            # They are placed first, the dearest before the others.
            m.gain[at] = DEARER + least
    return total


@in_place
def _reprice(room: Room, m: Market, length: float) -> bool:
    """Whether any price had to change: it rises where more is wanted than there is, and falls elsewhere."""
    norm = 0.0
    for row in range(len(m.load)):
        over = m.load[row] - m.capacity[row]
        if over > 0.0 or room.price[row] > 0.0:
            norm += over * over / m.scale[row]
    if norm < SLACK:
        return False
    for row in range(len(m.load)):
        change = length * (m.load[row] - m.capacity[row]) / (m.scale[row] * norm)
        room.price[row] = max(0.0, room.price[row] + change)
    return True


@in_place
def _place(p: Problem, room: Room, m: Market, order: Ints) -> bool:
    """The cars are placed one after the other; whether all are who are served in any case."""
    for at in order:
        car, option = m.cars[at], m.preferred[at]
        if option != OFF and not fits(p, room, option):
            option = _cheapest(p, room, car)
        if option != OFF:
            put(p, room, car, option)
        elif at < m.kept and not settle(p, room, car, -1, -np.inf):
            return False
    return True


@in_place
def _cheapest(p: Problem, room: Room, car: int) -> int:
    """The cheapest option that fits, or OFF."""
    best, least = OFF, np.inf
    for option in range(p.first_option[car], p.first_option[car + 1]):
        if fits(p, room, option):
            asked = cost(p, room, option)
            if asked < least:
                best, least = option, asked
    return best
