"""graphql-transport-ws: the protocol as its specification says, and what ends a connection."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from asyncpg import ConnectionDoesNotExistError

from app.auth import SignedTokens
from app.redis_bus import RedisBus
from domain.events import PermissionChanged
from domain.ids import new_id
from domain.ports import AccessClaims
from gql.outbox import MAX_CHARACTERS, MAX_WAITING
from gql.socket import MAX_OPERATIONS
from tests.factories import Town
from tests.gql.world import PATIENCE_S, PUBLIC_URL, SECRET, World, installation, status

WHO = "{ viewer { user { name } } }"
FOLLOW = """subscription Live($target: ID!) { chargerStatus(target: { installationId: $target }) { kind } }"""


async def test_queries_and_mutations_run_here_too(world: World, town: Town) -> None:
    """One next, then complete; the id is free again."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        for _ in range(2):
            client.subscribe(WHO)
            answer = {"data": {"viewer": {"user": {"name": "SERVICE"}}}}
            assert await client.hear() == {"id": "1", "type": "next", "payload": answer}
            assert await client.hear() == {"id": "1", "type": "complete"}


async def test_any_server_of_sockets_will_do(bus: RedisBus, town: Town) -> None:
    """Where texts cannot be written at once they go the common way, in the same order."""
    world = World(bus, writes_now=False)
    async with world.signed_in(await world.token(town.people["OWNER of installation"])) as client:
        client.subscribe(FOLLOW, target=installation(town.site.id))
        kinds = [(await client.hear())["payload"]["data"]["chargerStatus"]["kind"] for _ in range(3)]
        assert kinds == ["SNAPSHOT", "SNAPSHOT", "READY"]
        client.tell({"type": "ping"})
        assert await client.hear() == {"type": "pong"}


INIT = {"type": "connection_init"}
ACK = {"type": "connection_ack"}
COMPLETE = {"id": "1", "type": "complete"}


def _asks(id: object = "1", **payload: Any) -> dict[str, Any]:
    return {"id": id, "type": "subscribe", "payload": {"query": WHO, **payload}}


NOBODY = {"id": "1", "type": "next", "payload": {"data": {"viewer": None}}}
ANSWERED = [ACK, NOBODY, COMPLETE]


