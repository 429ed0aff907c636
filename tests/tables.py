"""What tables a database has, as SQL; `python -m tests.tables` writes the files from which new databases get theirs."""

import asyncio
import re
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from tortoise.connection import get_connection
from tortoise.migrations.executor import MigrationExecutor

import domain.migrations
from app.database import CONNECTION, Database, opened, tortoise_config
from app.first_tables import FILES
from tests.servers import postgres_server

_FOLDER = Path(domain.migrations.__file__).parent
_MADE = "-- Written by `make tables`: what all migrations together come to. Not to be changed by hand.\n"
_NOT_FOR_US = re.compile(r"(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\\w+ .*|)")
"""Lines of pg_dump that say where it came from, or set a session up."""


def tables(database: Database) -> str:
    """The statements that make the tables of that database."""
    if database.postgresql_url is not None:
        return _postgresql_tables(database.postgresql_url)
    assert database.sqlite_file is not None
    return _sqlite_tables(database.sqlite_file)


def _sqlite_tables(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        found = connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid"
        ).fetchall()
    finally:
        connection.close()
    return "".join(f"{statement};\n" for (statement,) in found)


def _postgresql_tables(url: str) -> str:
    command = [shutil.which("pg_dump") or "pg_dump", "--schema-only", "--no-owner", "--no-privileges", url]
    dumped = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line for line in dumped.splitlines() if not _NOT_FOR_US.fullmatch(line)]
    return "\n".join(lines).replace("public.", "") + "\n"


async def _by_migrations(database: Database) -> list[str]:
    async with opened(database):
        executor = MigrationExecutor(get_connection(CONNECTION), tortoise_config(database)["apps"])
        await executor.migrate(direction="forward")
        rows = await get_connection(CONNECTION).execute_query_dict("SELECT name FROM tortoise_migrations ORDER BY name")
        return [row["name"] for row in rows]


def main() -> None:
    """Both files are as the migrations make the tables."""
    with tempfile.TemporaryDirectory() as folder, postgres_server() as server:
        _write(
            "sqlite",
            Database(sqlite_file=Path(folder) / "lade.sqlite3"),
            now="strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')",
        )
        _write("postgresql", Database(postgresql_url=server.url("postgres")), now="now()")


def _write(kind: str, database: Database, *, now: str) -> None:
    records = ",\n".join(f"  ('domain', '{name}', {now})" for name in asyncio.run(_by_migrations(database)))
    recorded = f"INSERT INTO tortoise_migrations (app, name, applied_at) VALUES\n{records};\n"
    (_FOLDER / FILES[kind]).write_text(f"{_MADE}BEGIN;\n{tables(database)}{recorded}COMMIT;\n")


if __name__ == "__main__":
    main()
