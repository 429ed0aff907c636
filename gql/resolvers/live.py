"""Streams: the present state first, then what changes, for whoever asks and no further than they may see."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from domain import events
from domain.access import AUTHORIZERS, Access
from domain.clock import Clock
from domain.equipment.live_status import (
    followed_charger,
    followed_installation,
    followed_statuses,
    visible_status,
    visible_statuses,
)
from domain.errors import NotFoundError
from domain.events import (
    AuthorizationAsked,
    AuthorizationDecided,
    ChargerStatusChanged,
    Event,
    InstallationChanged,
    PermissionChanged,
    ProgramChanged,
)
from domain.identification.card_enrollments import enrollments_by_ids
from domain.reporting.exports import UNFINISHED, exports_by_ids
from domain.roles import Actor
from domain.views.authorization_views import RequestRow, requests_by_ids, waiting_requests
from domain.views.charger_views import ChargerRow, chargers_by_ids
from domain.views.command_views import commands_by_ids
from domain.views.installation_views import InstallationRow, installations_by_ids
from gql.context import Context
from gql.cursors import Cursors
from gql.errors import AccessEndedError
from gql.live import Known, Live, Source
from gql.loaders import Batch

_SHARED: Final[Mapping[str, str]] = {
    "Subscription": "chargerStatus",
    "ChargerStatusEvent": "cursor isResync kind chargerId charger",
    "Charger": "id name identity evse serialNumber vendor model firmwareVersion phaseRotation minCurrentA maxCurrentA"
    " offlineCurrentA canSwitchPhases authenticationRequired isEnabled createdAt lastSeenAt status installation",
    "Installation": "id name timeZone",
    "ChargerStatus": "mode isOnline powerKw currentA allocatedA allocatedPhases sessionEnergyKwh warnings observedAt"
    " receivedAt version",
    "ChargerWarning": "kind severity message since vendorCode",
    "PhaseAmps": "l1 l2 l3",
}
SHARED_FIELDS: Final = frozenset(f"{kind}.{name}" for kind, names in _SHARED.items() for name in names.split())
"""Fields that look the same to every owner of an installation; one with another field shares with nobody else."""


@dataclass(frozen=True, slots=True)
class StatusEventRow:
    """One event of `chargerStatus`; `kind` is a LiveEventKind's name."""

    kind: str
    cursor: str
    is_resync: bool = False
    charger_id: UUID | None = None
    charger: ChargerRow | None = None


@dataclass(frozen=True, slots=True)
class AccessEventRow:
    """What the viewer may do has changed there."""

    at: datetime
    installation_ids: tuple[UUID, ...]
    charger_ids: tuple[UUID, ...] = ()


