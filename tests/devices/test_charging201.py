"""Charges over real sockets in OCPP 2.0.1: durable before they are answered, told once however often, commanded from afar."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tortoise.transactions import in_transaction

from app.database import Database
from domain import sql
from domain.ids import new_id
from domain.models import Alert, Charger, ChargerStatus, ChargeSession, Command, MeterKey, SignedRecord, Station
from domain.ports import DeviceAnswer, DeviceVerdict, OfferCurrent, OfferStep, Restart, StartCharging, StopCharging
from domain.roles import (
    AlertKind,
    AlertState,
    CommandAction,
    CommandState,
    OperatingMode,
    Role,
    SessionFlag,
    SessionState,
)
from tests.devices.server import CARD, RawCharger, Registered, Server, a_raw_charger, a_registered_charger
from tests.factories import NOW, Site, a_charger, a_grant, a_person
from tests.meters import Meter

PROTOCOL = ("ocpp2.0.1",)
SILENT_LIST = {"GetLocalListVersion": {"versionNumber": -1}}
STATUSES = (
    "RequestStartTransaction",
    "RequestStopTransaction",
    "SetChargingProfile",
    "ClearChargingProfile",
    "ClearCache",
    "TriggerMessage",
    "Reset",
)
ANSWERS: dict[str, dict[str, Any]] = {
    **{action: {"status": "Accepted"} for action in STATUSES},
    "SetVariables": {
        "setVariableResult": [
            {"attributeStatus": "Accepted", "component": {"name": "C"}, "variable": {"name": "V"}},
        ]
    },
    **SILENT_LIST,
}


@pytest.fixture
async def raw(server: Server, charger: Registered) -> AsyncIterator[RawCharger]:
    async with a_raw_charger(server, charger, subprotocols=PROTOCOL) as connected:
        connected.answers = dict(ANSWERS)
        yield connected


def stamp() -> str:
    return datetime.now(UTC).isoformat()  # noqa: TID251  what a real charger says


def an_event(
    kind: str,
    sequence: int,
    *,
    transaction: str = "AB-1",
    token: str | None = None,
    register: float | None = None,
    context: str = "Sample.Periodic",
    state: str | None = None,
    evse: int | None = 1,
    **fields: Any,
) -> dict[str, Any]:
    """A TransactionEventRequest."""
    event: dict[str, Any] = {
        "eventType": kind,
        "timestamp": stamp(),
        "triggerReason": "Trigger",
        "seqNo": sequence,
        "transactionInfo": {"transactionId": transaction},
        **fields,
    }
    if state is not None:
        event["transactionInfo"]["chargingState"] = state
    if evse is not None:
        event["evse"] = {"id": evse, "connectorId": 1}
    if token is not None:
        event["idToken"] = {"idToken": token, "type": "ISO14443"}
    if register is not None:
        values = [
            {"value": register, "context": context, "unitOfMeasure": {"unit": "Wh"}},
            {"value": 11000, "measurand": "Power.Active.Import", "context": context},
            *(
                {"value": 16, "measurand": "Current.Import", "phase": phase, "context": context}
                for phase in ("L1", "L2", "L3")
            ),
        ]
        event["meterValue"] = [{"timestamp": event["timestamp"], "sampledValue": values}]
    return event


def a_start(**how: Any) -> dict[str, Any]:
    return an_event("Started", 0, **{"token": CARD, "register": 1000, "context": "Transaction.Begin", **how})


def an_end(sequence: int = 9, **how: Any) -> dict[str, Any]:
    return an_event("Ended", sequence, **{"register": 1050, "context": "Transaction.End", **how})


async def test_start_meter_and_stop_are_durable_when_answered(raw: RawCharger, charger: Registered) -> None:
    """Whatever was acknowledged is in the database at that moment."""
    boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "X"}}
    assert (await raw.call("BootNotification", boot))["status"] == "Accepted"
    token = {"idToken": {"idToken": CARD, "type": "ISO14443"}}
    assert (await raw.call("Authorize", token))["idTokenInfo"] == {"status": "Accepted"}
    assert await raw.call("TransactionEvent", a_start(state="Charging")) == {"idTokenInfo": {"status": "Accepted"}}
    session = await ChargeSession.get(station_id=charger.station_id)
    assert (session.transaction_id, session.state, session.meter_start_wh) == ("AB-1", SessionState.ACTIVE, 1000)
    assert await raw.call("TransactionEvent", an_event("Updated", 1, register=1020)) == {}
    live = await ChargerStatus.get(charger_id=charger.charger_id)
    assert (live.power_w, live.current_l3, live.session_energy_wh) == (11000.0, 16.0, 20)
    assert live.mode is OperatingMode.CHARGING
    assert await raw.call("TransactionEvent", an_end()) == {}
    session = await ChargeSession.get(id=session.id)
    assert (session.state, session.energy_wh) == (SessionState.ENDED, 50)
    station = await Station.get(id=charger.station_id)
    assert (station.vendor, station.protocol) == ("Acme", "ocpp2.0.1")


async def test_retries_with_new_message_ids_change_nothing(raw: RawCharger, charger: Registered) -> None:
    """The same events under other message ids are the same session."""
    for event in (a_start(), an_event("Updated", 1, register=1020), an_end()):
        for _ in range(3):
            await raw.call("TransactionEvent", event)
    session = await ChargeSession.get(station_id=charger.station_id)
    assert (session.energy_wh, session.state) == (50, SessionState.ENDED)


async def test_the_token_may_come_later(raw: RawCharger, charger: Registered) -> None:
    """A transaction that began with the cable waits for its card, and is its person's then."""
    assert await raw.call("TransactionEvent", a_start(token=None, state="EVConnected")) == {}
    assert (await ChargerStatus.get(charger_id=charger.charger_id)).mode is OperatingMode.AWAITING_AUTHORIZATION
    event = an_event("Updated", 1, token=CARD, triggerReason="Authorized")
    assert await raw.call("TransactionEvent", event) == {"idTokenInfo": {"status": "Accepted"}}
    session = await ChargeSession.get(station_id=charger.station_id)
    assert (session.user_name, session.id_token) == ("Kari Nordmann", CARD)


