"""One-time codes of authenticator apps (TOTP, RFC 6238), a second proof beside the password."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pyotp
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import Access
from domain.errors import ConflictError, ErrorCode, invalid
from domain.identity.accounts import MAX_PASSWORD_LENGTH
from domain.models import RecoveryCode, User
from domain.ports import Attempt, Attempts, Passwords, Sealer, Tokens

_WRONG = ErrorCode.WRONG_CREDENTIALS

ISSUER = "Lade"
STEP_S = 30
_DRIFT = 1
"""Steps that a telephone's clock may be off, either way (RFC 6238 §5.2)."""
RECOVERY_CODES = 10
_READABLE = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without I, O, 0 and 1."""
_GROUPS, _GROUP = 4, 4


class Setup:
    """A new secret, to be entered in an app and confirmed by a first code, and what stands in for the app when it is lost."""

    __slots__ = ("recovery_codes", "secret", "uri")

    def __init__(self, secret: str, email: str, recovery_codes: Sequence[str]) -> None:
        self.secret = secret
        self.uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)
        self.recovery_codes = recovery_codes


async def set_up(access: Access, *, sealer: Sealer, tokens: Tokens) -> Setup:
    """A secret and recovery codes that count once the secret is confirmed; those before, if not confirmed, are forgotten.

    ConflictError while one is in use.
    """
    user_id, secret = access.person(), pyotp.random_base32()
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    async with in_transaction():
        person = await User.get(id=user_id)
        if person.totp_confirmed_at is not None:
            raise ConflictError("Codes are in use already; remove them first.", code=ErrorCode.ALREADY_EXISTS)
        person.totp_secret, person.totp_last_step = sealer.seal(secret), None
        await person.save(update_fields=["totp_secret", "totp_last_step"])
        await RecoveryCode.filter(user_id=user_id).delete()
        for code in codes:
            await RecoveryCode.create(user_id=user_id, digest=_digest(user_id, code, tokens))
        await audit.record(access, "user.setUpTotp", "User", user_id)
    return Setup(secret, person.email or person.name, codes)


async def confirm(access: Access, code: str, *, sealer: Sealer, attempts: Attempts, address: str) -> None:
    """Codes are asked for from now on. ValidationError when the code is not the app's of the newest secret."""
    user_id = access.person()
    async with attempts.one(address=address, account=str(user_id)) as attempt, in_transaction():
        if not await _take_of_app(user_id, code, sealer=sealer, now=access.now):
            raise invalid("code", "This code is wrong; look whether the telephone's clock is right.", _WRONG)
        attempt.is_right = True
        await User.filter(id=user_id).update(totp_confirmed_at=access.now)
        await audit.record(access, "user.confirmTotp", "User", user_id)


@dataclass(frozen=True, slots=True)
class Proofs:
    """What proves that it is the person who asks, and what it takes to look."""

    password: str | None
    code: str | None
    passwords: Passwords
    sealer: Sealer
    tokens: Tokens
    attempts: Attempts
    address: str


async def remove(access: Access, given: Proofs) -> None:
    """Codes are no longer asked for. It takes the password, where there is one, and a code, where codes are in use.

    ValidationError as of `require`, and WRONG_CREDENTIALS for a wrong password.
    """
    user_id = access.person()
    person = await User.get(id=user_id)
    async with given.attempts.one(address=given.address, account=str(user_id)) as attempt:
        if person.password_hash is not None:
            password = (given.password or "")[: MAX_PASSWORD_LENGTH + 1]
            if not await given.passwords.matches(password, person.password_hash):
                raise invalid("password", "Prove that it is you with your password.", _WRONG)
        if person.totp_confirmed_at is not None:
            await require(
                user_id,
                given.code,
                attempt,
                path="code",
                sealer=given.sealer,
                tokens=given.tokens,
                now=access.now,
            )
        attempt.is_right = True
    async with in_transaction():
        await User.filter(id=user_id).update(totp_secret=None, totp_confirmed_at=None, totp_last_step=None)
        await RecoveryCode.filter(user_id=user_id).delete()
        await audit.record(access, "user.removeTotp", "User", user_id)


async def are_asked_for(user_id: UUID) -> bool:
    """Whether the person has confirmed codes."""
    return await User.exists(id=user_id, totp_confirmed_at__isnull=False)


async def require(
    user_id: UUID, code: str | None, attempt: Attempt, *, path: str, sealer: Sealer, tokens: Tokens, now: datetime
) -> None:
    """The code is the person's and spent. ValidationError: TOTP_REQUIRED without one, WRONG_CREDENTIALS for a wrong one."""
    if not code:
        attempt.is_right = True  # Nothing was wrong: the code comes with the next one.
        raise invalid(path, "Enter the code of your authenticator app.", ErrorCode.TOTP_REQUIRED)
    if not await take(user_id, code, sealer=sealer, tokens=tokens, now=now):
        raise invalid(path, "This code is wrong or was used already.", _WRONG)


async def take(user_id: UUID, code: str, *, sealer: Sealer, tokens: Tokens, now: datetime) -> bool:
    """Whether it is the code of the person's app of now, or one of their recovery codes; then it is spent."""
    is_of_app = await _take_of_app(user_id, code, sealer=sealer, now=now)
    return is_of_app or await _take_recovery(user_id, code, tokens=tokens, now=now)


async def _take_of_app(user_id: UUID, code: str, *, sealer: Sealer, now: datetime) -> bool:
    """Whether it is the person's code of now; then it is spent, and so are all before it."""
    row = await sql.row("SELECT totp_secret FROM users WHERE id = $1", user_id)
    if row is None or row["totp_secret"] is None:
        return False
    step = _step(pyotp.TOTP(sealer.open(row["totp_secret"])), code.strip().replace(" ", ""), now)
    if step is None:
        return False
    spent = "UPDATE users SET totp_last_step = $2 WHERE id = $1 AND (totp_last_step IS NULL OR totp_last_step < $2)"
    return await sql.execute(spent, user_id, step) == 1


async def _take_recovery(user_id: UUID, code: str, *, tokens: Tokens, now: datetime) -> bool:
    async with in_transaction():
        is_right = await RecoveryCode.filter(user_id=user_id, digest=_digest(user_id, code, tokens)).delete() == 1
        if is_right:
            await audit.record_self(user_id, "user.useRecoveryCode", now=now)
    return is_right


def _new_recovery_code() -> str:
    """80 random bits in four groups, as they are read from paper."""
    letters = [secrets.choice(_READABLE) for _ in range(_GROUPS * _GROUP)]
    return "-".join("".join(letters[place : place + _GROUP]) for place in range(0, len(letters), _GROUP))


def _digest(user_id: UUID, code: str, tokens: Tokens) -> str:
    """Without case, groups and spaces."""
    entered = code.upper().replace("-", "").replace(" ", "").strip()
    return tokens.keyed("recovery code", f"{user_id.hex}.{entered}".encode())


def _step(totp: pyotp.TOTP, code: str, now: datetime) -> int | None:
    present = int(now.timestamp()) // STEP_S
    for step in range(present - _DRIFT, present + _DRIFT + 1):
        if pyotp.utils.strings_equal(code, totp.generate_otp(step)):
            return step
    return None
