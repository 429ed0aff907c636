"""Which lines each served car uses: moves away from what binds, and every choice where the site is small.

`effort` counts what is done and never looks at a clock: trying to place a car is 1, filling the site is one for each of its options.
"""

from typing import Final

import numpy as np

from balancing.admission import admit
from balancing.branching import exhaust
from balancing.compiled import Floats, Ints, compiled, in_place
from balancing.filling import BETTER, EQUAL, OFF, TIE, Filling, filling_for
from balancing.objective import compared, count_served
from balancing.phases import SLACK
from balancing.problem import Problem, lines_in
from balancing.room import AS_BEFORE, LOOKS, NARROWEST, WIDEST, Room, fits, put, room_for
from balancing.solution import Solution, filled, is_better, most_pressed, nothing_for, occupy, row_levels, solution_of

EXHAUSTIVE_UP_TO: Final = 14
"""Cars; above it the bounds of the exhaustive search prune too little to be worth its effort."""

KICKS_UP_TO: Final = 60
"""Cars; above it one descent takes what effort there is."""

LARGE_SITE: Final = 4
"""One such part of the effort is all that a site with more cars has for its lines: filling it is all the dearer."""


LARGE_ADMISSION: Final = 2
"""And one such part is what it has in all until it is known who is served,"""
MANY_CARS: Final = 200
"""unless it has so many: what is missed there is worth the time."""


OVERDRAWN: Final = 100_000
"""What a descent may take beyond the effort that was left, as long as its first look finds something better each time."""


