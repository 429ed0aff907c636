"""An instance as rows and cars: one row per circuit and line that can bind, one option per car and mode."""

import math
from dataclasses import dataclass

from balancing.circuit import (
    LINES,
    ChargerInput,
    ChargerState,
    Instance,
    Line,
    Lines,
    Overload,
    Previous,
    Vector,
    ancestors,
)
from balancing.phases import Mode, best_kappa, existing_modes

SLACK = 1e-9
"""Ampere by which sums of floats may pass a capacity before they count as above it."""

COS_30 = math.sqrt(3) / 2
SIN_30 = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """One line of one circuit and the managed current it can carry."""

    circuit: str
    line: Line
    capacity: float


@dataclass(frozen=True, slots=True)
class Option:
    """One mode of one car: the rows it loads and how a share of its objective grows with current.

    `loads` has, per row, the current's part in phase with the line's voltage and across it; plain sums are (1, 0).
    """

    lines: Lines
    kappa: float
    lowest: float
    highest: float
    share_per_ampere: float
    rows: tuple[int, ...]
    loads: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Car:
    """One charger that wants current and has a mode that fits an empty site; `place` sorts its class, first first.

    Cars of one `kind` have equal options: only class, credit and past tell them apart.
    """

    charger: str
    place: tuple[int, int]
    credit: float
    options: tuple[Option, ...]
    previous: Previous | None
    kind: int

    @property
    def was_on(self) -> bool:
        """Whether it had current before."""
        return self.previous is not None and self.previous.current > 0


@dataclass(frozen=True, slots=True)
class Problem:
    """What the search sees: cars by charger id, rows that can bind, and the root's fixed load per line."""

    rows: tuple[Row, ...]
    cars: tuple[Car, ...]
    is_vector: bool
    judges_imbalance: bool
    root_load: Vector
    overloaded: tuple[Overload, ...]
    excluded: dict[str, int | None]
    """Charger id → row that its every mode is stopped by, None where no mode exists."""
    all_rows: tuple[Row, ...]
    capacity: tuple[float, ...]
    """Ampere per row."""
    classes: tuple[tuple[int, ...], ...]
    """Places in `cars` per (priority, tier), first class first."""


def line_loads(lines: Lines, *, is_vector: bool) -> tuple[tuple[Line, tuple[float, float]], ...]:
    """Per line that a mode loads, what one ampere of it adds there.

    With I12, I23, I31 the pair currents: |I1|² = (I3p + cos30°·(I12+I31))² + (sin30°·(I12-I31))².
    """
    if not is_vector or len(lines) != 2:
        return tuple((line, (1.0, 0.0)) for line in lines)
    first, second = lines
    if (second.place - first.place) % 3 != 1:
        first, second = second, first
    return ((first, (COS_30, SIN_30)), (second, (COS_30, -SIN_30)))


def offline_reservation(charger: ChargerInput) -> tuple[float, Lines]:
    """What a charger that is not controllable may draw: its fallback, else its maximum on all wired lines."""
    if charger.fallback is not None:
        return charger.fallback.current, charger.fallback.phases
    return charger.max_current, charger.wiring


def compile_problem(instance: Instance) -> Problem:
    """The instance with capacities computed, modes listed and everything that cannot bind left out.

    Cars and rows are in the order of their ids, so no answer depends on the order of lists.
    """
    paths = ancestors(instance.circuits)
    rows, overloaded = _rows(instance, paths)
    index = {(row.circuit, row.line): place for place, row in enumerate(rows)}
    cars: list[Car] = []
    excluded: dict[str, int | None] = {}
    for charger in sorted(instance.chargers, key=lambda charger: charger.id):
        if not charger.state.wants_current:
            continue
        best = best_kappa(charger, instance.network)
        modes = existing_modes(charger, instance.network)
        options = [_option(mode, charger, best, paths[charger.circuit], index, instance.uses_vectors) for mode in modes]
        fitting = [option for option in options if _stopping_row(option, rows) is None]
        if not fitting:
            excluded[charger.id] = _stopping_row(options[0], rows) if options else None
            continue
        place = (-charger.priority, -charger.tier)
        cars.append(Car(charger.id, place, charger.credit, tuple(fitting), charger.previous, 0))
    root = next(circuit for circuit in instance.circuits if circuit.parent is None)
    kept_rows, kept_cars = _without_idle_rows(rows, cars)
    return Problem(
        rows=kept_rows,
        cars=kept_cars,
        is_vector=instance.uses_vectors,
        judges_imbalance=not instance.uses_vectors and not instance.network.is_one_phase,
        root_load=_positive(root.other_load),
        overloaded=overloaded,
        excluded=excluded,
        all_rows=rows,
        capacity=tuple(row.capacity for row in kept_rows),
        classes=_classes(kept_cars),
    )


