"""Grants: given, taken, and whose and where they are."""

from datetime import datetime
from uuid import UUID

from domain.csv_imports import ImportOutcome
from domain.errors import invalid
from domain.identity.people import PersonRow, people_by_ids
from domain.membership import permission_imports, permissions
from domain.membership.permissions import Grant, SubjectKey
from domain.roles import Role, Unset
from domain.views.charger_views import ChargerRow, chargers_by_ids
from domain.views.group_views import GroupRow, groups_by_ids
from domain.views.installation_views import InstallationRow, installations_by_ids
from domain.views.permission_views import InvitationRow, PermissionRow
from gql import ids
from gql.context import Context


async def subject_of(context: Context, row: PermissionRow) -> PersonRow | GroupRow | InvitationRow | None:
    """Who holds it, or is invited to."""
    if row.group_id is not None:
        return await context.load(groups_by_ids, row.group_id)
    return row.invitation or await context.load(people_by_ids, row.user_id)


async def object_of(context: Context, row: PermissionRow) -> InstallationRow | ChargerRow | None:
    """What it is on."""
    if row.charger_id is not None:
        return await context.load(chargers_by_ids, row.charger_id)
    return await context.load(installations_by_ids, row.installation_id)


async def grant_permission(
    context: Context,
    *,
    subject: SubjectKey,
    object_id: str,
    role: Role,
    valid_from: datetime | Unset | None,
    valid_to: datetime | Unset | None,
    external_id: str | Unset | None,
) -> UUID:
    """The grant."""
    grant = Grant(
        subject=subject,
        object_id=ids.uuid_of(object_id, "Installation", "Charger", at="objectId"),
        role=role,
        valid_from=None if isinstance(valid_from, Unset) else valid_from,
        valid_to=None if isinstance(valid_to, Unset) else valid_to,
        external_id=None if isinstance(external_id, Unset) else external_id,
    )
    return await permissions.grant_permission(context.access, grant, bus=context.ports.bus)


async def revoke_permission(
    context: Context, *, permission_id: str | Unset | None, external_id: str | Unset | None
) -> UUID:
    """The grant, now over."""
    named = None if isinstance(permission_id, Unset) else permission_id
    given = None if isinstance(external_id, Unset) else external_id
    if (named is None) == (given is None):
        raise invalid("permissionId", "Name the permission by one of permissionId and externalId.")
    return await permissions.revoke_permission(
        context.access,
        permission_id=ids.optional_uuid_of(named, "Permission", at="permissionId"),
        external_id=given,
        bus=context.ports.bus,
    )


async def import_permissions(context: Context, *, installation_id: str, csv: str, dry_run: bool) -> ImportOutcome:
    """What becomes of each line."""
    return await permission_imports.import_permissions(
        context.access,
        ids.uuid_of(installation_id, "Installation", at="installationId"),
        table=csv,
        is_dry_run=dry_run,
        charger_of=_charger_of,
        bus=context.ports.bus,
    )


def _charger_of(text: str) -> UUID | None:
    found = ids.parsed(text)
    return found[1] if found is not None and found[0] == "Charger" else None
