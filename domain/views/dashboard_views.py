"""A site at a glance: what its chargers do, what flows, who waits and what is wrong, as of now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import sql
from domain.access import Access, anyone_holding
from domain.current.current_limits import current_in_force, limits_of
from domain.current.offers import lease_of
from domain.periods import start_of
from domain.roles import AlertKind, AlertState, BindingLimit, OperatingMode, Phase, Role, SessionState
from domain.units import PhaseAmps

QUEUE_SHOWN = 100
LINES = tuple(Phase)

_TROUBLE = (AlertKind.BALANCER_DEGRADED, AlertKind.METER_STALE, AlertKind.CIRCUIT_OVERLOAD)
"""Kinds of alerts for which less is given than could be, the most telling first."""


@dataclass(frozen=True, slots=True)
class ModeCountRow:
    """How many chargers do this."""

    mode: OperatingMode
    count: int


@dataclass(frozen=True, slots=True)
class PhaseLoadRow:
    """A line of the main breaker, in ampere. `measured_a` None: nobody measures it."""

    phase: Phase
    measured_a: float | None
    allocated_a: float
    available_a: float
    breaker_a: float


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A car that waits for current; position 1 is next."""

    charger_id: UUID
    position: int
    since: datetime
    limit: BindingLimit
    reason: str


@dataclass(frozen=True, slots=True)
class BalancerStatusRow:
    """`state` is a BalancerState's name; `reason` is None while all is well."""

    state: str
    last_decision_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class DashboardRow:
    """The whole of it; `id` is the installation's."""

    id: UUID
    at: datetime
    charger_count: int
    online_count: int
    modes: tuple[ModeCountRow, ...]
    phases: tuple[PhaseLoadRow, ...]
    meter_observed_at: datetime | None
    power_kw: float
    active_session_count: int
    queue_length: int
    queue: tuple[QueueRow, ...]
    balancer: BalancerStatusRow
    open_alert_count: int
    energy_today_wh: int
    time_zone: str


async def dashboards_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, DashboardRow]:
    """Installation → its dashboard, for those who look after all of it: OWNER, SERVICE and ADMINISTRATOR.

    Energy is that of the sessions that exist for the caller: an installer has no right to anybody's.
    """
    mine = [one for one in ids if access.handles_alerts_of(one)]
    whole = [row for one in mine if (row := await whole_dashboard(one, now=access.now)) is not None]
    return {row.id: await dashboard_seen_by(access, row) for row in whole}


async def whole_dashboard(installation_id: UUID, *, now: datetime) -> DashboardRow | None:
    """The dashboard with the energy of all sessions; None when there is no such installation. Whoever shows it asks `dashboard_seen_by`."""
    site = await sql.row("SELECT i.* FROM installations i WHERE i.id = $1", installation_id)
    return None if site is None else await _dashboard(site, now)


async def dashboard_seen_by(access: Access, whole: DashboardRow) -> DashboardRow:
    """The dashboard as this caller sees it, who looks after all of the installation."""
    if access.reads_sessions_of(whole.id):
        return whole
    zone = ZoneInfo(whole.time_zone)
    return replace(whole, energy_today_wh=await _energy_today(access, whole.id, zone))


async def _dashboard(site: sql.Row, now: datetime) -> DashboardRow:
    installation_id = sql.uuid_of(site["id"])
    reader = anyone_holding(Role.OWNER, installation_id, now=now)
    chargers = await sql.rows(_CHARGERS, installation_id)
    by_mode = {OperatingMode(row["mode"]): int(row["many"]) for row in chargers}
    root = await sql.row(_ROOT, installation_id)
    queue = await sql.rows(_QUEUE, installation_id)
    counted = await sql.row(_COUNTS, installation_id)
    assert counted is not None  # noqa: S101  a row of counts is always there
    return DashboardRow(
        id=installation_id,
        at=now,
        charger_count=sum(by_mode.values()),
        online_count=sum(int(row["online"]) for row in chargers),
        modes=tuple(ModeCountRow(mode, by_mode[mode]) for mode in OperatingMode if mode in by_mode),
        phases=() if root is None else await _phases(site, root, now),
        meter_observed_at=None if root is None else sql.optional_instant_of(root["metered_at"]),
        power_kw=round(sum(float(row["power_w"]) for row in chargers) / 1000, 3),
        active_session_count=int(counted["active"]),
        queue_length=len(queue),
        queue=tuple(_waiting(row) for row in queue[:QUEUE_SHOWN]),
        balancer=await _balancer(site, now),
        open_alert_count=int(counted["alerts"]),
        energy_today_wh=await _energy_today(reader, installation_id, ZoneInfo(site["time_zone"])),
        time_zone=site["time_zone"],
    )


