"""What is safe when something is not known: stale meters, chargers that answer no more, offers that may be in force.

Numbers come from the time layer of the balancer (docs/balancing.md §2); vectors are (L1, L2, L3) in ampere.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from balancing.circuit import LINES, NO_CURRENT, Fallback, Instance, Lines, Vector, ancestors, in_grid_order

OFFER_HOLDS_S = 600.0
"""D: how long an offer stands without renewal, before it falls to at most the fallback."""

OFFER_ENDS_S = 2 * OFFER_HOLDS_S
"""From here on a charger that nobody reaches is at its fallback."""

OFFER_RENEWAL_S = OFFER_HOLDS_S / 3
METER_STALE_S = 15.0
METER_STALE_PERIODS = 3.0
METER_LOST_S = 60.0

ABSURD_FUSES = 20.0
"""A reading of so many times the fuse is a fault of the meter: a breaker opens within 20 ms far below it."""

SLACK = 1e-9


class MeterState(StrEnum):
    """How far a circuit's other load can be trusted."""

    UNMETERED = "unmetered"
    FRESH = "fresh"
    STALE = "stale"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class CircuitKnowledge:
    """What is known of one circuit now; `other_load` is the newest reading without managed draw, None = never seen.

    `highest_60_s` and `highest_15_min` are the per-line maxima of that other load; None where no history exists.
    """

    id: str
    parent: str | None
    fuse: Vector
    is_metered: bool = False
    other_load: Vector | None = None
    age_s: float | None = None
    period_s: float = 5.0
    highest_60_s: Vector | None = None
    highest_15_min: Vector | None = None
    safe_current: Vector = NO_CURRENT
    assumed_other_load: Vector = NO_CURRENT


@dataclass(frozen=True, slots=True)
class CircuitCapacity:
    """What the balancer may count on: `available` for all managed chargers, offline ones included.

    `fuse` and `other_load` are the ev-balance/1 fields whose difference this is; `available` is never below 0.
    """

    id: str
    fuse: Vector
    other_load: Vector
    meter: MeterState

    @property
    def available(self) -> Vector:
        """Ampere per line for managed chargers."""
        return per_line(lambda fuse, other: max(0.0, fuse - other), self.fuse, self.other_load)


def per_line(function: Callable[..., float], *vectors: Vector) -> Vector:
    """The function applied to the vectors line by line."""
    first, second, third = (function(*values) for values in zip(*vectors, strict=True))
    return (first, second, third)


def on_lines(current: float, lines: Iterable[str]) -> Vector:
    """The current on the given lines, 0 A on the others."""
    first, second, third = (current if line in lines else 0.0 for line in LINES)
    return (first, second, third)


def other_load_of(reading: Vector, managed_draw: Vector, *, is_whole_ampere: bool = False) -> Vector:
    """What flows through a meter besides managed chargers; export counts as 0.

    `managed_draw` is measured draw, never an offer: per line the lowest between 10 s before the reading and now.
    """
    rounded = per_line(math.ceil, reading) if is_whole_ampere and is_finite(reading) else reading
    return per_line(lambda total, draw: max(0.0, total - draw), rounded, managed_draw)


def is_finite(vector: Vector) -> bool:
    """Whether every line has a number."""
    return all(math.isfinite(value) for value in vector)


def meter_state(knowledge: CircuitKnowledge) -> MeterState:
    """A circuit without a meter is never stale; a reading that cannot be is no reading."""
    if not knowledge.is_metered:
        return MeterState.UNMETERED
    load, age_s = knowledge.other_load, knowledge.age_s
    if load is None or age_s is None or age_s > METER_LOST_S or not is_finite(load):
        return MeterState.LOST
    if any(value > ABSURD_FUSES * fuse for value, fuse in zip(load, knowledge.fuse, strict=True) if fuse > 0):
        return MeterState.LOST
    if age_s > max(METER_STALE_S, METER_STALE_PERIODS * knowledge.period_s):
        return MeterState.STALE
    return MeterState.FRESH


