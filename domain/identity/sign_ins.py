"""How people sign in and stay signed in: by password and one-time code, by an outside provider, by refresh tokens."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import Access, access_of
from domain.checks import Problems, normal_email
from domain.clock import Clock
from domain.errors import ErrorCode, UnavailableError, ValidationError, invalid
from domain.events import SignInEnded
from domain.identity import one_time_codes
from domain.identity.accounts import MAX_PASSWORD_LENGTH, new_person
from domain.ids import new_id
from domain.models import OpenIdLink, SignIn
from domain.ports import Attempt, Attempts, EventBus, OpenIdIdentity, OpenIdProvider, Passwords, Sealer, Tokens

REFRESH_LIFETIME = timedelta(days=30)
"""Of a sign-in that is not refreshed; each refresh begins it anew."""


UNNAMED = "Unnamed"
"""Of whom a provider tells no name: not the address, which others may not see."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in with its tokens; the refresh token is shown here and never again."""

    access: Access
    access_token: str
    refresh_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """What signing in needs from outside, and where the caller comes from."""

    passwords: Passwords
    tokens: Tokens
    sealer: Sealer
    attempts: Attempts
    clock: Clock
    bus: EventBus
    address: str


async def sign_in(email: str, password: str, *, totp_code: str | None = None, at: Entrance) -> SignedIn:
    """A new sign-in. ValidationError (WRONG_CREDENTIALS) is the same, and takes as long, for a wrong address or password.

    TOTP_REQUIRED after a right password only. RateLimitedError, before anything is looked at, after too many wrong ones.
    """
    account = normal_email(email)
    async with at.attempts.one(address=at.address, account=account) as attempt:
        person = await sql.row(
            "SELECT id, password_hash, totp_secret, totp_confirmed_at FROM users"
            " WHERE email = $1 AND is_active AND erased_at IS NULL",
            account,
        )
        stored: str | None = person["password_hash"] if person else None
        is_right = await at.passwords.matches(password[: MAX_PASSWORD_LENGTH + 1], stored)
        if person is None or not is_right:
            raise invalid((), "The e-mail address or the password is wrong.", ErrorCode.WRONG_CREDENTIALS)
        user_id = sql.uuid_of(person["id"])
        if person["totp_confirmed_at"] is not None:
            await _second_proof(user_id, totp_code, attempt, at=at)
        attempt.is_right = True
    return await begin(user_id, at=at, proven_by=stored)


async def _second_proof(user_id: UUID, code: str | None, attempt: Attempt, *, at: Entrance) -> None:
    await one_time_codes.require(
        user_id, code, attempt, path="totpCode", sealer=at.sealer, tokens=at.tokens, now=at.clock.now()
    )


async def sign_in_with_open_id(
    id_token: str,
    *,
    nonce: str | None,
    totp_code: str | None = None,
    provider: OpenIdProvider | None,
    is_open: bool,
    at: Entrance,
) -> SignedIn:
    """A new sign-in of whoever the provider says it is.

    Known by the provider's own id, else by an address that both the provider and this portal have proven; where sign-up is open, a new
    account. WRONG_CREDENTIALS for a token that is not valid, or of somebody who has no account here.

    Who has one-time codes here is asked for one, unless the provider says that it asked for several proofs itself.
    """
    if provider is None:
        raise UnavailableError("No OpenID Connect provider is set here; sign in with a password.")
    async with at.attempts.one(address=at.address, account=None) as attempt:
        identity = await provider.verified(id_token, nonce=nonce, now=at.clock.now())
        user_id = await _known(identity)
        if user_id is None:
            try:
                user_id = await _linked(identity, is_open=is_open, now=at.clock.now())
            except IntegrityError:  # The same first sign-in came twice at once.
                user_id = await _known(identity)
        if user_id is None:
            message = "There is no account here for this sign-in; ask for an invitation."
            raise invalid("idToken", message, ErrorCode.WRONG_CREDENTIALS)
        attempt.is_right = True
    if not identity.is_by_several_proofs and await one_time_codes.are_asked_for(user_id):
        async with at.attempts.one(address=at.address, account=str(user_id)) as attempt:
            await _second_proof(user_id, totp_code, attempt, at=at)
            attempt.is_right = True
    return await begin(user_id, at=at)


async def _known(identity: OpenIdIdentity) -> UUID | None:
    row = await sql.row(
        "SELECT u.id FROM open_id_links l JOIN users u ON u.id = l.user_id"
        " WHERE l.issuer = $1 AND l.subject = $2 AND u.is_active AND u.erased_at IS NULL",
        identity.issuer,
        identity.subject,
    )
    return None if row is None else sql.uuid_of(row["id"])


async def _linked(identity: OpenIdIdentity, *, is_open: bool, now: datetime) -> UUID | None:
    if identity.email is None or not identity.is_email_verified:
        return None
    problems = Problems()
    address = problems.email("idToken", identity.email)
    problems.raise_any()
    async with in_transaction():
        row = await sql.row("SELECT id, email_verified_at, is_active, erased_at FROM users WHERE email = $1", address)
        if row is None and not is_open:
            return None
        if row is None:
            person = await new_person(identity.name or UNNAMED, email=address, is_verified=True, now=now)
            user_id = person.id
        elif row["email_verified_at"] is None or not row["is_active"] or row["erased_at"] is not None:
            return None  # Whoever made that account never proved the address: it may be somebody else's.
        else:
            user_id = sql.uuid_of(row["id"])
        await OpenIdLink.create(user_id=user_id, issuer=identity.issuer, subject=identity.subject, linked_at=now)
        await audit.record_self(user_id, "user.linkOpenId", now=now, after={"issuer": identity.issuer})
    return user_id


