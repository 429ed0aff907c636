"""One-time codes of authenticator apps (TOTP, RFC 6238), a second proof beside the password."""

from datetime import datetime
from uuid import UUID

import pyotp
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import Access
from domain.errors import ConflictError, ErrorCode, invalid
from domain.models import User
from domain.ports import Attempts, Passwords, Sealer

ISSUER = "Lade"
STEP_S = 30
_DRIFT = 1
"""Steps that a telephone's clock may be off, either way (RFC 6238 §5.2)."""


class Setup:
    """A new secret, to be entered in an app and confirmed by a first code."""

    __slots__ = ("secret", "uri")

    def __init__(self, secret: str, email: str) -> None:
        self.secret = secret
        self.uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


async def set_up(access: Access, *, sealer: Sealer) -> Setup:
    """A secret that counts once it is confirmed; the one before, if not confirmed, is forgotten. ConflictError while one is in use."""
    user_id, secret = access.person(), pyotp.random_base32()
    async with in_transaction():
        person = await User.get(id=user_id)
        if person.totp_confirmed_at is not None:
            raise ConflictError("Codes are in use already; remove them first.", code=ErrorCode.ALREADY_EXISTS)
        person.totp_secret, person.totp_last_step = sealer.seal(secret), None
        await person.save(update_fields=["totp_secret", "totp_last_step"])
        await audit.record(access, "user.setUpTotp", "User", user_id)
    return Setup(secret, person.email or person.name)


async def confirm(access: Access, code: str, *, sealer: Sealer, attempts: Attempts, address: str) -> None:
    """Codes are asked for from now on. ValidationError when the code is not that of the newest secret."""
    user_id = access.person()
    async with attempts.one(address=address, account=str(user_id)) as attempt, in_transaction():
        if not await take(user_id, code, sealer=sealer, now=access.now):
            raise invalid("code", "This code is wrong; look whether the telephone's clock is right.", _WRONG)
        attempt.is_right = True
        await User.filter(id=user_id).update(totp_confirmed_at=access.now)
        await audit.record(access, "user.confirmTotp", "User", user_id)


async def remove(
    access: Access,
    *,
    password: str | None,
    code: str | None,
    passwords: Passwords,
    sealer: Sealer,
    attempts: Attempts,
    address: str,
) -> None:
    """Codes are no longer asked for. The password or a code proves that it is the person who asks."""
    user_id = access.person()
    person = await User.get(id=user_id)
    async with attempts.one(address=address, account=str(user_id)) as attempt:
        is_right = password is not None and await passwords.matches(password, person.password_hash)
        if not is_right and code is not None:
            is_right = await take(user_id, code, sealer=sealer, now=access.now)
        if not is_right:
            raise invalid("password", "Prove that it is you: with your password or a code.", _WRONG)
        attempt.is_right = True
    async with in_transaction():
        await User.filter(id=user_id).update(totp_secret=None, totp_confirmed_at=None, totp_last_step=None)
        await audit.record(access, "user.removeTotp", "User", user_id)


_WRONG = ErrorCode.WRONG_CREDENTIALS


async def are_asked_for(user_id: UUID) -> bool:
    """Whether the person has confirmed codes."""
    return await User.exists(id=user_id, totp_confirmed_at__isnull=False)


async def take(user_id: UUID, code: str, *, sealer: Sealer, now: datetime) -> bool:
    """Whether it is the person's code of now; then it is spent, and so are all before it."""
    row = await sql.row("SELECT totp_secret FROM users WHERE id = $1", user_id)
    if row is None or row["totp_secret"] is None:
        return False
    step = _step(pyotp.TOTP(sealer.open(row["totp_secret"])), code.strip().replace(" ", ""), now)
    if step is None:
        return False
    spent = "UPDATE users SET totp_last_step = $2 WHERE id = $1 AND (totp_last_step IS NULL OR totp_last_step < $2)"
    return await sql.execute(spent, user_id, step) == 1


def _step(totp: pyotp.TOTP, code: str, now: datetime) -> int | None:
    present = int(now.timestamp()) // STEP_S
    for step in range(present - _DRIFT, present + _DRIFT + 1):
        if pyotp.utils.strings_equal(code, totp.generate_otp(step)):
            return step
    return None
