"""Who is served: class by class as many cars as fit at their minima, then the largest sum of credit.

Cars that load fewest lines come first, which is exact for equal minima. Then chains repair what greed missed: a waiting car
comes in where one served car moves to other lines, which may ask another to move; or it takes the place of one with less credit.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from balancing.compiled import Floats, Ints, compiled, copy_into, in_place
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
        np.zeros(2 * (max(p.rank) + 1) if cars else 0),
        np.zeros(cars, np.int64),
        np.zeros(cars, np.int64),
        np.zeros(cars, np.int64),
    )


@in_place
def fits(p: Problem, room: Room, option: int) -> bool:
    """Whether one more minimum stays within every row."""
    lowest = p.lowest[option]
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
def _best_fitting(p: Problem, room: Room, car: int, preference: int) -> int:
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


@compiled
def admit(p: Problem, room: Room, order: Ints, preference: int) -> None:
    """The empty room is filled class by class; `order` lists the cars, first class first, easiest to serve first."""
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and p.rank[order[end]] == p.rank[order[start]]:
            end += 1
        serve(p, room, order[start:end], preference)
        start = end


@compiled
def serve(p: Problem, room: Room, members: Ints, preference: int) -> None:
    """The cars of one class are admitted, first greedily, then by chains, until no chain helps or no effort is left."""
    for car in members:
        if room.choice[car] == OFF:
            option = _best_fitting(p, room, car, preference)
            if option != OFF:
                put(p, room, car, option)
    by_credit = members[np.argsort(-p.credit[members], kind="mergesort")]
    found = True
    while found and room.left[0] > 0:
        found = _more_by_moves(p, room, by_credit)
        found = found or _one_out_two_in(p, room, members)
        found = found or _more_credit(p, room, by_credit)
        found = found or _one_out_two_settle(p, room, members)
        found = found or _two_for_two(p, room, by_credit)


@in_place
def _is_new(p: Problem, room: Room, car: int, option: int) -> bool:
    """Whether no car of this kind with this option (or OFF) was tried since the last beginning; it counts as tried now."""
    place = 4 * p.kind[car] + (option - p.first_option[car] if option != OFF else 0)
    if room.seen[place] == room.tries[0]:
        return False
    room.seen[place] = room.tries[0]
    return True


@in_place
def _more_by_moves(p: Problem, room: Room, by_credit: Ints) -> bool:
    """Whether a waiting car came in, others moving to other lines for it."""
    found = False
    room.is_stuck[:] = 0
    for car in by_credit:
        if room.choice[car] != OFF or room.is_stuck[p.kind[car]] or room.left[0] <= 0:
            continue
        if _settle(p, room, car, p.rank[car], -np.inf):
            found = True
        else:
            room.is_stuck[p.kind[car]] = 1
    return found


@in_place
def _place(p: Problem, room: Room, car: int) -> bool:
    """Whether there was a place for the car, which it has now."""
    room.left[0] -= 1
    option = _best_fitting(p, room, car, NARROWEST)
    if option != OFF:
        put(p, room, car, option)
    return option != OFF


@in_place
def _settle(p: Problem, room: Room, car: int, rank: int, credit: float) -> bool:
    """Whether the car, which has no place, got one; up to two cars move for it. Else all is as before.

    At most one of them, of class `rank` and with less than `credit`, loses its place for it.
    """
    if _place(p, room, car):
        return True
    for wanted in range(p.first_option[car], p.first_option[car + 1]):
        full = _full_row(p, room, wanted)
        room.left[0] -= (p.first_loading[full + 1] - p.first_loading[full]) // LOOKS
        for held in p.loading[p.first_loading[full] : p.first_loading[full + 1]]:
            other = p.car[held]
            if room.choice[other] != held or other == car or not _may_go(p, other, rank, credit):
                continue
            if room.left[0] <= 0:
                return False
            room.left[0] -= 1
            put(p, room, other, OFF)
            if fits(p, room, wanted):
                put(p, room, car, wanted)
                if _leaves(p, other, rank, credit) or _settle_last(p, room, other, rank, credit):
                    return True
                put(p, room, car, OFF)
            elif _after_two(p, room, car, wanted, other, rank, credit):
                return True
            put(p, room, other, held)
    return False


@in_place
def _settle_last(p: Problem, room: Room, car: int, rank: int, credit: float) -> bool:
    """The same with one car that moves; a function that calls itself cannot be kept on disk."""
    if _place(p, room, car):
        return True
    for wanted in range(p.first_option[car], p.first_option[car + 1]):
        full = _full_row(p, room, wanted)
        room.left[0] -= (p.first_loading[full + 1] - p.first_loading[full]) // LOOKS
        for held in p.loading[p.first_loading[full] : p.first_loading[full + 1]]:
            other = p.car[held]
            if room.choice[other] != held or other == car or not _may_go(p, other, rank, credit):
                continue
            room.left[0] -= 1
            put(p, room, other, OFF)
            if fits(p, room, wanted):
                put(p, room, car, wanted)
                if _leaves(p, other, rank, credit) or _place(p, room, other):
                    return True
                put(p, room, car, OFF)
            put(p, room, other, held)
    return False


@in_place
def _after_two(p: Problem, room: Room, car: int, wanted: int, first: int, rank: int, credit: float) -> bool:
    """Whether the car got the wanted option after another one beside `first` went too. Else all is as before."""
    full = _full_row(p, room, wanted)
    room.left[0] -= (p.first_loading[full + 1] - p.first_loading[full]) // LOOKS
    for held in p.loading[p.first_loading[full] : p.first_loading[full + 1]]:
        second = p.car[held]
        if room.choice[second] != held or second == car or not _may_go(p, second, rank, credit):
            continue
        if room.left[0] <= 0:
            return False
        room.left[0] -= 1
        put(p, room, second, OFF)
        if fits(p, room, wanted):
            put(p, room, car, wanted)
            if _leaves(p, first, rank, credit) and _place(p, room, second):
                return True
            if _place(p, room, first):
                if _leaves(p, second, rank, credit) or _place(p, room, second):
                    return True
                put(p, room, first, OFF)
            put(p, room, car, OFF)
        put(p, room, second, held)
    return False


@in_place
def _may_go(p: Problem, car: int, rank: int, credit: float) -> bool:
    """Whether a served car could move to other lines or lose its place."""
    return bool(p.first_option[car + 1] - p.first_option[car] > 1) or _leaves(p, car, rank, credit)


@in_place
def _leaves(p: Problem, car: int, rank: int, credit: float) -> bool:
    return bool(p.rank[car] == rank and p.credit[car] < credit - SLACK)


@in_place
def _full_row(p: Problem, room: Room, option: int) -> int:
    """A row in which one more minimum of this option does not fit."""
    lowest = p.lowest[option]
    for entry in range(p.first_row[option], p.first_row[option + 1]):
        row = p.row[entry]
        along = room.used[row, 0] + lowest * p.along[entry]
        if p.is_vector:
            along = math.hypot(along, room.used[row, 1] + lowest * p.across[entry])
        if along > p.capacity[row] + SLACK:
            return int(row)
    return -1


@in_place
def _one_out_two_in(p: Problem, room: Room, members: Ints) -> bool:
    """Whether one served car left and two came in for it."""
    room.tries[0] += 1
    for out in members:
        held = room.choice[out]
        if held == OFF or not _is_new(p, room, out, held):
            continue
        put(p, room, out, OFF)
        if _two_in(p, room, members, out):
            return True
        put(p, room, out, held)
        if room.left[0] <= 0:
            return False
    return False


@in_place
def _two_in(p: Problem, room: Room, members: Ints, but: int) -> bool:
    """Whether two waiting cars, beside one, came in; whichever lines the first one takes."""
    room.is_tried[:] = 0
    room.left[0] -= len(members) // LOOKS
    for first in members:
        if room.choice[first] != OFF or first == but or room.is_tried[p.kind[first]] or room.left[0] <= 0:
            continue
        room.is_tried[p.kind[first]] = 1
        room.left[0] -= 1
        for option in range(p.first_option[first], p.first_option[first + 1]):
            if fits(p, room, option):
                put(p, room, first, option)
                if _place_any(p, room, members, but) >= 0:
                    return True
                put(p, room, first, OFF)
    return False


@in_place
def _one_out_two_settle(p: Problem, room: Room, members: Ints) -> bool:
    """The same where others move for those who come in, and only cars with several lines leave."""
    room.tries[0] += 1
    for out in members:
        held = room.choice[out]
        if held == OFF or lines_in(p.lines[held]) == 1 or not _is_new(p, room, out, held):
            continue
        copy_into(room.saved, room.choice)
        put(p, room, out, OFF)
        if _settle_any(p, room, members, out) and _settle_any(p, room, members, out):
            return True
        for car in range(len(room.choice)):
            if room.choice[car] != room.saved[car]:
                put(p, room, car, room.saved[car])
        if room.left[0] <= 0:
            return False
    return False


@in_place
def _place_any(p: Problem, room: Room, members: Ints, but: int) -> int:
    """The first waiting car, beside one, for which there was a place, which it has now; -1 where there is none."""
    room.is_stuck[:] = 0
    room.left[0] -= len(members) // LOOKS
    for car in members:
        if room.choice[car] == OFF and car != but and not room.is_stuck[p.kind[car]]:
            if _place(p, room, car):
                return int(car)
            room.is_stuck[p.kind[car]] = 1
    return -1


@in_place
def _settle_any(p: Problem, room: Room, members: Ints, but: int) -> bool:
    """Whether a waiting car, beside one, came in, others moving for it."""
    room.is_stuck[:] = 0
    room.left[0] -= len(members) // LOOKS
    for car in members:
        if room.choice[car] == OFF and car != but and not room.is_stuck[p.kind[car]] and room.left[0] > 0:
            if _settle(p, room, car, p.rank[car], -np.inf):
                return True
            room.is_stuck[p.kind[car]] = 1
    return False


@in_place
def _more_credit(p: Problem, room: Room, by_credit: Ints) -> bool:
    """Whether served cars gave their places to ones with more credit."""
    found = False
    room.is_stuck[:] = 0
    for car in by_credit:
        if room.choice[car] != OFF or room.is_stuck[p.kind[car]] or room.left[0] <= 0:
            continue
        if _settle(p, room, car, p.rank[car], p.credit[car]):
            found = True
        else:
            # What one of a kind cannot get, those of it with less credit cannot either.
            room.is_stuck[p.kind[car]] = 1
    return found


@in_place
def _two_for_two(p: Problem, room: Room, by_credit: Ints) -> bool:
    """Whether two served cars gave their places to two with more credit together."""
    room.tries[0] += 1
    for out in by_credit[::-1]:
        held = room.choice[out]
        if held == OFF or not _is_new(p, room, out, held):
            continue
        put(p, room, out, OFF)
        room.is_tried[:] = 0
        room.left[0] -= len(by_credit) // LOOKS
        for first in by_credit:
            if room.choice[first] != OFF or first == out or room.is_tried[p.kind[first]]:
                continue
            room.is_tried[p.kind[first]] = 1
            if not _place(p, room, first):
                continue
            if _second_for(p, room, by_credit, out, p.credit[first] - p.credit[out]):
                return True
            put(p, room, first, OFF)
            if room.left[0] <= 0:
                break
        put(p, room, out, held)
        if room.left[0] <= 0:
            return False
    return False


@in_place
def _second_for(p: Problem, room: Room, by_credit: Ints, but: int, gained: float) -> bool:
    """Whether a waiting car, beside one, came in for one with less credit than it brings with what was gained."""
    room.is_stuck[:] = 0
    room.left[0] -= len(by_credit) // LOOKS
    for second in by_credit:
        if room.choice[second] != OFF or second == but or room.is_stuck[p.kind[second]]:
            continue
        if _settle_last(p, room, second, p.rank[second], gained + p.credit[second]):
            return True
        room.is_stuck[p.kind[second]] = 1
        if room.left[0] <= 0:
            return False
    return False
