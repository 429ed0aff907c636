"""Charge cards of people: unique in the portal, compared without case and separators, shown with their middle masked."""

import re
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import Access
from domain.authorization import normalised_card_number
from domain.checks import Problems, normal_email
from domain.errors import ConflictError, ErrorCode, NotFoundError
from domain.ids import new_id
from domain.models import ChargeCard
from domain.people import PersonKey

MOST_CARDS = 100
"""Of one person: a list of them is shown whole."""

_NUMBER = re.compile(r"[0-9A-Z]{4,20}")
"""OCPP 1.6 carries 20 characters (CiString20Type); shorter ones than 4 are typing errors."""

_NAME_LENGTH = 100
_SHOWN = 2


async def register_charge_card(
    access: Access, *, number: str, name: str | None = None, person: PersonKey | None = None
) -> UUID:
    """A new card of that person (None: the actor's own). Only administrators register cards of others.

    ValidationError for a number that no reader would send, ConflictError (ALREADY_EXISTS) for one that is registered, or
    (LIMIT_EXCEEDED) when the person has a hundred.
    """
    access.signed_in()
    problems = Problems()
    normalised = normalised_card_number(number)
    # Upper case makes ASCII of some letters that are none (ß, the long s): that would be another card.
    if not (number.isascii() and _NUMBER.fullmatch(normalised)):
        problems.add("number", "A card number has 4 to 20 letters and digits, as the charger reads it.")
    shown_name = problems.text("name", name, most=_NAME_LENGTH) if name is not None else "Card"
    problems.raise_any()
    user_id = access.person() if person is None else await _found(access, person)
    card = ChargeCard(id=new_id(), user_id=user_id, number=normalised, name=shown_name, created_at=access.now)
    try:
        async with in_transaction():
            # A write to the person's row first: whoever else registers for them waits here, so that nobody gets past the limit.
            await sql.execute("UPDATE users SET is_active = is_active WHERE id = $1", user_id)
            if await ChargeCard.filter(user_id=user_id).count() >= MOST_CARDS:
                message = f"A person has at most {MOST_CARDS} cards; remove one first."
                raise ConflictError(message, code=ErrorCode.LIMIT_EXCEEDED, path=("number",))
            await card.save(force_create=True)
            after = {"name": shown_name, "number": masked(normalised), "user": str(user_id)}
            await audit.record(access, "chargeCard.register", "ChargeCard", card.id, after=after)
    except IntegrityError as error:
        message = "This card is registered already; its holder can remove it first."
        raise ConflictError(message, code=ErrorCode.ALREADY_EXISTS, path=("number",)) from error
    return card.id


async def _found(access: Access, person: PersonKey) -> UUID:
    """The person: oneself, or for an administrator anyone. NotFoundError, the same for people who are there and people who are not."""
    arguments: list[object] = [person.user_id if person.user_id is not None else normal_email(person.email or "")]
    column = "u.email" if person.user_id is None else "u.id"
    row = await sql.row(f"SELECT u.id FROM users u WHERE {column} = $1 AND u.erased_at IS NULL", *arguments)  # noqa: S608
    found = None if row is None else sql.uuid_of(row["id"])
    if found is None or (found != access.user_id and not access.is_administrator):
        raise NotFoundError(path=("person",))
    return found


def masked(number: str) -> str:
    """The number as it may be shown: its first and last two signs."""
    return f"{number[:_SHOWN]}…{number[-_SHOWN:]}"
