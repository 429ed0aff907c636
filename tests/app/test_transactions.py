"""Whatever a cancelled task was about to store, the database goes on."""

import asyncio

import pytest
from tortoise.transactions import in_transaction

from domain import sql
from tests.factories import a_person

pytestmark = pytest.mark.usefixtures("database")

STEPS = range(1, 40)
"""Turns of the loop after which a task is cancelled: before, in and after every statement of a small transaction."""


async def _rename(name: str) -> None:
    async with in_transaction():
        await sql.execute("UPDATE users SET name = $1", name)


@pytest.mark.parametrize("steps", STEPS)
async def test_a_transaction_may_be_cancelled_anywhere(steps: int) -> None:
    """It is stored or it is not, and the next one goes through."""
    await a_person("Before")
    task = asyncio.create_task(_rename("Cancelled"))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):
        await _rename("After")
    row = await sql.row("SELECT name FROM users")
    assert row == {"name": "After"}


async def test_many_cancelled_tasks_use_nothing_up() -> None:
    """More of them than the pool has connections, at every point of their way."""
    await a_person("Before")
    for steps in STEPS:
        tasks = [asyncio.create_task(_rename(f"Cancelled {number}")) for number in range(12)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(10):
        await _rename("After")
    assert await sql.row("SELECT name FROM users") == {"name": "After"}
