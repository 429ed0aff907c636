"""Where rows live: SQLite in the data folder, or PostgreSQL; how it is reached, and how its tables come to be."""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import structlog
from tortoise import Tortoise
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.backends.base.executor import EXECUTOR_CACHE
from tortoise.backends.sqlite.client import SqliteClient
from tortoise.connection import get_connection
from tortoise.exceptions import DBConnectionError, OperationalError
from tortoise.migrations.executor import MigrationExecutor, PlanStep

from app.first_tables import make_first_tables
from app.logs import without_credentials
from app.settings import OperatorError, Settings
from domain.errors import UnavailableError
from domain.usage.interval_cuts import share

CONNECTION = "default"
SQLITE_FILE = "lade.sqlite3"
SQLITE_ENGINE, POSTGRESQL_ENGINE = "app.sqlite_transactions", "app.asyncpg_transactions"
"""Tortoise tells the dialects apart by these names."""

_POOL_MIN = 1
_POOL_MAX = 10
_CONNECT_TIMEOUT_S = 5.0
_CHECK_TIMEOUT_S = 2.0
_MIGRATION_LOCK = 0x6C616465
"""Any constant does, as long as every process of ours takes the same: "lade" in ASCII."""
_MIGRATION_LOCK_TIMEOUT_S = 120.0
_LOCK_POLL_S = 0.05

# Of an acknowledged message nothing may be lost when the power goes: FULL syncs the log at every commit (sqlite.org/pragma).
# busy_timeout comes first, because changing the journal mode may already have to wait.
_PRAGMAS = {"busy_timeout": 10_000, "journal_mode": "WAL", "synchronous": "FULL", "foreign_keys": "ON"}

_APPS = {"domain": {"models": ["domain.models"], "default_connection": CONNECTION, "migrations": "domain.migrations"}}

_UNREACHABLE = (
    sqlite3.Error,
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    DBConnectionError,
    OperationalError,
)

_log = structlog.get_logger(__name__)


class _UnresetConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg comes without types
    """A connection that the pool hands on as it is.

    Resetting costs a round trip after every query; nothing of ours leaves state in a session (no SET, LISTEN, advisory
    lock or cursor on a pooled connection), and open transactions are rolled back by the pool nevertheless.
    """

    def get_reset_query(self) -> str:
        """Nothing to do."""
        return ""


@dataclass(frozen=True, slots=True)
class Database:
    """Where the rows are: exactly one of a file and a PostgreSQL URL."""

    sqlite_file: Path | None = None
    postgresql_url: str | None = None

    @property
    def place(self) -> str:
        """What to call it in front of people; without credentials."""
        return str(self.sqlite_file) if self.postgresql_url is None else without_credentials(self.postgresql_url)


def database_of(settings: Settings) -> Database:
    """The database that the settings name. OperatorError when the URL cannot be one."""
    url = settings.database_url
    if url is None:
        return Database(sqlite_file=settings.data_dir / SQLITE_FILE)
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = unquote(parts.netloc + parts.path)
        if not path or ":memory:" in path:
            raise OperatorError(
                "LADE_DATABASE_URL names no file: write sqlite:///var/lib/lade/lade.sqlite3, or unset it."
            )
        return Database(sqlite_file=Path(path).expanduser().absolute())
    if not parts.path.strip("/"):
        raise OperatorError("LADE_DATABASE_URL names no database: write postgresql://user:password@host:5432/database.")
    return Database(postgresql_url=url)


def tortoise_config(database: Database) -> dict[str, Any]:
    """What Tortoise is initialised with."""
    return {
        "connections": {CONNECTION: _connection(database)},
        "apps": _APPS,
        "use_tz": True,
        "timezone": "UTC",
    }


def _connection(database: Database) -> dict[str, Any]:
    if database.postgresql_url is None:
        return {
            "engine": SQLITE_ENGINE,
            "credentials": {"file_path": str(database.sqlite_file), **_PRAGMAS},
        }
    expanded = expand_db_url(database.postgresql_url)
    credentials = expanded["credentials"]
    if "sslmode" in credentials:
        credentials["ssl"] = credentials.pop("sslmode")  # libpq's word; asyncpg takes the same values under its own
    credentials.update(
        minsize=_POOL_MIN,
        maxsize=_POOL_MAX,
        timeout=_CONNECT_TIMEOUT_S,
        connection_class=_UnresetConnection,
        server_settings={"timezone": "UTC", "application_name": "lade"},
    )
    return {"engine": POSTGRESQL_ENGINE, "credentials": credentials}


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[None]:
    """Inside: the domain's tables can be used, from every task. OperatorError when the database does not answer.

    One database a process: Tortoise keeps it globally, so that tasks of a server that were not made here find it too.
    """
    # Tortoise keeps statements by connection name only: those of another dialect would be used for this one.
    EXECUTOR_CACHE.clear()
    context = await Tortoise.init(config=tortoise_config(database), _enable_global_fallback=True)
    try:
        with _telling(database):
            await get_connection(CONNECTION).execute_query("SELECT 1")
            await _teach()
        yield
    finally:
        await context.close_connections()


