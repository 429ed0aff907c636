import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from devices.simulator import simulate
from devices.simulator.car import CarSpec
from devices.simulator.fleet import Fleet
from devices.simulator.ledger import Happening, Kind
from devices.simulator.plan import ChargerPlan, Habits, Plan, Quirks, Visit
from tests.devices.simulator.accepting_server import Central, accepting_server

CAR = CarSpec(phases=3, max_current_a=16.0)
STAY = Visit(after_s=0.0, stay_s=600.0, car=CAR, id_tag="CARD1")
SHORT = Visit(after_s=0.0, stay_s=0.6, car=CAR, id_tag="CARD1")


def plan(*visits: Visit, quirks: Quirks | None = None, **changes: Any) -> Plan:
    charger = ChargerPlan(identity="SIM1", visits=visits, quirks=quirks or Quirks(), password="secret")
    values: dict[str, Any] = {
        "chargers": (charger,),
        "step_s": 0.02,
        "sample_every_s": 1,
        "connect_over_s": 0.0,
        "retry_after_s": 0.01,
        "reconnect_after_s": (0.01, 0.05),
        "drain_s": 5.0,
        "restart_s": 0.05,
    }
    return Plan(**{**values, **changes})


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[None]:
    task = asyncio.create_task(fleet.run())
    try:
        yield
        fleet.stop()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def sums_agree(central: Central, fleet: Fleet) -> None:
    """What the other side was told adds up to the ledger's Wh."""
    starts = {(who, p["timestamp"], p["meterStart"]) for who, _, name, p in central.heard if name == "StartTransaction"}
    stops = {p["transactionId"]: p["meterStop"] for p in central.payloads("StopTransaction")}
    recorded = sum(stops.values()) - sum(meter for _, _, meter in starts)
    assert len(starts) == len(stops) == len(fleet.ledger.ended()) == len(fleet.ledger.sessions)
    assert recorded == fleet.ledger.energy_wh()
    assert abs(fleet.ledger.car_wh() - fleet.ledger.energy_wh()) < len(stops)


async def test_a_visit_is_told_in_the_order_of_the_standard() -> None:
    """A charger boots, reports its statuses, asks about the card, starts, meters and stops."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan())
        async with running(fleet):
            await central.until("StatusNotification", 2)
            fleet.chargers["SIM1"].plug_in(SHORT)
            await central.until("StopTransaction")
        actions = [action for _, _, action, _ in central.heard]
        expected = ["BootNotification", "StatusNotification", "Authorize", "StartTransaction", "StopTransaction"]
        assert [actions.index(action) for action in expected] == sorted(actions.index(action) for action in expected)
        statuses = [p["status"] for p in central.payloads("StatusNotification") if p["connectorId"] == 1]
        assert statuses[-3:] == ["Charging", "Finishing", "Available"]
        assert fleet.ledger.counts[Kind.MISUNDERSTOOD] == 0
        sums_agree(central, fleet)


@pytest.mark.parametrize("begins_unlimited", [True, False])
async def test_a_car_may_come_before_its_charger_was_ever_in_reach(begins_unlimited: bool) -> None:
    """Then it charges unasked, at the charger's own maximum, unless the plan says that nobody is let in so."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan(SHORT, begins_unlimited=begins_unlimited))
        async with running(fleet):
            await central.until("StopTransaction" if begins_unlimited else "StatusNotification")
    assert len(fleet.ledger.sessions) == begins_unlimited
    assert fleet.ledger.counts[Kind.DENIED] == (not begins_unlimited)


async def test_the_ledger_agrees_with_what_many_chargers_told() -> None:
    """Σ Wh of the cars is Σ Wh of the final records, for every charger, over many visits."""
    async with accepting_server() as central:
        chargers = tuple(ChargerPlan(identity=f"SIM{n}") for n in range(8))
        habits = Habits(stay_s=(0.2, 0.6), away_s=(0.0, 0.2))
        fleet = Fleet(central.url, plan(chargers=chargers, habits=habits), seed=7)
        async with running(fleet):
            await central.until("StopTransaction", 12)
        sums_agree(central, fleet)


