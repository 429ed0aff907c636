"""A portal as a service manager keeps it: `lade serve` in a process of its own, started again on the same port whenever it ends."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.servers import free_port

_SERVE: Final = "from app.cli import main; main(prog_name='lade')"
_RESTART_S: Final = 0.5
_POLL_S: Final = 0.05
_DEFECTS: Final = ("a report was refused", "a link failed")


@dataclass
class Kept:
    """A portal on `port`. `run` keeps it going; `kill` ends it without a word."""

    environment: Mapping[str, str]
    log: Path
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    starts: int = 0
    down_s: float = 0.0
    """How long nobody answered, in all."""
    process: Process | None = None
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    _down_since: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Until cancelled; then it is ended in an orderly way."""
        try:
            while True:
                await self._once()
                await asyncio.sleep(_RESTART_S)
        finally:
            if self.process is not None and self.process.returncode is None:
                self.process.terminate()
                await self.process.wait()

    async def _once(self) -> None:
        with self.log.open("ab") as words:
            self.process = process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _SERVE, "serve", "--port", str(self.port), *self.arguments,
                env={**os.environ, **self.environment}, stdin=DEVNULL, stdout=words, stderr=words,
            )  # fmt: skip
        self.starts += 1
        watching = asyncio.create_task(self._until_answering(), name="portal answers")
        await process.wait()
        watching.cancel()
        if self.answering.is_set():
            self._down_since = time.monotonic()
        self.answering.clear()

    async def _until_answering(self) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(_POLL_S)
                continue
            writer.close()
            self.down_s += time.monotonic() - self._down_since
            self.answering.set()
            return

    def kill(self) -> bool:
        """It is gone, as after a power cut (SIGKILL); False where there was none that answered."""
        if self.process is None or not self.answering.is_set():
            return False
        self.process.send_signal(signal.SIGKILL)
        self.answering.clear()
        self._down_since = time.monotonic()
        return True

    def defects(self) -> list[str]:
        """Lines of its log that tell of a message that could not be dealt with; that a server is away is no defect."""
        return [
            line for line in self.log.read_text(errors="replace").splitlines() if any(one in line for one in _DEFECTS)
        ]
