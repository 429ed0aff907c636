"""Files that people ask for: what may be asked, how far each is, and that everybody sees their own only."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from tortoise.transactions import in_transaction

from domain import sql
from domain.access import Access
from domain.errors import NotFoundError, RateLimitedError, invalid
from domain.events import ExportChanged
from domain.filters import Condition, check_size
from domain.ids import new_id
from domain.models import Export
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.ports import EventBus
from domain.reporting.report_documents import part_of
from domain.reporting.stored_filters import filter_from, filter_to
from domain.roles import ExportFormat, ExportState, ReportKind
from domain.summaries import check_may_ask
from domain.usage.question import UsageQuestion
from domain.views.report_views import contents_by_report_ids, locked_reports_by_ids

KEPT_FOR = timedelta(hours=24)
MOST_UNFINISHED = 5
UNFINISHED = (ExportState.QUEUED, ExportState.RUNNING)


@dataclass(frozen=True, slots=True)
class ExportSource:
    """What a file is made of: a usage summary (without installations: of one's own sessions), a locked report, or history by a filter.

    `person_id`: only the part of that person, as whoever pays it back wants to see it; of a summary, one's own sessions, or a
    locked report by person.
    """

    usage: UsageQuestion | None = None
    sessions: Condition | None = None
    locked_report_id: UUID | None = None
    person_id: UUID | None = None

    @property
    def question(self) -> UsageQuestion | None:
        """The question of the summary, narrowed to the person; one's own sessions are that already."""
        if self.usage is None or self.person_id is None or self.usage.installation_ids is None:
            return self.usage
        where = msgspec.structs.replace(self.usage.where, user_ids=(self.person_id,))
        return msgspec.structs.replace(self.usage, where=where)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRow:
    """A file, and how far it is. `progress` is from 0 to 1."""

    id: UUID
    user_id: UUID
    kind: ReportKind
    format: ExportFormat
    state: ExportState
    created_at: datetime
    progress: float
    row_count: int | None
    file_name: str | None
    size_bytes: int | None
    expires_at: datetime | None
    error: str | None


async def create_export(
    access: Access,
    source: ExportSource,
    *,
    kind: ReportKind = ReportKind.SUMMARY,
    format: ExportFormat = ExportFormat.XLSX,
    locale: str | None = None,
    bus: EventBus,
) -> UUID:
    """The id of a file that will be made; the asker's rights are looked at now and again when it is made.

    NotFoundError and ValidationError as a usage summary; RateLimitedError while five of the asker's files are unfinished.
    """
    user_id = access.person()
    await _check(access, source, kind)
    export = Export(
        id=new_id(),
        user_id=user_id,
        kind=kind,
        format=format,
        parameters=parameters_of(source, locale),
        created_at=access.now,
    )
    async with in_transaction():
        # A write to the person's row first: whoever else is asking in their name waits here, so that nobody gets past the limit.
        await sql.execute("UPDATE users SET is_active = is_active WHERE id = $1", user_id)
        unfinished = await Export.filter(user_id=user_id, state__in=UNFINISHED, delivery_id=None).count()
        if unfinished >= MOST_UNFINISHED:
            raise RateLimitedError(
                f"{unfinished} of your files are still being made; wait for one of them, or cancel it.",
                retry_after_s=10,
            )
        await export.save(force_create=True)
    await bus.publish(ExportChanged(export_id=export.id, state=ExportState.QUEUED, progress=0.0))
    return export.id


async def cancel_export(access: Access, export_id: UUID, *, bus: EventBus) -> UUID:
    """The file is not made any more; one that is finished stays as it is. NotFoundError when it is not the asker's."""
    user_id = access.person()
    async with in_transaction():
        changed = await sql.execute(_CANCEL, export_id, user_id, access.now)
        row = await Export.get_or_none(id=export_id, user_id=user_id)
    if row is None:
        raise NotFoundError(path=("exportId",))
    if changed:
        await bus.publish(ExportChanged(export_id=export_id, state=row.state, progress=row.progress))
    return export_id


_CANCEL = f"""
UPDATE exports SET state = '{ExportState.CANCELLED}', finished_at = $3
WHERE id = $1 AND user_id = $2 AND state IN ('{ExportState.QUEUED}', '{ExportState.RUNNING}')
"""  # noqa: S608  enums' values


async def _check(access: Access, source: ExportSource, kind: ReportKind) -> None:
    if [source.usage, source.sessions, source.locked_report_id].count(None) != 2:
        raise invalid("source", "Name one source of the file.")
    if source.person_id is not None and source.locked_report_id is None:
        _check_person(access, source)
    if source.question is not None:
        await check_may_ask(access, source.question)
    if kind is ReportKind.COST and source.usage is None:
        raise invalid("kind", "COST is of a period as of now: use `usage` or `own`.")
    if source.locked_report_id is not None:
        await _check_locked(access, source.locked_report_id, source.person_id)
    if source.sessions is not None:
        check_size(source.sessions, path="source")
        if kind is not ReportKind.SESSIONS:
            raise invalid("kind", "History is exported as SESSIONS; a SUMMARY needs a period: use `usage` or `own`.")


async def _check_locked(access: Access, report_id: UUID, person_id: UUID | None) -> None:
    """Returns for a report that there is for the asker, and for a person of whom it says something."""
    if not await locked_reports_by_ids(access, [report_id]):
        raise NotFoundError(path=("source", "lockedReportId"))
    if person_id is not None:
        contents = await contents_by_report_ids(access, [report_id])
        part_of(contents[report_id], person_id)


def _check_person(access: Access, source: ExportSource) -> None:
    """Returns for a part that there is; whether the person is somebody whom the asker may see is told by the question itself."""
    if source.usage is None:
        raise invalid(
            "userId",
            "A person's part is made of `usage`, `own` or a locked report; history is narrowed by its own filter.",
        )
    chosen = source.usage.where.user_ids
    is_stranger = source.usage.installation_ids is None and source.person_id != access.user_id
    if is_stranger or (chosen is not None and source.person_id not in chosen):
        raise NotFoundError(path=("userId",))


def parameters_of(source: ExportSource, locale: str | None) -> str:
    """What was asked, as it is kept."""
    content: dict[str, object] = {"locale": locale}
    if source.usage is not None:
        content["usage"] = msgspec.to_builtins(source.usage)
    if source.sessions is not None:
        content["sessions"] = filter_to(source.sessions)
    if source.locked_report_id is not None:
        content["lockedReportId"] = str(source.locked_report_id)
    if source.person_id is not None:
        content["userId"] = str(source.person_id)
    return json.dumps(content)


def source_from(parameters: str) -> tuple[ExportSource, str | None]:
    """What was asked and in which locale, as it was kept."""
    content: dict[str, Any] = json.loads(parameters)
    usage, sessions, report = content.get("usage"), content.get("sessions"), content.get("lockedReportId")
    source = ExportSource(
        usage=None if usage is None else msgspec.convert(usage, UsageQuestion),
        sessions=None if sessions is None else filter_from(sessions),
        locked_report_id=None if report is None else UUID(report),
        person_id=UUID(content["userId"]) if "userId" in content else None,
    )
    return source, content.get("locale")


_COLUMNS = """
    e.id, e.user_id, e.kind, e.format, e.state, e.created_at, e.progress, e.row_count, e.file_name, e.size_bytes,
    e.expires_at, e.error
"""
_NEWEST_FIRST = (
    SortKey("e.created_at", "created_at", KeyKind.INSTANT, is_descending=True),
    SortKey("e.id", "id", KeyKind.ID, is_descending=True),
)


async def exports_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, ExportRow]:
    """The asker's own files among `ids`, by id."""
    if access.user_id is None:
        return {}
    arguments: list[object] = [access.user_id]
    condition = sql.any_of("e.id", list(ids), arguments)
    rows = await sql.rows(
        f"SELECT {_COLUMNS} FROM exports e WHERE e.user_id = $1 AND e.delivery_id IS NULL AND {condition}",  # noqa: S608
        *arguments,
    )
    return {row.id: row for row in (_row(found, access.now) for found in rows)}


