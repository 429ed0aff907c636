"""Files from asking to fetching."""

import asyncio
import csv
import errno
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import UUID

import httpx
import pytest
from openpyxl import load_workbook
from pypdf import PdfReader
from python_calamine import CalamineWorkbook
from starlette.applications import Starlette

from domain.errors import NotFoundError, RateLimitedError, ValidationError
from domain.events import ExportChanged
from domain.filters import ANYTHING, Comparison, Every, Not, Some, Term
from domain.ids import new_id
from domain.models import ChargeSession, Export, Permission
from domain.pages import PageRequest
from domain.pricing.money import MICRO
from domain.pricing.parts import TariffPart
from domain.reporting.export_jobs import LEASE, LostJobError, complete, next_job, report_progress
from domain.reporting.exports import (
    ExportRow,
    ExportSource,
    cancel_export,
    create_export,
    exports_by_ids,
    exports_page,
)
from domain.reporting.reports import LockWish, lock_report
from domain.reporting.stored_filters import filter_from, filter_to
from domain.roles import (
    CostUnit,
    DateQuality,
    ExportFormat,
    ExportState,
    ReportBasis,
    ReportKind,
    SessionFlag,
    SessionState,
    UsageDimension,
)
from domain.sessions import sessions_page
from domain.summaries import usage_summary
from domain.usage.question import UsageFilter, UsageQuestion
from domain.views.report_views import locked_reports_by_ids
from exports.endpoints import export_routes, file_of
from exports.folder import FolderError, folder_trouble, make_room, new_draft
from exports.links import ExportLinks
from exports.worker import ExportWorker
from exports.writing import WriterGoneError, WritingProcess, finish_file
from tests import factories
from tests.factories import NOW, Town
from tests.fakes import HandClock, RecordingBus

P = ParamSpec("P")
T = TypeVar("T")
LINKS = ExportLinks("s" * 32, "http://lade.example")


class Office:
    """A worker with its folder, clock and bus."""

    def __init__(self, folder: Path, writing: WritingProcess) -> None:
        folder.mkdir()
        self.folder = folder
        self.bus = RecordingBus()
        self.clock = HandClock(NOW)
        self.writing = writing
        self.worker = ExportWorker(folder=folder, writing=writing, bus=self.bus, clock=self.clock)

    async def make(
        self, town: Town, source: ExportSource, person: str = "OWNER of installation", **further: object
    ) -> ExportRow:
        access = await town.access(person)
        export_id = await create_export(access, source, bus=self.bus, **further)  # type: ignore[arg-type]  # by name
        assert await self.worker.make_next()
        return (await exports_by_ids(access, [export_id]))[export_id]

    def path(self, export: ExportRow) -> Path:
        return file_of(self.folder, export.id, export.format)

    async def fetch(self, url: str) -> httpx.Response:
        application = Starlette(routes=[*export_routes(LINKS, folder=self.folder, clock=self.clock)])
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(url)


@pytest.fixture(scope="module")
def writing() -> Iterator[WritingProcess]:
    process = WritingProcess()
    yield process
    process.close()


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


@pytest.fixture
async def office(tmp_path: Path, writing: WritingProcess) -> Office:
    return Office(tmp_path / "exports", writing)


def _usage(town: Town, **further: object) -> ExportSource:
    question = UsageQuestion(
        from_date=date(2026, 2, 1),
        to_date=date(2026, 3, 1),
        installation_ids=(town.site.id,),
        **further,  # type: ignore[arg-type]  # by name
    )
    return ExportSource(usage=question)


async def _sessions(town: Town, count: int = 3) -> None:
    for number in range(count):
        start = datetime(2026, 2, 3, 9, tzinfo=UTC) + timedelta(hours=number)
        await factories.a_session(
            town.site,
            town.charger_id if number % 2 else town.neighbour_id,
            user_id=town.people["USER of charger"] if number else None,
            user_name="=Kari" if number else None,
            started_at=start,
            ended_at=start + timedelta(minutes=30),
            energy_wh=1_001 + number,
        )


async def test_a_workbook_has_the_rows_of_the_api_and_the_sessions_behind_them(town: Town, office: Office) -> None:
    """Every figure of the summary, to the Wh, read by two programs."""
    await _sessions(town)
    source = _usage(town, group_by=(UsageDimension.USER, UsageDimension.DAY))
    made = await office.make(town, source)
    assert (made.state, made.progress, made.row_count) == (ExportState.READY, 1.0, 2)
    assert made.file_name == "fjordveien-garage-2026-02-01-2026-03-01.xlsx"
    assert made.size_bytes == office.path(made).stat().st_size
    assert made.expires_at == NOW + timedelta(hours=24)
    assert source.usage is not None
    summary = await usage_summary(await town.access("OWNER of installation"), source.usage)
    book = CalamineWorkbook.from_path(office.path(made))
    table = book.get_sheet_by_name("Summary").to_python()
    first = next(place for place, row in enumerate(table) if row[0] == "Person") + 1
    shown = [(row[0], row[1], row[2], row[3]) for row in table[first : first + 2]]
    assert shown == [(*row.labels, row.usage.session_count, row.usage.energy_wh / 1000) for row in summary.rows]
    assert table[first + 2][:4] == ["Total", "", 3, summary.total.energy_wh / 1000]
    sessions = book.get_sheet_by_name("Sessions").to_python()
    assert [row[7] for row in sessions[-4:]] == [1.001, 1.002, 1.003, 3.006]
    assert sessions[-4][4] == datetime(2026, 2, 3, 10)  # noqa: DTZ001  local time of Oslo
    cell = next(row for row in load_workbook(office.path(made))["Sessions"].iter_rows() if row[2].value == "=Kari")[2]
    assert cell.data_type == "s"


