"""The invariants of the device layer, I1 to I11 (docs/ocpp.md), each by its name, over real sockets and a real database."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from app.database import Database
from app.redis_bus import RedisBus
from balancing.allocate import make_ready
from balancing.loop import Balancer, BalancerPorts
from devices.service import DeviceOptions
from devices.simulator.fleet import Fleet
from devices.simulator.plan import ChargerPlan, Habits, Plan, Quirks
from domain import lifecycle, sql
from domain.clock import SystemClock
from domain.ids import new_id
from domain.models import ChargerStatus, ChargeSession, Command, OcppMessage, Station
from domain.ports import Restart, Trigger
from domain.roles import CommandAction, CommandState, Role, SessionState
from tests.devices.server import CARD, LIMIT_S, Registered, Server, a_raw_charger, a_registered_charger, a_server
from tests.factories import Site, a_card, a_grant, a_person, a_site

FUSE_A = 32.0
SLACK_A = 1e-9


@pytest.fixture
async def site(database: Database) -> Site:
    made = await a_site(breaker_a=FUSE_A)
    person = await a_person()
    await a_card(person, number=CARD)
    await a_grant(Role.USER, made, user_id=person)
    return made


def started(meter_wh: int = 1_000, *, card: str = CARD, minutes_ago: int = 30) -> dict[str, Any]:
    """A start of so long ago."""
    at = SystemClock().now() - timedelta(minutes=minutes_ago)
    return {"connectorId": 1, "idTag": card, "meterStart": meter_wh, "timestamp": at.isoformat()}


def ended(transaction_id: int, meter_wh: int = 3_000) -> dict[str, Any]:
    """An end of now."""
    return {"transactionId": transaction_id, "meterStop": meter_wh, "timestamp": SystemClock().now().isoformat()}


async def test_i1_what_is_acknowledged_is_durable(bus: RedisBus, charger: Registered) -> None:
    """A server that dies without a word right after its answers has lost nothing of what they acknowledge."""
    async with a_server(bus, is_orderly=False) as server, a_raw_charger(server, charger) as raw:
        transaction_id = (await raw.call("StartTransaction", started()))["transactionId"]
        await raw.call("StopTransaction", ended(transaction_id))
    session = await ChargeSession.get()
    assert (session.state, session.energy_wh) == (SessionState.ENDED, 2_000)


async def test_i2_one_physical_session_is_one_row(server: Server, charger: Registered) -> None:
    """However often its start and its end are told, under whatever ids, over whatever connections."""
    start, stop = started(), None
    for _ in range(2):
        async with a_raw_charger(server, charger) as raw:
            answers = [await raw.call("StartTransaction", start) for _ in range(3)]
            assert len({one["transactionId"] for one in answers}) == 1
            stop = stop or ended(answers[0]["transactionId"])
            for _ in range(3):
                await raw.call("StopTransaction", stop)
    assert [row.energy_wh for row in await ChargeSession.all()] == [2_000]


async def test_i3_the_energy_of_all_sessions_is_the_fleets_own_account(server: Server, site: Site) -> None:
    """To the Wh, though messages are repeated, answers lost and links broken."""
    quirks = Quirks(duplicate_rate=0.3, answer_loss_rate=0.2, disconnects_every_s=1.0, disconnected_for_s=0.2)
    fleet = await a_fleet(server, site, quirks, count=4)
    ledger = await fleet.run(duration_s=4.0)
    row = await sql.row("SELECT COUNT(*) AS sessions, SUM(energy_wh) AS wh FROM charge_sessions")
    assert row is not None
    assert (row["sessions"], int(row["wh"])) == (len(ledger.sessions), ledger.energy_wh())
    assert len(ledger.ended()) == len(ledger.sessions) > 4


async def a_fleet(server: Server, site: Site, quirks: Quirks, *, count: int) -> Fleet:
    """Simulated chargers in both versions, with cars that come and go."""
    chargers = [await a_registered_charger(site, f"Space {number}") for number in range(count)]
    await sql.execute("UPDATE installations SET allows_concurrent = $2 WHERE id = $1", site.id, True)
    plans = tuple(
        ChargerPlan(
            identity=one.identity,
            password=one.password,
            protocol=("ocpp1.6", "ocpp2.0.1")[number % 2],
            quirks=quirks,
        )
        for number, one in enumerate(chargers)
    )
    plan = Plan(
        chargers=plans,
        habits=Habits(stay_s=(0.5, 2.0), away_s=(0.1, 0.4), id_tags=(CARD,)),
        step_s=0.05,
        sample_every_s=1,
        connect_over_s=0.2,
        retry_after_s=0.05,
        reconnect_after_s=(0.05, 0.2),
        drain_s=20.0,
    )
    return Fleet(f"ws://127.0.0.1:{server.port}/ocpp", plan, seed=9)


async def test_i4_one_owner_at_a_time(server: Server, bus: RedisBus, charger: Registered) -> None:
    """The newest connection owns the station: the older process neither reaches it nor takes it offline."""
    async with a_server(bus, process="p2") as second, a_raw_charger(server, charger) as old:
        first_epoch = (await Station.get(id=charger.station_id)).epoch
        async with a_raw_charger(second, charger) as new:
            where = (await lifecycle.whereabouts([charger.charger_id]))[charger.charger_id]
            assert where is not None
            assert (where.process, where.epoch) == ("p2", first_epoch + 1)
            assert await lifecycle.disconnected({charger.station_id: first_epoch}, now=SystemClock().now()) == []
            old.begin("StartTransaction", started())
            async with asyncio.timeout(LIMIT_S):
                await old.socket.wait_closed()
            assert (await new.call("StartTransaction", started(7)))["transactionId"] > 0
    assert [row.meter_start_wh for row in await ChargeSession.all()] == [7]


async def test_i5_one_call_is_out_at_a_time(server: Server, charger: Registered) -> None:
    """In our direction the next goes out when the one before was answered; a charger's own calls are answered in their order."""
    async with a_raw_charger(server, charger) as raw:
        del raw.answers["Reset"]
        asked = [
            asyncio.create_task(server.service.commands.send(charger.charger_id, Restart(), timeout_s=LIMIT_S))
            for _ in range(3)
        ]
        answered = 0
        while answered < len(asked):
            message_id, action, _ = await raw.calls.get()
            if action != "Reset":
                continue
            await raw.call("Heartbeat", {})
            waiting = [raw.calls.get_nowait()[1] for _ in range(raw.calls.qsize())]
            assert "Reset" not in waiting
            await raw.socket.send(json.dumps([3, message_id, {"status": "Accepted"}]))
            answered += 1
        await asyncio.gather(*asked)
        order = [raw.begin("Heartbeat", {}, message_id=f"h{number}") for number in range(20)]
        answers = await asyncio.gather(*order)
        assert [one[1] for one in answers] == [f"h{number}" for number in range(20)]


