"""The door for scheduled reports that are due: planned once, each made and sent once, and what became of it. Machines only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from tortoise.transactions import in_transaction

from domain import outbox, sql
from domain.access import Access, access_of
from domain.ids import new_id
from domain.models import Export, ReportDelivery
from domain.outbox import Claimed
from domain.periods import Period
from domain.reporting.exports import ExportSource, parameters_of
from domain.reporting.report_schedules import due_after, month_of
from domain.roles import DeliveryState, ExportFormat, ExportState, ReportBasis, ReportKind, UsageDimension
from domain.summaries import usage_summary
from domain.usage.question import UsageQuestion

REPORT: Final = "report"
"""The kind of message in the outbox."""
NOT_THEIRS: Final = "Who made the schedule does not own the installation any more: another owner makes a new one."
NO_ADDRESS: Final = "This person has no proven e-mail address."


@dataclass(frozen=True, slots=True)
class _Due:
    """A schedule of which a report is due."""

    id: UUID
    installation_id: UUID
    created_by_id: UUID
    basis: ReportBasis
    is_per_person: bool
    recipients: tuple[str, ...]
    next_at: datetime
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class _Recipient:
    """Whom a report goes to; `user_id`: their own part. `error`: why it cannot."""

    subject: str
    shown: str
    user_id: UUID | None = None
    error: str | None = None


async def plan_next(now: datetime) -> bool:
    """Whether a schedule was due: the deliveries of its month are there now, each once however often this is done, and its next is in a
    month. A portal that was down plans every month that it missed.
    """
    async with in_transaction():
        due = await _due(now)
        if due is None:
            return False
        period = month_of(due.next_at, due.zone)
        for one in await _recipients(due, period, now):
            await _plan(due, period, one, now)
        await sql.execute(
            "UPDATE report_schedules SET next_at = $2 WHERE id = $1", due.id, due_after(due.next_at, due.zone)
        )
    return True


async def _due(now: datetime) -> _Due | None:
    skip = "" if sql.is_sqlite() else " FOR UPDATE OF s SKIP LOCKED"
    row = await sql.row(
        "SELECT s.id, s.installation_id, s.created_by_id, s.basis, s.is_per_person, s.recipients, s.next_at, i.time_zone"  # noqa: S608
        " FROM report_schedules s JOIN installations i ON i.id = s.installation_id"
        f" WHERE s.removed_at IS NULL AND s.next_at <= $1 ORDER BY s.next_at, s.id LIMIT 1{skip}",
        now,
    )
    if row is None:
        return None
    return _Due(
        sql.uuid_of(row["id"]),
        sql.uuid_of(row["installation_id"]),
        sql.uuid_of(row["created_by_id"]),
        ReportBasis(row["basis"]),
        bool(row["is_per_person"]),
        tuple(json.loads(row["recipients"])),
        sql.instant_of(row["next_at"]),
        ZoneInfo(row["time_zone"]),
    )


async def _recipients(due: _Due, period: Period, now: datetime) -> list[_Recipient]:
    access = await access_of(due.created_by_id, now=now)
    error = None if access.sees_reports_of(due.installation_id) else NOT_THEIRS
    found = [_Recipient(address, address, error=error) for address in due.recipients]
    if due.is_per_person and error is None:
        found += await _people(access, due, period)
    elif due.is_per_person:
        found.append(_Recipient("everybody", "everybody who charged", error=error))
    return found


async def _people(access: Access, due: _Due, period: Period) -> list[_Recipient]:
    """Everybody who charged in the month, by name; those without a proven address with the reason."""
    question = UsageQuestion(
        from_date=period.from_date,
        to_date=period.to_date,
        installation_ids=(due.installation_id,),
        time_zone=period.zone.key,
        group_by=(UsageDimension.USER,),
        basis=due.basis,
    )
    summary = await usage_summary(access, question)
    names = {row.group[0].id: row.labels[0] for row in summary.rows}
    people = sorted(one for one in names if one is not None)
    reached = await _proven_addresses(people)
    return [_Recipient(f"user:{one}", names[one], one, None if one in reached else NO_ADDRESS) for one in people]


async def _proven_addresses(user_ids: Sequence[UUID]) -> dict[UUID, str]:
    found: dict[UUID, str] = {}
    for some in sql.in_chunks(user_ids):
        arguments: list[object] = []
        condition = sql.any_of("id", some, arguments)
        rows = await sql.rows(
            f"SELECT id, email FROM users WHERE {condition} AND email IS NOT NULL AND email_verified_at IS NOT NULL"  # noqa: S608
            " AND is_active AND erased_at IS NULL",
            *arguments,
        )
        found |= {sql.uuid_of(row["id"]): row["email"] for row in rows}
    return found


_PLANNED = """
INSERT INTO report_deliveries (id, schedule_id, from_date, to_date, subject, user_id, recipient, state, planned_at, at, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (schedule_id, from_date, subject) DO NOTHING RETURNING id
"""


async def _plan(due: _Due, period: Period, one: _Recipient, now: datetime) -> None:
    delivery_id = new_id()
    is_new = await sql.rows(
        _PLANNED,
        delivery_id,
        due.id,
        period.from_date,
        period.to_date,
        one.subject,
        one.user_id,
        one.shown[:254],
        DeliveryState.WAITING if one.error is None else DeliveryState.FAILED,
        now,
        None if one.error is None else now,
        one.error,
    )
    if is_new and one.error is None:
        await outbox.put(REPORT, str(delivery_id), now=now)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A report that is to be sent. `address` None: there is none any more; `is_theirs`: who made the schedule may still see it."""

    id: UUID
    installation_id: UUID
    installation_name: str
    period: Period
    user_id: UUID | None
    address: str | None
    name: str | None
    kind: ReportKind
    format: ExportFormat
    basis: ReportBasis
    group_by: tuple[UsageDimension, ...]
    made_by_id: UUID
    made_by: str
    is_theirs: bool
    export_id: UUID | None


async def waiting(message: Claimed, *, now: datetime) -> Delivery | None:
    """What the message asks for; None when it was sent, failed or withdrawn meanwhile."""
    row = await sql.row(_DELIVERY, UUID(message.payload), DeliveryState.WAITING)
    if row is None:
        return None
    user_id, maker = sql.optional_uuid_of(row["user_id"]), sql.uuid_of(row["created_by_id"])
    address: str | None = row["subject"]
    if user_id is not None:
        address = (await _proven_addresses([user_id])).get(user_id)
    installation_id = sql.uuid_of(row["installation_id"])
    access = await access_of(maker, now=now)
    return Delivery(
        id=sql.uuid_of(row["id"]),
        installation_id=installation_id,
        installation_name=row["installation_name"],
        period=Period(sql.date_of(row["from_date"]), sql.date_of(row["to_date"]), ZoneInfo(row["time_zone"])),
        user_id=user_id,
        address=address,
        name=row["person_name"],
        kind=ReportKind(row["kind"]),
        format=ExportFormat(row["format"]),
        basis=ReportBasis(row["basis"]),
        group_by=tuple(map(UsageDimension, row["group_by"].split(","))),
        made_by_id=maker,
        made_by=row["made_by"] or "the owner",
        is_theirs=access.sees_reports_of(installation_id),
        export_id=sql.optional_uuid_of(row["export_id"]),
    )


_DELIVERY = """
SELECT d.id, d.from_date, d.to_date, d.subject, d.user_id, d.export_id, s.kind, s.format, s.basis, s.group_by, s.created_by_id,
  s.installation_id, i.name AS installation_name, i.time_zone, m.name AS made_by, u.name AS person_name
FROM report_deliveries d JOIN report_schedules s ON s.id = d.schedule_id JOIN installations i ON i.id = s.installation_id
LEFT JOIN users m ON m.id = s.created_by_id LEFT JOIN users u ON u.id = d.user_id
WHERE d.id = $1 AND d.state = $2
"""


@dataclass(frozen=True, slots=True)
class Made:
    """How far the file of a delivery is."""

    export_id: UUID
    state: ExportState
    file_name: str | None
    size_bytes: int
    expires_at: datetime | None
    error: str | None


async def made(delivery: Delivery) -> Made | None:
    """Its file; None where none was asked for."""
    if delivery.export_id is None:
        return None
    row = await sql.row(
        "SELECT id, state, file_name, size_bytes, expires_at, error FROM exports WHERE id = $1", delivery.export_id
    )
    if row is None:
        return None
    return Made(
        sql.uuid_of(row["id"]),
        ExportState(row["state"]),
        row["file_name"],
        int(row["size_bytes"] or 0),
        sql.optional_instant_of(row["expires_at"]),
        row["error"],
    )


async def ask_for_file(delivery: Delivery, *, now: datetime) -> None:
    """The file will be made, by the right of who made the schedule; of a person's own part only what is theirs."""
    question = UsageQuestion(
        from_date=delivery.period.from_date,
        to_date=delivery.period.to_date,
        installation_ids=(delivery.installation_id,),
        time_zone=delivery.period.zone.key,
        group_by=delivery.group_by,
        basis=delivery.basis,
    )
    async with in_transaction():
        export = await Export.create(
            id=new_id(),
            user_id=delivery.made_by_id,
            kind=delivery.kind,
            format=delivery.format,
            parameters=parameters_of(ExportSource(usage=question, person_id=delivery.user_id), None),
            created_at=now,
            delivery_id=delivery.id,
        )
        await ReportDelivery.filter(id=delivery.id).update(export_id=export.id)


async def forget_file(delivery: Delivery) -> None:
    """The next attempt asks for a new one."""
    await ReportDelivery.filter(id=delivery.id).update(export_id=None)


async def sent(message: Claimed, delivery: Delivery, *, is_attached: bool, now: datetime) -> None:
    """The mail is with the server. A file that was attached is of no use any more."""
    async with in_transaction():
        await _settle(delivery.id, DeliveryState.SENT, None, now)
        await outbox.done(message, now=now)
        if is_attached and delivery.export_id is not None:
            await sql.execute("UPDATE exports SET expires_at = $2 WHERE id = $1", delivery.export_id, now)


async def failed(message: Claimed, delivery: Delivery, *, error: str, now: datetime) -> None:
    """It will never be sent; the owner sees why."""
    async with in_transaction():
        await _settle(delivery.id, DeliveryState.FAILED, error, now)
        await outbox.fail(message, error=error, now=now)


async def put_off(message: Claimed, delivery: Delivery, *, error: str, now: datetime) -> None:
    """It is tried again later, each time twice as late, for 72 hours; the owner sees why it waits."""
    async with in_transaction():
        state = DeliveryState.FAILED if outbox.is_given_up(message, now=now) else DeliveryState.WAITING
        await _settle(delivery.id, state, error, now)
        await outbox.retry(message, error=error, now=now)


async def _settle(delivery_id: UUID, state: DeliveryState, error: str | None, now: datetime) -> None:
    await sql.execute(
        "UPDATE report_deliveries SET state = $2, at = $3, error = $4 WHERE id = $1 AND state = $5",
        delivery_id,
        state,
        now,
        None if error is None else error[:500],
        DeliveryState.WAITING,
    )
