"""By what chargers prove who they are: each security profile over a real socket, and no way back to a lower one but an installer's."""

import base64
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.database import Database
from app.redis_bus import RedisBus
from app.settings import Network
from devices.service import DeviceOptions
from domain.equipment.chargers import ChargerChanges, add_charger, remove_charger, update_charger
from domain.models import Station
from tests.certificates import a_certificate, der
from tests.devices.server import (
    CERTIFICATE_HEADER,
    LIMIT_S,
    SECRET,
    Registered,
    Server,
    a_registered_charger,
    a_server,
    authorization,
)
from tests.factories import Site, Town, a_town
from tests.fakes import RecordingBus

PROXY, STRANGER = "127.0.0.2", "127.0.0.1"
PROXIES: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.2/32"),)
TLS = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
PLAIN = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "http"}


@pytest.fixture
async def server(database: Database, bus: RedisBus) -> AsyncIterator[Server]:
    async with a_server(bus, proxies=PROXIES) as running:
        yield running


@pytest.fixture
async def town(server: Server) -> Town:
    return await a_town()


@pytest.fixture
async def charger(town: Town) -> Registered:
    return await a_registered_charger(town.site, "Space 3", identity="GARAGE-07")


def certified(name: str = "GARAGE-07") -> dict[str, str]:
    """What a proxy adds that has verified a certificate of that name."""
    return {CERTIFICATE_HEADER: base64.b64encode(der(a_certificate(name))).decode()}


@asynccontextmanager
async def connected(server: Server, identity: str, headers: dict[str, str], peer: str) -> AsyncIterator[None]:
    """A charger that is in, by a connection from that address."""
    async with connect(
        server.url(identity),
        additional_headers=headers,
        subprotocols=["ocpp1.6"],  # type: ignore[list-item]  # a name
        compression=None,
        open_timeout=LIMIT_S,
        local_addr=(peer, 0),
    ) as socket:
        await socket.send('[2,"1","Heartbeat",{}]')
        while not str(await socket.recv()).startswith('[3,"1"'):
            pass
        yield


async def outcome(server: Server, identity: str, headers: dict[str, str], peer: str = PROXY) -> tuple[int, str]:
    """101, or the status of the refusal with its words."""
    try:
        async with connected(server, identity, headers, peer):
            return 101, ""
    except InvalidStatus as refused:
        return refused.response.status_code, (refused.response.body or b"").decode()


async def profiles(charger: Registered) -> tuple[int | None, int]:
    """(that of the last connection, the least of the next)."""
    station = await Station.get(id=charger.station_id)
    return station.security_profile, station.minimum_security_profile


async def let(town: Town, charger: Registered, least: int) -> None:
    """An installer sets the least profile."""
    changes = ChargerChanges(minimum_security_profile=least)
    await update_charger(await town.access("SERVICE"), charger.charger_id, changes, bus=RecordingBus())


def own(charger: Registered) -> dict[str, str]:
    return authorization(charger.identity, charger.password)


async def test_each_connection_leaves_its_profile(server: Server, charger: Registered) -> None:
    """A password is 1, over TLS 2, a certificate 3; each is the least from then on."""
    assert await profiles(charger) == (None, 1)
    for headers, profile in ((own(charger) | PLAIN, 1), (own(charger) | TLS, 2), (TLS | certified(), 3)):
        assert (await outcome(server, charger.identity, headers))[0] == 101
        assert await profiles(charger) == (profile, profile)


async def test_the_way_back_is_an_installers(server: Server, town: Town, charger: Registered) -> None:
    """A charger that came over TLS is refused without it, told why, counted, and in again once an installer has said so."""
    assert (await outcome(server, charger.identity, own(charger) | TLS))[0] == 101
    for _ in range(2):
        status, words = await outcome(server, charger.identity, own(charger) | PLAIN)
        assert status == 403
        assert "by a password over TLS (security profile 2)" in words
        assert "minimumSecurityProfile" in words
    assert server.service.counts["security profiles too low"] == 2
    assert await profiles(charger) == (2, 2)
    await let(town, charger, 1)
    assert (await outcome(server, charger.identity, own(charger) | PLAIN))[0] == 101
    assert await profiles(charger) == (1, 1)


async def test_a_password_is_no_way_past_a_certificate(server: Server, charger: Registered) -> None:
    """What has come by a certificate comes by nothing else, however right."""
    assert (await outcome(server, charger.identity, TLS | certified()))[0] == 101
    for headers in (own(charger) | TLS, own(charger) | TLS | certified("GARAGE-08"), own(charger) | PLAIN):
        assert (await outcome(server, charger.identity, headers))[0] == 403
    assert (await outcome(server, charger.identity, TLS | certified() | own(charger)))[0] == 101


async def test_who_is_to_come_by_a_higher_profile_has_to(server: Server, town: Town, charger: Registered) -> None:
    """An installer may ask for more than a charger has done yet."""
    await let(town, charger, 3)
    assert (await outcome(server, charger.identity, own(charger) | TLS))[0] == 403
    assert (await outcome(server, charger.identity, TLS | certified()))[0] == 101


