"""How much of a charger's live status one person sees: power, current and session energy are another person's energy."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec.structs import replace

from domain import sql
from domain.access import Access, StatusView
from domain.equipment.charger_statuses import statuses_by_charger_ids
from domain.errors import NotFoundError
from domain.events import ChargerStatusChanged


def visible_status(access: Access, status: ChargerStatusChanged) -> ChargerStatusChanged:
    """The status with nothing in it that this person may not see. The charger must exist for them."""
    return status_in(access.status_view(status.charger_id, status.installation_id, status.session_user_id), status)


def status_in(view: StatusView, status: ChargerStatusChanged) -> ChargerStatusChanged:
    """So much of the status."""
    match view:
        case StatusView.FULL:
            return status
        case StatusView.ELECTRICAL:
            return replace(status, session_energy_wh=None, session_id=None, session_user_id=None)
        case StatusView.LITTLE:
            return replace(
                status,
                power_w=None,
                currents=None,
                allocated_a=None,
                allocated_phases=(),
                session_energy_wh=None,
                session_id=None,
                session_user_id=None,
            )


async def visible_statuses(access: Access, charger_ids: Sequence[UUID]) -> Mapping[UUID, ChargerStatusChanged]:
    """The statuses of the chargers that exist for this person, as far as they may see them, by charger."""
    found = await statuses_by_charger_ids(access, charger_ids)
    return {charger_id: visible_status(access, status) for charger_id, status in found.items()}


async def followed_installation(access: Access, installation_id: UUID) -> UUID:
    """The installation whose facts tell of it: itself. NotFoundError when it is hidden or absent."""
    arguments: list[object] = [installation_id]
    visible = access.installations_condition("i", arguments)
    found = await sql.row(f"SELECT i.id FROM installations i WHERE i.id = $1 AND {visible}", *arguments)  # noqa: S608
    if found is None:
        raise NotFoundError(path=("target",))
    return installation_id


async def followed_charger(access: Access, charger_id: UUID) -> UUID:
    """The installation whose facts tell of the charger. NotFoundError when it is hidden or absent."""
    found = (await statuses_by_charger_ids(access, [charger_id])).get(charger_id)
    if found is None:
        raise NotFoundError(path=("target",))
    return found.installation_id


async def followed_statuses(
    access: Access, installation_id: UUID, charger_id: UUID | None
) -> Mapping[UUID, ChargerStatusChanged]:
    """The whole statuses of the installation's chargers that exist for this person (or of that one charger), by charger."""
    arguments: list[object] = [installation_id]
    visible = access.chargers_condition("c", arguments)
    only = "" if charger_id is None else f" AND {sql.any_of('c.id', [charger_id], arguments)}"
    found = await sql.rows(
        "SELECT c.id FROM chargers c"  # noqa: S608
        f" WHERE c.installation_id = $1 AND c.removed_at IS NULL AND {visible}{only} ORDER BY c.name, c.id",
        *arguments,
    )
    order = [sql.uuid_of(row["id"]) for row in found]
    statuses = await statuses_by_charger_ids(access, order)
    return {one: statuses[one] for one in order if one in statuses}
