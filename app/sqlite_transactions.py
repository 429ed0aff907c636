"""SQLite's client, whose transactions survive that their task is cancelled, wherever that happens. An engine of Tortoise's.

A charger that hangs up and a subscriber who leaves cancel what was done for them. Tortoise's own transactions, cancelled while they begin,
keep the only lock for ever.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tortoise.backends.base.client import TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionContext, SqliteTransactionWrapper
from tortoise.connection import get_connections
from tortoise.exceptions import TransactionManagementError

_PATIENCE_S = 5.0
"""How long a cancelled task waits for a statement that is under way."""


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """The work is done, also where the task is cancelled meanwhile, which then is told as ever."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_PATIENCE_S)
        raise


class _SqliteTransaction(SqliteTransactionContext):
    """Holds the lock exactly as long as it is entered."""

    async def __aenter__(self) -> TransactionalDBClient:
        await self._trxlock.acquire()
        try:
            await self.ensure_connection()
            self.token = get_connections().set(self.connection_name, self.connection)
            try:
                await _whole(self.connection.begin())
            except BaseException:
                get_connections().reset(self.token)
                await _whole(self.connection.rollback())
                raise
        except BaseException:
            self._trxlock.release()
            raise
        client: TransactionalDBClient = self.connection
        return client

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        try:
            # What could not be begun cannot be ended either.
            if not self.connection._finalized and exc_type is not TransactionManagementError:
                await _whole(self.connection.commit() if exc_type is None else self.connection.rollback())
        finally:
            get_connections().reset(self.token)
            self._trxlock.release()


class Sqlite(SqliteClient):
    """SQLite as Tortoise has it."""

    def _in_transaction(self) -> TransactionContext:
        return _SqliteTransaction(SqliteTransactionWrapper(self), self._lock)


client_class = Sqlite
