"""The task that makes files: one after another, from the same rows that the API shows."""

import asyncio
import re
import unicodedata
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import structlog

from domain.access import Access, access_of
from domain.clock import Clock
from domain.errors import DomainError, NotFoundError, UnavailableError, invalid
from domain.filters import Condition
from domain.identity.people import people_by_ids
from domain.pages import PageRequest
from domain.ports import EventBus
from domain.pricing.sums import NO_COSTS
from domain.reporting.export_jobs import (
    LEASE,
    ExportJob,
    LostJobError,
    complete,
    expire,
    fail,
    next_job,
    release,
    renew,
    report_progress,
    stumble,
)
from domain.reporting.report_documents import CorrectionLine, part_of
from domain.roles import ExportFormat, ReportBasis, ReportKind, SessionState, UsageDimension
from domain.sessions import sessions_page
from domain.summaries import Bill, bills, counted_sessions, usage_summary
from domain.usage.costs import sum_of
from domain.usage.question import UsageQuestion, UsageRow, UsageSummary
from domain.usage.sessions import CountedSession
from domain.views.report_views import contents_by_report_ids, locked_reports_by_ids, locked_sessions
from domain.wording import english
from exports import cost_tables, tables
from exports.endpoints import MEDIA_TYPES, file_of
from exports.folder import DRAFT, FolderError, folder_trouble, make_room, new_draft, remove, sweep
from exports.tables import About, Cell, Sheet
from exports.words import words_of
from exports.writing import WritingProcess, add_rows, begin_file, begin_sheet, finish_file

POLL_S = 1.0
EXPIRE_EVERY_S = 60.0
PROGRESS_EVERY_S = 0.5
RENEW_EVERY_S = LEASE.total_seconds() / 4
BATCH = 100
"""Rows that are made at once: a few milliseconds of the loop that others wait for."""
_NAMED_IN_FILE = 2
MOST_PRINTED = 5_000
"""A hundred pages: nobody prints what is longer."""

T = TypeVar("T")
R = TypeVar("R")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Made:
    name: str
    row_count: int


