"""Every choice of lines of a small site, as far as the effort goes; what nothing better can follow from is cut off."""

from typing import NamedTuple

import numpy as np

from balancing.compiled import Floats, Ints, compiled, copy_into, in_place
from balancing.filling import BETTER, EQUAL, OFF, WORSE, Filling, fill, filling_for
from balancing.objective import compared
from balancing.phases import SLACK
from balancing.problem import Problem
from balancing.relaxation import open_option, relaxed
from balancing.room import Room, fits, put
from balancing.solution import Solution, is_better, most_pressed, solution_of


class Branching(NamedTuple):
    """An exhaustive search: the relaxed problem that bounds it, and what is decided so far.

    `twin` is 1 where a car equals the one before it in `order`; `most` is per class a bound of what can be served and its credit.
    """

    q: Problem
    g: Filling
    is_short: bool
    """Whether the best known solution leaves a car waiting."""
    order: Ints
    twin: Ints
    choice: Ints
    """As the room's, with open options for cars that will be served by lines not yet decided."""
    may_come: Ints
    """Per place in `order` 1 where the car is not decided and fits."""
    most: Floats
    free: Floats
    sorted: Floats
    need: Floats
    """Per car and row of the relaxed problem what its minimum takes there, whatever its lines."""


@compiled
def exhaust(p: Problem, f: Filling, room: Room, best: Solution) -> Solution:
    """The best solution of all, unless effort runs out: an option or OFF for one car after the other, cut where nothing better can follow.

    Cars that only their credit tells apart take options in order, so that no permutation is tried twice.
    """
    q = relaxed(p)
    cars = len(p.rank)
    order = _branching_order(p, best)
    twin = np.zeros(cars, np.int64)
    for depth in range(1, cars):
        one, two = order[depth - 1], order[depth]
        twin[depth] = (
            p.kind[one] == p.kind[two]
            and p.rank[one] == p.rank[two]
            and p.is_known[one] == p.is_known[two]
            and p.lines_before[one] == p.lines_before[two]
            and p.current_before[one] == p.current_before[two]
        )
    need = np.zeros((cars, len(q.capacity)))
    for car in range(cars):
        option = open_option(p, car)
        for entry in range(q.first_row[option], q.first_row[option + 1]):
            need[car, q.row[entry]] = q.lowest[option] * q.along[entry]
    b = Branching(
        q,
        filling_for(q),
        min(best.choice) == OFF,
        order,
        twin,
        np.full(cars, OFF),
        np.zeros(cars, np.int64),
        np.zeros(len(room.served)),
        np.zeros(len(q.capacity)),
        np.zeros(cars),
        need,
    )
    room.choice[:] = OFF
    room.used[:] = 0.0
    # Depth first without recursion: `tried` is per depth the next option to try.
    tried = np.zeros(cars + 1, np.int64)
    depth = 0
    tried[0] = _first_try(p, room, b, 0)
    while depth >= 0 and room.left[0] > 0:
        if depth == cars:
            if is_better(p, f, room, best):
                best = solution_of(f, room)
            depth -= 1
            continue
        car = order[depth]
        if room.choice[car] != OFF:
            put(p, room, car, OFF)
        option = tried[depth]
        last = p.first_option[car + 1]
        if option > last:
            depth -= 1
            continue
        tried[depth] += 1
        if option < last:
            if not fits(p, room, option):
                continue
            put(p, room, car, option)
        room.left[0] -= 1
        if _can_be_better(p, room, b, best, depth + 1):
            depth += 1
            if depth < cars:
                tried[depth] = _first_try(p, room, b, depth)
    return best


@compiled
def _branching_order(p: Problem, best: Solution) -> Ints:
    """First class first; in each those without a choice, then those that press most in `best`; those of a kind beside each other."""
    cars = len(p.rank)
    pressed = most_pressed(p, best)
    turn, choices = np.full(cars, cars), np.zeros(cars, np.int64)
    for place in range(len(pressed) - 1, -1, -1):
        turn[p.kind[pressed[place]]] = place
    for car in range(cars):
        choices[car] = p.first_option[car + 1] - p.first_option[car] > 1
    order = np.arange(cars)
    for key in (-p.credit, p.current_before, p.lines_before.astype(np.float64), p.kind.astype(np.float64)):
        order = order[np.argsort(key[order], kind="mergesort")]
    order = order[np.argsort(turn[p.kind[order]], kind="mergesort")]
    order = order[np.argsort(choices[order], kind="mergesort")]
    return order[np.argsort(p.rank[order], kind="mergesort")]


