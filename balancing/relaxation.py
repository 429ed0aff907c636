"""A problem that no solution of another one can beat: whose lines are not decided yet loads what any of its options loads.

Beside its rows every circuit has one for its three lines together. There a car loads the same whichever of its lines it uses,
because a share is power; so the shares that fill this problem are an upper bound, and often a tight one.
"""

import numpy as np

from balancing.compiled import compiled
from balancing.problem import Problem, lines_in, options_of_rows


@compiled
def relaxed(p: Problem) -> Problem:
    """The problem with one more option a car, `open_option`, and one more row a circuit; the options before keep their numbers.

    An open option's current is its share. Phasors have no row for three lines together: there an open option loads nothing.
    """
    cars, options, rows = len(p.rank), len(p.car), len(p.capacity)
    every = options + cars
    entries = 0
    for option in range(options):
        entries += p.first_row[option + 1] - p.first_row[option] + len(p.above)
    first_row = np.zeros(every + 1, np.int64)
    row = np.zeros(2 * entries, np.int64)
    along, across = np.zeros(2 * entries), np.zeros(2 * entries)
    lowest, highest, share = np.zeros(every), np.zeros(every), np.ones(every)
    lowest[:options], highest[:options], share[:options] = p.lowest, p.highest, p.share
    car_of = np.zeros(every, np.int64)
    car_of[:options] = p.car
    at = 0
    for option in range(options):
        for entry in range(p.first_row[option], p.first_row[option + 1]):
            row[at], along[at], across[at] = p.row[entry], p.along[entry], p.across[entry]
            at += 1
        circuit = p.circuit[p.car[option]]
        while circuit >= 0 and not p.is_vector:
            row[at], along[at] = rows + circuit, lines_in(p.lines[option])
            at += 1
            circuit = p.above[circuit]
        first_row[option + 1] = at
    count, least = np.zeros(rows + len(p.above), np.int64), np.zeros(rows + len(p.above))
    for car in range(cars):
        option = options + car
        car_of[option] = car
        lowest[option], highest[option] = np.inf, 0.0
        own = p.first_option[car + 1] - p.first_option[car]
        for one in range(p.first_option[car], p.first_option[car + 1]):
            lowest[option] = min(lowest[option], p.lowest[one] * p.share[one])
            highest[option] = max(highest[option], p.highest[one] * p.share[one])
            for entry in range(first_row[one], first_row[one + 1]):
                load = along[entry] / p.share[one]
                seen = count[row[entry]]
                least[row[entry]] = load if seen == 0 else min(least[row[entry]], load)
                count[row[entry]] = seen + 1
        for one in range(p.first_option[car], p.first_option[car + 1]):
            for entry in range(first_row[one], first_row[one + 1]):
                if count[row[entry]] == own and not p.is_vector:
                    row[at], along[at] = row[entry], least[row[entry]]
                    at += 1
                count[row[entry]] = 0
        first_row[option + 1] = at
    first_loading, loading = options_of_rows(first_row, row[:at], rows + len(p.above))
    ends = np.zeros(2 * every)
    ends[0::2], ends[1::2] = lowest * share, highest * share
    return Problem(
        p.first_option,
        p.rank,
        p.credit,
        p.kind,
        p.is_known,
        p.lines_before,
        p.current_before,
        car_of,
        p.lines,
        p.kappa,
        lowest,
        highest,
        share,
        first_row,
        row[:at],
        along[:at],
        across[:at],
        first_loading,
        loading,
        np.argsort(ends, kind="mergesort"),
        np.concatenate((p.capacity, p.in_all)),
        p.root_load,
        p.is_vector,
        p.judges_imbalance,
        p.has_choice,
        p.circuit,
        p.above,
        p.in_all,
        p.row_of,
    )


@compiled
def open_option(p: Problem, car: int) -> int:
    """The option in the relaxed problem of a car of `p` whose lines are not decided."""
    return len(p.car) + car