class ExportWorker:
    """Makes the files that people ask for, in `folder`, one at a time."""

    def __init__(self, *, folder: Path, writing: WritingProcess, bus: EventBus, clock: Clock) -> None:
        self._folder = folder
        self._writing = writing
        self._bus = bus
        self._clock = clock
        self.most_printed = MOST_PRINTED
        self.renew_every_s = RENEW_EVERY_S

    async def run(self) -> None:
        """Until cancelled."""
        next_expiry = self._clock.monotonic()
        while True:
            if self._clock.monotonic() >= next_expiry:
                await self.expire()
                next_expiry = self._clock.monotonic() + EXPIRE_EVERY_S
            if not await self.make_next():
                await self._clock.sleep(POLL_S)

    async def expire(self) -> None:
        """Files past their time are gone, and so is what was left unfinished."""
        for export_id in await expire(self._clock.now()):
            for kind in MEDIA_TYPES:
                # To let go of a large file takes a file system longer than others can wait.
                await asyncio.to_thread(file_of(self._folder, export_id, kind).unlink, missing_ok=True)
        await asyncio.to_thread(sweep, self._folder, self._clock.now())

    async def make_next(self) -> bool:
        """Whether a file was waiting; it is READY or FAILED now."""
        job = await next_job(self._clock.now())
        if job is None:
            return False
        draft = new_draft(self._folder, job.id)
        is_whole = False
        try:
            made = await self._held(job, self._make(job, draft))
            await self._publish(job, draft, made)
            is_whole = True
        except LostJobError:
            _log.info("an export was cancelled or taken over", export_id=str(job.id))
        except (DomainError, FolderError) as error:
            # The person's rights or the question no longer hold, or there is no room: they are told.
            _log.warning("an export failed", export_id=str(job.id), error=error.message)
            is_final = isinstance(error, DomainError) and not isinstance(error, UnavailableError)
            await fail(job, error.message, is_final=is_final, now=self._clock.now(), bus=self._bus)
        except asyncio.CancelledError:
            # Another worker need not wait for the lease to run out.
            await release(job)
            raise
        except Exception:
            # Nobody foresaw it: perhaps it goes well the next time, perhaps the file is what does it.
            _log.exception("a file could not be made", export_id=str(job.id), kind=job.kind, format=job.format)
            await stumble(job, now=self._clock.now(), bus=self._bus)
        finally:
            if not is_whole:
                # What the process has open of the unfinished file would go on filling the disk.
                self._writing.renew()
            await asyncio.to_thread(remove, draft)
        return True

    async def _held(self, job: ExportJob, work: Coroutine[None, None, T]) -> T:
        """What the work returns; meanwhile the lease is renewed, however long one step takes. LostJobError ends the work."""
        making = asyncio.create_task(work, name=f"export {job.id}")
        try:
            while not making.done():
                await asyncio.wait({making}, timeout=self.renew_every_s)
                if not making.done():
                    await renew(job, now=self._clock.now())
        finally:
            making.cancel()
            await asyncio.wait({making})
        return making.result()

    async def _publish(self, job: ExportJob, draft: Path, made: _Made) -> None:
        """The finished file stands where it is fetched from."""

        def place() -> None:
            with folder_trouble():
                (draft / DRAFT).rename(file_of(self._folder, job.id, job.format))

        with folder_trouble():
            size = (draft / DRAFT).stat().st_size
        await complete(
            job,
            file_name=made.name,
            size_bytes=size,
            row_count=made.row_count,
            now=self._clock.now(),
            bus=self._bus,
            place=place,
        )

    async def _make(self, job: ExportJob, draft: Path) -> _Made:
        access = await access_of(job.user_id, now=self._clock.now())
        access.signed_in()
        made_by = (await people_by_ids(access, [job.user_id]))[job.user_id].name
        make_room(draft)
        file = _File(self, job, str(draft / DRAFT))
        await file.begin()
        if job.source.question is not None:
            return await self._usage(file, access, job.source.question, made_by)
        if job.source.locked_report_id is not None:
            return await self._locked(file, access, job.source.locked_report_id, made_by)
        assert job.source.sessions is not None  # noqa: S101  one of the two is set
        return await self._history(file, access, job.source.sessions, made_by)

    async def _usage(self, file: "_File", access: Access, question: UsageQuestion, made_by: str) -> _Made:
        if file.job.kind is ReportKind.COST:
            return await self._cost(file, access, question, made_by)
        summary = await usage_summary(access, question, with_costs=file.job.kind is ReportKind.SUMMARY)
        person = await _name_of(access, summary, file.job.source.person_id, made_by)
        about = About(made_by, file.words, person=person)
        heading = tables.summary_heading(summary, about)
        count = len(summary.rows)
        sheet = await asyncio.to_thread(tables.summary_sheet, summary, about)
        summary, rows = _apart(summary)
        if file.job.kind is ReportKind.SUMMARY:
            await file.sheet(
                sheet,
                rows,
                tables.summary_row(summary, file.words),
                tables.summary_totals(summary, file.words),
            )
        if _has_sessions(file.job):
            sessions = await file.sessions(heading, counted_sessions(access, question), summary)
            count = sessions if file.job.kind is ReportKind.SESSIONS else count
        if file.job.kind is ReportKind.SUMMARY and file.job.format is ExportFormat.XLSX and _has_hours(question):
            hourly, hours = _apart(await usage_summary(access, _by_hour(question)))
            await file.sheet(
                tables.hours_sheet(hourly, about),
                hours,
                lambda row: tables.hours_row(row, hourly.zone),
                tables.hours_totals(hourly, file.words),
            )
        await file.finish()
        return _Made(_file_name(summary, file.job), count)

    async def _cost(self, file: "_File", access: Access, question: UsageQuestion, made_by: str) -> _Made:
        """What each person pays, and the lines that it is made of: CSV has these alone, paper only one person's."""
        by_person = msgspec.structs.replace(question, group_by=(UsageDimension.USER,), include_idle=False)
        summary = await usage_summary(access, by_person, with_costs=True)
        person = await _name_of(access, summary, file.job.source.person_id, made_by)
        heading = tables.summary_heading(summary, About(made_by, file.words, person=person))
        if file.job.format is not ExportFormat.CSV:
            rows, totals = cost_tables.people_rows(summary, file.words), cost_tables.people_totals(summary, file.words)
            await file.sheet(cost_tables.people_sheet(heading, file.words), deque(rows), lambda row: row, *totals)
        count = len(summary.rows)
        if file.job.format is not ExportFormat.PDF or _is_of_one(file.job):
            count = await file.cost_lines(heading, bills(access, question), summary)
        await file.finish()
        return _Made(_file_name(summary, file.job, "-cost"), count)

    async def _locked(self, file: "_File", access: Access, report_id: UUID, made_by: str) -> _Made:
        """The figures that were locked. As CSV the corrections are in the table of the report; a workbook has a sheet of them."""
        reports = await locked_reports_by_ids(access, [report_id])
        contents = await contents_by_report_ids(access, [report_id])
        if report_id not in contents or report_id not in reports:
            raise NotFoundError(path=("source", "lockedReportId"))
        report, content, person = reports[report_id], contents[report_id], None
        user_id = file.job.source.person_id
        if user_id is not None:
            content, person = await asyncio.to_thread(part_of, content, user_id)
        about = About(made_by, file.words, report, person)
        summary = content.summary
        count, corrections = len(summary.rows), tables.corrections_sheet(content, about)
        is_workbook = file.job.format is not ExportFormat.CSV
        if file.job.kind is ReportKind.SUMMARY and is_workbook:
            await file.sheet(
                await asyncio.to_thread(tables.summary_sheet, summary, about),
                deque(summary.rows),
                tables.summary_row(summary, file.words),
                tables.summary_totals(summary, file.words),
            )
            if content.corrections:
                await file.sheet(
                    corrections,
                    deque(content.corrections),
                    lambda line: tables.corrections_row(line, content, file.words),
                    tables.corrections_totals(content, file.words),
                )
        elif file.job.kind is ReportKind.SUMMARY:
            lines = deque[UsageRow | CorrectionLine]((*summary.rows, *content.corrections))
            await file.sheet(
                corrections,
                lines,
                lambda line: tables.line_of(line, content, file.words),
                tables.corrections_totals(content, file.words),
            )
            count = len(summary.rows) + len(content.corrections)
        if _has_sessions(file.job):
            heading = tables.summary_heading(summary, about)
            sessions = await file.sessions(heading, locked_sessions(access, report, user_id=user_id), summary)
            count = sessions if file.job.kind is ReportKind.SESSIONS else count
        await file.finish()
        return _Made(_file_name(summary, file.job, f"-no-{report.revision}"), count)

    async def _history(self, file: "_File", access: Access, where: Condition, made_by: str) -> _Made:
        at = self._clock.now()
        heading = tables.history_heading(About(made_by, file.words), at)
        count = await file.sessions(heading, _history_batches(access, where, is_printed=file.is_printed), None)
        await file.finish()
        return _Made(f"charge-sessions-{at:%Y-%m-%d}.{file.job.format.lower()}", count)

    async def write(self, function: Callable[..., T], *args: object) -> T:
        """What the function of `exports.writing` returns in the writing process. FolderError when the disk does not take it."""
        with folder_trouble():
            return await self._writing.call(function, *args)

    async def progress(self, job: ExportJob, progress: float) -> None:
        """Whoever watches sees it; the lease is renewed."""
        await report_progress(job, progress, now=self._clock.now(), bus=self._bus)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._clock.monotonic()


