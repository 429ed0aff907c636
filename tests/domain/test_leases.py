"""Tests of who is the only one to do something."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.leases import give_back, is_newest, take

pytestmark = pytest.mark.usefixtures("database")

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def test_a_held_lease_is_refused_to_others() -> None:
    """While one holds it, another gets nothing."""
    assert await take("balancer", "a", now=NOON, for_s=10) is not None
    assert await take("balancer", "b", now=NOON + timedelta(seconds=9), for_s=10) is None


async def test_a_lease_that_ran_out_goes_to_another_under_a_higher_fence() -> None:
    """The next holder's number is higher, so that the earlier one's late writes can be told."""
    first = await take("balancer", "a", now=NOON, for_s=10)
    second = await take("balancer", "b", now=NOON + timedelta(seconds=10), for_s=10)
    assert first is not None
    assert second is not None
    assert (first.fence, second.fence) == (1, 2)


async def test_renewing_keeps_the_fence() -> None:
    """A holder that renews in time goes on under the same number and a later end."""
    first = await take("balancer", "a", now=NOON, for_s=10)
    again = await take("balancer", "a", now=NOON + timedelta(seconds=5), for_s=10)
    assert first is not None
    assert again is not None
    assert (again.fence, again.until) == (first.fence, NOON + timedelta(seconds=15))


async def test_a_holder_that_came_too_late_gets_a_new_fence() -> None:
    """Somebody else may have held it in between, so the old number is void even for the same holder."""
    await take("balancer", "a", now=NOON, for_s=10)
    late = await take("balancer", "a", now=NOON + timedelta(seconds=11), for_s=10)
    assert late is not None
    assert late.fence == 2


async def test_a_lease_given_back_is_free_at_once() -> None:
    """A process that stops in order does not make the next one wait."""
    grip = await take("balancer", "a", now=NOON, for_s=10)
    assert grip is not None
    await give_back(grip, "a", now=NOON + timedelta(seconds=1))
    assert await take("balancer", "b", now=NOON + timedelta(seconds=1), for_s=10) is not None


async def test_an_older_number_gives_nothing_back() -> None:
    """A task that lost its lease and ends late does not end that of its successor in the same process."""
    first = await take("balancer", "a", now=NOON, for_s=10)
    assert first is not None
    assert await take("balancer", "a", now=NOON + timedelta(seconds=11), for_s=10) is not None
    await give_back(first, "a", now=NOON + timedelta(seconds=12))
    assert await take("balancer", "b", now=NOON + timedelta(seconds=12), for_s=10) is None


async def test_an_older_number_is_not_the_newest() -> None:
    """Whoever held the lease before can tell that another has taken it."""
    await take("balancer", "a", now=NOON, for_s=10)
    assert await is_newest("balancer", 1)
    await take("balancer", "b", now=NOON + timedelta(seconds=10), for_s=10)
    assert not await is_newest("balancer", 1)
