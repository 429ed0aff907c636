"""Chargers that knock and that nobody has added, as those see them who may add one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain import sql
from domain.access import Access
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownChargerRow:
    """What a charger that nobody added told of itself. `address` is for administrators: it says where somebody else's charger is."""

    identity: str
    first_seen_at: datetime
    last_seen_at: datetime
    attempts: int
    address: str | None
    protocol: str | None
    vendor: str | None
    model: str | None
    serial_number: str | None
    firmware_version: str | None
    password_hash: str | None = field(repr=False)
    """Of the one password that it offered; None also where it offered several."""

    @property
    def has_password(self) -> bool:
        """Whether it can keep its password."""
        return self.password_hash is not None


_NEWEST_FIRST = (
    SortKey("u.last_seen_at", "last_seen_at", KeyKind.INSTANT, is_descending=True),
    SortKey("u.id", "id", KeyKind.ID, is_descending=True),
)
_UNKNOWN = (
    "FROM unknown_chargers u WHERE NOT EXISTS"
    " (SELECT 1 FROM stations s JOIN chargers c ON c.station_id = s.id WHERE s.identity = u.identity)"
)


async def unknown_chargers_page(access: Access, request: PageRequest) -> Page[UnknownChargerRow]:
    """One page of them all, those first that knocked last, for ADMINISTRATOR: they are at no installation, so they are nobody else's."""
    if not access.is_administrator:
        return empty_page()
    arguments: list[object] = []
    found = keyset(_NEWEST_FIRST, request, arguments)
    rows = await sql.rows(
        f"SELECT u.* {_UNKNOWN} AND {found.where} ORDER BY {found.order_by} LIMIT {found.limit}",
        *arguments,
    )

    async def count() -> int:
        return int((await sql.rows(f"SELECT COUNT(*) AS number {_UNKNOWN}"))[0]["number"])

    return page_of(rows, found, request, lambda row: _row(access, row), count=count)


async def unknown_charger_of(access: Access, identity: str) -> UnknownChargerRow | None:
    """The one by exactly that identity. Whoever calls this has found out that the caller may ask for it."""
    row = await sql.row(f"SELECT u.* {_UNKNOWN} AND u.identity = $1", identity)
    return None if row is None else _row(access, row)


def _row(access: Access, row: Mapping[str, Any]) -> UnknownChargerRow:
    return UnknownChargerRow(
        identity=row["identity"],
        first_seen_at=sql.instant_of(row["first_seen_at"]),
        last_seen_at=sql.instant_of(row["last_seen_at"]),
        attempts=row["attempts"],
        address=row["address"] if access.is_administrator else None,
        protocol=row["protocol"],
        vendor=row["vendor"],
        model=row["model"],
        serial_number=row["serial_number"],
        firmware_version=row["firmware_version"],
        password_hash=None if row["is_contested"] else row["password_hash"],
    )
