"""Reports that are sent every month: who has them, by whose right, and what became of each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import REPORTERS, Access
from domain.checks import Problems
from domain.equipment.installations import managed
from domain.errors import ErrorCode, NotFoundError
from domain.ids import new_id
from domain.models import ReportSchedule
from domain.periods import Period
from domain.roles import DeliveryState, ExportFormat, ReportBasis, ReportKind, UsageDimension
from domain.usage.question import UsageQuestion, check_question

SENT_AT: Final = time(6)
"""On the first of the month, by the installation's clock: what was charged in the last night has arrived by then."""
MOST_SCHEDULES: Final = 20
"""Of one installation: a list of them is shown whole."""
MOST_RECIPIENTS: Final = 20
SHOWN_DELIVERIES: Final = 24


@dataclass(frozen=True, slots=True)
class ScheduleWish:
    """What is to be sent. `is_per_person`: everybody who charged gets their own part; `recipients` get the whole of it in any case."""

    kind: ReportKind = ReportKind.SUMMARY
    format: ExportFormat = ExportFormat.XLSX
    basis: ReportBasis = ReportBasis.REGISTERED
    group_by: tuple[UsageDimension, ...] = (UsageDimension.CHARGER,)
    is_per_person: bool = False
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """What became of the report of one month to one recipient; `at` is when that was."""

    period: Period
    recipient: str
    state: DeliveryState
    at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule, with its newest deliveries."""

    id: UUID
    installation_id: UUID
    kind: ReportKind
    format: ExportFormat
    basis: ReportBasis
    group_by: tuple[UsageDimension, ...]
    is_per_person: bool
    recipients: tuple[str, ...]
    next_at: datetime
    deliveries: tuple[DeliveryRow, ...]


async def create_report_schedule(access: Access, installation_id: UUID, wish: ScheduleWish) -> UUID:
    """From now on the report of each month is sent on the first of the next. For its OWNER, and by their right as long as they hold it.

    ValidationError names what is wrong, also each address that is none.
    """
    async with in_transaction():
        site = await managed(access, installation_id, REPORTERS)
        recipients = await _checked(wish, installation_id)
        row = ReportSchedule(
            id=new_id(),
            installation_id=installation_id,
            kind=wish.kind,
            format=wish.format,
            basis=wish.basis,
            group_by=",".join(wish.group_by),
            is_per_person=wish.is_per_person,
            recipients=json.dumps(recipients, ensure_ascii=False),
            created_by_id=access.person(),
            created_at=access.now,
            next_at=due_after(access.now, ZoneInfo(site.time_zone)),
        )
        await row.save(force_create=True)
        await _audit(access, "report_schedule.create", row, None, _state(row))
    return row.id


async def _checked(wish: ScheduleWish, installation_id: UUID) -> list[str]:
    """The addresses, each once."""
    check_question(UsageQuestion(from_date=date.min, to_date=date.max, group_by=wish.group_by))
    problems = Problems()
    found = [problems.email(("recipients", str(place)), one) for place, one in enumerate(wish.recipients)]
    addresses = list(dict.fromkeys(found))
    if not addresses and not wish.is_per_person:
        problems.add("recipients", "Name at least one address.")
    if len(addresses) > MOST_RECIPIENTS:
        problems.add(
            "recipients", f"A report is sent to at most {MOST_RECIPIENTS} addresses.", ErrorCode.LIMIT_EXCEEDED
        )
    if await ReportSchedule.filter(installation_id=installation_id, removed_at=None).count() >= MOST_SCHEDULES:
        message = f"An installation has at most {MOST_SCHEDULES} schedules."
        problems.add("installationId", message, ErrorCode.LIMIT_EXCEEDED)
    problems.raise_any()
    return addresses


async def remove_report_schedule(access: Access, schedule_id: UUID) -> None:
    """Nothing more is sent, nor what waits to be. NotFoundError for all but OWNER of its installation."""
    async with in_transaction():
        row = await ReportSchedule.get_or_none(id=schedule_id, removed_at=None)
        if row is None or not access.sees_reports_of(row.installation_id):
            access.signed_in()
            raise NotFoundError(path=("id",))
        await managed(access, row.installation_id, REPORTERS, path=("id",))
        if not await ReportSchedule.filter(id=schedule_id, removed_at=None).update(removed_at=access.now):
            raise NotFoundError(path=("id",))
        await sql.execute(
            "UPDATE report_deliveries SET state = $2, at = $3, error = $4 WHERE schedule_id = $1 AND state = $5",
            schedule_id,
            DeliveryState.FAILED,
            access.now,
            "The schedule was removed before it was sent.",
            DeliveryState.WAITING,
        )
        await _audit(access, "report_schedule.remove", row, _state(row), None)


def due_after(instant: datetime, zone: ZoneInfo) -> datetime:
    """The next first of a month at which reports are sent, in UTC."""
    day = instant.astimezone(zone).date().replace(day=1)
    while (due := datetime.combine(day, SENT_AT, zone).astimezone(UTC)) <= instant:
        day = (day + timedelta(days=31)).replace(day=1)
    return due


def month_of(due: datetime, zone: ZoneInfo) -> Period:
    """The month that is reported then: the one before."""
    until = due.astimezone(zone).date().replace(day=1)
    return Period((until - timedelta(days=1)).replace(day=1), until, zone)


async def schedules_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, ScheduleRow]:
    """Those among `ids` that exist for this person, by id."""
    arguments: list[object] = []
    return {row.id: row for row in await _read(access, sql.any_of("s.id", list(ids), arguments), arguments)}


async def schedules_of(access: Access, installation_id: UUID) -> Sequence[ScheduleRow]:
    """Those of an installation, the oldest first; none for who does not own it."""
    return await _read(access, "s.installation_id = $1", [installation_id])


async def _read(access: Access, condition: str, arguments: list[object]) -> list[ScheduleRow]:
    visible = sql.any_of("s.installation_id", access.installations_with(REPORTERS), arguments)
    rows = await sql.rows(
        "SELECT s.id, s.installation_id, s.kind, s.format, s.basis, s.group_by, s.is_per_person, s.recipients, s.next_at,"  # noqa: S608
        " i.time_zone FROM report_schedules s JOIN installations i ON i.id = s.installation_id"
        f" WHERE s.removed_at IS NULL AND {condition} AND {visible} ORDER BY s.created_at, s.id",
        *arguments,
    )
    return [_row(row, await _deliveries(sql.uuid_of(row["id"]), ZoneInfo(row["time_zone"]))) for row in rows]


async def _deliveries(schedule_id: UUID, zone: ZoneInfo) -> tuple[DeliveryRow, ...]:
    rows = await sql.rows(
        "SELECT from_date, to_date, recipient, state, at, error FROM report_deliveries WHERE schedule_id = $1"
        " ORDER BY planned_at DESC, id DESC LIMIT $2",
        schedule_id,
        SHOWN_DELIVERIES,
    )
    return tuple(
        DeliveryRow(
            Period(sql.date_of(row["from_date"]), sql.date_of(row["to_date"]), zone),
            row["recipient"],
            DeliveryState(row["state"]),
            sql.optional_instant_of(row["at"]),
            row["error"],
        )
        for row in rows
    )


def _row(row: Mapping[str, Any], deliveries: tuple[DeliveryRow, ...]) -> ScheduleRow:
    return ScheduleRow(
        id=sql.uuid_of(row["id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        kind=ReportKind(row["kind"]),
        format=ExportFormat(row["format"]),
        basis=ReportBasis(row["basis"]),
        group_by=tuple(map(UsageDimension, row["group_by"].split(","))),
        is_per_person=bool(row["is_per_person"]),
        recipients=tuple(json.loads(row["recipients"])),
        next_at=sql.instant_of(row["next_at"]),
        deliveries=deliveries,
    )


async def _audit(
    access: Access, action: str, row: ReportSchedule, before: audit.State | None, after: audit.State | None
) -> None:
    await audit.record(
        access, action, "ReportSchedule", row.id, installation_id=row.installation_id, before=before, after=after
    )


def _state(row: ReportSchedule) -> audit.State:
    """How many have it, not who: addresses are in the schedule, from which they can be erased."""
    return {
        "kind": row.kind,
        "format": row.format,
        "basis": row.basis,
        "groupBy": row.group_by,
        "isPerPerson": row.is_per_person,
        "recipientCount": len(json.loads(row.recipients)),
    }
