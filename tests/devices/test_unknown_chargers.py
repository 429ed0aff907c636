"""Chargers that nobody has added: refused or held, remembered either way, and never relieved of what they have recorded."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.database import Database
from app.redis_bus import RedisBus
from devices.knocks import MOST_OF_ADDRESS as MOST_NOTED_OF_ADDRESS
from devices.knocks import MOST_WAITING, Knocks
from devices.ocpp.adapter import ADAPTERS
from devices.service import DeviceOptions
from devices.waiting_room import (
    FRAMES_A_MINUTE,
    HELD_FOR_S,
    MOST_HELD,
    MOST_OF_ADDRESS,
    SILENT_AFTER_S,
    HeldLink,
    WaitingRoom,
)
from domain import sql
from domain.clock import Clock
from domain.equipment.adoption import OfferedPassword, adopt_charger
from domain.equipment.chargers import NewCharger
from domain.equipment.stations import hash_charger_key
from domain.equipment.unknown_chargers import Knock
from domain.models import ChargeSession, Station, UnknownCharger
from tests.devices.server import (
    LIMIT_S,
    SECRET,
    Registered,
    Server,
    a_raw_charger,
    a_raw_socket,
    a_server,
    authorization,
)
from tests.factories import NOW, Town, a_town
from tests.fakes import HandClock, RecordingBus, UnlimitedAttempts

PASSWORD = "set by the installer"
BOOT = {
    "chargePointVendor": "Acme",
    "chargePointModel": "One",
    "chargePointSerialNumber": "SN-1",
    "firmwareVersion": "1.2.3",
}
START = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 100, "timestamp": "2026-03-01T12:00:00Z"}
STOP = {"transactionId": 7, "meterStop": 200, "timestamp": "2026-03-01T13:00:00Z"}
METER = {
    "connectorId": 1,
    "transactionId": 7,
    "meterValue": [{"timestamp": "2026-03-01T12:30:00Z", "sampledValue": [{"value": "150"}]}],
}
EVENT = {
    "eventType": "Started",
    "timestamp": "2026-03-01T12:00:00Z",
    "triggerReason": "Authorized",
    "seqNo": 0,
    "transactionInfo": {"transactionId": "t1"},
}
BOOT201 = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "One"}}


@pytest.fixture
async def refusing(database: Database, bus: RedisBus) -> AsyncIterator[Server]:
    async with a_server(bus, options=DeviceOptions(check_every_s=3600, look_every_s=0.02)) as running:
        yield running


@pytest.fixture
async def holding(database: Database, bus: RedisBus) -> AsyncIterator[Server]:
    options = DeviceOptions(check_every_s=3600, look_every_s=0.02, holds_unknown=True)
    async with a_server(bus, options=options) as running:
        yield running


async def remembered(identity: str, holds: Callable[[UnknownCharger], bool] = lambda _: True) -> UnknownCharger:
    """The row of that identity, once it is so."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            row = await UnknownCharger.get_or_none(identity=identity)
            if row is not None and holds(row):
                return row
            await asyncio.sleep(0.01)


async def refused(server: Server, identity: str, headers: dict[str, str], *protocols: str) -> int:
    with pytest.raises(InvalidStatus) as caught:
        await connect(server.url(identity), additional_headers=headers, subprotocols=list(protocols) or None)  # type: ignore[arg-type]  # names
    return caught.value.response.status_code


def offering(identity: str, password: str = PASSWORD) -> dict[str, str]:
    return authorization(identity, password)


async def adopted(town: Town, identity: str, offered: OfferedPassword) -> Registered:
    """The charger as its installer has it now."""
    made = await adopt_charger(
        await town.access("SERVICE"),
        town.site.root_id,
        NewCharger(name="Space 3", identity=identity),
        offered,
        attempts=UnlimitedAttempts(),
        secret=SECRET,
        bus=RecordingBus(),
    )
    station = await Station.get(identity=identity)
    return Registered(made.charger_id, station.id, identity, made.password or PASSWORD)


