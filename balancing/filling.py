"""Exact weighted max-min fair currents for given modes: progressive filling with bottleneck detection.

All shares rise together from 0; a car holds its minimum until the level reaches it, and stops where it or one of its
rows is full. The feasible set has free disposal and every row grows strictly with each of its cars, so the cars that
stop are exactly those that cannot rise without lowering a smaller share. Between two events every row's current is
linear in the level (a line in the plane for phasors), so bottlenecks are solved for, never searched.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from balancing.compiled import Floats, Ints, compiled, in_place
from balancing.problem import Problem

OWN_LIMIT: Final = -1
"""In place of a row: the car's own maximum stopped it."""

NOT_STOPPED: Final = -2
OFF: Final = -1
"""In place of an option: the car is not served."""

TIE: Final = 1e-6
"""Differences of float arithmetic, far below the 0.02 A that count as equal to a judge."""
RELATIVE_TIE: Final = 1e-9

WORSE: Final = -1
EQUAL: Final = 0
BETTER: Final = 1


class Filling(NamedTuple):
    """Where a site is filled, again and again, and what came of it last time.

    `current` and `stop` (a row, or OWN_LIMIT) hold for served cars; `shares` are those of the served, smallest first.
    """

    current: Floats
    stop: Ints
    shares: Floats
    served: Ints
    """One number: how many of `shares` count."""
    work: Ints
    """One number: what the last filling cost, in steps."""
    is_rising: Ints
    fixed: Floats
    """Per row the current of cars that hold, along and across."""
    slope: Floats
    """Per row the rise of the others with the level, along and across."""
    rising: Ints
    full_at: Floats
    """A binary tree of the levels at which rows are full, the smallest at 1; row r at len / 2 + r."""
    dirty: Ints
    is_dirty: Ints
    rest: Floats
    """What comes after the shares in the objective (balancing/objective.py)."""
    loads: Floats


