"""Charge cards of people: unique in the portal, compared without case and separators, shown with their middle masked."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import CARD_MANAGERS, Access
from domain.authorization.decision import normalised_card_number
from domain.checks import Problems
from domain.errors import ConflictError, DomainError, ErrorCode, NotAllowedError, NotFoundError, Path
from domain.events import LocalListOutdated
from domain.identity.people import PersonKey, found_people
from domain.ids import new_id
from domain.models import CardBlock, ChargeCard
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


@dataclass(frozen=True, slots=True)
class Holding:
    """Whose a card is, and what it is like in words of the audit log."""

    user_id: UUID
    state: audit.State


@dataclass(frozen=True, slots=True)
class CardChange:
    """What was done to a card; `before` None: it is new, `after` None: it is gone."""

    action: str
    card_id: UUID
    before: Holding | None = None
    after: Holding | None = None


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

    async def push() -> tuple[UUID, set[UUID]]:
        row = await _named(access, known_as)
        if row is None:
            wanted = NewCard(
                user_id=user_id,
                number=normalised,
                name=shown_name or UNNAMED,
                is_blocked=is_blocked,
                external_id=known_as,
            )
            return (await add(access, wanted)).id, set()
        if access.user_id is not None:
            # A program's cards are its own; what a person registered for others is theirs while they keep those people's.
            await kept_person(access, PersonKey(user_id=row.user_id), path=("externalId",))
        before = await places_of([row.user_id], now=access.now)
        await change(
            access, row, user_id=user_id, number=normalised, name=shown_name or row.name, is_blocked=is_blocked
        )
        return row.id, before

    try:
        # Once more when the same was pushed at this moment: then it is there.
        card_id, before = await sql.settled(push)
    except IntegrityError as error:
        raise taken(("number",)) from error
    await tell(before | await places_of([user_id], now=access.now), bus)
    return card_id


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
    await audit.record_all(
        access, [block_entry(card_id, installation_id, was_blocked=was_blocked, is_blocked=is_blocked)]
    )


def block_entry(card_id: UUID, installation_id: UUID, *, was_blocked: bool, is_blocked: bool) -> audit.Entry:
    """What the audit log says of a card that is not taken at that installation, or is again."""
    return audit.Entry(
        action="chargeCard.block" if is_blocked else "chargeCard.unblock",
        object_type="ChargeCard",
        object_id=card_id,
        installation_id=installation_id,
        before={"isBlockedHere": was_blocked},
        after={"isBlockedHere": is_blocked},
    )


async def remove_charge_card(access: Access, card_id: UUID, *, bus: EventBus) -> None:
    """The card is no longer known, and its number free. For its holder, who pushed it, and ADMINISTRATOR. Sessions keep its name."""
    row = await _own_card(access, card_id, path=("id",))
    places = await places_of([row.user_id], now=access.now)
    async with in_transaction():
        await remove(access, row)
    await tell(places, bus)


async def kept_person(access: Access, person: PersonKey, *, path: Path = ("person",)) -> UUID:
    """The person, whose cards the actor may keep. NotFoundError for one who is hidden, NotAllowedError for one who is only seen."""
    found = (await kept_people(access, [person], path=path))[person]
    if isinstance(found, DomainError):
        raise found
    return found


async def kept_people(
    access: Access, people: Sequence[PersonKey], *, path: Path = ("person",)
) -> dict[PersonKey, UUID | DomainError]:
    """As `kept_person`, for many at once: each with the person, or the error."""
    found = await found_people(access, people)
    kept = await _kept(access, sorted(set(found.values())))
    message = "Who keeps the cards of an installation keeps those of people who may charge there."
    outcome: dict[PersonKey, UUID | DomainError] = {}
    for key in people:
        if key not in found:
            outcome[key] = NotFoundError(path=path)
        else:
            outcome[key] = found[key] if found[key] in kept else NotAllowedError(message, path=path)
    return outcome


async def _kept(access: Access, user_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these people whose cards the actor may keep."""
    if access.is_administrator:
        return set(user_ids)
    kept_at = set(access.installations_with(CARD_MANAGERS))
    held = await places_by_person(user_ids, now=access.now)
    known = await _known(access, user_ids)
    return {one for one in user_ids if one == access.user_id or one in known or not kept_at.isdisjoint(held[one])}


async def _known(access: Access, user_ids: Sequence[UUID]) -> set[UUID]:
    """Those whom the program that asks knows by an id of its own, if it keeps cards."""
    if access.service_account_id is None or not access.installations_with(frozenset({Scope.MANAGE_CARDS})):
        return set()
    known: set[UUID] = set()
    for some in sql.in_chunks(user_ids):
        arguments: list[object] = [access.service_account_id]
        wanted = sql.any_of("x.user_id", some, arguments)
        found = await sql.rows(
            f"SELECT x.user_id FROM external_users x WHERE x.account_id = $1 AND {wanted}",  # noqa: S608
            *arguments,
        )
        known |= {sql.uuid_of(row["user_id"]) for row in found}
    return known


