"""Commands as people see them: those that they asked for, and at chargers that they control, all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.roles import CommandAction, CommandState


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A command and how far it has come."""

    id: UUID
    charger_id: UUID
    installation_id: UUID
    session_id: UUID | None
    action: CommandAction
    state: CommandState
    requested_at: datetime
    deadline: datetime
    finished_at: datetime | None
    detail: str | None

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.state.is_final


_NEWEST_FIRST = (
    SortKey("m.requested_at", "requested_at", KeyKind.INSTANT, is_descending=True),
    SortKey("m.id", "id", KeyKind.ID, is_descending=True),
)
_COLUMNS = "m.id, m.charger_id, m.installation_id, m.session_id, m.action, m.state, m.requested_at, m.deadline, m.finished_at, m.detail"


def _visible(access: Access, arguments: list[object]) -> str:
    if access.actor is None:
        return "1 = 0"
    arguments.append(access.actor.id)
    own = f"m.requested_by_id = ${len(arguments)}"
    controlled = access.charger_details_condition("c", arguments)
    # A command follows its own installation: a charger that was moved takes none of its old ones along.
    here = f"c.id = m.charger_id AND c.installation_id = m.installation_id AND {controlled}"
    return f"({own} OR EXISTS (SELECT 1 FROM chargers c WHERE {here}))"  # noqa: S608  marks only


async def commands_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, CommandRow]:
    """The commands among `ids` that exist for this person, by id."""
    arguments: list[object] = []
    condition = f"{sql.any_of('m.id', list(ids), arguments)} AND {_visible(access, arguments)}"
    rows = await sql.rows(f"SELECT {_COLUMNS} FROM commands m WHERE {condition}", *arguments)  # noqa: S608
    return {row.id: row for row in map(_row, rows)}


async def commands_page(
    access: Access, request: PageRequest, *, charger_id: UUID | None = None, is_final: bool | None = None
) -> Page[CommandRow]:
    """One page of commands, newest first: of a charger, or (None) those that the person asked for."""
    if access.actor is None:
        return empty_page()
    arguments: list[object] = [access.actor.id if charger_id is None else charger_id]
    parts = ["m.requested_by_id = $1" if charger_id is None else f"m.charger_id = $1 AND {_visible(access, arguments)}"]
    if is_final is not None:
        states = [state for state in CommandState if state.is_final is is_final]
        parts.append(sql.any_of("m.state", states, arguments))
    filtered = f"FROM commands m WHERE {' AND '.join(parts)}"
    counted = list(arguments)
    found = keyset(_NEWEST_FIRST, request, arguments)
    statement = f"SELECT {_COLUMNS} {filtered} AND {found.where} ORDER BY {found.order_by} LIMIT {found.limit}"
    rows = await sql.rows(statement, *arguments)

    async def count() -> int:
        return int((await sql.rows(f"SELECT COUNT(*) AS number {filtered}", *counted))[0]["number"])

    return page_of(rows, found, request, _row, count=count)


def _row(row: Mapping[str, Any]) -> CommandRow:
    return CommandRow(
        id=sql.uuid_of(row["id"]),
        charger_id=sql.uuid_of(row["charger_id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        session_id=sql.optional_uuid_of(row["session_id"]),
        action=CommandAction(row["action"]),
        state=CommandState(row["state"]),
        requested_at=sql.instant_of(row["requested_at"]),
        deadline=sql.instant_of(row["deadline"]),
        finished_at=sql.optional_instant_of(row["finished_at"]),
        detail=row["detail"],
    )
