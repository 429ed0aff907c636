"""Messages of chargers as those see them who look after the place: SERVICE and ADMINISTRATOR."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import INSTALLERS, Access
from domain.pages import KeyKind, Page, PageRequest, SortKey, keyset, page_of


@dataclass(frozen=True, slots=True)
class OcppMessageRow:
    """One message."""

    id: UUID
    at: datetime
    is_from_charger: bool
    action: str
    payload: str


_NEWEST_FIRST = (
    SortKey("m.at", "at", KeyKind.INSTANT, is_descending=True),
    SortKey("m.id", "id", KeyKind.ID, is_descending=True),
)
_COLUMNS = "m.id, m.at, m.is_from_charger, m.action, m.payload"


def _visible(access: Access, arguments: list[object]) -> str:
    """Of the time at this place only: a station that came from elsewhere tells nothing of what was there."""
    if access.is_administrator:
        return "1 = 1"
    return sql.any_of("m.installation_id", access.installations_with(INSTALLERS), arguments)


async def messages_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, OcppMessageRow]:
    """The messages among `ids` that this person may read, by id."""
    arguments: list[object] = []
    condition = f"{sql.any_of('m.id', list(ids), arguments)} AND {_visible(access, arguments)}"
    rows = await sql.rows(f"SELECT {_COLUMNS} FROM ocpp_messages m WHERE {condition}", *arguments)  # noqa: S608
    return {row.id: row for row in map(_row, rows)}


async def messages_page(access: Access, charger_id: UUID, request: PageRequest) -> Page[OcppMessageRow]:
    """One page of what a charger's station and the portal said to each other, newest first."""
    arguments: list[object] = [charger_id]
    visible = _visible(access, arguments)
    found = keyset(_NEWEST_FIRST, request, arguments)
    rows = await sql.rows(
        f"SELECT {_COLUMNS} FROM ocpp_messages m"  # noqa: S608  marks only
        f" WHERE m.station_id = (SELECT c.station_id FROM chargers c WHERE c.id = $1) AND {visible}"
        f" AND {found.where} ORDER BY {found.order_by} LIMIT {found.limit}",
        *arguments,
    )
    return page_of(rows, found, request, _row)


def _row(row: Mapping[str, Any]) -> OcppMessageRow:
    return OcppMessageRow(
        sql.uuid_of(row["id"]), sql.instant_of(row["at"]), bool(row["is_from_charger"]), row["action"], row["payload"]
    )
