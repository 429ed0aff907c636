"""Grants as one person sees them: their own, and those on objects where they decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.filters import ANYTHING, Columns, Condition, Every, Expression, check_size, sql_of
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.roles import Role


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """A grant to an e-mail address, which looks the same whether or not the address has an account."""

    id: UUID
    """Of the permission."""
    email: str | None
    invited_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionRow:
    """A grant. Who granted and revoked, and the externalId, are None for those who could not do it themselves."""

    id: UUID
    user_id: UUID | None
    group_id: UUID | None
    invitation: InvitationRow | None
    """Set where neither a person nor a group holds it."""
    installation_id: UUID
    charger_id: UUID | None
    role: Role
    valid_from: datetime
    valid_to: datetime | None
    granted_by: str | None
    revoked_by: str | None
    granted_at: datetime
    revoked_at: datetime | None
    external_id: str | None


def _seen(access: Access, arguments: list[object]) -> str:
    arguments.append(access.now)
    now = f"${len(arguments)}"
    visible = f"{access.permissions_condition('p', arguments)} AND {_object_seen(access, arguments)}"
    granting = access.granting_condition("p", arguments)
    own = access.own_permissions_condition("p", arguments)
    is_valid = f"p.revoked_at IS NULL AND p.valid_from <= {now} AND (p.valid_to IS NULL OR p.valid_to > {now})"
    return (
        "SELECT p.id, p.user_id, p.group_id, p.email, p.installation_id, p.charger_id, p.role, p.valid_from, p.valid_to, p.granted_at,"  # noqa: S608
        " p.revoked_at, p.invitation_expires_at, p.is_granting,"
        f" CASE WHEN p.is_granting THEN {_named('p.granted_by_id')} END AS granted_by,"
        f" CASE WHEN p.is_granting THEN {_named('p.revoked_by_id')} END AS revoked_by,"
        " CASE WHEN p.is_granting THEN p.external_id END AS external_id,"
        f" {sql.folded('COALESCE(u.name, g.name, p.email)')} AS sort_name, ({is_valid}) AS is_valid,"
        f" p.is_own FROM (SELECT p.*, ({granting}) AS is_granting, ({own}) AS is_own FROM permissions p WHERE {visible}) p"
        " LEFT JOIN users u ON u.id = p.user_id LEFT JOIN user_groups g ON g.id = p.group_id"
    )


def _named(column: str) -> str:
    """The name of the person or program of that id."""
    person = f"SELECT by_u.name FROM users by_u WHERE by_u.id = {column}"  # noqa: S608
    program = f"SELECT by_a.name FROM service_accounts by_a WHERE by_a.id = {column}"  # noqa: S608
    return f"COALESCE(({person}), ({program}))"


def _object_seen(access: Access, arguments: list[object]) -> str:
    """What a grant is on exists for this person too: who lost the last right to a place no longer sees its grants."""
    site = access.installations_condition("seen_i", arguments)
    charger = access.chargers_condition("seen_c", arguments)
    at_site = f"SELECT 1 FROM installations seen_i WHERE seen_i.id = p.installation_id AND {site}"  # noqa: S608
    at_charger = (
        f"SELECT 1 FROM chargers seen_c WHERE seen_c.id = p.charger_id AND seen_c.removed_at IS NULL AND {charger}"  # noqa: S608
    )
    return f"CASE WHEN p.charger_id IS NULL THEN EXISTS ({at_site}) ELSE EXISTS ({at_charger}) END"


async def permissions_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, PermissionRow]:
    """The grants among `ids` that exist for this person, by id."""
    arguments: list[object] = []
    seen = _seen(access, arguments)
    wanted = sql.any_of("p.id", list(ids), arguments)
    made = [_row(row) for row in await sql.rows(f"SELECT p.* FROM ({seen}) p WHERE {wanted}", *arguments)]  # noqa: S608
    return {row.id: row for row in made}


async def permissions_page(
    access: Access, request: PageRequest, *, where: Condition = ANYTHING, within: Condition = ANYTHING
) -> Page[PermissionRow]:
    """One page of the grants that exist for this person, by the name of their subject.

    `within` is where the list hangs, beside the filter: terms over COLUMNS.
    """
    if access.actor is None:
        return empty_page()
    check_size(where)
    arguments: list[object] = []
    seen = _seen(access, arguments)
    filtered = f"FROM ({seen}) p WHERE {sql_of(Every((within, where)), COLUMNS, arguments)}"
    counted = list(arguments)
    keys = (SortKey("p.sort_name", "sort_name", is_nullable=True), SortKey("p.id", "id", KeyKind.ID))
    found = keyset(keys, request, arguments)
    statement = f"SELECT p.* {filtered} AND {found.where} ORDER BY {found.order_by} LIMIT {found.limit}"
    rows = await sql.rows(statement, *arguments)

    async def count() -> int:
        return int((await sql.rows(f"SELECT COUNT(*) AS number {filtered}", *counted))[0]["number"])

    return page_of(rows, found, request, _row, count=count)


COLUMNS: Columns = {
    "role": Expression("p.role"),
    "externalId": Expression("p.external_id", is_text=True),
    "userId": Expression("p.user_id"),
    "isValid": Expression("p.is_valid"),
    "isOwn": Expression("p.is_own"),
    "installationId": Expression("p.installation_id"),
    "chargerId": Expression("p.charger_id"),
}
"""What grants can be filtered by."""


def _row(row: Mapping[str, Any]) -> PermissionRow:
    identity, user_id = sql.uuid_of(row["id"]), sql.optional_uuid_of(row["user_id"])
    group_id = sql.optional_uuid_of(row["group_id"])
    granted_at = sql.instant_of(row["granted_at"])
    return PermissionRow(
        id=identity,
        user_id=user_id,
        group_id=group_id,
        invitation=_invitation(identity, row, granted_at) if user_id is None and group_id is None else None,
        installation_id=sql.uuid_of(row["installation_id"]),
        charger_id=sql.optional_uuid_of(row["charger_id"]),
        role=Role(row["role"]),
        valid_from=sql.instant_of(row["valid_from"]),
        valid_to=sql.optional_instant_of(row["valid_to"]),
        granted_by=row["granted_by"],
        revoked_by=row["revoked_by"],
        granted_at=granted_at,
        revoked_at=sql.optional_instant_of(row["revoked_at"]),
        external_id=row["external_id"],
    )


def _invitation(identity: UUID, row: Mapping[str, Any], granted_at: datetime) -> InvitationRow:
    expires_at = sql.optional_instant_of(row["invitation_expires_at"])
    return InvitationRow(identity, row["email"], granted_at, expires_at or granted_at)