async def test_who_is_refused_is_remembered(refusing: Server) -> None:
    """With how often, from where and by which protocol; what it offered as a password is not."""
    for _ in range(2):
        assert await refused(refusing, "GARAGE-07", offering("GARAGE-07"), "ocpp2.0.1") == 401
    assert await refused(refusing, "GARAGE-08", {}, "ocpp9") == 401
    row = await remembered("GARAGE-07", lambda found: found.attempts == 2)
    assert (row.address, row.protocol, row.password_hash) == ("127.0.0.1", "ocpp2.0.1", None)
    assert (await remembered("GARAGE-08")).protocol is None
    assert refusing.service.counts["unknown chargers refused"] == 3


@pytest.mark.parametrize("how", ["another's name", "no header of Basic", "not base64"])
async def test_whoever_is_not_who_it_says_is_not_held(holding: Server, how: str) -> None:
    """It is refused as by a wrong password, remembered, and its password is not."""
    headers = {
        "another's name": authorization("GARAGE-08", PASSWORD),
        "no header of Basic": {"Authorization": "Bearer x"},
        "not base64": {"Authorization": "Basic ***"},
    }[how]
    assert await refused(holding, "GARAGE-07", headers, "ocpp1.6") == 401
    assert (await remembered("GARAGE-07")).password_hash is None
    assert holding.service.held_count == 0


async def test_a_wrong_password_at_a_known_charger_is_refused_where_others_are_held(holding: Server) -> None:
    """It is counted, and nobody is remembered as unknown."""
    charger = await adopted_by_hand(holding)
    for headers in (offering(charger.identity, "another password"), {}):
        assert await refused(holding, charger.identity, headers, "ocpp1.6") == 401
    assert holding.service.counts["passwords wrong"] == 2
    assert await refused(holding, "GARAGE-08", offering("GARAGE-09"), "ocpp1.6") == 401
    await remembered("GARAGE-08")
    assert await UnknownCharger.filter(identity=charger.identity).count() == 0


async def adopted_by_hand(server: Server) -> Registered:
    """A charger that knocked and that somebody adopted."""
    town = await a_town()
    async with a_raw_socket(server, "GARAGE-07", offering("GARAGE-07")):
        await remembered("GARAGE-07")
        return await adopted(town, "GARAGE-07", OfferedPassword(typed=PASSWORD))


async def test_a_held_charger_is_told_to_be_patient(holding: Server) -> None:
    """OCPP 1.6: boot is answered Pending with an interval, heartbeat with the time, everything else with SecurityError."""
    async with a_raw_socket(holding, "GARAGE-07", offering("GARAGE-07")) as raw:
        answer = await raw.call("BootNotification", BOOT)
        assert (answer["status"], answer["interval"]) == ("Pending", 30)
        assert "currentTime" in await raw.call("Heartbeat", {})
        for action, payload in (
            ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}),
            ("Authorize", {"idTag": "04A1B2C3"}),
            ("DataTransfer", {"vendorId": "Acme"}),
        ):
            assert (await raw.frame(action, payload))[:3:2] == [4, "SecurityError"]
        assert (await raw.frame("Nonsense", {}))[2] == "NotImplemented"
        await raw.socket.send("[2]")
        await raw.socket.send(b"\xff\xfe")
        await raw.socket.send(json.dumps([3, "nothing", {}]))
        assert "currentTime" in await raw.call("Heartbeat", {})
        assert raw.calls.empty()
        assert holding.service.held_count == 1
    row = await remembered("GARAGE-07", lambda found: found.vendor is not None)
    assert (row.vendor, row.model, row.serial_number, row.firmware_version) == ("Acme", "One", "SN-1", "1.2.3")
    assert (row.attempts, row.password_hash) == (1, hash_charger_key(PASSWORD, SECRET))