async def begin(user_id: UUID, *, at: Entrance, proven_by: str | None = None) -> SignedIn:
    """A new sign-in of that person. `proven_by`: the hash of the password that proved it.

    ValidationError (WRONG_CREDENTIALS) when the account has ended or has another password by now: whoever sets one ends every sign-in, and
    none by the old one may come after.
    """
    now, secret = at.clock.now(), at.tokens.opaque()
    row = SignIn(
        id=new_id(),
        user_id=user_id,
        refresh_hash=secret.digest,
        created_at=now,
        refreshed_at=now,
        expires_at=now + REFRESH_LIFETIME,
    )
    async with in_transaction():
        person = await sql.row(
            f"SELECT password_hash FROM users WHERE id = $1 AND is_active AND erased_at IS NULL{sql.for_change()}",  # noqa: S608
            user_id,
        )
        if person is None or proven_by not in (None, person["password_hash"]):
            raise invalid((), "The e-mail address or the password is wrong.", ErrorCode.WRONG_CREDENTIALS)
        await row.save(force_create=True)
    return await _signed_in(row.user_id, row.id, secret.token, tokens=at.tokens, now=now)


async def refresh_sign_in(refresh_token: str, *, tokens: Tokens, clock: Clock, bus: EventBus) -> SignedIn:
    """New tokens for the same sign-in; the old refresh token is spent.

    A spent one ends the sign-in, because either it or its successor was stolen. One that was never ours ends nothing: the id of a sign-in
    is no secret. ValidationError (TOKEN_EXPIRED) when the token is unknown or spent, or the sign-in or the account has ended.
    """
    now = clock.now()
    family, secret, is_ours = _parts(refresh_token, tokens)
    is_refreshed = is_reused = False
    fresh = tokens.opaque()
    async with in_transaction():
        row = None if family is None else await SignIn.select_for_update().get_or_none(id=family, ended_at=None)
        if row is not None and row.refresh_hash == tokens.digest(secret) and row.expires_at > now:
            is_refreshed = True
            row.refresh_hash, row.refreshed_at, row.expires_at = fresh.digest, now, now + REFRESH_LIFETIME
            await row.save(update_fields=["refresh_hash", "refreshed_at", "expires_at"])
        elif row is not None and row.refresh_hash != tokens.digest(secret) and is_ours:
            is_reused = True
            row.ended_at = now
            await row.save(update_fields=["ended_at"])
    if row is not None and is_reused:
        await bus.publish(SignInEnded(user_id=row.user_id, sign_in_id=row.id))
    if row is None or not is_refreshed:
        raise _sign_in_again()
    return await _signed_in(row.user_id, row.id, fresh.token, tokens=tokens, now=now)


async def _signed_in(user_id: UUID, sign_in_id: UUID, secret: str, *, tokens: Tokens, now: datetime) -> SignedIn:
    access = await access_of(user_id, now=now, sign_in_id=sign_in_id)
    if access.actor is None:
        raise _sign_in_again()
    issued = tokens.issue(user_id, sign_in_id, now=now)
    refresh_token = f"{sign_in_id.hex}.{secret}.{_mark(sign_in_id, secret, tokens)}"
    return SignedIn(access, issued.token, refresh_token, issued.expires_at)


def _mark(sign_in_id: UUID, secret: str, tokens: Tokens) -> str:
    """By which a refresh token is known to be ours after it was spent, when nothing else is kept of it."""
    return tokens.keyed("refresh token", f"{sign_in_id.hex}.{secret}".encode())


def _parts(refresh_token: str, tokens: Tokens) -> tuple[UUID | None, str, bool]:
    """(the sign-in it names, its secret, whether we made it)."""
    family, secret, mark = (*refresh_token.split(".", 2), "", "")[:3]
    try:
        sign_in_id = UUID(hex=family)
    except ValueError:
        return None, secret, False
    return sign_in_id, secret, hmac.compare_digest(mark.encode(), _mark(sign_in_id, secret, tokens).encode())


def _sign_in_again() -> ValidationError:
    return invalid("refreshToken", "This sign-in has ended. Sign in again.", ErrorCode.TOKEN_EXPIRED)


async def sign_out(access: Access, *, everywhere: bool, bus: EventBus) -> None:
    """The sign-in behind this request has ended, or with `everywhere` all of that person: their tokens and streams too."""
    user_id, sign_in_id = access.person(), access.signed_in().sign_in_id
    ended: list[UUID] = []
    async with in_transaction():
        open_ones = SignIn.filter(user_id=user_id, ended_at=None)
        if not everywhere:
            open_ones = open_ones.filter(id=sign_in_id or user_id)
        for row in await open_ones.select_for_update():
            row.ended_at = access.now
            await row.save(update_fields=["ended_at"])
            ended.append(row.id)
    await bus.publish(*(SignInEnded(user_id=user_id, sign_in_id=one) for one in ended))


async def end_all(user_id: UUID, *, now: datetime, but: UUID | None = None) -> list[SignInEnded]:
    """Every sign-in of that person has ended, except one; call inside a transaction, and publish after its commit."""
    ended = []
    for row in await SignIn.filter(user_id=user_id, ended_at=None).select_for_update():
        if row.id != but:
            row.ended_at = now
            await row.save(update_fields=["ended_at"])
            ended.append(SignInEnded(user_id=user_id, sign_in_id=row.id))
    return ended
