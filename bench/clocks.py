"""Chargers whose clocks are wrong, each with what its sessions must say about it (domain.md §5), over real sockets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from bench.scripts import BEGIN, PROTOCOLS, Delivery, HandClock, Json, Said, Script, Words, stamp_of
from bench.telling import GOOD, Teller, Told, tell_all
from devices.service import DeviceOptions
from domain import sql
from domain.ports import EventBus
from domain.roles import SessionFlag
from tests.devices.server import a_registered_charger, a_server
from tests.factories import Site

RIGHT: Final = SessionFlag(0)
OFFLINE: Final = SessionFlag.OFFLINE
WRONG: Final = SessionFlag.CLOCK_UNRELIABLE
BOTH: Final = OFFLINE | WRONG
HOUR: Final = timedelta(hours=1)
MINUTES: Final = timedelta(minutes=1)
LENGTH: Final = 30
"""Minutes that a car stays."""
EVERY: Final = 5
NEVER_SET: Final = datetime(1970, 1, 1, tzinfo=UTC)
EXACT: Final = timedelta(seconds=1)
NEAR: Final = timedelta(minutes=6)
"""Dates that had to be derived are not further off, where the charger was heard while it happened."""

Hooks = Mapping[int, Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Visit:
    """When a car really was there, and which flags its session must have of those that concern time."""

    began_at: datetime
    ended_at: datetime
    flags: SessionFlag


@dataclass
class Life:
    """One charger's day. `at` is the true time; what it writes comes from its own clock."""

    protocol: str
    card: str
    marks_offline: bool = True
    queue_first: bool = False
    """What it kept goes out before how it is."""
    at: datetime = BEGIN
    ahead: timedelta = timedelta()
    zone: str = "Z"
    unset_since: datetime | None = None
    is_online: bool = False
    register_wh: int = 1_000
    visits: list[Visit] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    _kept: list[Said] = field(default_factory=list)
    _clocks: list[tuple[datetime, timedelta, datetime | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._words = Words(self.protocol)

    def stamp(self, at: datetime | None = None) -> str:
        """What it writes now, or at that true time."""
        return self._written(at or self.at, self.ahead, self.unset_since)

    def _written(self, at: datetime, ahead: timedelta, unset_since: datetime | None) -> str:
        read = at + ahead if unset_since is None else NEVER_SET + (at - unset_since)
        return stamp_of(read).removesuffix("Z") + self.zone

    def set_clock(self, ahead: timedelta) -> None:
        """From now on its clock is so far ahead."""
        self.ahead, self.unset_since = ahead, None
        self._clocks.append((self.at, ahead, None))

    def lose_clock(self) -> None:
        """It is 1970."""
        self.unset_since = self.at
        self._clocks.append((self.at, timedelta(), self.at))

    def status_at(self, at: datetime) -> Json:
        """How it says that it is there when it is asked then."""
        never: tuple[datetime, timedelta, datetime | None] = (BEGIN, timedelta(), None)
        _, ahead, unset_since = next((one for one in reversed(self._clocks) if one[0] <= at), never)
        words = Words(self.protocol)
        words.status(at, "Preparing", self._written(at, ahead, unset_since))
        return words.made[0].payload

    def boot(self, *, ahead: timedelta | None = None) -> None:
        """It connects and says that it has started; `ahead`: its clock is set by the answer."""
        boot16 = {"chargePointVendor": "Acme", "chargePointModel": "One"}
        boot201 = {"chargingStation": {"vendorName": "Acme", "model": "One"}, "reason": "PowerUp"}
        boot = Said(self.at, "BootNotification", boot16 if self.protocol == "ocpp1.6" else boot201)
        self.deliveries.append(Delivery(self.at, (boot,), returns=True))
        was_ahead = self.ahead > MINUTES
        if ahead is not None:
            self.set_clock(ahead)
        self._arrive(is_asked=self.ahead < -MINUTES or (was_ahead and self.ahead <= MINUTES))

    def come(self) -> None:
        """It connects again."""
        self.deliveries.append(Delivery(self.at, (), returns=True))
        self._arrive(is_asked=True)

    def _arrive(self, *, is_asked: bool) -> None:
        self.is_online = True
        self._words.status(self.at, "Preparing", self.stamp())
        status, self._words.made = self._words.made, []
        kept, self._kept = self._kept, []
        said = (*kept, *status) if self.queue_first else (*status, *kept)
        self.deliveries.append(Delivery(self.at, said, is_asked=is_asked))

    def lose(self) -> None:
        """The connection is lost."""
        self.is_online = False
        self.deliveries.append(Delivery(self.at, leaves=True))

    def until(self, minute: int) -> None:
        """It is so many minutes after the beginning."""
        self.at = BEGIN + minute * MINUTES

    def visit(self, flags: SessionFlag, hooks: Hooks | None = None) -> None:
        """A car comes, charges for half an hour and leaves; at some of its minutes something happens first."""
        began_at, number = self.at, len(self.visits)
        own_id = f"{id(self)}-{number}"
        for minute in range(LENGTH + 1):
            self.at = began_at + minute * MINUTES
            if hooks and minute in hooks:
                hooks[minute]()
            if minute == 0:
                self._words.start(self.at, number, self.stamp(), self.register_wh, self.card, own_id)
            elif minute == LENGTH:
                self._words.stop(self.at, number, self.stamp(), self.register_wh, None, own_id)
            elif minute % EVERY == 0:
                self.register_wh += 900
                self._words.meter(self.at, number, self.stamp(), self.register_wh, 16.0, own_id)
            self._tell()
        self.visits.append(Visit(began_at, self.at, flags))

    def _tell(self) -> None:
        made, self._words.made = self._words.made, []
        if not made:
            return
        if self.is_online:
            self.deliveries.append(Delivery(self.at, tuple(made)))
        else:
            self._kept += [self._marked(one) for one in made]

    def _marked(self, said: Said) -> Said:
        if self.marks_offline and said.action == "TransactionEvent":
            return Said(said.at, said.action, {**said.payload, "offline": True}, said.visit, said.is_start)
        return said


def _right(life: Life) -> None:
    """A clock that is right: what happened off the net says so, a gap in which nothing happened does not."""
    life.boot()
    life.until(10)
    life.visit(RIGHT)
    life.until(50)
    life.visit(OFFLINE, {10: life.lose, 20: life.come})
    life.until(90)
    life.visit(RIGHT, {11: life.lose, 13: life.come})
    _away(life, 130, OFFLINE)
    life.until(200)
    life.visit(OFFLINE, {26: life.lose})
    life.until(240)
    life.come()


def _away(life: Life, minute: int, flags: SessionFlag, hooks: Hooks | None = None) -> None:
    """A visit in an outage of an hour."""
    life.until(minute)
    life.lose()
    life.until(minute + 10)
    life.visit(flags, hooks)
    life.until(minute + 60)
    life.come()


def _wrong_by(ahead: timedelta) -> Callable[[Life], None]:
    def lived(life: Life) -> None:
        life.set_clock(ahead)
        life.boot()
        life.until(10)
        life.visit(WRONG)
        life.until(90)
        life.visit(WRONG, {11: life.lose, 13: life.come})
        _away(life, 130, BOTH)
        life.until(200)
        life.visit(WRONG)

    return lived


def _no_zone(life: Life) -> None:
    """Times without a zone that are UTC."""
    life.zone = ""
    _right(life)


def _no_zone_by(ahead: timedelta) -> Callable[[Life], None]:
    def lived(life: Life) -> None:
        life.zone = ""
        _wrong_by(ahead)(life)

    return lived


def _unset_until_boot(life: Life) -> None:
    """1970 until the first boot, with a car there before anybody listened; and again after a loss of power in an outage."""
    life.lose_clock()
    life.until(10)
    life.visit(BOTH)
    life.until(60)
    life.boot(ahead=timedelta())
    life.until(90)
    life.visit(RIGHT)
    life.until(130)
    life.lose()
    life.lose_clock()
    life.until(140)
    life.visit(BOTH)
    life.until(190)
    life.boot(ahead=timedelta())
    life.until(200)
    life.visit(RIGHT)


def _never_set(life: Life) -> None:
    """1970 for ever, whatever the answer to its boot says."""
    life.lose_clock()
    life.boot()
    life.until(10)
    life.visit(WRONG)
    life.until(50)
    life.visit(WRONG, {11: life.lose, 13: life.come})


def _put(ahead: timedelta, then: timedelta) -> Callable[[Life], None]:
    """A clock that is set in the middle of a charge, first in one that is listened to, then (back again) in one that is not."""

    def lived(life: Life) -> None:
        def put(to: timedelta) -> Callable[[], None]:
            return lambda: life.set_clock(to)

        def flags(to: timedelta, *, offline: bool = False) -> SessionFlag:
            return (RIGHT if abs(to) <= MINUTES else WRONG) | (OFFLINE if offline else RIGHT)

        life.set_clock(ahead)
        life.boot()
        life.until(10)
        life.visit(flags(ahead))
        life.until(50)
        life.visit(WRONG, {12: put(then)})
        life.until(90)
        life.visit(flags(then))

    return lived


def _put_in_an_outage(back: timedelta) -> Callable[[Life], None]:
    def lived(life: Life) -> None:
        life.boot()
        life.until(10)
        life.visit(RIGHT)
        _away(life, 130, BOTH, {12: lambda: life.set_clock(-back)})
        life.until(200)
        life.visit(WRONG)

    return lived


def _set_by_a_boot(ahead: timedelta) -> Callable[[Life], None]:
    """A wrong clock, an outage with a charge, and then a boot that sets it."""

    def lived(life: Life) -> None:
        life.set_clock(ahead)
        life.boot()
        life.until(10)
        life.visit(WRONG)
        life.until(130)
        life.lose()
        life.until(140)
        life.visit(BOTH)
        life.until(190)
        life.boot(ahead=timedelta())
        life.until(200)
        life.visit(RIGHT)

    return lived


def _without_boot(life: Life) -> None:
    """Behind, and never heard before: it is asked after it came."""
    life.set_clock(-HOUR)
    life.come()
    life.until(10)
    life.visit(WRONG)
    _away(life, 130, BOTH)


LIVES: Final[Mapping[str, Callable[[Life], None]]] = {
    "right": _right,
    "an hour ahead": _wrong_by(HOUR),
    "an hour behind": _wrong_by(-HOUR),
    "local time of UTC+2 marked Z": _wrong_by(2 * HOUR),
    "local time of UTC-5 marked Z": _wrong_by(-5 * HOUR),
    "no zone, UTC": _no_zone,
    "no zone, UTC+2": _no_zone_by(2 * HOUR),
    "no zone, UTC-5": _no_zone_by(-5 * HOUR),
    "1970 until the boot": _unset_until_boot,
    "1970 for ever": _never_set,
    "put back an hour": _put(timedelta(), -HOUR),
    "put back ten minutes": _put(timedelta(), -10 * MINUTES),
    "put forward an hour": _put(timedelta(), HOUR),
    "an hour ahead, put right": _put(HOUR, timedelta()),
    "an hour behind, put right": _put(-HOUR, timedelta()),
    "put back an hour in an outage": _put_in_an_outage(HOUR),
    "an hour ahead, set by a boot": _set_by_a_boot(HOUR),
    "an hour behind, set by a boot": _set_by_a_boot(-HOUR),
    "behind, without a boot": _without_boot,
}
CANNOT_BE_ASKED: Final = frozenset({"right", "an hour behind", "an hour ahead"})
"""Told once more by chargers that take no TriggerMessage."""


@dataclass(frozen=True, slots=True)
class Chaos:
    """A charger of the bench: what it is called, its script and its truth."""

    name: str
    script: Script
    visits: Sequence[Visit]


def some_chaos(card: str) -> list[Chaos]:
    """Every life once, in the versions of OCPP by turns."""
    by_life = {name: [one for one in chaos(card) if one.name.partition(", ocpp")[0] == name] for name in LIVES}
    return [found[number * 3 % len(found)] for number, found in enumerate(by_life.values())]


def chaos(card: str) -> list[Chaos]:
    """Every life in both versions of OCPP, with and without the mark of what was made offline, in both orders after an outage."""
    return [
        _chaos(number, name, protocol, card, variant) for number, (name, protocol, variant) in enumerate(_variants())
    ]


def _variants() -> Iterator[tuple[str, str, tuple[bool, bool, bool]]]:
    for name in LIVES:
        for protocol in PROTOCOLS:
            for queue_first in (False, True):
                for marks in (True, False) if protocol != "ocpp1.6" else (False,):
                    yield name, protocol, (queue_first, marks, True)
            if name in CANNOT_BE_ASKED:
                yield name, protocol, (False, False, False)


def _chaos(number: int, name: str, protocol: str, card: str, variant: tuple[bool, bool, bool]) -> Chaos:
    queue_first, marks, can_be_asked = variant
    life = Life(protocol, card, marks_offline=marks, queue_first=queue_first)
    LIVES[name](life)
    words = [name, protocol]
    words += ["queue first"] * queue_first + ["marked"] * marks + ["cannot be asked"] * (not can_be_asked)
    script = Script(
        number, protocol, tuple(life.deliveries), len(life.visits), status_at=life.status_at if can_be_asked else None
    )
    return Chaos(", ".join(words), script, life.visits)


@dataclass(slots=True)
class Judged:
    """How many sessions there were, and what is wrong with them."""

    sessions: int = 0
    flags: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def judged(bus: EventBus, site: Site, lives: Sequence[Chaos]) -> Judged:
    """These lives were lived, and their sessions compared with the truth."""
    chargers = [
        await a_registered_charger(site, f"Clock {one.script.number}", identity=f"clock-{one.script.number:03d}")
        for one in lives
    ]
    heard, clock = Told(), HandClock()
    async with a_server(bus, clock=clock, options=DeviceOptions(check_every_s=3600)) as server:
        tellers = [
            Teller(one.script, server, charger, GOOD, heard, Random(one.script.number), clock)
            for one, charger in zip(lives, chargers, strict=True)
        ]
        await tell_all(tellers, clock)
    found = Judged(errors=heard.errors)
    for one, charger in zip(lives, chargers, strict=True):
        rows = await sql.rows(
            "SELECT flags, started_at, ended_at FROM charge_sessions WHERE charger_id = $1 AND replaced_by_id IS NULL"
            " ORDER BY created_at, id",
            charger.charger_id,
        )
        _judge(found, one, rows)
    return found


def _judge(found: Judged, life: Chaos, rows: Sequence[sql.Row]) -> None:
    found.sessions += len(life.visits)
    if len(rows) != len(life.visits):
        found.flags.append(f"{life.name}: {len(rows)} sessions, not {len(life.visits)}")
        return
    for number, (row, visit) in enumerate(zip(rows, life.visits, strict=True), start=1):
        flags = SessionFlag(row["flags"])
        if flags & BOTH != visit.flags:
            found.flags.append(f"{life.name}, charge {number}: {flags!r}, not {visit.flags!r}")
        off = max(
            abs(sql.instant_of(row["started_at"]) - visit.began_at),
            abs(sql.instant_of(row["ended_at"]) - visit.ended_at),
        )
        if visit.flags != BOTH and off > (NEAR if visit.flags & WRONG else EXACT):
            found.dates.append(f"{life.name}, charge {number}: off by {off}")
