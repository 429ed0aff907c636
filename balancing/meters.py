"""What flows through a site's meters besides its cars: readings, less what chargers measured, and the highest of late.

Pure: facts and the time come in. What a process knows of a meter can be written down for the next one, which then counts on no less
load than this one did. Instants are seconds of one monotonic clock; vectors are (L1, L2, L3) in ampere.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec

from balancing.circuit import LINES, NO_CURRENT, Vector
from balancing.failsafe import CircuitKnowledge, MeterState, Reservation, meter_state, other_load_of, per_line
from balancing.site import NETWORKS
from balancing.staging import MEASUREMENT_COUNTS_S, LineSums
from domain.current.offers import ChargerFacts, CircuitFacts, MeterFacts, SiteFacts
from domain.observations import ConnectorStatus
from domain.roles import OperatingMode

READING_LAGS_S = 10.0
"""A reading may tell of the load so long ago: what a charger has drawn since then may not be in it yet."""

FILTER_S = 60.0
WORST_S = 900.0

UNEXPLAINED_S = 25.0
"""So long may cars take to show in their own measurements what the meter sees already.

10 s between those, 10 s of a reading's lag, and 5 s until the next reading.
"""
MAY_DRAW = frozenset({ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EVSE, ConnectorStatus.SUSPENDED_EV})
"""States of a car that may begin at any moment: the charger tells a moment later that it did (OCPP 1.6 §4.9)."""
UNEXPLAINED_A = 0.5
RISES_AT_ONCE_A = 6.0
"""The least that a car draws when it begins (IEC 61851-1)."""
RISES_A_PER_S = 3.0
"""The fastest that cars were seen to take more of what they are offered."""
OVERSHOOT = 1.02
"""A reading so many times the fuse is an overload; below it is the noise of meters at a fuse that is used to the full."""

AFTER_STALENESS_S = 30.0
"""Nothing is raised for so long after a meter is back: leaving staleness counts as an increase."""

CLOCK_SLACK_S = 5.0
"""A reading from further in the future was stamped before the clock was set back: nobody knows how old it is."""

FIRST_PERIOD_S = 5.0
THINNED_S = 5.0
"""What was seen within so many seconds is written down as one."""
GAPS = 3
"""The shortest of so many gaps between readings is the meter's period: one that was missed does not make it slower."""
WHOLE_CHANGES = 10
"""After so many changes that are all of whole amperes a meter tells no less than one."""


