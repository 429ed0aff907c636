"""Chargers over real sockets are in service where they are enabled, and out of it where they are not."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from app.redis_bus import RedisBus
from devices import availability as service
from devices.simulator.car import CarSpec
from devices.simulator.plan import Quirks, Visit
from domain.clock import SystemClock
from domain.equipment.chargers import ChargerChanges, update_charger
from domain.events import AvailabilityOutdated
from domain.models import Charger, ChargerStatus, ChargeSession, Installation
from domain.observations import ConnectorStatus
from domain.roles import SessionState
from tests.devices.server import CARD, Registered, Server, a_raw_charger
from tests.devices.simulated import PROTOCOLS, simulated, stored, until
from tests.factories import Site, a_person, access

CAR = CarSpec(phases=3, max_current_a=16.0)
QUIETLY_S = 0.5
BOOT = {"chargePointVendor": "Volt", "chargePointModel": "Home"}

ANSWERS: dict[str, dict[str, Any]] = {"ChangeAvailability": {"status": "Accepted"}, "GetConfiguration": {}}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BOOT_EXPECTED_S", 0.2)
    monkeypatch.setattr(service, "STATUS_EXPECTED_S", 0.2)
    monkeypatch.setattr(service, "GATHER_S", 0.05)


async def set_enabled(charger: Registered, bus: RedisBus, *, is_enabled: bool) -> None:
    """As an administrator sets it."""
    administrator = await a_person("Admin", is_administrator=True)
    viewer = await access(administrator, now=SystemClock().now())
    await update_charger(viewer, charger.charger_id, ChargerChanges(is_enabled=is_enabled), bus=bus)


async def shown(charger: Registered, status: ConnectorStatus) -> None:
    """Returns when the portal knows that status."""
    await stored(ChargerStatus.filter(charger_id=charger.charger_id, connector_status=status))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_charger_follows_whether_it_is_enabled(
    server: Server, charger: Registered, redis_url: str, protocol: str
) -> None:
    """Out of service when it is disabled, in whatever process that is done, and in service again when it is enabled."""
    async with RedisBus(redis_url) as elsewhere, simulated(server, charger, protocol=protocol) as (_, station):
        await shown(charger, ConnectorStatus.AVAILABLE)
        await set_enabled(charger, elsewhere, is_enabled=False)
        await until(lambda: not station.is_operative)
        await shown(charger, ConnectorStatus.UNAVAILABLE)
        await set_enabled(charger, elsewhere, is_enabled=True)
        await until(lambda: station.is_operative)
        await shown(charger, ConnectorStatus.AVAILABLE)


async def test_chargers_of_an_inactive_installation_are_out_of_service(
    server: Server, site: Site, charger: Registered, bus: RedisBus
) -> None:
    """All of them, until it is active again."""
    async with simulated(server, charger) as (_, station):
        await shown(charger, ConnectorStatus.AVAILABLE)
        for is_active in (False, True):
            await Installation.filter(id=site.id).update(is_active=is_active)
            await bus.publish(AvailabilityOutdated(installation_id=site.id))
            await until(lambda expected=is_active: station.is_operative is expected)  # type: ignore[misc]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_charge_that_goes_on_is_not_cut(
    server: Server, charger: Registered, bus: RedisBus, protocol: str
) -> None:
    """The charger says that it will; when the charge has ended it is out of service."""
    async with simulated(server, charger, protocol=protocol) as (fleet, station):
        await shown(charger, ConnectorStatus.AVAILABLE)
        fleet.chargers[charger.identity].plug_in(Visit(after_s=0.0, stay_s=600.0, car=CAR, id_tag=CARD))
        await stored(ChargeSession.filter(state=SessionState.ACTIVE))
        await set_enabled(charger, bus, is_enabled=False)
        await until(lambda: not station.is_operative)
        assert station.transaction is not None
        fleet.chargers[charger.identity].unplug()
        await shown(charger, ConnectorStatus.UNAVAILABLE)
        assert station.status == "Unavailable"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_one_that_forgets_it_with_a_restart_is_told_again(
    server: Server, charger: Registered, protocol: str
) -> None:
    """As soon as it says that it is in service."""
    await Charger.filter(id=charger.charger_id).update(is_enabled=False)
    quirks = Quirks(forgets_availability=True)
    async with simulated(server, charger, protocol=protocol, quirks=quirks) as (fleet, station):
        await until(lambda: not station.is_operative)
        station.is_restarting = True
        fleet.chargers[charger.identity].wake()
        await until(lambda: station.is_operative)
        await until(lambda: not station.is_operative)


async def test_one_that_was_taken_out_of_service_elsewhere_is_in_service_again(
    server: Server, charger: Registered
) -> None:
    """With its whole station, of which its connector is a part."""
    async with a_raw_charger(server, charger) as raw:
        raw.answers |= ANSWERS
        await raw.call("BootNotification", BOOT)
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Unavailable"}
        await raw.call("StatusNotification", status)
        assert await raw.next_call("ChangeAvailability") == {"connectorId": 0, "type": "Operative"}
        assert await raw.next_call("ChangeAvailability") == {"connectorId": 1, "type": "Operative"}


async def test_one_that_is_as_it_should_be_is_told_nothing(server: Server, charger: Registered) -> None:
    """Neither in service nor out of it."""
    for is_enabled, status in ((True, "Available"), (False, "Unavailable")):
        await Charger.filter(id=charger.charger_id).update(is_enabled=is_enabled)
        async with a_raw_charger(server, charger) as raw:
            raw.answers |= ANSWERS
            await raw.call("BootNotification", BOOT)
            await raw.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": status})
            await asyncio.sleep(2 * QUIETLY_S)
            assert not any(action == "ChangeAvailability" for _, action, _ in list(raw.calls._queue))  # type: ignore[attr-defined]


async def test_a_refusal_is_counted_and_stands_until_the_next_connection(
    server: Server, charger: Registered, bus: RedisBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not repeated meanwhile, whatever happens; the next connection is a new chance."""
    monkeypatch.setattr(service, "TELL_AGAIN_S", 0.0)
    await Charger.filter(id=charger.charger_id).update(is_enabled=False)
    async with simulated(server, charger, quirks=Quirks(refuses_availability=True)) as (fleet, station):
        counts = server.service.counts
        await until(lambda: counts["availability refused"] == 1)
        await bus.publish(AvailabilityOutdated(await site_of(charger), charger.station_id))
        await asyncio.sleep(QUIETLY_S)
        assert counts["availability refused"] == 1
        fleet.chargers[charger.identity].drop_connection(for_s=0.05)
        await until(lambda: counts["availability refused"] == 2)
        assert station.is_operative


async def test_one_that_agrees_and_says_otherwise_is_told_again_after_a_while(
    server: Server, charger: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with every word of it."""
    monkeypatch.setattr(service, "TELL_AGAIN_S", 1.5)
    await Charger.filter(id=charger.charger_id).update(is_enabled=False)
    async with a_raw_charger(server, charger) as raw:
        raw.answers |= ANSWERS
        await raw.call("BootNotification", BOOT)
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        clock = SystemClock()
        await raw.next_call("ChangeAvailability")
        began_s = clock.monotonic()
        for _ in range(3):
            await raw.call("StatusNotification", status)
        assert await raw.next_call("ChangeAvailability") == {"connectorId": 1, "type": "Inoperative"}
        assert clock.monotonic() - began_s >= 1.4


async def site_of(charger: Registered) -> UUID:
    """Where it is."""
    return (await Charger.get(id=charger.charger_id)).installation_id
