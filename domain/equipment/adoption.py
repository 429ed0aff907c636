"""Chargers that knock and that nobody has added: who may look for one, and how it becomes theirs.

Whoever stands before a charger knows its identity and the password that they set in it. The identity alone is no secret: it is often a
serial number, whose neighbours are easily guessed. So it shows little, guesses are counted, and a password that nobody typed in here is
kept by administrators only: else who guesses an identity first would have another's charger.
"""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from tortoise.transactions import in_transaction

from domain.access import INSTALLERS, Access
from domain.equipment.chargers import NewCharger, NewPassword, StationKey, place_charger, unique_identity
from domain.equipment.circuits import managed_circuit
from domain.equipment.stations import hash_charger_key
from domain.errors import ErrorCode, NotFoundError, invalid
from domain.ports import Attempt, Attempts, EventBus
from domain.views.unknown_charger_views import UnknownChargerRow, unknown_charger_of


async def find_unknown_charger(access: Access, identity: str, *, attempts: Attempts) -> UnknownChargerRow | None:
    """The charger that knocks by exactly that identity, for SERVICE anywhere and ADMINISTRATOR; for all others there is none.

    RateLimitedError after too many identities by which nobody knocks.
    """
    if not (access.is_administrator or access.installations_with(INSTALLERS)):
        return None
    async with _guess(access, attempts) as guess:
        found = await unknown_charger_of(access, identity)
        guess.is_right = found is not None
    return found


@asynccontextmanager
async def _guess(access: Access, attempts: Attempts) -> AsyncIterator[Attempt]:
    """Inside: somebody names an identity. Counted by person, wherever they are, and apart from their sign-ins."""
    if access.is_administrator:
        yield Attempt()
        return
    async with attempts.one(address=f"identities named by {access.signed_in().id}", account=None) as guess:
        yield guess


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedPassword:
    """What is to become of the password that the charger offers; `typed` is what its installer says that it is."""

    is_kept: bool = True
    typed: str | None = None


async def adopt_charger(
    access: Access,
    circuit_id: UUID,
    new: NewCharger,
    offered: OfferedPassword,
    *,
    attempts: Attempts,
    secret: str,
    bus: EventBus,
) -> NewPassword:
    """The charger that knocks by that identity hangs on that circuit, for SERVICE there and ADMINISTRATOR.

    It keeps the password that it offered while it was held, and none is handed out. Where it offered none that can be kept, or its own is
    not wanted, a new one is handed out as by `add_charger`.

    NotFoundError when nobody knocks by that identity, ValidationError when a password is to be kept that the caller does not know: both
    count as guesses. Other errors as `add_charger`.
    """
    access.signed_in()
    async with _guess(access, attempts) as guess:
        guess.is_right = True
        async with unique_identity(), in_transaction():
            circuit = await managed_circuit(access, circuit_id)
            key = await _key_of_unknown(access, new.identity, offered, secret, guess)
            placed = await place_charger(access, circuit, new, key, action="charger.adopt")
    await bus.publish(*placed.events)
    return placed.handed_out


async def _key_of_unknown(
    access: Access, identity: str, offered: OfferedPassword, secret: str, guess: Attempt
) -> StationKey:
    """What the charger that knocks by that identity signs in with from now on."""
    row = await unknown_charger_of(access, identity)
    if row is None:
        guess.is_right = False
        raise NotFoundError(path=("identity",))
    if not offered.is_kept or row.password_hash is None:
        return StationKey.random(secret)
    if offered.typed is not None:
        forms = (offered.typed, offered.typed.lower())
        if not any(hmac.compare_digest(hash_charger_key(one, secret), row.password_hash) for one in forms):
            guess.is_right = False
            raise invalid("password", "The charger offers another password.", ErrorCode.WRONG_CREDENTIALS)
    elif not access.is_administrator:
        message = "Type in the password that is set in the charger, or let it have a new one (keepsPassword: false)."
        raise invalid("password", message)
    return StationKey(row.password_hash, None)
