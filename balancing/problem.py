"""A site as a problem: one row per circuit and line that can bind, one option per car and mode.

Cars are the chargers that want current and for which some mode fits the empty site.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from balancing.arrays import (
    ABOVE,
    BEFORE,
    BEST,
    CIRCUIT,
    CREDIT,
    CURRENT_BEFORE,
    FUSE,
    HELD,
    IS_KNOWN,
    MAX,
    MAX_1P,
    MAX_CAR,
    MIN,
    MODE,
    MOST_MODES,
    OFFLINE,
    OTHER_LOAD,
    PRIORITY,
    STATE,
    STEP,
    TIER,
    WANTS,
    WEIGHT,
    Site,
    site_of,
)
from balancing.circuit import Instance, check
from balancing.compiled import Bools, Floats, Ints, compiled, in_place
from balancing.phases import COS_30, SIN_30, SLACK, STEP_TOLERANCE

NO_ROW: Final = -1
"""In place of a row: none of them."""


class Problem(NamedTuple):
    """What the search sees. Options of car c are `first_option[c]` to `first_option[c + 1]`, widest first.

    An option loads the rows at `first_row[o]` to `first_row[o + 1]` of `row`; one ampere of it adds there `along` in phase
    with the line's voltage and `across` it, (1, 0) in plain sums. Lines are masks: 1, 2, 4 for L1, L2, L3.
    """

    first_option: Ints
    rank: Ints
    """Per car its class, 0 first."""
    credit: Floats
    kind: Ints
    """Cars of one kind have equal options: only class, credit and past tell them apart."""
    is_known: Ints
    """1 where there is a previous allocation."""
    lines_before: Ints
    """0 where the car was off."""
    current_before: Floats
    car: Ints
    """Per option its car."""
    lines: Ints
    kappa: Floats
    lowest: Floats
    highest: Floats
    share: Floats
    """Per option: how a car's share of its objective grows with its current, per ampere."""
    first_row: Ints
    row: Ints
    along: Floats
    across: Floats
    first_loading: Ints
    loading: Ints
    """Per row, from `first_loading[r]` to `first_loading[r + 1]`, the options that load it."""
    levels: Ints
    """Where a share begins to rise (2·option) and where it ends (2·option + 1), lowest first."""
    capacity: Floats
    """Ampere per row."""
    root_load: Floats
    is_vector: bool
    judges_imbalance: bool
    has_choice: bool
    circuit: Ints
    """Per car."""
    above: Ints
    """Per circuit the one that feeds it, -1 at the root."""
    in_all: Floats
    """Per circuit what its three lines carry together, ampere."""
    row_of: Ints
    """Per row that of the site."""


class Stated(NamedTuple):
    """A problem and what it leaves out. Rows of the site are 3 a circuit, a line each."""

    problem: Problem
    place: Ints
    """Per charger its car, or -1."""
    stopped_by: Ints
    """Per charger without a car the row of the site that stops its every mode, NO_ROW where no mode exists."""
    row_of: Ints
    """Per row of the problem that of the site."""
    free: Floats
    """Per row of the site what other load and reservations leave of the fuse, ampere; below 0 where they overload it."""


def compile_problem(instance: Instance) -> Stated:
    """The instance as a problem. Raises InstanceError."""
    circuits = check(instance)
    return state(site_of(instance, circuits, sorted(instance.chargers, key=lambda one: one.id)))


_ON_NO_LINE: Final = 8
"""A previous allocation with current and no lines: it was on, and whatever follows is a change."""


class _Modes(NamedTuple):
    """Per charger how many modes fit the empty site, and their lines, lowest and highest current, in the first places of a line each."""

    many: Ints
    lines: Ints
    lowest: Floats
    highest: Floats


@compiled
def state(site: Site) -> Stated:
    """The site with capacities computed, modes listed and everything that cannot bind left out."""
    above = site.circuits[:, ABOVE].astype(np.int64)
    free = _free(site, above)
    capacity = np.maximum(free, 0.0)
    modes, stopped_by, reach = _list_modes(site.chargers, above, capacity, site.is_it)
    row_of = np.flatnonzero(_can_bind(reach, above, capacity))
    kept = np.full(len(capacity), NO_ROW)
    kept[row_of] = np.arange(len(row_of))
    cars = np.flatnonzero(modes.many > 0)
    place = np.full(len(site.chargers), -1)
    place[cars] = np.arange(len(cars))
    return Stated(_problem(site, cars, modes, above, kept, capacity), place, stopped_by, row_of, free)


