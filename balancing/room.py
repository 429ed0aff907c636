"""What the minima of the served take of every row, and whether one more fits."""

import math
from typing import Final, NamedTuple

import numpy as np

from balancing.compiled import Floats, Ints, compiled, in_place
from balancing.filling import OFF
from balancing.phases import SLACK
from balancing.problem import Problem, lines_in

WIDEST: Final = 0
"""Most lines first."""
NARROWEST: Final = 1
"""Fewest lines first, and of those the ones with most room."""
AS_BEFORE: Final = 2
"""The lines of the previous command first, then the narrowest."""
LOOKS: Final = 8
"""Cars that can be looked at for what trying to place one takes."""
ROWS: Final = 16
"""Rows of an option that can be looked at for the same: in a deep tree a car is tried, and moved, so much the dearer."""


class Room(NamedTuple):
    """A choice of options, and what its minima take of every row, along and across; `left` is the effort that is left."""

    choice: Ints
    used: Floats
    seen: Ints
    """Per option of a kind when it was last tried, so that of equal ones only the first is."""
    tries: Ints
    """One number: how many times `seen` was begun anew."""
    left: Ints
    """One number: effort."""
    price: Floats
    """Per row what an ampere of it costs, in cars (balancing/pricing.py)."""
    number: Ints
    """One number: the last that looked like chance (balancing/shaking.py)."""
    served: Floats
    """Per class a count and a sum of credit, to compare with (balancing/objective.py)."""
    saved: Ints
    is_tried: Ints
    is_stuck: Ints
    """Per kind 1 where no waiting car of it can come in."""


@compiled
def room_for(p: Problem, effort: int) -> Room:
    """An empty site."""
    cars = len(p.rank)
    return Room(
        np.full(cars, OFF),
        np.zeros((len(p.capacity), 2)),
        np.zeros(4 * cars + 4, np.int64),
        np.zeros(1, np.int64),
        np.full(1, effort),
        np.zeros(len(p.capacity)),
        np.zeros(1, np.int64),
        np.zeros(2 * (max(p.rank) + 1) if cars else 0),
        np.zeros(cars, np.int64),
        np.zeros(cars, np.int64),
        np.zeros(cars, np.int64),
    )


@in_place
def fits(p: Problem, room: Room, option: int) -> bool:
    """Whether one more minimum stays within every row."""
    lowest = p.lowest[option]
    room.left[0] -= (p.first_row[option + 1] - p.first_row[option]) // ROWS
    for entry in range(p.first_row[option], p.first_row[option + 1]):
        row = p.row[entry]
        along = room.used[row, 0] + lowest * p.along[entry]
        if p.is_vector:
            along = math.hypot(along, room.used[row, 1] + lowest * p.across[entry])
        if along > p.capacity[row] + SLACK:
            return False
    return True


@in_place
def put(p: Problem, room: Room, car: int, option: int) -> None:
    """The car has this option, or OFF, from here on."""
    before = room.choice[car]
    if before != OFF:
        _take(p, room, before, -p.lowest[before])
    if option != OFF:
        _take(p, room, option, p.lowest[option])
    room.choice[car] = option


@in_place
def _take(p: Problem, room: Room, option: int, current: float) -> None:
    room.left[0] -= (p.first_row[option + 1] - p.first_row[option]) // ROWS
    for entry in range(p.first_row[option], p.first_row[option + 1]):
        row = p.row[entry]
        room.used[row, 0] += current * p.along[entry]
        room.used[row, 1] += current * p.across[entry]


@in_place
def _room_left(p: Problem, room: Room, option: int) -> float:
    """Ampere free on the option's fullest row, along the line's own phasor."""
    least = np.inf
    for entry in range(p.first_row[option], p.first_row[option + 1]):
        row = p.row[entry]
        least = min(least, p.capacity[row] - room.used[row, 0])
    return least


@in_place
def best_fitting(p: Problem, room: Room, car: int, preference: int) -> int:
    """The option that fits and is preferred, or OFF."""
    best, fewest, most_room = OFF, 4, -np.inf
    for option in range(p.first_option[car], p.first_option[car + 1]):
        if not fits(p, room, option):
            continue
        if preference == WIDEST:
            return option
        if preference == AS_BEFORE and p.lines[option] == p.lines_before[car]:
            return option
        many, free = lines_in(p.lines[option]), _room_left(p, room, option)
        if many < fewest or (many == fewest and free > most_room):
            best, fewest, most_room = option, many, free
    return best


@in_place
def place_car(p: Problem, room: Room, car: int) -> bool:
    """Whether there was a place for the car, which it has now."""
    room.left[0] -= 1
    option = best_fitting(p, room, car, NARROWEST)
    if option != OFF:
        put(p, room, car, option)
    return option != OFF


@in_place
def waiting(room: Room, cars: Ints) -> int:
    """How many of the cars have no place."""
    many = 0
    for car in cars:
        many += room.choice[car] == OFF
    return many


@in_place
def credit_of(p: Problem, room: Room, cars: Ints) -> float:
    """The sum of credit of those of the cars that have a place."""
    credit = 0.0
    for car in cars:
        if room.choice[car] != OFF:
            credit += p.credit[car]
    return credit
