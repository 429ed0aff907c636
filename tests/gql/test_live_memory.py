"""Streams that go on for days take no more memory than those that begin."""

import gc
import tracemalloc

from graphql.language import Token

from app.redis_bus import RedisBus
from gql.engine import Request
from tests.factories import Town
from tests.gql.following import FULL, following, next_event
from tests.gql.world import World, status

_EVENTS = 200
_MOST_BYTES_AN_EVENT = 600
_TOKENS = 11
"""Of the document, with its beginning and its end."""


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


async def test_a_document_that_is_forgotten_is_gone(world: World) -> None:
    """At once: its tokens know each other no more, and what grows old is seldom looked through for garbage."""
    too_long_to_be_kept = "{ viewer { user { name } } }" + " " * 16_000

    def tokens() -> int:
        return sum(isinstance(one, Token) for one in gc.get_objects())

    gc.disable()
    try:
        held = [world.edge.engine.ready(Request(too_long_to_be_kept, {}, None)) for _ in range(20)]
        # What was needed to judge them is gone, and they are old.
        gc.collect()
        before = tokens()
        held.clear()
        assert before - tokens() == 20 * _TOKENS
    finally:
        gc.enable()
