"""Tests of durable consequences."""

from datetime import UTC, datetime, timedelta

import pytest

from domain import outbox

pytestmark = pytest.mark.usefixtures("database")

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def test_a_message_is_held_by_one_worker_at_a_time() -> None:
    """A claimed message is not claimed again before its claim runs out."""
    await outbox.put("mail", "{}", now=NOON)
    assert len(await outbox.claim("mail", now=NOON, for_s=60)) == 1
    assert await outbox.claim("mail", now=NOON + timedelta(seconds=59), for_s=60) == []


async def test_a_dead_workers_claim_runs_out() -> None:
    """What a worker took and never finished is taken up by the next."""
    put = await outbox.put("mail", "{}", now=NOON)
    await outbox.claim("mail", now=NOON, for_s=60)
    [again] = await outbox.claim("mail", now=NOON + timedelta(seconds=60), for_s=60)
    assert (again.id, again.attempts) == (put, 2)


async def test_what_is_done_stays_done() -> None:
    """A message that was carried out is never claimed again."""
    await outbox.put("mail", "{}", now=NOON)
    [message] = await outbox.claim("mail", now=NOON, for_s=60)
    await outbox.done(message, now=NOON)
    assert await outbox.claim("mail", now=NOON + timedelta(days=1), for_s=60) == []


async def test_each_retry_waits_twice_as_long() -> None:
    """The first retry comes after 30 s, the second after a minute."""
    await outbox.put("mail", "{}", now=NOON)
    [first] = await outbox.claim("mail", now=NOON, for_s=60)
    await outbox.retry(first, error="away", now=NOON)
    assert await outbox.claim("mail", now=NOON + timedelta(seconds=29), for_s=60) == []
    [second] = await outbox.claim("mail", now=NOON + timedelta(seconds=30), for_s=60)
    later = NOON + timedelta(seconds=30)
    await outbox.retry(second, error="away", now=later)
    assert await outbox.claim("mail", now=later + timedelta(seconds=59), for_s=60) == []
    assert len(await outbox.claim("mail", now=later + timedelta(seconds=60), for_s=60)) == 1


async def test_a_message_is_given_up_after_three_days() -> None:
    """What could not be done in 72 h is kept as failed and not tried again."""
    await outbox.put("mail", "{}", now=NOON)
    late = NOON + timedelta(hours=73)
    [message] = await outbox.claim("mail", now=late, for_s=60)
    await outbox.retry(message, error="away", now=late)
    assert await outbox.claim("mail", now=late + timedelta(days=1), for_s=60) == []


async def test_kinds_do_not_mix() -> None:
    """A worker of one kind never sees another's messages."""
    await outbox.put("mail", "{}", now=NOON)
    assert await outbox.claim("export", now=NOON, for_s=60) == []
