"""The peer of `bench.live_fanout` on Node: graphql-ws with its usual parts, in `bench/node_fanout`."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.processes import Served, program

_SOURCE: Final = Path(__file__).parent / "node_fanout"
_FILES: Final = ("package.json", "package-lock.json", ".npmrc", "server.mjs")
_HOME: Final = Path.home() / ".cache" / "lade" / "bench-node"


async def install() -> str | None:
    """Why there is no such peer; None when it is ready in `~/.cache/lade/bench-node`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "Node is not installed: apt-get install nodejs npm"
    _HOME.mkdir(parents=True, exist_ok=True)
    lock = _HOME / "package-lock.json"
    is_new = not lock.exists() or lock.read_text() != (_SOURCE / "package-lock.json").read_text()
    is_there = (_HOME / "node_modules" / "graphql-ws").is_dir()
    for name in _FILES:
        shutil.copy(_SOURCE / name, _HOME / name)
    if is_there and not is_new:
        return None
    command = (npm, "ci", "--no-audit", "--no-fund", "--loglevel=error")
    process = await asyncio.create_subprocess_exec(*command, cwd=_HOME, stdout=asyncio.subprocess.DEVNULL)
    return None if await process.wait() == 0 else "npm could not install its packages; its words are above"


@asynccontextmanager
async def node_server(redis_url: str, *, core: int | None) -> AsyncIterator[Served]:
    """Inside: it serves on that core, and listens to that Redis."""
    node = shutil.which("node")
    assert node is not None, "install() says whether there is one"
    async with program([node, str(_HOME / "server.mjs")], core=core, environment={"REDIS": redis_url}) as served:
        yield served