def capacities(site: Sequence[CircuitKnowledge], reserved: Mapping[str, Vector]) -> dict[str, CircuitCapacity]:
    """Per circuit what the balancer may count on now.

    `reserved` is per circuit what its managed chargers hold now: the filter over 60 s never asks for less than that,
    and it never lifts a capacity above what the newest reading leaves.
    """
    children: dict[str | None, list[CircuitKnowledge]] = {}
    for knowledge in site:
        children.setdefault(knowledge.parent, []).append(knowledge)
    found: dict[str, CircuitCapacity] = {}
    order = list(children.get(None, []))
    for knowledge in order:
        order.extend(children.get(knowledge.id, []))
    raw: dict[str, Vector] = {}
    for knowledge in reversed(order):
        below = [raw[child.id] for child in children.get(knowledge.id, [])]
        state = meter_state(knowledge)
        raw[knowledge.id] = _flowing(knowledge, state, below)
        found[knowledge.id] = _capacity(knowledge, state, raw[knowledge.id], reserved.get(knowledge.id, NO_CURRENT))
    return found


def _flowing(knowledge: CircuitKnowledge, state: MeterState, below: Sequence[Vector]) -> Vector:
    """The other load to count with: measured, the worst of 15 min, what the safe current leaves room for, or assumed."""
    load = knowledge.other_load
    if state is MeterState.UNMETERED:
        return per_line(lambda *parts: sum(max(0.0, part) for part in parts), knowledge.assumed_other_load, *below)
    if state is MeterState.LOST or load is None:
        return per_line(lambda fuse, safe: max(0.0, fuse - safe), knowledge.fuse, knowledge.safe_current)
    if state is MeterState.STALE and knowledge.highest_15_min is not None:
        return per_line(lambda newest, highest: max(0.0, newest, highest), load, knowledge.highest_15_min)
    return per_line(lambda newest: max(0.0, newest), load)


def _capacity(knowledge: CircuitKnowledge, state: MeterState, raw: Vector, reserved: Vector) -> CircuitCapacity:
    if state is MeterState.LOST:
        safe = per_line(min, knowledge.safe_current, knowledge.fuse)
        return CircuitCapacity(knowledge.id, safe, NO_CURRENT, state)
    if state is not MeterState.FRESH or knowledge.highest_60_s is None:
        return CircuitCapacity(knowledge.id, knowledge.fuse, raw, state)

    def filtered(fuse: float, newest: float, highest: float, held: float) -> float:
        return fuse - min(fuse - newest, max(fuse - highest, held))

    other = per_line(filtered, knowledge.fuse, raw, knowledge.highest_60_s, reserved)
    return CircuitCapacity(knowledge.id, knowledge.fuse, other, state)


@dataclass(frozen=True, slots=True)
class SchedulePeriod:
    """From `start_s` after the profile takes effect until the next period, this current."""

    start_s: float
    current: float


Schedule = tuple[SchedulePeriod, ...]


def offer_schedule(offer: float, fallback: float) -> Schedule:
    """The watchdog that every offer carries: the offer, from D min(offer, fallback), from 2D the fallback."""
    return (
        SchedulePeriod(0.0, offer),
        SchedulePeriod(OFFER_HOLDS_S, min(offer, fallback)),
        SchedulePeriod(OFFER_ENDS_S, fallback),
    )


def default_schedule(fallback: float) -> Schedule:
    """The relative TxDefaultProfile: nothing until every lost offer has run out, then the fallback."""
    return (SchedulePeriod(0.0, 0.0), SchedulePeriod(OFFER_ENDS_S, fallback))


def current_at(schedule: Schedule, age_s: float) -> float:
    """What the schedule allows so long after it took effect; a schedule that starts later counts from its start."""
    allowed = schedule[0].current
    for period in schedule:
        if period.start_s <= age_s:
            allowed = period.current
    return allowed


def must_renew(sent_age_s: float) -> bool:
    """Whether an offer has to be sent again, so that two renewals may be lost before it falls."""
    return sent_age_s >= OFFER_RENEWAL_S