@pytest.mark.parametrize(
    ("messages", "heard", "code"),
    [
        # What is no message: not JSON, no object, no known type, a type of the server's, binary, too large.
        (["{"], [], 4400),
        (["[]"], [], 4400),
        (["null"], [], 4400),
        ([b'{"type":"connection_init"}'], [], 4400),
        ([{}], [], 4400),
        ([{"type": None}], [], 4400),
        ([{"type": "start"}], [], 4400),
        (["after the greeting", ACK], [ACK], 4400),
        (["after the greeting", NOBODY], [ACK], 4400),
        (["after the greeting", " " * 300_000], [ACK], 1009),
        # The greeting: its payload is an object, null or absent; once, however it fared.
        ([{**INIT, "payload": None}], [ACK], None),
        ([{**INIT, "payload": {"anything": [1]}}], [ACK], None),
        ([{**INIT, "payload": 1}], [], 4400),
        ([{**INIT, "payload": []}], [], 4400),
        ([INIT, INIT], None, 4429),
        ([{**INIT, "payload": {"token": "x.y.z"}}], [], 4403),
        ([{**INIT, "payload": {"authorization": "Basic x"}}], [], 4403),
        # Pings may come at any time, and their payload comes back; pongs are taken, asked for or not.
        ([{"type": "ping"}], [{"type": "pong"}], None),
        ([{"type": "ping", "payload": None}], [{"type": "pong"}], None),
        ([{"type": "ping", "payload": {"a": 1}}], [{"type": "pong", "payload": {"a": 1}}], None),
        ([{"type": "ping", "payload": []}], [], 4400),
        ([{"type": "ping", "payload": "x"}], [], 4400),
        ([{"type": "pong", "payload": {"a": 1}}, INIT], [ACK], None),
        ([{"type": "pong", "payload": 1}], [], 4400),
        # Operations: after the greeting only, with an id and a request of the right form.
        ([_asks()], [], 4401),
        ([INIT, _asks()], None, 4401),
        ([_asks(id=1)], [], 4400),
        (["after the greeting", _asks()], ANSWERED, None),
        (["after the greeting", _asks(operationName=None, variables=None, extensions=None)], ANSWERED, None),
        (["after the greeting", _asks(variables={}, extensions={"a": 1}, more=1)], ANSWERED, None),
        (["after the greeting", _asks(id="")], [ACK], 4400),
        (["after the greeting", _asks(id=1)], [ACK], 4400),
        (["after the greeting", _asks(id=None)], [ACK], 4400),
        (["after the greeting", _asks(query=None)], [ACK], 4400),
        (["after the greeting", _asks(query=["x"])], [ACK], 4400),
        (["after the greeting", _asks(variables=[])], [ACK], 4400),
        (["after the greeting", _asks(operationName=1)], [ACK], 4400),
        (["after the greeting", _asks(extensions="x")], [ACK], 4400),
        (["after the greeting", {"id": "1", "type": "subscribe"}], [ACK], 4400),
        (["after the greeting", {"id": "1", "type": "subscribe", "payload": []}], [ACK], 4400),
        # The end of one that is not, or no longer: nothing. Without an id it is no message.
        (["after the greeting", COMPLETE, _asks()], ANSWERED, None),
        (["after the greeting", _asks(), "until complete", COMPLETE, _asks()], [*ANSWERED, NOBODY, COMPLETE], None),
        ([{"type": "complete"}], [], 4400),
        # Two at once cannot have one id, whatever they are.
        (["after the greeting", _asks(), _asks()], None, 4409),
    ],
)
async def test_every_message_has_its_answer_or_its_code(
    world: World, messages: list[Any], heard: list[Any] | None, code: int | None
) -> None:
    """As the specification of graphql-transport-ws gives them (None: what is heard before the end is a matter of timing)."""
    async with world.socket() as client:
        told: list[dict[str, Any]] = []
        for message in messages:
            if message == "after the greeting":
                client.tell(INIT)
                told.append(await client.hear())
            elif message == "until complete":
                told += [await client.hear(), await client.hear()]
            else:
                client.tell(message)
        if code is not None:
            assert await client.close_code() == code
        if heard is not None:
            while len(told) < len(heard):
                told.append(await client.hear())
            assert told + client.heard_before_close == heard


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ nothing }", "Cannot query field 'nothing' on type 'Query'."),
        ("", "`query` is missing: it is the text of the operation."),
        ("subscription { nothing }", "Cannot query field 'nothing' on type 'Subscription'."),
    ],
)
async def test_what_cannot_begin_is_an_error_and_no_complete(world: World, query: str, message: str) -> None:
    """Its id is free again, and the connection goes on."""
    async with world.signed_in(None) as client:
        client.subscribe(query)
        heard = await client.hear()
        assert (heard["id"], heard["type"], heard["payload"][0]["message"]) == ("1", "error", message)
        client.subscribe(WHO)
        assert await client.hear() == NOBODY


async def test_nothing_comes_after_the_client_has_completed(world: World, bus: RedisBus, town: Town) -> None:
    """Not even what was waiting for a slow reader; the same id serves anew, and hears nothing of the former."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(FOLLOW, target=installation(town.site.id))
        for _ in range(3):
            await client.hear()
        client.is_reading.clear()
        await bus.publish(status(town.site.id, town.charger_id, 2), status(town.site.id, town.neighbour_id, 2))
        await _until(lambda: world.edge.audiences.executions == 5)
        client.tell(COMPLETE)
        client.subscribe(WHO)
        client.tell({"type": "ping"})
        await _until(lambda: world.edge.counts.operations == 0)
        client.is_reading.set()
        rest = [await client.hear() for _ in range(3)]
        # One message was already being written when the client said so.
        while rest[0].get("payload") == {"data": {"chargerStatus": {"kind": "CHANGED"}}}:
            rest = [*rest[1:], await client.hear()]
        assert sorted(one["type"] for one in rest) == ["complete", "next", "pong"]


async def _until(is_so: Callable[[], bool]) -> None:
    """The server has come so far."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110  it is about the server's own tasks, which tell nobody
            await asyncio.sleep(0)


async def test_one_who_never_reads_is_bounded_and_sent_away(world: World) -> None:
    """1013 when not even the newest of everything has room."""
    async with world.signed_in(None) as client:
        client.is_reading.clear()
        for _ in range(MAX_WAITING + 10):
            client.tell({"type": "ping"})
        client.is_reading_in(0.2)
        assert await client.close_code() == 1013
        assert client.closed == (1013, "This client reads too slowly: follow less, or read faster.")


