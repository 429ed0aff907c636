"""What an authorization through a call-out costs beside the external system's own time: `python -m bench.authorization`.

Chargers ask a portal whether cards may charge. One site decides by its permissions, the other asks an HTTP server that takes
a known time. What is measured is the time from a charger's Authorize to its answer, without the time that the system itself
took for that card; beside it the same questions put to the system directly, over one connection, as the least it can cost.
"""

import asyncio
import base64
import itertools
import json
import os
import secrets
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import httpx
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from app.house import House
from app.logs import configure_logs
from app.settings import LogFormat
from bench.fleet import Login, make_fleet
from bench.houses import bench_house
from bench.report import Options, Report, median, options, percentile
from domain import sql
from domain.models import ExternalAuthentication
from domain.roles import ExternalMode

_SECRET: Final = "whsec_" + base64.b64encode(b"a bench's own key, worth nothing").decode()
_LIMIT_MS: Final = 50.0
_PER_SITE: Final = 50
_READY_S: Final = 30.0
_WARM_UP: Final = 20


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    chargers: int
    """At each of the two sites."""
    asked: int
    per_s: float


QUICK: Final = Size(chargers=25, asked=300, per_s=25.0)
FULL: Final = Size(chargers=50, asked=5_000, per_s=50.0)

# An HTTP server that decides after a time of its own and says how long it took, in a process of its own.
_SYSTEM: Final = """
import asyncio, json, random, sys, time

LOG = sys.stdout

async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode("latin-1")
            began = time.perf_counter()
            length = next(int(line.split(":")[1]) for line in head.split("\\r\\n") if line.lower().startswith("content-length"))
            body = json.loads(await reader.readexactly(length))
            credential = body["data"]["credential"]
            await asyncio.sleep(random.uniform(0.005, 0.03))
            answer = json.dumps({"decision": "ACCEPTED", "reason": "bench"}).encode()
            took = time.perf_counter() - began
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(answer) + answer)
            await writer.drain()
            print(json.dumps([credential, took]), file=LOG, flush=True)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(json.dumps(["port", server.sockets[0].getsockname()[1]]), file=LOG, flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@dataclass(slots=True)
class System:
    """The external system, and how long it took for each credential."""

    process: Process
    port: int
    own_s: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}/authorize"

    async def listen(self) -> None:
        """Until it ends: what it took is noted."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            credential, took = json.loads(line)
            self.own_s[credential] = took


@asynccontextmanager
async def external_system() -> AsyncIterator[System]:
    """Inside: the system answers."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _SYSTEM, stdin=DEVNULL, stdout=PIPE)
    assert process.stdout is not None
    _, port = json.loads(await process.stdout.readline())
    system = System(process, port)
    listening = asyncio.create_task(system.listen(), name="what the system took")
    try:
        yield system
    finally:
        process.kill()
        await process.wait()
        await listening


@asynccontextmanager
async def portal(environment: dict[str, str]) -> AsyncIterator[int]:
    """Inside: `lade serve` takes chargers in on the port."""
    settings = {
        **os.environ,
        **environment,
        "LADE_CALL_OUT_ALLOW": "127.0.0.0/8",
        "LADE_LOG_LEVEL": "error",
        "LADE_PORT": "0",
    }
    serve = "from app.cli import main; main(prog_name='lade')"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", serve, "serve", env=settings, stdin=DEVNULL, stderr=PIPE
    )
    try:
        yield await _port(process)
    finally:
        process.terminate()
        await process.wait()


async def _port(process: Process) -> int:
    assert process.stderr is not None
    async with asyncio.timeout(_READY_S):
        while line := (await process.stderr.readline()).decode():
            if "http://" in line:
                return int(line.split("http://")[1].split("/")[0].split()[0].rsplit(":")[1])
    raise RuntimeError("the portal did not start; its words are above")


class Talker:
    """A charger's end of a socket: its calls, and calls of the portal, which are accepted at any time."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._waiting: dict[str, asyncio.Future[dict[str, object]]] = {}

    async def call(self, action: str, payload: dict[str, object]) -> dict[str, object]:
        """The portal's answer."""
        identity = secrets.token_hex(8)
        answer: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
        self._waiting[identity] = answer
        await self._socket.send(json.dumps([2, identity, action, payload]))
        return await answer

    async def listen(self) -> None:
        """Until the socket is closed."""
        async for text in self._socket:
            frame = json.loads(text)
            if frame[0] == 2:
                await self._socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
            elif frame[0] == 3:
                self._waiting.pop(frame[1]).set_result(frame[2])
            else:
                self._waiting.pop(frame[1]).set_exception(RuntimeError(str(frame)))


@asynccontextmanager
async def charger(port: int, login: Login) -> AsyncIterator[Talker]:
    """Inside: the charger is connected and has booted."""
    key = base64.b64encode(f"{login.identity}:{login.password}".encode()).decode()
    async with connect(
        f"ws://127.0.0.1:{port}/ocpp/{login.identity}",
        subprotocols=["ocpp1.6"],  # type: ignore[list-item]  # a NewType of str
        additional_headers={"Authorization": f"Basic {key}"},
        compression=None,
    ) as socket:
        talker = Talker(socket)
        listening = asyncio.create_task(talker.listen(), name="charger")
        await talker.call("BootNotification", {"chargePointVendor": "Bench", "chargePointModel": "One"})
        yield talker
        await socket.close()
        await listening


