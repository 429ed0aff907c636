"""Cards of many people, from a table."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from tortoise.exceptions import IntegrityError

from domain import audit, sql
from domain.access import CARD_MANAGERS, Access
from domain.authorization.decision import normalised_card_number
from domain.checks import Problems
from domain.csv_imports import ImportLine, ImportOutcome, Line, RejectedError, read_table, rejected
from domain.errors import DomainError, NotFoundError
from domain.identification import cards
from domain.identification.cards import NAME_LENGTH, UNNAMED, CardChange, NewCard
from domain.identity.people import PersonKey
from domain.models import CardBlock, ChargeCard
from domain.ports import EventBus
from domain.roles import ImportAction

COLUMNS: Final = ("email", "externalUserId", "number", "name", "blocked", "remove")
NEEDED: Final = ("number",)
_BREATH = 100
"""Lines that are judged before others in the process have a turn."""


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
    planned: Sequence[_Planned] = await _plan(access, installation_id, lines)

    async def apply() -> Sequence[_Planned]:
        # A write first: it waits for other imports and grants here, and takes SQLite's writer before anything is read.
        await sql.execute("UPDATE installations SET name = name WHERE id = $1", installation_id)
        await _lock(one.new.user_id for one in planned if one.new)
        anew = await _plan(access, installation_id, lines)
        if _is_good(anew):
            await _apply(access, installation_id, anew)
        return anew

    is_applied = False
    if not is_dry_run and _is_good(planned):
        try:
            # Once more when one of the cards was registered at this moment: then its line says so.
            planned = await sql.settled(apply)
        except IntegrityError as error:
            raise cards.taken(("csv",)) from error
        is_applied = _is_good(planned)
    if is_applied:
        people = {one.new.user_id for one in planned if one.new} | {one.row.user_id for one in planned if one.row}
        await cards.tell({installation_id, *await cards.places_of(people, now=access.now)}, bus)
    return ImportOutcome(is_applied=is_applied, lines=[one.line for one in planned])


def _is_good(planned: Sequence[_Planned]) -> bool:
    return all(one.line.action is not ImportAction.REJECT for one in planned)


async def _lock(user_ids: Iterable[UUID]) -> None:
    """Whoever else registers for these people waits, so that nobody gets past the limit; in the order of ids, so that all get through."""
    for some in sql.in_chunks(sorted(set(user_ids))):
        arguments: list[object] = []
        wanted = sql.any_of("id", some, arguments)
        await sql.rows(f"SELECT id FROM users WHERE {wanted} ORDER BY id{sql.for_change()}", *arguments)  # noqa: S608


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read before the lines are judged, and what came in lines before."""

    cards: Mapping[str, ChargeCard]
    """By their numbers."""
    blocked_here: frozenset[UUID]
    """Cards that the installation does not take."""
    holders: Mapping[PersonKey, UUID | DomainError]
    counts: dict[UUID, int]
    """How many cards people have, with those of the lines before."""
    first: dict[str, int] = field(default_factory=dict)


async def _plan(access: Access, installation_id: UUID, lines: Sequence[Line]) -> list[_Planned]:
    """What each line does as things are now; a number of reads that does not grow line by line."""
    numbers = sorted({normalised_card_number(line["number"]) for line in lines})
    known: dict[str, ChargeCard] = {}
    for some in sql.in_chunks(numbers):
        # Locked inside a transaction only: what is written is what was judged.
        found = await ChargeCard.filter(number__in=some).order_by("number").select_for_update(no_key=True)
        known.update((card.number, card) for card in found)
    keys = dict.fromkeys(key for key in map(_key, lines) if key is not None)
    holders = await cards.kept_people(access, list(keys))
    blocks = await CardBlock.filter(installation_id=installation_id)
    table = _Known(
        cards=known,
        blocked_here=frozenset(block.card_id for block in blocks),
        holders=holders,
        counts=await _counts({found for found in holders.values() if isinstance(found, UUID)}),
    )
    planned: list[_Planned] = []
    for count, line in enumerate(lines):
        if count % _BREATH == 0:
            await asyncio.sleep(0)
        planned.append(_planned(access, line, table))
    return planned


