"""What thousands of chargers cost one process, and how soon they are back after it dies: `python -m bench.storm`.

A fleet in a process of its own connects and boots; the portal's memory for each of them stands beside that of a bare Starlette
WebSocket server with as many connections. Then the portal is killed: all chargers must be back, authenticated, with a known status.
"""

import asyncio
import contextlib
import json
import resource
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import uvloop

from app.logs import configure_logs
from app.settings import LogFormat
from bench.charger_sockets import connect
from bench.fleet import Login, make_fleet
from bench.ocpp_messages import Environment, bench_house, postgresql
from bench.portals import Kept
from bench.processes import Moment, Served, server
from bench.report import Options, Report, options
from domain import sql
from domain.clock import SystemClock

LIMIT_S: Final = 20.0
LIMIT_MB: Final = 350.0
LIMIT_RATIO: Final = 2.0
_OPEN_FILES: Final = 16_384
_POLL_S: Final = 0.1
_TIMEOUT_S: Final = 240.0
_SETTLE_S: Final = 5.0
_PROTOCOLS: Final = ("ocpp1.6", "ocpp2.0.1")


@dataclass(frozen=True, slots=True)
class Size:
    """How many chargers, and how long they stay idle to be measured."""

    chargers: int
    idle_s: float


QUICK: Final = Size(1_500, 3.0)
FULL: Final = Size(5_000, 20.0)


def raise_open_files() -> int:
    """How many files, and thereby sockets, this process and its children may have open: as many as are allowed, at most what is needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


@asynccontextmanager
async def fleet(port: int, logins: Sequence[Login], *, seed: int) -> AsyncIterator[Process]:
    """Inside: simulated chargers without cars, in a process of their own, of both versions by turns."""
    chargers = [[one.identity, one.password] for one in logins]
    given = {"port": port, "seed": seed, "chargers": chargers, "protocols": _PROTOCOLS}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.storm_fleet", stdin=PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(given).encode() + b"\n")
    await process.stdin.drain()
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


_KNOWN: Final = """
SELECT COUNT(*) AS n FROM stations s JOIN chargers c ON c.station_id = s.id JOIN charger_statuses t ON t.charger_id = c.id
WHERE s.is_connected AND s.connected_at > $1 AND t.is_online AND t.status_received_at > $1
"""


async def known(since: datetime) -> int:
    """Chargers that are connected and have told their status since then, as the database has it."""
    row = await sql.row(_KNOWN, since)
    assert row is not None
    return int(row["n"])


async def until_known(count: int, since: datetime) -> float:
    """Seconds from now until so many are known. RuntimeError where it takes minutes."""
    begin = time.monotonic()
    while (found := await known(since)) < count:
        if time.monotonic() - begin > _TIMEOUT_S:
            raise RuntimeError(f"{found} of {count} chargers are back after {_TIMEOUT_S:g} s")
        await asyncio.sleep(_POLL_S)
    return time.monotonic() - begin


@dataclass(frozen=True, slots=True)
class Cost:
    """What connections cost a server: resident memory in all and of each, CPU in all and while they are idle."""

    resident_mb: float
    kb_each: float
    cpu_s: float
    idle_cpu: float


async def _cost(served: Served, before: Moment, count: int, idle_s: float) -> Cost:
    connected = served.moment()
    await asyncio.sleep(idle_s)
    after = served.moment()
    return Cost(
        resident_mb=after.resident_kb / 1024,
        kb_each=(after.resident_kb - before.resident_kb) / count,
        cpu_s=connected.cpu_s - before.cpu_s,
        idle_cpu=(after.cpu_s - connected.cpu_s) / idle_s,
    )


async def echo_floor(environment: Environment, logins: Sequence[Login], size: Size, *, seed: int) -> Cost:
    """As many connections to a bare server."""
    async with server("charger echo", core=None, environment=environment) as served:
        before = served.moment()
        load = await connect(served.port, logins, seed=seed, is_echo=True)
        # A bare server has heard and said something over each connection, too.
        for socket in load.sockets:
            socket.begin(time.perf_counter())
        await load.rest()
        cost = await _cost(served, before, len(logins), size.idle_s)
        served.kill()
    return cost


@dataclass(frozen=True, slots=True)
class Storm:
    """The portal's cost, and how long it took until every charger's status was known: at first, and after a kill."""

    cost: Cost
    first_s: float
    start_s: float
    """From the kill until the next process answered."""
    back_s: float
    """From the kill until all were back."""


async def storm(folder: Path, environment: Environment, logins: Sequence[Login], size: Size, *, seed: int) -> Storm:
    """All come, rest, lose their portal and come again."""
    portal = Kept(
        {**environment, "LADE_LOG_FORMAT": "json", "LADE_LOG_LEVEL": "error"},
        folder / "portal.log",
        ("--roles", "devices"),
    )
    keeping = asyncio.create_task(portal.run(), name="portal")
    try:
        await portal.answering.wait()
        assert portal.process is not None
        served = Served(portal.port, portal.process.pid, None)
        before, begun_at = served.moment(), SystemClock().now()
        async with fleet(portal.port, logins, seed=seed):
            first_s = await until_known(len(logins), begun_at)
            await asyncio.sleep(_SETTLE_S)
            cost = await _cost(served, before, len(logins), size.idle_s)
            killed_at, killed = SystemClock().now(), time.monotonic()
            assert portal.kill()
            await portal.answering.wait()
            start_s = time.monotonic() - killed
            await until_known(len(logins), killed_at)
            back_s = time.monotonic() - killed
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
    for line in portal.defects()[:10]:
        print(line[:1000])
    return Storm(cost, first_s, start_s, back_s)


async def measured(given: Options, size: Size) -> Report:
    """Everything, and its table."""
    open_files = raise_open_files()
    sizes = {"chargers": size.chargers, "idle s": size.idle_s, "open files": open_files}
    report = Report("storm", given, sizes, ("", "MB", "kB each", "CPU s to connect", "idle CPU"))
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(postgresql())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lade-bench-")))
        house, environment = await stack.enter_async_context(bench_house(folder, postgres))
        logins = await make_fleet(house, size.chargers)
        floor = await echo_floor(environment, logins, size, seed=given.seed)
        found = await storm(folder, environment, logins, size, seed=given.seed)
    for name, cost in (("bare WebSocket echo", floor), ("portal, chargers booted", found.cost)):
        report.row(name, cost.resident_mb, cost.kb_each, cost.cpu_s, f"{cost.idle_cpu:.1%}")
    ratio = found.cost.kb_each / floor.kb_each
    report.figures.update(
        chargers=size.chargers,
        kb_each=found.cost.kb_each,
        echo_kb_each=floor.kb_each,
        memory_vs_echo=ratio,
        resident_mb=found.cost.resident_mb,
        first_connect_s=found.first_s,
        restart_s=found.start_s,
        all_back_s=found.back_s,
        connect_cpu_s=found.cost.cpu_s,
        idle_cpu=found.cost.idle_cpu,
        limit_s=LIMIT_S,
        limit_mb=LIMIT_MB,
        limit_ratio=LIMIT_RATIO,
        is_within_limits=ratio <= LIMIT_RATIO and found.cost.resident_mb <= LIMIT_MB and found.back_s <= LIMIT_S,
    )
    return report


def main() -> None:
    """The table, and with --json the figures."""
    given = options("storm", "what thousands of chargers cost one process, and how soon they are back after it dies")
    configure_logs(LogFormat.AUTO, "warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measured(given, QUICK if given.quick else FULL))
    report.show()


if __name__ == "__main__":
    main()
