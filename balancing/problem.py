"""An instance as arrays: one row per circuit and line that can bind, one option per car and mode.

Cars and rows are in the order of their ids, so no answer depends on the order of lists.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from balancing.circuit import (
    LINES,
    ChargerInput,
    ChargerState,
    Instance,
    Line,
    Lines,
    Network,
    Overload,
    Vector,
    ancestors,
    in_grid_order,
)
from balancing.compiled import Floats, Ints, compiled, in_place
from balancing.phases import COS_30, SIN_30, SLACK, STEP_TOLERANCE, kappa, permitted_lines

NO_ROW: Final = -1
"""In place of a row: none of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of one circuit and the managed current it can carry."""

    circuit: str
    line: Line
    capacity: float


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


@dataclass(frozen=True, slots=True)
class Compiled:
    """A problem with what its numbers stand for."""

    problem: Problem
    cars: tuple[ChargerInput, ...]
    """The chargers that want current, by id; those in `place` are cars of the problem."""
    place: Ints
    """Per charger that wants current its car in the problem, or -1."""
    stopped_by: Ints
    """Per charger without a car: the row of `rows` that stops its every mode, NO_ROW where no mode exists."""
    rows: tuple[tuple[str, Line], ...]
    row_of: Ints
    """Per row of the problem its place in `rows`."""
    overloaded: tuple[Overload, ...]


def offline_reservation(charger: ChargerInput) -> tuple[float, Lines]:
    """What a charger that is not controllable may draw: its fallback, else its maximum on all wired lines."""
    if charger.fallback is not None:
        return charger.fallback.current, charger.fallback.phases
    return charger.max_current, charger.wiring


def mask_of(lines: Lines) -> int:
    """The lines as a mask: 1, 2, 4 for L1, L2, L3."""
    return sum(1 << line.place for line in lines)


LINES_OF: Final = tuple(in_grid_order(line for line in LINES if mask & 1 << line.place) for mask in range(8))
"""Mask → lines."""

_MASKS: Final = {lines: mask for mask, lines in enumerate(LINES_OF)}


# Columns of the table of cars; from _MODE on the lines of up to four modes, widest first, 0 where there is none.
_CIRCUIT, _MODE, _BEST, _MIN, _MAX, _MAX_1P, _MAX_CAR, _STEP, _WEIGHT = 0, 1, 5, 6, 7, 8, 9, 10, 11
_CREDIT, _IS_KNOWN, _BEFORE, _CURRENT_BEFORE, _COLUMNS = range(12, 17)

MOST_MODES: Final = 4
"""All wired lines, and one line (or pair) at each of three terminals."""


def compile_problem(instance: Instance) -> Compiled:
    """The instance with capacities computed, modes listed and everything that cannot bind left out."""
    paths = ancestors(instance.circuits)
    order = sorted(paths, key=lambda name: (len(paths[name]), name))
    number = {name: place for place, name in enumerate(order)}
    above = np.array([number[paths[name][1]] if len(paths[name]) > 1 else -1 for name in order], dtype=np.int64)
    capacity, overloaded = _capacities(instance, paths, number)
    wanting = tuple(sorted((one for one in instance.chargers if one.state.wants_current), key=lambda one: one.id))
    table = np.array([_columns(car, number, instance.network) for car in wanting], dtype=np.float64).reshape(
        len(wanting), _COLUMNS
    )
    is_it = instance.network.is_it
    count, stopped_by, lines, lowest, highest, most = _list_modes(table, above, capacity, is_it)
    is_car = count > 0
    row_of = np.flatnonzero(most > capacity)
    kept = np.full(len(capacity), NO_ROW)
    kept[row_of] = np.arange(len(row_of))
    root = next(circuit for circuit in instance.circuits if circuit.parent is None)
    problem = _assemble(
        [car for car, fits in zip(wanting, is_car.tolist(), strict=True) if fits],
        table[is_car],
        _Modes(count[is_car], lines[is_car], lowest[is_car], highest[is_car]),
        above,
        kept,
        capacity,
        np.array(_positive(root.other_load)),
        instance,
    )
    place = np.where(is_car, np.cumsum(is_car) - 1, -1)
    rows = tuple((name, line) for name in order for line in LINES)
    return Compiled(problem, wanting, place, stopped_by, rows, row_of, overloaded)


_ON_NO_LINE: Final = 8
"""A previous allocation with current and no lines: it was on, and whatever follows is a change."""


class _Modes(NamedTuple):
    """Per car how many modes, and their lines, lowest and highest current, in the first places of a line each."""

    many: Ints
    lines: Ints
    lowest: Floats
    highest: Floats


def _assemble(
    cars: Sequence[ChargerInput],
    table: Floats,
    modes: _Modes,
    above: Ints,
    kept: Ints,
    capacity: Floats,
    root_load: Floats,
    instance: Instance,
) -> Problem:
    """The problem of the cars in `table`; `kept` is per row of the site its place in the problem, or NO_ROW."""
    is_option = np.arange(MOST_MODES) < modes.many[:, None]
    car = np.repeat(np.arange(len(cars)), modes.many)
    lines, lowest, highest = modes.lines[is_option], modes.lowest[is_option], modes.highest[is_option]
    kappas = np.array([kappa(one, instance.network) for one in LINES_OF])[lines]
    share = kappas / (table[:, _BEST] * table[:, _WEIGHT])[car]
    circuits = table[:, _CIRCUIT].astype(np.int64)
    first_row, row, along, across = _option_rows(circuits[car], lines, above, kept, instance.uses_vectors)
    levels = np.stack([lowest * share, highest * share], axis=1).reshape(-1)
    is_known = table[:, _IS_KNOWN].astype(np.int64)
    before, current_before = table[:, _BEFORE].astype(np.int64), table[:, _CURRENT_BEFORE].copy()
    return Problem(
        first_option=np.concatenate([[0], np.cumsum(modes.many)]),
        rank=_ranks(cars),
        credit=table[:, _CREDIT].copy(),
        kind=_kinds(table, _same_rows(above, kept)[circuits]),
        is_known=is_known,
        lines_before=np.where(current_before > 0, np.where(before > 0, before, _ON_NO_LINE), 0),
        current_before=current_before,
        car=car,
        lines=lines,
        kappa=kappas,
        lowest=lowest,
        highest=highest,
        share=share,
        first_row=first_row,
        row=row,
        along=along,
        across=across,
        first_loading=np.concatenate([[0], np.cumsum(np.bincount(row, minlength=int(kept.max()) + 1))]),
        loading=np.repeat(np.arange(len(lines)), np.diff(first_row))[np.argsort(row, kind="stable")],
        levels=np.argsort(levels, kind="stable"),
        capacity=capacity[kept >= 0],
        root_load=root_load,
        is_vector=instance.uses_vectors,
        judges_imbalance=not instance.uses_vectors and not instance.network.is_one_phase,
        has_choice=bool(len(car) > len(cars)),
        circuit=circuits,
        above=above,
        in_all=capacity.reshape(-1, 3).sum(axis=1),
    )


def _ranks(cars: Sequence[ChargerInput]) -> Ints:
    """Per car its class by (priority, tier), 0 the first."""
    places = [(-car.priority, -car.tier) for car in cars]
    rank = {one: number for number, one in enumerate(sorted(set(places)))}
    return np.array([rank[place] for place in places], dtype=np.int64)


def _same_rows(above: Ints, kept: Ints) -> Ints:
    """Per circuit the first one at or above it that has rows which can bind: circuits with the same one are alike."""
    same = np.full(len(above), -1)
    for circuit in range(len(above)):
        if max(kept[3 * circuit : 3 * circuit + 3]) >= 0:
            same[circuit] = circuit
        elif above[circuit] >= 0:
            same[circuit] = same[above[circuit]]
    return same


def _kinds(table: Floats, circuits: Ints) -> Ints:
    """Per car its kind: equal options."""
    kinds: dict[tuple[float, ...], int] = {}
    what = np.column_stack([circuits, table[:, _CIRCUIT + 1 : _WEIGHT + 1]])
    return np.array([kinds.setdefault(tuple(one), len(kinds)) for one in what.tolist()], dtype=np.int64)


def _positive(load: Vector) -> Vector:
    return (max(0.0, load[0]), max(0.0, load[1]), max(0.0, load[2]))


def _capacities(
    instance: Instance, paths: dict[str, tuple[str, ...]], number: dict[str, int]
) -> tuple[Floats, tuple[Overload, ...]]:
    """Ampere per row for managed cars, and the lines that other load and reservations alone overload."""
    reserved = np.zeros((len(number), 3))
    offline = (charger for charger in instance.chargers if charger.state is ChargerState.OFFLINE)
    for charger in sorted(offline, key=lambda charger: charger.id):
        current, lines = offline_reservation(charger)
        for name in paths[charger.circuit]:
            for line in lines:
                reserved[number[name], line.place] += current
    fuse, other = np.zeros((len(number), 3)), np.zeros((len(number), 3))
    for circuit in instance.circuits:
        fuse[number[circuit.id]] = circuit.fuse
        other[number[circuit.id]] = _positive(circuit.other_load)
    free = fuse - other - reserved
    names = sorted(number, key=number.__getitem__)
    overloaded = tuple(
        Overload(names[circuit], LINES[line], -float(free[circuit, line]))
        for circuit, line in np.argwhere(free < -SLACK)
    )
    return np.maximum(free, 0.0).reshape(-1), overloaded


def _columns(car: ChargerInput, number: dict[str, int], network: Network) -> tuple[float, ...]:
    """One car's line of the table."""
    permitted = permitted_lines(car, network)
    modes = [_MASKS[lines] for lines in permitted if car.modes is None or lines in car.modes]
    previous = car.previous
    return (
        number[car.circuit],
        *modes,
        *_NO_MODES[len(modes) :],
        kappa(permitted[0], network),
        car.min_current,
        car.max_current,
        math.inf if car.max_current_1p is None else car.max_current_1p,
        math.inf if car.vehicle.max_current is None else car.vehicle.max_current,
        car.current_step,
        car.weight,
        car.credit,
        previous is not None,
        0 if previous is None else _MASKS[previous.phases],
        0.0 if previous is None else previous.current,
    )


