"""Groups of people as one caller sees them: their own by name, those that they manage with everyone in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.identity.people import PersonRow, people_by_ids
from domain.membership.groups import MOST_GROUPS
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group. `is_managed`: the viewer sees and changes who is in it."""

    id: UUID
    name: str
    installation_id: UUID
    is_managed: bool


def _seen(access: Access, arguments: list[object]) -> str:
    managed = access.managed_groups_condition("g", arguments)
    visible = access.groups_condition("g", arguments)
    return f"SELECT g.id, g.name, g.installation_id, ({managed}) AS is_managed FROM user_groups g WHERE {visible}"  # noqa: S608


async def groups_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, GroupRow]:
    """The groups among `ids` that exist for this caller, by id."""
    arguments: list[object] = []
    statement = f"{_seen(access, arguments)} AND {sql.any_of('g.id', list(ids), arguments)}"
    return {row.id: row for row in map(_row, await sql.rows(statement, *arguments))}


async def groups_of_installations(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[GroupRow]]:
    """The groups of each installation that exist for this caller, by name."""
    arguments: list[object] = []
    statement = (
        f"{_seen(access, arguments)} AND {sql.any_of('g.installation_id', list(ids), arguments)}"
        f" ORDER BY {sql.folded('g.name')}, g.id"
    )
    shown: dict[UUID, list[GroupRow]] = {}
    for found in await sql.rows(statement, *arguments):
        row = _row(found)
        here = shown.setdefault(row.installation_id, [])
        if len(here) < MOST_GROUPS:
            here.append(row)
    return shown


async def members_page(access: Access, group: GroupRow, request: PageRequest) -> Page[PersonRow]:
    """One page of who is in the group, by name; empty for those who do not manage it."""
    if not group.is_managed:
        return empty_page()
    arguments: list[object] = [group.id]
    among = "FROM group_members m JOIN users u ON u.id = m.user_id WHERE m.group_id = $1"
    keys = (SortKey(sql.folded("u.name"), "sort_name"), SortKey("u.id", "id", KeyKind.ID))
    found = keyset(keys, request, arguments)
    statement = (
        f"SELECT u.id, {sql.folded('u.name')} AS sort_name {among} AND {found.where}"
        f" ORDER BY {found.order_by} LIMIT {found.limit}"
    )
    rows = await sql.rows(statement, *arguments)
    people = await people_by_ids(access, [sql.uuid_of(row["id"]) for row in rows])

    async def count() -> int:
        return int((await sql.rows(f"SELECT COUNT(*) AS number {among}", group.id))[0]["number"])

    return page_of(rows, found, request, lambda row: people[sql.uuid_of(row["id"])], count=count)


def _row(row: Mapping[str, Any]) -> GroupRow:
    return GroupRow(
        sql.uuid_of(row["id"]), row["name"], sql.uuid_of(row["installation_id"]), is_managed=bool(row["is_managed"])
    )
