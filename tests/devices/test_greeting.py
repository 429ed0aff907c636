"""What chargers are set to over real sockets: after a boot, where it is not known to be in force, and in place of another portal."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from app.redis_bus import RedisBus
from devices import greeting
from devices.ocpp.v16 import messages
from devices.service import DeviceOptions
from domain.clock import SystemClock
from domain.models import ChargeSession
from domain.models import Station as StationRow
from domain.ports import DeviceVerdict, OfferCurrent, OfferStep
from domain.roles import SessionFlag
from tests.devices.server import LIMIT_S, RawCharger, Registered, Server, a_raw_charger, a_registered_charger, a_server
from tests.devices.simulated import PROTOCOLS, simulated, stored, until
from tests.factories import a_site
from tests.servers import free_port

BOOT = {"chargePointVendor": "Volt", "chargePointModel": "Home", "firmwareVersion": "1.0"}
READINGS = "Energy.Active.Import.Register,Power.Active.Import,Current.Import"
SETTINGS = [
    {"key": "MeterValueSampleInterval", "value": "30"},
    {"key": "MeterValuesSampledData", "value": READINGS},
    {"key": "HeartbeatInterval", "value": "300"},
    {"key": "LocalPreAuthorize", "value": "false"},
]
OFFER = OfferCurrent((OfferStep(0, 10.0),), transaction_id=None)
PURPOSES: tuple[messages.ChargingProfilePurpose, ...] = ("ChargePointMaxProfile", "TxDefaultProfile")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "BOOT_EXPECTED_S", 0.3)


@pytest.fixture
async def charger(server: Server) -> Registered:
    made = await a_registered_charger(await a_site())
    await StationRow.filter(id=made.station_id).update(vendor="Volt", model="Home", firmware_version="1.0")
    return made


async def settings_of(raw: RawCharger) -> list[dict[str, Any]]:
    """What it is set to, up to the question for what it can do."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(LIMIT_S):
        while True:
            _, action, payload = await raw.calls.get()
            if action == "GetConfiguration":
                return found
            if action == "ChangeConfiguration":
                found.append(payload)


async def is_set(charger: Registered) -> None:
    """Returns when it is stored what the charger is set to."""
    await stored(StationRow.filter(id=charger.station_id, configured_as__isnull=False))


async def test_a_charger_that_only_reconnects_is_set_where_that_is_not_known(
    server: Server, charger: Registered
) -> None:
    """Never set by this portal: it is; set already: it is left alone; and after a boot it is set in any case."""
    async with a_raw_charger(server, charger) as raw:
        assert await settings_of(raw) == SETTINGS
        await is_set(charger)
    async with a_raw_charger(server, charger) as raw:
        assert await settings_of(raw) == []
    async with a_raw_charger(server, charger) as raw:
        await raw.call("BootNotification", BOOT)
        assert await settings_of(raw) == SETTINGS


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_other_settings_reach_chargers_that_never_boot(charger: Registered, bus: RedisBus, protocol: str) -> None:
    """The portal is started again with other intervals: the charger that comes back to it has them."""
    port = free_port()
    options = DeviceOptions(check_every_s=3600, meter_interval_s=11, heartbeat_interval_s=77)
    async with AsyncExitStack() as outside, AsyncExitStack() as inside, AsyncExitStack() as first:
        before = await first.enter_async_context(a_server(bus, process="p2", port=port))
        _, station = await inside.enter_async_context(simulated(before, charger, protocol=protocol))
        await is_set(charger)
        await first.aclose()
        await outside.enter_async_context(a_server(bus, process="p3", port=port, options=options))
        values = station.configuration.values
        await until(lambda: (values["MeterValueSampleInterval"], values["HeartbeatInterval"]) == ("11", "77"))


