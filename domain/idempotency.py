"""The same request under the same key is done once: its answer is found again for 24 hours."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import sql
from domain.clock import Clock
from domain.errors import ConflictError, DomainError, ErrorCode, invalid
from domain.models import IdempotencyKey
from domain.ports import Tokens

KEPT_FOR = timedelta(hours=24)
MAX_KEY_LENGTH = 200
_WAIT_S = 5.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request led to: the type and id of a thing, from which its answer is made again, or the answer's content as JSON."""

    type_name: str
    identity: UUID | None
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Once:
    """An outcome, and whether it is of an earlier request with the same key."""

    outcome: Outcome
    is_repeated: bool


def input_hash(content: bytes, *, tokens: Tokens) -> str:
    """The digest by which inputs are compared: keyed, because passwords and codes are among them."""
    return tokens.keyed("idempotency", content)


async def once(
    actor_id: UUID, mutation: str, key: str, digest: str, do: Callable[[], Awaitable[Outcome]], *, clock: Clock
) -> Once:
    """The outcome of `do`, run at most once for this person or program, mutation and key.

    Trouble that `do` reports frees the key: nothing was done. ConflictError: KEY_REUSED for another input; CONFLICT while
    the first request is still at work, or when it was cut off before its outcome was known.
    """
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise invalid("idempotencyKey", f"An idempotency key has 1 to {MAX_KEY_LENGTH} characters.")
    claim = await _claim(actor_id, mutation, key, digest, clock.now())
    if claim is None:
        return Once(await _earlier(actor_id, mutation, key, digest, clock), is_repeated=True)
    try:
        outcome = await do()
    except DomainError:
        await IdempotencyKey.filter(id=claim).delete()
        raise
    await IdempotencyKey.filter(id=claim).update(
        result_type=outcome.type_name, result_id=outcome.identity, result_json=outcome.content
    )
    return Once(outcome, is_repeated=False)


async def forget_old(now: datetime) -> int:
    """How many keys older than 24 hours were removed."""
    return await sql.execute("DELETE FROM idempotency_keys WHERE created_at <= $1", now - KEPT_FOR)


async def _claim(actor_id: UUID, mutation: str, key: str, digest: str, now: datetime) -> int | None:
    """The id of the new claim; None when there is one already."""
    await IdempotencyKey.filter(
        user_id=actor_id, mutation=mutation, request_key=key, created_at__lte=now - KEPT_FOR
    ).delete()
    try:
        async with in_transaction():
            row = await IdempotencyKey.create(
                user_id=actor_id, mutation=mutation, request_key=key, input_hash=digest, created_at=now
            )
    except IntegrityError:
        return None
    identity: int = row.id
    return identity


async def _earlier(actor_id: UUID, mutation: str, key: str, digest: str, clock: Clock) -> Outcome:
    """The outcome of the request that came first, waited for while it is at work."""
    give_up_at = clock.monotonic() + _WAIT_S
    while True:
        row = await IdempotencyKey.get_or_none(user_id=actor_id, mutation=mutation, request_key=key)
        if row is not None and row.input_hash != digest:
            message = "This idempotency key was used for another input; use a new key for each request."
            raise ConflictError(message, code=ErrorCode.KEY_REUSED, path=("idempotencyKey",))
        if row is not None and row.result_type is not None:
            return Outcome(row.result_type, row.result_id, row.result_json)
        if row is None or clock.monotonic() >= give_up_at:
            message = (
                "The first request with this key has no outcome yet: look whether it was done, then use a new key."
            )
            raise ConflictError(message, path=("idempotencyKey",))
        await clock.sleep(_POLL_S)
