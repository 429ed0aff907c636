"""Sessions as workbooks: `python -m bench.exports`.

The whole way of a file, from asking to READY, as the server makes it: rows from PostgreSQL, cells, the writing process. Beside it, in
the same run, a bare loop of openpyxl's write-only mode with lxml over the same cells, which has them in its memory already. While a file
is made, or a report locked, somebody wakes up in the server's loop every other millisecond and looks how late it is.
"""

import asyncio
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import uvloop

from app.logs import configure_logs
from app.serve import keep_program
from app.settings import LogFormat
from bench.history import BEGAN_AT, Opened, Past, house_with
from bench.report import Options, Report, median, options
from domain import sql
from domain.access import Access, access_of
from domain.reporting.exports import ExportSource, create_export, exports_by_ids
from domain.reporting.reports import LockWish, lock_report
from domain.roles import ExportFormat, ExportState, Role, UsageDimension
from domain.summaries import counted_sessions, usage_summary
from domain.usage.question import UsageQuestion
from exports import tables
from exports.endpoints import file_of
from exports.worker import ExportWorker
from exports.writing import WritingProcess

_APART: Final = timedelta(minutes=1)
_A_DAY: Final = timedelta(days=1) // _APART
_TICK_S: Final = 0.002
_BARE: Final = """
import json, pickle, sys, time
from openpyxl import LXML, Workbook
assert LXML
with open(sys.argv[1], "rb") as kept:
    sheets = pickle.load(kept)
begin = time.perf_counter()
book = Workbook(write_only=True)
for name, rows in sheets:
    sheet = book.create_sheet(name)
    for row in rows:
        sheet.append(row)
book.save(sys.argv[2])
print(json.dumps(time.perf_counter() - begin))
"""


@dataclass(frozen=True, slots=True)
class Size:
    """Days, of 1,440 sessions each."""

    compared_days: int
    rounds: int
    small_days: int
    large_days: int
    locked_days: int


QUICK: Final = Size(compared_days=10, rounds=2, small_days=7, large_days=21, locked_days=10)
FULL: Final = Size(compared_days=70, rounds=3, small_days=7, large_days=695, locked_days=31)


@dataclass(frozen=True, slots=True)
class Made:
    """A file, how long it took, the most memory of both processes meanwhile, and how late the loop was at worst."""

    sessions: int
    seconds: float
    server_mb: float
    writer_mb: float
    block_ms: float
    size_mb: float
    busy_ms: float


@dataclass(slots=True)
class Pair:
    """Ours and the bare loop, by turns."""

    ours: list[Made] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)


class Office:
    """Asks for files and makes them."""

    def __init__(self, opened: Opened, access: Access, folder: Path) -> None:
        self._opened = opened
        self._access = access
        self._folder = folder

    def question(self, days: int) -> UsageQuestion:
        """So many days from the first on."""
        began = BEGAN_AT.date() + timedelta(days=1)
        return UsageQuestion(
            from_date=began,
            to_date=began + timedelta(days=days),
            installation_ids=(self._opened.site.installation_id,),
            time_zone="UTC",
            group_by=(UsageDimension.USER, UsageDimension.MONTH),
        )

    async def lock(self, days: int) -> tuple[UUID, Made]:
        """So many days are locked, by person and day; again where they are already, as the database is kept."""
        question = self.question(days)
        wish = LockWish(
            question.from_date,
            question.to_date,
            group_by=(UsageDimension.USER, UsageDimension.DAY),
            as_revision=True,
        )
        _forget_peak(os.getpid())
        async with _watched_loop() as late:
            begin = time.perf_counter()
            report_id = await lock_report(self._access, self._opened.site.installation_id, wish)
            seconds = time.perf_counter() - begin
        return report_id, Made(
            days * _A_DAY, seconds, _peak_mb(os.getpid()), 0.0, late[0] * 1_000, 0.0, late[1] * 1_000
        )

    async def make(self, days: int, report_id: UUID | None = None, *, is_wide: bool = False) -> Made:
        """The file of so many days (`is_wide`: a table by person and hour), or of that locked report of so many, by a writing
        process of its own, whose memory nobody has used before.
        """
        question = self.question(days)
        if is_wide:
            question = msgspec.structs.replace(question, group_by=(UsageDimension.USER, UsageDimension.HOUR))
        source = ExportSource(usage=question) if report_id is None else ExportSource(locked_report_id=report_id)
        format = ExportFormat.CSV if is_wide else ExportFormat.XLSX
        writing = WritingProcess()
        house = self._opened.house
        worker = ExportWorker(folder=self._folder, writing=writing, bus=house.bus, clock=house.clock)
        try:
            writer = await writing.call(os.getpid)
            _forget_peak(os.getpid())
            async with _watched_loop() as late:
                begin = time.perf_counter()
                export_id = await create_export(self._access, source, format=format, bus=house.bus)
                assert await worker.make_next()
                seconds = time.perf_counter() - begin
            row = (await exports_by_ids(self._access, [export_id]))[export_id]
            assert row.state is ExportState.READY, row.error
            file_of(self._folder, export_id, row.format).unlink()
            return Made(
                sessions=days * _A_DAY,
                seconds=seconds,
                server_mb=_peak_mb(os.getpid()),
                writer_mb=_peak_mb(writer),
                block_ms=late[0] * 1_000,
                size_mb=(row.size_bytes or 0) / 1e6,
                busy_ms=late[1] * 1_000,
            )
        finally:
            writing.close()

    async def cells(self, days: int) -> list[tuple[str, list[tuple[object, ...]]]]:
        """The cells of the same file."""
        question = self.question(days)
        summary = await usage_summary(self._access, question)
        shown = tables.summary_row(summary)
        groups = [_plain(shown(row)) for row in summary.rows]
        sessions = [
            _plain(tables.session_row(one, summary.zone))
            async for batch in counted_sessions(self._access, question)
            for one in batch
        ]
        return [("Summary", groups), ("Sessions", sessions)]


