"""Cards of many people, from a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import cards
from domain.access import CARD_MANAGERS, Access
from domain.authorization import normalised_card_number
from domain.cards import NAME_LENGTH, UNNAMED, NewCard
from domain.checks import Problems
from domain.csv_imports import ImportLine, ImportOutcome, Line, RejectedError, read_table, rejected
from domain.errors import DomainError, NotFoundError
from domain.models import CardBlock, ChargeCard
from domain.people import PersonKey
from domain.ports import EventBus
from domain.roles import ImportAction

COLUMNS: Final = ("email", "externalUserId", "number", "name", "blocked", "remove")
NEEDED: Final = ("number",)


@dataclass(slots=True)
class _Planned:
    """What one line does."""

    line: ImportLine
    new: NewCard | None = None
    row: ChargeCard | None = None
    values: Mapping[str, object] | None = None
    is_blocked_here: bool | None = None
    """At the installation, from now on; None: as it is."""


async def import_charge_cards(
    access: Access, installation_id: UUID, *, table: str, is_dry_run: bool, bus: EventBus
) -> ImportOutcome:
    """What each line of the table does to cards of people at the installation, done unless it is a dry run or any line is rejected.

    Errors as `read_table`; NotFoundError for a hidden installation, NotAllowedError for one whose cards are not the actor's to keep.
    """
    access.signed_in()
    access.manage_installation(installation_id, CARD_MANAGERS, path=("installationId",))
    lines = read_table(table, columns=COLUMNS, needed=NEEDED)
    planned: list[_Planned] = []
    try:
        async with in_transaction():
            planned = await _plan(access, installation_id, lines)
            is_applied = not (is_dry_run or any(one.line.action is ImportAction.REJECT for one in planned))
            if is_applied:
                await _apply(access, installation_id, planned)
    except IntegrityError as error:
        raise cards.taken(("csv",)) from error
    if is_applied:
        people = {one.new.user_id for one in planned if one.new} | {one.row.user_id for one in planned if one.row}
        await cards.tell({installation_id, *await cards.places_of(people, now=access.now)}, bus)
    return ImportOutcome(is_applied=is_applied, lines=[one.line for one in planned])


@dataclass(slots=True)
class _Known:
    """What is known while the lines are read: cards by their numbers, people by what they are called, and what came before."""

    cards: Mapping[str, ChargeCard]
    blocked_here: frozenset[UUID]
    """Cards that the installation does not take."""
    holders: dict[PersonKey, UUID | RejectedError] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    counts: dict[UUID, int] = field(default_factory=dict)


async def _plan(access: Access, installation_id: UUID, lines: Sequence[Line]) -> list[_Planned]:
    numbers = {normalised_card_number(line["number"]) for line in lines}
    blocks = await CardBlock.filter(installation_id=installation_id)
    known = _Known(
        {card.number: card for card in await ChargeCard.filter(number__in=sorted(numbers))},
        frozenset(block.card_id for block in blocks),
    )
    return [await _planned(access, line, known) for line in lines]


async def _planned(access: Access, line: Line, known: _Known) -> _Planned:
    try:
        if line.problem is not None:
            raise RejectedError(line.problem)
        number = _number(line)
        if number in known.first:
            raise RejectedError(f"number: this card is in line {known.first[number]} already.")
        known.first[number] = line.number
        return await _one(access, line, number, await _holder(access, line, known), known)
    except (RejectedError, DomainError) as error:
        return _Planned(rejected(line.number, error))


async def _one(access: Access, line: Line, number: str, user_id: UUID, table: _Known) -> _Planned:
    name, is_blocked = line.optional("name"), line.flag("blocked")
    if name is not None and len(name) > NAME_LENGTH:
        raise RejectedError(f"name: it has at most {NAME_LENGTH} characters.")
    known = table.cards.get(number)
    shown = cards.masked(number)
    if known is not None and known.user_id != user_id:
        raise RejectedError(f"number: the card {shown} is registered already; its holder can remove it first.")
    if line.flag("remove"):
        if known is None:
            return _Planned(ImportLine(line.number, ImportAction.KEEP, f"There is no card {shown} to remove."))
        if not cards.is_theirs(access, known):
            raise RejectedError(f"remove: the card {shown} is its holder's to remove; block it instead.")
        return _Planned(ImportLine(line.number, ImportAction.REMOVE, f"The card {shown} is removed."), row=known)
    if known is None:
        held = table.counts.get(user_id)
        table.counts[user_id] = (await ChargeCard.filter(user_id=user_id).count() if held is None else held) + 1
        if table.counts[user_id] > cards.MOST_CARDS:
            raise RejectedError(f"A person has at most {cards.MOST_CARDS} cards.")
        is_own = user_id == access.user_id or access.user_id is None or access.is_administrator
        new = NewCard(
            user_id=user_id,
            number=number,
            name=name or UNNAMED,
            is_blocked=is_blocked and is_own,
            is_pushed=access.user_id is None,
        )
        added = ImportLine(line.number, ImportAction.ADD, f"The card {shown} is registered.")
        return _Planned(added, new=new, is_blocked_here=True if is_blocked and not is_own else None)
    if not cards.is_theirs(access, known):
        return _anothers(line, known, table)
    values = {"name": name or known.name, "is_blocked": is_blocked if line["blocked"] else bool(known.is_blocked)}
    if values == {"name": known.name, "is_blocked": bool(known.is_blocked)}:
        return _Planned(ImportLine(line.number, ImportAction.KEEP, f"The card {shown} stays as it is."))
    text = f"The card {shown} is called {values['name']}{' and is blocked' if values['is_blocked'] else ''}."
    return _Planned(ImportLine(line.number, ImportAction.CHANGE, text), row=known, values=values)


def _anothers(line: Line, known: ChargeCard, table: _Known) -> _Planned:
    """What a line does to a card that is somebody else's: it is blocked here or is not, and stays as its holder has it."""
    shown, name = cards.masked(known.number), line.optional("name")
    if name is not None and name != known.name:
        raise RejectedError(f"name: the card {shown} is its holder's to name; leave this empty.")
    was_blocked, is_blocked = known.id in table.blocked_here, line.flag("blocked")
    if not line["blocked"] or is_blocked == was_blocked:
        return _Planned(ImportLine(line.number, ImportAction.KEEP, f"The card {shown} stays as it is."))
    text = f"The card {shown} is {'not taken' if is_blocked else 'taken again'} at this installation."
    return _Planned(ImportLine(line.number, ImportAction.CHANGE, text), row=known, is_blocked_here=is_blocked)


def _number(line: Line) -> str:
    problems = Problems()
    number = cards.checked_number(problems, "number", line["number"])
    problems.raise_any()
    return number


async def _holder(access: Access, line: Line, known: _Known) -> UUID:
    if bool(line["email"]) == bool(line["externalUserId"]):
        raise RejectedError("Name one person: by email or by externalUserId.")
    key = PersonKey(email=line.optional("email"), external_id=line.optional("externalUserId"))
    if key not in known.holders:
        try:
            known.holders[key] = await cards.kept_person(access, key)
        except NotFoundError:
            known.holders[key] = RejectedError("There is nobody here by that name whose cards are yours to keep.")
    found = known.holders[key]
    if isinstance(found, RejectedError):
        raise found
    return found


async def _apply(access: Access, installation_id: UUID, planned: Sequence[_Planned]) -> None:
    for one in planned:
        row = one.row if one.new is None else await cards.add(access, one.new)
        if row is None:
            continue
        if one.is_blocked_here is not None:
            await cards.block_at(access, row.id, installation_id, is_blocked=one.is_blocked_here)
        elif one.values is not None:
            await cards.change(access, row, **one.values)
        elif one.new is None:
            await cards.remove(access, row)