async def test_a_profile_changes_the_offer_before_it_is_answered() -> None:
    """When the answer to SetChargingProfile arrives, the ledger already counts the new offer on every line of the car."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan(STAY))
        async with running(fleet):
            await central.until("StartTransaction")
            transaction = 1
            profile = {
                "chargingProfileId": 2,
                "transactionId": transaction,
                "stackLevel": 1,
                "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Relative",
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 9.5}],
                },
            }
            answer = await central.call("SIM1", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})
            assert answer[2] == {"status": "Accepted"}
            assert fleet.ledger.offers[-1].usable == (9500, 9500, 9500)
            profile["transactionId"] = 999
            answer = await central.call("SIM1", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})
            assert answer[2] == {"status": "Rejected"}
        assert fleet.ledger.peak_line_load() == 32.0
        assert fleet.ledger.offers[-1].usable == (0, 0, 0)


async def test_records_made_without_a_connection_are_delivered_later() -> None:
    """A session that starts and ends while the connection is away is told in order after it is back, without a new boot."""
    async with accepting_server() as central:
        events: asyncio.Queue[Happening] = asyncio.Queue()
        fleet = Fleet(central.url, plan(), listener=events.put_nowait)
        charger = fleet.chargers["SIM1"]
        async with running(fleet):
            await central.until("StatusNotification", 2)
            charger.drop_connection(for_s=0.5)
            while (await events.get()).kind is not Kind.DISCONNECTED:
                continue
            charger.plug_in(SHORT)
            assert fleet.ledger.sessions[0].transaction_id is None
            charger.unplug()
            await central.until("StopTransaction")
        assert len(central.payloads("BootNotification")) == 1
        assert central.payloads("StopTransaction")[0]["transactionId"] == 1
        sums_agree(central, fleet)


async def test_a_retry_has_a_new_id_and_the_same_payload() -> None:
    """Lost answers and duplicates repeat a transaction message with another message id and nothing else changed."""
    async with accepting_server() as central:
        quirks = Quirks(duplicate_rate=1.0, answer_loss_rate=0.4)
        fleet = Fleet(central.url, plan(SHORT, SHORT, quirks=quirks))
        async with running(fleet):
            await central.until("StopTransaction", 4)
        starts = [(mid, p) for _, mid, action, p in central.heard if action == "StartTransaction"]
        assert len({mid for mid, _ in starts}) == len(starts) > 2
        assert len({p["timestamp"] for _, p in starts}) == 2
        sums_agree(central, fleet)


async def test_a_record_is_given_up_after_three_errors() -> None:
    """CALLERRORs destroy a session, as with real firmware: after the third its record is lost."""
    async with accepting_server() as central:
        central.errors_for = {"StopTransaction"}
        fleet = Fleet(central.url, plan(SHORT))
        async with running(fleet):
            await central.until("StopTransaction", 3)
        assert fleet.ledger.counts[Kind.LOST] == 1
        assert fleet.ledger.ended() == []
        assert len(fleet.ledger.ended(acknowledged_only=False)) == 1


ORDERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("RemoteStopTransaction", {"transactionId": 77}, {"status": "Rejected"}),
    ("UnlockConnector", {"connectorId": 1}, {"status": "Unlocked"}),
    ("UnlockConnector", {"connectorId": 2}, {"status": "NotSupported"}),
    ("ClearChargingProfile", {}, {"status": "Unknown"}),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}, {"status": "Accepted"}),
    ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, {"status": "Accepted"}),
    ("GetConfiguration", {"key": ["NumberOfConnectors", "Nonsense"]}, {
        "configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "1"}], "unknownKey": ["Nonsense"],
    }),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}, {"status": "Accepted"}),
    ("ChangeConfiguration", {"key": "NumberOfConnectors", "value": "2"}, {"status": "Rejected"}),
    ("ChangeConfiguration", {"key": "Nonsense", "value": "2"}, {"status": "NotSupported"}),
    ("SendLocalList", {"listVersion": 4, "updateType": "Full"}, {"status": "Accepted"}),
    ("GetLocalListVersion", {}, {"listVersion": 0}),
    ("ClearCache", {}, {"status": "Accepted"}),
    ("DataTransfer", {"vendorId": "x"}, {"status": "UnknownVendorId"}),
    ("Reset", {"type": "Soft"}, {"status": "Accepted"}),
    ("RemoteStartTransaction", {"idTag": "APP"}, {"status": "Accepted"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "payload", "answer"), ORDERS, ids=[f"{a} {n}" for n, (a, _, _) in enumerate(ORDERS)]
)
async def test_orders_are_answered(action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
    """Each order of the standard has its answer at an idle charger."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan())
        async with running(fleet):
            await central.until("StatusNotification", 2)
            assert (await central.call("SIM1", action, payload))[2] == answer


