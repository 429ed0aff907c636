"""What external systems are told of charges: written with the change itself, delivered afterwards in order, found again by id."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import AUTHORIZERS, SITE_RULERS, Access
from domain.authorization.call_outs import encoded, instant
from domain.errors import ConflictError, NotFoundError
from domain.events import Event, SessionChanged
from domain.global_ids import global_id
from domain.ids import new_id
from domain.roles import DateQuality, ExternalMode, SessionEventKind, SessionFlag, SessionState
from domain.units import kwh

UPDATES_EVERY = timedelta(minutes=5)
"""Of one session at most: readings come every few seconds, and nobody bills by them before the end."""
FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 3600.0
TRIED_FOR = timedelta(hours=24)
"""Since it was made or replayed. Where the system answers each is tried once at least, however long it waited for the one before it."""

_TYPES = {kind: f"session.{kind.lower()}" for kind in SessionEventKind}
_jitter = Random()


@dataclass(frozen=True, slots=True)
class Due:
    """An event that this worker alone holds until its claim runs out."""

    id: int
    event_id: UUID
    installation_id: UUID
    session_id: UUID
    payload: str
    attempts: int
    since: datetime
    """When it was made, or else replayed."""
    claimed_until: datetime


async def record(events: Iterable[Event], *, now: datetime) -> int:
    """How many events were kept for external systems, of these changes; call inside their transaction, after they are stored."""
    changes = {(one.session_id, SessionEventKind(one.change)): one for one in events if isinstance(one, SessionChanged)}
    if not changes:
        return 0
    places = await _told({one.installation_id for one in changes.values()})
    wanted = [key for key, one in changes.items() if one.installation_id in places]
    if not wanted:
        return 0
    recent = await _last_told([session_id for session_id, _ in wanted], since=now - UPDATES_EVERY)
    kept = [
        (session_id, kind)
        for session_id, kind in wanted
        if kind is not SessionEventKind.UPDATED or session_id not in recent
    ]
    contents = await _contents([session_id for session_id, _ in kept])
    rows = [
        (
            new_id(),
            contents[session_id][0],
            session_id,
            kind,
            encoded(_TYPES[kind], {"session": contents[session_id][1]}, now=now).decode(),
            now,
            *((None, None) if places[contents[session_id][0]] else (now, GONE)),
        )
        for session_id, kind in kept
        if session_id in contents
    ]
    await sql.execute_many(_INSERT, rows)
    return len(rows)


_PENDING = "delivered_at IS NULL AND failed_at IS NULL"
# A charge's events follow one another, and those of a correction follow those of what it replaces.
_BEFORE = "SELECT p.id FROM charge_sessions p WHERE p.replaced_by_id"
_AND_CORRECTIONS = """IN (
  WITH RECURSIVE later(id) AS (
    SELECT c.id FROM charge_sessions c WHERE c.id = $1
    UNION ALL SELECT c.replaced_by_id FROM charge_sessions c JOIN later ON c.id = later.id WHERE c.replaced_by_id IS NOT NULL)
  SELECT id FROM later)"""
_INSERT = f"""
INSERT INTO session_events (event_id, installation_id, session_id, kind, payload, created_at, due_at, attempts, failed_at, error)
VALUES ($1, $2, $3, $4, $5, $6, COALESCE((SELECT MAX(due_at) FROM session_events
  WHERE (session_id = $3 OR session_id IN ({_BEFORE} = $3)) AND {_PENDING}), $6), 0, $7, $8)
"""  # noqa: S608  parts of ours


async def _told(installation_ids: set[UUID]) -> dict[UUID, bool]:
    """Those of the installations that keep events for their systems → whether these are told now: one that is gone may come back."""
    arguments: list[object] = [ExternalMode.OFF]
    wanted = sql.any_of("installation_id", sorted(installation_ids), arguments)
    rows = await sql.rows(
        f"SELECT installation_id, gone_at FROM external_authentications WHERE mode <> $1 AND url IS NOT NULL AND {wanted}",  # noqa: S608
        *arguments,
    )
    return {sql.uuid_of(row["installation_id"]): row["gone_at"] is None for row in rows}


async def _last_told(session_ids: Sequence[UUID], *, since: datetime) -> set[UUID]:
    arguments: list[object] = [since]
    wanted = sql.any_of("session_id", sorted(set(session_ids)), arguments)
    rows = await sql.rows(
        f"SELECT DISTINCT session_id FROM session_events WHERE created_at > $1 AND {wanted}",  # noqa: S608
        *arguments,
    )
    return {sql.uuid_of(row["session_id"]) for row in rows}


async def _contents(session_ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, dict[str, Any]]]:
    """Session → (its installation, what is told of it)."""
    arguments: list[object] = []
    wanted = sql.any_of("s.id", sorted(set(session_ids)), arguments)
    return {
        sql.uuid_of(row["id"]): (sql.uuid_of(row["installation_id"]), _content(row))
        for row in await sql.rows(f"{_SESSIONS} WHERE {wanted}", *arguments)
    }


_SESSIONS = """
SELECT s.id, s.state, s.installation_id, s.charger_id, s.charger_name, s.user_id, s.external_id, s.authorized_at, s.started_at,
  s.ended_at, s.registered_at, s.energy_wh, s.connected_s, s.charging_s, s.stop_reason, s.flags, s.replaced_by_id,
  (SELECT x.external_id FROM external_users x JOIN service_account_installations p ON p.account_id = x.account_id
   WHERE x.user_id = s.user_id AND p.installation_id = s.installation_id ORDER BY x.id LIMIT 1) AS external_user_id,
  (SELECT o.id FROM charge_sessions o WHERE o.replaced_by_id = s.id ORDER BY o.id LIMIT 1) AS replaces_id
