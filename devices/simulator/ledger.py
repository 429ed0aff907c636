"""The truth about a simulated fleet: every Wh, every session, and what was offered on every grid line at every instant."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

MILLI = 1000
LINES = 3


@dataclass(frozen=True, slots=True)
class OfferChange:
    """From `at_s` (monotonic) on, the charger offers this: milliampere by grid line, so that sums are exact.

    `usable` counts the lines that the car at it can load, `wired` all lines at the charger.
    """

    at_s: float
    charger: str
    usable: tuple[int, int, int]
    wired: tuple[int, int, int]


@dataclass(slots=True, kw_only=True)
class SessionRecord:
    """One session as it really was. Registers are the charger's, in whole Wh; `car_wh` is the car's own integration."""

    charger: str
    id_tag: str
    started_at: datetime
    register_start_wh: int
    phases: int
    transaction_id: int | str | None = None
    """A number of the other side's in OCPP 1.6, the charger's own text in 2.0.1."""
    ended_at: datetime | None = None
    register_stop_wh: int | None = None
    car_wh: float = 0.0
    reason: str | None = None
    is_acknowledged: bool = False
    """The final record was answered: from here on the other side has no excuse."""
    readings: set[str] = field(default_factory=set)
    """Times, as the charger writes them, of the readings between start and end that were answered."""

    @property
    def energy_wh(self) -> int:
        """What the meter says; 0 while it goes on."""
        return 0 if self.register_stop_wh is None else self.register_stop_wh - self.register_start_wh

    @property
    def is_ended(self) -> bool:
        """Whether it is over at the charger."""
        return self.register_stop_wh is not None


class Kind(StrEnum):
    """What can happen at a simulated charger."""

    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    REFUSED = "REFUSED"
    BOOTED = "BOOTED"
    PLUGGED = "PLUGGED"
    DENIED = "DENIED"
    STARTED = "STARTED"
    ENDED = "ENDED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    UNPLUGGED = "UNPLUGGED"
    OFFERED = "OFFERED"
    LOST = "LOST"
    """A transaction message was given up after repeated CALLERRORs."""
    MISUNDERSTOOD = "MISUNDERSTOOD"
    """The other side sent what its own standard forbids."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened, for whoever listens."""

    charger: str
    kind: Kind
    at_s: float
    detail: str = ""


Listener = Callable[[Happening], None]


@dataclass(slots=True)
class Ledger:
    """Grows while the fleet runs; read it at any time."""

    sessions: list[SessionRecord] = field(default_factory=list)
    offers: list[OfferChange] = field(default_factory=list)
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    listener: Listener | None = None

    def note(self, happening: Happening) -> None:
        """Counts it and tells the listener."""
        self.counts[happening.kind] += 1
        if self.listener is not None:
            self.listener(happening)

    def offer(self, change: OfferChange) -> None:
        """Keeps a changed offer. Changes come in the order of their time, as one process has one monotonic clock."""
        self.offers.append(change)

    def ended(self, *, acknowledged_only: bool = True) -> list[SessionRecord]:
        """Sessions that are over, and answered for unless told otherwise."""
        return [s for s in self.sessions if s.is_ended and (s.is_acknowledged or not acknowledged_only)]

    def energy_wh(self, *, acknowledged_only: bool = True) -> int:
        """Σ of ended sessions by their meters, in whole Wh: what any honest record must say."""
        return sum(session.energy_wh for session in self.ended(acknowledged_only=acknowledged_only))

    def car_wh(self, *, acknowledged_only: bool = True) -> float:
        """Σ of ended sessions by the cars' own integration; within 1 Wh a session of `energy_wh`."""
        return sum(session.car_wh for session in self.ended(acknowledged_only=acknowledged_only))

    def energy_by(self, key: Callable[[SessionRecord], str], *, acknowledged_only: bool = True) -> dict[str, int]:
        """Σ Wh of ended sessions by charger, id tag or whatever `key` says."""
        totals: dict[str, int] = {}
        for session in self.ended(acknowledged_only=acknowledged_only):
            totals[key(session)] = totals.get(key(session), 0) + session.energy_wh
        return totals

    def line_loads(
        self, chargers: Collection[str] | None = None, *, wired: bool = False
    ) -> Iterator[tuple[float, tuple[float, float, float]]]:
        """Σ of what these chargers (None: all) offered on L1, L2, L3 in A, after every change: (monotonic s, loads)."""
        members = None if chargers is None else frozenset(chargers)
        latest: dict[str, tuple[int, int, int]] = {}
        sums = [0] * LINES
        for change in self.offers:
            if members is not None and change.charger not in members:
                continue
            new = change.wired if wired else change.usable
            old = latest.get(change.charger, (0, 0, 0))
            latest[change.charger] = new
            for line in range(LINES):
                sums[line] += new[line] - old[line]
            yield change.at_s, (sums[0] / MILLI, sums[1] / MILLI, sums[2] / MILLI)

    def peak_line_load(self, chargers: Collection[str] | None = None, *, wired: bool = False) -> float:
        """The most that was ever offered on one line by these chargers together, in A.

        By default only the lines that the cars there can load count (the current that could have flowed); `wired` counts
        every line at the charger whatever car stands there.
        """
        return max((max(loads) for _, loads in self.line_loads(chargers, wired=wired)), default=0.0)
