"""What of single sessions lies inside a period under the basis INTERVAL: split exactly where a border cuts them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.charging.energy_intervals import Part
from domain.periods import Period
from domain.roles import IntervalQuality, SessionFlag, UsageDimension
from domain.sessions import SessionRow
from domain.usage.interval_cuts import clipped, energy_until
from domain.usage.question import Usage, UsageQuestion
from domain.usage.rows import NAMES, UNRELIABLE, Scope, counted, id_column

_BATCH = 100
"""Sessions that are cut at once: some milliseconds of the loop that others wait for."""


@dataclass(frozen=True, slots=True)
class _Touching:
    """A session of which something lies in the period."""

    id: UUID
    ids: Mapping[UsageDimension, UUID | None]
    start_at: datetime
    end_at: datetime
    flags: SessionFlag
    energy_wh: int
    connected_s: int
    charging_s: int


LONG_S = 30 * 86_400
"""Sessions that last longer have an index of their own (migration 0030)."""


def touches(start: str, end: str) -> str:
    """The condition that something of a session lies between these two marks.

    Each of its alternatives is a range of an index: most sessions are found by when they began, the long ones apart.
    """
    long_before = _long_before(start)
    return f"""(
        ((s.flags & {UNRELIABLE}) = 0 AND s.started_at >= {long_before} AND s.started_at < {end}
            AND (s.ended_at > {start} OR (s.ended_at = s.started_at AND s.ended_at = {start})))
        OR ((s.flags & {UNRELIABLE}) = 0 AND s.connected_s >= {LONG_S} AND s.started_at < {long_before} AND s.ended_at > {start})
        OR ((s.flags & {UNRELIABLE}) <> 0 AND s.registered_at >= {start} AND s.registered_at < {end})
    )"""


def _long_before(mark: str) -> str:
    if sql.is_sqlite():
        # As instants are kept there: text that sorts by time.
        return f"(datetime({mark}, '-{LONG_S} seconds') || '+00:00')"
    return f"(CAST({mark} AS timestamptz) - INTERVAL '{LONG_S} seconds')"


async def energy_inside(sessions: Sequence[SessionRow], since: datetime, until: datetime) -> list[int]:
    """How much energy of each of these ended sessions lies in [since, until), in their order."""
    found = []
    stored = await _stored_parts(
        [one.id for one in sessions if one.started_at < since or until < (one.ended_at or one.started_at)]
    )
    for session in sessions:
        registered_at = session.registered_at or session.started_at
        is_reliable = SessionFlag.CLOCK_UNRELIABLE not in session.flag_set
        touching = _Touching(
            id=session.id,
            ids={},
            start_at=session.started_at if is_reliable else registered_at,
            end_at=(session.ended_at or session.started_at) if is_reliable else registered_at,
            flags=session.flag_set,
            energy_wh=session.energy_wh or 0,
            connected_s=0,
            charging_s=0,
        )
        if since <= touching.start_at and touching.end_at <= until:
            found.append(touching.energy_wh)
            continue
        found.append(sum(part.energy_wh for part in clipped(_parts(touching, stored.get(session.id)), since, until)))
    return found


def crosses(start: str, end: str) -> str:
    """The condition that a session lies between these two marks with a part of it only."""
    return (
        f"((s.flags & {UNRELIABLE}) = 0 AND s.started_at < {end} AND s.ended_at > {start}"
        f" AND (s.started_at < {start} OR s.ended_at > {end}))"
    )


async def crossing(
    question: UsageQuestion, period: Period, scope: Scope
) -> dict[UUID, tuple[Mapping[UsageDimension, UUID | None], Usage]]:
    """Session → (what it is grouped by, what of it lies inside), of those that a border of the period cuts."""
    found = {}
    touching = await _touching(question, period, scope, only=crosses)
    for first in range(0, len(touching), _BATCH):
        await asyncio.sleep(0)
        batch = touching[first : first + _BATCH]
        stored = await _stored_parts([one.id for one in batch])
        for one in batch:
            since, until = max(one.start_at, period.start_at), min(one.end_at, period.end_at)
            parts = clipped(_parts(one, stored.get(one.id)), since, until)
            found[one.id] = (one.ids, _usage(one, sum(part.energy_wh for part in parts), since, until))
    return found


async def _touching(
    question: UsageQuestion, period: Period, scope: Scope, only: Callable[[str, str], str] | None = None
) -> list[_Touching]:
    arguments: list[object] = []
    things = [dimension for dimension in question.group_by if dimension in NAMES]
    keys = [f"{id_column(dimension, scope, arguments)} AS id_{place}" for place, dimension in enumerate(things)]
    condition = counted(scope, question.where, arguments)
    arguments += [period.start_at, period.end_at]
    start, end = f"${len(arguments) - 1}", f"${len(arguments)}"
    statement = f"""
        SELECT {"".join(f"{column}, " for column in keys)}s.id, s.started_at, s.ended_at, s.registered_at, s.flags, s.energy_wh,
            s.connected_s, s.charging_s
        FROM charge_sessions s
        WHERE {condition} AND {(only or touches)(start, end)} ORDER BY s.id
    """  # noqa: S608  columns of ours, and marks
    rows = await sql.rows(statement, *arguments)
    found: list[_Touching] = []
    for first in range(0, len(rows), _BATCH):
        await asyncio.sleep(0)
        found += [_session(row, things) for row in rows[first : first + _BATCH]]
    return found


def _session(row: Mapping[str, Any], things: list[UsageDimension]) -> _Touching:
    flags = SessionFlag(row["flags"])
    registered_at = sql.instant_of(row["registered_at"])
    is_reliable = SessionFlag.CLOCK_UNRELIABLE not in flags
    return _Touching(
        id=sql.uuid_of(row["id"]),
        ids={dimension: sql.optional_uuid_of(row[f"id_{place}"]) for place, dimension in enumerate(things)},
        start_at=sql.instant_of(row["started_at"]) if is_reliable else registered_at,
        end_at=sql.instant_of(row["ended_at"]) if is_reliable else registered_at,
        flags=flags,
        energy_wh=row["energy_wh"] or 0,
        connected_s=row["connected_s"],
        charging_s=row["charging_s"],
    )


async def _stored_parts(session_ids: list[UUID]) -> dict[UUID, list[Part]]:
    if not session_ids:
        return {}
    arguments: list[object] = []
    condition = sql.any_of("session_id", session_ids, arguments)
    statement = f"""
        SELECT session_id, start_at, end_at, energy_wh, quality FROM energy_intervals WHERE {condition}
        ORDER BY session_id, start_at
    """  # noqa: S608  marks only
    found: dict[UUID, list[Part]] = {}
    for row in await sql.rows(statement, *arguments):
        part = Part(
            sql.instant_of(row["start_at"]),
            sql.instant_of(row["end_at"]),
            row["energy_wh"],
            IntervalQuality(row["quality"]),
        )
        found.setdefault(sql.uuid_of(row["session_id"]), []).append(part)
    return found


def _parts(session: _Touching, stored: list[Part] | None) -> list[Part]:
    if SessionFlag.CLOCK_UNRELIABLE in session.flags:
        return [Part(session.start_at, session.start_at, session.energy_wh, IntervalQuality.ESTIMATED)]
    # Imported history keeps no rows for what follows from the session itself: even over its time.
    return stored or [Part(session.start_at, session.end_at, session.energy_wh, IntervalQuality.ESTIMATED)]


def _usage(session: _Touching, energy_wh: int, since: datetime, until: datetime) -> Usage:
    def inside(seconds: int) -> int:
        whole = Part(session.start_at, session.end_at, seconds, IntervalQuality.ESTIMATED)
        if session.start_at == session.end_at:
            return seconds
        return energy_until(whole, until) - energy_until(whole, since)

    return Usage(
        session_count=1,
        energy_wh=energy_wh,
        connected_s=inside(session.connected_s),
        charging_s=inside(session.charging_s),
        offline_count=int(SessionFlag.OFFLINE in session.flags),
        unreliable_count=int(SessionFlag.CLOCK_UNRELIABLE in session.flags),
        first_at=session.start_at,
        last_at=session.start_at,
    )
