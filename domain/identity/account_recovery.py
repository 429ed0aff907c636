"""Proofs by mail: a new account's address, and a forgotten password."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit, letters, outbox, sql
from domain.access import Access
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode, ValidationError, invalid
from domain.identity.accounts import MAX_PASSWORD_LENGTH, check_password, new_person
from domain.identity.invitations import accept_new, invited_address
from domain.identity.sign_ins import Entrance, SignedIn, begin, end_all
from domain.ids import new_id
from domain.models import MailedSecret, User
from domain.outbox import Claimed
from domain.ports import Mail, Tokens
from domain.roles import MailedSecretKind

RESET_LIFETIME = timedelta(hours=1)
VERIFY_LIFETIME = timedelta(days=1)
MOST_RESETS = 5
"""Letters to one account within `RESET_LIFETIME`, wherever they are asked for from: the earlier ones are still good."""
UNPROVEN_KEPT = timedelta(days=7)
"""An account without a proven address is forgotten after this time."""
RESET = "password-reset"
"""The outbox's kind: what it holds is the address, whether or not it has an account."""


class _Asked(msgspec.Struct, frozen=True):
    """Somebody asked for a letter to this address."""

    to: str


async def sign_up(
    *, name: str, email: str, password: str, invitation_token: str | None, is_open: bool, public_url: str, at: Entrance
) -> SignedIn:
    """A new account, signed in.

    With an invitation its address is proven, and the invitation accepted. Without, where sign-up is open, the account has no address
    until the code in a letter proves it: so nobody finds out by it whether an address has an account already.
    NotAllowedError where sign-up is not open.
    """
    if invitation_token is None and not is_open:
        raise invalid("invitationToken", "Accounts are made by invitation here: enter the code of yours.")
    problems = Problems()
    shown = problems.text("name", name)
    address = problems.email("email", email)
    check_password(problems, "password", password, email=address)
    problems.raise_any()
    async with at.attempts.one(address=at.address, account=None) as attempt:
        if invitation_token is not None:
            invited = await invited_address(invitation_token, tokens=at.tokens, now=at.clock.now())
            if invited is None:
                raise _not_valid("invitationToken")
            # Before anything is looked up: else the code's holder could ask which addresses have an account.
            if invited != address:
                raise invalid("email", "The invitation went to another address: make the account with that one.")
        hashed = await at.passwords.hash(password)
        now = at.clock.now()
        if invitation_token is None:
            user_id = await _unproven(shown, address, hashed, public_url, tokens=at.tokens, now=now)
        else:
            user_id = await _invited(shown, address, hashed, invitation_token, at=at)
            attempt.is_right = True
    return await begin(user_id, at=at)


async def _unproven(name: str, address: str, hashed: str, public_url: str, *, tokens: Tokens, now: datetime) -> UUID:
    async with in_transaction():
        person = await new_person(name, email=None, hashed=hashed, now=now)
        is_taken = await User.exists(email=address)
        secret, identity = tokens.opaque(), new_id()
        await _keep(identity, MailedSecretKind.VERIFY, person.id, address, secret.digest, now, now + VERIFY_LIFETIME)
        letter = letters.taken(public_url) if is_taken else letters.verification(name, secret.token, public_url)
        await letters.post(address, *letter, about=identity, now=now)
        await audit.record_self(person.id, "user.signUp", now=now, after={"name": name})
    return person.id


async def _invited(name: str, address: str, hashed: str, token: str, *, at: Entrance) -> UUID:
    now = at.clock.now()
    try:
        async with in_transaction():
            person = await new_person(name, email=address, hashed=hashed, is_verified=True, now=now)
            await audit.record_self(person.id, "user.signUp", now=now, after={"name": name})
            events = await accept_new(person.id, token, tokens=at.tokens, now=now)
    except IntegrityError as error:
        message = "There is an account with this address already: sign in with it, then accept the invitation."
        raise invalid("email", message, ErrorCode.ALREADY_EXISTS) from error
    await at.bus.publish(*events)
    return person.id


