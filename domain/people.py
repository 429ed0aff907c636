"""Accounts of people: who they are, how they sign in and stay signed in, and who may see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import Access, access_of
from domain.checks import Problems, normal_email
from domain.clock import Clock
from domain.errors import ConflictError, ErrorCode, NotFoundError, Path, ValidationError, invalid
from domain.events import SignInEnded
from domain.ids import new_id
from domain.models import SignIn, User
from domain.ports import EventBus, Passwords, Tokens

MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 200
"""Hashing costs time by length: nobody may buy a minute of it."""
REFRESH_LIFETIME = timedelta(days=30)
"""Of a sign-in that is not refreshed; each refresh begins it anew."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in with its tokens; the refresh token is shown here and never again."""

    access: Access
    access_token: str
    refresh_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A person by one of their names; `external_id` is that by which the program that asks knows them."""

    user_id: UUID | None = None
    email: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as a caller may see them: `email` is None for those who know them from a session only.

    `external_id` is the id by which the program that asks knows them, None for people.
    """

    id: UUID
    name: str
    email: str | None
    external_id: str | None = None


async def sign_in(email: str, password: str, *, passwords: Passwords, tokens: Tokens, clock: Clock) -> SignedIn:
    """A new sign-in. ValidationError (WRONG_CREDENTIALS) is the same, and takes as long, for a wrong address or password."""
    person = await sql.row(
        "SELECT id, password_hash FROM users WHERE email = $1 AND is_active AND erased_at IS NULL", normal_email(email)
    )
    stored: str | None = person["password_hash"] if person else None
    is_right = await passwords.matches(password[: MAX_PASSWORD_LENGTH + 1], stored)
    if person is None or not is_right:
        raise invalid((), "The e-mail address or the password is wrong.", ErrorCode.WRONG_CREDENTIALS)
    now = clock.now()
    secret = tokens.opaque()
    row = SignIn(
        id=new_id(),
        user_id=sql.uuid_of(person["id"]),
        refresh_hash=secret.digest,
        created_at=now,
        refreshed_at=now,
        expires_at=now + REFRESH_LIFETIME,
    )
    await row.save(force_create=True)
    return await _signed_in(row.user_id, row.id, secret.token, tokens=tokens, now=now)


async def refresh_sign_in(refresh_token: str, *, tokens: Tokens, clock: Clock, bus: EventBus) -> SignedIn:
    """New tokens for the same sign-in; the old refresh token is spent.

    A spent one ends the sign-in, because either it or its successor was stolen. ValidationError (TOKEN_EXPIRED) when the
    token is unknown or spent, or the sign-in or the account has ended.
    """
    now = clock.now()
    family, secret = _parts(refresh_token)
    is_reused = False
    fresh = tokens.opaque()
    async with in_transaction():
        row = None if family is None else await SignIn.select_for_update().get_or_none(id=family, ended_at=None)
        if row is not None and row.refresh_hash != tokens.digest(secret):
            is_reused = True
            row.ended_at = now
            await row.save(update_fields=["ended_at"])
        elif row is not None and row.expires_at > now:
            row.refresh_hash, row.refreshed_at, row.expires_at = fresh.digest, now, now + REFRESH_LIFETIME
            await row.save(update_fields=["refresh_hash", "refreshed_at", "expires_at"])
        else:
            row = None
    if row is not None and is_reused:
        await bus.publish(SignInEnded(user_id=row.user_id, sign_in_id=row.id))
    if row is None or is_reused:
        raise _sign_in_again()
    return await _signed_in(row.user_id, row.id, fresh.token, tokens=tokens, now=now)


async def _signed_in(user_id: UUID, sign_in_id: UUID, secret: str, *, tokens: Tokens, now: datetime) -> SignedIn:
    access = await access_of(user_id, now=now, sign_in_id=sign_in_id)
    if access.actor is None:
        raise _sign_in_again()
    issued = tokens.issue(user_id, sign_in_id, now=now)
    return SignedIn(access, issued.token, f"{sign_in_id.hex}.{secret}", issued.expires_at)


def _parts(refresh_token: str) -> tuple[UUID | None, str]:
    """(the sign-in it names, its secret)."""
    family, _, secret = refresh_token.partition(".")
    try:
        return UUID(hex=family), secret
    except ValueError:
        return None, secret


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


