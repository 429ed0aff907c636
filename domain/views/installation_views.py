"""Sites as one person sees them: lists, pages and single rows, with nothing in them that is not theirs to see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.current.current_limits import current_in_force, limits_of
from domain.current.current_schedule import ScheduleEntry
from domain.equipment.installations import Address
from domain.filters import ANYTHING, Columns, Condition, Expression, check_size, sql_of
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.roles import AvailableCurrentMode, InstallationCategory, NetworkType, Role
from domain.units import PhaseAmps


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationRow:
    """A site. Those who hold only a charger there see what has no default here; for the others the main breaker's
    rating is that of its weakest line, and the available current the one in force now (`current_in_force`).
    """

    id: UUID
    name: str
    time_zone: str
    viewer_roles: Sequence[Role]
    is_active: bool | None = None
    created_at: datetime | None = None
    address: Address | None = None
    currency: str | None = None
    category: InstallationCategory | None = None
    network_type: NetworkType | None = None
    main_breaker_a: float | None = None
    available_current_a: PhaseAmps | None = None
    available_current_mode: AvailableCurrentMode | None = None
    available_current_expires_at: datetime | None = None
    fallback_current_a: PhaseAmps | None = None
    current_schedule: Sequence[ScheduleEntry] = ()
    three_to_one_phase_switch_current_a: float | None = None


_BREAKER = ", ".join(f"r.breaker_l{line}" for line in (1, 2, 3))


def _seen(access: Access, arguments: list[object]) -> str:
    """A SELECT of the sites that exist for this person; what they may not filter or sort by is NULL in it."""
    details = access.installation_details_condition("i", arguments)
    visible = access.installations_condition("i", arguments)
    return (
        f"SELECT i.*, {_BREAKER}, ({details}) AS is_detailed, {sql.folded('i.name')} AS sort_name,"  # noqa: S608
        f" CASE WHEN {details} THEN i.category END AS seen_category,"
        f" CASE WHEN {details} THEN i.created_at END AS seen_created_at"
        " FROM installations i JOIN circuits r ON r.installation_id = i.id AND r.parent_id IS NULL"
        f" AND r.removed_at IS NULL WHERE {visible}"
    )


async def installations_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, InstallationRow]:
    """The sites among `ids` that exist for this person, by id."""
    arguments: list[object] = []
    seen = _seen(access, arguments)
    wanted = sql.any_of("s.id", list(ids), arguments)
    found = await sql.rows(f"SELECT s.* FROM ({seen}) s WHERE {wanted}", *arguments)  # noqa: S608
    made = [_row(access, row) for row in found]
    return {row.id: row for row in made}


@dataclass(frozen=True, slots=True)
class InstallationOrder:
    """One term of an order: NAME or CREATED_AT."""

    field: str
    is_descending: bool = False


BY_NAME = (InstallationOrder("NAME"),)


async def installations_page(
    access: Access,
    request: PageRequest,
    *,
    where: Condition = ANYTHING,
    order: Sequence[InstallationOrder] = BY_NAME,
) -> Page[InstallationRow]:
    """One page of the sites that exist for this person; ties go by id. Filters: id, name, category, viewerRole."""
    if access.actor is None:
        return empty_page()
    check_size(where)
    arguments: list[object] = []
    seen = _seen(access, arguments)
    filtered = f"FROM ({seen}) s WHERE {sql_of(where, _columns(access), arguments)}"
    counted = list(arguments)
    keys = [*(_key(one) for one in order), SortKey("s.id", "id", KeyKind.ID)]
    found = keyset(keys, request, arguments)
    statement = f"SELECT s.* {filtered} AND {found.where} ORDER BY {found.order_by} LIMIT {found.limit}"
    rows = await sql.rows(statement, *arguments)

    async def count() -> int:
        return int((await sql.rows(f"SELECT COUNT(*) AS number {filtered}", *counted))[0]["number"])

    return page_of(rows, found, request, lambda row: _row(access, row), count=count)


def _columns(access: Access) -> Columns:
    def viewer_role(roles: object, arguments: list[object]) -> str:
        wanted = set(roles) if isinstance(roles, tuple) else set()
        if access.is_administrator and Role.ADMINISTRATOR in wanted:
            return "1 = 1"
        held = {key for key, held in access.installations.items() if wanted & held}
        held |= {grant.installation_id for grant in access.chargers.values() if grant.is_here and wanted & grant.roles}
        return sql.any_of("s.id", sorted(held), arguments)

    return {
        "id": Expression("s.id"),
        "name": Expression("s.name", is_text=True),
        "category": Expression("s.seen_category"),
        "viewerRole": viewer_role,
    }


def _key(order: InstallationOrder) -> SortKey:
    if order.field == "NAME":
        return SortKey("s.sort_name", "sort_name", is_descending=order.is_descending)
    return SortKey("s.seen_created_at", "seen_created_at", KeyKind.INSTANT, order.is_descending, is_nullable=True)


def _row(access: Access, row: Mapping[str, Any]) -> InstallationRow:
    identity = sql.uuid_of(row["id"])
    name, zone, roles = row["name"], row["time_zone"], access.shown_roles(access.roles_at(identity))
    if not row["is_detailed"]:
        return InstallationRow(id=identity, name=name, time_zone=zone, viewer_roles=roles)
    breaker = PhaseAmps(*(row[f"breaker_l{line}"] for line in (1, 2, 3)))
    limits = limits_of(row)
    return InstallationRow(
        id=identity,
        name=name,
        time_zone=zone,
        viewer_roles=roles,
        is_active=bool(row["is_active"]),
        created_at=sql.instant_of(row["created_at"]),
        address=Address(row["street"], row["postal_code"], row["city"], row["country_code"]),
        currency=row["currency"],
        category=InstallationCategory(row["category"]),
        network_type=NetworkType(row["network_type"]),
        main_breaker_a=min(breaker.as_tuple()),
        available_current_a=current_in_force(limits, breaker=breaker, now=access.now),
        available_current_mode=limits.mode_at(access.now),
        available_current_expires_at=limits.expires_at,
        fallback_current_a=limits.fallback,
        current_schedule=limits.schedule,
        three_to_one_phase_switch_current_a=row["three_to_one_switch_a"],
    )
