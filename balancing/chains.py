"""Chains of moves that repair what greed missed: who waits comes in where a served car moves to other lines, which may ask another to move.

Or it takes the place of one with less credit.
"""

import math
from typing import Final

import numpy as np

from balancing.compiled import Ints, copy_into, in_place
from balancing.filling import OFF
from balancing.phases import SLACK
from balancing.problem import Problem, lines_in
from balancing.room import LOOKS, Room, fits, place_car, put

OVERDRAWN: Final = 10_000
"""What the last link of a chain may take beyond the effort that was left when it began."""


@in_place
def _is_new(p: Problem, room: Room, car: int, option: int) -> bool:
    """Whether no car of this kind with this option (or OFF) was tried since the last beginning; it counts as tried now."""
    place = 4 * p.kind[car] + (option - p.first_option[car] if option != OFF else 0)
    if room.seen[place] == room.tries[0]:
        return False
    room.seen[place] = room.tries[0]
    return True


@in_place
def more_by_moves(p: Problem, room: Room, by_credit: Ints) -> bool:
    """Whether a waiting car came in, others moving to other lines for it."""
    found = False
    room.is_stuck[:] = 0
    for car in by_credit:
        if room.choice[car] != OFF or room.is_stuck[p.kind[car]] or room.left[0] <= 0:
            continue
        if settle(p, room, car, p.rank[car], -np.inf):
            found = True
        else:
            room.is_stuck[p.kind[car]] = 1
    return found


@in_place
def settle(p: Problem, room: Room, car: int, rank: int, credit: float) -> bool:
    """Whether the car, which has no place, got one; up to two cars move for it. Else all is as before.

    At most one of them, of class `rank` and with less than `credit`, loses its place for it.
    """
    if place_car(p, room, car):
        return True
    for wanted in range(p.first_option[car], p.first_option[car + 1]):
        full = _full_row(p, room, wanted)
        at = _next_out(p, room, car, p.first_loading[full], full, rank, credit, 0)
        while at >= 0:
            held = p.loading[at]
            other = p.car[held]
            if fits(p, room, wanted):
                put(p, room, car, wanted)
                if _leaves(p, other, rank, credit) or _settle_last(p, room, other, rank, credit):
                    return True
                put(p, room, car, OFF)
            elif _after_two(p, room, car, wanted, other, rank, credit):
                return True
            put(p, room, other, held)
            at = _next_out(p, room, car, at + 1, full, rank, credit, 0)
    return False


@in_place
def _settle_last(p: Problem, room: Room, car: int, rank: int, credit: float) -> bool:
    """The same with one car that moves; a function that calls itself cannot be kept on disk."""
    if place_car(p, room, car):
        return True
    for wanted in range(p.first_option[car], p.first_option[car + 1]):
        full = _full_row(p, room, wanted)
        at = _next_out(p, room, car, p.first_loading[full], full, rank, credit, -OVERDRAWN)
        while at >= 0:
            held = p.loading[at]
            other = p.car[held]
            if fits(p, room, wanted):
                put(p, room, car, wanted)
                if _leaves(p, other, rank, credit) or place_car(p, room, other):
                    return True
                put(p, room, car, OFF)
            put(p, room, other, held)
            at = _next_out(p, room, car, at + 1, full, rank, credit, -OVERDRAWN)
    return False


@in_place
def _after_two(p: Problem, room: Room, car: int, wanted: int, first: int, rank: int, credit: float) -> bool:
    """Whether the car got the wanted option after another one beside `first` went too. Else all is as before."""
    full = _full_row(p, room, wanted)
    at = _next_out(p, room, car, p.first_loading[full], full, rank, credit, 0)
    while at >= 0:
        held = p.loading[at]
        second = p.car[held]
        if fits(p, room, wanted):
            put(p, room, car, wanted)
            if _leaves(p, first, rank, credit) and place_car(p, room, second):
                return True
            if place_car(p, room, first):
                if _leaves(p, second, rank, credit) or place_car(p, room, second):
                    return True
                put(p, room, first, OFF)
            put(p, room, car, OFF)
        put(p, room, second, held)
        at = _next_out(p, room, car, at + 1, full, rank, credit, 0)
    return False


@in_place
def _next_out(p: Problem, room: Room, car: int, at: int, row: int, rank: int, credit: float, least: int) -> int:
    """The place in `loading`, from `at` on, of the next served car on this row that may go for `car`; it is off now.

    -1 where there is none, or no more than `least` effort is left.
    """
    if at == p.first_loading[row]:
        room.left[0] -= (p.first_loading[row + 1] - at) // LOOKS
    for place in range(at, p.first_loading[row + 1]):
        held = p.loading[place]
        other = p.car[held]
        if room.choice[other] == held and other != car and _may_go(p, other, rank, credit):
            if room.left[0] <= least:
                return -1
            room.left[0] -= 1
            put(p, room, other, OFF)
            return place
    return -1


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
def one_out_two_in(p: Problem, room: Room, members: Ints) -> bool:
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
def one_out_two_settle(p: Problem, room: Room, members: Ints) -> bool:
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
            if place_car(p, room, car):
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
            if settle(p, room, car, p.rank[car], -np.inf):
                return True
            room.is_stuck[p.kind[car]] = 1
    return False


@in_place
def more_credit(p: Problem, room: Room, by_credit: Ints) -> bool:
    """Whether served cars gave their places to ones with more credit."""
    found = False
    room.is_stuck[:] = 0
    for car in by_credit:
        if room.choice[car] != OFF or room.is_stuck[p.kind[car]] or room.left[0] <= 0:
            continue
        if settle(p, room, car, p.rank[car], p.credit[car]):
            found = True
        else:
            # What one of a kind cannot get, those of it with less credit cannot either.
            room.is_stuck[p.kind[car]] = 1
    return found


@in_place
def two_for_two(p: Problem, room: Room, by_credit: Ints) -> bool:
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
            if not place_car(p, room, first):
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
