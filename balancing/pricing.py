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
PATIENCE: Final = 5
"""Rounds without a lower bound after which the steps are halved."""

LOWER: Final = 0.001
"""Part of what a bound is above the best answer by which another has to be lower to count as a lower one."""

LAST_STEP: Final = 0.001

LEAST_GAP: Final = 0.001
"""Cars: a step is as long as if the bound were at least so far from what is served."""

MEMORY: Final = 0.95
"""What a round counts beside the next one in the average of what is wanted."""

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
    unit: float
    """Cars: what one second of credit is worth."""
    entries: int
    """Rows of all options, which is what a round costs."""
    capacity: Floats
    """Per row ampere for all of them; where all take the same there, a whole multiple of that."""
    scale: Floats
    load: Floats
    preferred: Ints
    """Per car the cheapest option, or OFF."""
    gain: Floats
    """Per car its worth less that price."""
    wanted: Floats
    """Per option how much of it is wanted while prices change, the last rounds counting most."""
    places: Floats
    """One number: how many cars of the class want one."""
    most: Floats
    """One number: how many there are."""
    fee: Floats
    """One number: what a place costs beside its rows, in cars, because there are no more of them."""


@compiled
def price(p: Problem, room: Room, m: Market, members: Ints) -> float:
    """The class is served at least as well as it was; what it can be worth at most, which the prices say that are left.

    Those of the classes before keep their places, but perhaps not their lines.
    """
    best, waits, credit = room.choice.copy(), waiting(room, members), credit_of(p, room, members)
    lowest, fee = room.price.copy(), m.fee[0]
    clear(p, room, m.cars)
    bound, step, idle, weight, weights = np.inf, FIRST_STEP, 0, 1.0, 0.0
    m.wanted[:] = 0.0
    for turn in range(ROUNDS):
        room.left[0] -= m.entries // LOOKS
        if room.left[0] <= 0 or step < LAST_STEP:
            break
        total = _choose(p, room, m)
        known = len(members) - waits + m.unit * credit
        idle = 0 if total < bound - LOWER * max(bound - known, LEAST_GAP) else idle + 1
        if total < bound:
            bound, fee = total, m.fee[0]
            lowest[:] = room.price
        if turn % PLACED_EVERY == PLACED_EVERY - 1:
            room.left[0] -= m.entries // LOOKS
            is_whole = _place(p, room, m, np.argsort(-m.gain, kind="mergesort"))
            now, brings = waiting(room, members), credit_of(p, room, members)
            if is_whole and (now < waits or (now == waits and brings > credit + SLACK)):
                waits, credit = now, brings
                best[:] = room.choice
            clear(p, room, m.cars)
        length = _reprice(room, m, step * max(total - known, LEAST_GAP)) if waits > 0 else 0.0
        if length == 0.0:
            break
        weight /= MEMORY
        weights += weight * length
        for at in range(len(m.cars)):
            if m.preferred[at] != OFF and (at < m.kept or m.gain[at] > 0.0):
                m.wanted[m.preferred[at]] += weight * length
        if idle == PATIENCE:
            step, idle = step / 2, 0
    if weights > 0.0:
        m.wanted[:] /= weights
    room.price[:] = lowest
    m.fee[0] = fee
    for car in m.cars:
        put(p, room, car, best[car])
    return bound


@compiled
def market_of(p: Problem, room: Room, before: Ints, members: Ints) -> Market:
    """The class `members`, and who is served of the classes before."""
    kept = before[room.choice[before] != OFF]
    cars = np.concatenate((kept, members))
    rows = len(p.capacity)
    unit, entries = np.full(rows, np.inf), 0
    for car in cars:
        for option in range(p.first_option[car], p.first_option[car + 1]):
            entries += p.first_row[option + 1] - p.first_row[option]
            for entry in range(p.first_row[option], p.first_row[option + 1]):
                row, takes = p.row[entry], p.lowest[option] * p.along[entry]
                unit[row] = takes if unit[row] == np.inf or abs(unit[row] - takes) < SLACK else 0.0
    capacity = p.capacity.copy()
    for row in range(rows if not p.is_vector else 0):
        if 0.0 < unit[row] < np.inf:
            capacity[row] = math.floor((capacity[row] + SLACK) / unit[row]) * unit[row]
    second = CREDIT / max(np.max(p.credit[members]), 1.0)
    worth = 1.0 + second * p.credit[cars]
    worth[: len(kept)] = 0.0
    return Market(
        cars,
        len(kept),
        worth,
        second,
        entries,
        capacity,
        np.maximum(capacity, LEAST_SCALE),
        np.zeros(rows),
        np.full(len(cars), OFF),
        np.zeros(len(cars)),
        np.zeros(len(p.car)),
        np.zeros(1),
        np.full(1, np.inf),
        np.zeros(1),
    )


@in_place
def worth_of(p: Problem, room: Room, m: Market, members: Ints) -> float:
    """What those of the class who have a place are worth."""
    return len(members) - waiting(room, members) + m.unit * credit_of(p, room, members)


@compiled
def most_for(p: Problem, m: Market, members: Ints, bound: float) -> int:
    """How many of the class can be served if they can be worth no more than that."""
    credit = np.sort(p.credit[members])
    most, worth = 0, 0.0
    while most < len(members) and worth + 1.0 + m.unit * credit[most] <= bound + SLACK:
        worth += 1.0 + m.unit * credit[most]
        most += 1
    return most


@in_place
def clear(p: Problem, room: Room, cars: Ints) -> None:
    """None of the cars has a place."""
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
    m.places[0] = 0.0
    total = m.fee[0] * m.most[0] if m.fee[0] > 0.0 else 0.0
    for row in range(len(m.load)):
        total += room.price[row] * m.capacity[row]
    for at in range(len(m.cars)):
        car = m.cars[at]
        least, taken = np.inf, OFF
        for option in range(p.first_option[car], p.first_option[car + 1]):
            asked = cost(p, room, option)
            if asked < least:
                least, taken = asked, option
        m.preferred[at], m.gain[at] = taken, m.worth[at] - least
        if at >= m.kept:
            m.gain[at] -= m.fee[0]
            m.places[0] += m.gain[at] > 0.0
        if taken != OFF and (at < m.kept or m.gain[at] > 0.0):
            total += m.gain[at]
            for entry in range(p.first_row[taken], p.first_row[taken + 1]):
                m.load[p.row[entry]] += p.lowest[taken] * p.along[entry]
        if at < m.kept:
            # They are placed first, the dearest before the others.
            m.gain[at] = DEARER + least
    return total


@in_place
def _reprice(room: Room, m: Market, length: float) -> float:
    """How far prices went for each ampere: they rise where more is wanted than there is, and fall elsewhere. 0 where none had to change."""
    norm, places = 0.0, max(m.most[0], 1.0)
    for row in range(len(m.load)):
        over = m.load[row] - m.capacity[row]
        if over > 0.0 or room.price[row] > 0.0:
            norm += over * over / m.scale[row]
    over = m.places[0] - m.most[0]
    if over > 0.0 or m.fee[0] > 0.0:
        norm += over * over / places
    if norm < SLACK:
        return 0.0
    for row in range(len(m.load)):
        change = length * (m.load[row] - m.capacity[row]) / (m.scale[row] * norm)
        room.price[row] = max(0.0, room.price[row] + change)
    if m.most[0] < np.inf:
        m.fee[0] = max(0.0, m.fee[0] + length * over / (places * norm))
    return length / norm


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