async def create_administrator(name: str, email: str, password: str, *, passwords: Passwords, now: datetime) -> UUID:
    """A new account with the portal-wide role; errors as `create_account`."""
    return await create_account(name, email, password, is_administrator=True, passwords=passwords, now=now)


async def create_account(
    name: str, email: str, password: str, *, is_administrator: bool = False, passwords: Passwords, now: datetime
) -> UUID:
    """A new account, made by the operator. ValidationError names every wrong field, ConflictError a taken address."""
    problems = Problems()
    name, address = problems.text("name", name), problems.email("email", email)
    check_password(problems, "password", password, email=address)
    problems.raise_any()
    hashed = await passwords.hash(password)
    row = User(
        id=new_id(),
        name=name,
        email=address,
        password_hash=hashed,
        is_administrator=is_administrator,
        is_active=True,
        created_at=now,
    )
    try:
        async with in_transaction():
            await row.save(force_create=True)
            after = {"name": name, "email": address, "isAdministrator": is_administrator}
            await audit.record_operator("user.create", "User", row.id, now=now, after=after)
    except IntegrityError as error:
        message = "There is an account with this address already; another administrator can promote it."
        raise ConflictError(message, code=ErrorCode.ALREADY_EXISTS, path=("email",)) from error
    return row.id


def check_password(problems: Problems, path: str, password: str, *, email: str) -> None:
    """Notes what is wrong with a new password: length counts, signs and digits do not (NIST SP 800-63B §3.1.1.2)."""
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        problems.add(path, f"A password has {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters.")
    elif len(set(password)) < _MIN_DIFFERENT or password.lower() in (email, email.partition("@")[0]):
        problems.add(path, "This password is too easy to guess; a few words in a row are better.")


_MIN_DIFFERENT = 4


async def found_person(
    access: Access, key: PersonKey, *, path: Path = ("person",), with_inactive: bool = False
) -> UUID:
    """The person of that name, when their address is for this caller to know: themselves, and those whom they decide about.

    NotFoundError, the same for people who are there and people who are not, so that nobody finds out who has an account.
    """
    arguments: list[object] = []
    visible = access.user_contacts_condition("u", arguments)
    named = _named(access, key, arguments)
    active = "" if with_inactive else " AND u.is_active"
    statement = f"SELECT u.id FROM users u WHERE {named} AND u.erased_at IS NULL{active} AND {visible}"  # noqa: S608
    row = await sql.row(statement, *arguments)
    if row is None:
        raise NotFoundError(path=path)
    return sql.uuid_of(row["id"])


def _named(access: Access, key: PersonKey, arguments: list[object]) -> str:
    """A condition on `users u`; appends to `arguments`."""
    if key.user_id is not None:
        arguments.append(key.user_id)
        return f"u.id = ${len(arguments)}"
    if key.email is not None:
        arguments.append(normal_email(key.email))
        return f"u.email = ${len(arguments)}"
    if key.external_id is None or access.service_account_id is None:
        return "1 = 0"
    arguments.extend((access.service_account_id, key.external_id))
    last = len(arguments)
    known = f"SELECT x.user_id FROM external_users x WHERE x.account_id = ${last - 1} AND x.external_id = ${last}"  # noqa: S608
    return f"u.id IN ({known})"


async def people_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, PersonRow]:
    """The people among `ids` who exist for this person, by id."""
    arguments: list[object] = []
    wanted = sql.any_of("u.id", list(ids), arguments)
    visible = access.users_condition("u", arguments)
    known = access.user_contacts_condition("u", arguments)
    statement = (
        f"SELECT u.id, u.name, CASE WHEN {known} THEN u.email END AS email, {_external_id(access, arguments)} AS external_id"  # noqa: S608
        f" FROM users u WHERE {wanted} AND {visible}"
    )
    found = [
        PersonRow(sql.uuid_of(row["id"]), row["name"], row["email"], row["external_id"])
        for row in await sql.rows(statement, *arguments)
    ]
    return {person.id: person for person in found}


def _external_id(access: Access, arguments: list[object]) -> str:
    """The id of `users u` for the program that asks: the first, where it gave one person several."""
    if access.service_account_id is None:
        return "NULL"
    arguments.append(access.service_account_id)
    known = f"SELECT x.external_id FROM external_users x WHERE x.user_id = u.id AND x.account_id = ${len(arguments)}"  # noqa: S608
    return f"({known} ORDER BY x.id LIMIT 1)"
