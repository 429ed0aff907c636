"""Facts reach whoever listens, in this process or another, at the cost of one subscription a channel."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest
from redis.asyncio import Redis

from app.redis_bus import RedisBus
from app.settings import OperatorError
from domain.errors import UnavailableError
from domain.events import InstallationChanged, PermissionChanged, decode
from domain.ids import new_id
from tests.servers import free_port, redis_program, redis_server, valkey_program

HERE = UUID("018f0000-0000-7000-8000-000000000001")
PERSON = UUID("018f0000-0000-7000-8000-000000000002")
CHANNEL = f"installation:{HERE}"


@pytest.fixture
async def admin(redis_url: str) -> AsyncIterator[Redis]:
    """A client that looks at the server from outside."""
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


async def subscriptions(admin: Redis, channel: str) -> int:
    """How many connections Redis sends that channel to."""
    return dict(await admin.pubsub_numsub(channel))[channel.encode()]


async def test_events_arrive_in_the_order_of_their_publication(bus: RedisBus) -> None:
    """One call with several events reaches each of their channels in order."""
    async with bus.subscribe(CHANNEL) as messages, bus.subscribe(f"user:{PERSON}") as rights:
        changed, granted = InstallationChanged(HERE), PermissionChanged(PERSON, HERE)
        await bus.publish(changed, granted, changed)
        assert [decode(await anext(messages)) for _ in range(3)] == [changed, granted, changed]
        assert decode(await anext(rights)) == granted
    assert (bus.counts.published, bus.counts.received, bus.counts.delivered, bus.counts.failed) == (4, 4, 4, 0)


async def test_events_reach_other_processes(bus: RedisBus, redis_url: str) -> None:
    """A bus of another process hears what this one publishes."""
    async with RedisBus(redis_url) as other, other.subscribe(CHANNEL) as messages:
        await bus.publish(InstallationChanged(HERE))
        assert decode(await anext(messages)) == InstallationChanged(HERE)


async def test_how_far_behind_it_is_is_known(bus: RedisBus) -> None:
    """What is published to oneself is heard again."""
    async with asyncio.timeout(5):
        while not bus.counts.lags.count:  # noqa: ASYNC110  it is asked as soon as the bus listens
            await asyncio.sleep(0)
    assert 0 < bus.counts.lags.total_s < 5


async def test_a_thousand_listeners_cost_one_subscription(bus: RedisBus, admin: Redis) -> None:
    """Redis sends a message once, however many listen to it here, and each of them gets it."""
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(bus.subscribe(CHANNEL)) for _ in range(1_000)]
        assert await subscriptions(admin, CHANNEL) == 1
        assert (bus.channel_count, bus.subscriber_count) == (1, 1_000)
        await bus.publish(InstallationChanged(HERE))
        heard = [await anext(messages) for messages in listeners]
        assert len(set(heard)) == 1
        assert (bus.counts.received, bus.counts.delivered) == (1, 1_000)
    # Another subscription's confirmation comes after everything that was sent before it.
    async with bus.subscribe("user:x"):
        assert await subscriptions(admin, CHANNEL) == 0
    assert (bus.channel_count, bus.subscriber_count) == (0, 0)


async def test_one_connection_listens_to_every_channel(bus: RedisBus, admin: Redis) -> None:
    """However many channels are listened to, one connection of this process is subscribed."""
    async with AsyncExitStack() as stack:
        for number in range(50):
            await stack.enter_async_context(bus.subscribe(f"installation:{number}"))
        listening = [client for client in await admin.client_list(_type="pubsub") if int(client["sub"]) >= 50]
        assert [client["sub"] for client in listening] == ["52"]  # and the two of every process


async def test_leaving_and_entering_again_misses_nothing(bus: RedisBus) -> None:
    """Whoever enters just after the last listener left is subscribed all the same."""
    for _ in range(50):
        async with bus.subscribe(CHANNEL):
            pass
        async with bus.subscribe(CHANNEL) as messages:
            await bus.publish(InstallationChanged(HERE))
            assert decode(await anext(messages)) == InstallationChanged(HERE)


async def test_a_cancelled_entrance_leaves_nothing_behind(bus: RedisBus, admin: Redis) -> None:
    """Cancelled before the confirmation, a listener is not counted and the channel is given back."""

    async def enter() -> None:
        async with bus.subscribe(CHANNEL):
            raise AssertionError("it was cancelled before")

    task = asyncio.create_task(enter())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with bus.subscribe("user:x"):
        assert bus.channel_count == 1
        assert await subscriptions(admin, CHANNEL) == 0


async def test_a_slow_listener_loses_the_oldest(bus: RedisBus) -> None:
    """At most `limit` messages wait; beyond that the oldest is dropped and counted, and others lose nothing."""
    async with bus.subscribe("x", limit=2) as slow, bus.subscribe("x") as patient, bus.subscribe("end") as end:
        for number in range(5):
            await bus.send("x", b"%d" % number)
        await bus.send("end", b"")
        await anext(end)
        assert [await anext(slow) for _ in range(2)] == [b"3", b"4"]
        assert [await anext(patient) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert bus.counts.dropped == 3


async def test_send_counts_processes_that_heard(bus: RedisBus, redis_url: str) -> None:
    """`send` returns how many processes listen, not how many listeners."""
    assert await bus.send("x", b"1") == 0
    async with bus.subscribe("x"), bus.subscribe("x"):
        assert await bus.send("x", b"2") == 1
        async with RedisBus(redis_url) as other, other.subscribe("x"):
            assert await bus.send("x", b"3") == 2


async def test_closing_the_bus_ends_every_listener(redis_url: str) -> None:
    """Whoever still listens when the bus is closed comes to an end instead of waiting for ever."""
    async with AsyncExitStack() as stack:
        async with RedisBus(redis_url) as closing:
            messages = await stack.enter_async_context(closing.subscribe("x"))
        assert [message async for message in messages] == []


@pytest.mark.parametrize("program", [valkey_program(), redis_program()], ids=["valkey", "redis"])
async def test_listeners_survive_a_restart_of_redis(tmp_path: Path, program: Path) -> None:
    """While Redis is away nothing raises but `send`; when it is back, the same listener hears again."""
    port = free_port()
    async with AsyncExitStack() as stack:
        with redis_server(tmp_path, program=program, port=port) as url:
            bus = await stack.enter_async_context(RedisBus(url))
            messages = await stack.enter_async_context(bus.subscribe("x"))
            await bus.send("x", b"before")
            assert await anext(messages) == b"before"
        await bus.publish(InstallationChanged(new_id()))
        assert bus.counts.failed == 1
        with pytest.raises(UnavailableError):
            await bus.send("x", b"lost")
        with pytest.raises(UnavailableError):
            await bus.check()
        with redis_server(tmp_path, program=program, port=port):
            async with asyncio.timeout(10), bus.subscribe("y"):  # confirmed only once connected again
                await bus.check()
                assert await bus.send("x", b"after") == 1
                assert await anext(messages) == b"after"
            assert bus.counts.gaps >= 1
            await stack.aclose()


async def test_a_redis_that_is_not_there_is_told_at_the_start() -> None:
    """The message names the place without the password, and the variable to correct."""
    port = free_port()
    with pytest.raises(OperatorError) as caught:
        async with RedisBus(f"redis://:hunter2@127.0.0.1:{port}/0"):
            pass
    assert str(caught.value).startswith(f"Redis at redis://127.0.0.1:{port}/0 cannot be used (ConnectionError")
    assert "LADE_REDIS_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
