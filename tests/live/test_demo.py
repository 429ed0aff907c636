"""The demo as a stranger runs it: nothing of it outlives it, however it ends."""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from tests.live.house import environment, processes_of
from tests.servers import free_port

DEMO = "from app.cli import main; main(prog_name='lade')"
APPEARS_WITHIN_S = 40.0
GONE_WITHIN_S = 10.0


async def begun(home: Path) -> Process:
    """A demo whose server answers and whose table would be on the screen."""
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
        stdout=DEVNULL,
        stderr=PIPE,
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
