"""Hand-written SQL that runs alike on SQLite and PostgreSQL.

Statements use `$1`, `$2`, … and the common subset of both dialects. Lists, summaries and ingest go through here: making
model objects would cost 5 to 10 times the query.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, cast
from uuid import UUID

import asyncpg
import msgspec
from tortoise import connections
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import BaseORMException, DBConnectionError, IntegrityError
from tortoise.transactions import in_transaction

from domain.errors import UnavailableError

Row = dict[str, Any]
Record = Any
"""A row that is a sequence of its values and can be asked for one by its column's name (asyncpg.Record, sqlite3.Row)."""
T = TypeVar("T")

CHUNK = 500
"""Values in one statement: either database takes 32,766 arguments at most, and plans a long list slowly."""

DATABASE_AWAY = (
    OSError,
    DBConnectionError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
"""What is raised while the database cannot be reached or is going down: nothing was stored, try again later."""

DATABASE_TROUBLE = (BaseORMException, asyncpg.PostgresError)
"""What is raised when the database refuses a statement."""

MET_ANOTHER = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What is raised where two transactions stood in each other's way and this one was ended: the same may be tried again."""

_TRIES = 5
"""How often the same is tried where others write it at that moment."""
_APART_S = 0.2
"""The longest pause of one that met another, before it tries again; PostgreSQL finds a deadlock after a second."""

_PLACEHOLDER = re.compile(r"\$(\d+)")


def connection() -> BaseDBAsyncClient:
    """The connection of the running transaction, else one of the pool."""
    current: BaseDBAsyncClient = connections.get("default")
    return current


def is_sqlite() -> bool:
    """Whether the dialect is SQLite's."""
    return connection().capabilities.dialect == "sqlite"


_SAME: frozenset[type] = frozenset({int, float, str, bool, bytes, type(None)})


def stored(value: object) -> object:
    """A value as SQLite keeps it: ids and instants as text, as Tortoise writes them, so that both compare alike."""
    if type(value) in _SAME:
        return value
    match value:
        case UUID():
            return str(value)
        case datetime():
            return str(value.astimezone(UTC))
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case Enum():
            return value.value
    return value


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _prepared(statement: str, values: Sequence[object]) -> tuple[str, list[object]]:
    if is_sqlite():
        return _PLACEHOLDER.sub(r"?\1", statement), [stored(value) for value in values]
    return statement, [_plain(value) for value in values]


async def rows(statement: str, *values: object) -> list[Row]:
    """All rows of a SELECT. On SQLite ids and instants come back as text: see `uuid_of` and `instant_of`."""
    query, arguments = _prepared(statement, values)
    return list(await connection().execute_query_dict(query, arguments))


async def records(statement: str, *values: object) -> MutableSequence[Record]:
    """As `rows`, as the driver has them: by position, or by a column's name."""
    query, arguments = _prepared(statement, values)
    _, found = await connection().execute_query(query, arguments)
    return cast("MutableSequence[Record]", found)  # both drivers give lists


async def row(statement: str, *values: object) -> Row | None:
    """The first row, or None."""
    found = await rows(statement, *values)
    return found[0] if found else None


async def execute(statement: str, *values: object) -> int:
    """How many rows an INSERT, UPDATE or DELETE touched."""
    query, arguments = _prepared(statement, values)
    count, _ = await connection().execute_query(query, arguments)
    return count


async def execute_many(statement: str, argument_lists: Iterable[Sequence[object]]) -> None:
    """Runs the statement once for each list of arguments, in one call to the driver."""
    lists = list(argument_lists)
    if not lists:
        return
    translate = stored if is_sqlite() else _plain
    await connection().execute_many(_prepared(statement, ())[0], [list(map(translate, values)) for values in lists])


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a table that are written for many rows at once, each with PostgreSQL's type, in the order of a row's values.

    On PostgreSQL all rows go in one statement as one JSON text: it is planned once, and to write JSON costs a fifth of what the driver
    takes to pack arrays of every column. Numbers and instants keep all their digits; NaN would become NULL.
    """

    table: str
    types: Mapping[str, str]

    async def insert(self, rows: Iterable[Sequence[object]], *, unless: str = "") -> None:
        """The rows are there. `unless` names the columns by which one that is there already stays as it is."""
        lists = list(rows)
        if not lists:
            return
        names = ", ".join(self.types)
        conflict = f" ON CONFLICT ({unless}) DO NOTHING" if unless else ""
        if is_sqlite():
            marks = ", ".join(f"${number}" for number in range(1, len(self.types) + 1))
            await execute_many(f"INSERT INTO {self.table} ({names}) VALUES ({marks}){conflict}", lists)  # noqa: S608
        else:
            statement = f"INSERT INTO {self.table} ({names}) SELECT {names} FROM {self._given}{conflict}"  # noqa: S608
            await connection().execute_query(statement, [self._together(lists)])

    async def update(self, rows: Iterable[Sequence[object]]) -> None:
        """The rows whose first column is the same have these values."""
        lists = list(rows)
        if not lists:
            return
        key, *changed = self.types
        if is_sqlite():
            changes = ", ".join(f"{name} = ${number}" for number, name in enumerate(changed, start=2))
            await execute_many(f"UPDATE {self.table} SET {changes} WHERE {key} = $1", lists)  # noqa: S608
        else:
            changes = ", ".join(f"{name} = v.{name}" for name in changed)
            statement = f"UPDATE {self.table} t SET {changes} FROM {self._given} WHERE t.{key} = v.{key}"  # noqa: S608
            await connection().execute_query(statement, [self._together(lists)])

    @property
    def _given(self) -> str:
        return f"json_to_recordset($1::json) AS v ({', '.join(f'{name} {kind}' for name, kind in self.types.items())})"

    def _together(self, rows: Sequence[Sequence[object]]) -> str:
        return msgspec.json.encode([dict(zip(self.types, values, strict=True)) for values in rows]).decode()


async def settled(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, done in a transaction of its own: once more where something else was written at that moment, which it sees
    then, and a few times where it and another stood in each other's way.

    IntegrityError where what is there by then still stands in its way, UnavailableError where others do every time.
    """
    tried = 0
    while True:
        tried += 1
        try:
            async with in_transaction():
                return await work()
        except IntegrityError:
            if tried > 1:
                raise
        except MET_ANOTHER as error:
            if tried == _TRIES:
                raise UnavailableError(
                    "Others are changing the same at this moment. Try again.", retry_after_s=1
                ) from error
            # When one of two is ended, the other tries again too: without a pause of its own each time they could meet again.
            await asyncio.sleep(random.uniform(0.0, _APART_S))


def in_chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in parts that fit into one statement."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


AT_ONCE = 250
"""Rows that are made into what they mean before others in the process have a turn: a few milliseconds."""


async def in_turns(values: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """The values in small parts; between them others in the process have their turns."""
    for start in range(0, len(values), AT_ONCE):
        await asyncio.sleep(0)
        yield values[start : start + AT_ONCE]


async def consumed(values: MutableSequence[T]) -> AsyncIterator[Sequence[T]]:
    """As `in_turns`, from the last on; what was given is let go of at once: to let go of very many together takes long, too."""
    while values:
        await asyncio.sleep(0)
        some = values[-AT_ONCE:]
        del values[-AT_ONCE:]
        yield some


def any_of(column: str, values: Sequence[object], arguments: list[object]) -> str:
    """A condition `column is one of values`; appends to `arguments`. No values: a condition that never holds."""
    if not values:
        return "1 = 0"
    marks = []
    for value in values:
        arguments.append(value)
        marks.append(f"${len(arguments)}")
    return f"{column} IN ({', '.join(marks)})"


def folded(expression: str) -> str:
    """The text without case, in the letters of every language.

    PostgreSQL's LOWER follows the locale in which a cluster was made and may know English only, so ICU's is named. SQLite's
    is taught when the database is opened.
    """
    return f"LOWER({expression})" if is_sqlite() else f'LOWER({expression} COLLATE "und-x-icu")'


def literal(text: str) -> str:
    """The text with the signs of `LIKE … ESCAPE '!'` made ordinary: a backslash escapes in one of the dialects only."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def instant_type() -> str:
    """The type of an instant in a CAST of a mark, whose type PostgreSQL cannot tell where it is selected; SQLite keeps text."""
    return "TEXT" if is_sqlite() else "timestamptz"


def for_update() -> str:
    """The suffix that locks the selected rows; SQLite's transaction is the lock."""
    return "" if is_sqlite() else " FOR UPDATE"


def for_change() -> str:
    """As `for_update`, but rows that refer to the selected ones may be made meanwhile: for rows that much refers to, such as people."""
    return "" if is_sqlite() else " FOR NO KEY UPDATE"


def uuid_of(value: Any) -> UUID:
    """An id as it came from a row."""
    return value if isinstance(value, UUID) else _read_uuid(str(value))


@lru_cache(maxsize=4096)
def _read_uuid(text: str) -> UUID:
    # The rows of a list name the same few installations and chargers again and again; reading one takes a microsecond.
    return UUID(text)


def optional_uuid_of(value: Any) -> UUID | None:
    """An id that may be absent."""
    return None if value is None else uuid_of(value)


def instant_of(value: Any) -> datetime:
    """An instant as it came from a row, aware, in UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    return datetime.fromisoformat(str(value))


def date_of(value: Any) -> date:
    """A local date as it came from a row."""
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def optional_instant_of(value: Any) -> datetime | None:
    """An instant that may be absent."""
    return None if value is None else instant_of(value)


DELETED_AT_ONCE = 1_000
"""Rows of one DELETE of what is old: short enough that nobody who writes meanwhile waits for it."""


async def delete_some(table: str, condition: str, *values: object) -> int:
    """How many rows of the table, whose key is `id`, fulfilled the condition and are gone: a thousand at a time, each in a transaction."""
    statement = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {condition} LIMIT {DELETED_AT_ONCE})"  # noqa: S608
    gone = 0
    while (some := await execute(statement, *values)) > 0:
        gone += some
    return gone
