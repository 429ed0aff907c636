"""What is wrong with a place and no charger of it: its fuses and meters, who shares the current, and the external system.

Machines only.
"""

from collections.abc import Mapping, Set
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import sql
from domain.alerting import alert_book
from domain.alerting.alert_book import CRASHES, Finding, Thing
from domain.current import offers
from domain.events import AlertChanged, Event
from domain.roles import AlertKind, Decider, ExternalMode

UNBALANCED_FOR = timedelta(seconds=60)
"""A balancer that died is taken over within 15 s."""
UNANSWERED = 3
"""Questions in a row to which an external system gave no answer."""
UNANSWERED_WITHIN = timedelta(minutes=15)
QUIET_FOR = timedelta(hours=24)
"""Whether a system answers shows when it is asked; after so long without a question nobody knows of any trouble."""

_OF_CIRCUITS = (AlertKind.CIRCUIT_OVERLOAD, AlertKind.METER_STALE)


async def of_circuits(installation_id: UUID) -> Mapping[AlertKind, Set[UUID]]:
    """The circuits of the place that have an open alert, by its kind."""
    found: dict[AlertKind, set[UUID]] = {kind: set() for kind in _OF_CIRCUITS}
    for row in await sql.rows(
        "SELECT kind, circuit_id FROM alerts WHERE installation_id = $1 AND open_key IS NOT NULL AND circuit_id IS NOT NULL",
        installation_id,
    ):
        found[AlertKind(row["kind"])].add(sql.uuid_of(row["circuit_id"]))
    return found


async def circuits_are(
    installation_id: UUID, *, overloaded: Mapping[UUID, float], unread: Set[UUID], now: datetime
) -> list[Event]:
    """Of that place's circuits exactly these have an alert: by how many ampere which is overloaded, and whose meter is not read."""
    wanted: Mapping[AlertKind, Set[UUID]] = {
        AlertKind.CIRCUIT_OVERLOAD: overloaded.keys(),
        AlertKind.METER_STALE: unread,
    }
    events: list[Event] = []
    async with in_transaction():
        names = await _names(installation_id)
        for row in await sql.rows(
            "SELECT id, kind, circuit_id FROM alerts"
            " WHERE installation_id = $1 AND open_key IS NOT NULL AND circuit_id IS NOT NULL ORDER BY id",
            installation_id,
        ):
            if sql.uuid_of(row["circuit_id"]) not in wanted[AlertKind(row["kind"])]:
                events += await alert_book.resolved([sql.uuid_of(row["id"])], now=now)
        for kind, circuits in wanted.items():
            for circuit_id in sorted(circuits & names.keys()):
                excess = f": +{overloaded[circuit_id]:.1f} A" if kind is AlertKind.CIRCUIT_OVERLOAD else ""
                finding = Finding(
                    thing=Thing(installation_id, circuit_id=circuit_id), kind=kind, info=f"{names[circuit_id]}{excess}"
                )
                events += await _opened(finding, now)
    return events


async def _names(installation_id: UUID) -> dict[UUID, str]:
    rows = await sql.rows(
        "SELECT id, name FROM circuits WHERE installation_id = $1 AND removed_at IS NULL", installation_id
    )
    return {sql.uuid_of(row["id"]): row["name"] for row in rows}


async def _opened(finding: Finding, now: datetime) -> list[AlertChanged]:
    event = await alert_book.opened(finding, now=now)
    return [] if event is None else [event]


async def crashing() -> frozenset[UUID]:
    """The places whose balancing has an open alert that it crashes again and again."""
    rows = await sql.rows(
        "SELECT installation_id FROM alerts WHERE open_key IS NOT NULL AND kind = $1 AND vendor_code = $2",
        AlertKind.BALANCER_DEGRADED,
        CRASHES,
    )
    return frozenset(sql.uuid_of(row["installation_id"]) for row in rows)


async def balancing_crashes(installation_id: UUID, *, does: bool, now: datetime) -> list[Event]:
    """The place has an alert that its balancing crashes again and again, or has none."""
    async with in_transaction():
        if does:
            finding = Finding(
                thing=Thing(installation_id),
                kind=AlertKind.BALANCER_DEGRADED,
                code=CRASHES,
                stands_alone=True,
            )
            return [*await _opened(finding, now)]
        rows = await sql.rows(
            "SELECT id FROM alerts WHERE installation_id = $1 AND open_key IS NOT NULL AND kind = $2 AND vendor_code = $3",
            installation_id,
            AlertKind.BALANCER_DEGRADED,
            CRASHES,
        )
        return [*await alert_book.resolved([sql.uuid_of(row["id"]) for row in rows], now=now)]


