"""Charge cards as one person sees them: their own, those of sessions they see, and those at installations they own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.cards import masked


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """A card. `number` is masked; `external_id` is None for all but its holder and administrators."""

    id: UUID
    user_id: UUID
    name: str
    number: str
    is_blocked: bool
    created_at: datetime
    external_id: str | None


_COLUMNS = "k.id, k.user_id, k.name, k.number, k.is_blocked, k.created_at, k.external_id"


async def cards_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, CardRow]:
    """The cards among `ids` that exist for this person, by id."""
    arguments: list[object] = []
    condition = f"{sql.any_of('k.id', list(ids), arguments)} AND {access.cards_condition('k', arguments)}"
    rows = await sql.rows(f"SELECT {_COLUMNS} FROM charge_cards k WHERE {condition}", *arguments)  # noqa: S608
    return {row.id: row for row in (_row(access, found) for found in rows)}


async def own_cards(access: Access) -> Sequence[CardRow]:
    """The cards of this person, oldest first."""
    if access.user_id is None:
        return ()
    statement = f"SELECT {_COLUMNS} FROM charge_cards k WHERE k.user_id = $1 ORDER BY k.created_at, k.id"  # noqa: S608
    return [_row(access, found) for found in await sql.rows(statement, access.user_id)]


def _row(access: Access, row: Mapping[str, Any]) -> CardRow:
    user_id = sql.uuid_of(row["user_id"])
    knows_external_id = access.is_administrator or user_id == access.user_id
    return CardRow(
        id=sql.uuid_of(row["id"]),
        user_id=user_id,
        name=row["name"],
        number=masked(row["number"]),
        is_blocked=bool(row["is_blocked"]),
        created_at=sql.instant_of(row["created_at"]),
        external_id=row["external_id"] if knows_external_id else None,
    )
