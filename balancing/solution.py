"""A choice of lines for every car with the currents that it leads to, and which of two is better."""

from typing import NamedTuple

import numpy as np

from balancing.compiled import Floats, Ints, compiled, in_place
from balancing.filling import BETTER, EQUAL, OFF, OWN_LIMIT, WORSE, Filling, fill
from balancing.objective import compared, count_served, judge
from balancing.problem import Problem
from balancing.room import Room, put


class Solution(NamedTuple):
    """An option or OFF per car, its current, the row that stopped it or OWN_LIMIT, and the objective."""

    choice: Ints
    current: Floats
    stop: Ints
    served: Floats
    shares: Floats
    rest: Floats


@compiled
def nothing_for(p: Problem) -> Solution:
    """A solution that serves nobody and is worse than any."""
    cars = len(p.rank)
    served = np.full(2 * (max(p.rank) + 1) if cars else 0, -1.0)
    return Solution(np.full(cars, OFF), np.zeros(cars), np.zeros(cars, np.int64), served, np.zeros(0), np.zeros(4))


@in_place
def is_better(p: Problem, f: Filling, room: Room, best: Solution) -> bool:
    """Whether the room's choice is better than `best`; then it was filled, and its objective is known."""
    count_served(p, room.choice, room.served)
    verdict = compared(room.served, best.served)
    if verdict == WORSE:
        return False
    return filled(p, f, room, best.shares if verdict == EQUAL else best.shares[:0], best.rest) == BETTER


@compiled
def solution_of(f: Filling, room: Room) -> Solution:
    """What was filled and judged last."""
    shares = f.shares[: f.served[0]].copy()
    return Solution(room.choice.copy(), f.current.copy(), f.stop.copy(), room.served.copy(), shares, f.rest.copy())


@in_place
def occupy(p: Problem, room: Room, choice: Ints) -> None:
    """The room holds that choice."""
    for car in range(len(choice)):
        if room.choice[car] != choice[car]:
            put(p, room, car, choice[car])


@in_place
def filled(p: Problem, f: Filling, room: Room, shares: Floats, rest: Floats) -> int:
    """How the room's choice compares with these shares and then that rest; what was filled is judged unless it is WORSE."""
    verdict = fill(p, f, room.choice, shares)
    room.left[0] -= f.work[0]
    if verdict == WORSE:
        return WORSE
    judge(p, f, room.choice)
    return compared(f.rest, rest) if verdict == EQUAL else verdict


@compiled
def row_levels(p: Problem, best: Solution) -> Floats:
    """Per row the share at which it was full, infinite where it was not."""
    level = np.full(len(p.capacity), np.inf)
    for car in range(len(p.rank)):
        if best.choice[car] != OFF and best.stop[car] != OWN_LIMIT:
            share = best.current[car] * p.share[best.choice[car]]
            level[best.stop[car]] = min(share, level[best.stop[car]])
    return level


@compiled
def most_pressed(p: Problem, best: Solution) -> Ints:
    """Served cars by the level of the fullest row that they load, then by their own share, smallest first."""
    level = row_levels(p, best)
    cars = np.flatnonzero(best.choice != OFF)
    fullest, share = np.full(len(cars), np.inf), np.zeros(len(cars))
    for place in range(len(cars)):
        option = best.choice[cars[place]]
        share[place] = best.current[cars[place]] * p.share[option]
        for entry in range(p.first_row[option], p.first_row[option + 1]):
            fullest[place] = min(fullest[place], level[p.row[entry]])
    order = np.argsort(share, kind="mergesort")
    return cars[order[np.argsort(fullest[order], kind="mergesort")]]