async def test_progress_is_published_and_never_falls(town: Town, office: Office) -> None:
    """From queued to ready."""
    await _sessions(town)
    await office.make(town, _usage(town))
    events = [event for event in office.bus.published if isinstance(event, ExportChanged)]
    assert events[0].state is ExportState.QUEUED
    assert events[-1].state is ExportState.READY
    assert [event.progress for event in events] == sorted(event.progress for event in events)


@pytest.mark.parametrize("basis", list(ReportBasis))
async def test_the_sessions_add_up_to_the_summary_under_every_basis(
    town: Town, office: Office, basis: ReportBasis
) -> None:
    """Also where only part of a session lies in the period."""
    await _sessions(town)
    start = datetime(2026, 1, 31, 20, tzinfo=UTC)
    await factories.a_session(town.site, town.charger_id, started_at=start, ended_at=start + timedelta(hours=7))
    source = _usage(town, basis=basis)
    made = await office.make(town, source, kind=ReportKind.SESSIONS, format=ExportFormat.CSV)
    assert source.usage is not None
    summary = await usage_summary(await town.access("OWNER of installation"), source.usage)
    lines = office.path(made).read_text(encoding="utf-8-sig").splitlines()
    assert made.row_count == len(lines) - 1 == summary.total.session_count
    assert round(sum(float(line.split(",")[7]) for line in lines[1:]) * 1000) == summary.total.energy_wh


async def test_history_is_exported_as_far_as_it_may_be_seen(town: Town, office: Office) -> None:
    """A driver's file has the driver's sessions; a filter narrows it."""
    await _sessions(town)
    everything = await office.make(town, ExportSource(sessions=ANYTHING), "USER of charger", kind=ReportKind.SESSIONS)
    assert everything.row_count == 2
    energy = Term("energyWh", Comparison.AT_LEAST, 1_003)
    some = await office.make(town, ExportSource(sessions=energy), "USER of charger", kind=ReportKind.SESSIONS)
    assert some.row_count == 1


async def test_what_a_correction_replaced_is_marked_in_a_file_and_not_on_paper(town: Town, office: Office) -> None:
    """It counts in neither: a driver's file says VOID beside it, and paper, which has no flags, leaves it out."""
    await _sessions(town)
    await ChargeSession.filter(energy_wh=1_001 + 1).update(
        state=SessionState.VOID, flags=int(SessionFlag.VOID), energy_wh=None
    )
    source = ExportSource(sessions=ANYTHING)
    table = await office.make(town, source, "USER of charger", kind=ReportKind.SESSIONS)
    rows = [one for one in load_workbook(office.path(table))["Sessions"].iter_rows(values_only=True) if one[0]]
    assert table.row_count == 2
    assert [one[11] for one in rows[-3:-1]].count("VOID") == 1
    assert (rows[-1][0], rows[-1][7]) == ("Total of 1 sessions", 1.003)
    paper = await office.make(town, source, "USER of charger", kind=ReportKind.SESSIONS, format=ExportFormat.PDF)
    assert paper.row_count == 1


async def test_ones_own_period_needs_no_right(town: Town, office: Office) -> None:
    """Whoever charged takes their own home."""
    await _sessions(town)
    own = UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1))
    made = await office.make(town, ExportSource(usage=own), "USER of charger")
    assert (made.row_count, made.file_name) == (2, "my-charging-2026-02-01-2026-03-01.xlsx")


async def test_rights_are_looked_at_again_when_the_file_is_made(town: Town, office: Office) -> None:
    """A right that ended meanwhile: the file fails, and says no more than that there is nothing."""
    access = await town.access("OWNER of installation")
    export_id = await create_export(access, _usage(town), bus=office.bus)
    await Permission.filter(user_id=access.user_id).update(revoked_at=NOW - timedelta(seconds=1))
    assert await office.worker.make_next()
    row = (await exports_by_ids(access, [export_id]))[export_id]
    assert (row.state, row.error) == (ExportState.FAILED, NotFoundError().message)
    assert not office.path(row).exists()


