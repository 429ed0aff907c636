"""How much of a charger's live status one person sees: power, current and session energy are another person's energy."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec.structs import replace

from domain.access import Access, StatusView
from domain.charger_statuses import statuses_by_charger_ids
from domain.events import ChargerStatusChanged


def visible_status(access: Access, status: ChargerStatusChanged) -> ChargerStatusChanged:
    """The status with nothing in it that this person may not see. The charger must exist for them."""
    match access.status_view(status.charger_id, status.installation_id, status.session_user_id):
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