FROM charge_sessions s"""


def _content(row: sql.Row) -> dict[str, Any]:
    state, flags = SessionState(row["state"]), SessionFlag(row["flags"])
    quality = DateQuality.OFFLINE if SessionFlag.OFFLINE in flags else DateQuality.EXACT
    if SessionFlag.CLOCK_UNRELIABLE in flags:
        quality = DateQuality.UNRELIABLE
    is_counted = state is not SessionState.VOID and row["energy_wh"] is not None
    return {
        "id": global_id("ChargeSession", sql.uuid_of(row["id"])),
        "state": state.value,
        "installationId": global_id("Installation", sql.uuid_of(row["installation_id"])),
        "chargerId": global_id("Charger", sql.uuid_of(row["charger_id"])),
        "chargerName": row["charger_name"],
        "externalId": row["external_id"],
        "externalUserId": row["external_user_id"],
        "authorizedAt": _instant(row["authorized_at"]),
        "startedAt": _instant(row["started_at"]),
        "endedAt": _instant(row["ended_at"]),
        "registeredAt": _instant(row["registered_at"]),
        "dateQuality": quality.value,
        "energyKwh": str(kwh(row["energy_wh"])) if is_counted else None,
        "connectedSeconds": row["connected_s"],
        "chargingSeconds": row["charging_s"],
        "stopReason": row["stop_reason"],
        "flags": [str(one.name) for one in flags],
        "replacesId": _session_id(row["replaces_id"]),
        "replacedById": _session_id(row["replaced_by_id"]),
    }


def _instant(value: Any) -> str | None:
    return None if value is None else instant(sql.instant_of(value))


def _session_id(value: Any) -> str | None:
    return None if value is None else global_id("ChargeSession", sql.uuid_of(value))


async def due_places(*, now: datetime) -> dict[UUID, str | None]:
    """Installation → the address of its system, where an event is due that nobody holds, and which is not to be left alone."""
    rows = await sql.rows(
        "SELECT x.installation_id, x.url FROM external_authentications x"  # noqa: S608  parts of ours
        " WHERE (x.paused_until IS NULL OR x.paused_until <= $1) AND EXISTS (SELECT 1 FROM session_events e"
        f" WHERE e.installation_id = x.installation_id AND {_PENDING} AND e.due_at <= $1"
        " AND (e.claimed_until IS NULL OR e.claimed_until <= $1))",
        now,
    )
    return {sql.uuid_of(row["installation_id"]): row["url"] for row in rows}


async def claim(places: Collection[UUID], *, now: datetime, for_s: float, limit: int) -> Sequence[Due]:
    """The oldest undelivered event of each session at these installations that is due, held by the caller for `for_s` seconds."""
    lock = "" if sql.is_sqlite() else "FOR UPDATE SKIP LOCKED"
    arguments: list[object] = [now + timedelta(seconds=for_s), now]
    here = sql.any_of("e.installation_id", sorted(places), arguments)
    found = await sql.rows(
        f"""
        UPDATE session_events SET claimed_until = $1, attempts = attempts + 1
        WHERE id IN (
          SELECT e.id FROM session_events e
          WHERE {here} AND e.delivered_at IS NULL AND e.failed_at IS NULL AND e.due_at <= $2
            AND (e.claimed_until IS NULL OR e.claimed_until <= $2)
            AND NOT EXISTS (SELECT 1 FROM session_events o WHERE o.session_id = e.session_id AND o.id < e.id
              AND o.delivered_at IS NULL AND o.failed_at IS NULL)
            AND (e.kind <> '{SessionEventKind.REPLACED}' OR NOT EXISTS (SELECT 1 FROM session_events o
              WHERE o.session_id IN ({_BEFORE} = e.session_id) AND o.delivered_at IS NULL AND o.failed_at IS NULL))
          ORDER BY e.due_at, e.id LIMIT {int(limit)} {lock})
        RETURNING id, event_id, installation_id, session_id, payload, attempts, claimed_until,
          COALESCE(replayed_at, created_at) AS since
        """,  # noqa: S608  numbers of ours only
        *arguments,
    )
    return [
        Due(
            int(row["id"]),
            sql.uuid_of(row["event_id"]),
            sql.uuid_of(row["installation_id"]),
            sql.uuid_of(row["session_id"]),
            row["payload"],
            int(row["attempts"]),
            sql.instant_of(row["since"]),
            sql.instant_of(row["claimed_until"]),
        )
        for row in sorted(found, key=lambda row: int(row["id"]))
    ]


async def delivered(event: Due, *, now: datetime) -> None:
    """The system has it, and the next one of its session is due."""
    async with in_transaction():
        if await _let_go(event, "delivered_at = $4, error = NULL", now):
            await _next_is_due(event, now)


async def retry(event: Due, *, error: str, now: datetime, concerns_all: bool = False) -> None:
    """It is tried again later, each time twice as late, and a last time when its day is over. Then it is kept as failed, and the next one
    of its session follows soon, with its patience: a system that is away for days is not asked more often for that.

    `concerns_all`: the system takes none at present, and no other one is tried whose day is over, too.
    """
    gives_up_at = event.since + TRIED_FOR
    wait_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(event.attempts - 1, 12)) * _jitter.uniform(0.9, 1.1)
    due_at = min(now + timedelta(seconds=wait_s), gives_up_at)
    async with in_transaction():
        if now < gives_up_at:
            if await _let_go(event, "error = $4", error[:500]):
                await _put_off(event.session_id, due_at)
        elif await _let_go(event, "failed_at = $4, error = $5", now, error[:500]):
            await _put_off(event.session_id, now + timedelta(seconds=FIRST_RETRY_S), attempts=event.attempts)
    if concerns_all and now >= gives_up_at:
        # By itself: whoever holds rows of one session waits for no others.
        await give_up_all(event.installation_id, error=error, now=now, aged=TRIED_FOR)


async def _put_off(session_id: UUID, due_at: datetime, *, attempts: int = 0) -> None:
    """What waits of the session waits until then, and counts as tried so often at least."""
    await sql.execute(
        "UPDATE session_events SET due_at = $2, attempts = CASE WHEN attempts < $3 THEN $3 ELSE attempts END"  # noqa: S608
        f" WHERE session_id {_AND_CORRECTIONS} AND {_PENDING}",
        session_id,
        due_at,
        attempts,
    )


async def pause(event: Due, *, url: str, until: datetime) -> None:
    """The address is left alone until then, as it asked for, with the events of every session."""
    await sql.execute(
        "UPDATE external_authentications SET paused_until = $3 WHERE installation_id = $1 AND url = $2"
        " AND (paused_until IS NULL OR paused_until < $3)",
        event.installation_id,
        url,
        until,
    )


async def fail(event: Due, *, error: str, now: datetime) -> None:
    """It is kept with the reason, and not tried again unless it is replayed; the next one of its session is due."""
    async with in_transaction():
        if await _let_go(event, "failed_at = $4, error = $5", now, error[:500]):
            await _next_is_due(event, now)


async def _let_go(event: Due, changes: str, *values: object) -> bool:
    """Whether the event was still the caller's; only then it is changed. A claim may have run out, and a replay takes it away."""
    statement = f"""
        UPDATE session_events SET claimed_until = NULL, {changes} WHERE id = $1 AND attempts = $2 AND claimed_until = $3
        """  # noqa: S608  parts of ours
    return await sql.execute(statement, event.id, event.attempts, event.claimed_until, *values) == 1


