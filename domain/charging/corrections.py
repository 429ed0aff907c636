"""Charges that were announced are never edited: a correction replaces them (domain.md §5).

A charge is announced when somebody was told of its end, or a locked report counts it.
"""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from operator import attrgetter
from typing import Final
from uuid import UUID

from domain import sql
from domain.charging.energy_intervals import Part
from domain.charging.live import padded
from domain.roles import ExternalMode, IntervalQuality, SessionEventKind, SessionFlag, SessionState

content_of: Final = attrgetter(
    "circuit_id", "user_id", "card_id", "user_name", "card_name", "state", "flags", "authorized_at", "started_at",
    "ended_at", "registered_at", "energy_wh", "connected_s", "charging_s", "stop_reason", "external_id",
)  # fmt: skip
"""What is told of a charge. By which keys its charger speaks of it, and how far it was read, is nobody else's."""

# Events are forgotten after a while, what they said is not: who is told of charges there was told of this one's end.
_ANNOUNCED = f"""
SELECT s.id FROM charge_sessions s WHERE {{wanted}} AND (
  EXISTS (SELECT 1 FROM session_events e
    WHERE e.session_id = s.id AND e.kind IN ('{SessionEventKind.ENDED}', '{SessionEventKind.REPLACED}'))
  OR EXISTS (SELECT 1 FROM external_authentications x
    WHERE x.installation_id = s.installation_id AND x.mode <> '{ExternalMode.OFF}' AND x.url IS NOT NULL)
  OR EXISTS (SELECT 1 FROM locked_lines l WHERE l.session_id = s.id))
"""  # noqa: S608  enums' values


async def announced(session_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these ended charges that somebody may know as they are stored."""
    if not session_ids:
        return set()
    arguments: list[object] = []
    wanted = sql.any_of("s.id", padded(session_ids), arguments)
    return {sql.uuid_of(row["id"]) for row in await sql.rows(_ANNOUNCED.format(wanted=wanted), *arguments)}


async def ends_arrived(session_ids: Set[UUID]) -> dict[UUID, datetime]:
    """Ended charge → when its end arrived, of whichever charge it is the last correction: the real end, where there was one."""
    if not session_ids:
        return {}
    arguments: list[object] = []
    wanted = sql.any_of("s.id", padded(sorted(session_ids)), arguments)
    return {
        sql.uuid_of(row["id"]): sql.instant_of(row["at"])
        for row in await sql.rows(_ENDS_ARRIVED.format(wanted=wanted), *arguments)
    }


_ENDS_ARRIVED = f"""
WITH RECURSIVE earlier(id, before_id, flags, registered_at) AS (
  SELECT s.id, s.id, s.flags, s.registered_at FROM charge_sessions s WHERE {{wanted}} AND s.registered_at IS NOT NULL
  UNION ALL SELECT e.id, o.id, o.flags, o.registered_at
  FROM charge_sessions o JOIN earlier e ON o.replaced_by_id = e.before_id)
SELECT id, COALESCE(MIN(CASE WHEN (flags & {int(SessionFlag.END_INFERRED)}) = 0 THEN registered_at END), MIN(registered_at)) AS at
FROM earlier GROUP BY id
"""  # noqa: S608  enums' values


async def with_other_parts(parts: Mapping[UUID, Sequence[Part]]) -> set[UUID]:
    """Those of the charges whose stored intervals are others than these."""
    if not parts:
        return set()
    arguments: list[object] = []
    wanted = sql.any_of("session_id", padded(list(parts)), arguments)
    stored: dict[UUID, list[Part]] = {}
    for row in await sql.rows(
        f"SELECT session_id, start_at, end_at, energy_wh, quality FROM energy_intervals WHERE {wanted}"  # noqa: S608  marks only
        " ORDER BY session_id, start_at",
        *arguments,
    ):
        part = Part(
            sql.instant_of(row["start_at"]),
            sql.instant_of(row["end_at"]),
            row["energy_wh"],
            IntervalQuality(row["quality"]),
        )
        stored.setdefault(sql.uuid_of(row["session_id"]), []).append(part)
    return {one for one, found in parts.items() if list(found) != stored.get(one, [])}


# What the charger calls the charge is the correction's from now on.
_VOID = f"""
UPDATE charge_sessions SET state = '{SessionState.VOID}', flags = flags | {int(SessionFlag.VOID)}, energy_wh = NULL,
  replaced_by_id = $2, transaction_id = NULL, start_key = NULL, stop_key = NULL WHERE id = $1
"""  # noqa: S608  enums' values


async def make_void(replaced: Mapping[UUID, UUID]) -> None:
    """Old → new: the old charges are VOID, without energy, and replaced by the new ones, which are still to be stored."""
    await sql.execute_many(_VOID, sorted(replaced.items()))


_MOVED = (
    "UPDATE samples SET session_id = $2 WHERE session_id = $1",
    "UPDATE signed_records SET session_id = $2 WHERE session_id = $1",
    "UPDATE energy_intervals SET session_id = $2 WHERE session_id = $1",
    "UPDATE authorization_attempts SET session_id = $2 WHERE session_id = $1",
    "UPDATE commands SET session_id = $2 WHERE session_id = $1",
    "UPDATE charge_sessions SET (energy_target_wh, departure_at) ="
    " (SELECT o.energy_target_wh, o.departure_at FROM charge_sessions o WHERE o.id = $1) WHERE id = $2",
)


async def hand_over(replaced: Mapping[UUID, UUID]) -> None:
    """Old → new: what belonged to the old charges is the new ones', which are stored."""
    for statement in _MOVED if replaced else ():
        await sql.execute_many(statement, sorted(replaced.items()))