@pytest.mark.parametrize("person", [name for name in factories.PEOPLE if name != "OWNER of installation"])
async def test_only_owners_export_an_installation(town: Town, office: Office, person: str) -> None:
    """Hidden and absent look the same."""
    access = await town.access(person)
    with pytest.raises(NotFoundError) as hidden:
        await create_export(access, _usage(town), bus=office.bus)
    absent = UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1), installation_ids=(new_id(),))
    with pytest.raises(NotFoundError) as none:
        await create_export(access, ExportSource(usage=absent), bus=office.bus)
    assert (hidden.value.message, hidden.value.path) == (none.value.message, none.value.path)
    assert await Export.all().count() == 0


async def test_everybody_sees_and_cancels_their_own_files_only(town: Town, office: Office) -> None:
    """Another's file looks absent."""
    owner = await town.access("OWNER of installation")
    export_id = await create_export(owner, _usage(town), bus=office.bus)
    for person in ("ADMINISTRATOR", "SERVICE", "not signed in"):
        other = await town.access(person)
        assert await exports_by_ids(other, [export_id]) == {}
        assert (await exports_page(other, PageRequest(first=10))).rows in ([], ())
    for missing in (export_id, new_id()):
        with pytest.raises(NotFoundError):
            await cancel_export(await town.access("ADMINISTRATOR"), missing, bus=office.bus)
    assert [row.id for row in (await exports_page(owner, PageRequest(first=10))).rows] == [export_id]
    await cancel_export(owner, export_id, bus=office.bus)
    assert (await exports_by_ids(owner, [export_id]))[export_id].state is ExportState.CANCELLED
    assert not await office.worker.make_next()


async def test_at_most_five_files_of_a_person_are_unfinished(town: Town, office: Office) -> None:
    """Also when they are asked for at the same time; another's do not count."""
    owner = await town.access("OWNER of installation")
    asked = await asyncio.gather(
        *(create_export(owner, _usage(town), bus=office.bus) for _ in range(7)), return_exceptions=True
    )
    assert sum(isinstance(one, UUID) for one in asked) == 5
    assert sum(isinstance(one, RateLimitedError) for one in asked) == 2
    own = UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1))
    await create_export(await town.access("SERVICE"), ExportSource(usage=own), bus=office.bus)


async def test_what_cannot_be_made_is_refused(town: Town, office: Office) -> None:
    """Kinds and formats that there are none of yet, and wrong questions."""
    owner = await town.access("OWNER of installation")
    with pytest.raises(ValidationError):
        await create_export(owner, ExportSource(sessions=ANYTHING), bus=office.bus, kind=ReportKind.COST)
    with pytest.raises(ValidationError):
        await create_export(owner, ExportSource(sessions=ANYTHING), bus=office.bus)
    with pytest.raises(ValidationError):
        await create_export(owner, _usage(town, where=UsageFilter(min_energy_wh=-1)), bus=office.bus)


async def test_another_worker_takes_up_what_a_dead_one_left_and_the_dead_one_can_change_nothing(
    town: Town, office: Office
) -> None:
    """After the lease; a worker that was only slow finds out before it harms."""
    owner = await town.access("OWNER of installation")
    export_id = await create_export(owner, _usage(town), bus=office.bus)
    first = await next_job(NOW)
    assert first is not None
    assert await next_job(NOW + LEASE - timedelta(seconds=1)) is None
    later = NOW + LEASE
    second = await next_job(later)
    assert second is not None
    assert second.id == first.id == export_id
    with pytest.raises(LostJobError):
        await report_progress(first, 0.5, now=later, bus=office.bus)
    with pytest.raises(LostJobError):
        await complete(
            first,
            file_name="x",
            size_bytes=1,
            row_count=1,
            now=later,
            bus=office.bus,
            place=lambda: pytest.fail("placed"),
        )
    await report_progress(second, 0.5, now=later, bus=office.bus)


