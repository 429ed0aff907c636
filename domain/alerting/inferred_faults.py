"""What no charger says of itself, but what it does shows: it charges and no current flows, or it restarts again and again. And the end
of what it says once, and never that it is over.

Machines only, as `domain.alerting.faults`, whose alerts these are.
"""

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import sql
from domain.alerting import alert_book, faults
from domain.alerting.faults import Fault, OpenAlert
from domain.alerting.late_news import UNKNOWN_CARDS_WITHIN
from domain.charging import live
from domain.charging.live import Connector
from domain.events import Event
from domain.roles import AlertKind, AlertState, AuthorizationDecision

WITHOUT_CURRENT_FOR = timedelta(minutes=10)
AT_ONCE = 500
"""So many chargers are looked at in one transaction."""
RESTARTS = 4
RESTARTS_WITHIN = timedelta(hours=1)
"""So many starts in so long are no maintenance; after as long without one they are over."""

MOMENTS_FOR = timedelta(hours=24)
"""How long an event of a charger's security shows, and charges that arrived late: they are moments, and nobody says that they are over."""
MOMENTS = (AlertKind.SECURITY, AlertKind.OFFLINE_SESSIONS_RECEIVED)
CLOCK_TOLERANCE_S = 60.0
"""A clock that is further off dates no charge (domain.md §5)."""

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
  AND t.charger_id > $4 ORDER BY t.charger_id LIMIT $5
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
_WRONG_CLOCKS = """
SELECT c.id, s.clock_offset_s FROM stations s JOIN chargers c ON c.station_id = s.id JOIN installations i ON i.id = c.installation_id
WHERE ABS(s.clock_offset_s) > $1 AND c.removed_at IS NULL AND i.is_active
  AND c.evse = (SELECT MIN(o.evse) FROM chargers o WHERE o.station_id = s.id AND o.removed_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.charger_id = c.id AND a.kind = $2 AND a.open_key IS NOT NULL)
ORDER BY c.id LIMIT 500
"""
_RIGHT_CLOCKS = """
SELECT a.id, a.charger_id FROM alerts a JOIN chargers c ON c.id = a.charger_id JOIN stations s ON s.id = c.station_id
WHERE a.open_key IS NOT NULL AND a.kind = $1 AND (s.clock_offset_s IS NULL OR ABS(s.clock_offset_s) <= $2)
ORDER BY a.charger_id LIMIT 500
"""
_CARDS_GIVEN_UP = f"""
SELECT a.id, a.charger_id FROM alerts a
WHERE a.open_key IS NOT NULL AND a.kind = $1 AND a.opened_at <= $2 AND NOT EXISTS (
  SELECT 1 FROM authorization_attempts t WHERE t.charger_id = a.charger_id AND t.at > $2 AND t.user_id IS NULL
    AND t.decision = '{AuthorizationDecision.INVALID}')
ORDER BY a.charger_id LIMIT 500
"""  # noqa: S608  enums' values
_MOOT = f"""
SELECT a.id, a.charger_id FROM alerts a JOIN installations i ON i.id = a.installation_id
LEFT JOIN chargers c ON c.id = a.charger_id LEFT JOIN circuits k ON k.id = a.circuit_id
WHERE a.open_key IS NOT NULL AND (NOT i.is_active OR c.removed_at IS NOT NULL OR c.installation_id <> a.installation_id
  OR (a.kind = '{AlertKind.CHARGER_OFFLINE}' AND NOT c.is_enabled) OR k.removed_at IS NOT NULL)
ORDER BY a.id LIMIT 500
"""  # noqa: S608  an enum's value
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