async def verify_email(access: Access, token: str, *, tokens: Tokens) -> None:
    """The address is that of the account that asks, proven. ConflictError when it has become another account's meanwhile.

    A code for another account is none: else a stranger could make an account with somebody's address, and that person's click would
    prove it for the stranger.
    """
    user_id, now = access.person(), access.now
    try:
        async with in_transaction():
            if not await MailedSecret.exists(digest=tokens.digest(token.strip()), user_id=user_id):
                raise _not_valid("token")
            secret = await _spent(MailedSecretKind.VERIFY, token, tokens=tokens, now=now)
            if await User.exists(email=secret.email):
                raise ConflictError(
                    "This address has an account by now: sign in with it.", code=ErrorCode.ALREADY_EXISTS
                )
            await User.filter(id=user_id).update(email=secret.email, email_verified_at=now)
            await audit.record(access, "user.verifyEmail", "User", user_id)
    except IntegrityError as error:
        raise ConflictError(
            "This address has an account by now: sign in with it.", code=ErrorCode.ALREADY_EXISTS
        ) from error


async def change_password(access: Access, *, current: str, new: str, public_url: str, at: Entrance) -> None:
    """The password is another, and every other sign-in of the person has ended."""
    user_id = access.person()
    person = await User.get(id=user_id)
    problems = Problems()
    check_password(problems, "newPassword", new, email=person.email or "")
    problems.raise_any()
    async with at.attempts.one(address=at.address, account=str(user_id)) as attempt:
        if not await at.passwords.matches(current[: MAX_PASSWORD_LENGTH + 1], person.password_hash):
            raise invalid("currentPassword", "This is not your present password.", ErrorCode.WRONG_CREDENTIALS)
        attempt.is_right = True
    hashed = await at.passwords.hash(new)
    now = at.clock.now()
    async with in_transaction():
        await User.filter(id=user_id).update(password_hash=hashed)
        ended = await end_all(user_id, now=now, but=access.signed_in().sign_in_id)
        await _end_resets(user_id, person.email, now=now)
        await audit.record(access, "user.changePassword", "User", user_id)
        if person.email is not None:
            await letters.post(person.email, *letters.changed(person.name, public_url), about=new_id(), now=now)
    await at.bus.publish(*ended)


async def request_password_reset(email: str, *, at: Entrance) -> None:
    """A letter is on its way, if the address has an account.

    Whether it has is looked up when the letter is written, not here: so that the caller sees and waits for the same if not.
    """
    problems = Problems()
    address = problems.email("email", email)
    problems.raise_any()
    async with at.attempts.one(address=at.address, account=f"reset:{address}"):
        await outbox.put(RESET, msgspec.json.encode(_Asked(to=address)).decode(), now=at.clock.now())


async def write_reset(asked: Claimed, *, tokens: Tokens, public_url: str, now: datetime) -> Mail | None:
    """The letter with a code that is good for an hour from when it was asked for.

    None when there is nobody to write to, the hour is over, the account had as many as `MOST_RESETS` in an hour, or the password was
    set meanwhile. Written again, after a server of mail was away, it has a new code, and the one before is good no more.
    """
    address = msgspec.json.decode(asked.payload, type=_Asked).to
    expires_at = asked.created_at + RESET_LIFETIME
    async with in_transaction():
        person = await sql.row(
            f"SELECT id, name FROM users WHERE email = $1 AND is_active AND erased_at IS NULL{sql.for_change()}",  # noqa: S608
            address,
        )
        if person is None or expires_at <= now or not await outbox.is_waiting(asked):
            return None
        user_id = sql.uuid_of(person["id"])
        await MailedSecret.filter(id=asked.id).delete()
        recent = MailedSecret.filter(user_id=user_id, kind=MailedSecretKind.RESET, created_at__gt=now - RESET_LIFETIME)
        if await recent.count() >= MOST_RESETS:
            return None
        secret = tokens.opaque()
        await _keep(asked.id, MailedSecretKind.RESET, user_id, address, secret.digest, asked.created_at, expires_at)
    return letters.made(address, *letters.reset(person["name"], secret.token, public_url), about=asked.id)


