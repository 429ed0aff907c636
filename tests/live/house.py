"""A whole portal as its operator runs it: `lade serve` in a process of its own, killed and started again at will."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.database import Database, opened
from app.demo.garage import Garage, make_garage
from app.settings import load_settings
from domain.clock import SystemClock
from tests.servers import free_port

STARTS_WITHIN_S = 30.0
SERVE = "from app.cli import main; main(prog_name='lade')"


@dataclass
class Portal:
    """A server in `home`, on a port that stays the same. `garage` is what is in its database."""

    home: Path
    garage: Garage
    roles: str | None = None
    """With commas between; None for all of them."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What its operator has set besides the folder."""
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def ocpp_url(self) -> str:
        """Where chargers go."""
        return f"ws://127.0.0.1:{self.port}/ocpp"

    @property
    def graphql_url(self) -> str:
        """Where apps go."""
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def http_url(self) -> str:
        """Where everything else is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self.home / "server.log").read_text()

    async def start(self) -> None:
        """It answers."""
        roles = [] if self.roles is None else ["--roles", self.roles]
        with (self.home / "server.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                SERVE,
                "serve",
                "--port",
                str(self.port),
                *roles,
                env={**environment(self.home), **self.settings},
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not await answers(self.port):
                assert self.process.returncode is None, self.log[-3000:]
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """It is gone without a word, as after a power cut."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Its exit status after it was asked to end."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()


def environment(home: Path) -> dict[str, str]:
    """Nothing of the tester's own server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LADE_")}
    return {**kept, "LADE_DATA_DIR": str(home), "LADE_LOG_FORMAT": "json"}


async def answers(port: int) -> bool:
    """Whether the port takes connections."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def running_portal(home: Path, **settings: str) -> AsyncIterator[Portal]:
    """Inside: a portal with the demo's garage and these settings serves; afterwards it does not. The database in `home` is empty."""
    secret_key = load_settings(environment(home)).secret_key
    async with opened(Database(sqlite_file=home / "lade.sqlite3")):
        garage = await make_garage(secret_key=secret_key, now=SystemClock().now(), seed=1)
    portal = Portal(home, garage, settings=settings)
    try:
        await portal.start()
        yield portal
    finally:
        await portal.stop()


def processes_of(home: Path) -> Iterator[int]:
    """Processes whose environment or arguments name the folder: what a portal in it has left behind."""
    needle = str(home).encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                found = needle in (entry / "cmdline").read_bytes() or needle in (entry / "environ").read_bytes()
            except OSError:
                continue
            if found:
                yield int(entry.name)