class SlowWriting(WritingProcess):
    """Writes as ever; before a file is finished, `meanwhile` happens."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if function is finish_file:
            await self._meanwhile()
        return await super().call(function, *args, **kwargs)


async def test_a_step_that_takes_minutes_keeps_the_lease(town: Town, tmp_path: Path) -> None:
    """Nobody else takes the file up meanwhile, although nothing of it is told."""
    await _sessions(town)

    async def minutes() -> None:
        for _ in range(4):
            slow.clock.advance(LEASE * 0.9)
            async with asyncio.timeout(10):
                while (await Export.get()).claimed_until != slow.clock.now() + LEASE:  # noqa: ASYNC110  rows tell nobody
                    await asyncio.sleep(0)
            assert await next_job(slow.clock.now()) is None

    writing = SlowWriting(minutes)
    slow = Office(tmp_path / "exports", writing)
    slow.worker.renew_every_s = 0.001
    try:
        assert (await slow.make(town, _usage(town))).state is ExportState.READY
    finally:
        writing.close()


async def test_who_lost_a_file_writes_nothing_of_it(town: Town, tmp_path: Path, writing: WritingProcess) -> None:
    """A worker that stood still for longer than its lease finds the file made by another, and leaves it alone."""
    await _sessions(town)

    async def long() -> None:
        slow.clock.advance(LEASE)
        assert await other.make_next()
        made.append(next(slow.folder.glob("*.xlsx")).read_bytes())

    made: list[bytes] = []
    standing = SlowWriting(long)
    slow = Office(tmp_path / "exports", standing)
    other = ExportWorker(folder=slow.folder, writing=writing, bus=slow.bus, clock=slow.clock)
    try:
        row = await slow.make(town, _usage(town))
        assert (row.state, row.progress) == (ExportState.READY, 1.0)
        assert [path.read_bytes() for path in slow.folder.iterdir()] == made
    finally:
        standing.close()


def test_who_lost_a_file_before_its_draft_was_there_leaves_the_newer_one_alone(tmp_path: Path) -> None:
    """And who took it up removes what was left by the one before."""
    export_id = new_id()
    left, lost, taken = (new_draft(tmp_path, export_id) for _ in range(3))
    for draft in (left, taken, lost):
        make_room(draft)
    assert set(tmp_path.iterdir()) == {taken, lost}


async def test_a_cancelled_file_is_not_made_to_its_end(town: Town, office: Office) -> None:
    """The worker notices and leaves nothing behind."""
    await _sessions(town)
    owner = await town.access("OWNER of installation")
    export_id = await create_export(owner, _usage(town), bus=office.bus)
    job = await next_job(NOW)
    assert job is not None
    await cancel_export(owner, export_id, bus=office.bus)
    with pytest.raises(LostJobError):
        await report_progress(job, 0.5, now=NOW, bus=office.bus)


async def test_a_signed_link_works_without_signing_in_until_its_time_is_over(town: Town, office: Office) -> None:
    """A changed link is none of ours; after a day the file is gone."""
    await _sessions(town)
    made = await office.make(town, _usage(town))
    assert made.expires_at is not None
    url = LINKS.url(made.id, made.expires_at)
    answer = await office.fetch(url)
    assert answer.status_code == 200
    assert answer.content == office.path(made).read_bytes()
    assert answer.headers["content-disposition"].startswith('attachment; filename="fjordveien-garage-')
    assert answer.headers["cache-control"] == "private, no-store"
    for wrong in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace("expires=1", "expires=2"),
        url.replace(str(made.id), str(new_id())),
        url.partition("?")[0],
        f"{LINKS.public_url}/exports/x?expires=1&signature=y",
        url.replace("expires=", "expires=²"),
    ):
        assert (await office.fetch(wrong)).status_code == 404
    office.clock.advance(timedelta(hours=24))
    assert (await office.fetch(url)).status_code == 410
    owner = await factories.access(made.user_id, now=office.clock.now())
    assert (await exports_by_ids(owner, [made.id]))[made.id].state is ExportState.EXPIRED
    await office.worker.expire()
    assert not office.path(made).exists()


async def test_a_file_whose_writer_died_is_made_again_after_the_others(town: Town, office: Office) -> None:
    """It may be what the writer died of: a new one makes first what was asked for later."""
    await _sessions(town)
    owner = await town.access("OWNER of installation")
    deadly = await create_export(owner, _usage(town), bus=office.bus)
    other = await create_export(owner, _usage(town), bus=office.bus)

    async def state(export_id: UUID) -> ExportState:
        return (await exports_by_ids(owner, [export_id]))[export_id].state

    pid = await office.writing.call(os.getpid)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WriterGoneError):
        await office.worker.make_next()
    assert await office.worker.make_next()
    assert [await state(one) for one in (deadly, other)] == [ExportState.RUNNING, ExportState.READY]
    office.clock.advance(LEASE)
    assert await office.worker.make_next()
    assert await state(deadly) is ExportState.READY


@pytest.mark.parametrize("format", [ExportFormat.XLSX, ExportFormat.CSV])
async def test_a_file_that_finds_no_room_fails_and_leaves_nothing(
    town: Town, tmp_path: Path, format: ExportFormat
) -> None:
    """Whoever asked is told why; the next file, for which there is room, is made."""
    await _sessions(town, 400)
    writing = WritingProcess()
    office = Office(tmp_path / "exports", writing)
    try:
        await writing.call(resource.setrlimit, resource.RLIMIT_FSIZE, (10_000, 10_000))
        made = await office.make(town, _usage(town), kind=ReportKind.SESSIONS, format=format)
        assert (made.state, made.size_bytes, made.file_name) == (ExportState.FAILED, None, None)
        assert made.error == "The file grew larger than the server may write: ask for a shorter period, or for less."
        assert list(office.folder.iterdir()) == []
        again = await office.make(town, _usage(town), kind=ReportKind.SESSIONS, format=format)
        assert (again.state, again.row_count) == (ExportState.READY, 400)
        assert list(office.folder.iterdir()) == [office.path(again)]
    finally:
        writing.close()


async def test_a_folder_that_cannot_be_written_fails_the_file_and_says_so(town: Town, office: Office) -> None:
    """The worker goes on, and makes the next once the folder is what it should be."""
    await _sessions(town)
    office.folder.rmdir()
    office.folder.write_text("not a folder")
    made = await office.make(town, _usage(town))
    assert made.state is ExportState.FAILED
    assert made.error is not None
    assert made.error.startswith("The folder where files are kept cannot be written (")
    office.folder.unlink()
    assert (await office.make(town, _usage(town))).state is ExportState.READY


def test_no_room_is_told_in_words() -> None:
    """A full disk and a full quota are the same to a person."""
    for number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(FolderError, match="There is no room left on the disk"), folder_trouble():
            raise OSError(number, "from the kernel")


async def test_what_nobody_can_want_any_more_is_swept_away(town: Town, office: Office) -> None:
    """Drafts of workers that died and files that nobody knows of; what is of today stays."""
    await _sessions(town)
    made = await office.make(town, _usage(town))
    fresh, old = new_draft(office.folder, new_id()), new_draft(office.folder, new_id())
    lost = office.folder / f"{new_id()}.xlsx"
    for draft in (fresh, old):
        make_room(draft)
    lost.touch()
    now = office.clock.now().timestamp()
    for path, hours in ((office.path(made), 0), (fresh, 1), (old, 3), (lost, 27)):
        os.utime(path, (now - 3_600 * hours, now - 3_600 * hours))
    await office.worker.expire()
    assert set(office.folder.iterdir()) == {office.path(made), fresh}


async def test_a_workbook_of_when_energy_was_taken_has_a_sheet_of_hours(town: Town, office: Office) -> None:
    """Each hour with its instant, so that the two hours 02 of an autumn night differ; their total is that of the summary."""
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    await factories.a_session(
        town.site, town.charger_id, started_at=start, ended_at=start + timedelta(hours=3), energy_wh=3_000
    )
    question = UsageQuestion(
        from_date=date(2026, 10, 1),
        to_date=date(2026, 11, 1),
        installation_ids=(town.site.id,),
        basis=ReportBasis.INTERVAL,
    )
    made = await office.make(town, ExportSource(usage=question))
    book = load_workbook(office.path(made))
    assert book.sheetnames[:3] == ["Summary", "Sessions", "Hours"]
    rows = list(book["Hours"].iter_rows(values_only=True))[-5:]
    assert [(row[0], row[1], row[2]) for row in rows[:4]] == [
        (datetime(2026, 10, 25, 1), datetime(2026, 10, 24, 23), 0.5),  # noqa: DTZ001  spreadsheets know no zones
        (datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 0), 1.0),  # noqa: DTZ001
        (datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 1), 1.0),  # noqa: DTZ001
        (datetime(2026, 10, 25, 3), datetime(2026, 10, 25, 2), 0.5),  # noqa: DTZ001
    ]
    assert rows[4][2] == 3.0


async def test_an_owner_prints_one_persons_part_and_a_person_their_own(town: Town, office: Office) -> None:
    """The figures and the sessions of that person alone; a stranger's part is not there, for an owner and for anybody else."""
    await _sessions(town)
    kari = town.people["USER of charger"]
    source = replace(_usage(town, group_by=(UsageDimension.USER, UsageDimension.MONTH)), person_id=kari)
    part = await office.make(town, source, format=ExportFormat.PDF, locale="nb-NO")
    assert (part.state, part.row_count) == (ExportState.READY, 1)
    text = " ".join(page.extract_text() for page in PdfReader(office.path(part)).pages)
    assert "Person USER of charger" in text.replace("\n", " ")
    assert "2,005" in text
    assert "Not identified" not in text
    own = UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1))
    for person_id in (None, kari):
        mine = await office.make(
            town, ExportSource(usage=own, person_id=person_id), "USER of charger", format=ExportFormat.PDF
        )
        assert mine.state is ExportState.READY
        assert "Total of 2 sessions" in " ".join(page.extract_text() for page in PdfReader(office.path(mine)).pages)
    owner, driver = await town.access("OWNER of installation"), await town.access("USER of charger")
    for access, wrong in (
        (owner, replace(source, person_id=town.people["stranger"])),
        (owner, replace(source, person_id=new_id())),
        (driver, source),
        (driver, ExportSource(usage=own, person_id=town.people["OWNER of installation"])),
        (owner, _usage(town, where=UsageFilter(user_ids=(town.people["USER of installation"],)))),
    ):
        wrong = replace(wrong, person_id=wrong.person_id or kari)
        with pytest.raises(NotFoundError):
            await create_export(access, wrong, format=ExportFormat.PDF, bus=office.bus)
    history = ExportSource(sessions=ANYTHING, person_id=kari)
    with pytest.raises(ValidationError):
        await create_export(driver, history, kind=ReportKind.SESSIONS, bus=office.bus)