async def test_a_held_charger_of_2_0_1_is_told_to_be_patient(holding: Server) -> None:
    """B02: Pending with an interval, and SecurityError for what may not be said before."""
    async with a_raw_socket(holding, "GARAGE-07", {}, subprotocols=("ocpp2.0.1",)) as raw:
        answer = await raw.call("BootNotification", BOOT201)
        assert (answer["status"], answer["interval"]) == ("Pending", 30)
        assert "currentTime" in await raw.call("Heartbeat", {})
        token = {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}}
        assert (await raw.frame("Authorize", token))[2] == "SecurityError"
    row = await remembered("GARAGE-07", lambda found: found.vendor is not None)
    assert (row.protocol, row.password_hash) == ("ocpp2.0.1", None)


@pytest.mark.parametrize(
    ("protocol", "action", "payload"),
    [
        ("ocpp1.6", "StartTransaction", START),
        ("ocpp1.6", "StopTransaction", STOP),
        ("ocpp1.6", "MeterValues", METER),
        ("ocpp2.0.1", "TransactionEvent", EVENT),
        ("ocpp2.0.1", "TransactionEvent", {**EVENT, "eventType": "Ended", "seqNo": 4}),
    ],
)
async def test_a_held_charger_keeps_what_it_recorded(
    holding: Server, protocol: str, action: str, payload: dict[str, Any]
) -> None:
    """A message of a transaction gets no answer and no error, which would make the charger drop it: the socket is closed instead."""
    async with a_raw_socket(holding, "GARAGE-07", {}, subprotocols=(protocol,)) as raw:
        answer = raw.begin(action, payload)
        async with asyncio.timeout(LIMIT_S):
            await raw.socket.wait_closed()
        assert not answer.done()
        assert raw.socket.close_code == 1013
    assert await ChargeSession.all().count() == 0


async def test_what_a_charger_recorded_is_stored_once_it_is_adopted(holding: Server) -> None:
    """It is sent off at the adoption, comes back with the password that it had, and its charge is there."""
    town = await a_town()
    async with a_raw_socket(holding, "GARAGE-07", offering("GARAGE-07")) as raw:
        await raw.call("BootNotification", BOOT)
        await remembered("GARAGE-07")
        charger = await adopted(town, "GARAGE-07", OfferedPassword(typed=PASSWORD))
        async with asyncio.timeout(LIMIT_S):
            await raw.socket.wait_closed()
        assert (raw.socket.close_code, raw.socket.close_reason) == (1001, "This charger is known now; come back.")
    async with a_raw_charger(holding, charger) as raw:
        assert (await raw.call("BootNotification", BOOT))["status"] == "Accepted"
        assert (await raw.call("StartTransaction", START))["transactionId"] > 0
    assert (await ChargeSession.get()).charger_id == charger.charger_id
    assert holding.service.held_count == 0


async def test_a_charger_that_another_process_holds_is_sent_off_too(holding: Server, bus: RedisBus) -> None:
    """Each process looks by itself who was added."""
    town = await a_town()
    options = DeviceOptions(check_every_s=3600, look_every_s=0.02, holds_unknown=True)
    async with a_server(bus, process="p2", options=options) as other, a_raw_socket(other, "GARAGE-07", {}) as raw:
        await remembered("GARAGE-07")
        charger = await adopted(town, "GARAGE-07", OfferedPassword(is_kept=False))
        async with asyncio.timeout(LIMIT_S):
            await raw.socket.wait_closed()
        assert raw.socket.close_code == 1001
    assert await refused(holding, "GARAGE-07", offering("GARAGE-07"), "ocpp1.6") == 401
    async with a_raw_charger(holding, charger) as raw:
        assert (await raw.call("BootNotification", BOOT))["status"] == "Accepted"


async def test_the_newest_socket_of_a_held_charger_counts(holding: Server) -> None:
    """The older one is closed, and its end does not give the newer one's place away."""
    async with a_raw_socket(holding, "GARAGE-07", {}) as first, a_raw_socket(holding, "GARAGE-07", {}) as second:
        async with asyncio.timeout(LIMIT_S):
            await first.socket.wait_closed()
        assert (await second.call("BootNotification", BOOT))["status"] == "Pending"
        assert holding.service.held_count == 1