class Highest:
    """The highest value per line in a window of time up to now."""

    __slots__ = ("_lines", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._lines: tuple[deque[tuple[float, float]], ...] = (deque(), deque(), deque())

    def add(self, at_s: float, values: Vector) -> None:
        """These were seen; what is older and lower can never be the highest again."""
        for line, value in zip(self._lines, values, strict=True):
            while line and line[-1][1] <= value:
                line.pop()
            line.append((at_s, value))

    def at(self, now_s: float) -> Vector | None:
        """The highest on each line; None where nothing was seen in that time."""
        for line in self._lines:
            while line and line[0][0] < now_s - self._window_s:
                line.popleft()
        if not all(self._lines):
            return None
        first, second, third = (line[0][1] for line in self._lines)
        return (first, second, third)

    def seen(self, by_s: float) -> "Seen":
        """What counts, with instants that are later by so much; of a few seconds the highest, as if it had been seen at their end."""
        return [_thinned((at_s + by_s, value) for at_s, value in line) for line in self._lines]

    def recall(self, seen: "Seen", by_s: float) -> None:
        """What another process saw, with instants that are earlier by so much."""
        for line, values in zip(self._lines, seen, strict=True):
            line.extend((at_s - by_s, value) for at_s, value in values)


def _thinned(seen: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same in fewer words, never lower: values fall from the first to the last."""
    found: list[tuple[float, float]] = []
    began_s = -math.inf
    for at_s, value in seen:
        if at_s - began_s < THINNED_S:
            found[-1] = (round(at_s, 1), found[-1][1])
        else:
            found.append((round(at_s, 1), value))
            began_s = at_s
    return found


Seen = list[list[tuple[float, float]]]
"""Per line: (instant, value), oldest first."""


class _History(msgspec.Struct, frozen=True):
    """What one circuit's meter was seen to do, as it is stored; instants are seconds since 1970."""

    period_s: float
    whole_changes: int
    raises_from: float
    loads: Seen
    calm: Seen
    worst: Seen


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_History)


@dataclass(frozen=True, slots=True)
class ManagedDraw:
    """What the managed chargers below a circuit drew at least since its reading, and what they may draw beyond that."""

    least: Vector = NO_CURRENT
    possible: Vector = NO_CURRENT


@dataclass(slots=True)
class CircuitMeter:
    """What is remembered of the meter at one circuit."""

    read_at: datetime | None = None
    reading: Vector = NO_CURRENT
    load: Vector | None = None
    """The other load that counts, of the newest reading."""
    gaps: "deque[float]" = field(default_factory=lambda: deque(maxlen=GAPS))
    period_s: float = FIRST_PERIOD_S
    whole_changes: int = 0
    loads: Highest = field(default_factory=lambda: Highest(FILTER_S))
    """Readings less measured draw, and no more: what may be other load."""
    calm: Highest = field(default_factory=lambda: Highest(FILTER_S))
    worst: Highest = field(default_factory=lambda: Highest(WORST_S))
    """Of these two: what counted as other load."""
    unexplained_since_s: float | None = None
    state: MeterState | None = None
    raises_from_s: float = -math.inf

    def look(
        self, circuit: CircuitFacts, meter: MeterFacts, draw: ManagedDraw, *, fuse: Vector, now: datetime, now_s: float
    ) -> CircuitKnowledge:
        """What is known of the circuit now."""
        age_s = (now - meter.measured_at).total_seconds()
        is_news = meter.measured_at != self.read_at
        if is_news:
            self._read(meter)
        dated_s = max(0.0, age_s) if age_s >= -CLOCK_SLACK_S else None
        known = self._knowledge(circuit, fuse, dated_s)
        if is_news or meter_state(known) is MeterState.FRESH:
            # A stale reading is not judged by what is drawn now: cars that were lowered for its sake would look like other load.
            self._weigh(draw, fuse, is_news=is_news, now_s=now_s)
            known = self._knowledge(circuit, fuse, dated_s)
        state = meter_state(known)
        if self.state in (MeterState.STALE, MeterState.LOST) and state is MeterState.FRESH:
            self.raises_from_s = now_s + AFTER_STALENESS_S
        self.state = state
        highest = self.loads.at(now_s)
        if now_s < self.raises_from_s:
            highest = fuse if highest is None else per_line(max, highest, fuse)
        return replace(known, highest_60_s=highest, highest_15_min=self.worst.at(now_s))

    def _read(self, meter: MeterFacts) -> None:
        reading = meter.reading.as_tuple()
        if self.read_at is not None and (gap_s := (meter.measured_at - self.read_at).total_seconds()) > 0:
            self.gaps.append(gap_s)
            self.period_s = min(self.gaps)
        if any(value != int(value) for value in reading):
            self.whole_changes = 0
        elif reading != self.reading:
            self.whole_changes += 1
        self.read_at, self.reading = meter.measured_at, reading

    def _weigh(self, draw: ManagedDraw, fuse: Vector, *, is_news: bool, now_s: float) -> None:
        """The reading without managed draw; only a new reading's is remembered."""
        reading = self.reading
        if self.whole_changes >= WHOLE_CHANGES:
            reading = per_line(lambda value: value + 1.0, reading)
        load = other_load_of(reading, draw.least)
        counted = self._counted(load, reading, draw, fuse, now_s)
        self.load = counted
        if is_news:
            self.loads.add(now_s, load)
            self.calm.add(now_s, counted)
            self.worst.add(now_s, counted)

    def _counted(self, load: Vector, reading: Vector, draw: ManagedDraw, fuse: Vector, now_s: float) -> Vector:
        """The load as it counts: a rise that cars may be, which have not measured it yet, lowers nobody while the fuse carries it.

        Nor is it room for anybody: the filter counts the whole load. It is other load after 25 s, and at once where it is more than cars
        may draw, or the fuse carries more than it should.
        """
        calm = self.calm.at(now_s)
        if calm is None or all(mine <= before + UNEXPLAINED_A for mine, before in zip(load, calm, strict=True)):
            self.unexplained_since_s = None
            return load
        if self.unexplained_since_s is None:
            self.unexplained_since_s = now_s
        is_overload = any(value > OVERSHOOT * most for value, most in zip(reading, fuse, strict=True))
        if is_overload or now_s - self.unexplained_since_s > UNEXPLAINED_S:
            return load
        return per_line(_least_other, load, calm, draw.possible, reading, fuse)

    def _knowledge(self, circuit: CircuitFacts, fuse: Vector, age_s: float | None) -> CircuitKnowledge:
        return CircuitKnowledge(
            id=str(circuit.id),
            parent=None if circuit.parent_id is None else str(circuit.parent_id),
            fuse=fuse,
            is_metered=True,
            other_load=self.load if self.load is not None else self.reading,
            age_s=age_s,
            period_s=self.period_s,
            safe_current=circuit.safe_current.as_tuple(),
            assumed_other_load=circuit.assumed_other_load.as_tuple(),
        )

    def written(self, *, now: datetime, now_s: float) -> str:
        """What the next process needs to know."""
        for highest in (self.loads, self.calm, self.worst):
            highest.at(now_s)
        by_s = now.timestamp() - now_s
        history = _History(
            period_s=self.period_s,
            whole_changes=self.whole_changes,
            raises_from=max(0.0, self.raises_from_s + by_s),
            loads=self.loads.seen(by_s),
            calm=self.calm.seen(by_s),
            worst=self.worst.seen(by_s),
        )
        return _encoder.encode(history).decode()

    @classmethod
    def recalled(cls, text: str | None, *, now: datetime, now_s: float) -> "CircuitMeter":
        """As the process before wrote it down; as of a meter that was never seen where it wrote nothing that can be read."""
        try:
            history = None if text is None else _decoder.decode(text)
        except msgspec.DecodeError:
            history = None
        if history is None:
            return cls()
        by_s = now.timestamp() - now_s
        made = cls(
            period_s=history.period_s, whole_changes=history.whole_changes, raises_from_s=history.raises_from - by_s
        )
        made.loads.recall(history.loads, by_s)
        made.calm.recall(history.calm, by_s)
        made.worst.recall(history.worst, by_s)
        return made


def _least_other(load: float, calm: float, possible: float, reading: float, fuse: float) -> float:
    """The least that flows besides the cars, if they draw as much as they may, and what the fuse carries too much."""
    return min(load, max(min(load, calm), load - possible) + max(0.0, reading - fuse))


class Draws:
    """What one charger measured in the last minute and a half."""

    __slots__ = ("_is_measured", "_seen")

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Vector]] = deque()
        self._is_measured = False
        """Whether the newest was measured, not concluded."""

    def see(self, charger: ChargerFacts, *, now: datetime, now_s: float) -> None:
        """What it measured is remembered. One that is not charging draws nothing that could be relied on."""
        if charger.mode is not OperatingMode.CHARGING or charger.session is None:
            self._add(now_s, NO_CURRENT, is_measured=False)
            return
        age_s = None if charger.measured_at is None else (now - charger.measured_at).total_seconds()
        if age_s is not None and age_s >= -CLOCK_SLACK_S:
            first, second, third = (max(0.0, drawn or 0.0) for drawn in charger.measured)
            self._add(now_s - max(0.0, age_s), (first, second, third), is_measured=True)

    def _add(self, at_s: float, draw: Vector, *, is_measured: bool) -> None:
        if self._seen and at_s <= self._seen[-1][0]:
            return
        self._is_measured = is_measured
        if len(self._seen) > 1 and self._seen[-1][1] == self._seen[-2][1] == draw:
            self._seen.pop()
        self._seen.append((at_s, draw))
        while len(self._seen) > 1 and self._seen[1][0] < at_s - MEASUREMENT_COUNTS_S - READING_LAGS_S:
            self._seen.popleft()

    def lowest(self, since_s: float, now_s: float) -> Vector:
        """The lowest from then on, what was drawn at that instant included.

        Nothing while that is not known, or where nothing was measured of late.
        """
        if self._age_s(now_s) > MEASUREMENT_COUNTS_S or self._seen[0][0] > since_s:
            return NO_CURRENT
        later = [draw for at_s, draw in self._seen if at_s > since_s]
        before = [draw for at_s, draw in self._seen if at_s <= since_s]
        return per_line(min, before[-1], *later) if later else before[-1]

    def possible(self, since_s: float, read_s: float, now_s: float) -> float:
        """What its car may have risen to at `read_s` on any line, as its own measurements lag behind; 0 where none is expected."""
        if self._age_s(now_s) > UNEXPLAINED_S + READING_LAGS_S:
            return 0.0
        if not self._is_measured:
            return math.inf
        newest_s, newest = self._seen[-1]
        risen = max(newest) + RISES_AT_ONCE_A + RISES_A_PER_S * max(0.0, read_s - newest_s)
        return max([risen, *(max(draw) for at_s, draw in self._seen if at_s > since_s)])

    def _age_s(self, now_s: float) -> float:
        return now_s - self._seen[-1][0] if self._seen else math.inf


