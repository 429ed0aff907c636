"""Simulated chargers that speak OCPP 2.0.1: the same cars, the same ledger, other words."""

import asyncio
from typing import Any

import pytest
from jsonschema import Draft6Validator

from devices.simulator.car import CarSpec
from devices.simulator.fleet import Fleet
from devices.simulator.ledger import Happening, Kind
from devices.simulator.plan import ChargerPlan, Habits, Plan, Quirks, Visit
from tests.devices.ocpp.strange import schemas
from tests.devices.simulator.accepting_server import Central, accepting_server
from tests.devices.simulator.test_fleet import SHORT, STAY, plan, running

PROTOCOL = "ocpp2.0.1"


def plan201(*visits: Visit, quirks: Quirks | None = None, **changes: Any) -> Plan:
    charger = ChargerPlan(
        identity="SIM1", visits=visits, quirks=quirks or Quirks(), password="secret", protocol=PROTOCOL
    )
    return plan(**{"chargers": (charger,), **changes})


async def events(central: Central, kind: str, times: int = 1) -> list[dict[str, Any]]:
    """The TransactionEvents of a kind, once there are so many."""
    seen = 0
    while True:
        seen += 1
        heard = await central.until("TransactionEvent", seen)
        found = [one for one in heard if one["eventType"] == kind]
        if len(found) >= times:
            return found
        seen = len(heard)


def register(event: dict[str, Any]) -> int:
    (value,) = (
        one for one in event["meterValue"][0]["sampledValue"] if one["measurand"] == "Energy.Active.Import.Register"
    )
    return int(value["value"])


def sums_agree(central: Central, fleet: Fleet) -> None:
    """What the other side was told adds up to the ledger's Wh, every transaction under its own id."""
    told = central.payloads("TransactionEvent")
    by_kind = {
        kind: {one["transactionInfo"]["transactionId"]: one for one in told if one["eventType"] == kind}
        for kind in ("Started", "Ended")
    }
    assert by_kind["Started"].keys() == by_kind["Ended"].keys()
    assert len(by_kind["Ended"]) == len(fleet.ledger.ended()) == len(fleet.ledger.sessions)
    recorded = sum(map(register, by_kind["Ended"].values())) - sum(map(register, by_kind["Started"].values()))
    assert recorded == fleet.ledger.energy_wh()


def keeps_the_standard(central: Central) -> None:
    """Every message is allowed by its schema."""
    known = schemas("v201")
    for _, _, action, payload in central.heard:
        Draft6Validator(known[f"{action}Request"]).validate(payload)


async def test_a_visit_is_told_in_the_order_of_the_standard() -> None:
    """A charger boots, reports its connector, asks about the card, and one transaction tells all the rest in sequence."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan201())
        async with running(fleet):
            await central.until("StatusNotification")
            fleet.chargers["SIM1"].plug_in(SHORT)
            await events(central, "Ended")
        actions = [action for _, _, action, _ in central.heard]
        expected = ["BootNotification", "StatusNotification", "Authorize", "TransactionEvent"]
        assert [actions.index(action) for action in expected] == sorted(actions.index(action) for action in expected)
        told = central.payloads("TransactionEvent")
        assert [one["seqNo"] for one in told] == list(range(len(told)))
        states = [one["transactionInfo"]["chargingState"] for one in told]
        assert (states[0], "Charging" in states) == ("EVConnected", True)
        statuses = [one["connectorStatus"] for one in central.payloads("StatusNotification")]
        assert statuses == ["Available", "Occupied", "Available"]
        assert fleet.ledger.counts[Kind.MISUNDERSTOOD] == 0
        sums_agree(central, fleet)
        keeps_the_standard(central)


async def test_the_ledger_agrees_with_what_many_chargers_told() -> None:
    """Σ Wh of the cars is Σ Wh of the final records, with lost answers, repetitions and broken links."""
    quirks = Quirks(duplicate_rate=0.3, answer_loss_rate=0.2, disconnects_every_s=0.6, disconnected_for_s=0.1)
    async with accepting_server() as central:
        chargers = tuple(ChargerPlan(identity=f"SIM{n}", protocol=PROTOCOL, quirks=quirks) for n in range(6))
        habits = Habits(stay_s=(0.2, 0.6), away_s=(0.0, 0.2))
        fleet = Fleet(central.url, plan(chargers=chargers, habits=habits), seed=7)
        async with running(fleet):
            await events(central, "Ended", 12)
        sums_agree(central, fleet)
        keeps_the_standard(central)


async def test_records_made_without_a_connection_say_so() -> None:
    """A transaction that starts and ends while the connection is away is told in order after it is back, marked as offline."""
    async with accepting_server() as central:
        happened: asyncio.Queue[Happening] = asyncio.Queue()
        fleet = Fleet(central.url, plan201(), listener=happened.put_nowait)
        charger = fleet.chargers["SIM1"]
        async with running(fleet):
            await central.until("StatusNotification")
            charger.drop_connection(for_s=0.5)
            while (await happened.get()).kind is not Kind.DISCONNECTED:
                continue
            charger.plug_in(SHORT)
            charger.unplug()
            await events(central, "Ended")
        told = central.payloads("TransactionEvent")
        assert {one["offline"] for one in told} == {True}
        assert [one["seqNo"] for one in told] == list(range(len(told)))
        assert len(central.payloads("BootNotification")) == 1
        sums_agree(central, fleet)


async def test_a_profile_changes_the_offer_before_it_is_answered() -> None:
    """When the answer to SetChargingProfile arrives, the ledger already counts the new offer; only for its own transaction."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan201(STAY))
        async with running(fleet):
            (started,) = await events(central, "Started")
            profile = {
                "id": 2,
                "transactionId": started["transactionInfo"]["transactionId"],
                "stackLevel": 1,
                "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Relative",
                "chargingSchedule": [
                    {"id": 2, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 9.5}]}
                ],
            }
            order = {"evseId": 1, "chargingProfile": profile}
            assert (await central.call("SIM1", "SetChargingProfile", order))[2] == {"status": "Accepted"}
            assert fleet.ledger.offers[-1].usable == (9500, 9500, 9500)
            profile["transactionId"] = "another"
            assert (await central.call("SIM1", "SetChargingProfile", order))[2] == {"status": "Rejected"}
            cleared = await central.call("SIM1", "ClearChargingProfile", {"chargingProfileId": 2})
            assert cleared[2] == {"status": "Accepted"}
            assert fleet.ledger.offers[-1].usable == (32000, 32000, 32000)


