"""Whether a command ever goes over a connection that another has taken over: `python -m bench.takeover`.

Chargers move between two portal processes, again and again, and never close a socket themselves, as firmware does whose network changed
under it. All the while they are sent commands from a third process. A command that was asked for once a newer connection stood must not
come over an older one; and once the charger has booted there, it must come.
"""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Final
from uuid import UUID

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.logs import configure_logs
from app.settings import LogFormat
from bench.fleet import Login, make_fleet
from bench.ocpp_messages import bench_house, postgresql
from bench.portals import Kept
from bench.report import Options, Report, options
from devices.service import commands_only
from domain import sql
from domain.ports import ChargerCommands, DeviceAnswer, DeviceVerdict, StartCharging
from tests.devices.server import authorization

_TIMEOUT_S: Final = 20.0
_VENDOR: Final = {"chargePointVendor": "Acme", "chargePointModel": "Wanderer"}


@dataclass(frozen=True, slots=True)
class Size:
    """How many chargers move how often."""

    chargers: int
    moves: int


QUICK: Final = Size(10, 20)
FULL: Final = Size(10, 101)


@dataclass
class Found:
    """What came of the moves and the commands."""

    takeovers: int = 0
    commands: int = 0
    delivered: int = 0
    stale: int = 0
    unreached: int = 0
    """Of those that were asked for when the charger had booted where it is."""
    verdicts: Counter[str] = field(default_factory=Counter)
    left_open: int = 0
    """Connections that were overtaken and that nobody closed."""


class Wanderer:
    """A charger that opens a new socket to wherever it is sent and leaves the old one as it is."""

    def __init__(self, identity: str, password: str) -> None:
        self.newest = -1
        """The number of its newest connection that a portal has accepted."""
        self.came_over: dict[str, int] = {}
        """Which connection each command came over, by its token."""
        self._identity = identity
        self._password = password
        self._sockets: list[ClientConnection] = []
        self._readers: list[asyncio.Task[None]] = []
        self._booted: asyncio.Future[None] | None = None

    async def move(self, url: str) -> None:
        """It is connected there, and has booted."""
        socket = await connect(
            url, subprotocols=[Subprotocol("ocpp1.6")], ping_interval=None, compression=None,
            additional_headers=authorization(self._identity, self._password),
        )  # fmt: skip
        self._sockets.append(socket)
        self.newest = len(self._sockets) - 1
        self._booted = asyncio.get_running_loop().create_future()
        self._readers.append(asyncio.create_task(self._read(socket, self.newest)))
        await socket.send(json.dumps([2, f"boot-{self.newest}", "BootNotification", _VENDOR]))
        async with asyncio.timeout(_TIMEOUT_S):
            await self._booted

    async def _read(self, socket: ClientConnection, number: int) -> None:
        try:
            async for text in socket:
                frame = json.loads(text)
                if frame[0] == 2:
                    if frame[2] == "RemoteStartTransaction":
                        self.came_over[frame[3]["idTag"]] = number
                    await socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
                elif number == self.newest and self._booted is not None and not self._booted.done():
                    self._booted.set_result(None)
        except ConnectionClosed:
            return

    async def overtaken(self) -> int:
        """How many connections but the newest are still open, a while after the last move."""
        older = self._readers[:-1]
        if not older:
            return 0
        _, still = await asyncio.wait(older, timeout=_TIMEOUT_S)
        return len(still)

    async def end(self) -> None:
        """Every socket is closed."""
        for socket in self._sockets:
            await socket.close()
        await asyncio.gather(*self._readers)


async def wander(
    wanderer: Wanderer,
    charger_id: UUID,
    urls: Sequence[str],
    moves: int,
    processes: Sequence[ChargerCommands],
    found: Found,
) -> None:
    """The charger moves so often, by turns to each of the addresses, and is sent three commands with each move."""
    asked = cycle(processes)

    async def ask(token: str) -> tuple[str, int, DeviceAnswer]:
        newest = wanderer.newest
        answer = await next(asked).send(charger_id, StartCharging(token), timeout_s=_TIMEOUT_S)
        return token, newest, answer

    for number in range(moves):
        before = asyncio.create_task(ask(f"B{number}"))
        moving = asyncio.create_task(wanderer.move(urls[number % len(urls)]))
        while wanderer.newest < number and not moving.done():  # noqa: ASYNC110  the very moment matters, not some later one
            await asyncio.sleep(0)
        meanwhile = asyncio.create_task(ask(f"M{number}"))
        await moving
        after = await ask(f"A{number}")
        found.takeovers += number > 0
        found.unreached += after[2].verdict is not DeviceVerdict.ACCEPTED
        for token, newest, answer in (await before, await meanwhile, after):
            found.commands += 1
            found.verdicts[answer.verdict] += 1
            over = wanderer.came_over.get(token)
            found.delivered += over is not None
            found.stale += over is not None and over < newest
    found.left_open += await wanderer.overtaken()
    await wanderer.end()


async def taken_over(
    logins: Sequence[Login], urls: Sequence[str], moves: int, processes: Sequence[ChargerCommands]
) -> Found:
    """All of these chargers move at the same time; each of `urls` is a portal's, without the identity. `processes` are asked by turns."""
    found = Found()
    ids = {row["identity"]: sql.uuid_of(row["id"]) for row in await sql.rows(_CHARGERS)}
    async with asyncio.TaskGroup() as tasks:
        for one in logins:
            wanderer = Wanderer(one.identity, one.password)
            addresses = [f"{url}/{one.identity}" for url in urls]
            tasks.create_task(wander(wanderer, ids[one.identity], addresses, moves, processes, found))
    return found


_CHARGERS: Final = "SELECT c.id, s.identity FROM chargers c JOIN stations s ON s.id = c.station_id"


async def measured(given: Options, size: Size) -> Report:
    """Two portals, and everything that moves between them."""
    sizes = {"chargers": size.chargers, "moves of each": size.moves, "portals": 2}
    report = Report("takeover", given, sizes, ("", "count"))
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(postgresql())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lade-bench-")))
        house, environment = await stack.enter_async_context(bench_house(folder, postgres))
        logins = await make_fleet(house, size.chargers)
        quiet = {**environment, "LADE_LOG_FORMAT": "json", "LADE_LOG_LEVEL": "error"}
        portals = [Kept(quiet, folder / f"{name}.log", ("--roles", "devices")) for name in ("one", "two")]
        router = commands_only(bus=house.bus)
        running = [asyncio.create_task(one.run()) for one in portals] + [asyncio.create_task(router.run())]
        try:
            for portal in portals:
                await portal.answering.wait()
            urls = [f"ws://127.0.0.1:{one.port}/ocpp" for one in portals]
            found = await taken_over(logins, urls, size.moves, [router])
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
    report.figures.update(
        takeovers=found.takeovers,
        commands=found.commands,
        delivered=found.delivered,
        delivered_by_stale=found.stale,
        unreached=found.unreached,
        left_open=found.left_open,
    )
    for verdict, count in sorted(found.verdicts.items()):
        report.row(verdict, count)
    return report


def main() -> None:
    """The table, and with --json the figures."""
    given = options("takeover", "whether a command ever goes over a connection that another has taken over")
    configure_logs(LogFormat.AUTO, "warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measured(given, QUICK if given.quick else FULL))
    report.show()


if __name__ == "__main__":
    main()
