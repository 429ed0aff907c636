"""Charge cards of people: unique in the portal, compared without case and separators, shown with their middle masked."""

import re
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit
from domain.access import Access
from domain.authorization import normalised_card_number
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode, NotFoundError
from domain.ids import new_id
from domain.models import ChargeCard, User

_NUMBER = re.compile(r"[0-9A-Z]{4,20}")
"""OCPP 1.6 carries 20 characters (CiString20Type); shorter ones than 4 are typing errors."""

_SHOWN = 2


async def register_charge_card(
    access: Access, *, number: str, name: str | None = None, user_id: UUID | None = None
) -> UUID:
    """A new card of that person (None: the actor's own). Only administrators register cards of others.

    ValidationError for a number that no reader would send, ConflictError (ALREADY_EXISTS) for one that is registered.
    """
    actor = access.signed_in()
    holder = user_id or actor.user_id
    if holder != actor.user_id and not (actor.is_administrator and await User.exists(id=holder, erased_at=None)):
        raise NotFoundError(path=("person",))
    problems = Problems()
    normalised = normalised_card_number(number)
    if not _NUMBER.fullmatch(normalised):
        problems.add("number", "A card number has 4 to 20 letters and digits, as the charger reads it.")
    shown_name = problems.text("name", name) if name is not None else "Card"
    problems.raise_any()
    card = ChargeCard(id=new_id(), user_id=holder, number=normalised, name=shown_name, created_at=access.now)
    try:
        async with in_transaction():
            await card.save(force_create=True)
            after = {"name": shown_name, "number": masked(normalised), "user": str(holder)}
            await audit.record(access, "chargeCard.register", "ChargeCard", card.id, after=after)
    except IntegrityError as error:
        message = "This card is registered already; its holder can remove it first."
        raise ConflictError(message, code=ErrorCode.ALREADY_EXISTS, path=("number",)) from error
    return card.id


def masked(number: str) -> str:
    """The number as it may be shown: its first and last two signs."""
    return f"{number[:_SHOWN]}…{number[-_SHOWN:]}"