@compiled
def _free(site: Site, above: Ints) -> Floats:
    """Ampere per row for managed cars, below 0 where there is less than nothing."""
    reserved = np.zeros(3 * len(above))
    for charger in site.chargers:
        circuit = int(charger[CIRCUIT]) if charger[STATE] == OFFLINE else -1
        while circuit >= 0:
            for line in range(3):
                if int(charger[MODE]) & 1 << line:
                    reserved[3 * circuit + line] += charger[HELD]
            circuit = above[circuit]
    fuse, other = site.circuits[:, FUSE : FUSE + 3], site.circuits[:, OTHER_LOAD : OTHER_LOAD + 3]
    return (fuse - np.maximum(other, 0.0)).copy().reshape(-1) - reserved


@compiled
def _problem(site: Site, cars: Ints, modes: _Modes, above: Ints, kept: Ints, capacity: Floats) -> Problem:
    """The problem of these chargers; `kept` is per row of the site its place in the problem, or NO_ROW."""
    table = site.chargers[cars]
    options = np.sum(modes.many)
    first_option, car, lines = (
        np.zeros(len(cars) + 1, np.int64),
        np.zeros(options, np.int64),
        np.zeros(options, np.int64),
    )
    lowest, highest, kappas, share = np.zeros(options), np.zeros(options), np.zeros(options), np.zeros(options)
    option = 0
    for one in range(len(cars)):
        for mode in range(modes.many[cars[one]]):
            car[option], lines[option] = one, modes.lines[cars[one], mode]
            lowest[option], highest[option] = modes.lowest[cars[one], mode], modes.highest[cars[one], mode]
            kappas[option] = _kappa(lines[option], site.is_it)
            share[option] = kappas[option] / (table[one, BEST] * table[one, WEIGHT])
            option += 1
        first_option[one + 1] = option
    circuits = table[:, CIRCUIT].astype(np.int64)
    first_row, row, along, across = _option_rows(circuits[car], lines, above, kept, site.is_vector)
    binding = capacity[kept >= 0]
    first_loading, loading = options_of_rows(first_row, row, len(binding))
    levels = np.zeros(2 * options)
    levels[0::2], levels[1::2] = lowest * share, highest * share
    was_on = table[:, CURRENT_BEFORE] > 0
    before = table[:, BEFORE].astype(np.int64)
    return Problem(
        first_option,
        _ranks(table),
        table[:, CREDIT].copy(),
        _kinds(table, _same_rows(above, kept)[circuits]),
        table[:, IS_KNOWN].astype(np.int64),
        np.where(was_on, np.where(before > 0, before, _ON_NO_LINE), 0),
        table[:, CURRENT_BEFORE].copy(),
        car,
        lines,
        kappas,
        lowest,
        highest,
        share,
        first_row,
        row,
        along,
        across,
        first_loading,
        loading,
        np.argsort(levels, kind="mergesort"),
        binding,
        np.maximum(site.circuits[0, OTHER_LOAD : OTHER_LOAD + 3], 0.0),
        site.is_vector,
        not site.is_vector and not site.is_one_phase,
        bool(options > len(cars)),
        circuits,
        above,
        capacity[0::3] + capacity[1::3] + capacity[2::3],
        np.flatnonzero(kept >= 0),
    )


@in_place
def _kappa(mask: int, is_it: bool) -> float:
    """`phases.kappa` for masks."""
    if is_it:
        return math.sqrt(3) if mask == 7 else 1.0
    return float(lines_in(mask))