async def gone(event: Due, *, url: str, now: datetime) -> bool:
    """Whether that is still the address which said that nobody listens there any more (410): then nothing is sent until the settings
    are changed. What waits is kept as failed, and can be replayed.
    """
    async with in_transaction():
        is_so = await sql.execute(
            "UPDATE external_authentications SET gone_at = $3 WHERE installation_id = $1 AND url = $2",
            event.installation_id,
            url,
            now,
        )
        if is_so:
            await _let_go(event, "failed_at = $4, error = $5", now, GONE)
            await give_up_all(event.installation_id, error=GONE, now=now)
    return bool(is_so)


GONE = "The address says that nobody listens there any more (410 Gone)."
NOT_TOLD = "The system is switched off, or has no address."


async def give_up_all(installation_id: UUID, *, error: str, now: datetime, aged: timedelta = timedelta(0)) -> None:
    """What waits so long for the installation's system is kept as failed with the reason, but for what is on its way at this moment."""
    await sql.execute(
        "UPDATE session_events SET failed_at = $2, claimed_until = NULL, error = $3"  # noqa: S608  parts of ours
        f" WHERE installation_id = $1 AND {_PENDING} AND (claimed_until IS NULL OR claimed_until <= $2)"
        " AND COALESCE(replayed_at, created_at) <= $4",
        installation_id,
        now,
        error[:500],
        now - aged,
    )


