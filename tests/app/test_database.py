"""Rows live where the settings say, and their tables come to be once, however many ask."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tortoise.connection import get_connection

from app.database import Database, check_database, database_of, migrate, opened, pending_migrations
from app.settings import OperatorError, Settings
from tests.servers import PostgresServer, free_port

SECRET = "s" * 32


async def test_a_fresh_database_has_every_migration(database: Database) -> None:
    """Nothing is pending in a migrated database, and migrating it again applies nothing."""
    assert await pending_migrations() == []


async def test_migrating_twice_changes_nothing(database_location: Database) -> None:
    """The second of two migrations finds nothing to do."""
    assert await migrate(database_location) == []


async def test_the_database_answers(database: Database) -> None:
    """An open database passes its check."""
    await check_database()


async def test_tasks_made_elsewhere_find_the_database(database: Database) -> None:
    """A task with a context of its own uses the same database."""
    import contextvars

    task = asyncio.get_running_loop().create_task(check_database(), context=contextvars.Context())
    await task
