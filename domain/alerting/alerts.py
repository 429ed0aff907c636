"""What people do about alerts: somebody says that they look after one."""

from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import Access
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode, NotFoundError
from domain.events import AlertChanged
from domain.models import Alert
from domain.ports import EventBus
from domain.roles import AlertState

NOTE_LENGTH = 500


async def acknowledge_alert(access: Access, alert_id: UUID, *, note: str | None, bus: EventBus) -> UUID:
    """The alert is ACKNOWLEDGED by this person, with the note (None: none); it stays so until it is over.

    NotFoundError when it is hidden or absent; ConflictError when it is resolved, or (ALREADY_DECIDED) acknowledged by somebody.
    """
    access.signed_in()
    async with in_transaction():
        found = await Alert.get_or_none(id=alert_id)
        if found is None or not access.sees_alert(installation_id=found.installation_id, charger_id=found.charger_id):
            raise NotFoundError(path=("alertId",))
        person = access.person()
        problems = Problems()
        text = problems.optional_text("note", note, most=NOTE_LENGTH)
        problems.raise_any()
        # The condition and not the row that was read decides: it may resolve at this moment.
        taken = await sql.execute(
            "UPDATE alerts SET state = $1, acknowledged_at = $2, acknowledged_by_id = $3, note = $4 WHERE id = $5 AND state = $6",
            AlertState.ACKNOWLEDGED,
            access.now,
            person,
            text,
            alert_id,
            AlertState.OPEN,
        )
        if not taken:
            await _refuse(alert_id)
        await audit.record(
            access,
            "alert.acknowledge",
            "Alert",
            alert_id,
            installation_id=found.installation_id,
            before={"state": AlertState.OPEN, "note": None},
            after={"state": AlertState.ACKNOWLEDGED, "note": text},
        )
    changed = AlertChanged(alert_id=alert_id, installation_id=found.installation_id, charger_id=found.charger_id)
    await bus.publish(changed)
    return alert_id


async def _refuse(alert_id: UUID) -> None:
    row = await Alert.get(id=alert_id)
    if row.state is AlertState.RESOLVED:
        raise ConflictError("This alert is over: there is nothing to look after any more.", path=("alertId",))
    raise ConflictError(
        "Somebody has acknowledged this alert already.", code=ErrorCode.ALREADY_DECIDED, path=("alertId",)
    )