def _classes(cars: tuple[Car, ...]) -> tuple[tuple[int, ...], ...]:
    members: dict[tuple[int, int], list[int]] = {}
    for place, car in enumerate(cars):
        members.setdefault(car.place, []).append(place)
    return tuple(tuple(members[place]) for place in sorted(members))


def _positive(load: Vector) -> Vector:
    return (max(0.0, load[0]), max(0.0, load[1]), max(0.0, load[2]))


def _rows(instance: Instance, paths: dict[str, tuple[str, ...]]) -> tuple[tuple[Row, ...], tuple[Overload, ...]]:
    reserved = {name: [0.0, 0.0, 0.0] for name in paths}
    for charger in sorted(instance.chargers, key=lambda charger: charger.id):
        if charger.state is ChargerState.OFFLINE:
            current, lines = offline_reservation(charger)
            for name in paths[charger.circuit]:
                for line in lines:
                    reserved[name][line.place] += current
    rows: list[Row] = []
    overloaded: list[Overload] = []
    for circuit in sorted(instance.circuits, key=lambda circuit: (len(paths[circuit.id]), circuit.id)):
        other = _positive(circuit.other_load)
        for line in LINES:
            free = circuit.fuse[line.place] - other[line.place] - reserved[circuit.id][line.place]
            rows.append(Row(circuit.id, line, max(0.0, free)))
            if free < 0:
                overloaded.append(Overload(circuit.id, line, -free))
    return tuple(rows), tuple(overloaded)


def _option(
    mode: Mode,
    charger: ChargerInput,
    best: float,
    path: tuple[str, ...],
    index: dict[tuple[str, Line], int],
    is_vector: bool,
) -> Option:
    loads = [
        (index[circuit, line], load) for circuit in path for line, load in line_loads(mode.lines, is_vector=is_vector)
    ]
    return Option(
        lines=mode.lines,
        kappa=mode.kappa,
        lowest=mode.lowest,
        highest=mode.highest,
        share_per_ampere=mode.kappa / (best * charger.weight),
        rows=tuple(row for row, _ in loads),
        loads=tuple(load for _, load in loads),
    )


def _stopping_row(option: Option, rows: tuple[Row, ...]) -> int | None:
    """The tightest row that one car's minimum alone exceeds; a single load has length 1 on each of its lines."""
    tightest = min(option.rows, key=lambda row: rows[row].capacity)
    return tightest if option.lowest > rows[tightest].capacity + SLACK else None


def _without_idle_rows(rows: tuple[Row, ...], cars: list[Car]) -> tuple[tuple[Row, ...], tuple[Car, ...]]:
    """Rows that stay below capacity even with every car at its maximum are dropped from rows and options."""
    most = [0.0] * len(rows)
    for car in cars:
        reach: dict[int, float] = {}
        for option in car.options:
            for row in option.rows:
                reach[row] = max(reach.get(row, 0.0), option.highest)
        for row, current in reach.items():
            most[row] += current
    kept = [place for place, row in enumerate(rows) if most[place] > row.capacity]
    renumbered = {place: number for number, place in enumerate(kept)}
    known: dict[Option, Option] = {}
    ways: dict[tuple[Option, ...], int] = {}
    slim: list[Car] = []
    for car in cars:
        options = tuple(_renumber_option(option, renumbered) for option in car.options)
        options = tuple(known.setdefault(option, option) for option in options)
        kind = ways.setdefault(options, len(ways))
        slim.append(Car(car.charger, car.place, car.credit, options, car.previous, kind))
    return tuple(rows[place] for place in kept), tuple(slim)


def _renumber_option(option: Option, renumbered: dict[int, int]) -> Option:
    pairs = [(renumbered[row], load) for row, load in zip(option.rows, option.loads, strict=True) if row in renumbered]
    return Option(
        option.lines,
        option.kappa,
        option.lowest,
        option.highest,
        option.share_per_ampere,
        tuple(row for row, _ in pairs),
        tuple(load for _, load in pairs),
    )