class _File:
    """One file being written in the other process."""

    def __init__(self, worker: ExportWorker, job: ExportJob, path: str) -> None:
        self.job = job
        self._worker = worker
        self._path = path
        self._told_at = worker.monotonic()
        self._language = _language(job.locale)
        # CSV is for programs, which look for these words.
        self.words = english if job.format is ExportFormat.CSV else words_of(self._language)

    async def begin(self) -> None:
        await self._worker.write(begin_file, self._path, self.job.format.value, self._language)

    async def sheet(
        self, sheet: Sheet, rows: deque[R], shown: Callable[[R], tuple[Cell, ...]], *totals: tuple[Cell, ...]
    ) -> None:
        """None of the rows is left: to let go of very many at once would hold up everything else."""
        self._check_length(len(rows))
        number = await self._worker.write(begin_sheet, self._path, sheet)
        while rows:
            await self._rows(number, [shown(rows.popleft()) for _ in range(min(BATCH, len(rows)))])
            await self._progress(0.1)
        await self._rows(number, list(totals), is_bold=True)

    async def sessions(
        self,
        heading: tuple[tuple[str, str], ...],
        batches: AsyncIterator[Sequence[CountedSession]],
        summary: UsageSummary | None,
    ) -> int:
        """How many sessions were written, with their total below, in which those that are VOID do not count."""
        number = await self._worker.write(begin_sheet, self._path, tables.session_sheet(heading, self.words))
        expected = max(1, summary.total.session_count) if summary is not None else 10 * BATCH
        count = void = energy_wh = 0
        batch = await _following(batches)
        while batch:
            rows = [tables.session_row(one, _zone(one, summary), self.words) for one in batch]
            count += len(batch)
            self._check_length(count)
            void += sum(one.session.state is SessionState.VOID for one in batch)
            energy_wh += sum(one.energy_wh for one in batch)
            # The next ones are read while these are written.
            _, batch = await together(self._rows(number, rows), _following(batches))
            await self._progress(0.1 + 0.85 * count / expected)
        await self._rows(number, [tables.session_totals(count - void, energy_wh, self.words)], is_bold=True)
        return count

    async def cost_lines(
        self, heading: tuple[tuple[str, str], ...], batches: AsyncIterator[Bill], summary: UsageSummary
    ) -> int:
        """How many lines were written, with their totals below."""
        number = await self._worker.write(begin_sheet, self._path, cost_tables.lines_sheet(heading, self.words))
        expected = max(1, summary.total.session_count)
        count = sessions = 0
        costs = NO_COSTS
        async for bill in batches:
            rows = cost_tables.line_rows(bill, summary.zone, self.words)
            count += len(rows)
            self._check_length(count)
            sessions += len(bill.sessions)
            costs += sum_of(*(line for one in bill.sessions for line in one.lines), *(fee.line for fee in bill.fees))
            await self._rows(number, rows)
            await self._progress(0.1 + 0.85 * sessions / expected)
        await self._rows(number, cost_tables.line_totals(costs, self.words), is_bold=True)
        return count

    @property
    def is_printed(self) -> bool:
        """Whether it is for paper."""
        return self.job.format is ExportFormat.PDF

    def _check_length(self, rows: int) -> None:
        """Returns for what can be printed; the writing process would have all of it in memory."""
        if self.is_printed and rows > self._worker.most_printed:
            most = self._worker.most_printed
            raise invalid("format", f"A PDF has at most {most:,} lines: ask for a shorter period, or for XLSX.")

    async def finish(self) -> None:
        await self._worker.write(finish_file, self._path)

    async def _rows(self, number: int, rows: list[tuple[Cell, ...]], *, is_bold: bool = False) -> None:
        await self._worker.write(add_rows, self._path, number, rows, is_bold)

    async def _progress(self, progress: float) -> None:
        """Told at most so often: each time is a write to the database."""
        now = self._worker.monotonic()
        if now - self._told_at >= PROGRESS_EVERY_S:
            self._told_at = now
            await self._worker.progress(self.job, round(min(0.95, progress), 3))


