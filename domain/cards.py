"""Charge cards of people: unique in the portal, compared without case and separators, shown with their middle masked."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import CARD_MANAGERS, Access
from domain.authorization import normalised_card_number
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError, Path
from domain.events import LocalListOutdated
from domain.ids import new_id
from domain.models import CardBlock, ChargeCard
from domain.people import PersonKey, found_person
from domain.ports import EventBus
from domain.roles import Scope

MOST_CARDS = 100
"""Of one person: a list of them is shown whole."""

_NUMBER = re.compile(r"[0-9A-Z]{4,20}")
"""OCPP 1.6 carries 20 characters (CiString20Type); shorter ones than 4 are typing errors."""

NAME_LENGTH = 100
EXTERNAL_ID_LENGTH = 200
UNNAMED = "Card"
_SHOWN, _OF = 2, 4
_CARD: Path = ("chargeCardId",)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCard:
    """A card as it is to be, checked. `external_id` is the actor's own name for it; `is_pushed`: the actor keeps it, also without one."""

    user_id: UUID
    number: str
    name: str
    is_blocked: bool = False
    external_id: str | None = None
    is_pushed: bool = False


def checked_number(problems: Problems, path: str | Path, number: str) -> str:
    """The number as cards are compared; notes one that no reader would send."""
    normalised = normalised_card_number(number)
    # Upper case makes ASCII of some letters that are none (ß, the long s): that would be another card.
    if not (number.isascii() and is_card_number(normalised)):
        problems.add(path, "A card number has 4 to 20 letters and digits, as the charger reads it.")
    return normalised


def is_card_number(normalised: str) -> bool:
    """Whether it can be that of a card."""
    return _NUMBER.fullmatch(normalised) is not None


async def register_charge_card(
    access: Access, *, number: str, name: str | None = None, person: PersonKey | None = None, bus: EventBus
) -> UUID:
    """A new card of that person (None: the actor's own). Cards of others: by who keeps those of an installation where the person holds
    something, by a program that knows them, and by administrators.

    ValidationError for a number that no reader would send, ConflictError (ALREADY_EXISTS) for one that is registered, or
    (LIMIT_EXCEEDED) when the person has a hundred.
    """
    access.signed_in()
    problems = Problems()
    normalised = checked_number(problems, "number", number)
    shown_name = problems.text("name", name, most=NAME_LENGTH) if name is not None else UNNAMED
    problems.raise_any()
    user_id = access.person() if person is None else await kept_person(access, person)
    try:
        async with in_transaction():
            card = await add(access, NewCard(user_id=user_id, number=normalised, name=shown_name))
    except IntegrityError as error:
        raise taken(("number",)) from error
    await tell(await places_of([user_id], now=access.now), bus)
    return card.id


async def upsert_charge_card(
    access: Access,
    *,
    external_id: str,
    number: str,
    name: str | None,
    person: PersonKey,
    is_blocked: bool,
    bus: EventBus,
) -> UUID:
    """The card that the actor knows by this id is that of the person, with this number and state; made where there is none."""
    access.signed_in()
    problems = Problems()
    known_as = problems.text("externalId", external_id, most=EXTERNAL_ID_LENGTH)
    normalised = checked_number(problems, "number", number)
    shown_name = problems.optional_text("name", name, most=NAME_LENGTH)
    problems.raise_any()
    user_id = await kept_person(access, person)
    before: set[UUID] = set()
    try:
        async with in_transaction():
            row = await _named(access, known_as)
            if row is None:
                wanted = NewCard(
                    user_id=user_id,
                    number=normalised,
                    name=shown_name or UNNAMED,
                    is_blocked=is_blocked,
                    external_id=known_as,
                )
                row = await add(access, wanted)
            else:
                if access.user_id is not None:
                    # A program's cards are its own; what a person registered for others is theirs while they keep those people's.
                    await kept_person(access, PersonKey(user_id=row.user_id), path=("externalId",))
                before = await places_of([row.user_id], now=access.now)
                await change(
                    access,
                    row,
                    user_id=user_id,
                    number=normalised,
                    name=shown_name or row.name,
                    is_blocked=is_blocked,
                )
    except IntegrityError as error:
        raise taken(("number",)) from error
    await tell(before | await places_of([user_id], now=access.now), bus)
    return row.id


async def rename_charge_card(access: Access, card_id: UUID, *, name: str) -> None:
    """The card has that name. For its holder, who pushed it, and ADMINISTRATOR."""
    problems = Problems()
    shown_name = problems.text("name", name, most=NAME_LENGTH)
    row = await _own_card(access, card_id)
    problems.raise_any()
    async with in_transaction():
        await change(access, row, name=shown_name)


