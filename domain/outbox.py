"""Durable consequences: a row written with the fact that causes it, claimed and carried out after the commit.

At least once: a worker that dies between the deed and `done` leaves a claim that runs out. What leaves the house carries
the row's id, so that its receiver can tell a repetition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain import sql
from domain.ids import new_id

MAIL = "mail"
"""The kind of e-mails; the payload is a `domain.ports.Mail` as JSON."""

FIRST_RETRY_S = 30
LONGEST_RETRY_S = 3600
GIVE_UP_AFTER = timedelta(hours=72)
"""Longer than a long weekend: an SMTP server that was down on Friday evening still gets the mails on Monday."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this worker alone holds until its claim runs out."""

    id: UUID
    payload: str
    attempts: int
    created_at: datetime


async def put(kind: str, payload: str, *, now: datetime) -> UUID:
    """The message will be carried out; call inside the transaction of its cause."""
    message_id = new_id()
    await sql.execute(
        "INSERT INTO outbox (id, kind, payload, created_at, due_at, attempts) VALUES ($1, $2, $3, $4, $4, 0)",
        message_id,
        kind,
        payload,
        now,
    )
    return message_id


async def claim(kind: str, *, now: datetime, for_s: float, limit: int = 20) -> Sequence[Claimed]:
    """The oldest due messages of that kind, held by the caller for `for_s` seconds."""
    lock = "" if sql.is_sqlite() else "FOR UPDATE SKIP LOCKED"
    found = await sql.rows(
        f"""
        UPDATE outbox SET claimed_until = $1, attempts = attempts + 1 WHERE id IN (
          SELECT id FROM outbox
          WHERE kind = $2 AND done_at IS NULL AND failed_at IS NULL AND due_at <= $3
            AND (claimed_until IS NULL OR claimed_until <= $3)
          ORDER BY due_at LIMIT {int(limit)} {lock})
        RETURNING id, payload, attempts, created_at
        """,  # noqa: S608  numbers of ours only
        now + timedelta(seconds=for_s),
        kind,
        now,
    )
    return [
        Claimed(sql.uuid_of(row["id"]), row["payload"], int(row["attempts"]), sql.instant_of(row["created_at"]))
        for row in found
    ]


async def done(message: Claimed, *, now: datetime) -> None:
    """It was carried out and is never claimed again; what it said is forgotten, as letters hold codes."""
    await sql.execute(
        "UPDATE outbox SET done_at = $1, claimed_until = NULL, payload = $3 WHERE id = $2", now, message.id, ""
    )


async def drop(message: Claimed) -> None:
    """It was carried out and is gone: for what is written often and interests nobody afterwards."""
    await sql.execute("DELETE FROM outbox WHERE id = $1", message.id)


def is_given_up(message: Claimed, *, now: datetime) -> bool:
    """Whether one more failure is the last."""
    return now - message.created_at > GIVE_UP_AFTER


async def retry(message: Claimed, *, error: str, now: datetime) -> None:
    """It is tried again later, each time twice as late; after `GIVE_UP_AFTER` it is kept as failed."""
    if is_given_up(message, now=now):
        await fail(message, error=error, now=now)
        return
    wait_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(message.attempts - 1, 10))
    await sql.execute(
        "UPDATE outbox SET due_at = $1, claimed_until = NULL, error = $2 WHERE id = $3",
        now + timedelta(seconds=wait_s),
        error[:500],
        message.id,
    )


async def defer(message: Claimed, *, seconds: float, now: datetime) -> None:
    """It is not to be carried out yet: claimed again after that time, which does not count as an attempt."""
    await sql.execute(
        "UPDATE outbox SET due_at = $1, claimed_until = NULL, attempts = attempts - 1 WHERE id = $2",
        now + timedelta(seconds=seconds),
        message.id,
    )


async def fail(message: Claimed, *, error: str, now: datetime) -> None:
    """It will never succeed: kept with the reason, not tried again."""
    await sql.execute(
        "UPDATE outbox SET failed_at = $1, claimed_until = NULL, error = $2 WHERE id = $3", now, error[:500], message.id
    )


async def is_waiting(message: Claimed) -> bool:
    """Whether it is still to be carried out: it was neither done nor withdrawn."""
    found = await sql.row("SELECT 1 AS found FROM outbox WHERE id = $1 AND done_at IS NULL", message.id)
    return found is not None


async def withdraw(kind: str, payload: str) -> None:
    """Messages of that kind and content that were not carried out are gone; call inside the transaction of its cause."""
    await sql.execute("DELETE FROM outbox WHERE done_at IS NULL AND kind = $1 AND payload = $2", kind, payload)


async def forget(*, before: datetime) -> int:
    """How many messages that were done before then were removed; failed ones stay to be looked at."""
    return await sql.execute("DELETE FROM outbox WHERE done_at < $1", before)
