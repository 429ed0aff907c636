"""How a file is made: once, by one, to its end or not at all, and fetched for as long as its link is good."""

import asyncio
import errno
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import UUID

import pytest

from domain.errors import RateLimitedError
from domain.events import ExportChanged
from domain.ids import new_id
from domain.models import Export
from domain.reporting.export_jobs import LEASE, LostJobError, complete, next_job, report_progress
from domain.reporting.exports import (
    ExportSource,
    cancel_export,
    create_export,
    exports_by_ids,
)
from domain.roles import (
    ExportFormat,
    ExportState,
    ReportKind,
)
from domain.usage.question import UsageQuestion
from exports.folder import FolderError, folder_trouble, make_room, new_draft
from exports.worker import ExportWorker
from exports.writing import WritingProcess, finish_file
from tests import factories
from tests.exports.office import LINKS, Office, some_sessions, usage
from tests.factories import NOW, Town

P = ParamSpec("P")
T = TypeVar("T")


async def test_progress_is_published_and_never_falls(town: Town, office: Office) -> None:
    """From queued to ready."""
    await some_sessions(town)
    await office.make(town, usage(town))
    events = [event for event in office.bus.published if isinstance(event, ExportChanged)]
    assert events[0].state is ExportState.QUEUED
    assert events[-1].state is ExportState.READY
    assert [event.progress for event in events] == sorted(event.progress for event in events)


async def test_at_most_five_files_of_a_person_are_unfinished(town: Town, office: Office) -> None:
    """Also when they are asked for at the same time; another's do not count."""
    owner = await town.access("OWNER of installation")
    asked = await asyncio.gather(
        *(create_export(owner, usage(town), bus=office.bus) for _ in range(7)), return_exceptions=True
    )
    assert sum(isinstance(one, UUID) for one in asked) == 5
    assert sum(isinstance(one, RateLimitedError) for one in asked) == 2
    own = UsageQuestion(from_date=date(2026, 2, 1), to_date=date(2026, 3, 1))
    await create_export(await town.access("SERVICE"), ExportSource(usage=own), bus=office.bus)


async def test_another_worker_takes_up_what_a_dead_one_left_and_the_dead_one_can_change_nothing(
    town: Town, office: Office
) -> None:
    """After the lease; a worker that was only slow finds out before it harms."""
    owner = await town.access("OWNER of installation")
    export_id = await create_export(owner, usage(town), bus=office.bus)
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
    await some_sessions(town)

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
        assert (await slow.make(town, usage(town))).state is ExportState.READY
    finally:
        writing.close()


async def test_who_lost_a_file_writes_nothing_of_it(town: Town, tmp_path: Path, writing: WritingProcess) -> None:
    """A worker that stood still for longer than its lease finds the file made by another, and leaves it alone."""
    await some_sessions(town)

    async def long() -> None:
        slow.clock.advance(LEASE)
        assert await other.make_next()
        made.append(next(slow.folder.glob("*.xlsx")).read_bytes())

    made: list[bytes] = []
    standing = SlowWriting(long)
    slow = Office(tmp_path / "exports", standing)
    other = ExportWorker(folder=slow.folder, writing=writing, bus=slow.bus, clock=slow.clock)
    try:
        row = await slow.make(town, usage(town))
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
    await some_sessions(town)
    owner = await town.access("OWNER of installation")
    export_id = await create_export(owner, usage(town), bus=office.bus)
    job = await next_job(NOW)
    assert job is not None
    await cancel_export(owner, export_id, bus=office.bus)
    with pytest.raises(LostJobError):
        await report_progress(job, 0.5, now=NOW, bus=office.bus)