async def test_a_report_that_nobody_would_print_is_refused_in_words(town: Town, office: Office) -> None:
    """More lines than a hundred pages have; as a workbook it can be had."""
    await _sessions(town, 4)
    office.worker.most_printed = 3
    refused = await office.make(town, _usage(town), kind=ReportKind.SESSIONS, format=ExportFormat.PDF)
    assert (refused.state, refused.error) == (
        ExportState.FAILED,
        "A PDF has at most 3 lines: ask for a shorter period, or for XLSX.",
    )
    made = await office.make(town, _usage(town), kind=ReportKind.SESSIONS, format=ExportFormat.XLSX)
    assert (made.state, made.row_count) == (ExportState.READY, 4)


async def test_everyone_exports_the_history_that_they_may_see(town: Town, office: Office) -> None:
    """Their own and what their roles show, with the names that they may see; the same sessions that the API lists for them."""
    await _sessions(town)
    for person in factories.PEOPLE:
        made = await office.make(
            town, ExportSource(sessions=ANYTHING), person, kind=ReportKind.SESSIONS, format=ExportFormat.CSV
        )
        seen = (await sessions_page(await town.access(person), PageRequest(first=100))).rows
        lines = list(csv.DictReader(office.path(made).read_text(encoding="utf-8-sig").splitlines()))
        assert [line["Session"] for line in lines[: len(seen)]] == [str(row.id) for row in seen]
        assert {line["Person"].lstrip("'") for line in lines} <= {row.user_name or "Not identified" for row in seen}
        assert made.row_count == len(seen)
    counts = {"OWNER of installation": 3, "OWNER of charger": 1, "USER of charger": 2, "SERVICE": 0, "stranger": 0}
    for person, count in counts.items():
        assert len((await sessions_page(await town.access(person), PageRequest(first=100))).rows) == count


