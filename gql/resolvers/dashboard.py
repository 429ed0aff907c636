"""A site at a glance, as a stream: the whole present state when anything changes, at most once a second."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from domain import events
from domain.access import Access
from domain.clock import Clock
from domain.errors import NotFoundError
from domain.events import Event
from domain.views.dashboard_views import DashboardRow, dashboard_seen_by, dashboards_by_ids, whole_dashboard
from domain.views.installation_views import installations_by_ids
from gql import ids
from gql.context import Context
from gql.errors import AccessEndedError
from gql.live import Live, OneViewer, Readings, Source

AT_MOST_EVERY_S: Final = 1.0

_SHARED: Final[Mapping[str, str]] = {
    "Subscription": "dashboard",
    "Dashboard": "id installation at chargerCount onlineCount modes phases meterObservedAt powerKw activeSessionCount"
    " queueLength queue balancer openAlertCount energyTodayKwh",
    "ModeCount": "mode count",
    "PhaseLoad": "phase measuredA allocatedA availableA breakerA",
    "QueueEntry": "charger position since limit reason",
    "BalancerStatus": "state lastDecisionAt reason",
    "Installation": "id name timeZone",
    "Charger": "id name",
}
SHARED_FIELDS: Final = frozenset(f"{kind}.{name}" for kind, names in _SHARED.items() for name in names.split())
"""Fields that look the same to every owner of an installation."""


class Glances:
    """The dashboard of an installation, computed at most once a second for all who follow it."""

    def __init__(self, installation_id: UUID, readings: Readings, clock: Clock) -> None:
        self._installation_id = installation_id
        self._readings = readings
        self._clock = clock
        self._lock = asyncio.Lock()
        self._row: DashboardRow | None = None
        self._heard = -1
        self.next_at = 0.0
        """When the next may be computed."""

    async def newest(self, *, has_waited: bool) -> DashboardRow | None:
        """The present one, or that of less than a second ago, which is no answer to who `has_waited` for what came after it. None when the
        installation is gone.
        """
        async with self._lock:
            if (has_waited and self.is_stale) or self._clock.monotonic() >= self.next_at:
                heard = self._readings.heard_count
                self._row = await whole_dashboard(self._installation_id, now=self._clock.now())
                self._heard, self.next_at = heard, self._clock.monotonic() + AT_MOST_EVERY_S
            return self._row

    @property
    def is_stale(self) -> bool:
        """Whether something was heard since it was computed."""
        return self._heard != self._readings.heard_count


class DashboardSource(OneViewer):
    """The dashboard of one installation."""

    is_over = False

    def __init__(self, access: Access, installation_id: UUID, clock: Clock) -> None:
        self.access = access
        self.channel = events.installation_channel(installation_id)
        self._installation_id = installation_id
        self._clock = clock
        self._glances: Glances | None = None
        self._row: DashboardRow | None = None
        self._is_stale = False

    @property
    def wakes_in_s(self) -> float | None:
        """Until what has changed may be told."""
        if not self._is_stale or self._glances is None:
            return None
        return max(0.0, self._glances.next_at - self._clock.monotonic())

    def narrowed(self, field_paths: frozenset[str]) -> Source:
        """For all who hold the same at the installation; who only looks after it sees the energy of their own sessions, if any."""
        is_personal = "Dashboard.energyTodayKwh" in field_paths and not self.access.reads_sessions_of(
            self._installation_id
        )
        if is_personal or not field_paths <= SHARED_FIELDS:
            return self
        return DashboardSource(self.access.at(self._installation_id), self._installation_id, self._clock)

    async def open(self, readings: Readings) -> None:
        """The present state is read. NotFoundError when it is absent."""
        site, clock = self._installation_id, self._clock
        self._glances = readings.shared("dashboard", lambda: Glances(site, readings, clock))
        await self._read(self._glances, has_waited=False)
        if self._row is None:
            raise NotFoundError(path=("installationId",))

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """The whole of it."""
        del is_resync, is_move
        return self._told()

    def take_now(self, _event: Event) -> Sequence[Live] | None:
        """Nothing, where it is told when the second is over."""
        return () if self._is_stale else None

    async def take(self, _event: Event) -> Sequence[Live]:
        """What changed, if that may be told already; else it is told when the second is over."""
        self._is_stale = True
        assert self._glances is not None  # noqa: S101  it was opened
        return (
            ()
            if self._clock.monotonic() < self._glances.next_at
            else await self._look(is_heartbeat=False, has_waited=False)
        )

    async def refresh(self) -> Sequence[Live]:
        """The whole of it again, changed or not."""
        return await self._look(is_heartbeat=not self._is_stale, has_waited=True)

    async def _look(self, *, is_heartbeat: bool, has_waited: bool) -> Sequence[Live]:
        before = self._row
        assert self._glances is not None  # noqa: S101  it was opened
        await self._read(self._glances, has_waited=has_waited)
        if self._row is None:
            raise AccessEndedError
        is_same = before is not None and replace(before, at=self._row.at) == self._row
        return () if is_same and not is_heartbeat else self._told()

    async def _read(self, glances: Glances, *, has_waited: bool) -> None:
        whole = await glances.newest(has_waited=has_waited)
        self._is_stale = glances.is_stale
        access = replace(self.access, now=self._clock.now())
        self._row = None if whole is None else await dashboard_seen_by(access, whole)

    def _told(self) -> Sequence[Live]:
        return (Live(self._row, key="dashboard", known={(dashboards_by_ids, self._installation_id): self._row}),)


async def dashboard(context: Context, installation_id: str) -> Source:
    """The dashboard of that installation. NotFoundError when it is hidden, absent, or not theirs to look after."""
    identity = ids.uuid_of(installation_id, "Installation", at="installationId")
    if identity not in await installations_by_ids(context.access, [identity]) or not context.access.handles_alerts_of(
        identity
    ):
        raise NotFoundError(path=("installationId",))
    return DashboardSource(context.access, identity, context.ports.clock)
