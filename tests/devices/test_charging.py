"""Charges over real sockets: durable before they are answered, told once however often they are said, commanded from afar."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tortoise import connections
from tortoise.transactions import in_transaction
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.database import Database
from app.redis_bus import RedisBus
from domain import sql
from domain.alerting.faults import KINDS
from domain.events import ChargerStatusChanged, decode, installation_channel
from domain.ids import new_id
from domain.models import Alert, ChargerStatus, ChargeSession, Command, EnergyInterval, Station
from domain.ports import (
    DeviceAnswer,
    DeviceVerdict,
    OfferCurrent,
    OfferStep,
    Restart,
    StartCharging,
    StopCharging,
    Unlock,
)
from domain.roles import AlertKind, AlertState, CommandAction, CommandState, Role, SessionFlag, SessionState
from tests.devices.server import (
    CARD,
    RawCharger,
    Registered,
    Server,
    a_raw_charger,
    a_registered_charger,
    a_server,
    authorization,
)
from tests.factories import Site, a_grant, a_person, a_site
from tests.fakes import NoPool


@pytest.fixture
async def raw(server: Server, charger: Registered) -> AsyncIterator[RawCharger]:
    async with a_raw_charger(server, charger) as connected:
        yield connected


def stamp() -> str:
    return datetime.now(UTC).isoformat()  # noqa: TID251  what a real charger says


def start_payload(card: str = CARD, *, meter: int = 1000, timestamp: str | None = None) -> dict[str, Any]:
    return {"connectorId": 1, "idTag": card, "meterStart": meter, "timestamp": timestamp or stamp()}


async def begin(raw: RawCharger, **how: Any) -> int:
    answer = await raw.call("StartTransaction", start_payload(**how))
    assert answer["idTagInfo"] == {"status": "Accepted"}
    transaction_id: int = answer["transactionId"]
    return transaction_id


def meter_values(transaction_id: int, register_wh: int) -> dict[str, Any]:
    values = [
        {"value": str(register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "11000", "measurand": "Power.Active.Import", "unit": "W"},
        *({"value": "16", "measurand": "Current.Import", "phase": phase, "unit": "A"} for phase in ("L1", "L2", "L3")),
    ]
    return {
        "connectorId": 1,
        "transactionId": transaction_id,
        "meterValue": [{"timestamp": stamp(), "sampledValue": values}],
    }


async def test_start_meter_and_stop_are_durable_when_answered(raw: RawCharger, charger: Registered) -> None:
    """Whatever was acknowledged is in the database at that moment."""
    assert (await raw.call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "X"}))[
        "status"
    ] == "Accepted"
    assert (await raw.call("Authorize", {"idTag": CARD}))["idTagInfo"]["status"] == "Accepted"
    transaction_id = await begin(raw)
    session = await ChargeSession.get(station_id=charger.station_id)
    assert (session.transaction_id, session.state) == (str(transaction_id), SessionState.ACTIVE)
    assert await raw.call("MeterValues", meter_values(transaction_id, 1020)) == {}
    live = await ChargerStatus.get(charger_id=charger.charger_id)
    assert (live.power_w, live.current_l3, live.session_energy_wh) == (11000.0, 16.0, 20)
    await raw.call(
        "StopTransaction", {"transactionId": transaction_id, "meterStop": 1050, "timestamp": stamp(), "reason": "Local"}
    )
    session = await ChargeSession.get(id=session.id)
    assert (session.state, session.energy_wh) == (SessionState.ENDED, 50)
    assert sum([part.energy_wh for part in await EnergyInterval.filter(session_id=session.id)]) == 50
    assert (await Station.get(id=charger.station_id)).vendor == "Acme"


async def test_retries_with_new_message_ids_change_nothing(raw: RawCharger, charger: Registered) -> None:
    """The same start and the same stop under other message ids are the same session."""
    payload = start_payload()
    ids = [(await raw.call("StartTransaction", payload))["transactionId"] for _ in range(3)]
    assert ids == [1, 1, 1]
    stop = {"transactionId": 1, "meterStop": 1010, "timestamp": stamp()}
    for _ in range(3):
        await raw.call("StopTransaction", stop)
    session = await ChargeSession.get(station_id=charger.station_id)
    assert session.energy_wh == 10


@pytest.mark.parametrize("transaction_id", [0, -1, 4711])
async def test_a_stop_with_an_unknown_transaction_is_kept(
    raw: RawCharger, charger: Registered, transaction_id: int
) -> None:
    """It is acknowledged, and there is a session with START_UNKNOWN."""
    answer = await raw.call(
        "StopTransaction", {"transactionId": transaction_id, "meterStop": 500, "timestamp": stamp(), "idTag": "AAAA"}
    )
    assert answer == {}
    session = await ChargeSession.get(station_id=charger.station_id)
    assert SessionFlag.START_UNKNOWN in session.flag_set


async def test_what_happened_before_the_connection_is_offline(raw: RawCharger, charger: Registered) -> None:
    """A charge delivered after an outage is flagged OFFLINE with its right dates."""
    transaction_id = await begin(raw, timestamp="2026-06-01T10:00:00Z")
    await raw.call(
        "StopTransaction", {"transactionId": transaction_id, "meterStop": 1500, "timestamp": "2026-06-01T11:00:00Z"}
    )
    session = await ChargeSession.get(station_id=charger.station_id)
    assert session.flag_set == SessionFlag.OFFLINE
    assert session.ended_at == datetime(2026, 6, 1, 11, tzinfo=UTC)


async def test_a_charge_survives_a_broken_link(server: Server, charger: Registered) -> None:
    """The link dies in the middle of a charge; over the next one the same session goes on and ends."""
    async with a_raw_charger(server, charger) as first:
        transaction_id = await begin(first)
        first.socket.transport.abort()
    async with a_raw_charger(server, charger) as second:
        await second.call("MeterValues", meter_values(transaction_id, 1005))
        await second.call("StopTransaction", {"transactionId": transaction_id, "meterStop": 1007, "timestamp": stamp()})
    session = await ChargeSession.get(station_id=charger.station_id)
    assert (session.state, session.energy_wh) == (SessionState.ENDED, 7)


async def test_no_answer_before_the_commit(raw: RawCharger, charger: Registered, database: Database) -> None:
    """While the database holds the batch up, a start has no answer; then it comes."""
    async with in_transaction():
        await sql.execute("UPDATE charger_statuses SET version = version WHERE charger_id = $1", charger.charger_id)
        answer = raw.begin("StartTransaction", start_payload())
        done, _ = await asyncio.wait([answer], timeout=0.3)
        assert not done
    async with asyncio.timeout(5):
        assert (await answer)[0] == 3
    assert await ChargeSession.filter(station_id=charger.station_id).count() == 1


async def test_answers_keep_the_order_of_the_questions(raw: RawCharger) -> None:
    """Messages of one charger are worked on in order, however many wait."""
    transaction_id = await begin(raw)
    answers = [raw.begin("MeterValues", meter_values(transaction_id, 1000 + n)) for n in range(300)]
    async with asyncio.timeout(30):
        frames = await asyncio.gather(*answers)
    assert all(frame == [3, frame[1], {}] for frame in frames)
    assert (await ChargeSession.get(transaction_id=str(transaction_id))).energy_wh == 299


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
    answer = await server.service.commands.send(charger.charger_id, StartCharging("APPTOKEN"), timeout_s=5)
    assert answer == DeviceAnswer(DeviceVerdict.ACCEPTED, "Accepted")
    asked = await raw.next_call("RemoteStartTransaction")
    assert asked == {"connectorId": 1, "idTag": "APPTOKEN"}
    transaction_id = await begin(raw, card="APPTOKEN")
    assert (await Command.get(id=command.id)).state is CommandState.CONFIRMED
    assert (await ChargeSession.get(station_id=charger.station_id)).user_id == user_id
    answer = await server.service.commands.send(charger.charger_id, StopCharging(str(transaction_id)), timeout_s=5)
    assert answer.verdict is DeviceVerdict.ACCEPTED
    assert await raw.next_call("RemoteStopTransaction") == {"transactionId": transaction_id}


async def test_one_call_of_ours_at_a_time(server: Server, raw: RawCharger, charger: Registered) -> None:
    """The second command goes out when the first was answered."""
    del raw.answers["Reset"]
    send = server.service.commands.send
    first = asyncio.create_task(send(charger.charger_id, Restart(), timeout_s=5))
    message_id, action, _ = await raw.calls.get()
    assert action == "Reset"
    second = asyncio.create_task(
        send(charger.charger_id, OfferCurrent((OfferStep(0, 10.0),), transaction_id=None), timeout_s=5)
    )
    assert (await raw.call("Heartbeat", {})).keys() == {"currentTime"}
    assert raw.calls.empty()
    await raw.socket.send(json.dumps([3, message_id, {"status": "Rejected"}]))
    assert await first == DeviceAnswer(DeviceVerdict.REJECTED, "Rejected")
    assert (await second).verdict is DeviceVerdict.ACCEPTED


async def test_a_command_to_an_offline_charger(server: Server, charger: Registered) -> None:
    """It is told at once that nothing was sent."""
    answer = await server.service.commands.send(charger.charger_id, Unlock(), timeout_s=5)
    assert answer.verdict is DeviceVerdict.OFFLINE


async def test_a_charger_that_does_not_answer_in_time(server: Server, raw: RawCharger, charger: Registered) -> None:
    """The asker has TIMEOUT by its own limit; a late answer harms nobody."""
    raw.answers.clear()
    answer = await server.service.commands.send(charger.charger_id, Unlock(), timeout_s=0.2)
    assert answer.verdict is DeviceVerdict.TIMEOUT
    message_id, _, _ = await raw.calls.get()
    await raw.socket.send(json.dumps([3, message_id, {"status": "Unlocked"}]))
    assert "currentTime" in await raw.call("Heartbeat", {})


async def test_commands_end_with_the_connection(server: Server, raw: RawCharger, charger: Registered) -> None:
    """A command that is out when the charger goes is told so."""
    raw.answers.clear()
    waiting = asyncio.create_task(server.service.commands.send(charger.charger_id, Unlock(), timeout_s=20))
    await raw.calls.get()
    await raw.socket.close()
    assert (await waiting).verdict is DeviceVerdict.OFFLINE


async def test_commands_find_the_process_that_holds_the_socket(
    database: Database, bus: RedisBus, redis_url: str
) -> None:
    """A command asked of one process reaches a charger that is connected to another."""
    site = await a_site()
    charger = await a_registered_charger(site)
    async with RedisBus(redis_url) as other_bus, a_server(bus) as here, a_server(other_bus, process="p2") as there:
        async with a_raw_charger(there, charger) as raw:
            await raw.call("Heartbeat", {})
            answer = await here.service.commands.send(charger.charger_id, Restart(), timeout_s=5)
            assert answer == DeviceAnswer(DeviceVerdict.ACCEPTED, "Accepted")
            assert await raw.next_call("Reset") == {"type": "Soft"}
        # A process that is stored as the owner but is gone hears nothing.
        await Station.filter(id=charger.station_id).update(is_connected=True, process="p3")
        answer = await here.service.commands.send(charger.charger_id, Restart(), timeout_s=5)
        assert answer.verdict is DeviceVerdict.OFFLINE


async def test_a_booted_charger_is_configured_and_a_reconnected_one_is_asked(
    server: Server, charger: Registered
) -> None:
    """After a boot the sampling interval is set; without one the status is asked for."""
    async with a_raw_charger(server, charger) as raw:
        await raw.call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "X"})
        assert await raw.next_call("ChangeConfiguration") == {"key": "MeterValueSampleInterval", "value": "30"}
    async with a_raw_charger(server, charger) as raw:
        assert await raw.next_call("TriggerMessage") == {"requestedMessage": "StatusNotification", "connectorId": 1}


async def test_live_events_carry_the_whole_state(
    server: Server, raw: RawCharger, charger: Registered, bus: RedisBus, site: Site
) -> None:
    """What is published after the commit says everything, with a version that rises."""
    async with bus.subscribe(installation_channel(site.id)) as messages:
        transaction_id = await begin(raw)
        await raw.call("MeterValues", meter_values(transaction_id, 1100))
        seen = []
        async with asyncio.timeout(5):
            async for message in messages:
                event = decode(message)
                if isinstance(event, ChargerStatusChanged):
                    seen.append(event)
                    if event.session_energy_wh == 100:
                        break
    assert [one.version for one in seen] == sorted({one.version for one in seen})
    last = seen[-1]
    assert (last.is_online, last.power_w, last.currents) == (True, 11000.0, (16.0, 16.0, 16.0))
    assert last.session_id == (await ChargeSession.get(station_id=charger.station_id)).id


@pytest.mark.parametrize(("code", "kind"), sorted(KINDS.items()))
async def test_every_fault_that_a_charger_tells_of_is_an_alert_until_it_says_otherwise(
    raw: RawCharger, charger: Registered, code: str, kind: AlertKind
) -> None:
    """Twice told it is one alert; its own NoError resolves it."""
    status = {"connectorId": 1, "errorCode": code, "status": "Faulted"}
    for _ in range(2):
        await raw.call("StatusNotification", {**status, "timestamp": stamp()})
    await raw.call("Authorize", {"idTag": "sync"})
    alert = await Alert.get(charger_id=charger.charger_id)
    assert (alert.kind, alert.state) == (kind, AlertState.OPEN)
    await raw.call(
        "StatusNotification", {**status, "errorCode": "NoError", "status": "Available", "timestamp": stamp()}
    )
    await raw.call("Authorize", {"idTag": "sync"})
    assert (await Alert.get(id=alert.id)).state is AlertState.RESOLVED


async def test_while_the_database_is_away_chargers_are_sent_off(
    server: Server, charger: Registered, backend: str
) -> None:
    """Open sockets are closed, the upgrade answers 503, nothing is acknowledged; afterwards the same message is stored."""
    if backend != "postgresql":
        return  # A file is never away.
    async with a_raw_charger(server, charger) as raw:
        await raw.call("Heartbeat", {})
        client = connections.get("default")
        pool, client._pool = client._pool, NoPool()  # the pool of a database that is away
        try:
            raw.begin("StartTransaction", start_payload())
            async with asyncio.timeout(5):
                await raw.socket.wait_closed()
            assert raw.socket.close_code == 1013
            with pytest.raises(InvalidStatus) as caught:
                await connect(
                    server.url(charger.identity),
                    additional_headers=authorization(charger.identity, charger.password),
                    subprotocols=["ocpp1.6"],  # type: ignore[list-item]  # a name
                )
            assert caught.value.response.status_code == 503
        finally:
            client._pool = pool  # it is back
    async with a_raw_charger(server, charger) as raw:
        await begin(raw)


async def test_an_outdated_offer_is_not_sent(server: Server, raw: RawCharger, charger: Registered) -> None:
    """Once a newer balancer has spoken to a charger, a late word of an older one does not reach it; other sites' do."""

    async def offer(current_a: float, lease: str, fence: int) -> DeviceVerdict:
        command = OfferCurrent((OfferStep(0, current_a),), transaction_id=None, lease=lease, fence=fence)
        return (await server.service.commands.send(charger.charger_id, command, timeout_s=5)).verdict

    assert await offer(6.0, "balancer:1", 2) is DeviceVerdict.ACCEPTED
    assert await offer(32.0, "balancer:1", 1) is DeviceVerdict.ERROR
    assert await offer(7.0, "balancer:1", 2) is DeviceVerdict.ACCEPTED
    assert await offer(8.0, "balancer:2", 1) is DeviceVerdict.ACCEPTED
    limits = [
        (await raw.next_call("SetChargingProfile"))["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
        for _ in range(3)
    ]
    assert [periods[0]["limit"] for periods in limits] == [6.0, 7.0, 8.0]
