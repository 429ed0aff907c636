"""The edge of each test."""

import pytest

from app.database import Database
from app.redis_bus import RedisBus
from tests.factories import Town, a_town
from tests.gql.world import World


@pytest.fixture
def world(database: Database, bus: RedisBus) -> World:
    """An edge over an empty database."""
    return World(bus)


@pytest.fixture
async def town(database: Database) -> Town:
    """One person for each role."""
    return await a_town()