def a_variable(component: str, name: str, **fields: str) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": name}, **fields}


ON_TERMINAL_2 = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [
        {
            "id": 1,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 9.5, "numberPhases": 1, "phaseToUse": 2}],
        }
    ],
}
"""Only for a charger that can switch."""

ORDERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("RequestStopTransaction", {"transactionId": "77"}, {"status": "Rejected"}),
    ("UnlockConnector", {"evseId": 1, "connectorId": 1}, {"status": "Unlocked"}),
    ("UnlockConnector", {"evseId": 2, "connectorId": 1}, {"status": "UnknownConnector"}),
    ("ClearChargingProfile", {"chargingProfileCriteria": {"chargingProfilePurpose": "TxProfile"}}, {"status": "Unknown"}),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}, {"status": "Accepted"}),
    ("TriggerMessage", {"requestedMessage": "BootNotification"}, {"status": "Accepted"}),
    ("TriggerMessage", {"requestedMessage": "StatusNotification"}, {"status": "Accepted"}),
    ("TriggerMessage", {"requestedMessage": "MeterValues"}, {"status": "Accepted"}),
    ("TriggerMessage", {"requestedMessage": "TransactionEvent"}, {"status": "Rejected"}),
    ("TriggerMessage", {"requestedMessage": "SignV2GCertificate"}, {"status": "NotImplemented"}),
    ("SetChargingProfile", {"evseId": 1, "chargingProfile": ON_TERMINAL_2}, {"status": "Rejected"}),
    ("ChangeAvailability", {"operationalStatus": "Inoperative"}, {"status": "Accepted"}),
    ("GetVariables", {"getVariableData": [a_variable("TxCtrlr", "TxStartPoint"), a_variable("X", "Y")]}, {
        "getVariableResult": [
            a_variable("TxCtrlr", "TxStartPoint", attributeStatus="Accepted", attributeValue="PowerPathClosed"),
            a_variable("X", "Y", attributeStatus="UnknownVariable"),
        ],
    }),
    ("SetVariables", {"setVariableData": [
        a_variable("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="60"),
        a_variable("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="soon"),
        a_variable("TxCtrlr", "TxStartPoint", attributeValue="EVConnected"),
        a_variable("X", "Y", attributeValue="1"),
    ]}, {
        "setVariableResult": [
            a_variable("SampledDataCtrlr", "TxUpdatedInterval", attributeStatus="Accepted"),
            a_variable("SampledDataCtrlr", "TxUpdatedInterval", attributeStatus="Rejected"),
            a_variable("TxCtrlr", "TxStartPoint", attributeStatus="Rejected"),
            a_variable("X", "Y", attributeStatus="UnknownVariable"),
        ],
    }),
    ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}, {"status": "Accepted"}),
    ("GetBaseReport", {"requestId": 1, "reportBase": "SummaryInventory"}, {"status": "NotSupported"}),
    ("SendLocalList", {"versionNumber": 4, "updateType": "Full"}, {"status": "Accepted"}),
    ("SendLocalList", {"versionNumber": 0, "updateType": "Differential"}, {"status": "VersionMismatch"}),
    ("GetLocalListVersion", {}, {"versionNumber": 0}),
    ("ClearCache", {}, {"status": "Accepted"}),
    ("DataTransfer", {"vendorId": "x"}, {"status": "UnknownVendorId"}),
    ("Reset", {"type": "OnIdle"}, {"status": "Accepted"}),
    ("RequestStartTransaction", {"remoteStartId": 1, "evseId": 1, "idToken": {"idToken": "APP", "type": "Central"}},
     {"status": "Accepted"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "payload", "answer"), ORDERS, ids=[f"{a} {n}" for n, (a, _, _) in enumerate(ORDERS)]
)
async def test_orders_are_answered(action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
    """Each order of the standard has its answer at an idle charger."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan201())
        async with running(fleet):
            await central.until("StatusNotification")
            assert (await central.call("SIM1", action, payload))[2] == answer
        keeps_the_standard(central)


async def test_a_list_lets_cards_in_while_there_is_no_connection() -> None:
    """What was sent counts, and what was taken back does not."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan201())
        station = fleet.chargers["SIM1"].station

        def entry(card: str, info: dict[str, str] | None) -> dict[str, Any]:
            token = {"idToken": {"idToken": card, "type": "ISO14443"}}
            return token if info is None else {**token, "idTokenInfo": info}

        async with running(fleet):
            await central.until("StatusNotification")
            full = [entry(card, {"status": "Accepted"}) for card in ("A", "B")]
            order = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": full}
            assert (await central.call("SIM1", "SendLocalList", order))[2] == {"status": "Accepted"}
            until = {"status": "Accepted", "cacheExpiryDateTime": "2030-01-01T00:00:00Z"}
            changes = [entry("A", None), entry("C", until)]
            order = {"versionNumber": 2, "updateType": "Differential", "localAuthorizationList": changes}
            assert (await central.call("SIM1", "SendLocalList", order))[2] == {"status": "Accepted"}
        assert sorted(station.local_list) == ["B", "C"]


async def test_a_car_can_be_started_and_stopped_from_afar() -> None:
    """A car without a card starts by RequestStartTransaction and ends by RequestStopTransaction; its plug is not released before."""
    async with accepting_server() as central:
        visit = Visit(after_s=0.0, stay_s=600.0, car=CarSpec(), id_tag=None)
        fleet = Fleet(central.url, plan201(visit))
        async with running(fleet):
            await central.until("StatusNotification")
            order = {"remoteStartId": 1, "idToken": {"idToken": "APP", "type": "Central"}}
            await central.call("SIM1", "RequestStartTransaction", order)
            (started,) = await events(central, "Started")
            assert (await central.call("SIM1", "RequestStartTransaction", order))[2] == {"status": "Rejected"}
            unlocked = await central.call("SIM1", "UnlockConnector", {"evseId": 1, "connectorId": 1})
            assert unlocked[2] == {"status": "OngoingAuthorizedTransaction"}
            assert (await central.call("SIM1", "Reset", {"type": "OnIdle"}))[2] == {"status": "Rejected"}
            await central.call("SIM1", "TriggerMessage", {"requestedMessage": "TransactionEvent"})
            stop = {"transactionId": started["transactionInfo"]["transactionId"]}
            assert (await central.call("SIM1", "RequestStopTransaction", stop))[2] == {"status": "Accepted"}
            (ended,) = await events(central, "Ended")
            assert ended["transactionInfo"]["stoppedReason"] == "Remote"
        assert "Trigger" in {one["triggerReason"] for one in central.payloads("TransactionEvent")}
        assert fleet.ledger.sessions[0].id_tag == "APP"


async def test_a_transaction_may_begin_with_the_cable() -> None:
    """It has no token until the card is accepted, and nothing flows before."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan201(quirks=Quirks(begins_with_cable=True)))
        async with running(fleet):
            await central.until("StatusNotification")
            fleet.chargers["SIM1"].plug_in(SHORT)
            await events(central, "Ended")
        told = central.payloads("TransactionEvent")
        assert (told[0]["triggerReason"], "idToken" in told[0]) == ("CablePluggedIn", False)
        (claim,) = (one for one in told if "idToken" in one)
        assert (claim["eventType"], claim["triggerReason"]) == ("Updated", "Authorized")
        assert fleet.ledger.sessions[0].id_tag == "CARD1"
        sums_agree(central, fleet)
        keeps_the_standard(central)


async def test_a_restart_boots_again_and_ends_the_session() -> None:
    """Reset Immediate ends the transaction with its reason, and the charger boots anew."""
    async with accepting_server() as central:
        fleet = Fleet(central.url, plan201(STAY))
        async with running(fleet):
            await events(central, "Started")
            await central.call("SIM1", "Reset", {"type": "Immediate"})
            await central.until("BootNotification", 2)
            (ended,) = await events(central, "Ended")
            assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"
        sums_agree(central, fleet)
