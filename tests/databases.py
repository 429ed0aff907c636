"""PostgreSQL databases for tests, used again once they are as they were: to make and drop one costs a checkpoint each time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import asyncpg

from app.database import Database, migrate
from tests.servers import PostgresServer

_TEMPLATE = "lade_template"

_SHAPE = """
SELECT string_agg(line, ';' ORDER BY line) FROM (
    SELECT concat_ws(' ', c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull) AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE n.nspname = 'public'
    UNION ALL SELECT concat_ws(' ', 'trigger', t.tgname) FROM pg_trigger t WHERE NOT t.tgisinternal
) lines
"""
_TABLES = "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_NOBODY_ELSE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_RESTART = "SELECT setval(c.oid, 1, false) FROM pg_class c WHERE c.relkind = 'S'"


class PostgresDatabases:
    """Migrated, empty databases of one server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = count()
        self._clean: list[str] = []
        self._shape = ""
        self._kept: dict[str, str] = {}
        """What stands in the tables that migrations fill themselves."""

    async def prepare(self) -> None:
        """The first of them is there, from which the others are copied."""
        await self._execute(f"CREATE DATABASE {_TEMPLATE}")
        await migrate(Database(postgresql_url=self._server.url(_TEMPLATE)))
        connection = await asyncpg.connect(self._server.url(_TEMPLATE))
        try:
            self._shape = await connection.fetchval(_SHAPE)
            self._kept = {name: await _content(connection, name) for name in await _filled(connection)}
        finally:
            await connection.close()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Database]:
        """Inside: a database for one test alone. Afterwards it is emptied; dropped when the test changed its tables."""
        name = self._clean.pop() if self._clean else await self._made()
        yield Database(postgresql_url=self._server.url(name))
        if await self._is_as_it_was(name):
            self._clean.append(name)
        else:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _made(self) -> str:
        name = f"test_{next(self._numbers)}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return name

    async def _is_as_it_was(self, name: str) -> bool:
        connection = await asyncpg.connect(self._server.url(name))
        try:
            await connection.execute(_NOBODY_ELSE)
            if await connection.fetchval(_SHAPE) != self._shape:
                return False
            filled = await _filled(connection)
            used = [table for table in filled if table not in self._kept]
            if used:
                await connection.execute(f"TRUNCATE {', '.join(used)} CASCADE")
                await connection.execute(_RESTART)
            return {table: await _content(connection, table) for table in self._kept if table in filled} == self._kept
        finally:
            await connection.close()

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def _filled(connection: asyncpg.Connection) -> list[str]:
    """The tables with rows in them."""
    tables = [row["name"] for row in await connection.fetch(_TABLES)]
    asked = ", ".join(f"EXISTS (SELECT 1 FROM {table})" for table in tables)  # noqa: S608  names from the catalogue
    row = await connection.fetchrow(f"SELECT {asked}")
    return [table for table, is_filled in zip(tables, row, strict=True) if is_filled]


async def _content(connection: asyncpg.Connection, table: str) -> str:
    text: str = await connection.fetchval(f"SELECT string_agg(t::text, ';' ORDER BY t::text) FROM {table} t")  # noqa: S608
    return text
