"""GraphQL over SSE in distinct connections mode, as graphql-sse's PROTOCOL.md says: the same streams without a WebSocket."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from app.redis_bus import RedisBus
from domain.events import PermissionChanged
from domain.models import Command, Permission
from domain.roles import CommandAction, CommandState
from gql.edge import PATH
from gql.ids import global_id
from gql.limits import MAX_BODY_BYTES
from tests.factories import NOW, Town
from tests.gql.world import PATIENCE_S, World, installation, status

WHO = "{ viewer { user { name } } }"
FOLLOW = """subscription ($t: ID!, $after: String) {
  chargerStatus(target: { installationId: $t }, after: $after) { kind cursor isResync charger { status { version } } } }"""
MUTATION = "mutation { signOut(input: {}) { __typename } }"


class Stream:
    """The response to one request, as its client reads it."""

    def __init__(self, world: World, method: str, request: dict[str, Any], headers: dict[str, str]) -> None:
        self.status = 0
        self.is_reading = asyncio.Event()
        self.is_reading.set()
        self.pauses = False
        """Whether the client reads on only a while after each result."""
        self.headers: dict[str, str] = {}
        self._events: list[str] = []
        self._chunks: asyncio.Queue[str | None] = asyncio.Queue()
        self._to_server: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        body = orjson.dumps(request) if method == "POST" else b""
        asked = {key: value if isinstance(value, str) else orjson.dumps(value) for key, value in request.items()}
        self._to_server.put_nowait({"type": "http.request", "body": body, "more_body": False})
        scope = {
            "type": "http",
            "method": method,
            "path": PATH,
            "raw_path": PATH.encode(),
            "root_path": "",
            "query_string": urlencode(asked).encode() if method == "GET" else b"",
            "scheme": "http",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
        }
        self._task = asyncio.create_task(self._serve(world, scope))

    async def _serve(self, world: World, scope: dict[str, Any]) -> None:
        await world.app(scope, self._to_server.get, self._send)
        self._chunks.put_nowait(None)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            await self.is_reading.wait()
            self._chunks.put_nowait(message["body"].decode())
            if b"event: next" in message["body"] and self.pauses:
                self.is_reading.clear()
                asyncio.get_running_loop().call_later(0.1, self.is_reading.set)

    async def text(self) -> str:
        """All of it."""
        chunks = []
        async with asyncio.timeout(PATIENCE_S):
            while (chunk := await self._chunks.get()) is not None:
                chunks.append(chunk)
        return "".join(chunks)

    async def hear(self) -> tuple[str, Any] | None:
        """The next event and its data; None when there are no more."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._events:
                chunk = await self._chunks.get()
                if chunk is None:
                    return None
                assert chunk == "" or chunk.endswith("\n\n")
                self._events += [event for event in chunk.split("\n\n") if event.strip(":")]
        fields = [line.partition(":") for line in self._events.pop(0).splitlines()]
        found = {name: value.removeprefix(" ") for name, _, value in fields}
        assert set(found) == {"event", "data"}
        return found["event"], orjson.loads(found["data"]) if found["data"] else None

    async def event(self) -> dict[str, Any]:
        """The next result's only field."""
        heard = await self.hear()
        assert heard is not None
        assert (heard[0], "errors" in heard[1]) == ("next", False), heard
        found: dict[str, Any] = next(iter(heard[1]["data"].values()))
        return found

    async def hang_up(self) -> None:
        """The client is gone, and the server has noticed."""
        self._to_server.put_nowait({"type": "http.disconnect"})
        async with asyncio.timeout(PATIENCE_S):
            await self._task


