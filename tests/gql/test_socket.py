"""graphql-transport-ws: the protocol as its specification says, and what ends a connection."""

from datetime import timedelta
from typing import Any

import pytest

from app.redis_bus import RedisBus
from gql.socket import MAX_OPERATIONS
from tests.factories import Town
from tests.gql.world import PUBLIC_URL, World, installation

WHO = "{ viewer { user { name } } }"
FOLLOW = """subscription Live($target: ID!) { chargerStatus(target: { installationId: $target }) { kind } }"""


async def test_the_greeting(world: World) -> None:
    """The sub-protocol is accepted, the init acknowledged, a ping answered with its payload."""
    async with world.socket() as client:
        await client.init()
        assert client.accepted == "graphql-transport-ws"
        client.tell({"type": "ping", "payload": {"a": 1}})
        assert await client.hear() == {"type": "pong", "payload": {"a": 1}}
        client.tell({"type": "pong"})
        client.tell({"type": "ping"})
        assert await client.hear() == {"type": "pong"}


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


async def test_a_wrong_operation_is_one_error_and_not_the_end(world: World) -> None:
    """The connection goes on."""
    async with world.signed_in(None) as client:
        client.subscribe("{ nothing }")
        heard = await client.hear()
        assert (heard["id"], heard["type"]) == ("1", "error")
        assert heard["payload"][0]["message"] == "Cannot query field 'nothing' on type 'Query'."
        client.subscribe(WHO)
        assert (await client.hear())["type"] == "next"


INIT = {"type": "connection_init"}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["{"], 4400),
        (["[]"], 4400),
        ([{"type": "start"}], 4400),
        ([{}], 4400),
        ([{"type": "connection_init", "payload": 1}], 4400),
        ([INIT, INIT], 4429),
        ([{"id": "1", "type": "subscribe", "payload": {"query": WHO}}], 4401),
        ([{"type": "complete"}], 4400),
        ([{"type": "connection_init", "payload": {"token": "x.y.z"}}], 4403),
        ([{"type": "connection_init", "payload": {"authorization": "Basic x"}}], 4403),
        ([INIT, " " * 300_000], 1009),
    ],
)
async def test_what_breaks_the_protocol_ends_the_connection(world: World, messages: list[Any], code: int) -> None:
    """Each with the code that the specification gives it."""
    async with world.socket() as client:
        for message in messages:
            client.tell(message)
        assert await client.close_code() == code


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
