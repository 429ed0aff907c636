"""A charger is spoken to as its kind wants it: known by a table, or learnt from the first of them."""

import asyncio
import json
from typing import Any

import pytest

from devices.simulator.plan import Quirks
from domain.models import ChargerKind, Station
from domain.ports import DeviceVerdict, OfferCurrent, OfferStep
from tests.devices.server import (
    LIMIT_S,
    RawCharger,
    Registered,
    Server,
    a_raw_charger,
    a_registered_charger,
)
from tests.devices.simulated import simulated
from tests.factories import Site, a_site

BOOT = {"chargePointVendor": "Volt", "chargePointModel": "Home", "firmwareVersion": "1.0"}


@pytest.fixture
async def site(server: Server) -> Site:
    return await a_site()


def configuration(**values: str) -> dict[str, Any]:
    """An answer to GetConfiguration."""
    return {"configurationKey": [{"key": key, "readonly": True, "value": value} for key, value in values.items()]}


async def greeted(raw: RawCharger, *, is_first: bool = True) -> None:
    """The charger has booted and been told everything that follows, and the first of its kind has been asked."""
    await raw.call("BootNotification", BOOT)
    while (await raw.next_call("ChangeConfiguration"))["key"] != "LocalPreAuthorize":
        pass
    if is_first:
        await raw.next_call("GetConfiguration")
        await raw.call("Heartbeat", {})


async def offered(server: Server, charger: Registered, raw: RawCharger) -> dict[str, Any]:
    """What a charger is sent for 16 A in a transaction."""
    command = OfferCurrent((OfferStep(0, 16.0),), transaction_id="7")
    answer = await server.service.commands.send(charger.charger_id, command, timeout_s=LIMIT_S)
    assert answer.verdict is DeviceVerdict.ACCEPTED
    profile: dict[str, Any] = (await raw.next_call("SetChargingProfile"))["csChargingProfiles"]
    return profile


async def test_the_first_of_a_kind_is_asked_and_the_next_is_known(server: Server, site: Site) -> None:
    """A charger that takes watts and one stack level only gets its limits so, and so does the next one, unasked."""
    one, other = await a_registered_charger(site, "1"), await a_registered_charger(site, "2")
    async with a_raw_charger(server, one) as raw:
        raw.answers["GetConfiguration"] = configuration(
            ChargingScheduleAllowedChargingRateUnit="Power", ChargeProfileMaxStackLevel="0"
        )
        await greeted(raw)
        profile = await offered(server, one, raw)
        await kept({"rate_unit": "W", "most_stack_level": 0})
    assert profile["stackLevel"] == 0
    assert profile["chargingSchedule"]["chargingRateUnit"] == "W"
    assert profile["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 3680.0}]
    async with a_raw_charger(server, other) as raw:
        await greeted(raw, is_first=False)
        assert (await offered(server, other, raw))["chargingSchedule"]["chargingRateUnit"] == "W"
        assert not any(action == "GetConfiguration" for action in actions(raw))


def actions(raw: RawCharger) -> list[str]:
    """What the charger was called with and nobody has looked at."""
    return [raw.calls.get_nowait()[1] for _ in range(raw.calls.qsize())]


async def test_amperes_are_used_where_a_charger_takes_both(server: Server, site: Site) -> None:
    """Fuses are in amperes: watts are the last resort."""
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger) as raw:
        raw.answers["GetConfiguration"] = configuration(
            ChargingScheduleAllowedChargingRateUnit="Power,Current", ChargeProfileMaxStackLevel="9"
        )
        await greeted(raw)
        profile = await offered(server, charger, raw)
    assert profile["stackLevel"] == 1
    assert profile["chargingSchedule"]["chargingRateUnit"] == "A"


async def test_who_knows_no_triggers_is_not_asked_by_one_again(server: Server, site: Site) -> None:
    """A charger that comes back and answers a TriggerMessage with an error is not sent the next one, nor is another of its kind."""
    charger = await a_registered_charger(site)
    await Station.filter(id=charger.station_id).update(vendor="Volt", model="Home", firmware_version="1.0")
    async with a_raw_charger(server, charger, subprotocols=("ocpp2.0.1",)) as raw:
        del raw.answers["TriggerMessage"]
        raw.answers["SetVariables"] = {"setVariableResult": []}
        seen: list[str] = []
        while seen[-1:] != ["GetVariables"]:
            message_id, action, payload = await raw.calls.get()
            seen.append(action if "RateUnit" in str(payload) or action != "GetVariables" else "about its list")
            if action == "TriggerMessage":
                await raw.socket.send(json.dumps([4, message_id, "NotImplemented", "", {}]))
            elif seen[-1] == "GetVariables":
                await raw.socket.send(json.dumps([3, message_id, variables("A,W", "3")]))
        await kept({"takes_triggers": False, "rate_unit": "A", "most_stack_level": 1})
    assert seen.count("TriggerMessage") == 1