async def block_charge_card(
    access: Access, card_id: UUID, *, installation_id: UUID | None, is_blocked: bool, bus: EventBus
) -> None:
    """The card is taken nowhere (None: by its holder, who pushed it, ADMINISTRATOR), or not at that installation (by who keeps its
    cards); or is again, where `is_blocked` is False. It holds at once; a charge that goes on is not stopped.
    """
    if installation_id is None:
        row = await _own_card(access, card_id)
        async with in_transaction():
            await change(access, row, is_blocked=is_blocked)
        await tell(await places_of([row.user_id], now=access.now), bus)
        return
    access.signed_in()
    await _visible(access, card_id)
    access.manage_installation(installation_id, CARD_MANAGERS, path=("installationId",))
    if await sql.row("SELECT 1 AS found FROM installations WHERE id = $1", installation_id) is None:
        raise NotFoundError(path=("installationId",))
    async with in_transaction():
        await block_at(access, card_id, installation_id, is_blocked=is_blocked)
    await tell({installation_id}, bus)


async def block_at(access: Access, card_id: UUID, installation_id: UUID, *, is_blocked: bool) -> None:
    """The card is not taken at that installation, or is again; call inside a transaction."""
    blocks = CardBlock.filter(card_id=card_id, installation_id=installation_id)
    was_blocked = await blocks.exists()
    if is_blocked and not was_blocked:
        await CardBlock.create(
            card_id=card_id,
            installation_id=installation_id,
            blocked_by_id=access.signed_in().id,
            blocked_at=access.now,
        )
    elif not is_blocked:
        await blocks.delete()
    await audit.record(
        access,
        "chargeCard.block" if is_blocked else "chargeCard.unblock",
        "ChargeCard",
        card_id,
        installation_id=installation_id,
        before={"isBlockedHere": was_blocked},
        after={"isBlockedHere": is_blocked},
    )


async def remove_charge_card(access: Access, card_id: UUID, *, bus: EventBus) -> None:
    """The card is no longer known, and its number free. For its holder, who pushed it, and ADMINISTRATOR. Sessions keep its name."""
    row = await _own_card(access, card_id, path=("id",))
    async with in_transaction():
        await remove(access, row)
    await tell(await places_of([row.user_id], now=access.now), bus)


async def kept_person(access: Access, person: PersonKey, *, path: Path = ("person",)) -> UUID:
    """The person, whose cards the actor may keep. NotFoundError for one who is hidden, NotAllowedError for one who is only seen."""
    found = await found_person(access, person, path=path)
    if found == access.user_id or access.is_administrator:
        return found
    arguments: list[object] = [found, access.now]
    kept = sql.any_of("p.installation_id", access.installations_with(CARD_MANAGERS), arguments)
    holds = await sql.row(f"{_HOLDS} AND {kept}", *arguments)
    if holds is None and not await _is_known(access, found):
        message = "Who keeps the cards of an installation keeps those of people who may charge there."
        raise NotAllowedError(message, path=path)
    return found


_HOLDS = """
SELECT 1 AS found FROM permissions p
WHERE (p.user_id = $1 OR p.group_id IN (SELECT m.group_id FROM group_members m WHERE m.user_id = $1))
  AND p.revoked_at IS NULL AND (p.valid_to IS NULL OR p.valid_to > $2)"""


async def _is_known(access: Access, user_id: UUID) -> bool:
    """Whether the program that asks keeps cards, and knows the person by an id of its own."""
    if access.service_account_id is None or not access.installations_with(frozenset({Scope.MANAGE_CARDS})):
        return False
    known = "SELECT 1 AS found FROM external_users x WHERE x.account_id = $1 AND x.user_id = $2"
    return await sql.row(known, access.service_account_id, user_id) is not None


async def add(access: Access, wanted: NewCard) -> ChargeCard:
    """The card is there; call inside a transaction. IntegrityError when its number or id is taken; ConflictError at the limit."""
    # A write to the person's row first: whoever else registers for them waits here, so that nobody gets past the limit.
    await sql.execute("UPDATE users SET is_active = is_active WHERE id = $1", wanted.user_id)
    if await ChargeCard.filter(user_id=wanted.user_id).count() >= MOST_CARDS:
        message = f"A person has at most {MOST_CARDS} cards; remove one first."
        raise ConflictError(message, code=ErrorCode.LIMIT_EXCEEDED, path=("number",))
    card = ChargeCard(
        id=new_id(),
        user_id=wanted.user_id,
        number=wanted.number,
        name=wanted.name,
        is_blocked=wanted.is_blocked,
        created_at=access.now,
        external_account_id=access.signed_in().id if wanted.is_pushed or wanted.external_id is not None else None,
        external_id=wanted.external_id,
    )
    await card.save(force_create=True)
    await _log(access, "chargeCard.register", card.id, after=(card.user_id, _state(card)))
    return card


async def change(access: Access, row: ChargeCard, **values: object) -> None:
    """The card has these values; call inside a transaction. What is as it was is not written, and not in the audit log."""
    before = row.user_id, _state(row)
    row.update_from_dict(values)
    if _state(row) == before[1]:
        return
    await row.save(update_fields=sorted(values))
    await _log(access, "chargeCard.change", row.id, before=before, after=(row.user_id, _state(row)))


