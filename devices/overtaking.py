"""A station that comes to one process leaves the one that it was at, at once: nobody speaks for it over two sockets."""

from dataclasses import dataclass
from uuid import UUID

import msgspec
import structlog

from devices.registry import Registry
from devices.sockets import GOING_AWAY, OVERTAKEN
from domain.errors import UnavailableError
from domain.ports import EventBus

MOST_WAITING = 4096

_log = structlog.get_logger(__name__)


class _Overtaken(msgspec.Struct, frozen=True):
    station_id: UUID
    epoch: int
    """Of the connection that took over."""


async def tell(bus: EventBus, process: str, station_id: UUID, *, epoch: int) -> None:
    """That process closes its connection of the station. Where it does not hear of it, what it is told over that is refused all the same,
    and commands are not sent over it.
    """
    try:
        await bus.send(_channel(process), msgspec.json.encode(_Overtaken(station_id, epoch)))
    except UnavailableError:
        _log.warning("a process was not told that a charger left it", station_id=str(station_id))


@dataclass(frozen=True, slots=True)
class Overtaking:
    """Closes the connections of this process whose stations are at another by now."""

    process: str
    registry: Registry
    bus: EventBus

    async def run(self) -> None:
        """Until cancelled."""
        async with self.bus.subscribe(_channel(self.process), limit=MOST_WAITING) as messages:
            async for message in messages:
                try:
                    overtaken = msgspec.json.decode(message, type=_Overtaken)
                except msgspec.MsgspecError:
                    _log.warning("a word about a charger that left could not be read")
                    continue
                self._close(overtaken)

    def _close(self, overtaken: _Overtaken) -> None:
        link = self.registry.of_station(overtaken.station_id)
        if link is not None and link.epoch < overtaken.epoch:
            self.registry.remove(link)
            link.close_soon(GOING_AWAY, OVERTAKEN)


def _channel(process: str) -> str:
    return f"devices:{process}:overtaken"