class Chargers:
    """Connected chargers, each of which asks one question at a time."""

    def __init__(self, talkers: Sequence[Talker], *, seed: int) -> None:
        self._talkers = talkers
        self._locks = [asyncio.Lock() for _ in talkers]
        self._random = Random(seed)
        self._numbers = itertools.count()

    async def ask(self, count: int, *, per_s: float) -> dict[str, tuple[float, str]]:
        """Credential → (seconds until its answer, the answer), for that many new cards at fixed times."""
        found: dict[str, tuple[float, str]] = {}
        begin = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                await asyncio.sleep(max(0.0, begin + number / per_s - asyncio.get_running_loop().time()))
                tasks.create_task(self._one(next(self._numbers) % len(self._talkers), found), name="authorize")
        return found

    async def _one(self, place: int, found: dict[str, tuple[float, str]]) -> None:
        token = f"{self._random.getrandbits(56):014X}"
        async with self._locks[place]:
            began = time.perf_counter()
            answer = await self._talkers[place].call("Authorize", {"idTag": token})
            ended = time.perf_counter()
        info = answer["idTagInfo"]
        assert isinstance(info, dict)
        found[token] = (ended - began, str(info["status"]))


async def directly(system: System, count: int, *, per_s: float, seed: int) -> dict[str, float]:
    """Credential → seconds, of the same questions put to the system over one client."""
    random, found = Random(seed), dict[str, float]()
    async with httpx.AsyncClient(timeout=10.0) as client:
        begin = asyncio.get_running_loop().time()

        async def one() -> None:
            token = f"{random.getrandbits(56):014X}"
            began = time.perf_counter()
            await client.post(system.url, json={"data": {"credential": token}})
            found[token] = time.perf_counter() - began

        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                await asyncio.sleep(max(0.0, begin + number / per_s - asyncio.get_running_loop().time()))
                tasks.create_task(one(), name="direct question")
    return found


async def _make_site_ask(house: House, system: System, login: Login) -> None:
    """The site of that charger asks the system, and does as it says."""
    row = await sql.row(
        "SELECT c.installation_id FROM chargers c JOIN stations s ON s.id = c.station_id WHERE s.identity = $1",
        login.identity,
    )
    assert row is not None
    await ExternalAuthentication.create(
        installation_id=sql.uuid_of(row["installation_id"]),
        mode=ExternalMode.ENFORCE,
        url=system.url,
        secret=house.sealer.seal(_SECRET),
    )


def _over(found: dict[str, float], system: System) -> list[float]:
    """Milliseconds beyond the system's own time."""
    return [(took - system.own_s[token]) * 1000 for token, took in found.items()]


async def measure(given: Options, size: Size, report: Report) -> None:
    """The table's rows and the figures."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lade-bench-")))
        house, environment = await stack.enter_async_context(bench_house(folder))
        system = await stack.enter_async_context(external_system())
        logins = await make_fleet(house, 2 * _PER_SITE)
        asking, native = logins[: size.chargers], logins[_PER_SITE : _PER_SITE + size.chargers]
        await _make_site_ask(house, system, asking[0])
        port = await stack.enter_async_context(portal(environment))
        groups = [
            Chargers([await stack.enter_async_context(charger(port, one)) for one in some], seed=given.seed + number)
            for number, some in enumerate((asking, native))
        ]
        for group in groups:
            await group.ask(_WARM_UP, per_s=size.per_s)
        alone = _over(await directly(system, size.asked, per_s=size.per_s, seed=given.seed + 9), system)
        by_permission = await groups[1].ask(size.asked, per_s=size.per_s)
        by_call = await groups[0].ask(size.asked, per_s=size.per_s)
    refused = sum(answer != "Accepted" for _, answer in by_call.values())
    through = _over({token: took for token, (took, _) in by_call.items()}, system)
    native_ms = [took * 1000 for took, _ in by_permission.values()]
    for name, values in (
        ("the system asked directly, beyond its own time", alone),
        ("Authorize, decided by permissions", native_ms),
        ("Authorize through a call-out, beyond its own time", through),
    ):
        report.row(name, len(values), median(values), percentile(values, 0.95), percentile(values, 0.99), max(values))
    report.figures.update(
        authorizations=len(through),
        not_accepted=refused,
        call_out_over_p50_ms=median(through),
        call_out_over_p99_ms=percentile(through, 0.99),
        native_p99_ms=percentile(native_ms, 0.99),
        direct_over_p99_ms=percentile(alone, 0.99),
        ratio_to_direct_p99=percentile(through, 0.99) / percentile(alone, 0.99),
        limit_ms=_LIMIT_MS,
        is_within_limit=percentile(through, 0.99) <= _LIMIT_MS and refused == 0,
    )


def main() -> None:
    """The bench."""
    given = options("authorization", __doc__.splitlines()[0])
    configure_logs(LogFormat.CONSOLE, "error")
    size = QUICK if given.quick else FULL
    sizes = {"chargers": 2 * size.chargers, "authorizations": size.asked, "a second": size.per_s}
    report = Report("authorization", given, sizes, ("what", "count", "p50 ms", "p95 ms", "p99 ms", "max ms"))
    uvloop.run(measure(given, size, report))
    report.show()


if __name__ == "__main__":
    main()
