"""The demo as a stranger runs it: nothing of it outlives it, however it ends."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
from python_calamine import CalamineWorkbook

from app.database import Database, opened
from app.demo.garage import OWNER
from domain import sql
from domain.access import access_of
from domain.clock import SystemClock
from domain.summaries import usage_summary
from domain.units import kwh
from domain.usage.question import UsageQuestion
from tests.live.house import environment, processes_of
from tests.servers import free_port

DEMO = "from app.cli import main; main(prog_name='lade')"
APPEARS_WITHIN_S = 40.0
GONE_WITHIN_S = 10.0


async def begun(home: Path) -> Process:
    """A demo, in a process group as at a terminal, whose server answers and whose table would be on the screen."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DEMO,
        "demo",
        "--for",
        "120",
        "--port",
        str(free_port()),
        env=environment(home),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    async with asyncio.timeout(APPEARS_WITHIN_S):
        seen = b""
        while b"installer@example.org" not in seen:
            line = await process.stderr.readline()
            assert line, seen.decode()
            seen += line
    return process


async def wait_until_gone(home: Path) -> list[int]:
    """What is still there after the time that it may take."""
    for _ in range(int(GONE_WITHIN_S * 10)):
        if not list(processes_of(home)):
            return []
        await asyncio.sleep(0.1)
    return list(processes_of(home))


async def test_a_killed_demo_leaves_no_process(tmp_path: Path) -> None:
    """After SIGKILL of the demo its server and the server's Valkey are gone too."""
    process = await begun(tmp_path)
    assert list(processes_of(tmp_path))
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert await wait_until_gone(tmp_path) == []


async def wait_for_a_car(database: Path) -> None:
    """Returns when a charge goes on."""
    for _ in range(int(APPEARS_WITHIN_S * 10)):
        if charges(database):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("no car has come")


def charges(database: Path) -> int:
    """How many go on now."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as rows:
        return int(rows.execute("SELECT COUNT(*) FROM charge_sessions WHERE state = 'ACTIVE'").fetchone()[0])


async def test_ctrl_c_at_the_terminal_ends_the_demo_in_order(tmp_path: Path) -> None:
    """The terminal tells the whole group; all the same the last cars are recorded, and the summary is said."""
    process = await begun(tmp_path)
    await wait_for_a_car(tmp_path / "demo" / "lade.sqlite3")
    os.killpg(process.pid, signal.SIGINT)
    output, trouble = await process.communicate()
    assert process.returncode == 0, trouble.decode()
    summary = json.loads(output.decode().splitlines()[-1])
    assert summary["ledgerWh"] == summary["recordedWh"]
    assert await wait_until_gone(tmp_path) == []


async def test_the_demo_adds_up(tmp_path: Path) -> None:
    """Its last line tells of sessions whose Wh are the cars', offers below every breaker, and a workbook like the API."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DEMO,
        "demo",
        "--for",
        "24",
        "--port",
        str(free_port()),
        env=environment(tmp_path),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    output, trouble = await process.communicate()
    assert process.returncode == 0, trouble.decode()
    summary = json.loads(output.decode().splitlines()[-1])
    assert summary["sessionsEnded"] >= 5
    assert summary["ledgerWh"] == summary["recordedWh"] > 0
    assert 0 < summary["peakLineLoadA"] <= summary["breakerA"] == 63
    assert 0 < summary["worstCircuitRatio"] <= 1
    assert summary["queuedMax"] >= 1
    assert summary["decisions"] >= 20
    assert summary["subscriptionEvents"] >= 100
    assert (await wait_until_gone(tmp_path)) == []
    await check_workbook(Path(summary["workbook"]), tmp_path / "demo" / "lade.sqlite3")


async def check_workbook(workbook: Path, database: Path) -> None:
    """Both readers find the totals that the API's own function gives."""
    now = SystemClock().now()
    async with opened(Database(sqlite_file=database)):
        owner = await sql.row("SELECT id FROM users WHERE email = $1", OWNER.email)
        site = await sql.row("SELECT id FROM installations")
        assert owner is not None
        assert site is not None
        access = await access_of(sql.uuid_of(owner["id"]), now=now)
        today = now.date()
        question = UsageQuestion(
            from_date=today - timedelta(days=370),
            to_date=today + timedelta(days=2),
            installation_ids=(sql.uuid_of(site["id"]),),
        )
        total = (await usage_summary(access, question)).total
    rows = CalamineWorkbook.from_path(workbook).get_sheet_by_name("Summary").to_python()
    last = next(row for row in reversed(rows) if row[0] == "Total")
    assert (last[1], Decimal(str(last[2]))) == (total.session_count, kwh(total.energy_wh))
    with contextlib.closing(openpyxl.load_workbook(workbook, read_only=True)) as book:
        cells = list(book["Summary"].iter_rows(values_only=True))
    same = next(row for row in reversed(cells) if row[0] == "Total")
    assert (same[1], Decimal(str(same[2]))) == (total.session_count, kwh(total.energy_wh))
