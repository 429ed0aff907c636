"""The Valkey that comes with the program is private and never outlives the process that started it."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from app.embedded import EmbeddedValkey, ValkeyEndedError, server_binary
from app.settings import OperatorError

ROOT = Path(__file__).parent.parent.parent
WITH_PARENT = ROOT / "app" / "with_parent.py"

_PARENT = """
import asyncio, sys
from pathlib import Path
from app.embedded import EmbeddedValkey
from app.logs import configure_logs
from app.settings import LogFormat

async def main():
    configure_logs(LogFormat.JSON, "error")
    async with EmbeddedValkey(Path(sys.argv[1])) as valkey:
        print(valkey.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def answer(url: str) -> bool:
    client = Redis.from_url(url)
    try:
        return bool(await client.ping())
    finally:
        await client.aclose()


def started(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Another process of ours that has its own server; and that server's process id."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, folder], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def orphaned(folder: Path) -> subprocess.Popen[bytes]:
    """A server on that folder's socket that nobody looks after."""
    path = folder / "valkey" / "valkey.sock"
    path.parent.mkdir()
    command = [str(server_binary()), "--port", "0", "--unixsocket", str(path), "--save", ""]
    orphan = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert orphan.stdout is not None
    while b"ready to accept" not in orphan.stdout.readline().lower():
        pass
    return orphan


def wait_for_end(pid: int, timeout_s: float = 10.0) -> bool:
    """Whether a process that is not our child ended in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], timeout_s)[0])
    finally:
        os.close(descriptor)


async def test_it_answers_inside_and_is_gone_afterwards(tmp_path: Path) -> None:
    """Entered, it answers on a socket in the data folder; left, neither process nor socket remain."""
    async with EmbeddedValkey(tmp_path) as valkey:
        assert await answer(valkey.url)
        assert valkey.url == f"unix://{tmp_path}/valkey/valkey.sock"
        pid = valkey.pid
        assert pid is not None
    assert wait_for_end(pid)
    assert [path.name for path in (tmp_path / "valkey").iterdir()] == ["lock"]


async def test_it_is_private(tmp_path: Path) -> None:
    """No port, no file on disk, and a socket that only this user can open."""
    async with EmbeddedValkey(tmp_path) as valkey:
        client = Redis.from_url(valkey.url, decode_responses=True)
        config = await client.config_get("port", "save", "appendonly")
        await client.aclose()
        assert config == {"port": "0", "save": "", "appendonly": "no"}
        assert (tmp_path / "valkey").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "valkey" / "valkey.sock").stat().st_mode & 0o777 == 0o700


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves its parent no time to say anything; the server ends nevertheless."""
    parent, pid = started(tmp_path)
    with parent:
        parent.send_signal(signal.SIGKILL)
    assert wait_for_end(pid)


async def test_what_a_killed_run_left_behind_is_cleaned_up(tmp_path: Path) -> None:
    """A socket of a run that was killed does not hinder the next one."""
    parent, pid = started(tmp_path)
    with parent:
        parent.kill()
    assert wait_for_end(pid)
    assert (tmp_path / "valkey" / "valkey.sock").exists()
    async with EmbeddedValkey(tmp_path) as valkey:
        assert await answer(valkey.url)


async def test_an_orphan_that_still_serves_is_ended(tmp_path: Path) -> None:
    """Where the kernel could not end an earlier run's server, the next run does."""
    orphan = orphaned(tmp_path)
    with orphan:
        async with EmbeddedValkey(tmp_path) as valkey:
            assert valkey.pid != orphan.pid
            assert await answer(valkey.url)
    assert orphan.returncode == 0


def test_a_program_whose_parent_is_gone_already_does_not_start() -> None:
    """Between fork and the kernel's promise the parent may have died; the program is then not begun."""
    nobody = 2**22 + 1
    ran = subprocess.run(
        [sys.executable, WITH_PARENT, str(nobody), "/bin/echo", "begun"], capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (3, b"")


async def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second is told what to do instead, and the first goes on."""
    async with EmbeddedValkey(tmp_path) as valkey:
        with pytest.raises(OperatorError, match="set LADE_DATA_DIR to another folder"):
            async with EmbeddedValkey(tmp_path):
                pass
        assert await answer(valkey.url)


async def test_a_folder_whose_path_is_too_long_for_a_socket_works(tmp_path: Path) -> None:
    """The socket then is in a private folder for temporary files."""
    deep = tmp_path / ("d" * 100)
    async with EmbeddedValkey(deep) as valkey:
        assert await answer(valkey.url)
        folder = Path(valkey.url.removeprefix("unix://")).parent
        assert folder.parent != deep / "valkey"
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


async def test_a_death_is_noticed_and_the_next_call_starts_it_again(tmp_path: Path) -> None:
    """`keep_alive` raises when the server has died; called again, as the supervisor does, there is a new one."""
    async with EmbeddedValkey(tmp_path) as valkey:
        first = valkey.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ValkeyEndedError, match="status -9"):
            await valkey.keep_alive()
        again = asyncio.create_task(valkey.keep_alive())
        patient = Redis.from_url(
            valkey.url, retry=Retry(ConstantBackoff(0.02), 500), retry_on_error=[RedisError, OSError]
        )
        assert await patient.ping()
        await patient.aclose()
        assert valkey.pid != first
        again.cancel()
        await asyncio.wait([again])


async def test_a_program_that_does_not_serve_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken server on PATH ends the start with words, not with a wait."""
    broken = tmp_path / "bin" / "valkey-server"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho no\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    with pytest.raises(OperatorError, match="ended with status 7 instead of serving"):
        async with EmbeddedValkey(tmp_path):
            pass