class StatusSource:
    """The statuses of an installation's chargers, or of one charger."""

    wakes_in_s: float | None = None

    def __init__(self, access: Access, installation_id: UUID, charger_id: UUID | None, *, secret: str) -> None:
        self.access = access
        self.channel = events.installation_channel(installation_id)
        self.is_over = False
        self._installation_id = installation_id
        self._charger_id = charger_id
        scope = ("chargerStatus", installation_id, charger_id, self.visibility(frozenset()))
        self.cursors = Cursors(secret, scope)
        self._statuses: dict[UUID, ChargerStatusChanged] = {}
        self._rows: Mapping[UUID, ChargerRow] = {}
        self._installation: InstallationRow | None = None

    def visibility(self, field_paths: frozenset[str]) -> object:
        """Owners of the installation see the same; everybody else only what they themselves do."""
        if self.access.reads_sessions_of(self._installation_id) and field_paths <= SHARED_FIELDS:
            return "owner"
        return eyes(self.access)

    async def open(self) -> None:
        """The present state is read."""
        found = await followed_statuses(self.access, self._installation_id, self._charger_id)
        self._statuses = dict(found)
        self._rows = await chargers_by_ids(self.access, list(found))
        sites = await installations_by_ids(self.access, [self._installation_id])
        self._installation = sites.get(self._installation_id)

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """Every charger's status, then READY; after a move the statuses only, which may now show more or less."""
        nowhere = self.cursors.nowhere
        if is_move:
            return [self._changed(charger_id, nowhere, "MOVED") for charger_id in self._rows]
        snapshot = [self._snapshot(charger_id, nowhere, is_resync=is_resync) for charger_id in self._rows]
        return [*snapshot, self._ready(is_resync=is_resync)]

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """The status of each charger that had another, then READY. None when chargers came or went: which is not known."""
        if any(isinstance(one, InstallationChanged) and not one.chargers_stay for one in missed):
            return None
        touched = dict.fromkeys(one.charger_id for one in missed if isinstance(one, ChargerStatusChanged))
        changed = [self._changed(one, cursor, "MISSED") for one in touched if one in self._rows]
        return [*changed, self._ready(is_resync=False)]

    async def take(self, event: Event) -> Sequence[Live]:
        """What the fact changes here."""
        match event:
            case ChargerStatusChanged():
                return self._take_status(event)
            case InstallationChanged():
                return await self._reload()
        return ()

    async def refresh(self) -> Sequence[Live]:
        """Statuses that changed unheard, and a heartbeat."""
        return [*await self._reload(), self._told(StatusEventRow("HEARTBEAT", self.cursors.here), key="heartbeat")]

    def leaving(self, successor: Source) -> Sequence[Live]:
        """REMOVED for each charger that no longer exists for them."""
        seen = successor.access
        return [self._removed(one) for one in self._rows if not seen.sees_charger(one, self._installation_id)]

    def _take_status(self, event: ChargerStatusChanged) -> Sequence[Live]:
        known = self._statuses.get(event.charger_id)
        if known is None or event.charger_id not in self._rows or event.version <= known.version:
            return ()
        self._statuses[event.charger_id] = event
        return (self._changed(event.charger_id, self.cursors.here),)

    async def _reload(self) -> Sequence[Live]:
        before, rows_before = self._statuses, self._rows
        await self.open()
        if self._charger_id is not None and self._charger_id not in self._rows:
            raise AccessEndedError
        # What was heard may be newer than what was read.
        for charger_id, heard in before.items():
            read = self._statuses.get(charger_id)
            if read is not None and heard.version > read.version:
                self._statuses[charger_id] = heard
        gone = [one for one in rows_before if one not in self._rows]
        changed = [
            one
            for one, row in self._rows.items()
            if rows_before.get(one) != row or one not in before or before[one].version < self._statuses[one].version
        ]
        here = self.cursors.here
        return [*(self._removed(one) for one in gone), *(self._changed(one, here) for one in changed)]

    def _ready(self, *, is_resync: bool) -> Live:
        here = self.cursors.here
        return Live(StatusEventRow("READY", here, is_resync), same_as=(("READY", is_resync), here), cursor=here)

    def _snapshot(self, charger_id: UUID, cursor: str, *, is_resync: bool) -> Live:
        event = StatusEventRow("SNAPSHOT", cursor, is_resync, charger_id, self._rows[charger_id])
        return self._live(event, charger_id, (is_resync, None), key=None)

    def _changed(self, charger_id: UUID, cursor: str, why: str = "CHANGED") -> Live:
        event = StatusEventRow("CHANGED", cursor, False, charger_id, self._rows[charger_id])
        # With the same status an older cursor of here will do; that of one who missed something is theirs.
        return self._live(event, charger_id, (why, cursor if why == "MISSED" else None), key=charger_id)

    def _removed(self, charger_id: UUID) -> Live:
        return self._told(StatusEventRow("REMOVED", self.cursors.here, False, charger_id), key=charger_id)

    def _told(self, event: StatusEventRow, *, key: object) -> Live:
        return Live(event, key, cursor=event.cursor)

    def _live(self, event: StatusEventRow, charger_id: UUID, sort: tuple[object, object], *, key: object) -> Live:
        status, row = self._statuses[charger_id], self._rows[charger_id]
        known: Known = {
            (installations_by_ids, self._installation_id): self._installation,
            (visible_statuses, charger_id): visible_status(self.access, status),
            (chargers_by_ids, charger_id): row,
        }
        version = (sort[1], status.version, row, self._installation)
        return Live(event, key, known=known, same_as=((sort[0], charger_id), version), cursor=event.cursor)