@asynccontextmanager
async def _streaming(
    world: World,
    query: str,
    token: str | None = None,
    *,
    method: str = "POST",
    accept: str = "text/event-stream",
    **variables: Any,
) -> AsyncIterator[Stream]:
    headers = {"Accept": accept, "Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    stream = Stream(world, method, {"query": query, "variables": variables}, headers)
    try:
        yield stream
    finally:
        await stream.hang_up()


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_stream_of_events_without_a_socket(world: World, bus: RedisBus, town: Town, method: str) -> None:
    """In the audience of those on sockets: snapshot, READY, changes; a cursor goes on from one way to the other."""
    token, site = await world.token(town.people["SERVICE"]), installation(town.site.id)
    async with world.signed_in(token) as socket:
        socket.subscribe(FOLLOW, t=site)
        for _ in range(3):
            cursor = (await socket.hear())["payload"]["data"]["chargerStatus"]["cursor"]
        await bus.publish(status(town.site.id, town.charger_id, 2))
        await socket.hear()
        async with _streaming(world, FOLLOW, token, method=method, t=site, after=cursor) as stream:
            missed = await stream.event()
            assert (missed["kind"], missed["charger"]) == ("CHANGED", {"status": {"version": 2}})
            assert (await stream.event())["kind"] == "READY"
            assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
            await bus.publish(status(town.site.id, town.charger_id, 3))
            assert (await stream.event())["charger"] == {"status": {"version": 3}}
            assert (world.edge.audiences.count, world.edge.counts.connections) == (1, 2)
    assert (world.edge.audiences.count, world.edge.counts.connections, bus.channel_count) == (0, 0, 0)


@pytest.mark.parametrize(
    ("query", "accept", "told"),
    [
        (WHO, "text/event-stream", {"data": {"viewer": {"user": {"name": "SERVICE"}}}}),
        ("{ nothing }", "text/event-stream", "Cannot query field 'nothing' on type 'Query'."),
        ("{", "text/event-stream", "Syntax Error: Expected Name, found <EOF>."),
        ("subscription { nothing }", "text/event-stream", "Cannot query field 'nothing' on type 'Subscription'."),
        (
            FOLLOW,
            "text/event-stream, application/json",
            "Variable '$t' has invalid value: Expected a value of non-null type 'ID!' to be provided.",
        ),
    ],
)
async def test_one_result_or_what_is_wrong_is_told_as_events(
    world: World, town: Town, query: str, accept: str, told: object
) -> None:
    """`next` with the result or its errors, then `complete` with empty data, and the end."""
    token = await world.token(town.people["SERVICE"])
    async with _streaming(world, query, token, accept=accept) as stream:
        heard = await stream.hear()
        assert heard is not None
        shown = heard[1]["errors"][0]["message"] if "errors" in heard[1] else heard[1]
        assert (stream.status, heard[0], shown) == (200, "next", told)
        assert [await stream.hear() for _ in range(2)] == [("complete", None), None]


@pytest.mark.parametrize(
    ("method", "query", "accept", "token", "status_code"),
    [
        ("POST", WHO, "application/json, text/event-stream", None, 200),
        ("POST", "{ nothing }", "application/graphql-response+json, text/event-stream", None, 400),
        ("POST", FOLLOW, "application/json", None, 200),
        ("GET", MUTATION, "text/event-stream", None, 405),
        ("POST", FOLLOW, "text/event-stream", "x.y.z", 401),
        ("POST", "", "text/event-stream", None, 400),
    ],
)
async def test_json_where_it_will_do_and_where_there_is_no_operation(
    world: World, method: str, query: str, accept: str, token: str | None, status_code: int
) -> None:
    """Clients that accept both get events for subscriptions only; what is no GraphQL request is told by its status."""
    async with _streaming(world, query, token, method=method, accept=accept) as stream:
        answer = orjson.loads(await stream.text())
        kind = "application/json" if "application/json" in accept else "application/graphql-response+json"
        assert (stream.status, stream.headers["content-type"]) == (status_code, kind)
        assert set(answer) <= {"data", "errors"}


async def test_it_ends_with_what_it_follows(world: World, town: Town) -> None:
    """A command that is final: its state, then `complete`."""
    person = town.people["OWNER of installation"]
    row = await Command.create(
        installation_id=town.site.id,
        charger_id=town.charger_id,
        requested_by_id=person,
        action=CommandAction.PAUSE,
        requested_at=NOW,
        deadline=NOW + timedelta(minutes=1),
        state=CommandState.CONFIRMED,
    )
    query = "subscription ($id: ID!) { commandChanged(commandId: $id) { state } }"
    async with _streaming(world, query, await world.token(person), id=global_id("Command", row.id)) as stream:
        assert await stream.event() == {"state": "CONFIRMED"}
        assert await stream.hear() == ("complete", None)
        assert await stream.hear() is None


async def test_it_ends_with_the_rights_of_its_reader(world: World, bus: RedisBus, town: Town) -> None:
    """Access that is lost: ACCESS_ENDED and `complete`. A token that expires, or a server that ends: the end, to come back after."""
    person, site = town.people["SERVICE"], installation(town.site.id)
    token = await world.token(person)
    async with _streaming(world, FOLLOW, token, t=site) as one, _streaming(world, FOLLOW, token, t=site) as other:
        for stream in (one, other):
            for _ in range(3):
                await stream.event()
        world.clock.advance(timedelta(minutes=15))
        assert [await stream.hear() for stream in (one, other)] == [None, None]
    token = await world.token(person)
    async with _streaming(world, FOLLOW, token, t=site) as one:
        for _ in range(3):
            await one.event()
        await Permission.filter(user_id=person).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=person, installation_id=town.site.id))
        heard = await one.hear()
        assert heard is not None
        assert heard[1]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"
        assert [await one.hear() for _ in range(2)] == [("complete", None), None]
    token = await world.token(town.people["OWNER of installation"])
    async with _streaming(world, FOLLOW, token, t=site) as one:
        for _ in range(3):
            await one.event()
        await world.edge.close()
        assert await one.hear() is None
    assert (world.edge.audiences.count, world.edge.counts.connections) == (0, 0)


async def test_one_who_reads_slowly_has_the_end_too(world: World, town: Town) -> None:
    """What was answered is told to its `complete`: a client that misses that would send the operation again."""
    async with _streaming(world, WHO, await world.token(town.people["SERVICE"])) as stream:
        stream.pauses = True
        told = await stream.text()
        assert told.removeprefix(":\n\n") == (
            'event: next\ndata: {"data":{"viewer":{"user":{"name":"SERVICE"}}}}\n\nevent: complete\ndata:\n\n'
        )


async def test_an_import_is_answered_as_events_too(world: World, town: Town) -> None:
    """What is not too large for JSON is not too large for events."""
    token = await world.token(town.people["SERVICE"])
    async with _streaming(world, WHO, token, text="x" * MAX_BODY_BYTES) as stream:
        heard = await stream.hear()
        assert heard == ("next", {"data": {"viewer": {"user": {"name": "SERVICE"}}}})
        assert await stream.hear() == ("complete", None)
