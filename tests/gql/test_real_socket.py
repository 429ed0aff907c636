"""The edge behind uvicorn, over a real socket, with a client library that knows nothing of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.redis_bus import RedisBus
from gql.edge import PATH
from gql.protocol import PROTOCOL
from tests.factories import Town
from tests.gql.world import PATIENCE_S, World, installation, status

FOLLOW = (
    "subscription ($t: ID!) { chargerStatus(target: {installationId: $t}) { kind charger { status { version } } } }"
)


@asynccontextmanager
async def _served(world: World) -> AsyncIterator[str]:
    config = uvicorn.Config(world.app, port=0, lifespan="off", log_config=None, ws="websockets-sansio")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}{PATH}"
    finally:
        server.should_exit = True
        await server.shutdown()


async def _hear(socket: ClientConnection) -> dict[str, object]:
    async with asyncio.timeout(PATIENCE_S):
        text = await socket.recv()
    assert isinstance(text, str)
    heard: dict[str, object] = orjson.loads(text)
    return heard


async def test_a_stream_over_a_real_socket(world: World, bus: RedisBus, town: Town) -> None:
    """Greeting, snapshot, READY, a change; when the client is gone nothing of it is left."""
    token = await world.token(town.people["SERVICE"])
    async with _served(world) as url:
        async with connect(url, subprotocols=[Subprotocol(PROTOCOL)]) as socket:
            assert socket.subprotocol == PROTOCOL
            await socket.send(orjson.dumps({"type": "connection_init", "payload": {"token": token}}).decode())
            assert await _hear(socket) == {"type": "connection_ack"}
            payload = {"query": FOLLOW, "variables": {"t": installation(town.site.id)}}
            await socket.send(orjson.dumps({"id": "7", "type": "subscribe", "payload": payload}).decode())
            for _ in range(3):
                assert (await _hear(socket))["id"] == "7"
            await bus.publish(status(town.site.id, town.charger_id, 2))
            event = {"kind": "CHANGED", "charger": {"status": {"version": 2}}}
            assert await _hear(socket) == {"id": "7", "type": "next", "payload": {"data": {"chargerStatus": event}}}
        async with asyncio.timeout(PATIENCE_S):
            await world.edge.is_quiet()
        assert (world.edge.audiences.count, bus.channel_count) == (0, 0)
