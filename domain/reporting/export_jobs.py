"""Files being made: taken on by one worker at a time, under a lease that another inherits when the worker dies. Machines only."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import sql
from domain.events import ExportChanged
from domain.ports import EventBus
from domain.reporting.exports import KEPT_FOR, ExportSource, source_from
from domain.roles import DeliveryState, ExportFormat, ExportState, ReportKind

LEASE = timedelta(seconds=60)
"""A worker says more often than this that it is alive; after it, another takes the file up."""

GIVE_UP_AFTER = timedelta(hours=1)
"""What could not be made by then never will be: a file that kills its worker must not come back for ever."""


MOST_STUMBLES = 3
"""What goes wrong as often will go wrong the next time."""

_STUMBLED = (
    f"It went wrong {MOST_STUMBLES} times in a way that nobody foresaw. The operator finds why in the server's log."
)


class LostJobError(Exception):
    """The file was cancelled, or another worker has taken it up."""


@dataclass(slots=True)
class ExportJob:
    """A file that this worker makes; `until` is its lease, and what its writes are recognised by: one after another, under `turn`."""

    id: UUID
    user_id: UUID
    kind: ReportKind
    format: ExportFormat
    source: ExportSource
    locale: str | None
    until: datetime
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


async def next_job(now: datetime) -> ExportJob | None:
    """The file that has waited longest is this worker's, one that somebody asked for before those that are mailed; None when none waits."""
    skip = "" if sql.is_sqlite() else " FOR UPDATE SKIP LOCKED"
    row = await sql.row(_CLAIM.format(skip=skip), now + LEASE, now, now - GIVE_UP_AFTER)
    if row is None:
        return None
    source, locale = source_from(row["parameters"])
    return ExportJob(
        id=sql.uuid_of(row["id"]),
        user_id=sql.uuid_of(row["user_id"]),
        kind=ReportKind(row["kind"]),
        format=ExportFormat(row["format"]),
        source=source,
        locale=locale,
        until=now + LEASE,
    )


async def report_progress(job: ExportJob, progress: float, *, now: datetime, bus: EventBus) -> None:
    """The lease is renewed, and whoever watches sees how far the file is. LostJobError when it is no longer this worker's."""
    await _renewed(job, _PROGRESS, progress, now=now)
    await bus.publish(ExportChanged(export_id=job.id, state=ExportState.RUNNING, progress=progress))


async def renew(job: ExportJob, *, now: datetime) -> None:
    """The lease is renewed. LostJobError when the file is no longer this worker's."""
    await _renewed(job, _RENEW, now=now)


async def _renewed(job: ExportJob, statement: str, *values: object, now: datetime) -> None:
    async with job.turn:
        if not await sql.execute(statement, job.id, job.until, now + LEASE, *values):
            raise LostJobError
        job.until = now + LEASE


async def complete(
    job: ExportJob,
    *,
    file_name: str,
    size_bytes: int,
    row_count: int,
    now: datetime,
    bus: EventBus,
    place: Callable[[], None],
) -> None:
    """The file can be fetched for 24 hours. `place` puts it where it is fetched from, and what it raises leaves everything as it was.

    LostJobError when the file is no longer this worker's: then nothing is put anywhere, as another's may stand there.
    """
    async with job.turn, in_transaction():
        changed = await sql.execute(_COMPLETE, job.id, job.until, now, now + KEPT_FOR, file_name, size_bytes, row_count)
        if not changed:
            raise LostJobError
        place()
    await bus.publish(ExportChanged(export_id=job.id, state=ExportState.READY, progress=1.0))


async def fail(job: ExportJob, error: str, *, is_final: bool, now: datetime, bus: EventBus) -> None:
    """The file is not made; `error` tells the person why. Nothing changes when it is no longer this worker's.

    `is_final`: no attempt would end otherwise, so that a mail which it was made for is not sent, for the same reason.
    """
    async with in_transaction():
        is_mine = await sql.execute(_FAIL, job.id, job.until, now, error[:500])
        if is_mine and is_final:
            await sql.execute(_FAIL_DELIVERY, job.id, now, error[:500])
    if is_mine:
        await bus.publish(ExportChanged(export_id=job.id, state=ExportState.FAILED, progress=0.0))