REPORTED = {"rate_unit": "A", "most_stack_level": 1, "takes_phase_to_use": False}
FOUND = [("RateUnit", "A,W"), ("ProfileStackLevel", "3"), ("ACPhaseSwitchingSupported", "false")]


async def test_what_a_charger_says_only_in_its_report_is_learnt_from_it(server: Server, site: Site) -> None:
    """Of a simulated one, which sends it in parts; and kept for its kind."""
    charger = await a_registered_charger(site)
    await Station.filter(id=charger.station_id).update(vendor="Volt", model="Home", firmware_version="1.0")
    quirks = Quirks(tells_only_in_reports=True)
    async with simulated(server, charger, protocol="ocpp2.0.1", quirks=quirks):
        async with asyncio.timeout(LIMIT_S):
            while True:
                row = await ChargerKind.get_or_none(vendor="Lade")
                if row is not None and json.loads(row.facts) == REPORTED:
                    break


def a_part(sequence: int, *, request_id: int = 1, is_last: bool = False) -> dict[str, Any]:
    """A part of a report with one variable."""
    name, value = FOUND[sequence]
    data = {
        "component": {"name": "SmartChargingCtrlr"},
        "variable": {"name": name},
        "variableAttribute": [{"value": value if request_id == 1 else "false"}],
    }
    return {
        "requestId": request_id,
        "generatedAt": "2026-01-01T00:00:00Z",
        "seqNo": sequence,
        "tbc": not is_last,
        "reportData": [data],
    }


async def test_a_report_is_whole_in_whatever_order_and_however_often_its_parts_come(server: Server, site: Site) -> None:
    """Parts of another report are none of it; a charger that has no full one is asked for what can be set."""
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger, subprotocols=("ocpp2.0.1",)) as raw:
        raw.answers |= {"GetVariables": {"getVariableResult": []}, "SetVariables": {"setVariableResult": []}}
        station = {"vendorName": "Volt", "model": "Home", "firmwareVersion": "1.0"}
        await raw.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})
        for base, status in (("FullInventory", "NotSupported"), ("ConfigurationInventory", "Accepted")):
            while True:
                message_id, action, payload = await asyncio.wait_for(raw.calls.get(), LIMIT_S)
                if action == "GetBaseReport":
                    break
            assert payload == {"requestId": 1, "reportBase": base}
            await raw.socket.send(json.dumps([3, message_id, {"status": status}]))
        for part in (a_part(2, is_last=True), a_part(0, request_id=9), a_part(0), a_part(0), a_part(1)):
            assert await raw.call("NotifyReport", part) == {}
        await kept(REPORTED)


async def test_a_charger_that_says_nothing_at_all_is_asked_for_its_report_once(server: Server, site: Site) -> None:
    """A report is much: the next connection does without."""
    charger = await a_registered_charger(site)
    for times in (3, 0):
        async with a_raw_charger(server, charger, subprotocols=("ocpp2.0.1",)) as raw:
            raw.answers |= {
                "GetVariables": {"getVariableResult": []},
                "SetVariables": {"setVariableResult": []},
                "GetBaseReport": {"status": "NotSupported"},
            }
            station = {"vendorName": "Mute", "model": "Home", "firmwareVersion": "1.0"}
            await raw.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})
            while "ACPhaseSwitchingSupported" not in str(await raw.next_call("GetVariables")):
                pass
            await asyncio.sleep(0.5)
            assert actions(raw).count("GetBaseReport") == times


async def kept(facts: dict[str, object]) -> None:
    """Soon these facts are stored of the kind, as long as its charger is there."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            row = await ChargerKind.get_or_none(vendor="Volt", model="Home", firmware="1.0")
            if row is not None and json.loads(row.facts) == facts:
                return


def variables(units: str, levels: str) -> dict[str, Any]:
    """An answer to GetVariables about charging profiles."""
    found = {"RateUnit": units, "ProfileStackLevel": levels}
    return {
        "getVariableResult": [
            {
                "component": {"name": "SmartChargingCtrlr"},
                "variable": {"name": name},
                "attributeStatus": "Accepted",
                "attributeValue": value,
            }
            for name, value in found.items()
        ]
    }