ODD: Mapping[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "ocpp1.6": (
        ("StartTransaction", {}),
        ("StartTransaction", {"connectorId": "one", "idTag": 4711, "meterStart": "x", "timestamp": "yesterday"}),
        ("StopTransaction", {"transactionId": -1, "meterStop": None, "timestamp": ""}),
        ("StopTransaction", {"transactionId": "abc", "reason": "Boredom", "transactionData": [1, {}]}),
        ("MeterValues", {"connectorId": 77, "meterValue": "none"}),
        ("MeterValues", {"meterValue": [{"timestamp": "+02", "sampledValue": [{"value": "4e12"}]}]}),
    ),
    "ocpp2.0.1": (
        ("TransactionEvent", {}),
        ("TransactionEvent", {"eventType": "Started", "transactionInfo": {"transactionId": 5}, "seqNo": "x"}),
        ("TransactionEvent", {"eventType": "Exploded", "timestamp": "never", "meterValue": [None]}),
        ("MeterValues", {"evseId": -3, "meterValue": [{"sampledValue": {}}]}),
    ),
}


@pytest.mark.parametrize("protocol", ODD)
async def test_i6_no_transaction_message_gets_an_error(server: Server, charger: Registered, protocol: str) -> None:
    """Firmware drops a charge after three errors: whatever can be understood at all is acknowledged."""
    async with a_raw_charger(server, charger, subprotocols=(protocol,)) as raw:
        for action, payload in ODD[protocol]:
            frame = await raw.frame(action, payload)
            assert frame[0] == 3, (action, payload, frame)


async def test_i7_live_status_never_goes_back(server: Server, charger: Registered) -> None:
    """A status that was queued is answered and changes nothing that shows."""
    now = SystemClock().now()
    async with a_raw_charger(server, charger) as raw:
        for status, minutes_ago in (("Charging", 1), ("Available", 30), ("Preparing", 2)):
            at = (now - timedelta(minutes=minutes_ago)).isoformat()
            told = {"connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": at}
            await raw.call("StatusNotification", told)
        await raw.call("StartTransaction", started())
    assert (await ChargerStatus.get(charger_id=charger.charger_id)).connector_status.value == "CHARGING"


