"""Every kind of alert, raised by what a simulated charger, a meter, the balancer or an external system does, and resolved by its end."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from app.database import Database
from app.redis_bus import RedisBus
from devices.simulator.plan import Quirks
from devices.simulator.troubles import TROUBLES
from domain.alerting.alert_texts import severity_of
from domain.models import AuthorizationAttempt
from domain.roles import AlertKind, AlertState
from tests.devices.alert_house import House, a_car, a_house
from tests.devices.simulated import PROTOCOLS

Step = Callable[[House], Awaitable[None]]

MINUTE_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0


def breaks(what: str) -> tuple[Step, Step]:
    """The first charger finds that wrong with itself, and is mended."""

    async def begin(house: House) -> None:
        house.chargers[0].break_down(TROUBLES[what])

    async def end(house: House) -> None:
        house.chargers[0].mend()

    return begin, end


async def security(house: House) -> None:
    """Somebody opens the first charger."""
    house.chargers[0].worry("TamperDetectionActivated")


async def a_day(house: House) -> None:
    """What nobody says to be over shows for a day."""
    house.leap(DAY_S)


async def off(house: House) -> None:
    """One charger is gone for sixteen minutes."""
    house.chargers[1].drop_connection(for_s=2 * HOUR_S)
    await house.until_gone(house.chargers[1])
    await house.later(16 * MINUTE_S)


async def all_off(house: House) -> None:
    """Every charger of the place is gone for sixteen minutes."""
    for one in house.chargers:
        one.drop_connection(for_s=2 * HOUR_S)
    await house.until_gone(*house.chargers)
    await house.later(16 * MINUTE_S)


async def back(house: House) -> None:
    """They are here again."""
    house.leap(2 * HOUR_S)
    await house.until_here(*house.chargers)


async def no_current(house: House) -> None:
    """A car charges by the charger's word, and nothing flows for ten minutes."""
    charger = house.chargers[1]
    charger.behave(Quirks(lets_no_current=True))
    charger.plug_in(a_car())
    while charger.station.status != "Charging":
        await house.balanced(5.0)
    await house.later(12 * MINUTE_S)


async def current(house: House) -> None:
    """The contactor closes."""
    house.chargers[1].behave(Quirks())
    await house.later(MINUTE_S)


async def overload(house: House) -> None:
    """More than the fuse's 40 A flow, though no charger is offered anything."""
    for _ in range(6):
        await house.flows(60.0)
        await house.balanced(5.0)


async def normal(house: House) -> None:
    """Little flows, for longer than a minute."""
    for _ in range(14):
        await house.flows(5.0)
        await house.balanced(5.0)


async def unread(house: House) -> None:
    """A meter that was read is not for a minute."""
    await house.flows(5.0)
    await house.balanced(65.0)


async def read(house: House) -> None:
    """It is read again."""
    for _ in range(4):
        await house.flows(5.0)
        await house.balanced(5.0)


async def no_balancer(house: House) -> None:
    """Nobody has balanced for a minute."""
    await house.end_balancer()
    await house.later(90.0)


async def a_balancer(house: House) -> None:
    """Somebody does again."""
    house.balance()


async def unanswered(house: House) -> None:
    """Three cards are asked about, and nobody answers."""
    house.system.is_away = True
    await ask(house, "AA01", "AA02", "AA03")


async def answered(house: House) -> None:
    """The next is answered."""
    house.system.is_away = False
    await ask(house, "AA04")


async def ask(house: House, *cards: str) -> None:
    """These cards are held to the charger that asks an external system, and decided about."""
    for card in cards:
        house.other.present(card)
        await house.until(AuthorizationAttempt.filter(token=card).exists)


async def unknown_card(house: House) -> None:
    """A card of nobody is held to the reader three times, a minute apart."""
    for _ in range(3):
        since = house.clock.now()
        house.chargers[2].present("FFFF0001")
        await house.until(AuthorizationAttempt.filter(token="FFFF0001", at__gt=since).exists)
        await house.later(MINUTE_S)


async def given_up(house: House) -> None:
    """Not for an hour."""
    house.leap(HOUR_S + MINUTE_S)


async def wrong_clock(house: House) -> None:
    """The charger's clock is an hour ahead."""
    house.chargers[3].behave(Quirks(clock_offset_s=HOUR_S))
    house.chargers[3].station.say_status()
    await house.later(2 * MINUTE_S)


async def right_clock(house: House) -> None:
    """It is set."""
    house.chargers[3].behave(Quirks())
    for _ in range(5):
        house.chargers[3].station.say_status()
        await house.later(MINUTE_S)


async def off_the_net(house: House) -> None:
    """A car has come and gone without a connection."""
    charger = house.chargers[2]
    charger.drop_connection(for_s=10 * MINUTE_S)
    await house.until_gone(charger)
    charger.plug_in(a_car())
    await house.later(5 * MINUTE_S)
    charger.unplug()
    await house.later(6 * MINUTE_S)
    await house.until_here(charger)


ROWS: Mapping[AlertKind, tuple[Step, Step]] = {
    AlertKind.CABLE_FAULT: breaks("cable"),
    AlertKind.CONNECTOR_LOCK: breaks("lock"),
    AlertKind.GROUND_FAULT: breaks("residual current"),
    AlertKind.CONTACTOR_WELDED: breaks("contactor"),
    AlertKind.OVER_TEMPERATURE: breaks("heat"),
    AlertKind.OVERCURRENT: breaks("current"),
    AlertKind.VOLTAGE: breaks("voltage"),
    AlertKind.METER_FAULT: breaks("meter"),
    AlertKind.READER_FAULT: breaks("reader"),
    AlertKind.VEHICLE_COMMUNICATION: breaks("car"),
    AlertKind.INTERNAL: breaks("inside"),
    AlertKind.NO_CURRENT: (no_current, current),
    AlertKind.CIRCUIT_OVERLOAD: (overload, normal),
    AlertKind.METER_STALE: (unread, read),
    AlertKind.UNKNOWN_CARD_REPEATED: (unknown_card, given_up),
    AlertKind.EXTERNAL_AUTHENTICATION_DOWN: (unanswered, answered),
    AlertKind.CLOCK_UNRELIABLE: (wrong_clock, right_clock),
    AlertKind.BALANCER_DEGRADED: (no_balancer, a_balancer),
    AlertKind.OFFLINE_SESSIONS_RECEIVED: (off_the_net, a_day),
    AlertKind.CHARGER_OFFLINE: (off, back),
    AlertKind.INSTALLATION_OFFLINE: (all_off, back),
    AlertKind.SECURITY: (security, a_day),
}
"""What begins it, and what ends it. A meter that was read once is missed from then on, so cars come before that."""


def test_every_kind_has_its_row() -> None:
    """UNKNOWN stands for what a newer portal has stored: nothing raises it."""
    assert set(ROWS) == set(AlertKind) - {AlertKind.UNKNOWN}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_kind_is_raised_and_resolved(database: Database, bus: RedisBus, protocol: str) -> None:
    """One alert of that kind is open after what begins it, and none after what ends it."""
    async with a_house(bus, protocol) as house:
        for kind, (begin, end) in ROWS.items():
            await house.until_over(kind)
            await begin(house)
            alert = await house.until_open(kind)
            assert (alert.state, alert.severity) == (AlertState.OPEN, severity_of(kind))
            await end(house)
            await house.until_over(kind)