async def _counts(user_ids: set[UUID]) -> dict[UUID, int]:
    counts: dict[UUID, int] = {}
    for some in sql.in_chunks(sorted(user_ids)):
        arguments: list[object] = []
        wanted = sql.any_of("user_id", some, arguments)
        found = await sql.rows(
            f"SELECT user_id, COUNT(*) AS held FROM charge_cards WHERE {wanted} GROUP BY user_id",  # noqa: S608
            *arguments,
        )
        counts.update((sql.uuid_of(row["user_id"]), int(row["held"])) for row in found)
    return counts


def _planned(access: Access, line: Line, known: _Known) -> _Planned:
    try:
        if line.problem is not None:
            raise RejectedError(line.problem)
        number = _number(line)
        if number in known.first:
            raise RejectedError(f"number: this card is in line {known.first[number]} already.")
        known.first[number] = line.number
        return _one(access, line, number, _holder(line, known), known)
    except (RejectedError, DomainError) as error:
        return _Planned(rejected(line.number, error))


def _one(access: Access, line: Line, number: str, user_id: UUID, table: _Known) -> _Planned:
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
        table.counts[user_id] = table.counts.get(user_id, 0) + 1
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


def _key(line: Line) -> PersonKey | None:
    """Whom the line names; None where that is nobody, or two."""
    if bool(line["email"]) == bool(line["externalUserId"]):
        return None
    return PersonKey(email=line.optional("email"), external_id=line.optional("externalUserId"))


def _holder(line: Line, table: _Known) -> UUID:
    key = _key(line)
    if key is None:
        raise RejectedError("Name one person: by email or by externalUserId.")
    found = table.holders[key]
    if isinstance(found, NotFoundError):
        raise RejectedError("There is nobody here by that name whose cards are yours to keep.")
    if isinstance(found, DomainError):
        raise found
    return found


async def _apply(access: Access, installation_id: UUID, planned: Sequence[_Planned]) -> None:
    added: list[ChargeCard] = []
    changed: list[ChargeCard] = []
    removed: list[UUID] = []
    blocks: dict[UUID, bool] = {}
    changes: list[CardChange] = []
    for one in planned:
        row = one.row
        if one.new is not None:
            row = cards.made(access, one.new)
            added.append(row)
            changes.append(CardChange("chargeCard.register", row.id, after=cards.holding(row)))
        if row is None:
            continue
        if one.is_blocked_here is not None:
            blocks[row.id] = one.is_blocked_here
        elif one.values is not None:
            before = cards.holding(row)
            changed.append(row.update_from_dict(dict(one.values)))
            changes.append(CardChange("chargeCard.change", row.id, before, cards.holding(row)))
        elif one.new is None:
            removed.append(row.id)
            changes.append(CardChange("chargeCard.remove", row.id, before=cards.holding(row)))
    await ChargeCard.bulk_create(added, batch_size=sql.CHUNK)
    await sql.execute_many(
        "UPDATE charge_cards SET name = $2, is_blocked = $3 WHERE id = $1",
        [(row.id, row.name, row.is_blocked) for row in changed],
    )
    for some in sql.in_chunks(removed):
        await ChargeCard.filter(id__in=some).delete()
    await _block(access, installation_id, blocks)
    await cards.log(access, changes)


async def _block(access: Access, installation_id: UUID, blocks: Mapping[UUID, bool]) -> None:
    """The installation takes these cards no longer, or again; each of them is otherwise now."""
    blocked = (
        CardBlock(
            card_id=card_id,
            installation_id=installation_id,
            blocked_by_id=access.signed_in().id,
            blocked_at=access.now,
        )
        for card_id, is_blocked in blocks.items()
        if is_blocked
    )
    await CardBlock.bulk_create(blocked, batch_size=sql.CHUNK)
    for some in sql.in_chunks([card_id for card_id, is_blocked in blocks.items() if not is_blocked]):
        await CardBlock.filter(card_id__in=some, installation_id=installation_id).delete()
    entries = [
        cards.block_entry(card_id, installation_id, was_blocked=not is_blocked, is_blocked=is_blocked)
        for card_id, is_blocked in blocks.items()
    ]
    await audit.record_all(access, entries)