async def test_what_the_standard_forbids_is_refused_and_noted() -> None:
    """An unknown order and a wrong payload get a CALLERROR, and the ledger has a note."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan())
        async with running(fleet):
            await central.until("StatusNotification", 2)
            assert (await central.call("SIM1", "Dance", {}))[2] == "NotImplemented"
            assert (await central.call("SIM1", "Reset", {"type": "Gentle"}))[2] == "TypeConstraintViolation"
        assert fleet.ledger.counts[Kind.MISUNDERSTOOD] == 2


async def test_a_car_can_be_started_and_stopped_from_afar() -> None:
    """A car without a card starts by RemoteStartTransaction and ends by RemoteStopTransaction."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan(Visit(after_s=0.0, stay_s=600.0, car=CAR, id_tag=None)))
        async with running(fleet):
            await central.until("StatusNotification", 2)
            await central.call("SIM1", "RemoteStartTransaction", {"connectorId": 1, "idTag": "APP"})
            await central.until("StartTransaction")
            transaction = 1
            answer = await central.call("SIM1", "RemoteStopTransaction", {"transactionId": transaction})
            assert answer[2] == {"status": "Accepted"}
            assert (await central.until("StopTransaction"))[0]["reason"] == "Remote"
        assert fleet.ledger.sessions[0].id_tag == "APP"


async def test_a_triggered_sample_reads_like_a_meter() -> None:
    """Meter values carry the register in whole Wh, each terminal's current and the power, with the id of the transaction."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan(Visit(after_s=0.0, stay_s=600.0, car=CarSpec(phases=2), id_tag="CARD1")))
        async with running(fleet):
            await central.until("StartTransaction")
            await central.call("SIM1", "TriggerMessage", {"requestedMessage": "MeterValues"})
            payload = (await central.until("MeterValues"))[0]
        values = {(v["measurand"], v.get("phase")): v for v in payload["meterValue"][0]["sampledValue"]}
        assert payload["transactionId"] == 1
        assert 1_000_000 <= int(values["Energy.Active.Import.Register", None]["value"]) < 1_000_010
        assert float(values["Current.Import", "L1"]["value"]) >= 6.0
        assert values["Current.Import", "L2"]["value"] == values["Current.Import", "L1"]["value"]
        assert values["Current.Import", "L3"]["value"] == "0.00"
        assert {v["context"] for v in values.values()} == {"Trigger"}


async def test_a_restart_boots_again_and_ends_the_session() -> None:
    """Reset ends the session with its reason, and the charger boots anew."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan(STAY))
        async with running(fleet):
            await central.until("StartTransaction")
            await central.call("SIM1", "Reset", {"type": "Soft"})
            await central.until("BootNotification", 2)
            assert (await central.until("StopTransaction"))[0]["reason"] == "SoftReset"
        sums_agree(central, fleet)


async def test_a_fleet_without_the_other_side_ends_in_time() -> None:
    """Where nobody listens, the fleet still ends, with the refusals counted."""
    quick = plan(SHORT, drain_s=0.1)
    ledger = await Fleet("ws://127.0.0.1:9/ocpp", quick).run(duration_s=0.1)
    assert ledger.counts[Kind.REFUSED] >= 1
    assert ledger.ended() == []


async def test_simulate_needs_no_more_than_an_address() -> None:
    """`simulate` returns the ledger of chargers that came and went."""
    async with accepting_server() as central:
        ledger = await simulate(central.url, passwords={"A": "one", "B": "two"}, duration_s=1.3)
    assert ledger.counts[Kind.BOOTED] == 2


async def test_wrong_clocks_and_restless_connections_lose_no_energy() -> None:
    """A charger an hour late, without zones, that loses its connection again and again, still tells all, booting each time."""
    quirks = Quirks(
        clock_offset_s=-3600.0,
        is_zoneless=True,
        sends_heartbeats=False,
        answer_delay_s=0.01,
        boots_on_reconnect=True,
        disconnects_every_s=0.2,
        disconnected_for_s=0.05,
    )
    async with accepting_server() as central:
        events: asyncio.Queue[Happening] = asyncio.Queue()
        fleet = Fleet(central.url, plan(SHORT, SHORT, SHORT, quirks=quirks), seed=3, listener=events.put_nowait)
        async with running(fleet), asyncio.timeout(20):
            while len(fleet.ledger.ended()) < 3:
                await events.get()
        assert len(central.payloads("BootNotification")) > 1
        assert not any(p["timestamp"].endswith("Z") for p in central.payloads("StartTransaction"))
        sums_agree(central, fleet)


async def test_waking_and_dropping_at_any_time_is_safe() -> None:
    """Orders from outside at random instants leave a charger that still ends in order."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan())
        charger = fleet.chargers["SIM1"]
        async with running(fleet):
            await central.until("StatusNotification", 2)
            for number in range(40):
                charger.plug_in(STAY) if number % 3 else charger.unplug()
                if number % 7 == 0:
                    charger.drop_connection(for_s=0.01)
                await asyncio.sleep(0.003 * (number % 4))
            charger.unplug()
        sums_agree(central, fleet)