async def test_a_refused_setting_is_not_sent_again_and_an_unanswered_one_is(
    server: Server, charger: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is an answer. After a boot the others follow one without an answer, after a reconnect none does."""
    monkeypatch.setattr(greeting, "ANSWER_TIMEOUT_S", 0.3)
    async with a_raw_charger(server, charger) as raw:
        raw.answers |= {"ChangeConfiguration": {"status": "Rejected"}, "GetConfiguration": {}}
        assert await settings_of(raw) == SETTINGS
        await is_set(charger)
    async with a_raw_charger(server, charger) as raw:
        del raw.answers["ChangeConfiguration"]
        await raw.call("BootNotification", BOOT)
        await stored(StationRow.filter(id=charger.station_id, configured_as=None))
        assert (await raw.next_call("ChangeConfiguration")) == SETTINGS[0]
    async with a_raw_charger(server, charger) as raw:
        raw.answers["GetConfiguration"] = {}
        assert await settings_of(raw) == SETTINGS


async def test_a_queue_that_crosses_the_question_says_nothing_of_the_clock(server: Server, charger: Registered) -> None:
    """A charger whose clock is right delivers what it has kept before it answers: the charge of an hour ago has right dates."""
    now = SystemClock().now()
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
    start = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 0}
    async with a_raw_charger(server, charger) as raw:
        del raw.answers["TriggerMessage"]
        await raw.next_call("TriggerMessage")
        await raw.call("StatusNotification", status | {"timestamp": (now - timedelta(hours=2)).isoformat()})
        await raw.call("StartTransaction", start | {"timestamp": (now - timedelta(hours=1)).isoformat()})
    session = await ChargeSession.get()
    assert (session.flags, session.started_at) == (SessionFlag.OFFLINE, now - timedelta(hours=1))


def foreign(station: Any) -> list[int]:
    """The profiles that it holds of another portal."""
    return [one.charging_profile_id for one in station.profiles.installed.values() if one.charging_profile_id > 70]


def install(station: Any) -> None:
    """Profiles of another portal, of a higher level than ours."""
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 32.0}]}
    for number, purpose in enumerate(PURPOSES, start=71):
        profile = {
            "chargingProfileId": number,
            "stackLevel": 8,
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": "Relative",
            "chargingSchedule": schedule,
        }
        held = msgspec.convert(profile, messages.CsChargingProfiles)
        assert station.profiles.install(held, transaction_id=None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_profiles_of_another_portal_go_with_the_first_offer_and_not_before(
    server: Server, charger: Registered, protocol: str
) -> None:
    """They may be all that limits the charger; ours is there at once, and later ones are nobody's but ours."""
    send = server.service.commands.send
    async with simulated(server, charger, protocol=protocol) as (fleet, station):
        await is_set(charger)
        install(station)
        assert foreign(station) == [71, 72]
        answers = await asyncio.gather(*(send(charger.charger_id, OFFER, timeout_s=LIMIT_S) for _ in range(2)))
        assert [one.verdict for one in answers] == [DeviceVerdict.ACCEPTED] * 2
        assert foreign(station) == []
        assert [one.charging_profile_id for one in station.profiles.installed.values()] == [1]
        await stored(StationRow.filter(id=charger.station_id, profiles_ours_since__isnull=False))
        install(station)
        await send(charger.charger_id, OFFER, timeout_s=LIMIT_S)
        fleet.chargers[charger.identity].drop_connection(for_s=0.05)
        await stored(StationRow.filter(id=charger.station_id, epoch=2, is_connected=True))
        await send(charger.charger_id, OFFER, timeout_s=LIMIT_S)
        assert foreign(station) == [71, 72]


async def test_profiles_of_another_portal_are_cleared_once(server: Server, charger: Registered) -> None:
    """Its refusal is an answer, which is stored before the offer goes out behind it: over a connection that breaks then, the next one
    would clear what is ours.
    """
    for times in (1, 0):
        async with a_raw_charger(server, charger) as raw:
            raw.answers |= {"GetConfiguration": {}, "ClearChargingProfile": {"status": "Unknown"}}
            del raw.answers["SetChargingProfile"]
            sending = server.service.commands.send(charger.charger_id, OFFER, timeout_s=LIMIT_S)
            offer = asyncio.create_task(sending)
            called: list[str] = []
            while called[-1:] != ["SetChargingProfile"]:
                called.append((await raw.calls.get())[1])
            assert called.count("ClearChargingProfile") == times
            assert await StationRow.filter(id=charger.station_id, profiles_ours_since__isnull=False).exists()
            offer.cancel()
