"""Who is let in, over which protocol, and what those who are not let in are told."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.database import Database
from app.redis_bus import RedisBus
from devices.service import DeviceOptions
from domain.equipment.stations import hash_charger_key, new_charger_key
from domain.events import ChargerStatusChanged, decode, installation_channel
from domain.models import ChargerStatus, Station
from tests.devices.server import (
    SECRET,
    Registered,
    Server,
    a_raw_charger,
    a_registered_charger,
    a_server,
    authorization,
)
from tests.factories import a_site


@pytest.fixture
async def charger(server: Server) -> Registered:
    return await a_registered_charger(await a_site())


async def refused(server: Server, identity: str, headers: dict[str, str], *protocols: str) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught:
        await connect(server.url(identity), additional_headers=headers, subprotocols=list(protocols) or None)  # type: ignore[arg-type]  # names
    response = caught.value.response
    return response.status_code, (response.body or b"").decode()


async def test_an_unknown_charger_is_told_what_to_do(server: Server) -> None:
    """A charger that nobody added gets 401 and words for an installer."""
    status, body = await refused(server, "nobody", authorization("nobody", "x"), "ocpp1.6")
    assert status == 401
    assert "Add the charger in the portal" in body


@pytest.mark.parametrize("how", ["wrong", "absent", "other user", "not basic"])
async def test_a_wrong_password_is_refused(server: Server, charger: Registered, how: str) -> None:
    """Without the charger's own password nobody gets in; unknown and wrong look the same."""
    headers = {
        "wrong": authorization(charger.identity, "no"),
        "absent": {},
        "other user": authorization("other", charger.password),
        "not basic": {"Authorization": "Bearer x"},
    }[how]
    status, body = await refused(server, charger.identity, headers, "ocpp1.6")
    assert (status, body) == await refused(server, "nobody", authorization("nobody", "x"), "ocpp1.6")


async def test_an_unknown_subprotocol_is_refused_with_the_known_ones(server: Server, charger: Registered) -> None:
    """A charger that speaks only what we do not is told what we do."""
    status, body = await refused(server, charger.identity, authorization(charger.identity, charger.password), "ocpp9")
    assert status == 400
    assert "ocpp1.6" in body


async def test_a_charger_without_a_subprotocol_speaks_1_6(server: Server, charger: Registered) -> None:
    """Firmware that leaves the header out is taken for OCPP 1.6 and works."""
    async with a_raw_charger(server, charger, subprotocols=()) as raw:
        assert raw.socket.subprotocol is None
        assert "currentTime" in await raw.call("Heartbeat", {})
    assert (await Station.get(id=charger.station_id)).protocol == "ocpp1.6"


async def test_the_key_may_come_raw_or_hex_encoded(server: Server, charger: Registered) -> None:
    """The same key as 16 raw bytes or as 32 hexadecimal digits in either case."""
    for password in (charger.password, charger.password.upper(), bytes.fromhex(charger.password)):
        async with a_raw_charger(server, charger, password=password) as raw:
            assert await raw.call("Heartbeat", {})


async def test_both_keys_work_until_the_new_one_is_used(server: Server, charger: Registered) -> None:
    """Rotation: the old password works until the first login with the new one, and never after it."""
    new = new_charger_key()
    await Station.filter(id=charger.station_id).update(next_password_hash=hash_charger_key(new, SECRET))
    for password in (charger.password, new):
        async with a_raw_charger(server, charger, password=password) as raw:
            assert await raw.call("Heartbeat", {})
    status, _ = await refused(server, charger.identity, authorization(charger.identity, charger.password), "ocpp1.6")
    assert status == 401


async def test_a_connected_charger_is_online_until_it_goes(server: Server, charger: Registered, bus: RedisBus) -> None:
    """Online is stored and told with the connection, offline with its end."""
    installation_id = (await ChargerStatus.get(charger_id=charger.charger_id)).installation_id
    async with bus.subscribe(installation_channel(installation_id)) as messages:
        async with a_raw_charger(server, charger) as raw:
            await raw.call("Heartbeat", {})
            station = await Station.get(id=charger.station_id)
            assert (station.is_connected, station.process, station.epoch) == (True, "p1", 1)
            assert (await ChargerStatus.get(charger_id=charger.charger_id)).is_online
        online = []
        async with asyncio.timeout(5):
            async for message in messages:
                event = decode(message)
                if isinstance(event, ChargerStatusChanged):
                    online.append((event.is_online, event.version))
                    if not event.is_online:
                        break
    assert online == [(True, 2), (False, 3)]
    assert not (await ChargerStatus.get(charger_id=charger.charger_id)).is_online
    assert server.service.connected_count == 0


async def test_the_newest_socket_wins(server: Server, charger: Registered) -> None:
    """A second socket of the same charger takes over; the first is closed, and its end does not take the second offline."""
    async with a_raw_charger(server, charger) as first:
        await first.call("Heartbeat", {})
        async with a_raw_charger(server, charger) as second:
            await second.call("Heartbeat", {})
            async with asyncio.timeout(5):
                await first.socket.wait_closed()
            assert first.socket.close_reason == "A newer connection of this charger took over."
            await second.call("Heartbeat", {})
            assert (await Station.get(id=charger.station_id)).is_connected
            assert server.service.connected_count == 1


async def test_malformed_frames_are_answered_and_harmless(server: Server, charger: Registered) -> None:
    """Random text, wrong arrays, unknown actions and binary frames get a CALLERROR where they can; the socket stays."""
    async with a_raw_charger(server, charger) as raw:
        for text in ("", "{}", "[]", "[2]", '[9,"x"]', '[3,"nothing",{}]', '[4,"nothing"]', "\x00", "[" * 5000):
            await raw.socket.send(text)
        await raw.socket.send(b"\xff\xfe")
        assert (await raw.frame("Nonsense", {}))[:3:2] == [4, "NotImplemented"]
        assert (await raw.frame("CancelReservation", {}))[2] == "NotSupported"
        assert "currentTime" in await raw.call("Heartbeat", {})
    assert server.service.counts["malformed"] >= 6


async def test_no_compression(server: Server, charger: Registered) -> None:
    """permessage-deflate is not negotiated: it more than doubles the memory of a connection."""
    headers = authorization(charger.identity, charger.password)
    async with connect(server.url(charger.identity), additional_headers=headers, compression="deflate") as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_a_restart_sends_chargers_off_and_marks_them_offline(database: Database, bus: RedisBus) -> None:
    """A server that stops closes its sockets with a reason and leaves no charger online."""
    async with a_server(bus) as running:
        charger = await a_registered_charger(await a_site())
        raw_charger = a_raw_charger(running, charger)
        raw = await raw_charger.__aenter__()
        await raw.call("Heartbeat", {})
    with pytest.raises(ConnectionClosed):
        await raw.socket.recv()
    await raw_charger.__aexit__(None, None, None)
    assert not (await Station.get(id=charger.station_id)).is_connected


async def test_a_link_that_was_taken_for_dead_is_closed(database: Database, bus: RedisBus) -> None:
    """Another process released this one's chargers during a stall: they come back over new connections, and can be commanded."""
    charger = await a_registered_charger(await a_site())
    async with (
        a_server(bus, options=DeviceOptions(check_every_s=0.05)) as server,
        a_raw_charger(server, charger) as raw,
    ):
        await raw.call("Heartbeat", {})
        await Station.filter(id=charger.station_id).update(is_connected=False)
        async with asyncio.timeout(5):
            await raw.socket.wait_closed()
        assert raw.socket.close_code == 1001