@in_place
def _first_try(p: Problem, room: Room, b: Branching, depth: int) -> int:
    """The first option to try of the car at that depth: no earlier one than its twin has; after the last one comes OFF."""
    car = b.order[depth]
    if not b.twin[depth]:
        return int(p.first_option[car])
    before = b.order[depth - 1]
    if room.choice[before] == OFF:
        return int(p.first_option[car + 1])
    return int(p.first_option[car] + room.choice[before] - p.first_option[before])


@in_place
def _can_be_better(p: Problem, room: Room, b: Branching, best: Solution, depth: int) -> bool:
    """Whether anything that follows from what is decided up to `depth` may be better than `best`, or as good."""
    may_wait = False
    if b.is_short:
        room.left[0] -= len(b.free) * len(b.order) // 4
        may_wait = _bound_served(p, room, b, depth)
        verdict = compared(b.most, best.served)
        if verdict != EQUAL:
            return verdict == BETTER
    elif not _all_fit(p, room, b, depth):
        return False
    copy_into(b.choice, room.choice)
    for at in range(depth, len(b.order)):
        # Where one of them may wait, nobody knows which: none of them takes anything from the others.
        b.choice[b.order[at]] = open_option(p, b.order[at]) if b.may_come[at] and not may_wait else OFF
    verdict = fill(b.q, b.g, b.choice, best.shares)
    room.left[0] -= b.g.work[0]
    return verdict != WORSE


@in_place
def _all_fit(p: Problem, room: Room, b: Branching, depth: int) -> bool:
    """Whether no decided car waits and every undecided one still fits."""
    for at in range(len(b.order)):
        car = b.order[at]
        b.may_come[at] = at >= depth
        if room.choice[car] == OFF and not (at >= depth and _fits_somehow(p, room, car)):
            return False
    return True


@in_place
def _bound_served(p: Problem, room: Room, b: Branching, depth: int) -> bool:
    """Whether a completion that serves `b.most`, which none surpasses, may leave an undecided car waiting that fits.

    Of the undecided cars of a class no more can be served than any one row has room for.
    """
    may_wait = False
    b.most[:] = 0.0
    copy_into(b.free, b.q.capacity)
    for at in range(depth):
        option = room.choice[b.order[at]]
        if option != OFF:
            for entry in range(b.q.first_row[option], b.q.first_row[option + 1]):
                b.free[b.q.row[entry]] -= p.lowest[option] * b.q.along[entry]
    start = 0
    while start < len(b.order):
        rank, end, fitting = p.rank[b.order[start]], start, 0
        while end < len(b.order) and p.rank[b.order[end]] == rank:
            car = b.order[end]
            b.may_come[end] = end >= depth and _fits_somehow(p, room, car)
            fitting += b.may_come[end]
            if room.choice[car] != OFF:
                b.most[2 * rank] += 1.0
                b.most[2 * rank + 1] += p.credit[car]
            end += 1
        most = _places(p, b, start, end, fitting)
        may_wait = may_wait or most < fitting
        b.most[2 * rank] += most
        b.most[2 * rank + 1] += _largest_credit(p, b, start, end, most)
        start = end
    return may_wait


@in_place
def _places(p: Problem, b: Branching, start: int, end: int, fitting: int) -> int:
    """For how many of the cars that may come every single row has room; phasors are not asked."""
    most = fitting
    for row in range(len(b.free) if not p.is_vector else 0):
        needing = 0
        for at in range(start, end):
            need = b.need[b.order[at], row]
            if b.may_come[at] and need > 0.0:
                _insert_sorted(b.sorted, needing, need)
                needing += 1
        left, many = b.free[row] + 3 * SLACK, 0
        while many < needing and b.sorted[many] <= left:
            left -= b.sorted[many]
            many += 1
        most = min(most, fitting - needing + many)
    return most


@in_place
def _largest_credit(p: Problem, b: Branching, start: int, end: int, most: int) -> float:
    """The largest sum of credit of so many of the cars that may come."""
    many = 0
    for at in range(start, end):
        if b.may_come[at]:
            _insert_sorted(b.sorted, many, -p.credit[b.order[at]])
            many += 1
    total = 0.0
    for place in range(most):
        total -= b.sorted[place]
    return total


@in_place
def _insert_sorted(values: Floats, many: int, value: float) -> None:
    """One more value among the first `many`, smallest first."""
    place = many
    while place > 0 and values[place - 1] > value:
        values[place] = values[place - 1]
        place -= 1
    values[place] = value


@in_place
def _fits_somehow(p: Problem, room: Room, car: int) -> bool:
    for option in range(p.first_option[car], p.first_option[car + 1]):  # noqa: SIM110  generators are no machine code
        if fits(p, room, option):
            return True
    return False
