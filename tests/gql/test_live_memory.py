"""Streams that go on for days take no more memory than those that begin."""

import gc
import tracemalloc

from app.redis_bus import RedisBus
from tests.factories import Town
from tests.gql.following import FULL, following, next_event
from tests.gql.world import World, status

_EVENTS = 200
_MOST_BYTES_AN_EVENT = 600


async def test_an_event_leaves_nothing_behind(world: World, bus: RedisBus, town: Town) -> None:
    """What is kept of a charger's status is the newest, and what is worked out to write one serves all."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        await following(client, town.site)

        async def told(first: int) -> None:
            for version in range(first, first + _EVENTS):
                await bus.publish(status(town.site.id, town.charger_id, version, **FULL))
                await next_event(client)

        await told(2)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            await told(2 + _EVENTS)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (after - before) / _EVENTS < _MOST_BYTES_AN_EVENT
