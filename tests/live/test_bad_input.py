"""What a running portal is sent that it should not be: each time a clear word, nothing changed, and the next one is served."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from app.demo.garage import OWNER, RESIDENT, Space
from app.demo.portal import sign_in
from app.serve import listen
from domain.ids import new_id
from gql.ids import global_id
from tests.devices.server import RawCharger, authorization
from tests.live.house import SERVE, Portal, environment, running_portal
from tests.servers import free_port

KEPT = (
    "alerts",
    "audit_entries",
    "charge_cards",
    "charge_sessions",
    "chargers",
    "circuits",
    "commands",
    "energy_intervals",
    "exports",
    "installations",
    "outbox",
    "permissions",
    "users",
)
"""Tables of what people have and did; who is connected, and the balancer's notes, may change."""

GARBAGE = (
    "",
    "hello",
    "{}",
    "[]",
    "[2]",
    '[2,"a"]',
    '[9,"a"]',
    '[3,"nobody asked",{}]',
    "[2,1,2,3]",
    "[" * 2000,
    "\x00",
)


def rows_of(portal: Portal) -> dict[str, list[Any]]:
    """Everything in the tables that must not change."""
    with closing(sqlite3.connect(f"file:{portal.home / 'lade.sqlite3'}?mode=ro", uri=True)) as database:
        return {table: database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in KEPT}  # noqa: S608


async def test_chargers_that_should_not_come_in_and_frames_that_make_no_sense(home: Path) -> None:
    """Unknown, wrong password, unknown protocol: an HTTP status and advice. Garbage: the line holds. A second socket: it wins."""
    async with running_portal(home) as portal:
        before, space = rows_of(portal), portal.garage.spaces[0]
        stranger, own = authorization("NOBODY", "x"), authorization(space.identity, space.password)
        assert await refused(portal, "NOBODY", stranger) == (401, "Add the charger in the portal")
        wrong = authorization(space.identity, "guess")
        assert await refused(portal, space.identity, wrong) == (401, "Add the charger in the portal")
        assert await refused(portal, space.identity, own, protocol="ocpp0.9") == (400, "set the charger to one of")
        async with charger(portal, space) as (first, socket):
            for frame in GARBAGE:
                await socket.send(frame)
            await socket.send(b"\xff\xfe\x00")
            assert (await first.frame("Dance", {}))[2] == "NotImplemented"
            assert "currentTime" in await first.call("Heartbeat", {})
            async with charger(portal, space) as (second, _):
                assert "currentTime" in await second.call("Heartbeat", {})
                async with asyncio.timeout(5):
                    await socket.wait_closed()
                assert socket.close_reason == "A newer connection of this charger took over."
                assert "currentTime" in await second.call("Heartbeat", {})
        assert rows_of(portal) == before
        assert await is_well(portal)


async def refused(
    portal: Portal, identity: str, headers: dict[str, str], *, protocol: str = "ocpp1.6"
) -> tuple[int, str]:
    """Status and the advice that is known to be in the body."""
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"{portal.ocpp_url}/{identity}", additional_headers=headers, subprotocols=[Subprotocol(protocol)])
    response = caught.value.response
    body = (response.body or b"").decode()
    advice = ("Add the charger in the portal", "set the charger to one of")
    return response.status_code, next((words for words in advice if words in body), body)


@asynccontextmanager
async def charger(portal: Portal, space: Space) -> AsyncIterator[tuple[RawCharger, ClientConnection]]:
    """Inside: that charger is connected."""
    async with connect(
        f"{portal.ocpp_url}/{space.identity}",
        additional_headers=authorization(space.identity, space.password),
        subprotocols=[Subprotocol("ocpp1.6")],
        compression=None,
    ) as socket:
        raw = RawCharger(socket)
        reading = asyncio.create_task(raw.read())
        try:
            yield raw, socket
        finally:
            await socket.close()
            await reading


START = """mutation ($id: ID!) { startCharging(input: {chargerId: $id}) { __typename ... on UserError { message } } }"""

Request = tuple[str, dict[str, Any], str]
"""A document, its variables, and what its answer says."""


def questions(charger_id: str) -> list[Request]:
    """Questions that have no good answer."""
    nobody = global_id("Charger", new_id())
    node = "query ($id: ID!) { node(id: $id) { id } }"
    return [
        ("query ($n: Int!) { chargers(first: $n) { nodes { id } } }", {"n": "many"}, "`$n` must be a whole number"),
        ("query ($on: Boolean!) { chargers(first: 1) { nodes @include(if: $on) { id } } }", {"on": "yes"}, "$on"),
        ("{ chargers(first: {}) { nodes { id } } }", {}, "Int cannot represent"),
        ("{ chargers(first: 10000) { nodes { id } } }", {}, "from 1 to 100"),
        ("query ($n: Int!) { chargers(first: $n) { nodes { id } } }", {"n": 10_000}, "from 1 to 100"),
        (node, {"id": nobody}, '"node":null'),
        (node, {"id": "../../etc/passwd"}, '"node":null'),
        (node, {"id": global_id("User", new_id())}, '"node":null'),
        (START, {"id": nobody}, '"__typename":"NotFoundError"'),
        (START, {"id": global_id("Installation", new_id())}, '"__typename":"NotFoundError"'),
        (START, {"id": charger_id}, '"__typename":"ChargerOfflineError"'),
        (
            'mutation { revokePermission(input: {permissionId: "x"}) { __typename } }',
            {},
            '"__typename":"NotFoundError"',
        ),
    ]


