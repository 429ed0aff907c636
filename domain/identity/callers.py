"""Whose token it is: access tokens of people's sign-ins, and API tokens of service accounts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain import events, sql
from domain.access import Access, access_of, access_of_program
from domain.errors import UnauthenticatedError
from domain.ports import Tokens

API_TOKEN_MARK = "lade_"  # noqa: S105  how such a token begins, so that scanners of leaked secrets know it
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says: who, until when, and where it is told that their rights changed or ended.

    Of a person `user_id` and `sign_in_id` are set, of a program `service_account_id` and `api_token_id`.
    """

    channel: str
    expires_at: datetime | None
    user_id: UUID | None = None
    sign_in_id: UUID | None = None
    service_account_id: UUID | None = None
    api_token_id: UUID | None = None


async def claims_of(token: str, *, tokens: Tokens, now: datetime) -> Claims:
    """What the token says. UnauthenticatedError when it is not ours, is damaged, was revoked or has expired (code TOKEN_EXPIRED)."""
    if token.startswith(API_TOKEN_MARK):
        return await _program(token, tokens, now)
    person = tokens.verify(token, now=now)
    return Claims(
        events.user_channel(person.user_id), person.expires_at, user_id=person.user_id, sign_in_id=person.session_id
    )


async def access_by(claims: Claims, *, now: datetime) -> Access:
    """What the token's holder may do at `now`; nobody's access when the account, sign-in or token has ended."""
    if claims.user_id is not None:
        return await access_of(claims.user_id, now=now, sign_in_id=claims.sign_in_id)
    if claims.service_account_id is None or claims.api_token_id is None:
        return Access.nobody(now)
    access = await access_of_program(claims.service_account_id, claims.api_token_id, now=now)
    if access.actor is not None:
        await sql.execute(_NOTE_USE, claims.api_token_id, now, now - _USE_NOTED_EVERY)
    return access


_NOTE_USE = """
UPDATE api_tokens SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)
"""


async def _program(token: str, tokens: Tokens, now: datetime) -> Claims:
    row = await sql.row(
        "SELECT id, account_id, expires_at FROM api_tokens WHERE digest = $1 AND revoked_at IS NULL",
        tokens.digest(token),
    )
    if row is None:
        raise UnauthenticatedError("This API token is not valid; an owner of the installation makes a new one.")
    expires_at = sql.optional_instant_of(row["expires_at"])
    if expires_at is not None and expires_at <= now:
        raise UnauthenticatedError("This API token has expired; an owner of the installation makes a new one.")
    account_id = sql.uuid_of(row["account_id"])
    return Claims(
        events.program_channel(account_id),
        expires_at,
        service_account_id=account_id,
        api_token_id=sql.uuid_of(row["id"]),
    )