async def remove(access: Access, row: ChargeCard) -> None:
    """The card is gone; call inside a transaction."""
    before = row.user_id, _state(row)
    await row.delete()
    await _log(access, "chargeCard.remove", row.id, before=before)


async def _log(
    access: Access,
    action: str,
    card_id: UUID,
    *,
    before: tuple[UUID, audit.State] | None = None,
    after: tuple[UUID, audit.State] | None = None,
) -> None:
    """In the log of each place where its holder holds something, of what was theirs before and is after.

    Of what somebody else does: of the places whose cards they keep, so that no other owner reads who they are.
    """
    places: dict[bool, set[UUID]] = {}
    for is_after, side in ((False, before), (True, after)):
        at = set() if side is None else await places_of([side[0]], now=access.now)
        is_all = access.is_administrator or (side is not None and side[0] == access.user_id)
        places[is_after] = at if is_all else at & set(access.installations_with(CARD_MANAGERS))
    entries = [
        audit.Entry(
            action=action,
            object_type="ChargeCard",
            object_id=card_id,
            installation_id=place,
            before=before[1] if before is not None and place in places[False] else None,
            after=after[1] if after is not None and place in places[True] else None,
        )
        for place in sorted(places[False] | places[True])
    ]
    nowhere = audit.Entry(
        action=action,
        object_type="ChargeCard",
        object_id=card_id,
        before=before and before[1],
        after=after and after[1],
    )
    await audit.record_all(access, entries or [nowhere])


def _state(row: ChargeCard) -> audit.State:
    return {
        "name": row.name,
        "number": masked(row.number),
        "userId": str(row.user_id),
        "isBlocked": bool(row.is_blocked),
        "externalId": row.external_id,
    }


async def _named(access: Access, external_id: str) -> ChargeCard | None:
    return await ChargeCard.get_or_none(external_account_id=access.signed_in().id, external_id=external_id)


async def _visible(access: Access, card_id: UUID, path: Path = _CARD) -> ChargeCard:
    arguments: list[object] = [card_id]
    visible = access.cards_condition("k", arguments)
    row = None
    if await sql.row(f"SELECT 1 AS found FROM charge_cards k WHERE k.id = $1 AND {visible}", *arguments) is not None:  # noqa: S608
        row = await ChargeCard.get_or_none(id=card_id)
    if row is None:
        raise NotFoundError(path=path)
    return row


async def _own_card(access: Access, card_id: UUID, path: Path = _CARD) -> ChargeCard:
    """The card, for whom it is theirs. NotAllowedError for others who see it."""
    access.signed_in()
    row = await _visible(access, card_id, path)
    if not is_theirs(access, row):
        message = (
            "This is for the card's holder. Who keeps an installation's cards blocks it there: name the installation."
        )
        raise NotAllowedError(message, path=path)
    return row


def is_theirs(access: Access, row: ChargeCard) -> bool:
    """Whether the card is the actor's to name, to remove, and to block everywhere: its holder's, who pushed it, ADMINISTRATOR's.

    Who pushed it must still keep cards somewhere: a token that may only read changes none.
    """
    is_pushed = row.external_account_id is not None and row.external_account_id == access.signed_in().id
    is_kept = is_pushed and bool(access.installations_with(CARD_MANAGERS))
    return row.user_id == access.user_id or access.is_administrator or is_kept


async def places_of(user_ids: Iterable[UUID], *, now: datetime) -> set[UUID]:
    """The installations where these people hold something now or later: their chargers' lists know the cards."""
    wanted = sorted(set(user_ids))
    arguments: list[object] = [now]
    direct = sql.any_of("p.user_id", wanted, arguments)
    member = sql.any_of("m.user_id", wanted, arguments)
    lasting = "p.revoked_at IS NULL AND (p.valid_to IS NULL OR p.valid_to > $1)"
    rows = await sql.rows(
        f"SELECT p.installation_id FROM permissions p WHERE {lasting} AND {direct} UNION"  # noqa: S608
        f" SELECT p.installation_id FROM permissions p JOIN group_members m ON m.group_id = p.group_id WHERE {lasting} AND {member}",
        *arguments,
    )
    return {sql.uuid_of(row["installation_id"]) for row in rows}


async def tell(installation_ids: Iterable[UUID], bus: EventBus) -> None:
    """The chargers of these installations follow."""
    await bus.publish(*(LocalListOutdated(installation_id=one) for one in sorted(set(installation_ids))))


def taken(path: Path) -> ConflictError:
    """The number is that of another card; not by whom."""
    message = "This card is registered already; its holder can remove it first."
    return ConflictError(message, code=ErrorCode.ALREADY_EXISTS, path=path)


def masked(number: str) -> str:
    """The number as it may be shown: its first and last two signs, of a short one less, so that most of it stays unknown."""
    shown = min(_SHOWN, len(number) // _OF)
    return f"{number[:shown]}…{number[len(number) - shown :]}"
