"""What comes to the door of chargers instead of a charger: each gets an answer, costs little, and changes nothing for the others."""

import asyncio
import base64
import random

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from devices.tallies import MOST_CHARGERS
from domain.models import Station
from tests.devices.server import (
    LIMIT_S,
    Registered,
    Server,
    a_raw_charger,
    a_raw_socket,
    a_registered_charger,
    authorization,
)
from tests.factories import a_site

UPGRADE = (
    "Host: lade.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


@pytest.fixture
async def charger(server: Server) -> Registered:
    return await a_registered_charger(await a_site(), identity="GARAGE-07")


async def answer(server: Server, target: bytes, *headers: str | bytes) -> tuple[int, str]:
    """Status and words for an upgrade by hand, after which the server has closed the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = [b"GET " + target + b" HTTP/1.1", *(one if isinstance(one, bytes) else one.encode() for one in headers)]
    try:
        async with asyncio.timeout(LIMIT_S):
            writer.write(b"\r\n".join([*lines, b"", b""]))
            received = await reader.read()
    finally:
        writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body.decode()


def basic(content: bytes) -> str:
    """A header with that between user name and password, or without."""
    return "Authorization: Basic " + base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "target",
    [
        "/ocpp",
        "/ocpp/",
        "/ocpp//",
        "/ocpp/a/b",
        "/ocpp/a%2Fb",
        "/ocpp/%00",
        "/ocpp/GARAGE-07%00",
        "/ocpp/GARAGE-07%0a",
        "/ocpp/%20GARAGE-07",
        "/ocpp/GARAGE%2007",
        "/ocpp/GAR%C3%85GE",
        "/ocpp/%ff%fe",
        "/ocpp/%EF%BC%A7ARAGE-07",
        "/ocpp/%",
        "/ocpp/%zz",
        "/ocpp/%2547ARAGE-07",
        "/ocpp/..%2f..%2fetc",
        "/ocpp/GARAGE-07#",
        "/ocpp/" + "x" * 49,
        "/ocpp/" + "x" * 7_000,
    ],
)
async def test_an_address_without_an_identity_is_told_so(server: Server, charger: Registered, target: str) -> None:
    """Empty, too long, or of other signs than an identity has: 404 with what to set, and nothing is remembered."""
    credentials = basic(f"{charger.identity}:{charger.password}".encode())
    status, words = await answer(server, target.encode(), *UPGRADE, credentials)
    assert (status, "no charger's identity at its end" in words) == (404, True)
    counts = server.service.counts
    assert (counts["upgrades refused 404"], counts["unknown chargers refused"]) == (1, 0)


@pytest.mark.parametrize("written", ["GARAGE%2D07", "%47ARAGE-07", "/GARAGE-07", "GARAGE-07/", "GARAGE-07?model=One"])
async def test_an_identity_may_be_written_in_several_ways(server: Server, charger: Registered, written: str) -> None:
    """With escapes (RFC 3986 §2.1), and as firmware makes it of an address that ends with a slash."""
    async with a_raw_socket(server, written, authorization(charger.identity, charger.password)) as raw:
        assert "currentTime" in await raw.call("Heartbeat", {})
    assert server.service.counts["leniency slashes around an identity"] == ("/" in written)


@pytest.mark.parametrize("identity", ["garage-07", "GARAGE-7", "GARAGE-077", "GARAGE-0_", "GARAGE-0%25"])
async def test_identities_compare_sign_by_sign(server: Server, charger: Registered, identity: str) -> None:
    """Another case, a part, or a pattern of it is another's name, whatever the database compares by."""
    for user in (identity, charger.identity):
        with pytest.raises(InvalidStatus) as caught:
            await connect(server.url(identity), additional_headers=authorization(user, charger.password))
        assert caught.value.response.status_code in (401, 404)
    with pytest.raises(InvalidStatus) as caught:
        await connect(server.url(charger.identity), additional_headers=authorization(identity, charger.password))
    assert caught.value.response.status_code == 401


async def test_every_sign_of_an_identity_comes_through(server: Server) -> None:
    """Also the colon, which ends a user name elsewhere."""
    identity = "NO*A1:b_2=3+4|5@x.y-z"
    charger = await a_registered_charger(await a_site(), identity=identity)
    async with a_raw_charger(server, charger) as raw:
        assert "currentTime" in await raw.call("Heartbeat", {})
    other = await a_registered_charger(await a_site(), identity="NO*A1")
    with pytest.raises(InvalidStatus):
        await connect(server.url(other.identity), additional_headers=authorization(identity, charger.password))


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Basic",
        "Authorization: Basic ",
        "Authorization: Basic :",
        "Authorization: Basic ***",
        "Authorization: Basic R0FSQUdFLTA3",
        "Authorization: Bearer eyJhbGciOiJub25lIn0",
        "Authorization: Digest username=GARAGE-07",
        "Authorization: BASIC",
        basic(b""),
        basic(b":"),
        basic(b"GARAGE-07"),
        basic(b"GARAGE-07:"),
        basic(b"GARAGE-07:\x00"),
        basic(b"GARAGE-07\x00:x"),
        basic(b"\xff\xfe:x"),
        basic(b"GARAGE-07:" + b"x" * 5_000),
        basic(b"garage-07:x"),
    ],
)
async def test_a_header_that_proves_nothing_is_refused(server: Server, charger: Registered, header: str) -> None:
    """Whatever is in it: 401 with the same words."""
    status, words = await answer(server, b"/ocpp/GARAGE-07", *UPGRADE, header)
    assert (status, "its password is wrong" in words) == (401, True)


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/ocpp/" + "x" * 9_000, UPGRADE, 414),
        ("/ocpp/" + "x" * 70_000, UPGRADE, 414),
        ("/ocpp/GARAGE-07", (*UPGRADE, "Authorization: Basic " + "A" * 9_000), 431),
        ("/ocpp/GARAGE-07", (*UPGRADE, "Authorization: Basic " + "A" * 100_000), 431),
        ("/ocpp/GARAGE-07", (*UPGRADE, *(f"X-{number}: y" for number in range(200))), 431),
        ("/ocpp/GARAGE-07", (*UPGRADE, "Sec-WebSocket-Protocol: ,,,"), 400),
        ("/ocpp/GARAGE-07", (*UPGRADE[:3], UPGRADE[4]), 400),
        ("/ocpp/GARAGE-07", (*UPGRADE[:4], "Sec-WebSocket-Version: 7"), 400),
        ("/ocpp/GARAGE-07", UPGRADE[:1], 426),
        ("/ocpp/GAR\u00c5GE", UPGRADE, 400),
        ("/ocpp/GARAGE-07", (*UPGRADE, b"Authorization: Basic \x00"), 400),
    ],
)
async def test_what_is_no_upgrade_is_answered_and_closed(
    server: Server, charger: Registered, target: str, headers: tuple[str | bytes, ...], status: int
) -> None:
    """Too long, too many, broken, or no WebSocket: nobody is left hanging, and the charger comes in as before."""
    closing = ("Connection: close",) if len(headers) == 1 else ()
    assert (await answer(server, target.encode(), *headers, *closing))[0] == status
    async with a_raw_charger(server, charger) as raw:
        assert "currentTime" in await raw.call("Heartbeat", {})


