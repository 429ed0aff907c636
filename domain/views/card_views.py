"""Charge cards as one caller sees them: their own, those of sessions they see, and those at installations whose cards they keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import CARD_MANAGERS, Access
from domain.identification.cards import masked
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """A card. `number` is masked; `is_blocked` everywhere, or at the installation through which it is read; `external_id` is None for
    all but its holder, who gave it, and administrators.
    """

    id: UUID
    user_id: UUID
    name: str
    number: str
    is_blocked: bool
    created_at: datetime
    external_id: str | None


_COLUMNS = "k.id, k.user_id, k.name, k.number, k.is_blocked, k.created_at, k.external_id, k.external_account_id"


def _blocked_at(condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM card_blocks b WHERE b.card_id = k.id AND {condition})"  # noqa: S608  a condition of ours


async def cards_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, CardRow]:
    """The cards among `ids` that exist for this caller, by id; blocked also where one of their own installations does not take them."""
    arguments: list[object] = []
    condition = f"{sql.any_of('k.id', list(ids), arguments)} AND {access.cards_condition('k', arguments)}"
    here = _blocked_at(sql.any_of("b.installation_id", access.installations_with(CARD_MANAGERS), arguments))
    statement = f"SELECT {_COLUMNS}, {here} AS blocked_here FROM charge_cards k WHERE {condition}"  # noqa: S608
    rows = await sql.rows(statement, *arguments)
    return {row.id: row for row in (_row(access, found) for found in rows)}


async def own_cards(access: Access) -> Sequence[CardRow]:
    """The cards of this person, oldest first."""
    if access.user_id is None:
        return ()
    statement = (
        f"SELECT {_COLUMNS}, FALSE AS blocked_here FROM charge_cards k WHERE k.user_id = $1 ORDER BY k.created_at, k.id"  # noqa: S608
    )
    return [_row(access, found) for found in await sql.rows(statement, access.user_id)]


async def pushed_cards(access: Access, user_id: UUID) -> Sequence[CardRow]:
    """The cards of that person that this program pushed, oldest first."""
    if access.service_account_id is None:
        return ()
    statement = (
        f"SELECT {_COLUMNS}, FALSE AS blocked_here FROM charge_cards k"  # noqa: S608
        " WHERE k.user_id = $1 AND k.external_account_id = $2 ORDER BY k.created_at, k.id"
    )
    return [_row(access, found) for found in await sql.rows(statement, user_id, access.service_account_id)]


_LASTS = "p.installation_id = $1 AND p.revoked_at IS NULL AND (p.valid_to IS NULL OR p.valid_to > $2)"
_HOLDERS = f"""
SELECT p.user_id FROM permissions p WHERE p.user_id IS NOT NULL AND {_LASTS}
UNION SELECT m.user_id FROM permissions p JOIN group_members m ON m.group_id = p.group_id WHERE {_LASTS}
"""  # noqa: S608  parts of ours
_BY_NAME = (SortKey("k.sort_name", "sort_name"), SortKey("k.id", "id", KeyKind.ID))


async def cards_page(access: Access, installation_id: UUID, request: PageRequest) -> Page[CardRow]:
    """One page of the cards of people who hold something at the installation now, by name; for who keeps its cards, empty for others."""
    if not access.require(access.roles_at(installation_id), CARD_MANAGERS):
        return empty_page()
    arguments: list[object] = [installation_id, access.now]
    here = _blocked_at("b.installation_id = $1")
    listed = (
        f"SELECT {_COLUMNS}, {sql.folded('k.name')} AS sort_name, {here} AS blocked_here FROM charge_cards k"  # noqa: S608
        f" WHERE k.user_id IN ({_HOLDERS})"
    )
    counted = list(arguments)
    found = keyset(_BY_NAME, request, arguments)
    rows = await sql.rows(
        f"SELECT k.* FROM ({listed}) k WHERE {found.where} ORDER BY {found.order_by} LIMIT {found.limit}",  # noqa: S608
        *arguments,
    )

    async def count() -> int:
        return int((await sql.rows(f"SELECT COUNT(*) AS number FROM ({listed}) k", *counted))[0]["number"])  # noqa: S608

    return page_of(rows, found, request, lambda row: _row(access, row), count=count)


def _row(access: Access, row: Mapping[str, Any]) -> CardRow:
    user_id, account_id = sql.uuid_of(row["user_id"]), sql.optional_uuid_of(row["external_account_id"])
    is_giver = access.actor is not None and account_id == access.actor.id
    knows_external_id = access.is_administrator or user_id == access.user_id or is_giver
    return CardRow(
        id=sql.uuid_of(row["id"]),
        user_id=user_id,
        name=row["name"],
        number=masked(row["number"]),
        is_blocked=bool(row["is_blocked"]) or bool(row["blocked_here"]),
        created_at=sql.instant_of(row["created_at"]),
        external_id=row["external_id"] if knows_external_id else None,
    )