async def reset_password(token: str, new: str, *, public_url: str, at: Entrance) -> None:
    """The password is set anew, every sign-in has ended, the address is proven. One-time codes stay."""
    problems = Problems()
    check_password(problems, "newPassword", new, email="")
    problems.raise_any()
    async with at.attempts.one(address=at.address, account=None) as attempt:
        if not await _is_valid(MailedSecretKind.RESET, token, tokens=at.tokens, now=at.clock.now()):
            raise _not_valid("token")
        attempt.is_right = True
    hashed = await at.passwords.hash(new)
    now = at.clock.now()
    async with in_transaction():
        secret = await _spent(MailedSecretKind.RESET, token, tokens=at.tokens, now=now)
        person = await User.get(id=secret.user_id)
        person.password_hash = hashed
        person.email_verified_at = person.email_verified_at or now
        await person.save(update_fields=["password_hash", "email_verified_at"])
        ended = await end_all(person.id, now=now)
        await _end_resets(person.id, person.email, now=now)
        await audit.record_self(person.id, "user.resetPassword", now=now)
        await letters.post(secret.email, *letters.changed(person.name, public_url), about=new_id(), now=now)
    await at.bus.publish(*ended)


async def _keep(
    identity: UUID,
    kind: MailedSecretKind,
    user_id: UUID,
    email: str,
    digest: str,
    created_at: datetime,
    expires_at: datetime,
) -> None:
    row = MailedSecret(
        id=identity,
        kind=kind,
        user_id=user_id,
        email=email,
        digest=digest,
        created_at=created_at,
        expires_at=expires_at,
    )
    await row.save(force_create=True)


async def _end_resets(user_id: UUID, email: str | None, *, now: datetime) -> None:
    """No letter that was asked for before, perhaps by somebody else, sets a password; call after the write to the person's row."""
    await MailedSecret.filter(user_id=user_id, kind=MailedSecretKind.RESET, used_at=None).update(used_at=now)
    if email is not None:
        await outbox.withdraw(RESET, msgspec.json.encode(_Asked(to=email)).decode())


async def _is_valid(kind: MailedSecretKind, token: str, *, tokens: Tokens, now: datetime) -> bool:
    return await MailedSecret.exists(digest=tokens.digest(token.strip()), kind=kind, used_at=None, expires_at__gt=now)


async def _spent(kind: MailedSecretKind, token: str, *, tokens: Tokens, now: datetime) -> MailedSecret:
    """The secret, used from now on; call inside a transaction. ValidationError (TOKEN_EXPIRED) when it is unknown, used or over."""
    digest = tokens.digest(token.strip())
    used = await sql.execute(
        "UPDATE mailed_secrets SET used_at = $2 WHERE digest = $1 AND kind = $3 AND used_at IS NULL AND expires_at > $2",
        digest,
        now,
        kind,
    )
    if not used:
        raise _not_valid("token")
    return await MailedSecret.get(digest=digest)


def _not_valid(path: str) -> ValidationError:
    return invalid(
        path, "This code is wrong, was used, or its time is over; ask for a new one.", ErrorCode.TOKEN_EXPIRED
    )


async def forget(*, now: datetime) -> int:
    """How many secrets that are over, and accounts whose address was never proven, were removed."""
    gone = await sql.execute("DELETE FROM mailed_secrets WHERE expires_at < $1", now - timedelta(days=1))
    unproven = (
        "DELETE FROM users WHERE email IS NULL AND password_hash IS NOT NULL AND created_at < $1 AND import_key IS NULL"
        " AND erased_at IS NULL AND NOT is_administrator"
        " AND NOT EXISTS (SELECT 1 FROM permissions p WHERE p.user_id = users.id)"
        " AND NOT EXISTS (SELECT 1 FROM charge_cards k WHERE k.user_id = users.id)"
        " AND NOT EXISTS (SELECT 1 FROM external_users x WHERE x.user_id = users.id)"
        " AND NOT EXISTS (SELECT 1 FROM charge_sessions s WHERE s.user_id = users.id)"
    )
    return gone + await sql.execute(unproven, now - UNPROVEN_KEPT)