async def together(first: Awaitable[T], second: Awaitable[R]) -> tuple[T, R]:
    """What both return, done at the same time; both have ended also when one of them fails."""
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(other, BaseException):
        raise other
    return one, other


async def _following(batches: AsyncIterator[Sequence[T]]) -> Sequence[T]:
    """The next batch; an empty one after the last."""
    async for batch in batches:
        return batch
    return ()


def _has_sessions(job: ExportJob) -> bool:
    """Whether the sessions are in the file: on paper only where they are asked for, or explain what one person has to pay or gets back."""
    is_explained = job.format is ExportFormat.XLSX or (job.format is ExportFormat.PDF and _is_of_one(job))
    return job.kind is ReportKind.SESSIONS or is_explained


def _is_of_one(job: ExportJob) -> bool:
    """Whether the file is one person's part."""
    question = job.source.usage
    return job.source.person_id is not None or (question is not None and question.installation_ids is None)


async def _name_of(access: Access, summary: UsageSummary, person_id: UUID | None, made_by: str) -> str | None:
    """The name of the person whose part it is, as whoever asks may know it: today's, else that of their sessions."""
    if person_id is None:
        return None
    if person_id == access.user_id:
        return made_by
    people = await people_by_ids(access, [person_id])
    if person_id in people:
        return people[person_id].name
    question = msgspec.structs.replace(summary.question, group_by=(UsageDimension.USER,), include_idle=False)
    rows = (await usage_summary(access, question)).rows
    return rows[0].labels[0] if rows else "somebody who is not named here"