PARENT = """
import asyncio, os, sys
from exports.writing import WritingProcess
async def main():
    process = WritingProcess()
    print(await process.call(os.getpid), flush=True)
    await asyncio.Event().wait()
if __name__ == "__main__":
    asyncio.run(main())
"""


def test_the_writing_process_ends_with_its_parent_also_when_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no process behind."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        descriptor = os.pidfd_open(worker)
        parent.kill()
        parent.wait()
    assert _ends(descriptor)


def _ends(descriptor: int) -> bool:
    """Whether the process behind the descriptor ends within ten seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = bool(poll.poll(10_000))
    os.close(descriptor)
    return ended


def test_filters_survive_being_stored() -> None:
    """Ids, instants, flags and numbers come back as they were."""
    condition = Every(
        (
            Term("chargerId", Comparison.ONE_OF, (new_id(), new_id())),
            Some((Term("startedAt", Comparison.BELOW, NOW), Not(Term("energyWh", Comparison.AT_LEAST, 3)))),
            Term("flags", Comparison.ONE_OF, (SessionFlag.OFFLINE, SessionFlag.SIGNED)),
            Term("dateQuality", Comparison.ONE_OF, (DateQuality.EXACT,)),
            Term("externalId", Comparison.EQUALS, "x"),
        )
    )
    assert filter_from(filter_to(condition)) == condition


async def _january(town: Town, day: int, energy_wh: int) -> None:
    start = datetime(2026, 1, day, 9, tzinfo=UTC)
    await factories.a_session(
        town.site,
        town.charger_id,
        user_id=town.people["USER of charger"],
        user_name="=Kari",
        started_at=start,
        ended_at=start + timedelta(hours=1),
        energy_wh=energy_wh,
    )


async def _locked(town: Town) -> UUID:
    """A report of February by person and month that corrects January by 0.4 kWh; its sessions are others by now."""
    owner = await town.access("OWNER of installation")
    await _january(town, 3, 1_000)
    by = (UsageDimension.USER, UsageDimension.MONTH)
    await lock_report(owner, town.site.id, LockWish(date(2026, 1, 1), date(2026, 2, 1), group_by=by))
    await _january(town, 20, 400)
    await _sessions(town)
    report = await lock_report(owner, town.site.id, LockWish(date(2026, 2, 1), date(2026, 3, 1), group_by=by))
    await ChargeSession.all().update(energy_wh=9_999)
    return report


async def test_a_workbook_of_a_locked_report_has_the_locked_figures(town: Town, office: Office) -> None:
    """Whatever the sessions say by now: its groups, what it corrects, the sessions behind it, and how it is known."""
    report = await _locked(town)
    made = await office.make(town, ExportSource(locked_report_id=report))
    assert (made.state, made.row_count) == (ExportState.READY, 2)
    assert made.file_name == "fjordveien-garage-2026-02-01-2026-03-01-no-2.xlsx"
    book = CalamineWorkbook.from_path(office.path(made))
    assert book.sheet_names == ["Summary", "Corrections", "Sessions", "Chart"]
    table = book.get_sheet_by_name("Summary").to_python()
    first = next(place for place, row in enumerate(table) if row[0] == "Person") + 1
    assert [row[:4] for row in table[first : first + 3]] == [
        ["=Kari", "2026-02", 2, 2.005],
        ["Not identified", "2026-02", 1, 1.001],
        ["Total", "", 3, 3.006],
    ]
    owner = await town.access("OWNER of installation")
    locked = (await locked_reports_by_ids(owner, [report]))[report]
    revision = next(row[1] for row in table if row[0] == "Revision")
    assert revision == f"2, locked 2026-03-01 13:00 by OWNER of installation, SHA-256 {locked.sha256}"
    corrections = book.get_sheet_by_name("Corrections").to_python()
    assert [row[:5] for row in corrections[-2:]] == [
        ["2026-01-01/2026-02-01", "=Kari", "", 1, 0.4],
        ["Total", "", "", 1, 0.4],
    ]
    sessions = book.get_sheet_by_name("Sessions").to_python()
    assert [row[7] for row in sessions[-4:]] == [1.001, 1.002, 1.003, 3.006]


async def test_csv_of_a_locked_report_has_what_is_to_be_billed(town: Town, office: Office) -> None:
    """The report's own groups and what it corrects in one table, told apart by their period."""
    report = await _locked(town)
    made = await office.make(town, ExportSource(locked_report_id=report), format=ExportFormat.CSV, locale="en")
    lines = [line.split(",")[:5] for line in office.path(made).read_text("utf-8-sig").splitlines()]
    assert lines == [
        ["Period", "Person", "Month", "Sessions", "Energy (kWh)"],
        ["2026-02-01/2026-03-01", "'=Kari", "2026-02", "2", "2.005"],
        ["2026-02-01/2026-03-01", "Not identified", "2026-02", "1", "1.001"],
        ["2026-01-01/2026-02-01", "'=Kari", "", "1", "0.400"],
    ]
    sessions = await office.make(
        town, ExportSource(locked_report_id=report), kind=ReportKind.SESSIONS, format=ExportFormat.CSV
    )
    assert sessions.row_count == 3


