"""What chargers say, written out before anything is said: visits of cars by seed, in both versions of OCPP, with instants of a clock
that is moved by hand. The same script can be told well and badly.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

BEGIN: Final = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
TOLD_AFTER: Final = timedelta(seconds=30)
"""What is made within a minute is told half a minute into it at the earliest."""
MOST_TOGETHER: Final = 5
PROTOCOLS: Final = ("ocpp1.6", "ocpp2.0.1")
VOLTS: Final = 230.0

Json = dict[str, Any]


class HandClock:
    """Time stands still until it is moved; who sleeps, sleeps by the machine's clock."""

    def __init__(self, at: datetime = BEGIN) -> None:
        self.at = at

    def now(self) -> datetime:
        """Where it was moved to."""
        return self.at

    def monotonic(self) -> float:
        """The machine's seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """That many of the machine's seconds have passed."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Said:
    """One message. `visit` numbers the transaction that it belongs to, None for others; `is_start`: its answer has the id (1.6)."""

    at: datetime
    action: str
    payload: Json
    visit: int | None = None
    is_start: bool = False

    @property
    def takes_id(self) -> bool:
        """Whether the other side's transaction id goes into it (1.6)."""
        return self.visit is not None and not self.is_start and self.action != "TransactionEvent"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Messages that are told one after the other at that instant."""

    at: datetime
    said: tuple[Said, ...] = ()
    leaves: bool = False
    """The connection is lost."""
    returns: bool = False
    """A new connection is made first."""
    is_asked: bool = False
    """Afterwards it will be asked for its status."""


@dataclass(frozen=True, slots=True)
class Script:
    """All that one charger says. `guess`: the transaction id that it writes while it was not told one; None: it waits (1.6)."""

    number: int
    protocol: str
    deliveries: tuple[Delivery, ...]
    visits: int
    guess: int | None = None
    status_at: Callable[[datetime], Json] | None = None
    """The status that it sends when it is asked for one; None: it cannot be asked."""


@dataclass(slots=True)
class Words:
    """How a version of OCPP says it."""

    protocol: str
    made: list[Said] = field(default_factory=list)
    sequence: int = 0

    @property
    def is_201(self) -> bool:
        """Whether it is OCPP 2.0.1."""
        return self.protocol != "ocpp1.6"

    def status(self, at: datetime, status: str, stamp: str) -> None:
        """How the connector is."""
        if not self.is_201:
            payload: Json = {"connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": stamp}
        else:
            simple = status if status in ("Available", "Faulted", "Unavailable", "Reserved") else "Occupied"
            payload = {"evseId": 1, "connectorId": 1, "connectorStatus": simple, "timestamp": stamp}
        self.made.append(Said(at, "StatusNotification", payload))

    def start(self, at: datetime, visit: int, stamp: str, register_wh: int, card: str | None, own_id: str) -> None:
        """A transaction begins; in 2.0.1 perhaps without a card."""
        if self.is_201:
            self.sequence = 0
            trigger = "CablePluggedIn" if card is None else "Authorized"
            values = [_meter201(stamp, register_wh, 0.0, "Transaction.Begin")]
            self._event(at, visit, "Started", trigger, stamp, own_id, card=card, values=values)
        else:
            payload = {"connectorId": 1, "idTag": card, "meterStart": register_wh, "timestamp": stamp}
            self.made.append(Said(at, "StartTransaction", payload, visit, is_start=True))

    def card(self, at: datetime, visit: int, stamp: str, card: str, own_id: str) -> None:
        """The card comes after the cable (2.0.1)."""
        self._event(at, visit, "Updated", "Authorized", stamp, own_id, card=card)

    def meter(
        self, at: datetime, visit: int, stamp: str, register_wh: int, amps: float, own_id: str, *, offline: bool = False
    ) -> None:
        """A reading."""
        if self.is_201:
            values = [_meter201(stamp, register_wh, amps, "Sample.Periodic")]
            self._event(at, visit, "Updated", "MeterValuePeriodic", stamp, own_id, values=values, offline=offline)
        else:
            payload = {"connectorId": 1, "meterValue": [_meter16(stamp, register_wh, amps)]}
            self.made.append(Said(at, "MeterValues", payload, visit))

    def stop(self, at: datetime, visit: int, stamp: str, register_wh: int, card: str | None, own_id: str) -> None:
        """The final record; `card` where it ended the charge."""
        if self.is_201:
            values = [_meter201(stamp, register_wh, 0.0, "Transaction.End")]
            trigger, reason = ("StopAuthorized", "Local") if card else ("EVCommunicationLost", "EVDisconnected")
            self._event(at, visit, "Ended", trigger, stamp, own_id, card=card, values=values, reason=reason)
        else:
            payload: Json = {
                "meterStop": register_wh, "timestamp": stamp, "reason": "Local" if card else "EVDisconnected"
            }  # fmt: skip
            self.made.append(Said(at, "StopTransaction", payload | ({"idTag": card} if card else {}), visit))

    def _event(
        self,
        at: datetime,
        visit: int,
        kind: str,
        trigger: str,
        stamp: str,
        own_id: str,
        *,
        card: str | None = None,
        values: Sequence[Json] = (),
        reason: str | None = None,
        offline: bool = False,
    ) -> None:
        payload: Json = {
            "eventType": kind, "timestamp": stamp, "triggerReason": trigger, "seqNo": self.sequence,
            "transactionInfo": {"transactionId": own_id} | ({"stoppedReason": reason} if reason else {}),
        }  # fmt: skip
        self.sequence += 1
        payload |= {"evse": {"id": 1, "connectorId": 1}} if kind == "Started" else {}
        payload |= {"idToken": {"idToken": card, "type": "ISO14443"}} if card else {}
        payload |= {"meterValue": list(values)} if values else {}
        payload |= {"offline": True} if offline else {}
        self.made.append(Said(at, "TransactionEvent", payload, visit))


def _meter16(stamp: str, register_wh: int, amps: float) -> Json:
    values: list[Json] = [{"value": str(register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]
    values += [
        {"value": f"{amps:.1f}", "measurand": "Current.Import", "phase": phase, "unit": "A"}
        for phase in ("L1", "L2", "L3")
    ]
    values.append({"value": f"{3 * amps * VOLTS:.0f}", "measurand": "Power.Active.Import", "unit": "W"})
    return {"timestamp": stamp, "sampledValue": values}


def _meter201(stamp: str, register_wh: int, amps: float, context: str) -> Json:
    values: list[Json] = [
        {"value": register_wh, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}
    ]
    values += [
        {"value": amps, "measurand": "Current.Import", "phase": phase, "unitOfMeasure": {"unit": "A"}}
        for phase in ("L1", "L2", "L3")
    ]
    values.append({"value": 3 * amps * VOLTS, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W"}})
    return {"timestamp": stamp, "sampledValue": [one | {"context": context} for one in values]}


def stamp_of(at: datetime) -> str:
    """As a charger writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def scripts(count: int, *, visits: int, cards: Sequence[str], seed: int) -> list[Script]:
    """That many chargers, each with so many visits; half speak OCPP 1.6, and some of those guess ids that they were not told."""
    return [_script(number, visits=visits, cards=cards, seed=seed) for number in range(count)]


