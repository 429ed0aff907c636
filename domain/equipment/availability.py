"""Which chargers of a station are to be in service, and which say that they are. Machines only."""

from dataclasses import dataclass
from uuid import UUID

from domain import sql
from domain.observations import ConnectorStatus


@dataclass(frozen=True, slots=True)
class Standing:
    """One charger: whether it is to be in service, what its connector says, and whether a charge goes on there."""

    is_wanted: bool
    status: ConnectorStatus
    is_charging: bool

    @property
    def is_as_wanted(self) -> bool:
        """Whether it says that it is as it should be; one of which nothing is known is taken for in service."""
        return (self.status is ConnectorStatus.UNAVAILABLE) is not self.is_wanted


_STANDINGS = """
SELECT c.evse, c.is_enabled, i.is_active, t.connector_status, t.session_id FROM chargers c
JOIN installations i ON i.id = c.installation_id JOIN charger_statuses t ON t.charger_id = c.id
WHERE c.station_id = $1 AND c.removed_at IS NULL ORDER BY c.evse
"""


async def standings(station_id: UUID) -> dict[int, Standing]:
    """EVSE → how its charger stands: in service where it is enabled and its installation is active."""
    return {
        int(row["evse"]): Standing(
            is_wanted=bool(row["is_enabled"]) and bool(row["is_active"]),
            status=ConnectorStatus(row["connector_status"]),
            is_charging=row["session_id"] is not None,
        )
        for row in await sql.rows(_STANDINGS, station_id)
    }
