"""Streams: the present state first, then what changes, for whoever asks and no further than they may see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import events
from domain.access import AUTHORIZERS, Access
from domain.clock import Clock
from domain.errors import NotFoundError
from domain.events import (
    AuthorizationAsked,
    AuthorizationDecided,
    Event,
    InstallationChanged,
    PermissionChanged,
    ProgramChanged,
)
from domain.identification.card_enrollments import enrollments_by_ids
from domain.reporting.exports import UNFINISHED, exports_by_ids
from domain.roles import Actor
from domain.views.authorization_views import RequestRow, requests_by_ids, waiting_requests
from domain.views.command_views import commands_by_ids
from gql.context import Context
from gql.errors import AccessEndedError
from gql.live import Live, OneViewer, Readings, Source
from gql.loaders import Batch


@dataclass(frozen=True, slots=True)
class AccessEventRow:
    """What the viewer may do has changed there."""

    at: datetime
    installation_ids: tuple[UUID, ...]
    charger_ids: tuple[UUID, ...] = ()


class RowSource(OneViewer):
    """One row and each change of it, until it is final."""

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

    async def open(self, readings: Readings | None = None) -> None:
        """The row is read. NotFoundError when it is hidden or absent."""
        del readings
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


class QuestionSource(OneViewer):
    """Questions about attempts to charge: those that wait, then new ones, each at least once."""

    def __init__(self, access: Access, installation_ids: Sequence[UUID], clock: Clock) -> None:
        self.access = access
        self.channel = events.AUTHORIZATIONS_CHANNEL
        self.is_over = False
        self._places = frozenset(installation_ids)
        self._clock = clock
        self._waiting: dict[UUID, RequestRow] = {}

    async def open(self, readings: Readings | None = None) -> None:
        """What waits is read."""
        del readings
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


class AccessSource(OneViewer):
    """Changes of what one person or program may do."""

    def __init__(self, access: Access, actor: Actor, clock: Clock) -> None:
        self.access = access
        is_person = actor.user_id is not None
        self.channel = events.user_channel(actor.id) if is_person else events.program_channel(actor.id)
        self.is_over = False
        self._actor = actor
        self._clock = clock

    @property
    def visibility(self) -> object:
        """The person or the program themselves, whatever they may do by now."""
        return self._actor

    async def open(self, readings: Readings | None = None) -> None:
        """Nothing is there to be read."""
        del readings

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