_NO_MODES: Final = (0,) * MOST_MODES


@compiled
def _list_modes(
    table: Floats, above: Ints, capacity: Floats, is_it: bool
) -> tuple[Ints, Ints, Ints, Floats, Floats, Floats]:
    """Per car its modes that fit an empty site: how many, lines, lowest and highest current; what stops the others; what rows may carry.

    A car none of whose modes fits is stopped by the tightest row of its first one, NO_ROW where no mode exists.
    """
    cars = len(table)
    count, stopped_by = np.zeros(cars, np.int64), np.full(cars, NO_ROW)
    lines = np.zeros((cars, MOST_MODES), np.int64)
    lowest, highest = np.zeros((cars, MOST_MODES)), np.zeros((cars, MOST_MODES))
    most = np.zeros(len(capacity))
    reach = np.zeros(3)
    for car in range(cars):
        circuit = int(table[car, _CIRCUIT])
        reach[:] = 0.0
        for mode in range(MOST_MODES):
            mask = int(table[car, _MODE + mode])
            low, high = _range_of(table[car], mask, is_it)
            if mask == 0 or low > high:
                continue
            row = _tightest(circuit, mask, above, capacity)
            if capacity[row] <= 0.0 or low > capacity[row] + SLACK:
                if stopped_by[car] == NO_ROW:
                    stopped_by[car] = row
                continue
            lines[car, count[car]], lowest[car, count[car]], highest[car, count[car]] = mask, low, high
            count[car] += 1
            for line in range(3):
                if mask & 1 << line:
                    reach[line] = max(reach[line], high)
        while circuit >= 0:
            for line in range(3):
                most[3 * circuit + line] += reach[line]
            circuit = above[circuit]
    return count, stopped_by, lines, lowest, highest, most