async def test_one_persons_part_of_a_locked_report_has_the_locked_figures_of_that_person(
    town: Town, office: Office
) -> None:
    """Their rows, their corrections and their sessions; of who has none, or where it does not say whose they are, there is no part."""
    source = ExportSource(locked_report_id=await _locked(town), person_id=town.people["USER of charger"])
    made = await office.make(town, source, format=ExportFormat.PDF)
    text = " ".join(page.extract_text() for page in PdfReader(office.path(made)).pages).replace("\n", " ")
    assert "Person =Kari" in text
    assert "Total of 2 sessions" in text
    assert "Not identified" not in text
    table = await office.make(town, source, format=ExportFormat.CSV)
    lines = [line.split(",")[:5] for line in office.path(table).read_text("utf-8-sig").splitlines()]
    assert lines[1:] == [
        ["2026-02-01/2026-03-01", "'=Kari", "2026-02", "2", "2.005"],
        ["2026-01-01/2026-02-01", "'=Kari", "", "1", "0.400"],
    ]
    owner = await town.access("OWNER of installation")
    with pytest.raises(NotFoundError):
        await create_export(owner, replace(source, person_id=town.people["stranger"]), bus=office.bus)
    wish = LockWish(date(2026, 1, 1), date(2026, 2, 1), as_revision=True)
    by_charger = await lock_report(owner, town.site.id, wish)
    with pytest.raises(ValidationError):
        await create_export(owner, replace(source, locked_report_id=by_charger), bus=office.bus)


async def test_a_norwegian_file_is_norwegian_around_its_tables_too(town: Town, office: Office) -> None:
    """Heading, totals and column headings; a file for programs keeps its words."""
    await _sessions(town)
    made = await office.make(town, _usage(town), locale="nb-NO")
    book = CalamineWorkbook.from_path(office.path(made))
    table = book.get_sheet_by_name("Summary").to_python()
    heading = {str(row[0]): str(row[1]) for row in table[:9]}
    assert list(heading)[:7] == ["Anlegg", "Periode", "Tidssone", "Grunnlag", "Laget", "Revisjon", "Dekning"]
    assert heading["Periode"] == "2026-02-01 til, men ikke med, 2026-03-01"
    assert heading["Laget"] == "2026-03-01 13:00 av OWNER of installation"
    assert table[-1][0] == "Sum"
    assert book.get_sheet_by_name("Sessions").to_python()[-1][0] == "Sum av 3 økter"


async def test_what_one_person_pays_can_be_printed(town: Town, office: Office) -> None:
    """COST as PDF: their sum, and the lines that it is made of."""
    await _sessions(town)
    tariff = await factories.a_tariff(
        town.site, TariffPart(CostUnit.KWH, 2 * MICRO), TariffPart(CostUnit.SESSION, MICRO)
    )
    await factories.a_tariff_assignment(town.site, tariff)
    source = replace(_usage(town), person_id=town.people["USER of charger"])
    made = await office.make(town, source, kind=ReportKind.COST, format=ExportFormat.PDF, locale="nb-NO")
    assert (made.state, made.row_count) == (ExportState.READY, 4)
    text = " ".join(page.extract_text() for page in PdfReader(office.path(made)).pages)
    assert "Sum\n6,01\n0,00\n6,01\nNOK" in text
    assert "Å betale" in text
    whole = await office.make(town, _usage(town), kind=ReportKind.COST, format=ExportFormat.PDF)
    assert (whole.state, whole.row_count) == (ExportState.READY, 2)