@compiled
def filling_for(p: Problem) -> Filling:
    """Room to fill this problem in."""
    cars, rows = len(p.rank), len(p.capacity)
    leaves = 1
    while leaves < rows:
        leaves *= 2
    return Filling(
        np.zeros(cars),
        np.zeros(cars, np.int64),
        np.zeros(cars),
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
        np.zeros(cars, np.int64),
        np.zeros((rows, 2)),
        np.zeros((rows, 2)),
        np.zeros(rows, np.int64),
        np.full(2 * leaves, np.inf),
        np.zeros(rows + 1, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(4),
        np.zeros(3),
    )


@in_place
def fill(p: Problem, f: Filling, choice: Ints, best: Floats) -> int:
    """WORSE, EQUAL or BETTER: how the shares compare with `best` lexicographically; given up as soon as they are worse.

    `choice` is an option or OFF per car, and the options' minima fit the rows together. `best` may be empty: then BETTER.
    """
    _reset(p, f, choice)
    verdict = EQUAL if len(best) else BETTER
    level = 0.0
    for event in p.levels:
        f.work[0] += 1
        option, is_end = event >> 1, event & 1
        car = p.car[option]
        if choice[car] != option:
            continue
        at = (p.highest[option] if is_end else p.lowest[option]) * p.share[option]
        if at > level:
            verdict = _stop_at_bottlenecks(p, f, choice, at, verdict, best)
            level = at
        if f.stop[car] != NOT_STOPPED:
            if not is_end and not f.is_rising[car]:
                # Its row was full while it held its minimum: here its share stands among the others.
                verdict = _append(f, f.current[car] * p.share[option], verdict, best)
        elif is_end:
            _stop(p, f, car, option, p.highest[option], OWN_LIMIT)
            verdict = _append(f, at, verdict, best)
        else:
            _start(p, f, car, option)
        if verdict == WORSE:
            return WORSE
    return _stop_at_bottlenecks(p, f, choice, np.inf, verdict, best)


@in_place
def _reset(p: Problem, f: Filling, choice: Ints) -> None:
    f.fixed[:] = 0.0
    f.slope[:] = 0.0
    f.rising[:] = 0
    f.full_at[:] = np.inf
    f.is_dirty[:] = 0
    f.dirty[0] = 0
    f.served[0] = 0
    f.work[0] = len(choice) + len(f.rising)
    f.is_rising[:] = 0
    for car in range(len(choice)):
        option = choice[car]
        f.stop[car] = NOT_STOPPED
        f.current[car] = 0.0
        if option != OFF:
            f.work[0] += p.first_row[option + 1] - p.first_row[option]
            f.current[car] = p.lowest[option]
            _add(p, f.fixed, option, p.lowest[option])


@in_place
def _add(p: Problem, sums: Floats, option: int, amount: float) -> None:
    for entry in range(p.first_row[option], p.first_row[option + 1]):
        row = p.row[entry]
        sums[row, 0] += amount * p.along[entry]
        sums[row, 1] += amount * p.across[entry]


@in_place
def _start(p: Problem, f: Filling, car: int, option: int) -> None:
    f.is_rising[car] = 1
    _add(p, f.fixed, option, -p.lowest[option])
    _add(p, f.slope, option, 1.0 / p.share[option])
    _mark(p, f, option, 1)


@in_place
def _stop(p: Problem, f: Filling, car: int, option: int, current: float, row: int) -> None:
    f.stop[car] = row
    f.current[car] = current
    if f.is_rising[car]:
        _add(p, f.slope, option, -1.0 / p.share[option])
        _add(p, f.fixed, option, current)
        _mark(p, f, option, -1)


@in_place
def _mark(p: Problem, f: Filling, option: int, change: int) -> None:
    """The option's rows have so many more cars that rise; when they are full has to be found out again."""
    for entry in range(p.first_row[option], p.first_row[option + 1]):
        row = p.row[entry]
        f.rising[row] += change
        if f.rising[row] == 0:
            f.slope[row] = 0.0
        if not f.is_dirty[row]:
            f.is_dirty[row] = 1
            f.dirty[0] += 1
            f.dirty[f.dirty[0]] = row


@in_place
def _refresh(p: Problem, f: Filling) -> None:
    leaves = len(f.full_at) // 2
    for place in range(1, f.dirty[0] + 1):
        row = f.dirty[place]
        f.is_dirty[row] = 0
        f.work[0] += 8 if p.is_vector else 2
        node = leaves + row
        f.full_at[node] = _full_at(p, f, row) if f.rising[row] else np.inf
        while node > 1:
            node >>= 1
            f.full_at[node] = min(f.full_at[2 * node], f.full_at[2 * node + 1])
    f.dirty[0] = 0


@in_place
def _full_at(p: Problem, f: Filling, row: int) -> float:
    fixed, across = f.fixed[row, 0], f.fixed[row, 1]
    slope, slope_across = f.slope[row, 0], f.slope[row, 1]
    capacity = p.capacity[row]
    if across == 0.0 and slope_across == 0.0:
        return float((capacity - fixed) / slope)
    square = slope * slope + slope_across * slope_across
    half = fixed * slope + across * slope_across
    rest = fixed * fixed + across * across - capacity * capacity
    # Phasors lie within 60° of each other, so half >= 0 and this form loses no digits.
    below = half + math.sqrt(max(0.0, half * half - square * rest))
    return float(-rest / below) if below > 0.0 else 0.0


@in_place
def _stop_at_bottlenecks(p: Problem, f: Filling, choice: Ints, before: float, verdict: int, best: Floats) -> int:
    """The verdict after every row that is full before that level has stopped its cars."""
    leaves = len(f.full_at) // 2
    while True:
        _refresh(p, f)
        level = f.full_at[1]
        if not level < before:
            return verdict
        node = 1
        while node < leaves:
            node *= 2
            if f.full_at[node] != level:
                node += 1
        row = node - leaves
        for option in p.loading[p.first_loading[row] : p.first_loading[row + 1]]:
            car = p.car[option]
            if choice[car] != option or f.stop[car] != NOT_STOPPED:
                continue
            if not f.is_rising[car]:
                f.stop[car] = row
                continue
            current = min(p.highest[option], max(p.lowest[option], level / p.share[option]))
            _stop(p, f, car, option, current, row)
            verdict = _append(f, current * p.share[option], verdict, best)
            if verdict == WORSE:
                return WORSE


@in_place
def _append(f: Filling, share: float, verdict: int, best: Floats) -> int:
    """The verdict with one more share, which is no smaller than those before it."""
    place = f.served[0]
    f.shares[place] = share
    f.served[0] += 1
    if verdict != EQUAL or place >= len(best):
        return verdict
    return compare(share, best[place])


@in_place
def compare(mine: float, other: float) -> int:
    """WORSE, EQUAL or BETTER, with float noise counted as equal."""
    difference = mine - other
    if abs(difference) <= TIE + RELATIVE_TIE * abs(other):
        return EQUAL
    return BETTER if difference > 0 else WORSE
