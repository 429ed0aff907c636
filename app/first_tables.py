"""The tables of a new database, made in one step: what all migrations together come to, from a file for each kind of database.

Step by step takes Tortoise a quarter of a minute, because it builds every model again for every step.
"""

from importlib import resources

from tortoise.connection import get_connection

_IS_EMPTY = {
    "sqlite": "SELECT NOT EXISTS (SELECT 1 FROM sqlite_master) AS found",
    "postgresql": "SELECT NOT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace) AS found",
}
FILES = {"sqlite": "tables.sqlite.sql", "postgresql": "tables.postgresql.sql"}
"""In `domain/migrations`; `make tables` writes them."""


async def make_first_tables(connection_name: str, *, kind: str) -> bool:
    """A database with nothing in it has the tables, and the record of the migrations that made them; any other is left alone.

    All or nothing. Migrations that the file does not know yet are left to be applied. Whether it was empty.
    """
    client = get_connection(connection_name)
    [found] = await client.execute_query_dict(_IS_EMPTY[kind])
    is_empty = bool(found["found"])
    if is_empty:
        await client.execute_script(resources.files("domain.migrations").joinpath(FILES[kind]).read_text("utf-8"))
    return is_empty