async def test_a_storm_of_wrong_passwords_holds_up_nobody(server: Server, charger: Registered) -> None:
    """Each is counted for the charger whose name is used; who has the right password is let in in the midst of it."""
    stop = asyncio.Event()

    async def guess(number: int) -> int:
        guesses, dice = 0, random.Random(number)
        while not stop.is_set():
            wrong = authorization(charger.identity, f"{dice.getrandbits(128):032x}")
            with pytest.raises(InvalidStatus):
                await connect(server.url(charger.identity), additional_headers=wrong)
            guesses += 1
        return guesses

    async with asyncio.TaskGroup() as storm:
        guessing = [storm.create_task(guess(number)) for number in range(8)]
        for _ in range(5):
            async with a_raw_charger(server, charger) as raw:
                assert "currentTime" in await raw.call("Heartbeat", {})
        stop.set()
    number = sum(task.result() for task in guessing)
    faults = server.service.tallies.faults
    assert faults["GARAGE-07", "wrong password"] == server.service.counts["passwords wrong"] == number
    assert server.service.counts["unknown chargers refused"] == 0
    assert (await Station.get(id=charger.station_id)).epoch == 5


async def test_names_that_nobody_has_are_not_counted_by_themselves(server: Server, charger: Registered) -> None:
    """Else whoever invents names would fill the figures."""
    for number in range(20):
        with pytest.raises(InvalidStatus):
            await connect(server.url(f"N{number}"), additional_headers=authorization(f"N{number}", "x"))
    assert server.service.tallies.faults == {}
    assert server.service.counts["unknown chargers refused"] == 20 < MOST_CHARGERS
