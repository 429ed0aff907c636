"""How charger statuses are followed in tests, and a log of events that can be held."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from domain.events import Heard, Kept, Place
from domain.ports import EventLog
from tests.factories import Site
from tests.gql.world import Socket, installation

FOLLOW = """
subscription Live($target: ID!) {
  chargerStatus(target: { installationId: $target }) {
    kind cursor isResync chargerId
    charger { id name status { mode isOnline powerKw allocatedA allocatedPhases sessionEnergyKwh version
      currentA { l1 l2 l3 } warnings { kind } } }
  }
}
"""

FOLLOW_ONE = "subscription One($target: ID!) { chargerStatus(target: { chargerId: $target }) { kind chargerId } }"

COME_BACK = FOLLOW.replace("$target: ID!", "$target: ID!, $after: String").replace(
    "{ installationId: $target }", "{ installationId: $target }, after: $after"
)

FULL: dict[str, Any] = {
    "power_w": 11_000.0,
    "currents": (16.0, 16.0, 16.0),
    "allocated_a": 16.0,
    "allocated_phases": ("L1", "L2", "L3"),
    "session_energy_wh": 1_500,
}


async def next_event(client: Socket) -> dict[str, Any]:
    """The next event of the stream, which went well."""
    heard = await client.hear()
    assert heard["type"] == "next", heard
    assert "errors" not in heard["payload"], heard
    event: dict[str, Any] = heard["payload"]["data"]["chargerStatus"]
    return event


async def until_ready(client: Socket) -> list[dict[str, Any]]:
    """Every event up to READY."""
    events = [await next_event(client)]
    while events[-1]["kind"] != "READY":
        events.append(await next_event(client))
    return events


async def following(client: Socket, site: Site, id: str = "1") -> None:
    """The client follows the site, and has heard the present state."""
    client.subscribe(FOLLOW, id=id, target=installation(site.id))
    await until_ready(client)


async def settled(client: Socket) -> None:
    """The server has heard everything so far, and asked its database for what it needs."""
    client.subscribe("{ chargers(first: 1) { totalCount } }", id="settled")
    while (await client.hear())["type"] != "complete":
        pass


class HeldLog:
    """An EventLog that lets nobody follow while it is held, or (`error`) cannot be read."""

    error: Exception | None = None

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.asked, self.is_free = asyncio.Event(), asyncio.Event()
        self.is_free.set()

    @asynccontextmanager
    async def follow(self, channel: str, *, limit: int = 1024) -> AsyncIterator[AsyncIterator[Heard]]:
        self.asked.set()
        await self.is_free.wait()
        async with self._log.follow(channel, limit=limit) as heard:
            yield heard

    async def read(self, channel: str, after: Place | None = None) -> Kept:
        if self.error is not None:
            raise self.error
        return await self._log.read(channel, after)