def _plain(row: tuple[tables.Cell, ...]) -> tuple[object, ...]:
    return tuple(float(cell) if isinstance(cell, Decimal) else cell for cell in row)


@asynccontextmanager
async def _watched_loop() -> AsyncIterator[list[float]]:
    """Inside: how late the latest waking was, in seconds, is in the list, and the most that the process computed between two: what is
    late without that waited for a processor.
    """
    late = [0.0, 0.0]

    async def watch() -> None:
        while True:
            due, computed = time.perf_counter() + _TICK_S, time.process_time()
            await asyncio.sleep(_TICK_S)
            late[0] = max(late[0], time.perf_counter() - due)
            late[1] = max(late[1], time.process_time() - computed)

    watching = asyncio.create_task(watch(), name="watch")
    try:
        yield late
    finally:
        watching.cancel()


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def bare_loop_s(kept: Path, folder: Path) -> float:
    """The seconds of the bare loop, in a process of its own."""
    command = [sys.executable, "-c", _BARE, str(kept), str(folder / "bare.xlsx")]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(found.stdout))


async def measured(given: Options, size: Size) -> tuple[Pair, Made, Made, list[Made]]:
    """Pairs of the same size; a small file and a large one; a lock, the file of what was locked, and one of very many groups."""
    past = Past(sites=1, sessions=(size.large_days + 3) * _A_DAY, apart=_APART)
    async with house_with(past, name="exports", is_kept=not given.quick, seed=given.seed) as opened:
        owner = await sql.row(
            "SELECT user_id FROM permissions WHERE installation_id = $1 AND role = $2 ORDER BY id LIMIT 1",
            opened.site.installation_id, Role.OWNER,
        )  # fmt: skip
        assert owner is not None
        access = await access_of(sql.uuid_of(owner["user_id"]), now=opened.house.clock.now())
        with tempfile.TemporaryDirectory(prefix="lade-bench-") as name:
            folder = Path(name)
            office = Office(opened, access, folder / "exports")
            keep_program()
            # The first files fill what is kept once for all: connections, their statements, caches of names.
            await office.make(size.small_days)
            await office.make(size.compared_days)
            small, large = await office.make(size.small_days), await office.make(size.large_days)
            kept = folder / "cells"
            kept.write_bytes(pickle.dumps(await office.cells(size.compared_days)))
            pair = Pair()
            for _ in range(size.rounds):
                pair.ours.append(await office.make(size.compared_days))
                pair.bare_s.append(await asyncio.to_thread(bare_loop_s, kept, folder))
            report_id, lock = await office.lock(size.locked_days)
            further = [lock, await office.make(size.locked_days, report_id)]
            further.append(await office.make(size.compared_days, is_wide=True))
    return pair, small, large, further


def reported(given: Options, size: Size, pair: Pair, small: Made, large: Made, further: list[Made]) -> Report:
    """The table and the figures."""
    sizes = {
        "sessions": size.compared_days * _A_DAY,
        "rounds": size.rounds,
        "small": small.sessions,
        "large": large.sessions,
    }
    report = Report(
        "exports",
        given,
        sizes,
        ("", "sessions", "s", "µs a session", "server MB", "writer MB", "loop late ms", "busy ms", "MB"),
    )
    for name, made in (
        ("small", small),
        ("large", large),
        *(("ours", one) for one in pair.ours),
        *zip(("lock", "locked", "by person and hour"), further, strict=True),
    ):
        report.row(
            name, made.sessions, made.seconds, made.seconds / made.sessions * 1e6, made.server_mb, made.writer_mb,
            made.block_ms, made.busy_ms, made.size_mb,
        )  # fmt: skip
    for seconds in pair.bare_s:
        report.row(
            "openpyxl", sizes["sessions"], seconds, seconds / size.compared_days / _A_DAY * 1e6, "", "", "", "", ""
        )
    every = [small, large, *pair.ours, *further]
    report.figures.update(
        xlsx_vs_openpyxl=median([one.seconds / bare for one, bare in zip(pair.ours, pair.bare_s, strict=True)]),
        memory_growth=(large.server_mb + large.writer_mb) / (small.server_mb + small.writer_mb),
        memory_growth_mb=large.server_mb + large.writer_mb - small.server_mb - small.writer_mb,
        loop_block_ms=max(one.block_ms for one in every),
        loop_busy_ms=max(one.busy_ms for one in every),
        us_per_session=median([one.seconds / one.sessions for one in pair.ours]) * 1e6,
    )
    return report


def main() -> None:
    """Measured and shown."""
    given = options("exports", __doc__.splitlines()[0])
    configure_logs(LogFormat.AUTO, "warning")
    size = QUICK if given.quick else FULL
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pair, small, large, further = runner.run(measured(given, size))
    reported(given, size, pair, small, large, further).show()


if __name__ == "__main__":
    main()
