"""Whoever is behind the proxies that the operator names is who they are; nobody else says where they come from."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import uvicorn
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from app.asgi import create_app
from app.database import Database
from app.proxies import TrustedProxies
from app.serve import http_config, listen, serving
from app.settings import ALL_ROLES, Network, Settings
from tests.factories import a_person

OURS = "127.0.0.2"
"""The address of the proxy; a stranger comes from 127.0.0.1."""
PROXIES: tuple[Network, ...] = tuple(map(ipaddress.ip_network, ("127.0.0.2", "10.1.0.0/16", "fd00::/64")))


@asynccontextmanager
async def _told() -> AsyncIterator[int]:
    """The port of a server that tells over HTTP and WebSocket who it thinks its client is."""
    proxies = TrustedProxies(PROXIES)

    def seen(of: HTTPConnection) -> bytes:
        assert of.client is not None
        return orjson.dumps([of.client.host, of.url.scheme, proxies.passed_on(of.scope)])

    async def page(request: Request) -> Response:
        return Response(seen(request))

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_bytes(seen(websocket))
        await websocket.close()

    listening = listen("127.0.0.1", 0)
    app = create_app([Route("/", page), WebSocketRoute("/", socket)], proxies)
    server = uvicorn.Server(http_config(app))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield int(listening.getsockname()[1])
    finally:
        server.should_exit = True
        await task


def _from(peer: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=peer))


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["203.0.113.1, 198.51.100.7"], "198.51.100.7"),
        (["203.0.113.1", "198.51.100.7"], "198.51.100.7"),
        (["203.0.113.1, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        (["198.51.100.7:50123"], "198.51.100.7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:DB8:0::7]:50123, fd00::3"], "2001:db8::7"),
        (["::ffff:198.51.100.7, ::ffff:10.1.2.3"], "198.51.100.7"),
        (["10.1.0.9, 10.1.2.3"], "10.1.0.9"),
        (["203.0.113.1, unknown"], OURS),
        (["203.0.113.1, unknown, 10.1.2.3"], "10.1.2.3"),
        ([""], OURS),
        ([], OURS),
    ],
)
async def test_the_client_is_the_last_one_that_is_no_proxy_of_ours(forwarded: list[str], client: str) -> None:
    """Over HTTP and WebSocket alike; what stands further left was invented by whoever asked."""
    headers = [("X-Forwarded-For", one) for one in forwarded]
    async with asyncio.timeout(10), _told() as port, _from(OURS) as proxy:
        assert (await proxy.get(f"http://127.0.0.1:{port}", headers=headers)).json() == [client, "http", True]
        address = f"ws://127.0.0.1:{port}"
        async with connect(address, additional_headers=headers, local_addr=(OURS, 0)) as websocket:
            assert orjson.loads(await websocket.recv()) == [client, "ws", True]


async def test_a_stranger_is_not_believed_and_the_operator_is_told_once() -> None:
    """Neither from where nor how they come; the log names the variable that would believe them."""
    headers = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    with capture_logs() as lines:
        async with asyncio.timeout(10), _told() as port, _from("127.0.0.1") as stranger:
            for given in ({}, headers, headers):
                found = (await stranger.get(f"http://127.0.0.1:{port}", headers=given)).json()
                assert found == ["127.0.0.1", "http", False]
    (line,) = [one for one in lines if "LADE_TRUSTED_PROXIES" in one["event"]]
    assert (line["log_level"], line["peer"]) == ("warning", "127.0.0.1")


async def test_a_proxy_says_how_it_was_asked() -> None:
    """So that the server does not send people from https to http."""
    headers = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    async with asyncio.timeout(10), _told() as port, _from(OURS) as proxy:
        assert (await proxy.get(f"http://127.0.0.1:{port}", headers=headers)).json()[1] == "https"
        address = f"ws://127.0.0.1:{port}"
        async with connect(address, additional_headers=headers, local_addr=(OURS, 0)) as websocket:
            assert orjson.loads(await websocket.recv())[1] == "wss"


_SIGN_IN = 'mutation { signIn(input: {email: "kari@example.com", password: "wrong"}) { ... on UserError { code } } }'


async def test_clients_behind_a_proxy_have_limits_of_their_own(
    database_location: Database, redis_url: str, tmp_path: Path
) -> None:
    """One who guesses is held up, whatever they put before their address, and the neighbour is not."""
    file = database_location.sqlite_file
    url = database_location.postgresql_url if file is None else f"sqlite://{file}"
    settings = Settings(
        data_dir=tmp_path, secret_key="s" * 32, database_url=url, redis_url=redis_url, trusted_proxies=PROXIES
    )
    async with serving(settings, ALL_ROLES, listen(settings.host, 0)) as running, _from(OURS) as proxy:
        await a_person("Kari", email="kari@example.com", password="nine copper wires")

        async def code(forwarded: str) -> Any:
            answer = await proxy.post(
                f"{running.url}/graphql", json={"query": _SIGN_IN}, headers={"X-Forwarded-For": forwarded}
            )
            return answer.json()["data"]["signIn"]["code"]

        guesses = [await code(f"203.0.113.{number}, 198.51.100.7") for number in range(6)]
        assert guesses == ["WRONG_CREDENTIALS"] * 5 + ["RATE_LIMITED"]
        assert await code("203.0.113.1, 198.51.100.8") == "WRONG_CREDENTIALS"
