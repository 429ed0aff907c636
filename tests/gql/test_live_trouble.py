"""What is needed for a stream is away, or fails."""

import pytest
from asyncpg import ConnectionDoesNotExistError

from app.database import Database
from app.redis_bus import RedisBus
from domain import sql
from tests.factories import Town
from tests.gql.following import COME_BACK, FOLLOW, HeldLog, following, until_ready
from tests.gql.world import World, charger, installation


@pytest.mark.parametrize("follows", [True, False])
async def test_streams_that_miss_the_database_are_to_come_back(
    database: Database, bus: RedisBus, town: Town, follows: bool
) -> None:
    """1013 for the connection: an error and `complete` would be the end of them for their clients. The next try goes well."""
    del database
    log = HeldLog(bus)
    world = World(bus, log=log, heartbeat_s=0.05)
    token = await world.token(town.people["SERVICE"])
    away = ConnectionDoesNotExistError("connection was closed in the middle of operation")
    async with world.signed_in(token) as client:
        if follows:
            await following(client, town.site)
        log.error = away
        if not follows:
            client.subscribe(FOLLOW, target=installation(town.site.id))
        assert await client.close_code() == 1013
        assert all(one["type"] == "next" for one in client.heard_before_close)
    log.error = None
    async with world.signed_in(token) as client:
        await following(client, town.site)


async def test_who_joins_while_it_fails_is_told_why(database: Database, bus: RedisBus, town: Town) -> None:
    """Nobody is shown what may be old, and that it is complete."""
    del database
    log = HeldLog(bus)
    world = World(bus, log=log)
    token = await world.token(town.people["SERVICE"])
    async with world.signed_in(token) as client, world.signed_in(token) as late:
        client.subscribe(COME_BACK, target=installation(town.site.id))
        await until_ready(client)
        log.error = ConnectionDoesNotExistError("connection was closed in the middle of operation")
        late.subscribe(COME_BACK, target=installation(town.site.id), after="of another time")
        assert await late.close_code() == await client.close_code() == 1013
        assert late.heard_before_close == []


async def test_what_went_wrong_is_tried_again_for_the_next(world: World, bus: RedisBus, town: Town) -> None:
    """An event is written out once for all who see it, but not where a part of it could not be read."""
    query = "subscription ($t: ID!) { chargerStatus(target: { chargerId: $t }) { kind charger { meterKey { publicKey } } } }"
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        await sql.execute("ALTER TABLE meter_keys RENAME TO meter_keys_away")
        client.subscribe(query, t=charger(town.charger_id))
        first = [await client.hear() for _ in range(2)]
        await sql.execute("ALTER TABLE meter_keys_away RENAME TO meter_keys")
        client.subscribe(query, id="2", t=charger(town.charger_id))
        second = [await client.hear() for _ in range(2)]
    assert ["errors" in one["payload"] for one in (*first, *second)] == [True, False, False, False]