class SiteMeters:
    """All meters of a site, and what its chargers measured."""

    def __init__(self) -> None:
        self._circuits: dict[UUID, CircuitMeter] = {}
        self._draws: dict[UUID, Draws] = {}
        self._written: dict[UUID, datetime] = {}

    def look(
        self,
        facts: SiteFacts,
        held: Mapping[UUID, Vector],
        fuses: Mapping[UUID, Vector],
        *,
        now: datetime,
        now_s: float,
    ) -> dict[UUID, CircuitKnowledge]:
        """What is known of each circuit with a meter. `held` is what each charger may draw, `fuses` each circuit's limit."""
        if all(circuit.meter is None for circuit in facts.circuits):
            self._draws, self._circuits = {}, {}
            return {}
        present = {charger.id for charger in facts.chargers}
        self._draws = {key: draws for key, draws in self._draws.items() if key in present}
        for charger in facts.chargers:
            self._draws.setdefault(charger.id, Draws()).see(charger, now=now, now_s=now_s)
        before, self._circuits, known = self._circuits, {}, {}
        below = _below(facts)
        for circuit in facts.circuits:
            if circuit.meter is None:
                continue
            meter = before.get(circuit.id) or CircuitMeter.recalled(circuit.meter.history, now=now, now_s=now_s)
            read_s = now_s - (now - circuit.meter.measured_at).total_seconds()
            is_it = NETWORKS[facts.network_type].is_it
            draw = self._draw(below.get(circuit.id, ()), held, is_it=is_it, read_s=read_s, now_s=now_s)
            known[circuit.id] = meter.look(circuit, circuit.meter, draw, fuse=fuses[circuit.id], now=now, now_s=now_s)
            self._circuits[circuit.id] = meter
        return known

    def news(self, *, now: datetime, now_s: float) -> dict[UUID, str]:
        """Circuit → what to write down for the next process, where there was a reading since this was asked."""
        found = {}
        for key, meter in self._circuits.items():
            if meter.read_at is not None and self._written.get(key) != meter.read_at:
                self._written[key] = meter.read_at
                found[key] = meter.written(now=now, now_s=now_s)
        return found

    @property
    def states(self) -> dict[str, MeterState]:
        """Circuit → how far its meter can be trusted."""
        return {str(key): meter.state for key, meter in self._circuits.items() if meter.state is not None}

    def _draw(
        self,
        chargers: Sequence[ChargerFacts],
        held: Mapping[UUID, Vector],
        *,
        is_it: bool,
        read_s: float,
        now_s: float,
    ) -> ManagedDraw:
        since_s = read_s - READING_LAGS_S
        least: list[Vector] = []
        possible = NO_CURRENT
        for charger in chargers:
            draws = self._draws[charger.id]
            drawn = draws.lowest(since_s, now_s)
            least.append(drawn)
            if charger.connector_status in MAY_DRAW:
                most = draws.possible(since_s, read_s, now_s)
                beyond = per_line(partial(_beyond, most), held.get(charger.id, NO_CURRENT), drawn)
                possible = per_line(_sum, possible, beyond)
        return ManagedDraw(together(least, is_it=is_it), possible)


