"""Node programs that follow a portal, and a way to it that can be cut."""

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import orjson

HERE: Final = Path(__file__).parent
CATCHES_UP_WITHIN_S: Final = 20.0
_LONGEST_LINE: Final = 1024 * 1024

Json = dict[str, Any]


@dataclass(slots=True)
class Relay:
    """Passes bytes on between its own port and another: `async with`, and until it is cut."""

    to_port: int
    port: int = 0
    _server: asyncio.Server | None = None
    _ways: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def open(self) -> None:
        """It passes on; at the same port as before."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Every connection is gone without a word, and none is taken."""
        if self._server is not None:
            self._server.close()
        for writer in self._ways:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.transport.abort()
            return
        self._ways |= {writer, back}
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            self._ways -= {writer, back}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await reader.read(65_536):
            writer.write(content)
            await writer.drain()
    writer.transport.abort()


class Program:
    """A client at work. `state` is what it has shown last."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.state: Json = {"chargers": {}, "counts": {}}
        self._process = process
        self._shown = asyncio.Condition()

    @property
    def counts(self) -> Json:
        """Of what it has heard."""
        found: Json = self.state["counts"]
        return found

    async def listen(self) -> None:
        """Until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._shown:
                self.state = orjson.loads(line)
                self._shown.notify_all()

    async def shows(self, wanted: Callable[[Json], bool]) -> bool:
        """Whether its state is as wanted, now or in a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCHES_UP_WITHIN_S), self._shown:
                await self._shown.wait_for(lambda: wanted(self.state))
        return wanted(self.state)


@asynccontextmanager
async def running(name: str, *, url: str, token: str, installation: str) -> AsyncIterator[Program]:
    """Inside: the client of that name follows the installation at that URL."""
    node = shutil.which("node")
    assert node is not None, "there is no node: make test-clients installs it"
    environment = {**os.environ, "LADE_URL": url, "LADE_TOKEN": token, "LADE_INSTALLATION": installation}
    process = await asyncio.create_subprocess_exec(
        node, str(HERE / "follow.mjs"), name, stdin=PIPE, stdout=PIPE, env=environment, limit=_LONGEST_LINE
    )
    program = Program(name, process)
    listening = asyncio.create_task(program.listen(), name=f"client {name}")
    try:
        yield program
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
