"""Charge sessions as a stream: those that go on, then how they begin, go on, end and are corrected, for whoever may see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from domain import events
from domain.access import Access
from domain.clock import Clock
from domain.equipment.live_status import followed_charger, followed_installation
from domain.errors import NotFoundError, invalid
from domain.events import Event, SessionChanged
from domain.roles import SessionState
from domain.sessions import SessionPlace, SessionRow, active_sessions, sessions_by_ids
from gql.context import Context
from gql.live import Live, Source
from gql.resolvers.live import cursor, eyes

_SHARED: Final[Mapping[str, str]] = {
    "Subscription": "sessionChanged",
    "ChargeSessionEvent": "cursor isResync kind sessionId session",
    "ChargeSession": "id state installationName timeZone chargerName userName cardName authorizedAt startedAt endedAt registeredAt"
    " dateQuality flags energyKwh connectedSeconds chargingSeconds stopReason externalId priority energyTargetKwh departureAt",
}
SHARED_FIELDS: Final = frozenset(f"{kind}.{name}" for kind, names in _SHARED.items() for name in names.split())
"""Fields that look the same to everybody who sees all sessions of an installation."""


@dataclass(frozen=True, slots=True)
class SessionEventRow:
    """One event of `sessionChanged`; `kind` is a ChargeSessionEventKind's name."""

    kind: str
    cursor: str
    is_resync: bool = False
    session_id: UUID | None = None
    session: SessionRow | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Whose sessions are followed: those of an installation, of a charger, one, or (`is_own`) the person's on every charger."""

    installation_id: UUID | None = None
    charger_id: UUID | None = None
    session_id: UUID | None = None
    is_own: bool = False

    def takes(self, event: SessionChanged) -> bool:
        """Whether the event is about one of them."""
        if self.session_id is not None:
            return event.session_id == self.session_id
        if self.charger_id is not None:
            return event.charger_id == self.charger_id
        return self.installation_id is None or event.installation_id == self.installation_id


class SessionSource:
    """The sessions of a target. Beginnings, ends and corrections are never skipped; of updates the newest is enough."""

    wakes_in_s: float | None = None

    def __init__(self, access: Access, clock: Clock, target: Target, channel: str) -> None:
        self.access = access
        self.channel = channel
        self.is_over = False
        self._clock = clock
        self._target = target
        self._position = 0
        self._going_on: dict[UUID, SessionRow] = {}

    def visibility(self, field_paths: frozenset[str]) -> object:
        """Who sees all sessions of an installation sees the same as others who do; everybody else only what they themselves do."""
        place = self._target.installation_id
        if place is not None and self.access.reads_sessions_of(place) and field_paths <= SHARED_FIELDS:
            return "reader"
        return eyes(self.access)

    async def open(self) -> None:
        """What goes on is read."""
        target = self._target
        if target.session_id is not None:
            found = await sessions_by_ids(self._now(), [target.session_id])
            if not found:
                raise NotFoundError
            self._going_on = {key: row for key, row in found.items() if row.state is SessionState.ACTIVE}
            return
        place = SessionPlace(installation_id=target.installation_id, charger_id=target.charger_id, is_own=target.is_own)
        self._going_on = {row.id: row for row in await active_sessions(self._now(), place)}

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """The sessions that go on, then READY; after a move the sessions only, of which there may now be more."""
        if is_move:
            return [self._event("UPDATED", row) for row in self._going_on.values()]
        snapshot = [self._event("SNAPSHOT", row, is_resync=is_resync) for row in self._going_on.values()]
        return [*snapshot, Live(SessionEventRow("READY", self._cursor(), is_resync))]

    async def take(self, event: Event) -> Sequence[Live]:
        """A change of one of the sessions, if it is theirs to see."""
        if not isinstance(event, SessionChanged) or not self._target.takes(event):
            return ()
        row = (await sessions_by_ids(self._now(), [event.session_id])).get(event.session_id)
        if row is None:
            known = self._going_on.pop(event.session_id, None)
            return () if known is None else [self._removed(event.session_id)]
        return self._changed(row, event.change)

    def _changed(self, row: SessionRow, change: str) -> Sequence[Live]:
        known = self._going_on.get(row.id)
        if row.state is SessionState.ACTIVE:
            self._going_on[row.id] = row
            # Whoever was not there when it began hears of it as of a new one.
            kind = "STARTED" if known is None and change == "UPDATED" else change
        else:
            self._going_on.pop(row.id, None)
            kind = "ENDED" if change == "STARTED" else change
        self._position += 1
        return [self._event(kind, row)]

    async def refresh(self) -> Sequence[Live]:
        """What changed without our hearing of it, and a heartbeat."""
        before = self._going_on
        await self.open()
        over = [key for key in before if key not in self._going_on]
        ended = await sessions_by_ids(self._now(), over) if over else {}
        told = [self._event("ENDED", ended[key]) if key in ended else self._removed(key) for key in over]
        for key, row in self._going_on.items():
            known = before.get(key)
            if known is None:
                told.append(self._event("STARTED", row))
            elif replace(known, connected_seconds=row.connected_seconds) != row:
                told.append(self._event("UPDATED", row))
        self._position += len(told)
        return [*told, Live(SessionEventRow("HEARTBEAT", self._cursor()), key="heartbeat")]

    def leaving(self, successor: Source) -> Sequence[Live]:
        """REMOVED for each session that no longer exists for them."""
        seen = successor.access
        return [
            self._removed(row.id)
            for row in self._going_on.values()
            if not seen.sees_session(
                installation_id=row.installation_id,
                charger_id=row.charger_id,
                user_id=row.user_id,
                started_at=row.started_at,
            )
        ]

    def _event(self, kind: str, row: SessionRow, *, is_resync: bool = False) -> Live:
        event = SessionEventRow(kind, self._cursor(), is_resync, row.id, row)
        return Live(event, key=row.id if kind == "UPDATED" else None)

    def _removed(self, session_id: UUID) -> Live:
        return Live(SessionEventRow("REMOVED", self._cursor(), False, session_id))

    def _cursor(self) -> str:
        return cursor(self._position)

    def _now(self) -> Access:
        return replace(self.access, now=self._clock.now())


async def session_changed(context: Context, target: Target) -> Source:
    """The sessions of that target. NotFoundError when it is hidden or absent."""
    access, clock = context.access, context.ports.clock
    if target.is_own:
        user_id = access.person()
        return SessionSource(access, clock, target, events.own_sessions_channel(user_id))
    if target.session_id is not None:
        row = (await sessions_by_ids(access, [target.session_id])).get(target.session_id)
        if row is None:
            raise NotFoundError(path=("target",))
        place = row.installation_id
    elif target.charger_id is not None:
        # A charger's owner follows its installation's facts and takes those of the charger; both exist for them.
        place = await followed_charger(access, target.charger_id)
    elif target.installation_id is not None:
        place = await followed_installation(access, target.installation_id)
    else:
        raise invalid("target", "Name one of installationId, chargerId, sessionId and own: true.")
    return SessionSource(access, clock, target, events.installation_channel(place))
