"""The live status of chargers as it stands in the database: what a stream begins with, and what a query shows."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.events import ChargerStatusChanged, StatusWarning
from domain.roles import AlertKind, AlertState, OperatingMode, Severity


async def statuses_by_charger_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, ChargerStatusChanged]:
    """The whole status of the chargers among `ids` that exist for this person, by charger.

    Whole: what of it this person may see is for `Access.status_view` to say, at every place that shows it.
    """
    arguments: list[object] = []
    visible = access.chargers_condition("c", arguments)
    wanted = sql.any_of("c.id", list(ids), arguments)
    statement = (
        "SELECT t.* FROM charger_statuses t JOIN chargers c ON c.id = t.charger_id"  # noqa: S608
        f" WHERE c.removed_at IS NULL AND {visible} AND {wanted}"
    )
    found = await sql.rows(statement, *arguments)
    warnings = await _warnings([sql.uuid_of(row["charger_id"]) for row in found])
    made = [_status(row, warnings) for row in found]
    return {status.charger_id: status for status in made}


async def _warnings(charger_ids: Sequence[UUID]) -> Mapping[UUID, tuple[StatusWarning, ...]]:
    """Alerts that are not resolved, oldest first."""
    arguments: list[object] = [AlertState.RESOLVED]
    wanted = sql.any_of("a.charger_id", charger_ids, arguments)
    statement = (
        "SELECT a.charger_id, a.kind, a.severity, a.message, a.opened_at, a.vendor_code FROM alerts a"  # noqa: S608
        f" WHERE a.state <> $1 AND {wanted} ORDER BY a.opened_at, a.id"
    )
    by_charger: dict[UUID, tuple[StatusWarning, ...]] = {}
    for row in await sql.rows(statement, *arguments):
        warning = StatusWarning(
            kind=AlertKind(row["kind"]),
            severity=Severity(row["severity"]),
            message=row["message"],
            since=sql.instant_of(row["opened_at"]),
            vendor_code=row["vendor_code"],
        )
        charger_id = sql.uuid_of(row["charger_id"])
        by_charger[charger_id] = (*by_charger.get(charger_id, ()), warning)
    return by_charger


def _status(row: Mapping[str, Any], warnings: Mapping[UUID, tuple[StatusWarning, ...]]) -> ChargerStatusChanged:
    charger_id = sql.uuid_of(row["charger_id"])
    lines = (row["current_l1"], row["current_l2"], row["current_l3"])
    phases = row["allocated_phases"]
    return ChargerStatusChanged(
        installation_id=sql.uuid_of(row["installation_id"]),
        charger_id=charger_id,
        version=row["version"],
        mode=OperatingMode(row["mode"]),
        is_online=bool(row["is_online"]),
        power_w=row["power_w"],
        currents=None if lines == (None, None, None) else (lines[0] or 0.0, lines[1] or 0.0, lines[2] or 0.0),
        allocated_a=row["allocated_a"],
        allocated_phases=tuple(phases[start : start + 2] for start in range(0, len(phases), 2)),
        session_id=sql.optional_uuid_of(row["session_id"]),
        session_user_id=sql.optional_uuid_of(row["session_user_id"]),
        session_energy_wh=row["session_energy_wh"],
        warnings=warnings.get(charger_id, ()),
        observed_at=sql.optional_instant_of(row["observed_at"]),
        received_at=sql.optional_instant_of(row["received_at"]),
    )