async def test_questions_that_have_no_good_answer(home: Path) -> None:
    """Wrong types, a page of 10,000, ids of nothing and of others: the answer says what is wrong, and nothing is done."""
    async with running_portal(home) as portal:
        before = rows_of(portal)
        token = await sign_in(portal.graphql_url, OWNER)
        other = await sign_in(portal.graphql_url, RESIDENT)
        before["users"] = rows_of(portal)["users"]
        charger_id = global_id("Charger", portal.garage.spaces[0].charger_id)
        async with httpx.AsyncClient(base_url=portal.http_url) as client:
            for document, variables, words in questions(charger_id):
                answer = await asked(client, token, document, variables)
                assert words in answer, (document, variables, answer)
                assert "Traceback" not in answer
            sessions = await asked(client, token, "{ sessions(first: 100) { nodes { id user { name } } } }", {})
            foreign = next(
                row["id"]
                for row in json.loads(sessions)["data"]["sessions"]["nodes"]
                if row["user"]["name"] != "Rita Resident"
            )
            hidden = await asked(client, other, "query ($id: ID!) { node(id: $id) { id } }", {"id": foreign})
            assert hidden == await asked(client, other, '{ node(id: "x") { id } }', {})
        assert rows_of(portal) == before
        assert await is_well(portal)


async def asked(client: httpx.AsyncClient, token: str, document: str, variables: dict[str, Any]) -> str:
    """The answer as it was written."""
    response = await client.post(
        "/graphql",
        json={"query": document, "variables": variables},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert response.status_code < 500
    return response.text


async def is_well(portal: Portal) -> bool:
    """Ready, and it has nothing to complain about."""
    async with httpx.AsyncClient(base_url=portal.http_url) as client:
        ready = await client.get("/readyz")
    return ready.status_code == 200 and '"level": "error"' not in portal.log and "Traceback" not in portal.log


def a_file_in_place_of_the_folder(home: Path) -> dict[str, str]:
    """Root may write everywhere, but not below a file."""
    (home / "file").write_text("in the way")
    return {"LADE_DATA_DIR": str(home / "file")}


def a_damaged_database(home: Path) -> dict[str, str]:
    """A file of that name with something else in it."""
    (home / "lade.sqlite3").write_bytes(b"no database " * 500)
    return {}


def postgresql_away(home: Path) -> dict[str, str]:
    """Nobody listens at that socket."""
    return {"LADE_DATABASE_URL": f"postgresql://lade:hunter2@/lade?host={home}"}


def redis_away(home: Path) -> dict[str, str]:
    """Nobody listens at that socket."""
    return {"LADE_REDIS_URL": f"unix://{home}/redis.sock"}


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (a_file_in_place_of_the_folder, "set LADE_DATA_DIR to one that is"),
        (a_damaged_database, "lade.sqlite3 cannot be used"),
        (postgresql_away, "Start it, or correct LADE_DATABASE_URL"),
        (redis_away, "Start it, or correct LADE_REDIS_URL"),
    ],
)
def test_a_server_that_cannot_begin_says_what_to_do(
    tmp_path: Path, trouble: Callable[[Path], dict[str, str]], words: str
) -> None:
    """Status 2 and one message, no traceback, no password; what was there is as it was."""
    given = trouble(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    status, said = serve(tmp_path, "--port", str(free_port()), **given)
    assert (status, words in said) == (2, True), said
    assert "Traceback" not in said
    assert "hunter2" not in said
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("command", [("serve",), ("demo", "--for", "20")], ids=" ".join)
def test_a_port_that_is_taken_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Status 2 and the port, and how to choose another."""
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        status, said = lade(tmp_path, *command, "--port", port)
    assert (status, f"Port {port} on 127.0.0.1 is in use" in said, "--port" in said) == (2, True, True), said
    assert "Traceback" not in said


def serve(home: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit status and words of a server."""
    return lade(home, "serve", *arguments, **settings)


def lade(home: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit status and words of a command in that folder."""
    ran = subprocess.run(
        [sys.executable, "-c", SERVE, *arguments],
        env={**environment(home), **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.returncode, ran.stderr