_UNBALANCED = """
SELECT c.installation_id, MIN(c.created_at) AS begun_at, MAX(l.until) AS until FROM chargers c
JOIN installations i ON i.id = c.installation_id LEFT JOIN leases l ON l.name = $1 || {id}
WHERE i.is_active AND c.removed_at IS NULL AND c.station_id IS NOT NULL GROUP BY c.installation_id
"""
_OPEN_AT = """
SELECT id, installation_id FROM alerts WHERE open_key IS NOT NULL AND kind = $1 AND (vendor_code IS NULL OR vendor_code <> $2)
ORDER BY installation_id
"""


async def check(*, now: datetime, started_at: datetime) -> list[Event]:
    """Places that nobody has balanced for a minute, and those whose external system does not answer, have an alert, and no others do."""
    events: list[Event] = []
    if now - started_at >= UNBALANCED_FOR:
        events += await _exactly(AlertKind.BALANCER_DEGRADED, await _unbalanced(now), now)
    return [*events, *await _exactly(AlertKind.EXTERNAL_AUTHENTICATION_DOWN, await _silent_systems(now), now)]


async def _exactly(kind: AlertKind, places: Set[UUID], now: datetime) -> list[Event]:
    open_now = {
        sql.uuid_of(row["installation_id"]): sql.uuid_of(row["id"]) for row in await sql.rows(_OPEN_AT, kind, CRASHES)
    }
    over = [alert_id for place, alert_id in open_now.items() if place not in places]
    new = sorted(places - open_now.keys())
    if not over and not new:
        return []
    async with in_transaction():
        events: list[Event] = [*await alert_book.resolved(over, now=now)]
        for place in new:
            events += await _opened(Finding(thing=Thing(place), kind=kind), now)
        return events


async def _unbalanced(now: datetime) -> set[UUID]:
    place = "c.installation_id" if sql.is_sqlite() else "CAST(c.installation_id AS TEXT)"
    prefix = offers.lease_of(UUID(int=0)).removesuffix(str(UUID(int=0)))
    rows = await sql.rows(_UNBALANCED.format(id=place), prefix)
    before = now - UNBALANCED_FOR
    return {
        sql.uuid_of(row["installation_id"])
        for row in rows
        if sql.instant_of(row["until"] if row["until"] is not None else row["begun_at"]) <= before
    }


_ANSWERED = f"'{Decider.SUBSCRIBER}', '{Decider.CALL_OUT}'"
_SYSTEMS = f"""
SELECT x.installation_id, x.passed_at, x.gone_at, x.url,
  (SELECT a.opened_at FROM alerts a WHERE a.installation_id = x.installation_id AND a.open_key IS NOT NULL AND a.kind = $2) AS down_since,
  (SELECT COUNT(*) FROM authorization_requests r WHERE r.installation_id = x.installation_id AND r.requested_at > $1
    AND r.decided_by = '{Decider.FAIL_POLICY}' AND r.requested_at > COALESCE((
      SELECT MAX(o.requested_at) FROM authorization_requests o WHERE o.installation_id = x.installation_id AND o.requested_at > $1
        AND o.decided_by IN ({_ANSWERED})), $1)) AS unanswered
FROM external_authentications x JOIN installations i ON i.id = x.installation_id
WHERE x.mode <> '{ExternalMode.OFF}' AND i.is_active
"""  # noqa: S608  enums' values
_LIFE = f"""
SELECT MAX(r.requested_at) AS asked_at, MAX(CASE WHEN r.decided_by IN ({_ANSWERED}) THEN r.decided_at END) AS answered_at,
  (SELECT MAX(e.delivered_at) FROM session_events e WHERE e.installation_id = $1 AND e.created_at > $2) AS delivered_at
FROM authorization_requests r WHERE r.installation_id = $1 AND r.requested_at > $2
"""  # noqa: S608  enums' values


async def _silent_systems(now: datetime) -> set[UUID]:
    """Systems that left the last questions unanswered, or whose address says that there is nobody any more; one that was silent is until
    it shows that it lives.
    """
    rows = await sql.rows(_SYSTEMS, now - UNANSWERED_WITHIN, AlertKind.EXTERNAL_AUTHENTICATION_DOWN)
    silent: set[UUID] = set()
    for row in rows:
        place, down_since = sql.uuid_of(row["installation_id"]), sql.optional_instant_of(row["down_since"])
        is_gone = row["gone_at"] is not None and row["url"] is not None
        if (
            is_gone
            or int(row["unanswered"]) >= UNANSWERED
            or (
                down_since is not None
                and not await _lives(place, sql.optional_instant_of(row["passed_at"]), down_since, now)
            )
        ):
            silent.add(place)
    return silent


async def _lives(place: UUID, passed_at: datetime | None, down_since: datetime, now: datetime) -> bool:
    """Whether the system has answered, taken an event or passed a check since then, or has not been asked anything for a day."""
    if passed_at is not None and passed_at > down_since:
        return True
    row = await sql.row(_LIFE, place, now - QUIET_FOR)
    if row is None or row["asked_at"] is None:
        return True
    signs = (sql.optional_instant_of(row[name]) for name in ("answered_at", "delivered_at"))
    return any(sign is not None and sign > down_since for sign in signs)
