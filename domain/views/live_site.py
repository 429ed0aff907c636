"""A site as it is told live: read once for all who follow it, and how much of it each of them sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from domain import sql
from domain.access import Access, anyone_holding
from domain.equipment.charger_statuses import statuses_by_charger_ids
from domain.events import ChargerStatusChanged
from domain.roles import Role
from domain.views.charger_views import ChargerRow, chargers_by_ids
from domain.views.installation_views import InstallationRow


@dataclass(frozen=True, slots=True)
class SiteRows:
    """The chargers that stand there, by name, in the two ways in which they are seen. Whoever shows one asks `seen_by`.

    Nothing in a row depends on the caller: roles, circuits and what is for installers are left out.
    """

    installation: InstallationRow
    """Its name and zone only."""
    whole: Mapping[UUID, ChargerRow]
    little: Mapping[UUID, ChargerRow]

    def seen_by(self, access: Access) -> dict[UUID, ChargerRow]:
        """The chargers that exist for this caller, as far as they may see them, by name."""
        site = self.installation.id
        return {
            key: row if access.sees_charger_details(key, site) else self.little[key]
            for key, row in self.whole.items()
            if access.sees_charger(key, site)
        }


async def site_rows(installation_id: UUID, *, now: datetime) -> SiteRows | None:
    """Whatever stands there, for nobody's eyes in particular; None when there is no such installation."""
    site = await sql.row("SELECT name, time_zone FROM installations WHERE id = $1", installation_id)
    if site is None:
        return None
    order = await _standing(installation_id)
    whole = await chargers_by_ids(anyone_holding(Role.OWNER, installation_id, now=now), order)
    little = await chargers_by_ids(anyone_holding(Role.USER, installation_id, now=now), order)
    return SiteRows(
        InstallationRow(id=installation_id, name=site["name"], time_zone=site["time_zone"], viewer_roles=()),
        {key: _impersonal(whole[key]) for key in order if key in whole and key in little},
        {key: _impersonal(little[key]) for key in order if key in whole and key in little},
    )


async def site_statuses(installation_id: UUID, *, now: datetime) -> Mapping[UUID, ChargerStatusChanged]:
    """The whole statuses of the chargers that stand there. Whoever shows one asks `visible_status`."""
    return await statuses_by_charger_ids(
        anyone_holding(Role.OWNER, installation_id, now=now), await _standing(installation_id)
    )


async def _standing(installation_id: UUID) -> Sequence[UUID]:
    found = await sql.rows(
        "SELECT c.id FROM chargers c WHERE c.installation_id = $1 AND c.removed_at IS NULL ORDER BY c.name, c.id",
        installation_id,
    )
    return [sql.uuid_of(row["id"]) for row in found]


def _impersonal(row: ChargerRow) -> ChargerRow:
    return replace(row, viewer_roles=(), circuit_id=None, security_profile=None, minimum_security_profile=None)
