"""A site at a glance, as a stream: the whole present state when anything changes, at most once a second."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from domain import events
from domain.access import Access
from domain.clock import Clock
from domain.errors import NotFoundError
from domain.events import Event
from domain.views.dashboard_views import DashboardRow, dashboards_by_ids
from gql import ids
from gql.context import Context
from gql.cursors import Cursors
from gql.errors import AccessEndedError
from gql.live import Live, Source
from gql.resolvers.live import eyes

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


class DashboardSource:
    """The dashboard of one installation."""

    is_over = False
    cursors: Cursors | None = None

    def __init__(self, access: Access, installation_id: UUID, clock: Clock) -> None:
        self.access = access
        self.channel = events.installation_channel(installation_id)
        self._installation_id = installation_id
        self._clock = clock
        self._row: DashboardRow | None = None
        self._is_stale = False
        self._may_look_at = 0.0

    @property
    def wakes_in_s(self) -> float | None:
        """Until what has changed may be told."""
        return max(0.0, self._may_look_at - self._clock.monotonic()) if self._is_stale else None

    def visibility(self, field_paths: frozenset[str]) -> object:
        """Owners of the installation see the same; who only looks after it sees the energy of their own sessions, if any."""
        is_shared = self.access.reads_sessions_of(self._installation_id) and field_paths <= SHARED_FIELDS
        return "owner" if is_shared else eyes(self.access)

    async def open(self) -> None:
        """The present state is read. NotFoundError when it is hidden or absent."""
        self._is_stale = False
        self._may_look_at = self._clock.monotonic() + AT_MOST_EVERY_S
        access = replace(self.access, now=self._clock.now())
        self._row = (await dashboards_by_ids(access, [self._installation_id])).get(self._installation_id)
        if self._row is None:
            raise NotFoundError(path=("installationId",))

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """The whole of it."""
        del is_resync, is_move
        return self._told()

    async def take(self, _event: Event) -> Sequence[Live]:
        """What changed, if that may be told already; else it is told when the second is over."""
        self._is_stale = True
        return () if self._clock.monotonic() < self._may_look_at else await self._look(is_heartbeat=False)

    async def refresh(self) -> Sequence[Live]:
        """The whole of it again, changed or not."""
        return await self._look(is_heartbeat=not self._is_stale)

    def leaving(self, _successor: Source) -> Sequence[Live]:
        """Nothing: it is seen or it is not."""
        return ()

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """Never asked: the whole is told at once."""
        del missed, cursor
        return None

    async def _look(self, *, is_heartbeat: bool) -> Sequence[Live]:
        before = self._row
        try:
            await self.open()
        except NotFoundError:
            raise AccessEndedError from None
        assert self._row is not None  # noqa: S101  it was read
        is_same = before is not None and replace(before, at=self._row.at) == self._row
        return () if is_same and not is_heartbeat else self._told()

    def _told(self) -> Sequence[Live]:
        return (Live(self._row, key="dashboard", known={(dashboards_by_ids, self._installation_id): self._row}),)


async def dashboard(context: Context, installation_id: str) -> Source:
    """The dashboard of that installation. NotFoundError when it is hidden, absent, or not theirs to look after."""
    identity = ids.uuid_of(installation_id, "Installation", at="installationId")
    if not context.access.handles_alerts_of(identity):
        raise NotFoundError(path=("installationId",))
    source = DashboardSource(context.access, identity, context.ports.clock)
    await source.open()
    return source