async def test_an_unknown_card_is_told_so_and_its_session_kept(raw: RawCharger, charger: Registered) -> None:
    """The charger stops it by itself; whatever it delivered is recorded."""
    assert await raw.call("TransactionEvent", a_start(token="FFFF0000")) == {"idTokenInfo": {"status": "Invalid"}}
    assert await raw.call("TransactionEvent", an_end(token="FFFF0000")) == {"idTokenInfo": {"status": "Invalid"}}
    session = await ChargeSession.get(station_id=charger.station_id)
    assert (session.energy_wh, session.authorized_at) == (50, None)


async def test_an_end_without_its_start_is_kept(raw: RawCharger, charger: Registered) -> None:
    """It is acknowledged, and there is a session with START_UNKNOWN under its own id."""
    assert await raw.call("TransactionEvent", an_end(transaction="CD-2")) == {}
    session = await ChargeSession.get(station_id=charger.station_id)
    assert session.transaction_id == "CD-2"
    assert SessionFlag.START_UNKNOWN in session.flag_set


async def test_what_happened_offline_says_so(raw: RawCharger, charger: Registered) -> None:
    """By the charger's word, or by the time of the connection where it says nothing."""
    await raw.call("TransactionEvent", a_start(offline=True))
    await raw.call("TransactionEvent", an_end())
    old = "2026-06-01T10:00:00Z"
    await raw.call("TransactionEvent", a_start(transaction="CD-2", register=None, timestamp=old))
    await raw.call("TransactionEvent", an_end(transaction="CD-2", register=None, timestamp=old))
    sessions = await ChargeSession.filter(station_id=charger.station_id)
    assert [SessionFlag.OFFLINE in one.flag_set for one in sessions] == [True, True]


async def test_a_signed_reading_is_a_signed_session(raw: RawCharger, charger: Registered) -> None:
    """What the meter signed is kept to the letter, and the key beside it is remembered; one that is too long is left out."""
    meter, event, long = Meter(), an_end(), an_event("Updated", 1, register=1010)
    record = meter.charge(("B", NOW, "1"), ("E", NOW, "2"))
    signed = {
        "signedMeterData": base64.b64encode(record.encode()).decode(),
        "signingMethod": "",
        "encodingMethod": "OCMF",
        "publicKey": base64.b64encode(meter.key).decode(),
    }
    event["meterValue"][0]["sampledValue"][0]["signedMeterValue"] = signed
    long["meterValue"][0]["sampledValue"][0]["signedMeterValue"] = {**signed, "signedMeterData": "A" * 20_000}
    await raw.call("TransactionEvent", a_start())
    await raw.call("TransactionEvent", long)
    assert SessionFlag.SIGNED not in (await ChargeSession.get(station_id=charger.station_id)).flag_set
    await raw.call("TransactionEvent", event)
    session = await ChargeSession.get(station_id=charger.station_id)
    assert SessionFlag.SIGNED in session.flag_set
    kept = await SignedRecord.get()
    assert (kept.session_id, kept.format, kept.record) == (session.id, "OCMF", record)
    key = await MeterKey.get()
    assert (key.charger_id, key.public_key, key.is_confirmed) == (charger.charger_id, meter.key.hex(), False)


