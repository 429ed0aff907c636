"""What is wished of a charge that goes on: its priority, the energy that its driver wants, and when the car leaves."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import MANAGERS, Access
from domain.checks import Problems
from domain.errors import ConflictError, NotAllowedError, NotFoundError
from domain.events import InstallationChanged, SessionChanged
from domain.models import ChargeSession
from domain.ports import EventBus
from domain.roles import UNSET, SessionState, Unset
from domain.units import wh

LEAST_PRIORITY, MOST_PRIORITY = -100, 100
_MOST_KWH = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is UNSET stays; None clears a target and makes the priority that of all others, 0."""

    priority: int | Unset | None = UNSET
    energy_target_kwh: Decimal | Unset | None = UNSET
    departure_at: datetime | Unset | None = UNSET


async def set_session_priority(access: Access, session_id: UUID, wishes: Wishes, *, bus: EventBus) -> UUID:
    """The charge has these wishes from now on, and the balancer decides anew.

    Priority: OWNER of the installation, SERVICE and ADMINISTRATOR; targets: its driver too. NotFoundError when the session is hidden
    (also from SERVICE and ADMINISTRATOR, who see no sessions of others); ConflictError when it is over.
    """
    access.signed_in()
    row = await ChargeSession.get_or_none(id=session_id)
    if row is None or not await _is_visible(access, session_id):
        raise NotFoundError(path=("sessionId",))
    may_rank = access.require(access.roles_at(row.installation_id), MANAGERS)
    is_driver = row.user_id is not None and row.user_id == access.user_id
    if not may_rank and (not is_driver or wishes.priority is not UNSET):
        field = "sessionId" if wishes.priority is UNSET else "priority"
        raise NotAllowedError(
            "This is for the installation's owner and installer; targets also for the driver.", path=(field,)
        )
    if row.state is not SessionState.ACTIVE:
        raise ConflictError("This charge is over.", path=("sessionId",))
    changes = _checked(access, wishes)
    before = {name: getattr(row, name) for name in changes}
    async with in_transaction():
        if changes:
            await ChargeSession.filter(id=session_id, state=SessionState.ACTIVE).update(**changes)
        await audit.record(
            access,
            "session.set-priority",
            "ChargeSession",
            session_id,
            installation_id=row.installation_id,
            before=before,
            after=changes,
        )
    await bus.publish(
        SessionChanged(
            installation_id=row.installation_id,
            charger_id=row.charger_id,
            session_id=session_id,
            user_id=row.user_id,
            change="UPDATED",
        ),
        InstallationChanged(installation_id=row.installation_id, chargers_stay=True),
    )
    return session_id


async def _is_visible(access: Access, session_id: UUID) -> bool:
    arguments: list[object] = [session_id]
    condition = access.sessions_condition("s", arguments)
    found = await sql.row(f"SELECT 1 AS found FROM charge_sessions s WHERE s.id = $1 AND {condition}", *arguments)  # noqa: S608
    return found is not None


def _checked(access: Access, wishes: Wishes) -> dict[str, object]:
    problems = Problems()
    changes: dict[str, object] = {}
    if not isinstance(wishes.priority, Unset):
        changes["priority"] = wishes.priority or 0
        if not LEAST_PRIORITY <= (wishes.priority or 0) <= MOST_PRIORITY:
            problems.add(
                "priority", f"A priority is from {LEAST_PRIORITY} to {MOST_PRIORITY}; 0 is that of all others."
            )
    if not isinstance(wishes.energy_target_kwh, Unset):
        target = wishes.energy_target_kwh
        if target is not None and not 0 < target <= _MOST_KWH:
            problems.add("energyTargetKwh", f"An energy target is more than 0 and at most {_MOST_KWH} kWh.")
        else:
            changes["energy_target_wh"] = None if target is None else wh(target)
    if not isinstance(wishes.departure_at, Unset):
        changes["departure_at"] = wishes.departure_at
        if wishes.departure_at is not None and wishes.departure_at <= access.now:
            problems.add("departureAt", "The departure is in the future.")
    problems.raise_any()
    return changes