@compiled
def _range_of(car: Floats, mask: int, is_it: bool) -> tuple[float, float]:
    """Lowest and highest current on these lines, in whole steps."""
    high = min(car[_MAX], car[_MAX_CAR])
    if lines_in(mask) == (2 if is_it else 1):
        high = min(high, car[_MAX_1P])
    step = car[_STEP]
    if step == 0.0:
        return car[_MIN], high
    steps = max(1.0, np.ceil(car[_MIN] / step - STEP_TOLERANCE))
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
def _load(mask: int, line: int, is_vector: bool) -> tuple[float, float]:
    """What one ampere adds on a line that it loads: `phases.line_loads` for masks."""
    if not is_vector or mask == 7:
        return 1.0, 0.0
    is_first = mask & 1 << (line + 1) % 3 != 0
    return COS_30, SIN_30 if is_first else -SIN_30


@compiled
def _option_rows(
    circuits: Ints, lines: Ints, above: Ints, kept: Ints, is_vector: bool
) -> tuple[Ints, Ints, Floats, Floats]:
    """Per option where its rows begin; the rows that can bind, and what an ampere adds there."""
    options, entries = len(lines), 0
    first_row = np.zeros(options + 1, np.int64)
    for option in range(options):
        circuit = circuits[option]
        while circuit >= 0:
            for line in range(3):
                entries += lines[option] & 1 << line != 0 and kept[3 * circuit + line] >= 0
            circuit = above[circuit]
        first_row[option + 1] = entries
    row, along, across = np.zeros(entries, np.int64), np.zeros(entries), np.zeros(entries)
    at = 0
    for option in range(options):
        circuit = circuits[option]
        while circuit >= 0:
            for line in range(3):
                if lines[option] & 1 << line and kept[3 * circuit + line] >= 0:
                    row[at] = kept[3 * circuit + line]
                    along[at], across[at] = _load(lines[option], line, is_vector)
                    at += 1
            circuit = above[circuit]
    return first_row, row, along, across