async def _next_is_due(event: Due, now: datetime) -> None:
    await sql.execute(
        f"UPDATE session_events SET due_at = $2 WHERE session_id {_AND_CORRECTIONS} AND due_at > $2 AND {_PENDING}",  # noqa: S608  parts of ours
        event.session_id,
        now,
    )


async def replay(access: Access, installation_id: UUID, from_event_id: UUID) -> None:
    """From that event on everything of the installation is delivered once more, in order and under the same ids.

    OWNER and ADMINISTRATOR, and programs with AUTHORIZE_CHARGING there. NotFoundError for an event that is not one of its own,
    ConflictError while the system is told nothing.
    """
    access.signed_in()
    access.manage_installation(installation_id, SITE_RULERS | AUTHORIZERS, path=("installationId",))
    async with in_transaction():
        first = await sql.row(
            "SELECT id FROM session_events WHERE event_id = $1 AND installation_id = $2", from_event_id, installation_id
        )
        if first is None:
            raise NotFoundError(path=("fromEventId",))
        if (await _told({installation_id})).get(installation_id) is not True:
            message = "Events go nowhere from here: let an owner write the system's settings with an address and a mode first."
            raise ConflictError(message, path=("installationId",))
        await sql.execute(
            "UPDATE session_events SET delivered_at = NULL, failed_at = NULL, attempts = 0, replayed_at = $3, due_at = $3,"
            " claimed_until = NULL, error = NULL"
            " WHERE installation_id = $1 AND id >= $2",
            installation_id,
            first["id"],
            access.now,
        )
        await audit.record(
            access,
            "externalAuthentication.replay",
            "Installation",
            installation_id,
            installation_id=installation_id,
            after={"fromEventId": str(from_event_id)},
        )


@dataclass(frozen=True, slots=True)
class Pending:
    """What an installation's system has not taken yet, and why the first of it was not, where it was tried."""

    count: int
    oldest_at: datetime | None
    error: str | None = None


async def pending(installation_id: UUID) -> Pending:
    """Events that wait for an installation's system."""
    row = await sql.row(_WAITING, installation_id)
    if row is None:
        return Pending(0, None)
    return Pending(int(row["number"]), sql.optional_instant_of(row["oldest"]), row["error"])


# In the order of the index: by id alone the key would be read from its beginning.
_WAITING = f"""
SELECT COUNT(*) AS number, MIN(created_at) AS oldest,
  (SELECT error FROM session_events WHERE installation_id = $1 AND {_PENDING} AND error IS NOT NULL ORDER BY due_at, id LIMIT 1) AS error
FROM session_events WHERE installation_id = $1 AND {_PENDING}
"""  # noqa: S608  parts of ours


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What an installation's system never took. `first_event_id` is where a replay of it begins, `error` why the last one was given up."""

    count: int
    first_event_id: UUID | None = None
    error: str | None = None


async def given_up(installation_id: UUID) -> GivenUp:
    """Events that are kept as failed, and go out when they are replayed."""
    row = await sql.row(_GIVEN_UP, installation_id)
    if row is None or not row["number"]:
        return GivenUp(0)
    return GivenUp(int(row["number"]), sql.uuid_of(row["first_event_id"]), row["error"])


_GIVEN_UP = """
WITH failed AS (SELECT COUNT(*) AS number, MIN(id) AS first, MAX(id) AS last FROM session_events
  WHERE installation_id = $1 AND failed_at IS NOT NULL)
SELECT number, (SELECT event_id FROM session_events WHERE id = first) AS first_event_id,
  (SELECT error FROM session_events WHERE id = last) AS error FROM failed
"""


async def forget(*, before: datetime) -> int:
    """How many events of before then that were delivered or given up were removed."""
    return await sql.delete_some(
        "session_events", "created_at < $1 AND (delivered_at IS NOT NULL OR failed_at IS NOT NULL)", before
    )