async def _teach() -> None:
    """SQLite's LOWER knows all letters, not those of English only: names are found and ordered as on PostgreSQL. And it can share an
    amount in proportion (`domain.usage.interval_cuts.share`) without an end to its numbers.
    """
    client = get_connection(CONNECTION)
    if isinstance(client, SqliteClient) and client._connection is not None:
        await client._connection.create_function("lower", 1, _lower, deterministic=True)
        await client._connection.create_function("share", 3, share, deterministic=True)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


async def check_database() -> None:
    """The database answers; UnavailableError says what is wrong."""
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await get_connection(CONNECTION).execute_query("SELECT 1")
    except _UNREACHABLE as error:
        raise UnavailableError(f"no answer: {type(error).__name__}") from error


async def migrate(database: Database) -> list[str]:
    """The tables are as this version needs them; names of the migrations that were applied now, in order.

    Processes that do this at the same time wait for each other, up to two minutes.
    """
    async with _migration_lock(database):
        if database.sqlite_file is not None:
            _prepare_file(database.sqlite_file)
        return await _migrate(database)


def _prepare_file(path: Path) -> None:
    """The file is there, for this user alone if it was made here: rows are about people."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise OperatorError(
            f"The database file {path} cannot be used: {error.strerror}. Check its folder and rights, and LADE_DATABASE_URL."
        ) from error


async def _migrate(database: Database) -> list[str]:
    async with opened(database):
        missing = await pending_migrations()
        if missing and await make_first_tables(
            CONNECTION, kind="sqlite" if database.postgresql_url is None else "postgresql"
        ):
            _log.info("tables made")
        if missing:
            await MigrationExecutor(get_connection(CONNECTION), _APPS).migrate(
                direction="forward", progress=_tell_progress
            )
        return missing


def _tell_progress(event: str, app: str, name: str) -> None:
    if event == "apply_done":
        _log.info("migration applied", migration=f"{app}.{name}")


async def pending_migrations() -> list[str]:
    """Names of the migrations that the open database lacks, in order."""
    executor = MigrationExecutor(get_connection(CONNECTION), _APPS)
    steps: list[PlanStep] = await executor.plan()
    return [f"{step.migration.app_label}.{step.migration.name}" for step in steps]


def _migration_lock(database: Database) -> contextlib.AbstractAsyncContextManager[None]:
    if database.postgresql_url is not None:
        return _advisory_lock(database, database.postgresql_url)
    assert database.sqlite_file is not None  # noqa: S101  for the type checker: one of the two is set
    return _file_lock(database.sqlite_file.with_name(f"{database.sqlite_file.name}.migrate.lock"))


@asynccontextmanager
async def _file_lock(path: Path) -> AsyncIterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperatorError(
            f"The database file beside {path} cannot be written: {error.strerror}. Correct the path in LADE_DATABASE_URL."
        ) from error
    try:
        try:
            async with asyncio.timeout(_MIGRATION_LOCK_TIMEOUT_S):
                while not _locked(descriptor):  # noqa: ASYNC110  another process holds it; there is nothing to wait on
                    await asyncio.sleep(_LOCK_POLL_S)
        except TimeoutError as error:
            raise OperatorError(f"Another process holds {path}. End it, then try again.") from error
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def _advisory_lock(database: Database, url: str) -> AsyncIterator[None]:
    with _telling(database):
        connection = await asyncpg.connect(url, timeout=_CONNECT_TIMEOUT_S)
    try:
        await connection.execute(f"SET lock_timeout = '{_MIGRATION_LOCK_TIMEOUT_S:.0f}s'")
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
        except asyncpg.LockNotAvailableError as error:
            raise OperatorError(
                "Another process is migrating the database and does not end. End it, then try again."
            ) from error
        yield
    finally:
        await connection.close()  # which lets go of the lock


@contextlib.contextmanager
def _telling(database: Database) -> Iterator[None]:
    """Trouble in reaching the database becomes an OperatorError that says what to do."""
    try:
        yield
    except _UNREACHABLE as error:
        why = f"{type(error).__name__}: {without_credentials(str(error))}"
        if database.postgresql_url is None:
            raise OperatorError(
                f"The database file {database.place} cannot be used ({why}). Check its folder and rights."
            ) from error
        raise OperatorError(
            f"PostgreSQL at {database.place} cannot be used ({why}). "
            "Start it, or correct LADE_DATABASE_URL, or unset it to use SQLite."
        ) from error


def pool_figures() -> Mapping[str, int] | None:
    """How many connections to PostgreSQL are open in this process, by whether they are at work; None with SQLite."""
    pool: Any = getattr(get_connection(CONNECTION), "_pool", None)
    if pool is None or not hasattr(pool, "get_idle_size"):
        return None
    idle = int(pool.get_idle_size())
    return {"idle": idle, "busy": int(pool.get_size()) - idle}
