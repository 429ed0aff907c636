"""Charge sessions as a stream: those that go on, then how they begin, go on, end and are corrected, for whoever may see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from domain import events
from domain.access import Access, anyone_holding
from domain.clock import Clock
from domain.equipment.live_status import followed_charger, followed_installation
from domain.errors import NotFoundError, invalid
from domain.events import Event, SessionChanged
from domain.roles import Scope, SessionState
from domain.sessions import SessionPlace, SessionRow, active_sessions, session_seen_by, sessions_by_ids, whole_session
from gql.context import Context
from gql.cursors import Cursors
from gql.live import MARK, Live, Readings, Source, eyes

_SHARED: Final[Mapping[str, str]] = {
    "Subscription": "sessionChanged",
    "ChargeSessionEvent": "cursor isResync kind sessionId session",
    "ChargeSession": "id state installationName timeZone chargerName userName cardName authorizedAt startedAt endedAt registeredAt"
    " dateQuality flags energyKwh connectedSeconds chargingSeconds stopReason externalId priority energyTargetKwh departureAt",
}
SHARED_FIELDS: Final = frozenset(f"{kind}.{name}" for kind, names in _SHARED.items() for name in names.split())
"""Fields that look the same to everybody who sees all sessions of an installation."""


_NEWEST_IS_ENOUGH: Final = frozenset({"STARTED", "UPDATED"})


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
        """Whether the event is about one of them, or the first correction of the one."""
        if self.session_id is not None:
            return self.session_id in (event.session_id, event.replaces_id)
        if self.charger_id is not None:
            return event.charger_id == self.charger_id
        return self.installation_id is None or event.installation_id == self.installation_id


class SessionSource:
    """The sessions of a target. Beginnings, ends and corrections are never skipped; of updates the newest is enough."""

    wakes_in_s: float | None = None
    is_over = False
    is_complete = False

    def __init__(self, access: Access, clock: Clock, target: Target, channel: str, *, secret: str) -> None:
        self.access = access
        self.channel = channel
        self._secret = secret
        self._clock = clock
        self._target = target
        self._going_on: dict[UUID, SessionRow] = {}
        self._corrections: set[UUID] = set()
        self._readings: Readings | None = None
        place = target.installation_id
        rights = "reader" if place is not None and access.reads_sessions_of(place) else eyes(access)
        self.cursors = Cursors(secret, ("sessionChanged", channel, target, rights))

    def narrowed(self, field_paths: frozenset[str]) -> Source:
        """Who sees all sessions of an installation sees the same as others who do; everybody else only what they themselves do."""
        place = self._target.installation_id
        if place is None or not self.access.reads_sessions_of(place) or not field_paths <= SHARED_FIELDS:
            return self
        reader = anyone_holding(Scope.READ_SESSIONS, place, now=self.access.now)
        return SessionSource(reader, self._clock, self._target, self.channel, secret=self._secret)

    @property
    def visibility(self) -> object:
        """Whose eyes."""
        return eyes(self.access)

    async def open(self, readings: Readings) -> None:
        """What goes on is read."""
        self._readings = readings
        await self._read()

    async def _read(self) -> None:
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
        nowhere = self.cursors.nowhere
        if is_move:
            return [self._event("UPDATED", row, nowhere) for row in self._going_on.values()]
        snapshot = [self._event("SNAPSHOT", row, nowhere, is_resync=is_resync) for row in self._going_on.values()]
        return [*snapshot, Live(SessionEventRow("READY", MARK, is_resync))]

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """Each session that was another, as it is now, and each end and correction; then READY. None when one of theirs is no more."""
        facts = [one for one in missed if isinstance(one, SessionChanged) and self._takes(one)]
        found = list(dict.fromkeys(one.session_id for one in facts))
        rows = await sessions_by_ids(self._now(), found) if found else {}
        if any(one.session_id not in rows and self._was_theirs(one) for one in facts):
            return None
        told: dict[tuple[UUID, str], Live] = {}
        for fact in facts:
            row = rows.get(fact.session_id)
            if row is not None:
                kind = _kind(row, fact.change)
                told.setdefault((row.id, "" if kind in _NEWEST_IS_ENOUGH else kind), self._event(kind, row, cursor))
        return [*told.values(), Live(SessionEventRow("READY", MARK))]

    def _takes(self, event: SessionChanged) -> bool:
        """Whether it is about a session of the target; who follows one follows what corrects it, too."""
        is_further = not self._corrections.isdisjoint((event.session_id, event.replaces_id))
        if not (self._target.takes(event) or is_further):
            return False
        if self._target.session_id is not None and event.replaces_id is not None:
            self._corrections.add(event.session_id)
        return True

    def _was_theirs(self, fact: SessionChanged) -> bool:
        return self.access.sees_session(
            installation_id=fact.installation_id,
            charger_id=fact.charger_id,
            user_id=fact.user_id,
            started_at=self._clock.now(),
        )

    def take_now(self, event: Event) -> Sequence[Live] | None:
        """Nothing, where it is not theirs to see and never was."""
        if not isinstance(event, SessionChanged) or not self._takes(event):
            return ()
        return None if self._was_theirs(event) or event.session_id in self._going_on else ()

    async def take(self, event: Event) -> Sequence[Live]:
        """A change of one of the sessions, if it is theirs to see."""
        if self.take_now(event) is not None or not isinstance(event, SessionChanged):
            return ()
        row = await self._row_of(event)
        if row is None:
            known = self._going_on.pop(event.session_id, None)
            return () if known is None else [self._removed(event.session_id)]
        return self._changed(row, event.change)

    async def _row_of(self, event: SessionChanged) -> SessionRow | None:
        """The session, read once for all who hear of the change, as far as it exists for this caller."""
        access, site, identity = self._now(), event.installation_id, event.session_id
        assert self._readings is not None  # noqa: S101  it was opened
        whole = await self._readings.once(
            ("session", site, identity), lambda: whole_session(site, identity, now=access.now)
        )
        return None if whole is None else session_seen_by(access, whole)

    def _changed(self, row: SessionRow, change: str) -> Sequence[Live]:
        known = self._going_on.get(row.id)
        if row.state is SessionState.ACTIVE:
            self._going_on[row.id] = row
        else:
            self._going_on.pop(row.id, None)
        kind = _kind(row, change)
        # Whoever was not there when it began hears of it as of a new one.
        is_new = known is None and kind == "UPDATED" and row.state is SessionState.ACTIVE
        return [self._event("STARTED" if is_new else kind, row)]

    async def refresh(self) -> Sequence[Live]:
        """What changed without our hearing of it, and a heartbeat."""
        before = self._going_on
        await self._read()
        over = [key for key in before if key not in self._going_on]
        ended = await sessions_by_ids(self._now(), over) if over else {}
        told = [self._event("ENDED", ended[key]) if key in ended else self._removed(key) for key in over]
        for key, row in self._going_on.items():
            known = before.get(key)
            if known is None:
                told.append(self._event("STARTED", row))
            elif replace(known, connected_seconds=row.connected_seconds) != row:
                told.append(self._event("UPDATED", row))
        return [*told, Live(SessionEventRow("HEARTBEAT", MARK), "heartbeat")]

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

    def _event(self, kind: str, row: SessionRow, cursor: str | None = None, *, is_resync: bool = False) -> Live:
        event = SessionEventRow(kind, MARK, is_resync, row.id, row)
        may_be_replaced = kind == "UPDATED" and row.state is SessionState.ACTIVE
        return Live(event, row.id, stays=not may_be_replaced, cursor=cursor)

    def _removed(self, session_id: UUID) -> Live:
        return Live(SessionEventRow("REMOVED", MARK, False, session_id), session_id, stays=True)

    def _now(self) -> Access:
        return replace(self.access, now=self._clock.now())


def _kind(row: SessionRow, change: str) -> str:
    """What is told of a change, by the time the row is read."""
    return "ENDED" if change == "STARTED" and row.state is not SessionState.ACTIVE else change


async def session_changed(context: Context, target: Target) -> Source:
    """The sessions of that target. NotFoundError when it is hidden or absent."""
    access, clock, secret = context.access, context.ports.clock, context.ports.secret_key
    if target.is_own:
        user_id = access.person()
        return SessionSource(access, clock, target, events.own_sessions_channel(user_id), secret=secret)
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
    return SessionSource(access, clock, target, events.installation_channel(place), secret=secret)