async def test_a_transaction_speaks_of_its_own_connector(server: Server, site: Site) -> None:
    """Where a later message names no EVSE, the station's second socket is not taken for its first."""
    first = await a_registered_charger(site, "Space 1")
    second = await a_charger(site, "Space 2")
    await Charger.filter(id=second).update(station_id=first.station_id, evse=2)
    async with a_raw_charger(server, first, subprotocols=PROTOCOL) as raw:
        raw.answers = dict(ANSWERS)
        await raw.call("TransactionEvent", a_start(evse=2))
        await raw.call("TransactionEvent", an_event("Updated", 1, evse=None, state="Charging", register=1010))
        await raw.call("Authorize", {"idToken": {"idToken": "sync", "type": "Local"}})
    states = {one.charger_id: one.session_energy_wh for one in await ChargerStatus.all()}
    assert states == {first.charger_id: None, second: 10}


async def test_no_answer_before_the_commit(raw: RawCharger, charger: Registered, database: Database) -> None:
    """While the database holds the batch up, no word of a transaction has an answer; then it comes."""
    async with in_transaction():
        await sql.execute("UPDATE charger_statuses SET version = version WHERE charger_id = $1", charger.charger_id)
        answer = raw.begin("TransactionEvent", a_start())
        done, _ = await asyncio.wait([answer], timeout=0.3)
        assert not done
    async with asyncio.timeout(5):
        assert (await answer)[0] == 3
    assert await ChargeSession.filter(station_id=charger.station_id).count() == 1


async def test_a_remote_start_and_stop(server: Server, raw: RawCharger, charger: Registered, site: Site) -> None:
    """A command reaches the charger, its answer comes back, and the effect confirms it."""
    user_id = await a_person("Ola")
    await a_grant(Role.OWNER, site, user_id=user_id)
    command = await Command.create(
        id=new_id(),
        installation_id=site.id,
        charger_id=charger.charger_id,
        requested_by_id=user_id,
        action=CommandAction.START,
        state=CommandState.SENT,
        id_token="APPTOKEN",
        requested_at=datetime(2026, 1, 1, tzinfo=UTC),
        deadline=datetime(2100, 1, 1, tzinfo=UTC),
    )
    send = server.service.commands.send
    answer = await send(charger.charger_id, StartCharging("APPTOKEN"), timeout_s=5)
    assert answer == DeviceAnswer(DeviceVerdict.ACCEPTED, "Accepted")
    asked = await raw.next_call("RequestStartTransaction")
    assert (asked["evseId"], asked["idToken"]) == (1, {"idToken": "APPTOKEN", "type": "Central"})
    started = a_start(token=None, triggerReason="RemoteStart", idToken=asked["idToken"])
    assert await raw.call("TransactionEvent", started) == {"idTokenInfo": {"status": "Accepted"}}
    assert (await Command.get(id=command.id)).state is CommandState.CONFIRMED
    assert (await ChargeSession.get(station_id=charger.station_id)).user_id == user_id
    assert (await send(charger.charger_id, StopCharging("AB-1"), timeout_s=5)).verdict is DeviceVerdict.ACCEPTED
    assert await raw.next_call("RequestStopTransaction") == {"transactionId": "AB-1"}


async def test_commands_and_offers(server: Server, raw: RawCharger, charger: Registered) -> None:
    """A restart and a limit go out one after the other, each in the words of 2.0.1; a refusal comes back with its reason."""
    send = server.service.commands.send
    raw.answers["Reset"] = {"status": "Rejected", "statusInfo": {"reasonCode": "Busy"}}
    assert await send(charger.charger_id, Restart(), timeout_s=5) == DeviceAnswer(
        DeviceVerdict.REJECTED, "Rejected: Busy"
    )
    offer = OfferCurrent((OfferStep(0, 10.0),), transaction_id="AB-1")
    assert (await send(charger.charger_id, offer, timeout_s=5)).verdict is DeviceVerdict.ACCEPTED
    asked = await raw.next_call("SetChargingProfile")
    assert (asked["evseId"], asked["chargingProfile"]["transactionId"]) == (1, "AB-1")


