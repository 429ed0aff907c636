"""Readings of the building's meters: what flows through a fuse, cars and all else. Machines report them, mostly."""

import math
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit
from domain.access import CURRENT_SETTERS, Access
from domain.checks import Problems, by_line
from domain.errors import NotFoundError
from domain.events import CircuitMetered
from domain.models import Circuit
from domain.ports import EventBus
from domain.units import PhaseAmps

CLOCK_SLACK = timedelta(seconds=5)
"""So far may a meter's clock be ahead of the portal's; its reading counts as of now."""
OLDEST = timedelta(days=1)
"""A first or newer reading from before that comes from a wrong clock; it would only stop the site's cars."""

MOST_RATINGS = 20.0
"""A current of so many times the fuse's rating is a fault of the meter: a breaker opens within 20 ms far below it."""
MOST_EXPORT_RATINGS = 2.0
"""No fuse carries so much for longer than minutes, whichever way it flows (IEC 60269-1: 1.6 times the rating melts it)."""

_READING = ["meter_l1", "meter_l2", "meter_l3", "metered_at"]


async def report_meter(
    access: Access, circuit_id: UUID, reading: PhaseAmps, *, measured_at: datetime | None = None, bus: EventBus
) -> UUID:
    """What flows through that fuse, per line in ampere, export negative, as of `measured_at` (None: now).

    One that is older than the last is ignored. From its first reading on a circuit is metered: without readings its chargers share its
    safe current. OWNER, SERVICE, ADMINISTRATOR and the scope SET_AVAILABLE_CURRENT. ValidationError for what cannot be.
    """
    access.signed_in()
    async with in_transaction():
        row = await _locked(access, circuit_id)
        at = measured_at or access.now
        problems = Problems()
        _check_current(problems, reading, row.breaker)
        _check_instant(problems, at, access.now)
        problems.raise_any()
        if row.metered_at is not None and at < row.metered_at:
            return circuit_id
        if at < access.now - OLDEST:
            problems.add("measuredAt", "This reading is more than a day old: look at the meter's clock.")
            problems.raise_any()
        is_first = row.metered_at is None
        row.meter_l1, row.meter_l2, row.meter_l3 = reading.as_tuple()
        row.metered_at = min(at, access.now)
        await row.save(update_fields=_READING)
        if is_first:
            await audit.record(
                access,
                "circuit.meter",
                "Circuit",
                row.id,
                installation_id=row.installation_id,
                before={"hasMeter": False},
                after={"hasMeter": True},
            )
    await bus.publish(CircuitMetered(installation_id=row.installation_id, circuit_id=circuit_id))
    return circuit_id


async def _locked(access: Access, circuit_id: UUID) -> Circuit:
    """The circuit's row, locked until the transaction ends: the site's lock is not waited for, installers may hold it."""
    row = await Circuit.select_for_update(no_key=True).get_or_none(id=circuit_id, removed_at=None)
    if row is None or not access.sees_circuits(row.installation_id):
        raise NotFoundError(path=("circuitId",))
    access.manage_installation(row.installation_id, CURRENT_SETTERS, path=("circuitId",))
    return row


def _check_current(problems: Problems, reading: PhaseAmps, breaker: PhaseAmps) -> None:
    for (line, amps), (_, rating) in zip(by_line(reading), by_line(breaker), strict=True):
        least, most = -MOST_EXPORT_RATINGS * rating, MOST_RATINGS * rating
        if not math.isfinite(amps):
            problems.add(("currentA", line), "This is not a number of ampere.")
        elif not least <= amps <= most:
            message = (
                f"{amps:g} A cannot flow here: a fuse of {rating:g} A carries from {least:g} (export) to {most:g} A."
            )
            problems.add(("currentA", line), message)


def _check_instant(problems: Problems, at: datetime, now: datetime) -> None:
    problems.aware("measuredAt", at)
    if at.tzinfo is not None and at > now + CLOCK_SLACK:
        problems.add("measuredAt", "This instant is in the future: look at the meter's clock.")