class RowSource:
    """One row and each change of it, until it is final."""

    cursors: Cursors | None = None

    def __init__(
        self,
        access: Access,
        batch: Batch[Any],
        identity: UUID,
        *,
        channel: str,
        is_final: Callable[[Any], bool],
        clock: Clock,
        ends_at: Callable[[Any], datetime] | None = None,
    ) -> None:
        self.access = access
        self.channel = channel
        self.is_over = False
        self._batch = batch
        self._identity = identity
        self._is_final = is_final
        self._clock = clock
        self._ends_at = ends_at
        self._row: Any = None

    @property
    def wakes_in_s(self) -> float | None:
        """Until it ends by the clock, where it does."""
        if self._ends_at is None or self._row is None or self.is_over:
            return None
        return max(0.0, (self._ends_at(self._row) - self._clock.now()).total_seconds())

    def visibility(self, _field_paths: frozenset[str]) -> object:
        """Shared with one's own other clients only."""
        return eyes(self.access)

    async def open(self) -> None:
        """The row is read. NotFoundError when it is hidden or absent."""
        access = replace(self.access, now=self._clock.now())
        row = (await self._batch(access, [self._identity])).get(self._identity)
        if row is None:
            raise NotFoundError
        self._row = row
        self.is_over = self._is_final(row)

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """The row as it is."""
        return () if is_move and not is_resync else (Live(self._row),)

    async def take(self, _event: Event) -> Sequence[Live]:
        """The row, if it is another now."""
        before = self._row
        try:
            await self.open()
        except NotFoundError:
            raise AccessEndedError from None
        return () if self._row == before else (Live(self._row),)

    async def refresh(self) -> Sequence[Live]:
        """The row, if it changed unheard."""
        return await self.take(InstallationChanged(installation_id=self._identity))

    def leaving(self, _successor: Source) -> Sequence[Live]:
        """Nothing: it is seen or it is not."""
        return ()

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """Never asked: whoever comes back gets the present state."""
        del missed, cursor
        return None


class QuestionSource:
    """Questions about attempts to charge: those that wait, then new ones, each at least once."""

    cursors: Cursors | None = None

    wakes_in_s: float | None = None

    def __init__(self, access: Access, installation_ids: Sequence[UUID], clock: Clock) -> None:
        self.access = access
        self.channel = events.AUTHORIZATIONS_CHANNEL
        self.is_over = False
        self._places = frozenset(installation_ids)
        self._clock = clock
        self._waiting: dict[UUID, RequestRow] = {}

    def visibility(self, _field_paths: frozenset[str]) -> object:
        """Shared with the same program's other clients only."""
        return eyes(self.access)

    async def open(self) -> None:
        """What waits is read."""
        found = await waiting_requests(replace(self.access, now=self._clock.now()), sorted(self._places))
        self._waiting = {row.id: row for row in found}

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """Every question that waits."""
        del is_resync
        now = self._clock.now()
        return () if is_move else [Live(row) for row in self._waiting.values() if row.expires_at > now]

    async def take(self, event: Event) -> Sequence[Live]:
        """A new question; one that is decided waits no more."""
        match event:
            case AuthorizationAsked() if event.installation_id in self._places:
                found = await requests_by_ids(self.access, [event.request_id])
                self._waiting.update(found)
                return [Live(row) for row in found.values()]
            case AuthorizationDecided():
                self._waiting.pop(event.request_id, None)
        return ()

    async def refresh(self) -> Sequence[Live]:
        """Questions that were asked without our hearing of it."""
        known = self._waiting
        await self.open()
        return [Live(row) for identity, row in self._waiting.items() if identity not in known]

    def leaving(self, _successor: Source) -> Sequence[Live]:
        """Nothing: what was told was theirs."""
        return ()

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """Never asked: whoever comes back gets what waits."""
        del missed, cursor
        return None


