"""Whether a summary's chargers have delivered everything, and why a summary is empty."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.periods import Period
from domain.roles import SessionState
from domain.usage.question import Coverage, EmptyReason, EmptyUsage, SilentCharger, UsageFilter, UsageQuestion
from domain.usage.rows import INSTANTS, Scope, counted

MOST_SILENT = 1_000


async def coverage(access: Access, question: UsageQuestion, period: Period, now: datetime) -> Coverage:
    """Chargers whose last delivered record is older than the end of the period (or than now, when it is not over), as of now.

    A charger that is connected has delivered. One that never was counts from its newest session, or from when it was added.
    """
    arguments: list[object] = []
    conditions = [access.chargers_condition("c", arguments), "c.removed_at IS NULL", "c.is_enabled"]
    conditions.append(_where(question, arguments, access))
    arguments.append(min(period.end_at, now))
    until = f"${len(arguments)}"
    newest = f"""
        SELECT MAX(s.registered_at) FROM charge_sessions s WHERE s.charger_id = c.id AND s.state = '{SessionState.ENDED}'
    """  # noqa: S608  an enum's value
    added = "c.created_at"
    if question.installation_ids is None:
        # Who asks about themselves learns nothing of other people's sessions, nor when the charger was added.
        arguments.append(access.person())
        newest, added = f"{newest} AND s.user_id = ${len(arguments)}", "NULL"
    statement = f"""
        SELECT silent.id, silent.since FROM (
            SELECT c.id, COALESCE(t.last_seen_at, t.disconnected_at, ({newest}), {added}) AS since
            FROM chargers c LEFT JOIN stations t ON t.id = c.station_id
            LEFT JOIN charger_statuses live ON live.charger_id = c.id
            WHERE {" AND ".join(conditions)} AND NOT COALESCE(live.is_online, FALSE)
        ) AS silent
        WHERE silent.since < {until} ORDER BY silent.since, silent.id LIMIT {MOST_SILENT}
    """  # noqa: S608  columns of ours, and marks
    found = await sql.records(statement, *arguments)
    return Coverage(tuple(SilentCharger(sql.uuid_of(row["id"]), sql.instant_of(row["since"])) for row in found))


def _where(question: UsageQuestion, arguments: list[object], access: Access) -> str:
    parts = []
    if question.installation_ids is not None:
        parts.append(sql.any_of("c.installation_id", question.installation_ids, arguments))
    else:
        arguments.append(access.person())
        own = f"SELECT 1 FROM charge_sessions o WHERE o.charger_id = c.id AND o.user_id = ${len(arguments)}"  # noqa: S608
        parts.append(f"EXISTS ({own})")
    if question.where.charger_ids is not None:
        parts.append(sql.any_of("c.id", question.where.charger_ids, arguments))
    if question.where.circuit_ids is not None:
        parts.append(sql.any_of("c.circuit_id", question.where.circuit_ids, arguments))
    return " AND ".join(parts)


async def empty_because(question: UsageQuestion, period: Period, scope: Scope, covered: Coverage) -> EmptyUsage:
    """Why there are no rows."""
    instant = INSTANTS.get(question.basis, "s.started_at")
    if question.where != UsageFilter() and await _has_any(scope, instant, period):
        return EmptyUsage(
            EmptyReason.FILTERED_OUT, "There are sessions in this period, but none that the filter lets through."
        )
    nearest = await _nearest(scope, instant, period)
    if nearest is None:
        return EmptyUsage(EmptyReason.NO_SESSIONS, "There are no ended sessions here yet.")
    silent = [one for one in covered.silent if one.since <= period.start_at]
    if silent and len(silent) == len(covered.silent) and await _all_silent(question, silent):
        text = (
            f"All chargers were silent before the period began, the longest since {silent[0].since:%Y-%m-%d %H:%M} UTC."
        )
        return EmptyUsage(EmptyReason.CHARGERS_OFFLINE, text, nearest)
    local = nearest.astimezone(period.zone)
    text = f"There are no sessions in this period; the nearest is of {local:%Y-%m-%d}."
    return EmptyUsage(EmptyReason.NONE_IN_PERIOD, text, nearest)


async def _has_any(scope: Scope, instant: str, period: Period) -> bool:
    arguments: list[object] = []
    condition = counted(scope, UsageFilter(), arguments)
    arguments += [period.start_at, period.end_at]
    last = len(arguments)
    statement = f"""
        SELECT 1 AS found FROM charge_sessions s
        WHERE {condition} AND {instant} >= ${last - 1} AND {instant} < ${last} LIMIT 1
    """  # noqa: S608  columns of ours, and marks
    return await sql.row(statement, *arguments) is not None


async def _nearest(scope: Scope, instant: str, period: Period) -> datetime | None:
    """The instant nearest to the period, before or after it."""
    before: list[object] = []
    condition = counted(scope, UsageFilter(), before)
    before.append(period.start_at)
    earlier = await sql.row(
        f"SELECT MAX({instant}) AS at FROM charge_sessions s WHERE {condition} AND {instant} < ${len(before)}",  # noqa: S608
        *before,
    )
    after: list[object] = []
    condition = counted(scope, UsageFilter(), after)
    after.append(period.start_at)
    later = await sql.row(
        f"SELECT MIN({instant}) AS at FROM charge_sessions s WHERE {condition} AND {instant} >= ${len(after)}",  # noqa: S608
        *after,
    )
    found = [sql.optional_instant_of(row["at"]) for row in (earlier, later) if row is not None]
    return min(
        (at for at in found if at is not None),
        key=lambda at: period.start_at - at if at < period.start_at else at - period.end_at,
        default=None,
    )


async def _all_silent(question: UsageQuestion, silent: Sequence[SilentCharger]) -> bool:
    ids: list[UUID] = [one.charger_id for one in silent]
    arguments: list[object] = []
    conditions = ["c.removed_at IS NULL", "c.is_enabled"]
    if question.installation_ids is None:
        return True
    conditions.append(sql.any_of("c.installation_id", question.installation_ids, arguments))
    if question.where.charger_ids is not None:
        conditions.append(sql.any_of("c.id", question.where.charger_ids, arguments))
    if question.where.circuit_ids is not None:
        conditions.append(sql.any_of("c.circuit_id", question.where.circuit_ids, arguments))
    row = await sql.row(f"SELECT COUNT(*) AS chargers FROM chargers c WHERE {' AND '.join(conditions)}", *arguments)  # noqa: S608
    return row is not None and int(row["chargers"]) == len(ids)
