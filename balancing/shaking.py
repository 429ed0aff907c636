"""Who is served, improved by small disorders: a few cars beside one that waits lose their places, and all of them are placed anew.

What serves as many with as much credit is kept, so that one disorder can prepare the next.
"""

from typing import Final, NamedTuple

import numpy as np

from balancing.compiled import Ints, compiled, copy_into, in_place
from balancing.filling import OFF
from balancing.phases import SLACK
from balancing.pricing import cost
from balancing.problem import Problem
from balancing.room import LOOKS, Room, fits, put

OUT: Final = 3
"""Served cars that lose their places at once."""

IN: Final = 6
"""Cars that wait and may come in."""

WINDOW: Final = 12
"""Options of a row that are looked at for them."""

PLACING: Final = 4
"""What it takes to place one of them, which is to compare all of its options."""

ASKED: Final = 6
"""Waiting cars of which the one with most credit comes first, at most."""

IDLE_A_CAR: Final = 10
IDLE: Final = 200
"""Disorders in vain, for each car of the class and beside, after which it is left."""

UNKNOWN_PRICE: Final = 0.001
"""What an option costs at least, so that chance may choose among those that cost nothing."""


class Heap(NamedTuple):
    """Cars to be placed anew, and what they had before."""

    car: Ints
    held: Ints


@compiled
def shake(p: Problem, room: Room, members: Ints, effort: int) -> None:
    """The class `members` is served at least as well as it was; those of earlier classes keep their places, but perhaps not their lines."""
    size = 1 + OUT + IN
    copy_into(room.saved, room.choice)
    if not _shake(p, room, members, Heap(np.zeros(size, np.int64), np.zeros(size, np.int64)), effort):
        # What is no better was only moved about: who came first stays.
        for car in range(len(room.choice)):
            if room.choice[car] != room.saved[car]:
                put(p, room, car, OFF)
        for car in range(len(room.choice)):
            if room.choice[car] != room.saved[car]:
                put(p, room, car, room.saved[car])


@in_place
def _shake(p: Problem, room: Room, members: Ints, heap: Heap, effort: int) -> bool:
    """Whether the class is served better."""
    end = room.left[0] - effort
    idle, is_better = 0, False
    while room.left[0] > end and idle < IDLE + IDLE_A_CAR * len(members):
        idle += 1
        first = _one_waiting(p, room, members)
        if first == OFF:
            return is_better
        many = _take_out(p, room, heap, first)
        room.left[0] -= many * PLACING
        _shuffle(room, heap, many)
        if _chance(room, 3) == 0:
            _by_credit(p, heap, many)
        rank = p.rank[first]
        is_whole = _put_in(p, room, heap, many, rank)
        more, credit = _change(p, room, heap, many, rank)
        if is_whole and (more > 0 or (more == 0 and credit > SLACK)):
            idle, is_better = 0, True
        elif not is_whole or more < 0 or credit < -SLACK:
            _put_back(p, room, heap, many)
    return is_better


@in_place
def _chance(room: Room, below: int) -> int:
    """A whole number from 0, always the same ones (the generator of ISO C's example)."""
    room.number[0] = (room.number[0] * 1103515245 + 12345) % 2147483648
    return int((room.number[0] >> 8) % below)


@in_place
def _one_waiting(p: Problem, room: Room, members: Ints) -> int:
    """Of a few cars of the class that wait the one with most credit, or OFF."""
    best = OFF
    for _ in range(1 + _chance(room, ASKED)):
        car = _some_waiting(room, members)
        if best == OFF or (car != OFF and p.credit[car] > p.credit[best]):
            best = car
    return best


@in_place
def _some_waiting(room: Room, members: Ints) -> int:
    """Some car of the class that waits, or OFF."""
    start = _chance(room, len(members))
    for step in range(len(members)):
        car = members[(start + step) % len(members)]
        if room.choice[car] == OFF:
            room.left[0] -= 1 + step // LOOKS
            return int(car)
    return OFF


@in_place
def _take_out(p: Problem, room: Room, heap: Heap, first: int) -> int:
    """How many cars are in the heap: `first`, which waits, and some that press on one of the rows it wants."""
    option = p.first_option[first] + _chance(room, p.first_option[first + 1] - p.first_option[first])
    row = p.row[p.first_row[option] + _chance(room, p.first_row[option + 1] - p.first_row[option])]
    start, length = p.first_loading[row], p.first_loading[row + 1] - p.first_loading[row]
    offset = _chance(room, length)
    heap.car[0], heap.held[0] = first, OFF
    many, out = 1, 0
    for step in range(min(length, WINDOW)):
        loading = p.loading[start + (offset + step) % length]
        car = p.car[loading]
        held = room.choice[car]
        if held == loading and p.rank[car] <= p.rank[first] and out < OUT:
            put(p, room, car, OFF)
            out += 1
        elif held != OFF or p.rank[car] != p.rank[first] or many - out > IN or _is_in(heap, many, car):
            continue
        heap.car[many], heap.held[many] = car, held
        many += 1
    return many


@in_place
def _is_in(heap: Heap, many: int, car: int) -> bool:
    for place in range(many):  # noqa: SIM110  generators are no machine code
        if heap.car[place] == car:
            return True
    return False


@in_place
def _swap(heap: Heap, one: int, two: int) -> None:
    car, held = heap.car[one], heap.held[one]
    heap.car[one], heap.held[one] = heap.car[two], heap.held[two]
    heap.car[two], heap.held[two] = car, held


@in_place
def _shuffle(room: Room, heap: Heap, many: int) -> None:
    for place in range(many - 1, 0, -1):
        _swap(heap, place, _chance(room, place + 1))


@in_place
def _by_credit(p: Problem, heap: Heap, many: int) -> None:
    """Most credit first."""
    for end in range(1, many):
        place = end
        while place > 0 and p.credit[heap.car[place]] > p.credit[heap.car[place - 1]]:
            _swap(heap, place, place - 1)
            place -= 1


@in_place
def _put_in(p: Problem, room: Room, heap: Heap, many: int, rank: int) -> bool:
    """The cars have places again as far as there are any, earlier classes first; whether all of those have one."""
    is_whole = True
    for is_member in range(2):
        for place in range(many):
            car = heap.car[place]
            if (p.rank[car] == rank) == is_member:
                put(p, room, car, _almost_cheapest(p, room, car))
                is_whole = is_whole and (is_member == 1 or room.choice[car] != OFF)
    return is_whole


@in_place
def _almost_cheapest(p: Problem, room: Room, car: int) -> int:
    """An option that fits, the cheapest unless chance doubles its price; or OFF."""
    best, least = OFF, np.inf
    for option in range(p.first_option[car], p.first_option[car + 1]):
        if fits(p, room, option):
            asked = (cost(p, room, option) + UNKNOWN_PRICE) * (100 + _chance(room, 100))
            if asked < least:
                best, least = option, asked
    return best


@in_place
def _change(p: Problem, room: Room, heap: Heap, many: int, rank: int) -> tuple[int, float]:
    """How many more of the class are served than before, and with how much more credit."""
    more, credit = 0, 0.0
    for place in range(many):
        car = heap.car[place]
        if p.rank[car] == rank:
            change = int(room.choice[car] != OFF) - int(heap.held[place] != OFF)
            more += change
            credit += change * p.credit[car]
    return more, credit


@in_place
def _put_back(p: Problem, room: Room, heap: Heap, many: int) -> None:
    for place in range(many):
        put(p, room, heap.car[place], OFF)
    for place in range(many):
        put(p, room, heap.car[place], heap.held[place])
