"""Accounts of people: how they are made, and how a password is."""

from datetime import datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode
from domain.ids import new_id
from domain.models import User
from domain.ports import Passwords

MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 200
"""Hashing costs time by length: nobody may buy a minute of it."""


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
    try:
        async with in_transaction():
            row = await new_person(
                name, email=address, hashed=hashed, is_administrator=is_administrator, is_verified=True, now=now
            )
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


async def new_person(
    name: str,
    *,
    email: str | None,
    hashed: str | None = None,
    is_administrator: bool = False,
    is_verified: bool = False,
    now: datetime,
) -> User:
    """The account's row; call inside a transaction. IntegrityError when the address is taken."""
    row = User(
        id=new_id(),
        name=name,
        email=email,
        email_verified_at=now if is_verified and email is not None else None,
        password_hash=hashed,
        is_administrator=is_administrator,
        is_active=True,
        created_at=now,
    )
    await row.save(force_create=True)
    return row