async def stumble(job: ExportJob, *, now: datetime, bus: EventBus) -> None:
    """That something went wrong which nobody foresaw is remembered: the file is tried again when the lease has run out, after the others,
    and has FAILED, as has a mail that it was made for, after `MOST_STUMBLES`.
    """
    row = await sql.row(_STUMBLE, job.id, job.until)
    if row is not None and row["stumbles"] >= MOST_STUMBLES:
        await fail(job, _STUMBLED, is_final=True, now=now, bus=bus)


async def release(job: ExportJob) -> None:
    """Another worker may take the file up at once: this one is ending."""
    await sql.execute(_RELEASE, job.id, job.until)


async def expire(now: datetime) -> list[UUID]:
    """Files that are past their time, now EXPIRED, FAILED or CANCELLED: their bytes can go."""
    await sql.execute(_GIVE_UP, now, now - GIVE_UP_AFTER)
    expired = await sql.rows(_EXPIRE, now)
    return [sql.uuid_of(row["id"]) for row in expired]


@dataclass(frozen=True, slots=True)
class Download:
    """A file that can be fetched."""

    id: UUID
    file_name: str
    format: ExportFormat


async def download(export_id: UUID, *, now: datetime) -> Download | None:
    """The file, for whoever holds its signed link; None when it is not ready or no longer kept."""
    row = await sql.row(_DOWNLOAD, export_id, now)
    return None if row is None else Download(export_id, row["file_name"], ExportFormat(row["format"]))


_CLAIM = f"""
UPDATE exports SET state = '{ExportState.RUNNING}', claimed_until = $1, progress = 0
WHERE id = (
    SELECT id FROM exports
    WHERE (state = '{ExportState.QUEUED}' OR (state = '{ExportState.RUNNING}' AND claimed_until <= $2)) AND created_at > $3
    ORDER BY delivery_id IS NOT NULL, created_at, id LIMIT 1{{skip}}
)
RETURNING id, user_id, kind, format, parameters
"""  # noqa: S608  enums' values
_MINE = f"id = $1 AND claimed_until = $2 AND state = '{ExportState.RUNNING}'"
_PROGRESS = f"UPDATE exports SET claimed_until = $3, progress = $4 WHERE {_MINE}"  # noqa: S608
_RENEW = f"UPDATE exports SET claimed_until = $3 WHERE {_MINE}"  # noqa: S608
_COMPLETE = f"""
UPDATE exports SET state = '{ExportState.READY}', progress = 1, finished_at = $3, expires_at = $4, file_name = $5,
    size_bytes = $6, row_count = $7, claimed_until = NULL
WHERE {_MINE}
"""  # noqa: S608
_STUMBLE = f"UPDATE exports SET stumbles = COALESCE(stumbles, 0) + 1 WHERE {_MINE} RETURNING stumbles"  # noqa: S608
_FAIL = f"""
UPDATE exports SET state = '{ExportState.FAILED}', finished_at = $3, error = $4, claimed_until = NULL WHERE {_MINE}
"""  # noqa: S608
_FAIL_DELIVERY = f"""
UPDATE report_deliveries SET state = '{DeliveryState.FAILED}', at = $2, error = $3
WHERE id = (SELECT delivery_id FROM exports WHERE id = $1) AND state = '{DeliveryState.WAITING}'
"""  # noqa: S608
_RELEASE = f"UPDATE exports SET state = '{ExportState.QUEUED}', claimed_until = NULL WHERE {_MINE}"  # noqa: S608
_GIVE_UP = f"""
UPDATE exports SET state = '{ExportState.FAILED}', finished_at = $1, error = 'It could not be made within an hour.'
WHERE state IN ('{ExportState.QUEUED}', '{ExportState.RUNNING}') AND created_at <= $2
"""  # noqa: S608
_EXPIRE = f"""
UPDATE exports SET state = '{ExportState.EXPIRED}' WHERE state = '{ExportState.READY}' AND expires_at <= $1 RETURNING id
"""  # noqa: S608
_DOWNLOAD = f"""
SELECT file_name, format FROM exports WHERE id = $1 AND state = '{ExportState.READY}' AND expires_at > $2
"""  # noqa: S608