def _apart(summary: UsageSummary) -> tuple[UsageSummary, deque[UsageRow]]:
    """The summary without its rows, and the rows."""
    return replace(summary, rows=()), deque(summary.rows)


def _has_hours(question: UsageQuestion) -> bool:
    """Whether the energy of each hour is known: only this basis asks when energy was taken."""
    return question.basis is ReportBasis.INTERVAL and question.group_by != (UsageDimension.HOUR,)


def _by_hour(question: UsageQuestion) -> UsageQuestion:
    return msgspec.structs.replace(question, group_by=(UsageDimension.HOUR,), include_idle=False)


async def _history_batches(
    access: Access, where: Condition, *, is_printed: bool
) -> AsyncIterator[list[CountedSession]]:
    """What exists for this person, but on paper, where flags have no column, without what a correction has replaced."""
    after: str | None = None
    while True:
        page = await sessions_page(access, PageRequest(first=BATCH, after=after), where=where)
        rows = [one for one in page.rows if not (is_printed and one.state is SessionState.VOID)]
        if rows:
            yield [CountedSession(one, one.energy_wh or 0, one.started_at) for one in rows]
        if not page.has_next:
            return
        after = page.cursors[-1]


def _zone(one: CountedSession, summary: UsageSummary | None) -> ZoneInfo:
    return summary.zone if summary is not None else ZoneInfo(one.session.time_zone)


def _language(locale: str | None) -> str:
    return re.split("[-_]", locale or "en")[0].lower()


def _file_name(summary: UsageSummary, job: ExportJob, suffix: str = "") -> str:
    period = summary.period
    names = summary.installation_names
    whose = " ".join(names) if len(names) <= _NAMED_IN_FILE else f"{len(names)}-installations"
    if summary.question.installation_ids is None:
        whose = "my-charging"
    plain = unicodedata.normalize(
        "NFKD", whose.replace("ø", "o").replace("Ø", "O").replace("æ", "ae").replace("Æ", "Ae")
    )
    slug = re.sub("[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode().lower()).strip("-")[:60] or "usage"
    return f"{slug}-{period.from_date}-{period.to_date}{suffix}.{job.format.lower()}"