async def test_one_address_does_not_fill_the_room(holding: Server) -> None:
    """Beyond ten of one address chargers are refused with 503, remembered, and let in when there is room again."""
    async with AsyncExitStack() as sockets:
        held = [
            await sockets.enter_async_context(a_raw_socket(holding, f"N{one}", {})) for one in range(MOST_OF_ADDRESS)
        ]
        assert await refused(holding, "GARAGE-07", {}, "ocpp1.6") == 503
        await remembered("GARAGE-07")
        await held[0].socket.close()
        async with asyncio.timeout(LIMIT_S):
            while holding.service.held_count == MOST_OF_ADDRESS:  # noqa: ASYNC110  the server tells nobody
                await asyncio.sleep(0.01)
        async with a_raw_socket(holding, "GARAGE-07", {}) as raw:
            assert (await raw.call("BootNotification", BOOT))["status"] == "Pending"


async def test_a_held_charger_has_to_speak_something_known(holding: Server) -> None:
    """Else it is told what is spoken here."""
    assert await refused(holding, "GARAGE-07", {}, "ocpp9") == 400
    await remembered("GARAGE-07")


@pytest.mark.parametrize("how", ["too much", "too often"])
async def test_a_held_charger_that_is_too_loud_is_closed(holding: Server, how: str) -> None:
    """A frame above 64 kB, or more than sixty a minute."""
    async with a_raw_socket(holding, "GARAGE-07", {}) as raw:
        for text in ["x" * 70_000] if how == "too much" else ["{}"] * (FRAMES_A_MINUTE + 1):
            await raw.socket.send(text)
        async with asyncio.timeout(LIMIT_S):
            await raw.socket.wait_closed()
        assert raw.socket.close_code == 1008


async def test_a_restart_sends_held_chargers_off(database: Database, bus: RedisBus) -> None:
    """With a reason."""
    options = DeviceOptions(check_every_s=3600, look_every_s=0.02, holds_unknown=True)
    async with AsyncExitStack() as later:
        async with a_server(bus, options=options) as running:
            raw = await later.enter_async_context(a_raw_socket(running, "GARAGE-07", {}))
            await raw.call("BootNotification", BOOT)
        async with asyncio.timeout(LIMIT_S):
            await raw.socket.wait_closed()
        assert raw.socket.close_code == 1001


class Silent:
    """A socket of a charger that says nothing, by which it is seen that it was closed."""

    def __init__(self) -> None:
        self.closed: list[int] = []
        self.answer_ping: Callable[[], None] = lambda: None
        self._is_over = asyncio.Event()

    async def receive_frame(self) -> str | bytes | None:
        await self._is_over.wait()
        return None

    async def send_frame(self, text: str) -> None:
        raise ConnectionError

    def send_now(self, text: str) -> bool:
        return False

    def keep_alive(self, ping_every_s: float | None, on_pong: Callable[[], None]) -> None:
        self.answer_ping = on_pong

    async def close(self, code: int, reason: str) -> None:
        self.closed.append(code)
        self._is_over.set()


def a_link(socket: Silent, clock: Clock, identity: str, address: str) -> HeldLink:
    counts: Counter[str] = Counter()
    return HeldLink(socket, ADAPTERS["ocpp1.6"], Knocks(counts), clock, counts, identity=identity, address=address)


async def test_a_room_has_so_many_places() -> None:
    """A hundred in a process, ten of an address or of a network of IPv6."""
    clock = HandClock(NOW)
    room = WaitingRoom(clock, Counter(), is_open=True, look_every_s=1)
    links = [a_link(Silent(), clock, f"N{one}", f"192.0.2.{one // 10}") for one in range(MOST_HELD)]
    assert all(map(room.admit, links))
    assert not room.admit(a_link(Silent(), clock, "ONE MORE", "192.0.2.200"))
    room.leave(links[0])
    assert not room.admit(a_link(Silent(), clock, "ONE MORE", "192.0.2.1"))
    assert room.admit(a_link(Silent(), clock, "ONE MORE", "2001:db8::1"))
    other = WaitingRoom(clock, Counter(), is_open=True, look_every_s=1)
    assert all(other.admit(a_link(Silent(), clock, f"N{one}", f"2001:db8::{one}")) for one in range(10))
    assert not other.admit(a_link(Silent(), clock, "N10", "2001:db8::ffff"))


