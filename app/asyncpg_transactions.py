"""PostgreSQL's client, whose transactions survive that their task is cancelled, wherever that happens. An engine of Tortoise's.

Tortoise's own, cancelled while they begin, keep a connection of the pool for ever (as SQLite's keep the lock: `app.sqlite_transactions`).
"""

from typing import Any

from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionalDBClient, TransactionContext, TransactionContextPooled
from tortoise.connection import get_connections


class _PostgresTransaction(TransactionContextPooled):
    """Has its connection exactly as long as it is entered. The pool rolls back what a connection brings back with it."""

    async def __aenter__(self) -> TransactionalDBClient:
        await self.ensure_connection()
        pool: Any = self.client._parent._pool
        self.client._connection = await pool.acquire()
        self.token = get_connections().set(self.connection_name, self.client)
        try:
            await self.client.begin()
        except BaseException:
            get_connections().reset(self.token)
            await pool.release(self.client._connection)
            raise
        return self.client


class Postgres(AsyncpgDBClient):
    """PostgreSQL as Tortoise has it."""

    def _in_transaction(self) -> TransactionContext:
        return _PostgresTransaction(TransactionWrapper(self), self._pool_init_lock)


client_class = Postgres