async def check(*, now: datetime, at_once: int = AT_ONCE) -> list[Event]:
    """Chargers that charge without a current for ten minutes, by their own readings, and those with a wrong clock have an alert; what is
    over by now is resolved, and so is all that concerns what is no longer there.
    """
    opened = [*await _open_idle(now, at_once), *await _open_clocks(now)]
    over: list[OpenAlert] = []
    for kind in MOMENTS:
        over += [_alert(row, kind) for row in await sql.rows(_TOLD, kind, now - MOMENTS_FOR)]
    over += [_alert(row, AlertKind.NO_CURRENT) for row in await sql.rows(_FLOWING, AlertKind.NO_CURRENT)]
    settled = await sql.rows(_SETTLED, AlertKind.INTERNAL, faults.RESTARTED, now - RESTARTS_WITHIN)
    over += [_alert(row, AlertKind.INTERNAL) for row in settled]
    right = await sql.rows(_RIGHT_CLOCKS, AlertKind.CLOCK_UNRELIABLE, CLOCK_TOLERANCE_S)
    over += [_alert(row, AlertKind.CLOCK_UNRELIABLE) for row in right]
    given_up = await sql.rows(_CARDS_GIVEN_UP, AlertKind.UNKNOWN_CARD_REPEATED, now - UNKNOWN_CARDS_WITHIN)
    over += [_alert(row, AlertKind.UNKNOWN_CARD_REPEATED) for row in given_up]
    return [*opened, *await _resolve(over, now), *await _resolve_moot(now)]


async def _open_clocks(now: datetime) -> list[Event]:
    rows = await sql.rows(_WRONG_CLOCKS, CLOCK_TOLERANCE_S, AlertKind.CLOCK_UNRELIABLE)
    if not rows:
        return []
    # What is said of a clock is how far it is ahead; the offset is what is to be added to it.
    ahead_s = {sql.uuid_of(row["id"]): -round(row["clock_offset_s"]) for row in rows}
    async with in_transaction():
        connectors = await live.of_chargers(list(ahead_s))
        events: list[Event] = []
        for one in connectors:
            wrong = Fault(AlertKind.CLOCK_UNRELIABLE, None, f"{ahead_s[one.place.charger_id]:+d} s")
            events += await faults.open_alert(one, wrong, now=now)
        return [*events, *await live.write(connectors)]


async def _resolve_moot(now: datetime) -> list[Event]:
    """Alerts of what was removed, moved or put out of use."""
    rows = await sql.rows(_MOOT)
    if not rows:
        return []
    async with in_transaction():
        chargers = [one for row in rows if (one := sql.optional_uuid_of(row["charger_id"])) is not None]
        connectors = await live.of_chargers(chargers)
        for connector in connectors:
            connector.warnings_changed = True
        over = await alert_book.resolved([sql.uuid_of(row["id"]) for row in rows], now=now)
        return [*over, *await live.write(connectors)]


def _alert(row: sql.Row, kind: AlertKind) -> OpenAlert:
    return OpenAlert(sql.uuid_of(row["id"]), sql.uuid_of(row["charger_id"]), kind)


async def _open_idle(now: datetime, at_once: int) -> list[Event]:
    """All of them, however many of those before said nothing more for so long."""
    events: list[Event] = []
    after = UUID(int=0)
    before = now - WITHOUT_CURRENT_FOR
    while rows := await sql.rows(_IDLE, before, AlertKind.NO_CURRENT, AlertState.RESOLVED, after, at_once):
        events += await _open_without_current(rows, now)
        after = sql.uuid_of(rows[-1]["charger_id"])
    return events


async def _open_without_current(rows: Sequence[sql.Row], now: datetime) -> list[Event]:
    since: dict[UUID, datetime] = {}
    for row in rows:
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
            event
            for one in over
            if one.charger_id in connectors
            for event in await faults.resolve(connectors[one.charger_id], one, now=now)
        ]
        return [*events, *await live.write(connectors.values())]


async def restarted(connector: Connector, count: int, *, now: datetime) -> list[Event]:
    """A station of which this is the first charger has started so often within an hour; call inside a transaction."""
    return await faults.open_alert(connector, RESTARTING, now=now) if count >= RESTARTS else []
