"""How a link hears that what its charger is to be has changed, in whatever process that happened."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
import structlog

from devices.link import Link
from devices.registry import Registry
from devices.signal import Signal
from domain import events, lifecycle, sql
from domain.clock import Clock
from domain.events import AvailabilityOutdated, LocalListOutdated
from domain.ports import EventBus

RETRY_S = 10.0

_log = structlog.get_logger(__name__)


@dataclass
class Following:
    """Wakes the links of this process whose stations an event of that kind is about: `outdated` is set for each."""

    channel: str
    kind: type[AvailabilityOutdated | LocalListOutdated]
    outdated: Callable[[Link], Signal]
    registry: Registry
    bus: EventBus
    clock: Clock
    _places: set[UUID] = field(default_factory=set)
    """Installations."""
    _stations: set[UUID] = field(default_factory=set)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until cancelled."""
        async with self.bus.subscribe(self.channel) as messages, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(messages), name=f"{self.channel}: events")
            tasks.create_task(self._wake_links(), name=f"{self.channel}: links")

    async def _listen(self, messages: AsyncIterator[bytes]) -> None:
        async for message in messages:
            with contextlib.suppress(msgspec.DecodeError):
                event = events.decode(message)
                if isinstance(event, self.kind):
                    if event.station_id is None:
                        self._places.add(event.installation_id)
                    else:
                        self._stations.add(event.station_id)
                    self._woken.set()

    async def _wake_links(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            places, self._places = self._places, set()
            found, self._stations = self._stations, set()
            try:
                found |= await lifecycle.stations_at(places)
            except (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE) as error:
                _log.warning("chargers hear of a change later", channel=self.channel, reason=repr(error))
                self._places |= places
                self._stations |= found
                await self.clock.sleep(RETRY_S)
                self._woken.set()
                continue
            for link in self.registry.links():
                if link.station_id in found:
                    self.outdated(link).set()