_CHARGERS = """
SELECT s.mode, COUNT(*) AS many, SUM(CASE WHEN s.is_online THEN 1 ELSE 0 END) AS online,
  SUM(CASE WHEN s.is_online THEN COALESCE(s.power_w, 0) ELSE 0 END) AS power_w
FROM chargers c JOIN charger_statuses s ON s.charger_id = c.id
WHERE c.installation_id = $1 AND c.removed_at IS NULL GROUP BY s.mode
"""
_ROOT = """
SELECT k.breaker_l1, k.breaker_l2, k.breaker_l3, k.meter_l1, k.meter_l2, k.meter_l3, k.metered_at
FROM circuits k WHERE k.installation_id = $1 AND k.parent_id IS NULL AND k.removed_at IS NULL
"""
_OFFERED = """
SELECT s.allocated_a, s.allocated_phases FROM chargers c JOIN charger_statuses s ON s.charger_id = c.id
WHERE c.installation_id = $1 AND c.removed_at IS NULL AND s.allocated_a > 0
"""
_QUEUE = """
SELECT o.charger_id, o.queue_position, COALESCE(o.waiting_since, t.started_at, o.decided_at) AS since, o.binding_limit, o.reason
FROM offers o JOIN chargers c ON c.id = o.charger_id JOIN charger_statuses s ON s.charger_id = c.id
LEFT JOIN charge_sessions t ON t.id = s.session_id
WHERE c.installation_id = $1 AND c.removed_at IS NULL AND o.queue_position IS NOT NULL AND o.decided_at IS NOT NULL
ORDER BY o.queue_position, o.charger_id
"""
_COUNTS = f"""
SELECT
  (SELECT COUNT(*) FROM charge_sessions t WHERE t.installation_id = $1 AND t.state = '{SessionState.ACTIVE}') AS active,
  (SELECT COUNT(*) FROM alerts a WHERE a.installation_id = $1 AND a.state <> '{AlertState.RESOLVED}'
    AND a.folded_into_id IS NULL) AS alerts
"""  # noqa: S608  enums' values


async def _energy_today(access: Access, installation_id: UUID, zone: ZoneInfo) -> int:
    """Wh since local midnight."""
    arguments: list[object] = [installation_id, start_of(access.now.astimezone(zone).date(), zone)]
    found = await sql.row(_ENERGY.format(seen=access.sessions_condition("t", arguments)), *arguments)
    assert found is not None  # noqa: S101  a row of sums is always there
    return int(found["ended_wh"]) + max(0, int(found["active_wh"]))


_ENERGY = f"""
SELECT
  (SELECT COALESCE(SUM(e.energy_wh), 0) FROM energy_intervals e JOIN charge_sessions t ON t.id = e.session_id
    WHERE e.installation_id = $1 AND e.start_at >= $2 AND t.state = '{SessionState.ENDED}' AND {{seen}}) AS ended_wh,
  (SELECT COALESCE(SUM(t.energy_wh - COALESCE(
      (SELECT MAX(p.register_wh) FROM samples p WHERE p.session_id = t.id AND p.at <= $2) - t.meter_start_wh, 0)), 0)
    FROM charge_sessions t
    WHERE t.installation_id = $1 AND t.state = '{SessionState.ACTIVE}' AND t.energy_wh IS NOT NULL AND {{seen}}) AS active_wh
"""  # noqa: S608  enums' values


async def _phases(site: sql.Row, root: sql.Row, now: datetime) -> tuple[PhaseLoadRow, ...]:
    breaker = [float(root[f"breaker_l{line}"]) for line in (1, 2, 3)]
    available = current_in_force(limits_of(site), breaker=PhaseAmps(*breaker), now=now).as_tuple()
    offered = dict.fromkeys(LINES, 0.0)
    for row in await sql.rows(_OFFERED, sql.uuid_of(site["id"])):
        phases = row["allocated_phases"]
        for start in range(0, len(phases), 2):
            offered[Phase(phases[start : start + 2])] += row["allocated_a"]
    return tuple(
        PhaseLoadRow(phase, root[f"meter_{phase.lower()}"], round(offered[phase], 3), available[at], breaker[at])
        for at, phase in enumerate(LINES)
    )


def _waiting(row: sql.Row) -> QueueRow:
    return QueueRow(
        charger_id=sql.uuid_of(row["charger_id"]),
        position=int(row["queue_position"]),
        since=sql.instant_of(row["since"]),
        limit=BindingLimit(row["binding_limit"] or BindingLimit.OTHER),
        reason=row["reason"] or "",
    )


async def _balancer(site: sql.Row, now: datetime) -> BalancerStatusRow:
    installation_id = sql.uuid_of(site["id"])
    found = await sql.row(_BALANCER, lease_of(installation_id), installation_id)
    assert found is not None  # noqa: S101  a row of maxima is always there
    decided_at, until = sql.optional_instant_of(found["decided_at"]), sql.optional_instant_of(found["until"])
    if not site["is_active"]:
        return BalancerStatusRow("STOPPED", decided_at, "The installation is out of use, so nobody may charge.")
    if not found["chargers"]:
        return BalancerStatusRow("STOPPED", decided_at, "No charger has been connected yet.")
    if until is None or until <= now:
        reason = "Nothing balances this installation at the moment; chargers fall back to what is safe without it."
        return BalancerStatusRow("STOPPED", decided_at, reason)
    alerts = {
        AlertKind(row["kind"]): str(row["message"])
        for row in await sql.rows(_OPEN, installation_id, AlertState.RESOLVED)
    }
    trouble = next((alerts[kind] for kind in _TROUBLE if kind in alerts), None)
    return BalancerStatusRow("RUNNING" if trouble is None else "DEGRADED", decided_at, trouble)


_BALANCER = """
SELECT (SELECT l.until FROM leases l WHERE l.name = $1) AS until,
  (SELECT MAX(d.decided_at) FROM balancing_decisions d WHERE d.installation_id = $2) AS decided_at,
  (SELECT COUNT(*) FROM chargers c WHERE c.installation_id = $2 AND c.removed_at IS NULL AND c.station_id IS NOT NULL) AS chargers
"""
_OPEN = (
    "SELECT a.kind, a.message FROM alerts a WHERE a.installation_id = $1 AND a.state <> $2 ORDER BY a.opened_at DESC"
)