async def test_what_one_sends_back_counts_against_their_room(world: World) -> None:
    """Large pings of one who does not read: 1013 long before there are many."""
    async with world.signed_in(None) as client:
        client.is_reading.clear()
        for _ in range(MAX_CHARACTERS // 200_000 + 2):
            client.tell({"type": "ping", "payload": {"text": "x" * 200_000}})
        client.is_reading_in(0.2)
        assert await client.close_code() == 1013


@pytest.mark.usefixtures("database")
async def test_one_person_follows_so_much_at_once(bus: RedisBus, town: Town) -> None:
    """On however many connections; one that is refused says why, and what is completed makes room."""
    world = World(bus, most_subscriptions=3)
    token, target = await world.token(town.people["SERVICE"]), installation(town.site.id)
    async with world.signed_in(token) as one, world.signed_in(token) as two:
        for number in range(3):
            one.subscribe(FOLLOW, id=str(number), target=target)
            for _ in range(3):
                await one.hear()
        two.subscribe(FOLLOW, target=target)
        refused = await two.hear()
        assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")
        assert refused["payload"][0]["message"].startswith("At most 3 subscriptions at once for one person or program")
        one.tell({"id": "0", "type": "complete"})
        one.tell({"type": "ping"})
        await one.hear()
        two.subscribe(FOLLOW, target=target)
        assert (await two.hear())["type"] == "next"
        two.subscribe(FOLLOW, id="other", target=installation(new_id()))
        while (heard := await two.hear())["id"] != "other":
            pass
        assert heard["payload"][0]["extensions"]["code"] == "RATE_LIMITED"


@pytest.mark.usefixtures("database")
async def test_who_says_nothing_is_not_waited_for(bus: RedisBus) -> None:
    """4408 when no init comes in time."""
    async with World(bus, init_timeout_s=0.05).socket() as client:
        assert await client.close_code() == 4408


async def test_another_sub_protocol_is_not_spoken(world: World) -> None:
    """The old one of subscriptions-transport-ws gets 4406."""
    async with world.socket(protocol="graphql-ws") as client:
        assert await client.close_code() == 4406


async def test_an_id_in_use_cannot_be_used_again(world: World, town: Town) -> None:
    """4409, as two streams could not be told apart."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(FOLLOW, target=installation(town.site.id))
        assert (await client.hear())["type"] == "next"
        client.subscribe(WHO)
        assert await client.close_code() == 4409
        assert client.closed == (4409, "Subscriber for 1 already exists")


async def test_pages_of_another_origin_may_not_connect(world: World) -> None:
    """A browser sends the origin of its page; ours may."""
    async with world.socket(headers=(("Origin", "https://evil.example"),)) as client:
        assert await client.close_code() == 4403
        assert client.accepted is None
    async with world.socket(headers=(("Origin", PUBLIC_URL),)) as client:
        await client.init()


async def test_the_connection_ends_with_its_token(world: World, town: Town) -> None:
    """To the second; the client connects again with a fresh one."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(FOLLOW, target=installation(town.site.id))
        for _ in range(3):
            await client.hear()
        world.clock.advance(timedelta(minutes=15))
        assert await client.close_code() == 4403
    assert world.edge.audiences.count == 0
    assert world.edge.counts.connections == 0


class AwayTokens(SignedTokens):
    """Tokens that cannot be looked up while the database is away."""

    error: Exception | None = None

    def verify(self, token: str, *, now: datetime) -> AccessClaims:
        if self.error is not None:
            raise self.error
        return super().verify(token, now=now)


async def test_a_database_that_is_away_ends_no_connection_for_good(world: World, bus: RedisBus, town: Town) -> None:
    """1013, with which clients come back; 4500 would be final for them."""
    person, tokens = town.people["SERVICE"], AwayTokens(SECRET)
    away = World(bus, tokens=tokens)
    async with away.signed_in(await world.token(person)) as client, away.socket() as other:
        tokens.error = ConnectionDoesNotExistError("connection was closed in the middle of operation")
        await bus.publish(PermissionChanged(user_id=person, installation_id=town.site.id))
        assert await client.close_code() == 1013
        other.tell({"type": "connection_init", "payload": {"token": await world.token(person)}})
        assert await other.close_code() == 1013


async def test_too_many_operations_on_one_connection_are_refused(world: World, town: Town) -> None:
    """The one above the limit only."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        for number in range(MAX_OPERATIONS + 1):
            client.subscribe(FOLLOW, id=str(number), target=installation(town.site.id))
        refused = [heard for _ in range(MAX_OPERATIONS) if (heard := await client.hear())["type"] == "error"]
        assert [one["payload"][0]["extensions"]["code"] for one in refused] == ["RATE_LIMITED"]


async def test_a_completed_subscription_leaves_nothing_behind(world: World, town: Town) -> None:
    """No audience, no channel but the person's own."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(FOLLOW, target=installation(town.site.id))
        for _ in range(3):
            await client.hear()
        assert world.edge.audiences.count == 1
        client.tell({"id": "1", "type": "complete"})
        client.tell({"type": "ping"})
        assert await client.hear() == {"type": "pong"}
        assert world.edge.audiences.count == 0
