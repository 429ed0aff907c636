"""Redis is away, or the server is begun again: streams go on or begin anew by themselves, and nothing older is shown."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from app.database import Database
from app.redis_bus import RedisBus
from domain.models import ChargerStatus, Permission
from gql.socket import LOOKS_AT_ONCE
from tests.factories import a_town
from tests.gql.world import PATIENCE_S, Socket, World, installation, status
from tests.servers import free_port, redis_server, valkey_program

FOLLOW = """subscription ($t: ID!, $after: String) {
  chargerStatus(target: { installationId: $t }, after: $after) { kind cursor isResync charger { status { version } } } }"""


async def _told(client: Socket, count: int) -> list[tuple[str, bool, int | None]]:
    events = [(await client.hear())["payload"]["data"]["chargerStatus"] for _ in range(count)]
    client.cursor = events[-1]["cursor"]
    return [(one["kind"], one["isResync"], _version(one)) for one in events]


def _version(event: dict[str, Any]) -> int | None:
    return None if event["charger"] is None else event["charger"]["status"]["version"]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_redis_goes_away_and_comes_back(database: Database, tmp_path: Path) -> None:
    """What changed meanwhile is told by a new beginning, without being asked for; cursors of before lead nowhere."""
    del database
    port, town = free_port(), await a_town()
    target = installation(town.site.id)
    async with AsyncExitStack() as stack:
        with redis_server(tmp_path, program=valkey_program(), port=port) as url:
            bus = await stack.enter_async_context(RedisBus(url))
            world = World(bus)
            token = await world.token(town.people["SERVICE"])
            client = await stack.enter_async_context(world.signed_in(token))
            client.subscribe(FOLLOW, t=target)
            await _told(client, 3)
            await bus.publish(status(town.site.id, town.charger_id, 2))
            assert await _told(client, 1) == [("CHANGED", False, 2)]
        await ChargerStatus.filter(charger_id=town.charger_id).update(version=3)
        await bus.publish(status(town.site.id, town.charger_id, 3))
        assert client.waiting == 0
        with redis_server(tmp_path, program=valkey_program(), port=port):
            before = client.cursor
            async with asyncio.timeout(PATIENCE_S):
                began = await _told(client, 3)
            assert sorted(began, key=str) == [("READY", True, None), ("SNAPSHOT", True, 1), ("SNAPSHOT", True, 3)]
            await bus.publish(status(town.site.id, town.charger_id, 4))
            # The channel is looked at again as soon as it can be: signs of life, and the snapshot once more, may come before.
            while (told := await _told(client, 1)) != [("CHANGED", False, 4)]:
                assert told[0][1] or told[0][0] == "HEARTBEAT"
            client.subscribe(FOLLOW, id="2", t=target, after=before)
            while (heard := await client.hear())["id"] != "2":
                pass
            assert heard["payload"]["data"]["chargerStatus"]["isResync"] is True
            await stack.aclose()


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_rights_that_end_while_redis_is_away_end_when_it_is_back(database: Database, tmp_path: Path) -> None:
    """Nobody could be told of it, and the next look by the clock is a minute away. What comes before the look waits for it: it is never
    told to who lost the right, and not lost to who has it.
    """
    del database
    port, town = free_port(), await a_town()
    async with AsyncExitStack() as stack:
        with redis_server(tmp_path, program=valkey_program(), port=port) as url:
            bus = await stack.enter_async_context(RedisBus(url))
            world = World(bus)
            lost, kept = [
                await stack.enter_async_context(world.signed_in(await world.token(town.people[name])))
                for name in ("SERVICE", "OWNER of installation")
            ]
            for client in (lost, kept):
                client.subscribe(FOLLOW, t=installation(town.site.id))
                await _told(client, 3)
            endpoint = world.edge._socket
            for _ in range(LOOKS_AT_ONCE):
                await endpoint.looks.acquire()
        await Permission.filter(user_id=town.people["SERVICE"]).delete()
        with redis_server(tmp_path, program=valkey_program(), port=port):
            async with asyncio.timeout(PATIENCE_S):
                while not all(len(one._outbox) for one in endpoint._connections):  # noqa: ASYNC110  what waits tells nobody
                    await asyncio.sleep(0)
            assert (lost.waiting, kept.waiting) == (0, 0)
            for _ in range(LOOKS_AT_ONCE):
                endpoint.looks.release()
            assert "ACCESS_ENDED" in str(await lost.hear())
            assert (await lost.hear())["type"] == "complete"
            assert [one for one in await _told(kept, 3) if one[0] == "READY"] == [("READY", True, None)]
            await stack.aclose()


async def test_a_server_that_is_begun_again_goes_on(database: Database, redis_url: str) -> None:
    """It ended in an orderly way: whoever comes back with a cursor is told what another process published meanwhile, and no more."""
    del database
    town = await a_town()
    async with RedisBus(redis_url) as elsewhere:
        async with RedisBus(redis_url) as bus:
            world = World(bus)
            token = await world.token(town.people["SERVICE"])
            async with world.signed_in(token) as client:
                client.subscribe(FOLLOW, t=installation(town.site.id))
                await _told(client, 3)
                cursor = client.cursor
        await ChargerStatus.filter(charger_id=town.charger_id).update(version=3)
        for version in (2, 3):
            await elsewhere.publish(status(town.site.id, town.charger_id, version))
        async with RedisBus(redis_url) as bus, World(bus).signed_in(token) as client:
            client.subscribe(FOLLOW, t=installation(town.site.id), after=cursor)
            assert await _told(client, 2) == [("CHANGED", False, 3), ("READY", False, None)]
