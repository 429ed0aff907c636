"""Which lines each served car uses: moves away from what binds, and an exhaustive search where the site is small.

`effort` counts what is done and never looks at a clock: trying to place a car is 1, filling the site is one for each of its options.
"""

from typing import Final, NamedTuple

import numpy as np

from balancing.admission import admit
from balancing.compiled import Floats, Ints, compiled, copy_into, in_place
from balancing.filling import BETTER, EQUAL, OFF, OWN_LIMIT, TIE, WORSE, Filling, fill, filling_for
from balancing.objective import compared, count_served, judge
from balancing.phases import SLACK
from balancing.problem import Problem, lines_in
from balancing.relaxation import open_option, relaxed
from balancing.room import AS_BEFORE, LOOKS, NARROWEST, WIDEST, Room, fits, put, room_for

EXHAUSTIVE_UP_TO: Final = 14
"""Cars; above it the bounds of the exhaustive search prune too little to be worth its effort."""

KICKS_UP_TO: Final = 60
"""Cars; above it one descent takes what effort there is."""

LARGE_SITE: Final = 4
"""One such part of the effort is all that a site with more cars has for its lines: filling it is all the dearer."""


LARGE_ADMISSION: Final = 2
"""And one such part is what it has in all until it is known who is served."""


class Solution(NamedTuple):
    """An option or OFF per car, its current, the row that stopped it or OWN_LIMIT, and the objective."""

    choice: Ints
    current: Floats
    stop: Ints
    served: Floats
    shares: Floats
    rest: Floats


@compiled
def solve(p: Problem, effort: int) -> Solution:
    """The best solution found within the effort; exact where the search ends before it is spent."""
    f = filling_for(p)
    is_large = len(p.rank) > KICKS_UP_TO
    room = room_for(p, effort // LARGE_ADMISSION if is_large else effort)
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
        return _exhaust(p, f, room, best)
    part = 2 * room.left[0] // 5
    for turn in range(2):
        room.left[0] = part
        best = _exhaust(p, f, room, best)
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
    best = _empty(p)
    for preference in (NARROWEST, WIDEST, AS_BEFORE):
        if preference != NARROWEST and (not p.has_choice or 2 * room.left[0] < whole):
            break
        admit(p, room, order, preference)
        if _is_better(p, f, room, best):
            best = _solution(f, room)
    room.left[0] += kept
    return best


@compiled
def _movelines_in(p: Problem, f: Filling, room: Room, best: Solution) -> Solution:
    """A solution to which no half of those cars moved that would have more on other lines if they moved alone."""
    _occupy(p, room, best.choice)
    many = len(p.rank)
    while many > 0 and room.left[0] > 0:
        moved = _move_up_to(p, room, best, _row_levels(p, best), _most_pressed(p, best), many)
        if moved > 0 and _filled(p, f, room, best.shares, best.rest) == BETTER:
            count_served(p, room.choice, room.served)
            best = _solution(f, room)
        else:
            _occupy(p, room, best.choice)
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
def _row_levels(p: Problem, best: Solution) -> Floats:
    """Per row the share at which it was full, infinite where it was not."""
    level = np.full(len(p.capacity), np.inf)
    for car in range(len(p.rank)):
        if best.choice[car] != OFF and best.stop[car] != OWN_LIMIT:
            share = best.current[car] * p.share[best.choice[car]]
            level[best.stop[car]] = min(share, level[best.stop[car]])
    return level


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
def _empty(p: Problem) -> Solution:
    cars = len(p.rank)
    served = np.full(2 * (max(p.rank) + 1) if cars else 0, -1.0)
    return Solution(np.full(cars, OFF), np.zeros(cars), np.zeros(cars, np.int64), served, np.zeros(0), np.zeros(4))


@in_place
def _is_better(p: Problem, f: Filling, room: Room, best: Solution) -> bool:
    """Whether the room's choice is better than `best`; then it was filled, and its objective is known."""
    count_served(p, room.choice, room.served)
    verdict = compared(room.served, best.served)
    if verdict == WORSE:
        return False
    return _filled(p, f, room, best.shares if verdict == EQUAL else best.shares[:0], best.rest) == BETTER


@compiled
def _solution(f: Filling, room: Room) -> Solution:
    """What was filled and judged last."""
    shares = f.shares[: f.served[0]].copy()
    return Solution(room.choice.copy(), f.current.copy(), f.stop.copy(), room.served.copy(), shares, f.rest.copy())


@in_place
def _occupy(p: Problem, room: Room, choice: Ints) -> None:
    for car in range(len(choice)):
        if room.choice[car] != choice[car]:
            put(p, room, car, choice[car])


@in_place
def _filled(p: Problem, f: Filling, room: Room, shares: Floats, rest: Floats) -> int:
    """How the room's choice compares with these shares and then that rest; what was filled is judged unless it is WORSE."""
    verdict = fill(p, f, room.choice, shares)
    room.left[0] -= f.work[0]
    if verdict == WORSE:
        return WORSE
    judge(p, f, room.choice)
    return compared(f.rest, rest) if verdict == EQUAL else verdict


@compiled
def _descend(p: Problem, f: Filling, room: Room, best: Solution, is_thorough: bool) -> Solution:
    """A solution that no single move, no exchange of two places and no exchange of two cars' lines makes better.

    `is_thorough`: nor any other lines for two cars.
    """
    _occupy(p, room, best.choice)
    while _better_neighbour(p, f, room, best, _most_pressed(p, best), is_thorough):
        count_served(p, room.choice, room.served)
        best = _solution(f, room)
    _occupy(p, room, best.choice)
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
                if _filled(p, f, room, best.shares, best.rest) == BETTER:
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
                if _filled(p, f, room, best.shares, best.rest) == BETTER:
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
                    if _filled(p, f, room, best.shares, best.rest) == BETTER:
                        return True
            put(p, room, first, held)
            put(p, room, second, other)
    return False


@compiled
def _most_pressed(p: Problem, best: Solution) -> Ints:
    """Served cars by the level of the fullest row that they load, then by their own share, smallest first."""
    level = _row_levels(p, best)
    cars = np.flatnonzero(best.choice != OFF)
    fullest, share = np.full(len(cars), np.inf), np.zeros(len(cars))
    for place in range(len(cars)):
        option = best.choice[cars[place]]
        share[place] = best.current[cars[place]] * p.share[option]
        for entry in range(p.first_row[option], p.first_row[option + 1]):
            fullest[place] = min(fullest[place], level[p.row[entry]])
    order = np.argsort(share, kind="mergesort")
    return cars[order[np.argsort(fullest[order], kind="mergesort")]]


@compiled
def _kick(p: Problem, f: Filling, room: Room, best: Solution) -> Solution:
    """The best of many descents, each from the best so far with a few cars on other lines."""
    number = 12345
    while room.left[0] > 0:
        _occupy(p, room, best.choice)
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
        _filled(p, f, room, best.shares[:0], best.rest)
        count_served(p, room.choice, room.served)
        found = _descend(p, f, room, _solution(f, room), False)
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
def _exhaust(p: Problem, f: Filling, room: Room, best: Solution) -> Solution:
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
            if _is_better(p, f, room, best):
                best = _solution(f, room)
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
    pressed = _most_pressed(p, best)
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
