"""Servers as benches run them: each a process of its own on one core, with whoever measures on another."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

_READY_TIMEOUT_S = 90.0
_END_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What the kernel says of a server's process and of its core so far. Ticks are of 10 ms."""

    user_s: float
    system_s: float
    core_busy_s: float
    resident_kb: int

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the process."""
        return self.user_s + self.system_s

    def others(self, after: Self, seconds: float) -> float:
        """Which share of the core others have taken from here to `after`: above some percent, latencies are theirs too."""
        return max(0.0, after.core_busy_s - self.core_busy_s - (after.cpu_s - self.cpu_s)) / seconds


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers on that port of 127.0.0.1."""

    port: int
    pid: int
    core: int | None

    def moment(self) -> Moment:
        """Its figures now, without asking it."""
        ticks, pages = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        process = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        resident = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        name = "cpu" if self.core is None else f"cpu{self.core}"
        line = next(one for one in Path("/proc/stat").read_text().splitlines() if one.split()[0] == name)
        user, nice, system, _idle, _wait, irq, soft_irq = (int(one) for one in line.split()[1:8])
        return Moment(
            user_s=int(process[11]) / ticks,
            system_s=int(process[12]) / ticks,
            core_busy_s=(user + nice + system + irq + soft_irq) / ticks,
            resident_kb=resident * pages // 1024,
        )

    def kill(self) -> None:
        """It ends without a chance to finish anything (SIGKILL)."""
        os.kill(self.pid, signal.SIGKILL)

    def executions(self) -> int:
        """How many executions it has made."""
        return int(httpx.get(f"http://127.0.0.1:{self.port}/executions", timeout=60.0, trust_env=False).json())


def take_cores() -> int | None:
    """The core for servers, while this process stays on another; None where there is only one for all."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None
    os.sched_setaffinity(0, {cores[-1]})
    return cores[0]


@contextmanager
def awake() -> Iterator[None]:
    """Inside, this process does not sleep: to wake it is work of the kernel that counts as the server's, and a slow server would do it for
    every message, a fast one never.
    """
    loop, is_awake = asyncio.get_running_loop(), True

    def spin() -> None:
        if is_awake:
            loop.call_soon(spin)

    spin()
    try:
        yield
    finally:
        is_awake = False


@asynccontextmanager
async def server(name: str, *, core: int | None, environment: Mapping[str, str]) -> AsyncIterator[Served]:
    """Inside: `python -m bench.hosting NAME` serves on that core."""
    async with program([sys.executable, "-m", "bench.hosting", name], core=core, environment=environment) as served:
        yield served


@asynccontextmanager
async def program(command: Sequence[str], *, core: int | None, environment: Mapping[str, str]) -> AsyncIterator[Served]:
    """Inside: the command serves on that core, at the port that it tells in its first line, until its input ends."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, **environment},
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield Served(await _port(process, command[-1]), process.pid, core)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_END_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _port(process: Process, name: str) -> int:
    assert process.stdout is not None
    async with asyncio.timeout(_READY_TIMEOUT_S):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"the server {name!r} did not start; its words are above")
    return int(json.loads(line)["port"])