async def test_a_booted_charger_is_configured_and_a_reconnected_one_is_asked(
    server: Server, charger: Registered
) -> None:
    """After a boot its variables are set; without one its status and its transaction are asked for."""
    async with a_raw_charger(server, charger, subprotocols=PROTOCOL) as raw:
        raw.answers = dict(ANSWERS)
        await raw.call("BootNotification", {"reason": "PowerUp"})
        (setting,) = (await raw.next_call("SetVariables"))["setVariableData"]
        assert (setting["variable"], setting["attributeValue"]) == ({"name": "TxUpdatedInterval"}, "30")
    async with a_raw_charger(server, charger, subprotocols=PROTOCOL) as raw:
        raw.answers = dict(ANSWERS)
        asked = [(await raw.next_call("TriggerMessage"))["requestedMessage"] for _ in range(2)]
        assert asked == ["StatusNotification", "TransactionEvent"]


async def test_a_fault_is_an_alert_until_it_is_cleared(raw: RawCharger, charger: Registered) -> None:
    """NotifyEvent opens and closes one alert; a status of the connector does not close it."""
    event = {
        "eventId": 1,
        "timestamp": stamp(),
        "trigger": "Alerting",
        "actualValue": "true",
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": "RCD", "evse": {"id": 1}},
        "variable": {"name": "Tripped"},
    }
    status = {"timestamp": stamp(), "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
    sync = {"idToken": {"idToken": "sync", "type": "Local"}}
    assert await raw.call("NotifyEvent", {"generatedAt": stamp(), "seqNo": 0, "eventData": [event]}) == {}
    assert await raw.call("StatusNotification", status) == {}
    await raw.call("Authorize", sync)
    alert = await Alert.get(charger_id=charger.charger_id)
    assert (alert.kind, alert.state) == (AlertKind.GROUND_FAULT, AlertState.OPEN)
    event |= {"eventId": 2, "actualValue": "false", "cleared": True}
    await raw.call("NotifyEvent", {"generatedAt": stamp(), "seqNo": 0, "eventData": [event]})
    await raw.call("Authorize", sync)
    assert (await Alert.get(id=alert.id)).state is AlertState.RESOLVED


async def test_errors_are_those_of_the_version(raw: RawCharger) -> None:
    """What cannot be carried out gets a CALLERROR with a code of OCPP-J 2.0.1; certificates are declined in an orderly way."""
    assert (await raw.frame("Dance", {}))[:3:2] == [4, "NotImplemented"]
    assert (await raw.call("SignCertificate", {"csr": "x"})) == {"status": "Rejected"}
    odd: Any = 7  # where the action's name belongs
    assert (await raw.frame(odd, {}))[2] == "RpcFrameworkError"


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        (("ocpp2.0.1",), "ocpp2.0.1"),
        (("ocpp2.1",), "ocpp2.1"),
        (("ocpp2.1", "ocpp2.0.1", "ocpp1.6"), "ocpp2.0.1"),
        (("ocpp1.6", "ocpp2.0.1"), "ocpp1.6"),
        (("ocpp2.0", "ocpp2.0.1"), "ocpp2.0.1"),
    ],
)
async def test_the_version_is_agreed_on(
    server: Server, charger: Registered, offered: tuple[str, ...], spoken: str
) -> None:
    """The first version offered that we speak; 2.1 only where its charger does not speak 2.0.1 as well."""
    async with a_raw_charger(server, charger, subprotocols=offered) as raw:
        assert raw.socket.subprotocol == spoken
        assert "currentTime" in await raw.call("Heartbeat", {})
    assert (await Station.get(id=charger.station_id)).protocol == spoken


async def test_a_local_list_is_kept_in_step(server: Server, charger: Registered) -> None:
    """The cards that may charge here are sent after a boot, in the words of 2.0.1."""
    async with a_raw_charger(server, charger, subprotocols=PROTOCOL) as raw:
        version = {"versionNumber": 0}
        raw.answers = {**ANSWERS, "GetLocalListVersion": version, "GetVariables": {"getVariableResult": []}}
        raw.answers["SendLocalList"] = {"status": "Accepted"}
        await raw.call("BootNotification", {"reason": "PowerUp"})
        sent = await raw.next_call("SendLocalList")
    (entry,) = sent["localAuthorizationList"]
    assert entry == {"idToken": {"idToken": CARD, "type": "ISO14443"}, "idTokenInfo": {"status": "Accepted"}}