@compiled
def _ranks(table: Floats) -> Ints:
    """Per car its class by (priority, tier), 0 the first."""
    order = np.argsort(-table[:, TIER], kind="mergesort")
    order = order[np.argsort(-table[order, PRIORITY], kind="mergesort")]
    rank = np.zeros(len(table), np.int64)
    for place in range(1, len(order)):
        before, car = order[place - 1], order[place]
        is_next = table[before, PRIORITY] != table[car, PRIORITY] or table[before, TIER] != table[car, TIER]
        rank[car] = rank[before] + is_next
    return rank


@compiled
def _same_rows(above: Ints, kept: Ints) -> Ints:
    """Per circuit the first one at or above it that has rows which can bind: circuits with the same one are alike."""
    same = np.full(len(above), -1)
    for circuit in range(len(above)):
        if max(kept[3 * circuit], kept[3 * circuit + 1], kept[3 * circuit + 2]) >= 0:
            same[circuit] = circuit
        elif above[circuit] >= 0:
            same[circuit] = same[above[circuit]]
    return same


@compiled
def _kinds(table: Floats, circuits: Ints) -> Ints:
    """Per car its kind: equal options."""
    kind, many = np.zeros(len(table), np.int64), 0
    size = 1
    while size < 2 * len(table):
        size *= 2
    # Equal cars meet at the same place, or at the next one that was free.
    met = np.full(size, -1)
    for car in range(len(table)):
        place = _mixed(table[car], circuits[car]) & size - 1
        while met[place] >= 0 and not _is_same_kind(table, circuits, met[place], car):
            place = place + 1 & size - 1
        if met[place] < 0:
            met[place], kind[car] = car, many
            many += 1
        kind[car] = kind[met[place]]
    return kind


@in_place
def _mixed(car: Floats, circuit: int) -> int:
    """A whole number from 0 that is the same for equal options, and seldom for others."""
    mixed = circuit + 1
    for column in range(MODE, WEIGHT + 1):
        number = int(1e6 * car[column]) if car[column] < np.inf else 0
        mixed = 31 * mixed + number & 0xFFFFFFFFFFF
    return int(mixed ^ mixed >> 20)


@in_place
def _is_same_kind(table: Floats, circuits: Ints, one: int, other: int) -> bool:
    for column in range(MODE, WEIGHT + 1):
        if table[one, column] != table[other, column]:
            return False
    return bool(circuits[one] == circuits[other])


@compiled
def _list_modes(table: Floats, above: Ints, capacity: Floats, is_it: bool) -> tuple[_Modes, Ints, Floats]:
    """What modes each charger that wants current has; what stops those without any; what the cars of a circuit can load its lines with.

    A charger none of whose modes fits is stopped by the tightest row of its first one, NO_ROW where no mode exists.
    """
    many, stopped_by = np.zeros(len(table), np.int64), np.full(len(table), NO_ROW)
    lines = np.zeros((len(table), MOST_MODES), np.int64)
    lowest, highest = np.zeros((len(table), MOST_MODES)), np.zeros((len(table), MOST_MODES))
    reach, most = np.zeros(len(capacity)), np.zeros(3)
    for car in range(len(table)):
        if table[car, STATE] != WANTS:
            continue
        circuit = int(table[car, CIRCUIT])
        most[:] = 0.0
        for mode in range(MOST_MODES):
            mask = int(table[car, MODE + mode])
            low, high = _range_of(table[car], mask, is_it)
            if mask == 0 or low > high:
                continue
            row = _tightest(circuit, mask, above, capacity)
            if capacity[row] <= 0.0 or low > capacity[row] + SLACK:
                if stopped_by[car] == NO_ROW:
                    stopped_by[car] = row
                continue
            lines[car, many[car]], lowest[car, many[car]], highest[car, many[car]] = mask, low, high
            many[car] += 1
            for line in range(3):
                if mask & 1 << line:
                    most[line] = max(most[line], high)
        reach[3 * circuit : 3 * circuit + 3] += most
    return _Modes(many, lines, lowest, highest), stopped_by, reach


DEEP: Final = 10
"""Circuits above one another; in deeper trees rows that others imply are looked for."""


