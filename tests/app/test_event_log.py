"""What was published is kept for those who come back: all of it after their place, or word that this is not known."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.event_log import MOST_KEPT
from app.redis_bus import RedisBus
from domain.errors import UnavailableError
from domain.events import KEPT_S, CommandChanged, InstallationChanged, SessionChanged, encode
from domain.ids import new_id
from domain.roles import CommandState
from tests.servers import free_port, redis_server, valkey_program

PATIENCE_S = 5.0
HERE, CHARGER, SESSION, DRIVER = (new_id() for _ in range(4))
CHANNEL = f"installation:{HERE}"
CHANGED = InstallationChanged(HERE)


@pytest.fixture
async def admin(redis_url: str) -> AsyncIterator[Redis]:
    """A client that reaches behind the bus."""
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


def _session(change: str) -> SessionChanged:
    return SessionChanged(HERE, CHARGER, SESSION, DRIVER, change)


async def test_all_that_came_after_a_place_is_read(bus: RedisBus) -> None:
    """In the order of publication, in each channel of the event, whoever listened or not; nothing twice."""
    begin = (await bus.read(CHANNEL)).place
    assert (await bus.read(CHANNEL, begin)).messages == ()
    started, ended = _session("STARTED"), _session("ENDED")
    async with bus.follow(CHANNEL) as heard, bus.follow(f"sessions:{DRIVER}") as own:
        await bus.publish(CHANGED, started)
        await bus.publish(ended)
        places = [(await anext(heard)).place for _ in range(3)]
        assert [(await anext(own)).message for _ in range(2)] == [encode(started), encode(ended)]
    assert places == [begin.after(count) for count in (1, 2, 3)]
    kept = await bus.read(CHANNEL, begin)
    assert kept.place == places[-1]
    assert kept.messages == (encode(CHANGED), encode(started), encode(ended))
    for at, place in enumerate(places, start=1):
        assert place is not None
        assert (await bus.read(CHANNEL, place)).messages == kept.messages[at:]


async def test_channels_of_one_thing_are_not_kept(bus: RedisBus, admin: Redis) -> None:
    """A command is read anew by whoever comes back: its channel costs a PUBLISH and no memory."""
    changed = CommandChanged(new_id(), CHARGER, CommandState.SENT)
    async with bus.follow(f"command:{changed.command_id}") as heard:
        await bus.publish(changed)
        told = await anext(heard)
    assert (told.message, told.place) == (encode(changed), None)
    assert await admin.keys("lade:log:command*") == []


async def test_what_is_not_known_without_a_gap_is_not_read(bus: RedisBus, admin: Redis) -> None:
    """Another epoch, a place that is not reached, one whose messages are gone or are older than ten minutes: no messages."""
    begin = (await bus.read(CHANNEL)).place
    await bus.publish(CHANGED, CHANGED, CHANGED)
    assert len((await bus.read(CHANNEL, begin)).messages or ()) == 3
    for place in (replace(begin, epoch="other"), begin.after(4), begin.after(-1), replace(begin, number=0)):
        assert (await bus.read(CHANNEL, place)).messages is None
    await admin.xtrim(f"lade:log:{CHANNEL}", maxlen=2, approximate=False)
    assert (await bus.read(CHANNEL, begin)).messages is None
    assert len((await bus.read(CHANNEL, begin.after(1))).messages or ()) == 2
    seconds, _ = await admin.time()
    for age_s, is_known in ((KEPT_S + 1, False), (KEPT_S - 5, True)):
        await admin.delete(f"lade:log:{CHANNEL}")
        old = f"{(seconds - age_s) * 1000}-{begin.number + 3}"
        await admin.xadd(f"lade:log:{CHANNEL}", {"m": encode(CHANGED)}, id=old)
        assert ((await bus.read(CHANNEL, begin.after(2))).messages is not None) is is_known


async def test_what_is_kept_is_bounded_and_ends(bus: RedisBus, admin: Redis) -> None:
    """By number and by time; after the end numbers go on above all that were, so that no old place fits."""
    begin = (await bus.read(CHANNEL)).place
    for _ in range(22):
        await bus.publish(*[CHANGED] * 1_000)
    key = f"lade:log:{CHANNEL}"
    assert MOST_KEPT <= await admin.xlen(key) <= MOST_KEPT + 100
    assert (await bus.read(CHANNEL, begin)).messages is None
    assert len((await bus.read(CHANNEL, begin.after(2_000))).messages or ()) == MOST_KEPT
    assert KEPT_S < await admin.ttl(key) <= KEPT_S + 60
    last = (await bus.read(CHANNEL)).place
    await admin.delete(key, f"{key}:last")
    assert (await bus.read(CHANNEL, last)).messages is None
    assert (await bus.read(CHANNEL)).place.number > last.number


async def test_a_clock_that_goes_back_loses_what_was_kept_and_nothing_else(bus: RedisBus, admin: Redis) -> None:
    """Messages are published all the same, with the numbers that follow."""
    begin = (await bus.read(CHANNEL)).place
    await bus.publish(CHANGED)
    seconds, _ = await admin.time()
    await admin.xadd(f"lade:log:{CHANNEL}", {"m": b"{}"}, id=f"{(seconds + 3_600) * 1000}-1")
    async with bus.follow(CHANNEL) as heard:
        await bus.publish(CHANGED)
        assert (await anext(heard)).place == begin.after(2)
    assert (await bus.read(CHANNEL, begin)).messages is None
    assert (await bus.read(CHANNEL, begin.after(1))).messages == (encode(CHANGED),)


async def test_a_writer_that_is_gone_without_a_word_ends_the_epoch(bus: RedisBus, redis_url: str, admin: Redis) -> None:
    """What it had stored it may not have published. One that says goodbye ends nothing; everybody here is told."""
    begin = (await bus.read(CHANNEL)).place
    async with RedisBus(redis_url) as polite:
        await polite.publish(CHANGED)
    async with RedisBus(redis_url):
        pass
    assert (await bus.read(CHANNEL)).place.epoch == begin.epoch
    await admin.sadd("lade:log:writers", b"process:gone")
    async with bus.follow(CHANNEL) as heard, RedisBus(redis_url), asyncio.timeout(PATIENCE_S):
        assert (await anext(heard)).message is None
    assert (await bus.read(CHANNEL, begin)).messages is None


async def test_an_epoch_ends_with_a_failed_publication_and_with_another_redis(tmp_path: Path) -> None:
    """Redis is away: nothing is read. Back with the memories of before, or with none: no place from before leads anywhere."""
    port = free_port()
    with redis_server(tmp_path, program=valkey_program(), port=port) as url:
        bus = await RedisBus(url).__aenter__()
        begin = (await bus.read(CHANNEL)).place
        async with Redis.from_url(url) as admin:
            run = await admin.get("lade:log:run")
    await bus.publish(CHANGED)
    with pytest.raises(UnavailableError):
        await bus.read(CHANNEL, begin)
    with redis_server(tmp_path, program=valkey_program(), port=port) as url:
        async with Redis.from_url(url) as admin, asyncio.timeout(PATIENCE_S), bus.subscribe("x"):
            second = (await bus.read(CHANNEL)).place
            assert second.epoch != begin.epoch
            assert await admin.get("lade:log:run") != run
            async with bus.follow(CHANNEL) as heard:
                await bus.publish(CHANGED)
                while (told := await anext(heard)).message is None:
                    pass
            assert told.place is not None
            third = told.place
            # As if this server had been given the files of an earlier one.
            await admin.set("lade:log:run", run or b"")
            async with RedisBus(url):
                assert (await bus.read(CHANNEL)).place.epoch not in {begin.epoch, second.epoch, third.epoch}
        await bus.__aexit__(None, None, None)


async def _given_up(bus: RedisBus, admin: Redis) -> None:
    """A publication is cancelled before Redis answers."""
    await admin.client_pause(60_000, all=False)
    publishing = asyncio.create_task(bus.publish(CHANGED))
    for _ in range(20):
        await asyncio.sleep(0)
    publishing.cancel()
    await asyncio.wait([publishing])
    assert publishing.cancelled()
    await admin.client_unpause()


async def test_a_publication_that_is_given_up_may_be_lost(bus: RedisBus, admin: Redis) -> None:
    """Places of before lead nowhere from the next publication on."""
    begin = (await bus.read(CHANNEL)).place
    await _given_up(bus, admin)
    await bus.publish(_session("STARTED"))
    assert (await bus.read(CHANNEL, begin)).messages is None


async def test_one_that_ends_with_something_untold_says_so(bus: RedisBus, redis_url: str, admin: Redis) -> None:
    """A process whose last publication failed breaks off as it leaves."""
    begin = (await bus.read(CHANNEL)).place
    async with RedisBus(redis_url) as other:
        await _given_up(other, admin)
    assert (await bus.read(CHANNEL, begin)).messages is None
