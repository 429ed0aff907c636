"""Who is served, gathered from the lowest circuits upwards: of each circuit many ways to serve the cars below, joined to ways for the site.

Prices (balancing/pricing.py) say what a car loses by any option but its best, and a row by what it leaves free. What a way loses in all
is how far it falls short of a bound that no answer surpasses. So ways that lose more than the best known answer are dropped, and of the
others as many are kept as the effort allows. Of ways with equal loads only the best can be of use. Where none had to be dropped for the
effort's sake, there is no better answer.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from balancing.compiled import Floats, Ints, compiled, in_place
from balancing.filling import OFF
from balancing.phases import COS_30, SIN_30, SLACK
from balancing.pricing import Market, clear, cost, worth_of
from balancing.problem import NO_ROW, Problem
from balancing.room import Room, credit_of, fits, put, waiting
from balancing.solution import occupy

WIDTH: Final = 200
LEAST_WIDTH: Final = 12
"""Ways of a circuit that are kept, at most, and where effort is short."""

PAIRS: Final = 10
"""Pairs that are looked at for each way that is kept."""

KEEPING: Final = 2
"""What it takes to make and keep a way."""

A_CAR: Final = 1.0
"""Cars: an option that loses more than a whole car is left out."""

EQUAL_A: Final = 1e-6
"""Loads nearer than this are equal."""
GRAINS: Final = 1e4
"""Parts of an ampere by which equal loads find each other."""

NOTHING: Final = -1
"""In place of an option that was added, or of a way before the first one."""


class Ways(NamedTuple):
    """Ways to serve a part of the cars, a line each."""

    load: Floats
    """Ampere on L1, L2, L3 along the line's voltage, then across it."""
    many: Ints
    """Served cars of the class."""
    credit: Floats
    loss: Floats
    """Cars."""
    order: Floats
    """Cars: the loss, and what it is off course."""
    before: Ints
    """The way that it was made of, or NOTHING."""
    added: Ints
    """What was added to that: an option, NOTHING, or -2 less the number of another way."""


class Gathering(NamedTuple):
    """The site while ways are gathered; ways `span[0]` to `span[1]` are those of the circuit, `found` what may follow them."""

    ways: Ways
    found: Ways
    span: Ints
    """Then how many were found, and whether any was dropped for the effort's sake."""
    met: Ints
    """Where loads find their equals: what was found, or NOTHING."""
    width: int
    most: float
    """Cars: what an answer may lose and still be better than the best known."""
    row_at: Ints
    """Per circuit and line its row, or NO_ROW."""
    cars: Ints
    """Places in the market by circuit, those of circuit c from `first[c]` to `first[c + 1]`."""
    first: Ints
    taken: Ints
    """Per car of the market the option that loses nothing, or OFF."""
    is_open: Ints
    """1 where another one may be better."""
    loss: Floats
    """Per option."""
    loss_off: Floats
    """Per car of the market; infinite where it has to be served."""
    flow: Floats
    """Per circuit and line what flows there at these prices, ampere, of the cars below."""
    bend: Floats
    """Per circuit and line the factor from the average of the market to that."""
    dear: Floats
    """Per circuit and line what an ampere costs from there to the root."""
    course: Floats
    """Per line what flows there of all cars that are in the ways so far, on the market's average."""
    amperes: Floats
    """Per line, along and across, of the option that is looked at."""


@compiled
def gather(p: Problem, room: Room, m: Market, members: Ints, bound: float, effort: int) -> bool:
    """The class is served at least as well as it was; whether there is no answer that is worth more.

    `bound` is what an answer can be worth at the prices.
    """
    most = bound - worth_of(p, room, m, members)
    if most <= SLACK:
        return True
    if effort <= 0:
        return False
    g = _gathering(p, room, m, most, effort)
    room.left[0] -= KEEPING * g.width * _steps(p, g.is_open)
    start, end = np.zeros(len(p.above), np.int64), np.zeros(len(p.above), np.int64)
    for circuit in range(len(p.above) - 1, -1, -1):
        _begin(p, m, g, circuit)
        for place in range(g.first[circuit], g.first[circuit + 1]):
            if g.is_open[g.cars[place]]:
                _add_car(p, m, g, circuit, g.cars[place])
                _keep(g)
        for below in range(circuit + 1, len(p.above)):
            if p.above[below] == circuit:
                _join(p, g, circuit, below, start[below], end[below])
                _keep(g)
        _close(p, room, m, g, circuit)
        _keep(g)
        start[circuit], end[circuit] = g.span[0], g.span[1]
    return _take(p, room, m, members, g) and g.span[3] == 0 and most <= A_CAR


