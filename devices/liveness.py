"""Who is still there, and what follows from silence and from time that has passed: one task a process."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from devices.registry import Registry
from devices.sockets import GOING_AWAY
from domain import lifecycle, metering
from domain.alerting import inferred_faults, site_alerts
from domain.alerting.absences import AbsenceWatch
from domain.clock import Clock
from domain.events import Event
from domain.ports import EventBus

CHECK_EVERY_S = 2.0
INFER_EVERY = timedelta(seconds=20)
"""How often it is looked what chargers do, other than what they say; it matters after ten minutes."""
LEASE_S = 30.0
"""A process that has not renewed its lease for this long is dead, and its chargers are offline."""


@dataclass
class Liveness:
    """Renews this process's sign of life and carries out what is due."""

    process: str
    registry: Registry
    bus: EventBus
    clock: Clock
    offline_after_s: float
    check_every_s: float = CHECK_EVERY_S

    def __post_init__(self) -> None:
        self._started_at = self._infer_at = self.clock.now()
        self._absences = AbsenceWatch(timedelta(seconds=self.offline_after_s), self._started_at)
        self._told: dict[UUID, datetime] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.check()
            await self.clock.sleep(self.check_every_s)

    async def check(self) -> None:
        """Everything that is due by now is done and published."""
        now = self.clock.now()
        await lifecycle.process_lives(self.process, now=now, for_s=LEASE_S)
        await self._tell_who_is_here()
        self._close_lost(now)
        here = {one.station_id for one in self.registry.links()}
        await self._publish(await lifecycle.release_dead(now=now))
        await self._publish(await lifecycle.release_missing(self.process, here=here, now=now))
        await self._send_for_new_connections()
        await self._publish(await self._absences.check(now=now))
        if now >= self._infer_at:
            self._infer_at = now + INFER_EVERY
            await self._publish(await inferred_faults.check(now=now))
            await self._publish(await site_alerts.check(now=now, started_at=self._started_at))
        await self._publish(await metering.settle(now=now))
        await self._publish(await lifecycle.expire_commands(now=now))

    async def _tell_who_is_here(self) -> None:
        """`last_seen_at` of those that were heard of since they were last told of."""
        heard = {one.station_id: one.heard_at for one in self.registry.links()}
        await lifecycle.seen([(one, at) for one, at in heard.items() if self._told.get(one) != at])
        self._told = heard

    def _close_lost(self, now: datetime) -> None:
        """Connections that only TCP still believes in end; the charger, if it is there, comes back."""
        for link in self.registry.links():
            if link.is_lost(now=now):
                link.close_soon(GOING_AWAY, "Nothing was heard for too long; come back.")

    async def _send_for_new_connections(self) -> None:
        """A link whose station is stored as gone would never be commanded again; its charger comes back over a new one."""
        for station_id in await lifecycle.taken_away(self.process):
            link = self.registry.of_station(station_id)
            if link is not None:
                link.close_soon(GOING_AWAY, "This connection was given up; come back.")

    async def _publish(self, events: list[Event]) -> None:
        if events:
            await self.bus.publish(*events)
