"""What every test may ask for: a migrated, empty database and a bus, on both pairs of servers that we run on.

`LADE_TEST_BACKENDS=sqlite` (or `postgresql`) runs one pair only: SQLite with the embedded Valkey, PostgreSQL with Redis.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.database import Database, migrate, opened
from app.redis_bus import RedisBus
from tests.databases import PostgresDatabases
from tests.servers import PostgresServer, postgres_server, redis_server, valkey_program

BACKENDS = tuple(os.environ.get("LADE_TEST_BACKENDS", "sqlite,postgresql").split(","))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """`sqlite` (with the embedded Valkey) or `postgresql` (with Redis)."""
    return str(request.param)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of this session."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_databases(postgres: PostgresServer) -> PostgresDatabases:
    """Migrated, empty databases in it."""
    databases = PostgresDatabases(postgres)
    in_own_loop(databases.prepare())
    return databases


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file."""
    path = tmp_path_factory.mktemp("template") / "lade.sqlite3"
    in_own_loop(migrate(Database(sqlite_file=path)))
    return path


@pytest.fixture
async def database_location(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated, empty database of this test alone, not opened: for tests that start a whole server."""
    if backend == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        yield Database(sqlite_file=Path(shutil.copy(template, tmp_path / "lade.sqlite3")))
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    async with databases.one() as database:
        yield database


@pytest.fixture
async def database(database_location: Database) -> AsyncIterator[Database]:
    """A migrated, empty database of this test alone, opened: models and SQL work."""
    async with opened(database_location):
        yield database_location


@pytest.fixture(scope="session")
def redis_urls() -> Iterator[dict[str, str]]:
    """URLs of a Valkey and a Redis of this session, by the backend whose companion they are."""
    # Not pytest's own folders: their names may be too long for a socket.
    with (
        tempfile.TemporaryDirectory(prefix="lade-v-") as one,
        tempfile.TemporaryDirectory(prefix="lade-r-") as other,
        redis_server(Path(one), program=valkey_program()) as valkey,
        redis_server(Path(other)) as redis,
    ):
        yield {"sqlite": valkey, "postgresql": redis}


@pytest.fixture
async def redis_url(backend: str, redis_urls: dict[str, str]) -> str:
    """The URL of a Redis or Valkey with nothing in it."""
    client = Redis.from_url(redis_urls[backend])
    await client.flushall()
    await client.aclose()
    return redis_urls[backend]


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[RedisBus]:
    """A connected bus."""
    async with RedisBus(redis_url) as connected:
        yield connected


def in_own_loop(work: Coroutine[None, None, object]) -> None:
    """Runs it to its end in a thread of its own, away from the loop of the test that happens to be first."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