async def test_i8_every_command_ends_by_its_deadline(server: Server, charger: Registered) -> None:
    """Whatever state it is in, and whether or not the charger says anything."""
    now = SystemClock().now()
    for state in (CommandState.QUEUED, CommandState.SENT, CommandState.ACCEPTED):
        await Command.create(
            id=new_id(),
            installation_id=new_id(),
            charger_id=charger.charger_id,
            action=CommandAction.RESTART,
            state=state,
            requested_at=now,
            deadline=now + timedelta(seconds=60),
        )
    assert await lifecycle.expire_commands(now=now + timedelta(seconds=59)) == []
    await lifecycle.expire_commands(now=now + timedelta(seconds=60))
    assert all(row.state.is_final for row in await Command.all())
    async with a_raw_charger(server, charger) as raw:
        raw.answers.clear()
        async with asyncio.timeout(LIMIT_S):
            await server.service.commands.send(charger.charger_id, Trigger("Heartbeat"), timeout_s=0.2)


async def test_i9_what_is_offered_never_passes_the_fuse(bus: RedisBus, site: Site) -> None:
    """On every line at every instant, while cars come and go, answers take their time or are lost, and links break: from the first
    moment on, though chargers know no limit yet and would begin at their own maximum.
    """
    make_ready()
    quirks = Quirks(answer_loss_rate=0.1, answer_delay_s=0.15)
    async with a_server(bus, options=DeviceOptions(check_every_s=3600, limit_awaited_s=60.0)) as server:
        fleet = await a_fleet(server, site, quirks, count=5)
        for charger in fleet.chargers.values():
            # Off the net they let nobody in before they are told whom: nobody could hold them back.
            charger.station.local_list_version = 1
        ports = BalancerPorts(commands=server.service.commands, bus=bus, clock=SystemClock(), show=_show)
        helping = [
            asyncio.create_task(Balancer(ports, holder="i9").run()),
            asyncio.create_task(_break_links(fleet, every_s=0.6)),
            asyncio.create_task(_end_once_offered(fleet, after_s=8.0)),
        ]
        try:
            ledger = await fleet.run(duration_s=60.0)
        finally:
            for task in helping:
                task.cancel()
            await asyncio.gather(*helping, return_exceptions=True)
    loads = [max(lines) for _, lines in ledger.line_loads()]
    assert max(loads) <= FUSE_A + SLACK_A
    assert max(loads) > 0


async def _end_once_offered(fleet: Fleet, *, after_s: float) -> None:
    """Where little goes on in that time, as soon as any car was offered anything."""
    clock = SystemClock()
    await clock.sleep(after_s)
    while not any(any(change.usable) for change in fleet.ledger.offers):
        await clock.sleep(0.1)
    fleet.stop()


async def _break_links(fleet: Fleet, *, every_s: float) -> None:
    """Of chargers that know a limit."""
    random, clock = Random(9), SystemClock()
    while True:
        await clock.sleep(every_s)
        for charger in random.sample(list(fleet.chargers.values()), 1):
            if charger.station.profiles.installed:
                charger.drop_connection(for_s=0.3)


async def _show(*_: object) -> None:
    """Nobody looks."""


async def test_i10_the_sessions_of_unknown_cards_are_kept(server: Server, charger: Registered) -> None:
    """The card is told that it is unknown; what was charged is recorded all the same."""
    async with a_raw_charger(server, charger) as raw:
        answer = await raw.call("StartTransaction", started(card="FFFF0000"))
        assert answer["idTagInfo"] == {"status": "Invalid"}
        await raw.call("StopTransaction", ended(answer["transactionId"]))
    session = await ChargeSession.get()
    assert (session.energy_wh, session.user_id, session.id_token) == (2_000, None, "FFFF0000")


async def test_i11_the_messages_behind_a_session_can_be_read(server: Server, charger: Registered) -> None:
    """From the moment of their answers on, for 30 days."""
    async with a_raw_charger(server, charger) as raw:
        transaction_id = (await raw.call("StartTransaction", started()))["transactionId"]
        stop = ended(transaction_id)
        await raw.call("StopTransaction", stop)
    kept = [row async for row in OcppMessage.filter(station_id=charger.station_id, is_from_charger=True)]
    assert json.loads(next(row.payload for row in kept if row.action == "StopTransaction")) == stop
    assert json.loads(next(row.payload for row in kept if row.action == "StartTransaction"))["meterStart"] == 1_000