@pytest.mark.usefixtures("database")
async def test_nobody_waits_for_ever() -> None:
    """Silence ends a wait after five minutes, and everybody's ends after an hour."""
    clock = HandClock(NOW)
    room = WaitingRoom(clock, Counter(), is_open=True, look_every_s=1)
    silent, lively = Silent(), Silent()
    links = [a_link(silent, clock, "SILENT", "192.0.2.1"), a_link(lively, clock, "LIVELY", "192.0.2.1")]
    async with asyncio.TaskGroup() as tasks:
        for link in links:
            assert room.admit(link)
            tasks.create_task(link.run())
        await asyncio.sleep(0)
        for _ in range(11):
            clock.advance(timedelta(seconds=SILENT_AFTER_S + 1))
            lively.answer_ping()
            await room.look()
            await asyncio.sleep(0)
        assert (silent.closed, lively.closed) == ([1001], [])
        clock.advance(timedelta(seconds=SILENT_AFTER_S + 1))
        lively.answer_ping()
        await room.look()
        await room.look()
    assert (silent.closed, lively.closed) == ([1001], [1001])
    assert 12 * (SILENT_AFTER_S + 1) > HELD_FOR_S > 11 * (SILENT_AFTER_S + 1)


def a_knock(identity: str, address: str, **given: Any) -> Knock:
    values: dict[str, Any] = {"at": NOW, "attempts": 1, **given}
    return Knock(identity=identity, address=address, **values)


async def test_a_flood_of_identities_costs_little(database: Database) -> None:
    """So many wait to be written, and so many of one address; the others are counted and not noted. Those that wait may come again."""
    counts: Counter[str] = Counter()
    knocks = Knocks(counts)
    for number in range(1_000):
        knocks.note(a_knock(f"FLOOD-{number}", "192.0.2.1"))
    assert counts["knocks not noted"] == 1_000 - MOST_NOTED_OF_ADDRESS
    for number in range(1_000):
        knocks.note(a_knock(f"N{number}", f"198.51.100.{number % 250}"))
    knocks.note(a_knock("N0", "198.51.100.0"))
    await knocks.write()
    assert await UnknownCharger.all().count() == MOST_WAITING
    assert (await UnknownCharger.get(identity="N0")).attempts == 2
    knocks.note(a_knock("FLOOD-999", "192.0.2.1"))
    await knocks.write()
    assert await UnknownCharger.filter(identity="FLOOD-999").count() == 1


async def test_knocks_before_a_writing_are_one(database: Database) -> None:
    """What was told once stays, the first password stays, and a second one is told."""
    knocks = Knocks(Counter())
    knocks.note(a_knock("GARAGE-07", "192.0.2.1", password_hash="a" * 64, protocol="ocpp1.6"))
    knocks.note(a_knock("GARAGE-07", "192.0.2.1", attempts=0, vendor="Acme"))
    knocks.note(a_knock("GARAGE-07", "192.0.2.2", password_hash="b" * 64))
    knocks.note(a_knock("GARAGE-07", "192.0.2.2", password_hash="a" * 64))
    await knocks.write()
    row = await UnknownCharger.get()
    assert (row.attempts, row.address, row.vendor, row.protocol) == (3, "192.0.2.2", "Acme", "ocpp1.6")
    assert (row.password_hash, row.is_contested) == ("a" * 64, True)


async def test_knocks_wait_while_the_database_is_away(database: Database) -> None:
    """They are written when it is back, with those that came meanwhile."""
    knocks = Knocks(Counter())
    knocks.note(a_knock("GARAGE-07", "192.0.2.1"))
    await sql.execute("ALTER TABLE unknown_chargers RENAME TO away")
    await knocks.write()
    knocks.note(a_knock("GARAGE-07", "192.0.2.1"))
    await sql.execute("ALTER TABLE away RENAME TO unknown_chargers")
    await knocks.write()
    assert (await UnknownCharger.get()).attempts == 2