def _script(number: int, *, visits: int, cards: Sequence[str], seed: int) -> Script:
    random = Random(f"{seed}:{number}")
    protocol = PROTOCOLS[number % 2]
    words, minute, register = Words(protocol), random.randrange(5), random.randrange(1_000, 90_000_000)
    for visit in range(visits):
        minute, register = _visit(words, visit, minute, register, cards, random)
        minute += random.choice((0, 1, 3, 20))
    guess = random.choice((0, -1)) if number % 6 == 0 else None
    return Script(number, protocol, tuple(_delivered(words.made, random)), visits, guess)


def _visit(
    words: Words, visit: int, minute: int, register: int, cards: Sequence[str], random: Random
) -> tuple[int, int]:
    """The car has been here: (minute after it left, register)."""
    card, own_id = random.choice(cards), f"{random.getrandbits(128):032x}"
    comes_late = words.is_201 and random.random() < 0.4
    second = 1

    def now() -> datetime:
        nonlocal second
        second += 1
        return BEGIN + minute * MINUTE + timedelta(seconds=second)

    def told(status: str) -> None:
        at = now()
        words.status(at, status, stamp_of(at))

    told("Preparing")
    at = now()
    words.start(at, visit, stamp_of(at), register, None if comes_late else card, own_id)
    if comes_late:
        minute, second = minute + random.choice((0, 1, 4)), 10
        at = now()
        words.card(at, visit, stamp_of(at), card, own_id)
    told("Charging")
    every = random.choice((1, 1, 2, 5))
    for _ in range(random.randrange(0, 16)):
        minute, second = minute + every, 1
        amps = 0.0 if random.random() < 0.15 else random.choice((6.0, 10.0, 16.0, 31.5))
        register += round(3 * amps * VOLTS * every / 60)
        at = now()
        words.meter(at, visit, stamp_of(at), register, amps, own_id)
        if amps == 0.0:
            told("SuspendedEV")
    minute, second = minute + 1, 1
    register += random.randrange(0, 300)
    at = now()
    words.stop(at, visit, stamp_of(at), register, card if random.random() < 0.5 else None, own_id)
    told("Finishing")
    told("Available")
    return minute + 1, register


def _delivered(made: Sequence[Said], random: Random) -> Iterable[Delivery]:
    """The messages in bundles of at most five, each told when its last is made; now and then a connection is lost meanwhile."""
    rest = list(made)
    while rest:
        if random.random() < 0.08:
            queued = _up_to(rest, random.randrange(1, 20))
            yield Delivery(queued[0].at, leaves=True)
            back = queued[-1].at + random.choice((1, 40)) * MINUTE
            back = min(back, rest[0].at) if rest else back
            for number in range(0, len(queued), MOST_TOGETHER):
                yield Delivery(
                    max(back, queued[-1].at), tuple(queued[number : number + MOST_TOGETHER]), returns=number == 0
                )
            continue
        some = _up_to(rest, random.randrange(1, MOST_TOGETHER + 1))
        yield Delivery(some[-1].at, tuple(some))


def _up_to(rest: list[Said], most: int) -> list[Said]:
    some = rest[:most]
    del rest[:most]
    return some