@pytest.mark.parametrize("person", ["USER of installation", "SERVICE", "ADMINISTRATOR", "stranger"])
async def test_a_locked_report_is_its_owners_to_export(town: Town, office: Office, person: str) -> None:
    """To others there is no such report."""
    report = await _locked(town)
    with pytest.raises(NotFoundError):
        await create_export(await town.access(person), ExportSource(locked_report_id=report), bus=office.bus)


async def _tariff(town: Town) -> None:
    """1.00 a kWh from 3 February on and 10.00 a month, with 25 % VAT."""
    parts = (factories.ONE_A_KWH, TariffPart(CostUnit.MONTH, 10 * MICRO))
    tariff = await factories.a_tariff(town.site, *parts, vat_percent=25)
    await factories.a_tariff_assignment(town.site, tariff, valid_from=date(2026, 2, 3))
    await factories.a_tariff_assignment(town.site, tariff, user_id=town.people["USER of charger"])


async def test_a_workbook_of_costs_has_what_each_person_pays_and_every_line(town: Town, office: Office) -> None:
    """The totals are those of the API; a charge whose cost is not known says why."""
    await _tariff(town)
    await _sessions(town)
    await ChargeSession.filter(user_id=None).update(energy_wh=None)
    row = await office.make(town, _usage(town), kind=ReportKind.COST)
    assert (row.error, row.file_name, row.row_count) == (None, "fjordveien-garage-2026-02-01-2026-03-01-cost.xlsx", 4)
    book = load_workbook(office.path(row))
    assert book.sheetnames == ["People", "Cost lines"]
    people = list(book["People"].iter_rows(values_only=True))[-3:]
    source = _usage(town, group_by=(UsageDimension.USER,)).usage
    assert source is not None
    summary = await usage_summary(await town.access("OWNER of installation"), source, with_costs=True)
    (total,) = summary.total.costs.sums
    assert people == [
        ("=Kari", 2, 2.005, 12, 3, 15, "NOK", None),
        ("Not identified", 1, 0, None, None, None, None, 1),
        ("Total", 3, 2.005, 12, 3, 15, "NOK", 1),
    ]
    assert (total.net_minor, total.vat_minor, summary.total.costs.unknown_count) == (1_200, 300, 1)
    lines = list(book["Cost lines"].iter_rows(values_only=True))[-5:]
    days = [None if cells[4] is None else f"{cells[4]:%Y-%m-%d}" for cells in lines]
    assert [(day, *cells[5:14]) for day, cells in zip(days, lines, strict=True)] == [
        (None, "How much energy was taken is not known.", None, None, None, None, None, None, None, None),
        ("2026-02-03", "Energy on 2026-02-03 (Standard)", 1.002, "KWH", 1, 25, 1, 0.25, 1.25, "NOK"),
        ("2026-02-03", "Energy on 2026-02-03 (Standard)", 1.003, "KWH", 1, 25, 1, 0.25, 1.25, "NOK"),
        ("2026-02-01", "Monthly fee for 2026-02 (Standard)", 1, "MONTH", 10, 25, 10, 2.5, 12.5, "NOK"),
        (None, None, None, None, None, None, 12, 3, 15, "NOK"),
    ]


async def test_costs_as_csv_are_the_lines_alone(town: Town, office: Office) -> None:
    """By the customs of the locale; a driver gets their own."""
    await _tariff(town)
    await _sessions(town, 2)
    own = ExportSource(usage=UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1)))
    row = await office.make(town, own, "USER of charger", kind=ReportKind.COST, format=ExportFormat.CSV, locale="nb-NO")
    text = office.path(row).read_text(encoding="utf-8-sig").splitlines()
    assert text[0].startswith(
        "Anlegg;Person;Lader;Startet;Dag;Linje;Antall;Enhet;Enhetspris;Mva (%);Netto;Mva;Å betale;"
    )
    assert len(text) == 3
    assert text[1].split(";")[1:14] == [
        "'=Kari", "Space 1", "2026-02-03 11:00:00", "2026-02-03", "Energy on 2026-02-03 (Standard)", "1,002", "KWH", "1,00",
        "25", "1,00", "0,25", "1,25", "NOK",
    ]  # fmt: skip
    assert "Monthly fee for 2026-02 (Standard);1;MONTH;10,00;25;10,00;2,50;12,50;NOK;" in text[2]


async def test_a_summary_has_the_costs_of_its_groups_where_there_is_a_tariff(town: Town, office: Office) -> None:
    """With the VAT in them, and how many are not known."""
    await _sessions(town)
    plain = load_workbook(office.path(await office.make(town, _usage(town))))["Summary"]
    await _tariff(town)
    await ChargeSession.filter(user_id=None).update(energy_wh=None)
    priced = load_workbook(office.path(await office.make(town, _usage(town))))["Summary"]
    headings = [
        [cell.value for cell in row]
        for sheet in (plain, priced)
        for row in sheet.iter_rows()
        if row[0].value == "Charger"
    ]
    assert headings[1] == [*headings[0], "Cost (NOK)", "VAT in it (NOK)", "Sessions of unknown cost"]
    assert [cell.value for cell in priced[priced.max_row]][-3:] == [15, 3, 1]