class AccessSource:
    """Changes of what one person or program may do."""

    cursors: Cursors | None = None

    wakes_in_s: float | None = None

    def __init__(self, access: Access, actor: Actor, clock: Clock) -> None:
        self.access = access
        is_person = actor.user_id is not None
        self.channel = events.user_channel(actor.id) if is_person else events.program_channel(actor.id)
        self.is_over = False
        self._actor = actor
        self._clock = clock

    def visibility(self, _field_paths: frozenset[str]) -> object:
        """The person or the program themselves, whatever they may do by now."""
        return self._actor

    async def open(self) -> None:
        """Nothing is there to be read."""

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """Nothing: only changes are told."""
        del is_resync, is_move
        return ()

    async def take(self, event: Event) -> Sequence[Live]:
        """A change of a permission, told as it is."""
        match event:
            case PermissionChanged():
                return (Live(AccessEventRow(self._clock.now(), (event.installation_id,))),)
            case ProgramChanged():
                return (Live(AccessEventRow(self._clock.now(), tuple(sorted(self.access.installations)))),)
        return ()

    async def refresh(self) -> Sequence[Live]:
        """Nothing."""
        return ()

    def leaving(self, _successor: Source) -> Sequence[Live]:
        """Nothing."""
        return ()

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """Never asked."""
        del missed, cursor
        return None


async def charger_status(context: Context, *, charger_id: UUID | None, installation_id: UUID | None) -> Source:
    """The statuses of that charger or installation. NotFoundError when it is hidden or absent."""
    access, secret = context.access, context.ports.secret_key
    if charger_id is not None:
        return StatusSource(access, await followed_charger(access, charger_id), charger_id, secret=secret)
    if installation_id is not None:
        return StatusSource(access, await followed_installation(access, installation_id), None, secret=secret)
    raise NotFoundError(path=("target",))


async def command_changed(context: Context, command_id: UUID) -> Source:
    """The command until it is final. NotFoundError when it is hidden or absent."""
    channel = events.command_channel(command_id)
    source = RowSource(
        context.access,
        commands_by_ids,
        command_id,
        channel=channel,
        is_final=lambda row: row.is_final,
        clock=context.ports.clock,
    )
    await source.open()
    return source


async def export_changed(context: Context, export_id: UUID) -> Source:
    """The file until nothing will change but its age. NotFoundError when it is hidden or absent."""
    channel = events.export_channel(export_id)
    source = RowSource(
        context.access,
        exports_by_ids,
        export_id,
        channel=channel,
        is_final=lambda row: row.state not in UNFINISHED,
        clock=context.ports.clock,
    )
    await source.open()
    return source


async def card_enrollment_changed(context: Context, enrollment_id: UUID) -> Source:
    """The waiting until it is over, by a card or by the clock. NotFoundError when it is hidden or absent."""
    channel = events.enrollment_channel(enrollment_id)
    source = RowSource(
        context.access,
        enrollments_by_ids,
        enrollment_id,
        channel=channel,
        is_final=lambda row: row.is_final,
        clock=context.ports.clock,
        ends_at=lambda row: row.expires_at,
    )
    await source.open()
    return source


async def authorization_requested(context: Context, installation_id: UUID | None) -> Source:
    """Questions of that installation, or (None) of all of the program's. NotFoundError where it is asked nothing."""
    asked = context.access.installations_with(AUTHORIZERS)
    context.access.signed_in()
    wanted = asked if installation_id is None else [one for one in asked if one == installation_id]
    if not wanted:
        raise NotFoundError(path=("installationId",))
    return QuestionSource(context.access, wanted, context.ports.clock)


def access_changed(context: Context) -> Source:
    """Changes of what the viewer may do. UnauthenticatedError when nobody is signed in."""
    return AccessSource(context.access, context.access.signed_in(), context.ports.clock)


def eyes(access: Access) -> object:
    """Equal for the same caller with the same rights."""
    return (
        access.actor and access.actor.id,
        access.is_administrator,
        frozenset(access.installations.items()),
        frozenset(access.chargers.items()),
    )
