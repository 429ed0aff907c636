"""The demo's server: `lade serve` as a process of its own, which never outlives the demo."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app import with_parent
from app.settings import OperatorError, Settings

STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 20.0
SAMPLE_EVERY_S = 2
"""Stays of half a minute want quick readings."""

_SERVE = "from app.cli import main; main(prog_name='lade')"
_OWN = ("LADE_DATABASE_URL", "LADE_REDIS_URL", "LADE_SMTP_URL", "LADE_PUBLIC_URL", "LADE_SECRET_KEY")
"""The demo keeps to its own folder, whatever the operator's server uses."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running `lade serve`. `pid` is the server's own."""

    host: str
    port: int
    pid: int

    @property
    def http_url(self) -> str:
        """Where people go."""
        return f"http://{self.host}:{self.port}"

    @property
    def graphql_url(self) -> str:
        """Where subscriptions go."""
        return f"ws://{self.host}:{self.port}/graphql"

    @property
    def ocpp_url(self) -> str:
        """Where chargers go."""
        return f"ws://{self.host}:{self.port}/ocpp"


@asynccontextmanager
async def server_of(settings: Settings, *, port: int, log: Path) -> AsyncIterator[Server]:
    """Inside: a server on that port with those settings' folder answers. Enter it in the main thread (see with_parent)."""
    with log.open("wb") as output:
        # A session of its own, so that Ctrl-C at the terminal reaches the demo only and the last cars find their server.
        process = await asyncio.create_subprocess_exec(
            *_command(settings.host, port),
            env=_environment(settings),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=output,
            start_new_session=True,
        )
    try:
        await _answers(process, settings.host, port, log)
        yield Server(settings.host, port, process.pid)
    finally:
        await _end(process)


def _command(host: str, port: int) -> list[str]:
    own = [sys.executable, "-I", "-S", str(Path(with_parent.__file__)), str(os.getpid())]
    return [*own, sys.executable, "-c", _SERVE, "serve", "--host", host, "--port", str(port)]


def _environment(settings: Settings) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    return {
        **kept,
        "LADE_DATA_DIR": str(settings.data_dir),
        "LADE_LOG_FORMAT": "json",
        "LADE_METER_INTERVAL_S": str(SAMPLE_EVERY_S),
    }


async def _answers(process: Process, host: str, port: int, log: Path) -> None:
    """Returns when the port takes connections."""
    try:
        async with asyncio.timeout(STARTS_WITHIN_S):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection(host, port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return
    except TimeoutError:
        pass
    raise OperatorError(f"The demo's server did not start; what it said is in {log}.")


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