async def exports_page(access: Access, request: PageRequest) -> Page[ExportRow]:
    """One page of the asker's files, newest first."""
    if access.user_id is None:
        return empty_page()
    arguments: list[object] = [access.user_id]
    found = keyset(_NEWEST_FIRST, request, arguments)
    statement = (
        f"SELECT {_COLUMNS} FROM exports e WHERE e.user_id = $1 AND e.delivery_id IS NULL AND {found.where}"  # noqa: S608
        f" ORDER BY {found.order_by} LIMIT {found.limit}"
    )
    rows = await sql.rows(statement, *arguments)
    return page_of(rows, found, request, lambda row: _row(row, access.now))


def _row(row: Mapping[str, Any], now: datetime) -> ExportRow:
    state, expires_at = ExportState(row["state"]), sql.optional_instant_of(row["expires_at"])
    if state is ExportState.READY and expires_at is not None and expires_at <= now:
        state = ExportState.EXPIRED
    return ExportRow(
        id=sql.uuid_of(row["id"]),
        user_id=sql.uuid_of(row["user_id"]),
        kind=ReportKind(row["kind"]),
        format=ExportFormat(row["format"]),
        state=state,
        created_at=sql.instant_of(row["created_at"]),
        progress=row["progress"],
        row_count=row["row_count"],
        file_name=row["file_name"],
        size_bytes=row["size_bytes"],
        expires_at=expires_at,
        error=row["error"],
    )