@dataclass(frozen=True, slots=True)
class Offer:
    """A current on a set of grid lines; 0 A has no lines."""

    current: float
    lines: Lines

    @property
    def vector(self) -> Vector:
        """Ampere per line."""
        return on_lines(self.current, self.lines)


NO_OFFER = Offer(0.0, ())


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one charger may draw: `current` on `lines` as one load, and `extra` per line of unknown angle.

    In an IT vector sum only the first part is a phasor; plain sums take `vector`.
    """

    current: float
    lines: Lines
    extra: Vector = NO_CURRENT

    @property
    def vector(self) -> Vector:
        """Ampere per line, added plainly."""
        return per_line(lambda load, more: load + more, on_lines(self.current, self.lines), self.extra)


def reservation(
    confirmed: Offer | None,
    unconfirmed: Iterable[Offer],
    measured: Vector | None,
    *,
    max_current: float,
    wiring: Lines,
) -> Reservation:
    """Per line the largest of the last confirmed offer, every unconfirmed target and the measured draw.

    `confirmed` None: what the charger holds is not known, so it may draw its maximum on all wired lines.
    """
    drawn = measured if measured is not None and is_finite(measured) else NO_CURRENT
    pending = list(unconfirmed)
    known = confirmed if confirmed is not None else Offer(max_current, in_grid_order(wiring))
    offers = [offer for offer in (known, *pending) if offer.current > 0]
    if confirmed is not None and len({offer.lines for offer in offers}) == 1:
        current, lines = max(offer.current for offer in offers), offers[0].lines
        booked = on_lines(current, lines)
        return Reservation(current, lines, per_line(lambda draw, held: max(0.0, draw - held), drawn, booked))
    return Reservation(0.0, (), per_line(max, drawn, *(offer.vector for offer in offers), NO_CURRENT))


def offline_reservation(
    offers: Iterable[Offer],
    measured: Vector | None,
    *,
    fallback: Fallback | None,
    max_current: float,
    wiring: Lines,
    since_last_sent_s: float,
    keeps_schedule: bool = True,
) -> Reservation:
    """What a charger that does not answer may draw, on all wired lines.

    Until 2D after the last offer was sent the largest of every offer, confirmed or not, and the fallback; then the
    fallback. Without a known fallback, its maximum. `keeps_schedule` False: a model that ignores schedules never falls.
    A measured draw above that counts.
    """
    wired = in_grid_order(wiring)
    current = max_current if fallback is None else fallback.current
    if since_last_sent_s < OFFER_ENDS_S or not keeps_schedule:
        current = max([current, *(offer.current for offer in offers)])
    drawn = measured if measured is not None and is_finite(measured) else NO_CURRENT
    return Reservation(0.0, (), per_line(max, drawn, on_lines(current, wired)))


def plan_fallbacks(instance: Instance) -> dict[str, Fallback]:
    """Charger id → the fallback to plan, so that all of them together fit on every line of every circuit.

    `other_load` of the instance's circuits is their `assumed_other_load`. A charger asks for its `fallback`, else its
    minimum, on all wired lines; those that do not fit, last in priority and then by id, get 0 A. A charger that is
    offline holds what it has: it is counted first and keeps its fallback, else its maximum.
    """
    paths = ancestors(instance.circuits)
    left = {
        circuit.id: list(
            per_line(lambda fuse, other: max(0.0, fuse - max(0.0, other)), circuit.fuse, circuit.other_load)
        )
        for circuit in instance.circuits
    }
    planned: dict[str, Fallback] = {}
    for charger in sorted(instance.chargers, key=lambda c: (c.state.is_controllable, -c.priority, c.id)):
        lines = in_grid_order(charger.wiring)
        unset = charger.min_current if charger.state.is_controllable else charger.max_current
        current = charger.fallback.current if charger.fallback is not None else unset
        rows = [(name, line.place) for name in paths[charger.circuit] for line in lines]
        fits = all(left[name][line] + SLACK >= current for name, line in rows)
        if not fits and charger.state.is_controllable:
            current = 0.0
        for name, line in rows:
            left[name][line] -= current
        planned[charger.id] = Fallback(current, lines)
    return planned