async def add(access: Access, wanted: NewCard) -> ChargeCard:
    """The card is there; call inside a transaction. IntegrityError when its number or id is taken; ConflictError at the limit."""
    # A write to the person's row first: whoever else registers for them waits here, so that nobody gets past the limit.
    await sql.execute("UPDATE users SET is_active = is_active WHERE id = $1", wanted.user_id)
    if await ChargeCard.filter(user_id=wanted.user_id).count() >= MOST_CARDS:
        message = f"A person has at most {MOST_CARDS} cards; remove one first."
        raise ConflictError(message, code=ErrorCode.LIMIT_EXCEEDED, path=("number",))
    card = made(access, wanted)
    await card.save(force_create=True)
    await log(access, [CardChange("chargeCard.register", card.id, after=holding(card))])
    return card


def made(access: Access, wanted: NewCard) -> ChargeCard:
    """The card, not stored yet."""
    return ChargeCard(
        id=new_id(),
        user_id=wanted.user_id,
        number=wanted.number,
        name=wanted.name,
        is_blocked=wanted.is_blocked,
        created_at=access.now,
        external_account_id=access.signed_in().id if wanted.is_pushed or wanted.external_id is not None else None,
        external_id=wanted.external_id,
    )


async def change(access: Access, row: ChargeCard, **values: object) -> None:
    """The card has these values; call inside a transaction. What is as it was is not written, and not in the audit log."""
    before = holding(row)
    row.update_from_dict(values)
    if holding(row) == before:
        return
    await row.save(update_fields=sorted(values))
    await log(access, [CardChange("chargeCard.change", row.id, before, holding(row))])


async def remove(access: Access, row: ChargeCard) -> None:
    """The card is gone; call inside a transaction."""
    await row.delete()
    await log(access, [CardChange("chargeCard.remove", row.id, before=holding(row))])


async def log(access: Access, changes: Sequence[CardChange]) -> None:
    """Each in the log of each place where its holder holds something, of what was theirs before and is after.

    Of what somebody else does: of the places whose cards they keep, so that no other owner reads who they are.
    """
    holders = {side.user_id for one in changes for side in (one.before, one.after) if side is not None}
    places = await places_by_person(holders, now=access.now)
    if not access.is_administrator:
        kept = set(access.installations_with(CARD_MANAGERS))
        places = {holder: at if holder == access.user_id else at & kept for holder, at in places.items()}
    await audit.record_all(access, [entry for one in changes for entry in _entries(one, places)])


def _entries(change: CardChange, places: Mapping[UUID, set[UUID]]) -> list[audit.Entry]:
    before, after = change.before, change.after
    was_at = set() if before is None else places[before.user_id]
    is_at = set() if after is None else places[after.user_id]
    shown: list[UUID | None] = [*sorted(was_at | is_at)]
    return [
        audit.Entry(
            action=change.action,
            object_type="ChargeCard",
            object_id=change.card_id,
            installation_id=place,
            before=before.state if before is not None and (place is None or place in was_at) else None,
            after=after.state if after is not None and (place is None or place in is_at) else None,
        )
        for place in shown or [None]
    ]


def holding(row: ChargeCard) -> Holding:
    """The card as it is, and whose."""
    state = {
        "name": row.name,
        "number": masked(row.number),
        "userId": str(row.user_id),
        "isBlocked": bool(row.is_blocked),
        "externalId": row.external_id,
    }
    return Holding(row.user_id, state)


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
    """The installations whose chargers' lists know the cards of these people: they hold something there now or later, or an external
    system of the place has let one of their cards charge for a time.
    """
    people = sorted(set(user_ids))
    held = set[UUID]().union(*(await places_by_person(people, now=now)).values())
    for some in sql.in_chunks(people):
        arguments: list[object] = [now]
        theirs = sql.any_of("k.user_id", some, arguments)
        rows = await sql.rows(
            "SELECT DISTINCT r.installation_id FROM charge_cards k JOIN authorization_requests r ON r.token = k.number"  # noqa: S608
            f" WHERE r.cache_until > $1 AND {theirs}",
            *arguments,
        )
        held |= {sql.uuid_of(row["installation_id"]) for row in rows}
    return held


async def places_by_person(user_ids: Iterable[UUID], *, now: datetime) -> dict[UUID, set[UUID]]:
    """As `places_of`, of each of them."""
    places: dict[UUID, set[UUID]] = {one: set() for one in sorted(set(user_ids))}
    lasting = "p.revoked_at IS NULL AND (p.valid_to IS NULL OR p.valid_to > $1)"
    for some in sql.in_chunks(list(places)):
        arguments: list[object] = [now]
        direct = sql.any_of("p.user_id", some, arguments)
        member = sql.any_of("m.user_id", some, arguments)
        rows = await sql.rows(
            f"SELECT p.user_id, p.installation_id FROM permissions p WHERE {lasting} AND {direct} UNION"  # noqa: S608
            " SELECT m.user_id, p.installation_id FROM permissions p JOIN group_members m ON m.group_id = p.group_id"
            f" WHERE {lasting} AND {member}",
            *arguments,
        )
        for row in rows:
            places[sql.uuid_of(row["user_id"])].add(sql.uuid_of(row["installation_id"]))
    return places


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
