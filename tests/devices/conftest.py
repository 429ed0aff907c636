"""What most tests of chargers ask for: a server that takes them in, and a site where a resident may charge."""

from collections.abc import AsyncIterator

import pytest

from app.database import Database
from app.redis_bus import RedisBus
from domain.roles import Role
from tests.devices.server import CARD, Registered, Server, a_registered_charger, a_server
from tests.factories import Site, a_card, a_grant, a_person, a_site


@pytest.fixture
async def server(database: Database, bus: RedisBus) -> AsyncIterator[Server]:
    """It is running."""
    async with a_server(bus) as running:
        yield running


@pytest.fixture
async def site(server: Server) -> Site:
    """Where the holder of CARD may charge."""
    made = await a_site()
    person = await a_person()
    await a_card(person, number=CARD)
    await a_grant(Role.USER, made, user_id=person)
    return made


@pytest.fixture
async def charger(site: Site) -> Registered:
    """One of that site, which knows its password and is not connected."""
    return await a_registered_charger(site)