async def test_nobody_learns_of_profiles_who_is_nobody(server: Server, charger: Registered) -> None:
    """Without a proof that fits the refusal is that of a wrong password, whatever the charger may not fall below."""
    assert (await outcome(server, charger.identity, TLS | certified()))[0] == 101
    unknown = await outcome(server, "NOBODY", authorization("NOBODY", "x") | PLAIN)
    for headers in (authorization(charger.identity, "wrong"), {}, certified("GARAGE-08"), certified("garage-07")):
        for way in (PLAIN, TLS):
            assert await outcome(server, charger.identity, headers | way) == unknown


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        (STRANGER, TLS | certified()),
        (STRANGER, certified()),
        (PROXY, PLAIN | certified()),
        (PROXY, certified()),
        (PROXY, TLS | certified() | authorization("GARAGE-08", "x")),
        (PROXY, TLS | {CERTIFICATE_HEADER: "GARAGE-07"}),
        (PROXY, TLS | {CERTIFICATE_HEADER: ""}),
    ],
    ids=["a stranger", "a stranger without TLS", "no TLS", "not told", "another's name", "no certificate", "empty"],
)
async def test_a_forged_certificate_lets_nobody_in(
    server: Server, charger: Registered, peer: str, headers: dict[str, str]
) -> None:
    """It counts from a proxy that the operator named, over TLS, and for the name that it is made out to."""
    assert (await outcome(server, charger.identity, headers, peer))[0] == 401
    assert await profiles(charger) == (None, 1)


async def test_a_proxy_that_leaves_a_forged_header_in_place_lets_nobody_in(server: Server, charger: Registered) -> None:
    """Of two certificates neither is believed: one came with the request."""
    headers = [*TLS.items(), *certified().items(), *certified().items()]
    with pytest.raises(InvalidStatus) as caught:
        await connect(server.url(charger.identity), additional_headers=headers, local_addr=(PROXY, 0))
    assert caught.value.response.status_code == 401


async def test_a_stranger_does_not_raise_a_profile(server: Server, charger: Registered) -> None:
    """Who says by itself that it came over TLS is not believed: else it could lock the charger out."""
    assert (await outcome(server, charger.identity, own(charger) | TLS, STRANGER))[0] == 101
    assert await profiles(charger) == (1, 1)


async def test_without_a_password_only_where_an_installer_lets_it(
    server: Server, town: Town, charger: Registered
) -> None:
    """Profile 0: nothing offered is enough; something wrong is not, and once the password was used it is asked for again."""
    assert (await outcome(server, charger.identity, PLAIN))[0] == 401
    await let(town, charger, 0)
    for headers in (PLAIN, TLS, {}):
        assert (await outcome(server, charger.identity, headers))[0] == 101
        assert await profiles(charger) == (0, 0)
    for headers in (
        authorization(charger.identity, "wrong"),
        authorization("other", "x"),
        {"Authorization": "Bearer x"},
    ):
        assert (await outcome(server, charger.identity, headers | PLAIN))[0] == 401
    assert (await outcome(server, charger.identity, own(charger) | PLAIN))[0] == 101
    assert await profiles(charger) == (1, 1)
    assert (await outcome(server, charger.identity, PLAIN))[0] == 401


async def test_the_coming_password_keeps_its_profile(server: Server, charger: Registered) -> None:
    """Rotation and TLS go together."""
    await Station.filter(id=charger.station_id).update(next_password_hash="x" * 64)
    assert (await outcome(server, charger.identity, own(charger) | TLS))[0] == 101
    assert await profiles(charger) == (2, 2)


async def test_a_charger_that_is_added_anew_begins_anew(server: Server, town: Town, charger: Registered) -> None:
    """Neither an open door nor a closed one is left over from whose it was before."""
    viewer = await town.access("SERVICE")
    for least in (0, 3):
        await let(town, charger, least)
        await remove_charger(viewer, charger.charger_id, bus=RecordingBus())
        made = await add_charger(
            viewer, town.site.root_id, name="Space 3", identity="GARAGE-07", secret=SECRET, bus=RecordingBus()
        )
        assert made.password is not None
        charger = Registered(made.charger_id, charger.station_id, "GARAGE-07", made.password)
        assert await profiles(charger) == (None, 1)
        assert (await outcome(server, charger.identity, PLAIN))[0] == 401
        assert (await outcome(server, charger.identity, own(charger) | PLAIN))[0] == 101


async def test_a_held_charger_may_have_a_certificate(database: Database, bus: RedisBus) -> None:
    """It waits as others do, and is in by its certificate once it was added."""
    options = DeviceOptions(check_every_s=3600, look_every_s=0.02, holds_unknown=True)
    async with a_server(bus, options=options, proxies=PROXIES) as holding:
        town = await a_town()
        assert (await outcome(holding, "GARAGE-07", TLS | certified()))[0] == 101
        assert await Station.filter(identity="GARAGE-07").count() == 0
        charger = await a_registered_charger(Site(town.site.id, town.site.root_id), "Space 3", identity="GARAGE-07")
        assert (await outcome(holding, "GARAGE-07", TLS | certified()))[0] == 101
        assert await profiles(charger) == (3, 3)
