"""Rows live where the settings say, and their tables come to be once, however many ask."""

import asyncio
import contextvars
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import asyncpg
import pytest
from tortoise.connection import get_connection
from tortoise.transactions import in_transaction

from app.database import Database, check_database, database_of, migrate, opened, pending_migrations
from app.settings import OperatorError, Settings
from domain import migrations
from domain.errors import UnavailableError
from tests.servers import PostgresServer, free_port

SECRET = "s" * 32
ROOT = Path(__file__).parent.parent.parent


def settings(folder: Path, url: str | None) -> Settings:
    return Settings(data_dir=folder, secret_key=SECRET, database_url=url)


def test_migrations_follow_each_other() -> None:
    """Each names the one before it, so that every database takes the same way."""
    files = sorted(path.stem for path in Path(migrations.__path__[0]).glob("0*.py"))
    found = {one: import_module(f"domain.migrations.{one}").Migration for one in files}
    assert [one[:4] for one in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [found[one].dependencies for one in files[1:]] == [[("domain", one)] for one in files[:-1]]


async def test_a_fresh_database_has_every_migration(database: Database) -> None:
    """Nothing is pending in a migrated database."""
    assert await pending_migrations() == []


async def test_migrating_twice_changes_nothing(database_location: Database) -> None:
    """The second of two migrations finds nothing to do."""
    assert await migrate(database_location) == []


async def test_the_database_answers(database: Database) -> None:
    """An open database passes its check."""
    await check_database()


async def test_tasks_made_elsewhere_find_the_database(database: Database) -> None:
    """A task with a context of its own uses the same database."""
    await asyncio.get_running_loop().create_task(check_database(), context=contextvars.Context())


async def fail_in_the_middle() -> None:
    async with in_transaction() as transaction:
        await transaction.execute_query("INSERT INTO probe VALUES (1)")
        raise ZeroDivisionError


async def test_what_was_not_committed_is_gone(database: Database) -> None:
    """A connection that was given back in the middle of a transaction keeps nothing of it."""
    connection = get_connection("default")
    await connection.execute_script("CREATE TABLE probe (n INT)")
    with pytest.raises(ZeroDivisionError):
        await fail_in_the_middle()
    assert await connection.execute_query_dict("SELECT n FROM probe") == []


async def test_sqlite_is_durable_and_holds_its_references(tmp_path: Path, sqlite_template: Path) -> None:
    """An acknowledged row survives a power cut, readers do not wait for writers, references are real."""
    async with opened(Database(sqlite_file=sqlite_template)):
        connection = get_connection("default")
        found = {
            name: dict((await connection.execute_query_dict(f"PRAGMA {name}"))[0])
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": {"journal_mode": "wal"},
        "synchronous": {"synchronous": 2},
        "foreign_keys": {"foreign_keys": 1},
        "busy_timeout": {"timeout": 10_000},
    }


async def test_the_database_file_is_private(tmp_path: Path) -> None:
    """Only this user can read the rows."""
    await migrate(Database(sqlite_file=tmp_path / "lade.sqlite3"))
    assert (tmp_path / "lade.sqlite3").stat().st_mode & 0o777 == 0o600


_MIGRATE = """
import asyncio, os
from app.database import database_of, migrate
from app.logs import configure_logs
from app.settings import LogFormat, load_settings
configure_logs(LogFormat.JSON, "error")
print(len(asyncio.run(migrate(database_of(load_settings())))))
"""


def migrating(environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _MIGRATE], env=environ, stdout=subprocess.PIPE, text=True)


async def test_processes_that_migrate_together_wait_for_each_other(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Of several processes that start at the same time one applies every migration and the others none."""
    environ = {"LADE_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    if backend == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        async with opened(Database(postgresql_url=server.url("postgres"))):
            await get_connection("default").execute_script("CREATE DATABASE together")
        environ["LADE_DATABASE_URL"] = server.url("together")
    processes = [migrating(environ) for _ in range(3)]
    applied = sorted(int(process.communicate(timeout=60)[0]) for process in processes)
    assert applied[:2] == [0, 0]
    assert applied[2] >= 1
    assert [process.returncode for process in processes] == [0, 0, 0]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, Database(sqlite_file=Path("/data/lade.sqlite3"))),
        ("sqlite:///var/lib/lade%20one.db", Database(sqlite_file=Path("/var/lib/lade one.db"))),
        ("postgres://u:p@h:5433/lade", Database(postgresql_url="postgres://u:p@h:5433/lade")),
    ],
)
def test_the_url_names_the_database(url: str | None, expected: Database) -> None:
    """SQLite in the data folder, SQLite elsewhere, or PostgreSQL."""
    assert database_of(settings(Path("/data"), url)) == expected


@pytest.mark.parametrize("url", ["sqlite://", "sqlite://:memory:", "postgresql://host", "postgresql://host/"])
def test_a_url_that_names_no_database_is_refused(url: str) -> None:
    """The message says how such a URL is written."""
    with pytest.raises(OperatorError, match=r"^LADE_DATABASE_URL names no (file|database): write "):
        database_of(settings(Path("/data"), url))


async def test_a_postgresql_that_is_not_there_is_told_without_the_password() -> None:
    """The message names the place and the variable, and keeps the password to itself."""
    port = free_port()
    with pytest.raises(OperatorError) as caught:
        await migrate(Database(postgresql_url=f"postgresql://lade:hunter2@127.0.0.1:{port}/lade"))
    assert str(caught.value).startswith(
        f"PostgreSQL at postgresql://127.0.0.1:{port}/lade cannot be used (ConnectionRefusedError"
    )
    assert "LADE_DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_postgresql_database_that_does_not_exist_is_told(postgres: PostgresServer) -> None:
    """A wrong name of the database is told like a server that is away."""
    with pytest.raises(OperatorError, match='database "nowhere" does not exist'):
        await migrate(Database(postgresql_url=postgres.url("nowhere")))


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """A folder, a place that does not exist or a file of another kind is told with its path."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "song.mp3").write_bytes(b"la la la" * 1000)
    for name in ("folder", "absent/lade.db", "song.mp3"):
        with pytest.raises(OperatorError, match=r"The database file .* cannot be (used|written)"):
            await migrate(Database(sqlite_file=tmp_path / name))


async def test_a_database_that_went_away_fails_its_check(postgres: PostgresServer) -> None:
    """A check of a database that was dropped says so instead of raising something unexpected."""
    async with opened(Database(postgresql_url=postgres.url("postgres"))):
        await get_connection("default").execute_script("CREATE DATABASE leaving")
    async with opened(Database(postgresql_url=postgres.url("leaving"))):
        admin = await asyncpg.connect(postgres.url("postgres"))
        await admin.execute("DROP DATABASE leaving WITH (FORCE)")
        await admin.close()
        with pytest.raises(UnavailableError, match="no answer"):
            await check_database()
