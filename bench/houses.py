"""The house of whoever measures: it makes the rows and publishes events; servers share its database and its Valkey."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from app.embedded import EmbeddedValkey
from app.house import House, open_house
from app.settings import ServerRole, load_settings


@asynccontextmanager
async def bench_house(
    folder: Path, more: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[House, dict[str, str]]]:
    """Inside: a house over an empty SQLite file in that folder, or over the database that `more` names, and the environment in which
    servers use the same.
    """
    async with EmbeddedValkey(folder) as valkey:
        environment = {"LADE_DATA_DIR": str(folder), "LADE_REDIS_URL": valkey.url, **(more or {})}
        async with open_house(load_settings(environment), frozenset({ServerRole.API})) as house:
            yield house, environment