@in_place
def _steps(p: Problem, is_open: Ints) -> int:
    steps = 2 * len(p.above)
    for one in is_open:
        steps += one
    return steps


@compiled
def _gathering(p: Problem, room: Room, m: Market, most: float, effort: int) -> Gathering:
    circuits, cars = len(p.above), len(m.cars)
    row_at = np.full(3 * circuits, NO_ROW)
    row_at[p.row_of] = np.arange(len(p.row_of))
    taken, is_open, loss_off = np.full(cars, OFF), np.zeros(cars, np.int64), np.full(cars, np.inf)
    loss = np.zeros(len(p.car))
    for at in range(cars):
        taken[at], loss_off[at] = _compare_options(p, room, m, at, loss)
        least = min(most, A_CAR)
        choices = int(loss_off[at] <= least)
        for option in range(p.first_option[m.cars[at]], p.first_option[m.cars[at] + 1]):
            choices += loss[option] <= least
        is_open[at] = choices > 1
    by_circuit = np.argsort(p.circuit[m.cars], kind="mergesort")
    first = np.searchsorted(p.circuit[m.cars][by_circuit], np.arange(circuits + 1))
    steps = _steps(p, is_open)
    width = max(LEAST_WIDTH, min(WIDTH, effort // (KEEPING * steps)))
    places = 1
    while places < 2 * PAIRS * width:
        places *= 2
    flow, bend, dear = _course(p, room, m, row_at)
    return Gathering(
        _ways(steps * width + circuits),
        _ways(PAIRS * width),
        np.zeros(4, np.int64),
        np.full(places, NOTHING),
        width,
        most,
        row_at,
        by_circuit,
        first,
        taken,
        is_open,
        loss,
        loss_off,
        flow,
        bend,
        dear,
        np.zeros(3),
        np.zeros(6),
    )


@compiled
def _ways(many: int) -> Ways:
    return Ways(
        np.zeros((many, 6)),
        np.zeros(many, np.int64),
        np.zeros(many),
        np.zeros(many),
        np.zeros(many),
        np.zeros(many, np.int64),
        np.zeros(many, np.int64),
    )


@in_place
def _compare_options(p: Problem, room: Room, m: Market, at: int, loss: Floats) -> tuple[int, float]:
    """The option that loses nothing, or OFF, and what being OFF loses; `loss` has what each option loses."""
    car, taken = m.cars[at], OFF
    gain = 0.0 if at >= m.kept else -np.inf
    for option in range(p.first_option[car], p.first_option[car + 1]):
        loss[option] = m.worth[at] - cost(p, room, option) - (m.fee[0] if at >= m.kept else 0.0)
        if loss[option] > gain:
            gain, taken = loss[option], option
    for option in range(p.first_option[car], p.first_option[car + 1]):
        loss[option] = gain - loss[option]
    return taken, gain if at >= m.kept else np.inf


@compiled
def _course(p: Problem, room: Room, m: Market, row_at: Ints) -> tuple[Floats, Floats, Floats]:
    """`flow`, `bend` and `dear`: a row with a price is full."""
    circuits = len(p.above)
    flow, bend, dear = np.zeros((circuits, 3)), np.ones((circuits, 3)), np.zeros((circuits, 3))
    amperes = np.zeros(6)
    for option in range(len(p.car)):
        if m.wanted[option] > 0.0:
            _load(p, option, amperes)
            for line in range(3):
                flow[p.circuit[p.car[option]], line] += m.wanted[option] * amperes[line]
    for circuit in range(circuits - 1, 0, -1):
        flow[p.above[circuit]] += flow[circuit]
    for circuit in range(circuits):
        for line in range(3):
            row = row_at[3 * circuit + line]
            if p.above[circuit] >= 0:
                dear[circuit, line] = dear[p.above[circuit], line]
            if row == NO_ROW:
                continue
            dear[circuit, line] += room.price[row]
            is_full = room.price[row] > 0.0 or flow[circuit, line] > m.capacity[row]
            if is_full and flow[circuit, line] > 0.0:
                bend[circuit, line] = m.capacity[row] / flow[circuit, line]
                flow[circuit, line] = m.capacity[row]
    return flow, bend, dear


@in_place
def _load(p: Problem, option: int, amperes: Floats) -> None:
    """What its minimum adds per line, along and across, as in `problem._load`."""
    mask, lowest = p.lines[option], p.lowest[option]
    for line in range(3):
        is_on = mask & 1 << line != 0
        amperes[line], amperes[3 + line] = lowest * is_on, 0.0
        if is_on and p.is_vector and mask != 7:
            is_first = mask & 1 << (line + 1) % 3 != 0
            amperes[line], amperes[3 + line] = lowest * COS_30, lowest * (SIN_30 if is_first else -SIN_30)


@in_place
def _begin(p: Problem, m: Market, g: Gathering, circuit: int) -> None:
    """The one way that there is before any car has a choice."""
    w, way = g.ways, g.span[1]
    g.span[0], g.span[1] = way, way + 1
    w.load[way, :] = 0.0
    w.many[way], w.credit[way], w.loss[way], w.before[way], w.added[way] = 0, 0.0, 0.0, NOTHING, NOTHING
    g.course[:] = 0.0
    for place in range(g.first[circuit], g.first[circuit + 1]):
        at = g.cars[place]
        if g.is_open[at]:
            continue
        _go_on(p, m, g, at)
        if g.taken[at] != OFF:
            _load(p, g.taken[at], g.amperes)
            for line in range(6):
                w.load[way, line] += g.amperes[line]
            if at >= m.kept:
                w.many[way] += 1
                w.credit[way] += p.credit[m.cars[at]]


@in_place
def _go_on(p: Problem, m: Market, g: Gathering, at: int) -> None:
    """The course is that with one more car."""
    for option in range(p.first_option[m.cars[at]], p.first_option[m.cars[at] + 1]):
        _load(p, option, g.amperes)
        for line in range(3):
            g.course[line] += m.wanted[option] * g.amperes[line]


@in_place
def _add_car(p: Problem, m: Market, g: Gathering, circuit: int, at: int) -> None:
    """Every way is found with every option of the car that loses little, and without the car."""
    _find_none(g)
    w, car = g.ways, m.cars[at]
    is_member, least = at >= m.kept, min(g.most, A_CAR)
    _go_on(p, m, g, at)
    if g.loss_off[at] <= least:
        g.amperes[:] = 0.0
        for way in range(g.span[0], g.span[1]):
            _find(p, g, circuit, way, NOTHING, w.many[way], w.credit[way], w.loss[way] + g.loss_off[at])
    for option in range(p.first_option[car], p.first_option[car + 1]):
        if g.loss[option] <= least:
            _load(p, option, g.amperes)
            for way in range(g.span[0], g.span[1]):
                credit = w.credit[way] + (p.credit[car] if is_member else 0.0)
                _find(p, g, circuit, way, option, w.many[way] + is_member, credit, w.loss[way] + g.loss[option])


@in_place
def _join(p: Problem, g: Gathering, circuit: int, below: int, start: int, end: int) -> None:
    """The ways are found with those of a circuit below, which are `start` to `end`, first ones with first ones."""
    _find_none(g)
    w = g.ways
    for line in range(3):
        g.course[line] += g.flow[below, line]
    for one in range(g.span[0], g.span[1]):
        for other in range(start, end):
            if (one - g.span[0] + 1) * (other - start + 1) > PAIRS * g.width:
                g.span[3] = 1
                break
            for line in range(6):
                g.amperes[line] = w.load[other, line]
            many, credit = w.many[one] + w.many[other], w.credit[one] + w.credit[other]
            _find(p, g, circuit, one, -2 - other, many, credit, w.loss[one] + w.loss[other])


@in_place
def _close(p: Problem, room: Room, m: Market, g: Gathering, circuit: int) -> None:
    """What the circuit's rows leave free is lost."""
    _find_none(g)
    w = g.ways
    g.amperes[:] = 0.0
    for line in range(3):
        bend = g.bend[circuit, line]
        g.course[line] = g.flow[circuit, line] / bend if bend > 0.0 else 0.0
    for way in range(g.span[0], g.span[1]):
        loss = w.loss[way]
        for line in range(3):
            row = g.row_at[3 * circuit + line]
            if row != NO_ROW:
                loss += room.price[row] * max(0.0, m.capacity[row] - w.load[way, line])
        _find(p, g, circuit, way, NOTHING, w.many[way], w.credit[way], loss)


@in_place
def _find_none(g: Gathering) -> None:
    g.span[2] = 0
    for place in range(len(g.met)):
        g.met[place] = NOTHING


@in_place
def _find(p: Problem, g: Gathering, circuit: int, way: int, added: int, many: int, credit: float, loss: float) -> None:
    """The way with `g.amperes` more is among those found, if it may be of use; of equal loads only the best is."""
    if loss > g.most - SLACK:
        return
    f, number = g.found, g.span[2]
    if number == len(f.many):
        g.span[3] = 1
        return
    for line in range(6):
        f.load[number, line] = g.ways.load[way, line] + g.amperes[line]
    if not _carries(p, g, circuit, f.load[number]):
        return
    place = _meeting(g, number)
    if g.met[place] != NOTHING:
        number = g.met[place]
        if many < f.many[number] or (many == f.many[number] and credit <= f.credit[number] + SLACK):
            return
    else:
        g.met[place] = number
        g.span[2] += 1
    off = 0.0
    for line in range(3):
        off += g.dear[circuit, line] * abs(f.load[number, line] - g.course[line] * g.bend[circuit, line])
    f.many[number], f.credit[number], f.loss[number], f.order[number] = many, credit, loss, loss + off
    f.before[number], f.added[number] = way, added


@in_place
def _carries(p: Problem, g: Gathering, circuit: int, load: Floats) -> bool:
    for line in range(3):
        row = g.row_at[3 * circuit + line]
        if row == NO_ROW:
            continue
        if (math.hypot(load[line], load[3 + line]) if p.is_vector else load[line]) > p.capacity[row] + SLACK:
            return False
    return True


@in_place
def _meeting(g: Gathering, number: int) -> int:
    """Where what was found meets its equal, or a free place."""
    load, mixed = g.found.load, 0
    for line in range(6):
        mixed = 31 * mixed + round(load[number, line] * GRAINS) & 0xFFFFFFFFFFF
    place = (mixed ^ mixed >> 17) & len(g.met) - 1
    while g.met[place] != NOTHING:
        is_equal = True
        for line in range(6):
            is_equal = is_equal and abs(load[g.met[place], line] - load[number, line]) < EQUAL_A
        if is_equal:
            break
        place = place + 1 & len(g.met) - 1
    return place


@compiled
def _keep(g: Gathering) -> None:
    """What was found are the ways from here on: those that lose least and are least off course."""
    w, f, many = g.ways, g.found, g.span[2]
    best = np.argsort(f.order[:many], kind="mergesort")
    if many > g.width:
        g.span[3] = 1
        best = best[: g.width]
    g.span[0] = g.span[1]
    for number in best:
        way = g.span[1]
        for line in range(6):
            w.load[way, line] = f.load[number, line]
        w.many[way], w.credit[way], w.loss[way] = f.many[number], f.credit[number], f.loss[number]
        w.before[way], w.added[way] = f.before[number], f.added[number]
        g.span[1] += 1


@compiled
def _take(p: Problem, room: Room, m: Market, members: Ints, g: Gathering) -> bool:
    """The best way of the whole site is taken if it is better than what there is; False where it turned out not to fit."""
    w, best = g.ways, NOTHING
    many, credit = len(members) - waiting(room, members), credit_of(p, room, members)
    for way in range(g.span[0], g.span[1]):
        if w.many[way] > many or (w.many[way] == many and w.credit[way] > credit + SLACK):
            best, many, credit = way, w.many[way], w.credit[way]
    if best == NOTHING:
        return True
    chosen = _chosen(p, m, g, best)
    before = room.choice.copy()
    clear(p, room, m.cars)
    for car in m.cars:
        if chosen[car] != OFF:
            if not fits(p, room, chosen[car]):
                occupy(p, room, before)
                return False
            put(p, room, car, chosen[car])
    return True


@compiled
def _chosen(p: Problem, m: Market, g: Gathering, last: int) -> Ints:
    """Per car the option that it has in this way, or OFF."""
    chosen = np.full(len(p.rank), OFF)
    for at in range(len(m.cars)):
        if not g.is_open[at]:
            chosen[m.cars[at]] = g.taken[at]
    others, left = np.zeros(len(p.above) + 1, np.int64), 1
    others[0] = last
    while left > 0:
        left -= 1
        way = others[left]
        while way != NOTHING:
            added = g.ways.added[way]
            if added >= 0:
                chosen[p.car[added]] = added
            elif added != NOTHING:
                others[left] = -2 - added
                left += 1
            way = g.ways.before[way]
    return chosen
