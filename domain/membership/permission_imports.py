"""Permissions from a table: every line is judged by the rules of a single grant, and all of them are done or none."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import sql
from domain.access import GRANTERS, Access
from domain.csv_imports import ImportLine, ImportOutcome, Line, RejectedError, read_table, rejected, shown
from domain.errors import ConflictError, DomainError, ErrorCode, NotFoundError, Path
from domain.membership.permission_book import Change, PermissionBook, Place, Subject, Wanted, permission_book
from domain.membership.permissions import checked
from domain.models import Permission
from domain.ports import EventBus
from domain.roles import UNSET, ImportAction, Role

COLUMNS = ("email", "externalUserId", "group", "charger", "role", "validFrom", "validTo", "externalId", "remove")
"""Of the first three a line has one; an empty charger is the whole installation."""
_SUBJECTS = COLUMNS[:3]
_MANAGERS = GRANTERS | {Role.ADMINISTRATOR}
_CHUNK = 500
_BREATH = 100
"""Lines that are judged before others in the process have a turn."""

ChargerOf = Callable[[str], UUID | None]
"""The charger that an id of the edge means; None when it is none."""


@dataclass(frozen=True, slots=True)
class _Names:
    """What the words in the table mean at this installation; texts are compared without case."""

    zone: ZoneInfo
    chargers: Mapping[str, frozenset[UUID]]
    charger_names: Mapping[UUID, str]
    charger_of: ChargerOf
    groups: Mapping[str, UUID]
    people: Mapping[str, UUID]
    """By the ids of the program that asks."""
    is_program: bool


@dataclass(slots=True)
class _Judged:
    line: ImportLine
    change: Change | None = None


async def import_permissions(
    access: Access, installation_id: UUID, *, table: str, is_dry_run: bool, charger_of: ChargerOf, bus: EventBus
) -> ImportOutcome:
    """What each line of the table does to the grants at the installation, done unless it is a dry run or any line is rejected.

    Errors as `read_table`; NotFoundError for a hidden installation, NotAllowedError for one where whoever asks decides about nobody.
    """
    access.signed_in()
    path: Path = ("installationId",)
    access.manage_installation(installation_id, _MANAGERS, path=path)
    lines = read_table(table, columns=COLUMNS)
    names = await _names(access, installation_id, lines, charger_of)
    judged: list[_Judged] = []
    try:
        async with permission_book(access, installation_id, bus=bus) as book:
            await book.read_all(sorted({line["externalId"] for line in lines if line["externalId"]}))
            judged.extend(await _judge(book, names, lines))
            is_rejected = any(one.line.action is ImportAction.REJECT for one in judged)
            book.is_trial = is_dry_run
            if is_rejected:
                book.forget()
    except ConflictError as error:
        if error.code is not ErrorCode.LAST_OWNER:
            raise
        is_rejected = True
        for one in judged:
            if one.change is not None and one.change.before is not None and _is_of_owner(one.change):
                one.line = rejected(one.line.line, error)
    return ImportOutcome(is_applied=not (is_dry_run or is_rejected), lines=[one.line for one in judged])


async def _judge(book: PermissionBook, names: _Names, lines: Sequence[Line]) -> list[_Judged]:
    judged: list[_Judged] = []
    first: dict[UUID, int] = {}
    for count, line in enumerate(lines):
        if count % _BREATH == 0:
            await asyncio.sleep(0)
        judged.append(_judged(book, names, line, first))
    return judged


def _judged(book: PermissionBook, names: _Names, line: Line, first: dict[UUID, int]) -> _Judged:
    try:
        if line.problem is not None:
            raise RejectedError(line.problem)
        return _removed(book, names, line, first) if line.flag("remove") else _granted(book, names, line, first)
    except (RejectedError, DomainError) as error:
        return _Judged(rejected(line.number, error))


def _granted(book: PermissionBook, names: _Names, line: Line, first: dict[UUID, int]) -> _Judged:
    subject, place, role = _subject(names, line), _place(book, names, line), _role(line)
    wanted = Wanted(
        subject=subject,
        place=place,
        role=role,
        valid_from=line.instant("validFrom", names.zone),
        valid_to=line.instant("validTo", names.zone, is_end=True),
        external_id=line.optional("externalId") or UNSET,
    )
    wanted = checked(book.access, wanted)
    _require_first(book.present(place, role, wanted.subject), first)
    change = book.grant(wanted, invites_again=False)
    first[change.row.id] = line.number
    action = ImportAction.KEEP
    if change.differs:
        action = ImportAction.ADD if change.before is None else ImportAction.CHANGE
    text = f"{_title(names, line, place, role)}{_times(change, names.zone)}{_remark(change)}"
    return _Judged(ImportLine(line.number, action, text), change)


def _removed(book: PermissionBook, names: _Names, line: Line, first: dict[UUID, int]) -> _Judged:
    """A line that names nobody goes by its externalId alone."""
    if not any(line[column] for column in _SUBJECTS) and line["externalId"]:
        row = book.named(line["externalId"])
        if row is not None and row.installation_id != book.installation_id:
            raise RejectedError(f"externalId: {shown(line['externalId'])} is of a permission at another installation.")
        title = f"The permission {shown(line['externalId'])}"
    else:
        subject, place, role = _subject(names, line), _place(book, names, line), _role(line)
        wanted = checked(book.access, Wanted(subject=subject, place=place, role=role))
        row = book.present(place, role, wanted.subject)
        title = _title(names, line, place, role)
    if row is None:
        return _Judged(ImportLine(line.number, ImportAction.KEEP, f"{title} is not there: nothing to remove."))
    _require_first(row, first)
    change = book.revoke(row, path=("role",))
    first[row.id] = line.number
    return _Judged(ImportLine(line.number, ImportAction.REMOVE, f"{title} ends now."), change)


def _require_first(row: Permission | None, first: Mapping[UUID, int]) -> None:
    if row is not None and row.id in first:
        raise RejectedError(f"Line {first[row.id]} is about the same permission already.")


def _subject(names: _Names, line: Line) -> Subject:
    given = [column for column in _SUBJECTS if line[column]]
    if len(given) != 1:
        raise RejectedError("Name one of email, externalUserId and group.")
    column, word = given[0], line[given[0]]
    if column == "email":
        return Subject(email=word)
    if column == "externalUserId" and not names.is_program:
        raise RejectedError("externalUserId: service accounts have ids of their own for people, you have not.")
    found = names.groups.get(word.casefold()) if column == "group" else names.people.get(word)
    if found is None:
        raise RejectedError(f"{column}: there is no {shown(word)} here, or it is not yours to see.")
    return Subject(group_id=found) if column == "group" else Subject(found)


def _place(book: PermissionBook, names: _Names, line: Line) -> Place:
    word = line["charger"]
    if not word:
        return Place(book.installation_id)
    found = set(names.chargers.get(word.casefold(), ()))
    by_id = names.charger_of(word)
    if by_id is not None and by_id in names.charger_names:
        found = {by_id}
    if not found:
        raise RejectedError(f"charger: there is no {shown(word)} here, neither by name nor by identity nor by id.")
    if len(found) > 1:
        raise RejectedError(
            f"charger: {len(found)} chargers are called {shown(word)}: write the id of the one you mean."
        )
    return Place(book.installation_id, found.pop())


def _role(line: Line) -> Role:
    word = line["role"].upper()
    if word not in Role.__members__:
        raise RejectedError(f"role: write USER, OWNER or SERVICE, not {shown(line['role'])}.")
    return Role[word]


def _title(names: _Names, line: Line, place: Place, role: Role) -> str:
    who = next(line[column] for column in _SUBJECTS if line[column])
    kind = "the group " if line["group"] else ""
    where = "the installation" if place.charger_id is None else f"charger {names.charger_names[place.charger_id]}"
    return f"{role} on {where} for {kind}{who}"


def _times(change: Change, zone: ZoneInfo) -> str:
    row = change.row
    return f" from {_local(row.valid_from, zone)}, {_until(row.valid_to, zone)}"


def _remark(change: Change) -> str:
    """What differs from before, and whether a mail goes out."""
    before, row = change.before, change.row
    if not change.differs:
        return "; as it is already."
    parts = ["; changed: "] if before is not None else []
    if before is not None:
        fields = {"validFrom": row.valid_from, "validTo": row.valid_to, "externalId": row.external_id}
        changed = [name for name, value in fields.items() if before[name] != value]
        parts.append(", ".join(changed) or "invited again")
    if change.is_invited:
        parts.append("; an invitation is sent")
    return f"{''.join(parts)}."


def _local(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _until(at: datetime | None, zone: ZoneInfo) -> str:
    return "without an end" if at is None else f"until {_local(at, zone)}"


def _is_of_owner(change: Change) -> bool:
    return change.differs and change.row.role is Role.OWNER and change.row.charger_id is None


async def _names(access: Access, installation_id: UUID, lines: Sequence[Line], charger_of: ChargerOf) -> _Names:
    site = await sql.row("SELECT time_zone FROM installations WHERE id = $1", installation_id)
    if site is None:
        raise NotFoundError(path=("installationId",))
    chargers: dict[str, set[UUID]] = {}
    charger_names: dict[UUID, str] = {}
    for row in await sql.rows(_CHARGERS, installation_id):
        identity = sql.uuid_of(row["id"])
        charger_names[identity] = row["name"]
        for word in (row["name"], row["identity"]):
            chargers.setdefault(word.casefold(), set()).add(identity)
    found = await sql.rows("SELECT id, name FROM user_groups WHERE installation_id = $1", installation_id)
    return _Names(
        zone=ZoneInfo(site["time_zone"]),
        chargers={word: frozenset(known) for word, known in chargers.items()},
        charger_names=charger_names,
        charger_of=charger_of,
        groups={row["name"].casefold(): sql.uuid_of(row["id"]) for row in found},
        people=await _people(access, sorted({line["externalUserId"] for line in lines if line["externalUserId"]})),
        is_program=access.service_account_id is not None,
    )


_CHARGERS = """
SELECT c.id, c.name, s.identity FROM chargers c JOIN stations s ON s.id = c.station_id
WHERE c.installation_id = $1 AND c.removed_at IS NULL
"""


async def _people(access: Access, external_ids: Sequence[str]) -> dict[str, UUID]:
    """The people whom the program that asks knows by these ids."""
    known: dict[str, UUID] = {}
    for start in range(0, len(external_ids) if access.service_account_id is not None else 0, _CHUNK):
        arguments: list[object] = [access.service_account_id]
        wanted = sql.any_of("x.external_id", external_ids[start : start + _CHUNK], arguments)
        statement = (
            "SELECT x.external_id, x.user_id FROM external_users x JOIN users u ON u.id = x.user_id"  # noqa: S608
            f" WHERE x.account_id = $1 AND {wanted} AND u.is_active AND u.erased_at IS NULL"
        )
        for row in await sql.rows(statement, *arguments):
            known[row["external_id"]] = sql.uuid_of(row["user_id"])
    return known