async def test_a_signed_link_works_without_signing_in_until_its_time_is_over(town: Town, office: Office) -> None:
    """A changed link is none of ours; after a day the file is gone."""
    await some_sessions(town)
    made = await office.make(town, usage(town))
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
    await some_sessions(town)
    owner = await town.access("OWNER of installation")
    deadly = await create_export(owner, usage(town), bus=office.bus)
    other = await create_export(owner, usage(town), bus=office.bus)

    async def state(export_id: UUID) -> ExportState:
        return (await exports_by_ids(owner, [export_id]))[export_id].state

    pid = await office.writing.call(os.getpid)
    os.kill(pid, signal.SIGKILL)
    assert await office.worker.make_next()
    assert await office.worker.make_next()
    assert [await state(one) for one in (deadly, other)] == [ExportState.RUNNING, ExportState.READY]
    office.clock.advance(LEASE)
    assert await office.worker.make_next()
    assert await state(deadly) is ExportState.READY


class BrokenWriting(WritingProcess):
    """Goes wrong with every file that it has begun."""

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        await asyncio.to_thread(Path(str(args[0])).write_text, "half of it")
        raise ZeroDivisionError


async def test_a_file_that_goes_wrong_unforeseen_has_failed_after_three_tries(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each a lease after the other; nothing of it is left, whoever asked is told, and the operator finds the cause in the log."""
    await some_sessions(town)
    office = Office(tmp_path / "exports", BrokenWriting())
    owner = await town.access("OWNER of installation")
    export_id = await create_export(owner, usage(town), bus=office.bus)
    states = []
    for _ in range(3):
        assert await office.worker.make_next()
        assert not await office.worker.make_next()
        states.append((await exports_by_ids(owner, [export_id]))[export_id].state)
        office.clock.advance(LEASE)
    assert states == [ExportState.RUNNING, ExportState.RUNNING, ExportState.FAILED]
    assert (await Export.get()).error == (
        "It went wrong 3 times in a way that nobody foresaw. The operator finds why in the server's log."
    )
    assert list(office.folder.iterdir()) == []
    assert capsys.readouterr().out.count("ZeroDivisionError") >= 3
    assert not await office.worker.make_next()


@pytest.mark.parametrize("format", [ExportFormat.XLSX, ExportFormat.CSV])
async def test_a_file_that_finds_no_room_fails_and_leaves_nothing(
    town: Town, tmp_path: Path, format: ExportFormat
) -> None:
    """Whoever asked is told why; the next file, for which there is room, is made."""
    await some_sessions(town, 400)
    writing = WritingProcess()
    office = Office(tmp_path / "exports", writing)
    try:
        await writing.call(resource.setrlimit, resource.RLIMIT_FSIZE, (10_000, 10_000))
        made = await office.make(town, usage(town), kind=ReportKind.SESSIONS, format=format)
        assert (made.state, made.size_bytes, made.file_name) == (ExportState.FAILED, None, None)
        assert made.error == "The file grew larger than the server may write: ask for a shorter period, or for less."
        assert list(office.folder.iterdir()) == []
        again = await office.make(town, usage(town), kind=ReportKind.SESSIONS, format=format)
        assert (again.state, again.row_count) == (ExportState.READY, 400)
        assert list(office.folder.iterdir()) == [office.path(again)]
    finally:
        writing.close()


async def test_a_folder_that_cannot_be_written_fails_the_file_and_says_so(town: Town, office: Office) -> None:
    """The worker goes on, and makes the next once the folder is what it should be."""
    await some_sessions(town)
    office.folder.rmdir()
    office.folder.write_text("not a folder")
    made = await office.make(town, usage(town))
    assert made.state is ExportState.FAILED
    assert made.error is not None
    assert made.error.startswith("The folder where files are kept cannot be written (")
    office.folder.unlink()
    assert (await office.make(town, usage(town))).state is ExportState.READY


def test_no_room_is_told_in_words() -> None:
    """A full disk and a full quota are the same to a person."""
    for number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(FolderError, match="There is no room left on the disk"), folder_trouble():
            raise OSError(number, "from the kernel")


async def test_what_nobody_can_want_any_more_is_swept_away(town: Town, office: Office) -> None:
    """Drafts of workers that died and files that nobody knows of; what is of today stays."""
    await some_sessions(town)
    made = await office.make(town, usage(town))
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
