"""Too many wrong tries are refused, by all processes together, and nobody locks out another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from app.attempt_limits import (
    MOST_AT_ACCOUNT,
    MOST_OF_ADDRESS,
    MOST_OF_ADDRESS_AT_ACCOUNT,
    WAITING_OF_ADDRESS,
    AttemptLimits,
)
from domain.errors import RateLimitedError, UnavailableError
from tests.factories import NOW
from tests.fakes import HandClock
from tests.servers import free_port

HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty server."""
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


async def _try(limits: AttemptLimits, address: str, account: str | None, *, is_right: bool = False) -> bool:
    """Whether the try was let through."""
    try:
        async with limits.one(address=address, account=account) as attempt:
            attempt.is_right = is_right
    except RateLimitedError:
        return False
    return True


async def test_an_address_is_refused_after_too_many_wrong_tries_by_every_process(redis: Redis) -> None:
    """Whatever accounts they were at; another address goes on."""
    one, other = AttemptLimits(redis, HandClock(NOW)), AttemptLimits(redis, HandClock(NOW))
    tried = [await _try(one, HERE, f"person{number}") for number in range(MOST_OF_ADDRESS + 1)]
    assert tried == [True] * MOST_OF_ADDRESS + [False]
    assert not await _try(other, HERE, "somebody")
    assert await _try(other, THERE, "person0")


async def test_an_address_has_few_tries_at_one_account(redis: Redis) -> None:
    """And goes on at others."""
    limits = AttemptLimits(redis, HandClock(NOW))
    tried = [await _try(limits, HERE, "kari") for _ in range(MOST_OF_ADDRESS_AT_ACCOUNT + 1)]
    assert tried == [True] * MOST_OF_ADDRESS_AT_ACCOUNT + [False]
    assert await _try(limits, HERE, "ole")


async def test_right_tries_are_not_counted(redis: Redis) -> None:
    """An office behind one address signs in all day."""
    limits = AttemptLimits(redis, HandClock(NOW))
    tried = [await _try(limits, HERE, "kari", is_right=True) for _ in range(3 * MOST_OF_ADDRESS)]
    assert all(tried)


async def test_what_could_not_be_looked_at_is_not_counted(redis: Redis) -> None:
    """While a provider or the database is away nobody is wrong."""
    limits = AttemptLimits(redis, HandClock(NOW))
    for _ in range(2 * MOST_OF_ADDRESS):
        with pytest.raises(UnavailableError):
            async with limits.one(address=HERE, account="kari"):
                raise UnavailableError("away")
    assert await _try(limits, HERE, "kari")


async def test_an_account_under_attack_can_still_be_signed_in_to(redis: Redis) -> None:
    """From an address that has not tried yet: once if it is wrong, on and on while it is right."""
    limits = AttemptLimits(redis, HandClock(NOW))
    for number in range(MOST_AT_ACCOUNT):
        await _try(limits, f"198.51.{number // 200}.{number % 200}", "kari")
    assert all([await _try(limits, HERE, "kari", is_right=True) for _ in range(3)])
    assert await _try(limits, THERE, "kari")
    assert not await _try(limits, THERE, "kari")


async def test_an_address_hashes_few_at_once(redis: Redis) -> None:
    """A few wait for their turn, the others are told to come back, so that nobody takes all the cores."""
    limits = AttemptLimits(redis, HandClock(NOW))
    async with AsyncExitStack() as at_work, asyncio.TaskGroup() as tasks:
        await at_work.enter_async_context(limits.one(address=HERE, account=None))
        waiting = [tasks.create_task(_try(limits, HERE, None)) for _ in range(WAITING_OF_ADDRESS)]
        await asyncio.sleep(0)
        assert not await _try(limits, HERE, None)
        assert await _try(limits, THERE, None)
        assert not any(task.done() for task in waiting)
        await at_work.aclose()
    assert [task.result() for task in waiting] == [True] * WAITING_OF_ADDRESS


async def test_refusals_end_with_their_time(redis: Redis) -> None:
    """What this process remembers goes by its clock, the count by the server's."""
    clock = HandClock(NOW)
    limits = AttemptLimits(redis, clock)
    while await _try(limits, HERE, None):
        pass
    await redis.flushall()
    assert not await _try(limits, HERE, None)
    clock.advance(timedelta(minutes=10))
    assert await _try(limits, HERE, None)


async def test_without_redis_a_process_counts_by_itself() -> None:
    """Sign-ins go on, and are limited all the same."""
    client = Redis(host="127.0.0.1", port=free_port(), socket_connect_timeout=0.2)
    limits = AttemptLimits(client, HandClock(NOW))
    tried = [await _try(limits, HERE, "kari") for _ in range(MOST_OF_ADDRESS_AT_ACCOUNT + 1)]
    assert tried == [True] * MOST_OF_ADDRESS_AT_ACCOUNT + [False]
    await client.aclose()


async def test_whoever_has_one_ipv6_address_has_its_network(redis: Redis) -> None:
    """Its other addresses are no others."""
    limits = AttemptLimits(redis, HandClock(NOW))
    tried = [await _try(limits, f"2001:db8::{number:x}", None) for number in range(MOST_OF_ADDRESS + 1)]
    assert tried[-1] is False
    assert await _try(limits, "2001:db8:0:1::1", None)