@compiled
def solve(p: Problem, effort: int) -> Solution:
    """The best solution found within the effort; exact where the search ends before it is spent."""
    f = filling_for(p)
    is_large = len(p.rank) > KICKS_UP_TO
    room = room_for(p, effort // LARGE_ADMISSION if is_large and len(p.rank) < MANY_CARS else effort)
    best = _first_solution(p, f, room)
    if not p.has_choice and (len(p.rank) == 0 or min(best.choice) != OFF):
        return best
    if is_large:
        room.left[0] = min(room.left[0], effort // LARGE_SITE)
        best = _movelines_in(p, f, room, best)
    best = _descend(p, f, room, best, True)
    if is_large:
        return best
    if len(p.rank) <= EXHAUSTIVE_UP_TO:
        return exhaust(p, f, room, best)
    part = 2 * room.left[0] // 5
    for turn in range(2):
        room.left[0] = part
        best = exhaust(p, f, room, best)
        if room.left[0] > 0 or turn == 1:
            break
        room.left[0] = part // 2
        best = _kick(p, f, room, best)
    return best


@compiled
def _first_solution(p: Problem, f: Filling, room: Room) -> Solution:
    """The best of the admissions that begin with other preferences, or of the first alone where it took half of the effort."""
    whole, kept = room.left[0], room.left[0] // LARGE_SITE
    room.left[0] -= kept
    order = _easiest_first(p)
    best = nothing_for(p)
    for preference in (NARROWEST, WIDEST, AS_BEFORE):
        if preference != NARROWEST and (not p.has_choice or 2 * room.left[0] < whole):
            break
        admit(p, room, order, preference)
        if is_better(p, f, room, best):
            best = solution_of(f, room)
    room.left[0] += kept
    return best


@compiled
def _movelines_in(p: Problem, f: Filling, room: Room, best: Solution) -> Solution:
    """A solution to which no half of those cars moved that would have more on other lines if they moved alone."""
    occupy(p, room, best.choice)
    many = len(p.rank)
    while many > 0 and room.left[0] > 0:
        moved = _move_up_to(p, room, best, row_levels(p, best), most_pressed(p, best), many)
        if moved > 0 and filled(p, f, room, best.shares, best.rest) == BETTER:
            count_served(p, room.choice, room.served)
            best = solution_of(f, room)
        else:
            occupy(p, room, best.choice)
            many = min(many, moved) // 2
    return best


@in_place
def _move_up_to(p: Problem, room: Room, best: Solution, level: Floats, pressed: Ints, many: int) -> int:
    """How many cars, `many` at most and the most pressed first, were moved to lines with a higher level."""
    moved = 0
    for car in pressed:
        held = room.choice[car]
        share, target = best.current[car] * p.share[held] * 1.001 + TIE, held
        for option in range(p.first_option[car], p.first_option[car + 1]):
            least = p.highest[option] * p.share[option]
            for entry in range(p.first_row[option], p.first_row[option + 1]):
                least = min(least, level[p.row[entry]])
            if least > share:
                share, target = least, option
        if target == held:
            continue
        put(p, room, car, OFF)
        put(p, room, car, target if fits(p, room, target) else held)
        moved += room.choice[car] == target
        if moved == many:
            break
    return moved


@compiled
def _easiest_first(p: Problem) -> Ints:
    """The cars, first class first; those that load fewest lines, ask least and have most credit before the others."""
    cars = len(p.rank)
    fewest, lowest = np.zeros(cars), np.zeros(cars)
    for car in range(cars):
        fewest[car], lowest[car] = np.inf, np.inf
        for option in range(p.first_option[car], p.first_option[car + 1]):
            mask = p.lines[option]
            fewest[car] = min(fewest[car], lines_in(mask))
            lowest[car] = min(lowest[car], p.lowest[option])
    order = np.arange(cars)
    was_on = (p.lines_before > 0).astype(np.int64)
    for key in (-was_on.astype(np.float64), -p.credit, lowest, fewest, p.rank.astype(np.float64)):
        order = order[np.argsort(key[order], kind="mergesort")]
    return order


@compiled
def _descend(p: Problem, f: Filling, room: Room, best: Solution, is_thorough: bool) -> Solution:
    """A solution that no single move, no exchange of two places and no exchange of two cars' lines makes better.

    `is_thorough`: nor any other lines for two cars.
    """
    occupy(p, room, best.choice)
    while room.left[0] > -OVERDRAWN and _better_neighbour(p, f, room, best, most_pressed(p, best), is_thorough):
        count_served(p, room.choice, room.served)
        best = solution_of(f, room)
    occupy(p, room, best.choice)
    return best


@in_place
def _better_neighbour(p: Problem, f: Filling, room: Room, best: Solution, pressed: Ints, is_thorough: bool) -> bool:
    """Whether the room holds a better choice now, the first found; `pressed` cars are moved, the first ones first."""
    for car in pressed:
        held = room.choice[car]
        for option in range(p.first_option[car], p.first_option[car + 1]):
            if option == held:
                continue
            room.left[0] -= 1
            put(p, room, car, OFF)
            if fits(p, room, option):
                put(p, room, car, option)
                if filled(p, f, room, best.shares, best.rest) == BETTER:
                    return True
            put(p, room, car, held)
            if room.left[0] <= 0:
                return False
    for car in pressed:
        if _exchanged_places(p, f, room, best, car):
            return True
        if room.left[0] <= 0:
            return False
    for first in range(len(pressed)):
        for second in range(first + 1, len(pressed)):
            if _exchanged_lines(p, f, room, best, pressed[first], pressed[second], is_thorough):
                return True
            if room.left[0] <= 0:
                return False
    return False


@in_place
def _exchanged_places(p: Problem, f: Filling, room: Room, best: Solution, out: int) -> bool:
    """Whether a waiting car of equal class and credit is better served than this one."""
    held = room.choice[out]
    room.left[0] -= len(room.choice) // LOOKS
    for come in range(len(room.choice)):
        if room.choice[come] != OFF or p.rank[come] != p.rank[out] or abs(p.credit[come] - p.credit[out]) > SLACK:
            continue
        room.left[0] -= 1
        put(p, room, out, OFF)
        for option in range(p.first_option[come], p.first_option[come + 1]):
            if fits(p, room, option):
                put(p, room, come, option)
                if filled(p, f, room, best.shares, best.rest) == BETTER:
                    return True
                put(p, room, come, OFF)
        put(p, room, out, held)
        if room.left[0] <= 0:
            return False
    return False


@in_place
def _exchanged_lines(
    p: Problem, f: Filling, room: Room, best: Solution, first: int, second: int, is_thorough: bool
) -> bool:
    """Whether other lines for both cars are better, or, if not `is_thorough`, those of the other one for each."""
    held, other = room.choice[first], room.choice[second]
    for one in range(p.first_option[first], p.first_option[first + 1]):
        if one == held or not (is_thorough or p.lines[one] == p.lines[other]):
            continue
        for two in range(p.first_option[second], p.first_option[second + 1]):
            if two == other or not (is_thorough or p.lines[two] == p.lines[held]):
                continue
            room.left[0] -= 1
            put(p, room, first, OFF)
            put(p, room, second, OFF)
            if fits(p, room, one):
                put(p, room, first, one)
                if fits(p, room, two):
                    put(p, room, second, two)
                    if filled(p, f, room, best.shares, best.rest) == BETTER:
                        return True
            put(p, room, first, held)
            put(p, room, second, other)
    return False


@compiled
def _kick(p: Problem, f: Filling, room: Room, best: Solution) -> Solution:
    """The best of many descents, each from the best so far with a few cars on other lines."""
    number = 12345
    while room.left[0] > 0:
        occupy(p, room, best.choice)
        movable = _movable(p, best)
        if len(movable) == 0:
            return best
        for _ in range(2 + number % 3):
            number = (number * 1103515245 + 12345) % 2147483648
            car = movable[(number >> 8) % len(movable)]
            number = (number * 1103515245 + 12345) % 2147483648
            options = p.first_option[car + 1] - p.first_option[car]
            option = p.first_option[car] + (number >> 8) % options
            held = room.choice[car]
            put(p, room, car, OFF)
            put(p, room, car, option if fits(p, room, option) else held)
        filled(p, f, room, best.shares[:0], best.rest)
        count_served(p, room.choice, room.served)
        found = _descend(p, f, room, solution_of(f, room), False)
        verdict = compared(found.shares, best.shares)
        if verdict == BETTER or (verdict == EQUAL and compared(found.rest, best.rest) == BETTER):
            best = found
    return best


@compiled
def _movable(p: Problem, best: Solution) -> Ints:
    """The served cars that have a choice."""
    found = np.zeros(len(p.rank), np.int64)
    many = 0
    for car in range(len(p.rank)):
        if best.choice[car] != OFF and p.first_option[car + 1] - p.first_option[car] > 1:
            found[many] = car
            many += 1
    return found[:many]


@compiled
def full_rows(p: Problem, choice: Ints) -> tuple[Ints, Ints]:
    """Per row how many served cars load it; per car the row that the minima of the served leave least of, or -1."""
    sharing, held = np.zeros(len(p.capacity), np.int64), np.zeros(len(p.capacity))
    for option in choice:
        if option != OFF:
            for entry in range(p.first_row[option], p.first_row[option + 1]):
                sharing[p.row[entry]] += 1
                held[p.row[entry]] += p.lowest[option]
    fullest = np.full(len(p.rank), -1)
    for car in range(len(p.rank)):
        for entry in range(p.first_row[p.first_option[car]], p.first_row[p.first_option[car + 1]]):
            row = p.row[entry]
            if fullest[car] < 0 or p.capacity[row] - held[row] < p.capacity[fullest[car]] - held[fullest[car]]:
                fullest[car] = row
    return sharing, fullest