def together(draws: Iterable[Vector], *, is_it: bool) -> Vector:
    """What these draws are to a meter that sees them all, ampere per line.

    Without a neutral they hang between lines, and a line carries less than their plain sum: to subtract that would hide other load.
    """
    if not is_it:
        return per_line(lambda *parts: sum(parts), NO_CURRENT, *draws)
    sums = LineSums(uses_vectors=True)
    for draw in draws:
        lines = tuple(line for line in LINES if draw[line.place] > 0)
        if len(lines) > 1:
            sums.add(Reservation(min(draw[line.place] for line in lines), lines))
    return sums.line_currents()


def reserved_below(facts: SiteFacts, held: Mapping[UUID, Vector]) -> dict[str, Vector]:
    """Circuit → what the chargers on it and below it may draw, added plainly."""
    return {
        str(circuit_id): per_line(lambda *parts: sum(parts), NO_CURRENT, *(held[charger.id] for charger in chargers))
        for circuit_id, chargers in _below(facts).items()
    }


def _sum(one: float, other: float) -> float:
    return one + other


def _beyond(most: float, held: float, drawn: float) -> float:
    return max(0.0, min(held, most) - drawn)


def _below(facts: SiteFacts) -> dict[UUID, list[ChargerFacts]]:
    """Circuit → the chargers on it and below it."""
    parents = {circuit.id: circuit.parent_id for circuit in facts.circuits}
    found: dict[UUID, list[ChargerFacts]] = {}
    for charger in facts.chargers:
        step: UUID | None = charger.circuit_id
        while step is not None:
            found.setdefault(step, []).append(charger)
            step = parents[step]
    return found
