"""The audit log of an installation, for who rules it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import SITE_RULERS, Access
from domain.filters import ANYTHING, Columns, Condition, Expression, check_size, sql_of
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One change or command. `before` and `after` are JSON without secrets, of those fields that differ."""

    id: UUID
    at: datetime
    actor: str
    action: str
    object_type: str
    object_id: UUID | None
    before: str | None
    after: str | None


_COLUMNS = "e.id, e.at, e.actor, e.action, e.object_type, e.object_id, e.state_before, e.state_after"
_NEWEST_FIRST = (
    SortKey("e.at", "at", KeyKind.INSTANT, is_descending=True),
    SortKey("e.id", "id", KeyKind.ID, is_descending=True),
)
COLUMNS: Columns = {
    "objectId": Expression("e.object_id"),
    "action": Expression("e.action", is_text=True),
    "at": Expression("e.at"),
}
"""What entries can be filtered by."""


async def audit_entries_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, AuditRow]:
    """The entries among `ids` at installations that this person rules, by id."""
    arguments: list[object] = []
    wanted = sql.any_of("e.id", list(ids), arguments)
    ruled = access.ruled_condition("e.installation_id", arguments)
    statement = f"SELECT {_COLUMNS} FROM audit_entries e WHERE {wanted} AND e.installation_id IS NOT NULL AND {ruled}"  # noqa: S608
    return {row.id: row for row in map(_row, await sql.rows(statement, *arguments))}


async def audit_page(
    access: Access, installation_id: UUID, request: PageRequest, *, where: Condition = ANYTHING
) -> Page[AuditRow]:
    """One page of what was done at the installation, newest first; for who rules it, empty for all others."""
    if not access.require(access.roles_at(installation_id), SITE_RULERS):
        return empty_page()
    check_size(where)
    arguments: list[object] = [installation_id]
    filtered = sql_of(where, COLUMNS, arguments)
    found = keyset(_NEWEST_FIRST, request, arguments)
    rows = await sql.rows(
        f"SELECT {_COLUMNS} FROM audit_entries e WHERE e.installation_id = $1 AND {filtered} AND {found.where}"  # noqa: S608
        f" ORDER BY {found.order_by} LIMIT {found.limit}",
        *arguments,
    )
    return page_of(rows, found, request, _row)


def _row(row: Mapping[str, Any]) -> AuditRow:
    return AuditRow(
        id=sql.uuid_of(row["id"]),
        at=sql.instant_of(row["at"]),
        actor=row["actor"],
        action=row["action"],
        object_type=row["object_type"],
        object_id=sql.optional_uuid_of(row["object_id"]),
        before=row["state_before"],
        after=row["state_after"],
    )
