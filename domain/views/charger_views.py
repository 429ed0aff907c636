"""Chargers as one person sees them: lists, pages and single rows, with nothing in them that is not theirs to see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import CHARGERS, Access
from domain.filters import ANYTHING, Columns, Condition, Every, Expression, check_size, sql_of
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.roles import PhaseRotation, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerRow:
    """A charger. Those who may only charge there see what has no default here."""

    id: UUID
    name: str
    installation_id: UUID
    min_current_a: float
    max_current_a: float
    is_enabled: bool
    viewer_roles: Sequence[Role]
    identity: str | None = None
    evse: int | None = None
    serial_number: str | None = None
    vendor: str | None = None
    model: str | None = None
    firmware_version: str | None = None
    circuit_id: UUID | None = None
    phase_rotation: PhaseRotation | None = None
    offline_current_a: float | None = None
    can_switch_phases: bool | None = None
    authentication_required: bool | None = None
    """None also where it is as the installation says."""
    created_at: datetime | None = None
    last_seen_at: datetime | None = None
    security_profile: int | None = None
    minimum_security_profile: int | None = None
    """Both for installers only."""


@dataclass(frozen=True, slots=True)
class ChargerOrder:
    """One term of an order: NAME or CREATED_AT."""

    field: str
    is_descending: bool = False


BY_NAME = (ChargerOrder("NAME"),)

_HIDDEN = (
    "s.identity",
    "c.evse",
    "s.serial_number",
    "s.vendor",
    "s.model",
    "s.firmware_version",
    "c.phase_rotation",
    "c.offline_current_a",
    "c.can_switch_phases",
    "c.authentication_required",
    "c.created_at",
    "s.last_seen_at",
)
"""NULL for those who may only charge; so are filters and orders by them."""


_FOR_INSTALLERS = ("s.security_profile", "s.minimum_security_profile")


def _seen(access: Access, arguments: list[object]) -> str:
    """A SELECT of the chargers that exist for this person, with NULL where they may not see, filter or sort by a value."""
    details = access.charger_details_condition("c", arguments)
    visible = access.chargers_condition("c", arguments)
    # Circuits are for who sees the site's, not for the owner of one charger.
    circuit = f"CASE WHEN {access.circuits_condition('c', arguments)} THEN c.circuit_id END AS circuit_id"
    may_charge = _may_charge(access, arguments)
    installed = access.installing_condition("c", arguments)
    hidden = ", ".join(
        f"CASE WHEN {condition} THEN {name} END AS {name.partition('.')[2]}"
        for condition, names in (("c.is_detailed", _HIDDEN), (installed, _FOR_INSTALLERS))
        for name in names
    )
    return (
        f"SELECT c.id, c.name, {sql.folded('c.name')} AS sort_name, c.installation_id, c.min_current_a, c.max_current_a,"  # noqa: S608
        f" c.is_enabled, t.mode, t.is_online, {circuit}, {hidden}, ({may_charge}) AS viewer_may_charge"
        f" FROM (SELECT c.*, ({details}) AS is_detailed FROM chargers c WHERE c.removed_at IS NULL AND {visible}) c"
        " JOIN installations i ON i.id = c.installation_id JOIN charger_statuses t ON t.charger_id = c.id"
        " LEFT JOIN stations s ON s.id = c.station_id"
    )


def _may_charge(access: Access, arguments: list[object]) -> str:
    """Where a charge would be accepted now: enabled, active, and either open to all or with a right to it (domain.md §3)."""
    sites = sorted(key for key, roles in access.installations.items() if CHARGERS & roles)
    single = sorted(key for key, grant in access.chargers.items() if grant.is_here and CHARGERS & grant.roles)
    allowed = f"{sql.any_of('c.installation_id', sites, arguments)} OR {sql.any_of('c.id', single, arguments)}"
    is_required = "COALESCE(c.authentication_required, i.authentication_required)"
    return f"c.is_enabled AND i.is_active AND (NOT {is_required} OR {allowed})"


async def chargers_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, ChargerRow]:
    """The chargers among `ids` that exist for this person, by id."""
    arguments: list[object] = []
    seen = _seen(access, arguments)
    wanted = sql.any_of("c.id", list(ids), arguments)
    found = await sql.rows(f"SELECT c.* FROM ({seen}) c WHERE {wanted}", *arguments)  # noqa: S608
    made = [_row(access, row) for row in found]
    return {row.id: row for row in made}


async def chargers_page(
    access: Access,
    request: PageRequest,
    *,
    where: Condition = ANYTHING,
    order: Sequence[ChargerOrder] = BY_NAME,
    within: Condition = ANYTHING,
) -> Page[ChargerRow]:
    """One page of the chargers that exist for this person; ties go by id. `within` is where the list hangs, beside the filter."""
    if access.actor is None:
        return empty_page()
    check_size(where)
    arguments: list[object] = []
    seen = _seen(access, arguments)
    filtered = f"FROM ({seen}) c WHERE {sql_of(Every((within, where)), COLUMNS, arguments)}"
    counted = list(arguments)
    keys = [*(_key(one) for one in order), SortKey("c.id", "id", KeyKind.ID)]
    found = keyset(keys, request, arguments)
    statement = f"SELECT c.* {filtered} AND {found.where} ORDER BY {found.order_by} LIMIT {found.limit}"
    rows = await sql.rows(statement, *arguments)

    async def count() -> int:
        return int((await sql.rows(f"SELECT COUNT(*) AS number {filtered}", *counted))[0]["number"])

    return page_of(rows, found, request, lambda row: _row(access, row), count=count)


COLUMNS: Columns = {
    "id": Expression("c.id"),
    "name": Expression("c.name", is_text=True),
    "identity": Expression("c.identity", is_text=True),
    "serialNumber": Expression("c.serial_number", is_text=True),
    "installationId": Expression("c.installation_id"),
    "circuitId": Expression("c.circuit_id"),
    "mode": Expression("c.mode"),
    "isOnline": Expression("c.is_online"),
    "viewerMayCharge": Expression("c.viewer_may_charge"),
}
"""What chargers can be filtered by."""


def _key(order: ChargerOrder) -> SortKey:
    if order.field == "NAME":
        return SortKey("c.sort_name", "sort_name", is_descending=order.is_descending)
    return SortKey("c.created_at", "created_at", KeyKind.INSTANT, order.is_descending, is_nullable=True)


def _row(access: Access, row: Mapping[str, Any]) -> ChargerRow:
    identity, site = sql.uuid_of(row["id"]), sql.uuid_of(row["installation_id"])
    rotation, switches, required = row["phase_rotation"], row["can_switch_phases"], row["authentication_required"]
    return ChargerRow(
        id=identity,
        name=row["name"],
        installation_id=site,
        min_current_a=row["min_current_a"],
        max_current_a=row["max_current_a"],
        is_enabled=bool(row["is_enabled"]),
        viewer_roles=access.shown_roles(access.roles_at_charger(identity, site)),
        identity=row["identity"],
        evse=row["evse"],
        serial_number=row["serial_number"],
        vendor=row["vendor"],
        model=row["model"],
        firmware_version=row["firmware_version"],
        circuit_id=sql.optional_uuid_of(row["circuit_id"]),
        phase_rotation=None if rotation is None else PhaseRotation(rotation),
        offline_current_a=row["offline_current_a"],
        can_switch_phases=None if switches is None else bool(switches),
        authentication_required=None if required is None else bool(required),
        created_at=sql.optional_instant_of(row["created_at"]),
        last_seen_at=sql.optional_instant_of(row["last_seen_at"]),
        security_profile=row["security_profile"],
        minimum_security_profile=row["minimum_security_profile"],
    )
