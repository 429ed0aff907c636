"""What no charger says of itself, but what it does shows: it charges and no current flows, or it restarts again and again. And the end
of what it says once, and never that it is over.

Machines only, as `domain.faults`, whose alerts these are.
"""

from collections.abc import Set
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import faults, sql
from domain.charging import live
from domain.charging.live import Connector
from domain.events import Event
from domain.faults import Fault, OpenAlert
from domain.roles import AlertKind, AlertState

WITHOUT_CURRENT_FOR = timedelta(minutes=10)
RESTARTS = 4
RESTARTS_WITHIN = timedelta(hours=1)
"""So many starts in so long are no maintenance; after as long without one they are over."""

SECURITY_FOR = timedelta(hours=24)
"""How long an event of a charger's security shows: it is a moment, and no charger says that it is over."""

NO_CURRENT = Fault(AlertKind.NO_CURRENT, None, None)
RESTARTING = Fault(
    AlertKind.INTERNAL,
    faults.RESTARTED,
    f"It has started {RESTARTS} times within an hour: check its power and its network.",
)

BEYOND_OFFER = Fault(
    AlertKind.OVERCURRENT,
    faults.BEYOND_OFFER,
    "It was measured above what the balancer offers. The others make room for it, and it is paused if it goes on.",
)

_IDLE = """
SELECT t.charger_id, t.idle_since, t.measured_at FROM charger_statuses t
WHERE t.idle_since <= $1 AND t.measured_at IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM alerts a WHERE a.charger_id = t.charger_id AND a.kind = $2 AND a.state <> $3)
ORDER BY t.charger_id LIMIT 500
"""
_FLOWING = """
SELECT a.id, a.charger_id FROM alerts a JOIN charger_statuses t ON t.charger_id = a.charger_id
WHERE a.open_key IS NOT NULL AND a.kind = $1 AND t.idle_since IS NULL ORDER BY a.charger_id LIMIT 500
"""
_SETTLED = """
SELECT a.id, a.charger_id FROM alerts a JOIN chargers c ON c.id = a.charger_id JOIN stations s ON s.id = c.station_id
WHERE a.open_key IS NOT NULL AND a.kind = $1 AND a.vendor_code = $2 AND s.booted_at <= $3 ORDER BY a.charger_id LIMIT 500
"""
_TOLD = """
SELECT a.id, a.charger_id FROM alerts a
WHERE a.open_key IS NOT NULL AND a.kind = $1 AND a.opened_at <= $2 ORDER BY a.charger_id LIMIT 500
"""
_DISOBEDIENT = """
SELECT id, charger_id FROM alerts WHERE installation_id = $1 AND open_key IS NOT NULL AND kind = $2 AND vendor_code = $3
ORDER BY charger_id
"""


async def draw_too_much(installation_id: UUID, charger_ids: Set[UUID], *, now: datetime) -> list[Event]:
    """Of that site's chargers exactly these have an alert that more flows there than the balancer offers."""
    rows = await sql.rows(_DISOBEDIENT, installation_id, AlertKind.OVERCURRENT, faults.BEYOND_OFFER)
    open_now = [_alert(row, AlertKind.OVERCURRENT) for row in rows]
    new = sorted(charger_ids - {one.charger_id for one in open_now})
    over = await _resolve([one for one in open_now if one.charger_id not in charger_ids], now)
    if not new:
        return over
    async with in_transaction():
        connectors = await live.of_chargers(new)
        opened = [event for one in connectors for event in await faults.open_alert(one, BEYOND_OFFER, now=now)]
        return [*over, *opened, *await live.write(connectors)]


async def check(*, now: datetime) -> list[Event]:
    """Chargers that charge without a current for ten minutes, by their own readings, have an alert; what is over by now is resolved."""
    opened = await _open_idle(now)
    flowing = await sql.rows(_FLOWING, AlertKind.NO_CURRENT)
    settled = await sql.rows(_SETTLED, AlertKind.INTERNAL, faults.RESTARTED, now - RESTARTS_WITHIN)
    told = await sql.rows(_TOLD, AlertKind.SECURITY, now - SECURITY_FOR)
    over = [
        *(_alert(row, AlertKind.SECURITY) for row in told),
        *(_alert(row, AlertKind.NO_CURRENT) for row in flowing),
        *(_alert(row, AlertKind.INTERNAL) for row in settled),
    ]
    return [*opened, *await _resolve(over, now)]


def _alert(row: sql.Row, kind: AlertKind) -> OpenAlert:
    return OpenAlert(sql.uuid_of(row["id"]), sql.uuid_of(row["charger_id"]), kind)


async def _open_idle(now: datetime) -> list[Event]:
    since: dict[UUID, datetime] = {}
    for row in await sql.rows(_IDLE, now - WITHOUT_CURRENT_FOR, AlertKind.NO_CURRENT, AlertState.RESOLVED):
        began = sql.instant_of(row["idle_since"])
        # The newest reading must say so too: of a charger that says nothing any more it is not known.
        if sql.instant_of(row["measured_at"]) - began >= WITHOUT_CURRENT_FOR:
            since[sql.uuid_of(row["charger_id"])] = began
    if not since:
        return []
    async with in_transaction():
        connectors = [one for one in await live.of_chargers(list(since)) if one.live.idle_since is not None]
        events: list[Event] = []
        for one in connectors:
            events += await faults.open_alert(one, NO_CURRENT, now=now, since=since[one.place.charger_id])
        return [*events, *await live.write(connectors)]


async def _resolve(over: list[OpenAlert], now: datetime) -> list[Event]:
    if not over:
        return []
    async with in_transaction():
        connectors = {one.place.charger_id: one for one in await live.of_chargers([one.charger_id for one in over])}
        events: list[Event] = [
            await faults.resolve(connectors[one.charger_id], one, now=now)
            for one in over
            if one.charger_id in connectors
        ]
        return [*events, *await live.write(connectors.values())]


async def restarted(connector: Connector, count: int, *, now: datetime) -> list[Event]:
    """A station of which this is the first charger has started so often within an hour; call inside a transaction."""
    return await faults.open_alert(connector, RESTARTING, now=now) if count >= RESTARTS else []