@compiled
def _can_bind(reach: Floats, above: Ints, capacity: Floats) -> Bools:
    """Per row whether the cars at and below it could load it with more than it carries.

    In a deep tree neither does one bind that the rows below cannot fill, nor one that carries as much as one above it does.
    """
    depth, circuit = 0, len(above) - 1
    while circuit >= 0:
        depth, circuit = depth + 1, above[circuit]
    is_deep = depth > DEEP
    most = reach.copy()
    for row in range(len(most) - 1, 2, -1):
        passes = min(most[row], capacity[row]) if is_deep else most[row]
        most[3 * above[row // 3] + row % 3] += passes
    can_bind = most > capacity
    if is_deep:
        least = np.where(can_bind, capacity, np.inf)
        for row in range(3, len(most)):
            fed = least[3 * above[row // 3] + row % 3]
            if capacity[row] >= fed:
                can_bind[row], least[row] = False, fed
    return can_bind


@compiled
def _range_of(car: Floats, mask: int, is_it: bool) -> tuple[float, float]:
    """Lowest and highest current on these lines, in whole steps."""
    high = min(car[MAX], car[MAX_CAR])
    if lines_in(mask) == (2 if is_it else 1):
        high = min(high, car[MAX_1P])
    step = car[STEP]
    if step == 0.0:
        return car[MIN], high
    steps = max(1.0, np.ceil(car[MIN] / step - STEP_TOLERANCE))
    return step * steps, step * np.floor(high / step + STEP_TOLERANCE)


@in_place
def lines_in(mask: int) -> int:
    """How many lines there are in a mask."""
    return (mask & 1) + (mask >> 1 & 1) + (mask >> 2 & 1)


@compiled
def _tightest(circuit: int, mask: int, above: Ints, capacity: Floats) -> int:
    """The row with least capacity that these lines load; a single load has length 1 on each of them."""
    tightest = NO_ROW
    while circuit >= 0:
        for line in range(3):
            row = 3 * circuit + line
            if mask & 1 << line and (tightest == NO_ROW or capacity[row] <= capacity[tightest]):
                tightest = row
        circuit = above[circuit]
    return tightest


@compiled
def _load(mask: int, line: int) -> tuple[float, float]:
    """What one ampere adds to the phasor of a line that it loads: `phases.line_loads` for masks."""
    if mask == 7:
        return 1.0, 0.0
    is_first = mask & 1 << (line + 1) % 3 != 0
    return COS_30, SIN_30 if is_first else -SIN_30


@compiled
def _option_rows(
    circuits: Ints, lines: Ints, above: Ints, kept: Ints, is_vector: bool
) -> tuple[Ints, Ints, Floats, Floats]:
    """Per option where its rows begin; the rows that can bind, and what an ampere adds there."""
    many = np.where(kept >= 0, 1, 0)
    for one in range(3, len(kept)):
        many[one] += many[3 * above[one // 3] + one % 3]
    first_row = np.zeros(len(lines) + 1, np.int64)
    for option in range(len(lines)):
        first_row[option + 1] = first_row[option]
        for line in range(3):
            if lines[option] & 1 << line:
                first_row[option + 1] += many[3 * circuits[option] + line]
    entries = first_row[-1]
    row, along, across = np.zeros(entries, np.int64), np.ones(entries), np.zeros(entries)
    for option in range(len(lines)):
        at, circuit = first_row[option], circuits[option]
        while at < first_row[option + 1]:
            for line in range(3):
                if lines[option] & 1 << line and kept[3 * circuit + line] >= 0:
                    row[at] = kept[3 * circuit + line]
                    if is_vector:
                        along[at], across[at] = _load(lines[option], line)
                    at += 1
            circuit = above[circuit]
    return first_row, row, along, across


@compiled
def options_of_rows(first_row: Ints, row: Ints, rows: int) -> tuple[Ints, Ints]:
    """Per row where its options begin, and the options that load it."""
    first = np.zeros(rows + 1, np.int64)
    for one in row:
        first[one + 1] += 1
    for one in range(rows):
        first[one + 1] += first[one]
    loading, at = np.zeros(len(row), np.int64), first[:-1].copy()
    for option in range(len(first_row) - 1):
        for entry in range(first_row[option], first_row[option + 1]):
            loading[at[row[entry]]] = option
            at[row[entry]] += 1
    return first, loading
