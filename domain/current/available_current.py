"""The limit that people set on a site's current, for a time or until they change it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit
from domain.access import CURRENT_SETTERS, Access
from domain.checks import Problems
from domain.current import current_schedule
from domain.current.current_limits import Limits, limits_of
from domain.current.current_schedule import ScheduleEntry
from domain.equipment.installations import managed, root_of
from domain.errors import invalid
from domain.events import InstallationChanged
from domain.models import Installation
from domain.ports import EventBus
from domain.roles import AvailableCurrentMode
from domain.units import PhaseAmps

MAX_LIFETIME_S = 366 * 24 * 3600


async def set_available_current(
    access: Access,
    installation_id: UUID,
    available: PhaseAmps,
    *,
    valid_for_s: int | None = None,
    fallback: PhaseAmps | None = None,
    bus: EventBus,
) -> None:
    """The site's cars and all else share this current on each line, at most the main breaker's.

    After `valid_for_s` seconds (None: never) the fallback is in force, and a schedule or meter that decided before decides again; a
    fallback of None leaves the one there was, and where there was none it is the main breaker. OWNER, SERVICE, ADMINISTRATOR.
    """
    async with in_transaction():
        row = await managed(access, installation_id, CURRENT_SETTERS)
        breaker = (await root_of(installation_id)).breaker
        problems = Problems()
        problems.within("availableCurrentA", available, breaker, of="the main breaker")
        if fallback is not None:
            problems.within("fallbackCurrentA", fallback, breaker, of="the main breaker")
        if valid_for_s is not None and not 1 <= valid_for_s <= MAX_LIFETIME_S:
            problems.add("validForSeconds", f"This must be from 1 to {MAX_LIFETIME_S} seconds.")
        problems.raise_any()
        before = _state(row)
        mode = _limits(row).mode_at(access.now)
        if mode is not AvailableCurrentMode.MANUAL:
            row.resumed_mode = mode
        row.available_l1, row.available_l2, row.available_l3 = available.as_tuple()
        row.available_mode = AvailableCurrentMode.MANUAL
        row.available_expires_at = None if valid_for_s is None else access.now + timedelta(seconds=valid_for_s)
        if fallback is not None:
            row.fallback_l1, row.fallback_l2, row.fallback_l3 = fallback.as_tuple()
        await _saved(access, row, before)
    await bus.publish(InstallationChanged(installation_id=installation_id, chargers_stay=True))


async def clear_available_current(
    access: Access, installation_id: UUID, *, mode: AvailableCurrentMode = AvailableCurrentMode.MANUAL, bus: EventBus
) -> None:
    """The limit is the main breaker's again. ValidationError for a mode whose source (schedule, meter) the site has not."""
    async with in_transaction():
        row = await managed(access, installation_id, CURRENT_SETTERS)
        if mode is AvailableCurrentMode.SCHEDULE and row.current_schedule is None:
            raise invalid("mode", "This installation has no current schedule.")
        if mode is AvailableCurrentMode.METER and (await root_of(installation_id)).metered_at is None:
            raise invalid("mode", "No meter has reported at the main breaker of this installation.")
        before = _state(row)
        _decide_by(row, mode)
        await _saved(access, row, before)
    await bus.publish(InstallationChanged(installation_id=installation_id, chargers_stay=True))


async def set_current_schedule(
    access: Access, installation_id: UUID, entries: Sequence[ScheduleEntry], *, bus: EventBus
) -> None:
    """The site's current follows these entries, in its own time; in gaps the main breaker is the limit. No entries: no schedule.

    A limit that a person set stays in force until it ends or is cleared. OWNER, SERVICE, ADMINISTRATOR. ValidationError for entries
    that overlap.
    """
    async with in_transaction():
        row = await managed(access, installation_id, CURRENT_SETTERS)
        problems = Problems()
        current_schedule.check(problems, entries, (await root_of(installation_id)).breaker)
        problems.raise_any()
        before, limits = _state(row), _limits(row)
        row.current_schedule = current_schedule.written(entries)
        scheduled, manual = AvailableCurrentMode.SCHEDULE, AvailableCurrentMode.MANUAL
        is_limited = limits.chosen is not None and limits.mode is manual and not limits.is_over(access.now)
        if entries and is_limited:
            row.resumed_mode = scheduled
        elif entries:
            _decide_by(row, scheduled)
        elif limits.mode_at(access.now) is scheduled:
            _decide_by(row, manual)
        elif limits.resumes is scheduled:
            row.resumed_mode = None
        await _saved(access, row, before)
    await bus.publish(InstallationChanged(installation_id=installation_id, chargers_stay=True))


def _decide_by(row: Installation, mode: AvailableCurrentMode) -> None:
    """Nothing that a person set for the site is in force from now on."""
    row.available_l1 = row.available_l2 = row.available_l3 = None
    row.available_expires_at, row.available_mode, row.resumed_mode = None, mode, None


def _limits(row: Installation) -> Limits:
    return limits_of(vars(row))


async def _saved(access: Access, row: Installation, before: audit.State) -> None:
    await row.save()
    await audit.record(
        access,
        "installation.available_current",
        "Installation",
        row.id,
        installation_id=row.id,
        before=before,
        after=_state(row),
    )


def _state(row: Installation) -> audit.State:
    """The limit's fields as the audit log keeps them."""
    return {
        "availableCurrentA": [row.available_l1, row.available_l2, row.available_l3],
        "availableCurrentMode": row.available_mode,
        "availableCurrentExpiresAt": row.available_expires_at,
        "fallbackCurrentA": [row.fallback_l1, row.fallback_l2, row.fallback_l3],
        "currentSchedule": row.current_schedule,
    }
