"""Subscriptions: the present state (SNAPSHOT), READY, then changes."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from gql import ids
from gql.context import Context
from gql.ids import global_id
from gql.live import Source
from gql.resolvers import live, session_stream, status_stream
from gql.resolvers.session_stream import Target
from gql.schema.enums import ChargeSessionEventKind, LiveEventKind
from gql.schema.fields import derived

if TYPE_CHECKING:
    from gql.schema.authorization import AuthorizationRequest
    from gql.schema.cards import CardEnrollment
    from gql.schema.chargers import Charger
    from gql.schema.commands import Command
    from gql.schema.exports import Export
    from gql.schema.sessions import ChargeSession


@strawberry.input(
    one_of=True, description="What to follow: one charger, or all that the viewer may see of an installation."
)
class StatusTarget:
    """Exactly one of the two."""

    charger_id: strawberry.ID | None = strawberry.UNSET
    installation_id: strawberry.ID | None = strawberry.UNSET


@strawberry.type(
    description="`charger` is set in SNAPSHOT and CHANGED (its status is that of the event), `chargerId` in REMOVED too. "
    "`isResync`: forget what you had."
)
class ChargerStatusEvent:
    """Read from StatusEventRow."""

    cursor: str = strawberry.field(
        description="Of the place in the stream; pass that of the last event taken as `after`."
    )
    is_resync: bool
    kind: LiveEventKind = derived(lambda event: LiveEventKind(event.kind))
    charger_id: strawberry.ID | None = derived(
        lambda event: None if event.charger_id is None else global_id("Charger", event.charger_id),
        description="Null where the event is about no charger.",
    )
    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] | None = strawberry.field(
        description="Its newest state; null where the event is about none."
    )


def _global_ids(type_name: str, identities: Any) -> list[str]:
    return [global_id(type_name, identity) for identity in identities]


@strawberry.type(description="What the viewer may do there has changed: fetch anew what is on the screen.")
class AccessEvent:
    """Read from AccessEventRow."""

    at: datetime
    installation_ids: list[strawberry.ID] = derived(lambda event: _global_ids("Installation", event.installation_ids))
    charger_ids: list[strawberry.ID] = derived(
        lambda event: _global_ids("Charger", event.charger_ids),
        description="Empty: any charger of those installations may be meant.",
    )


async def _charger_status(
    info: Info[Context, Any], target: StatusTarget, after: str | None = strawberry.UNSET
) -> Source:
    del after  # Where one goes on is the audience's business: the stream is the same.
    return await status_stream.charger_status(
        info.context,
        charger_id=ids.optional_uuid_of(target.charger_id or None, "Charger", at="target"),
        installation_id=ids.optional_uuid_of(target.installation_id or None, "Installation", at="target"),
    )


async def _command_changed(info: Info[Context, Any], command_id: strawberry.ID) -> Source:
    return await live.command_changed(info.context, ids.uuid_of(command_id, "Command", at="commandId"))


@strawberry.input(
    one_of=True,
    description="own: true = the viewer's sessions on every charger. In an installation or at a charger: those the viewer may see.",
)
class SessionTarget:
    """Exactly one of them."""

    installation_id: strawberry.ID | None = strawberry.UNSET
    charger_id: strawberry.ID | None = strawberry.UNSET
    session_id: strawberry.ID | None = strawberry.UNSET
    own: bool | None = strawberry.UNSET


@strawberry.type(
    description="SNAPSHOT: the active ones. REPLACED: session is the new one, session.replaces the old. `session` is null in READY, "
    "REMOVED and HEARTBEAT. `isResync`: forget what you had."
)
class ChargeSessionEvent:
    """Read from SessionEventRow."""

    cursor: str = strawberry.field(
        description="Of the place in the stream; pass that of the last event taken as `after`."
    )
    is_resync: bool
    kind: ChargeSessionEventKind = derived(lambda event: ChargeSessionEventKind(event.kind))
    session_id: strawberry.ID | None = derived(
        lambda event: None if event.session_id is None else global_id("ChargeSession", event.session_id),
        description="Null where the event is about no session.",
    )
    session: Annotated["ChargeSession", strawberry.lazy("gql.schema.sessions")] | None = strawberry.field(
        description="Its newest state; null where the event is about none."
    )


async def _session_changed(
    info: Info[Context, Any], target: SessionTarget, after: str | None = strawberry.UNSET
) -> Source:
    del after  # Where one goes on is the audience's business: the stream is the same.
    wanted = Target(
        installation_id=ids.optional_uuid_of(target.installation_id or None, "Installation", at="target"),
        charger_id=ids.optional_uuid_of(target.charger_id or None, "Charger", at="target"),
        session_id=ids.optional_uuid_of(target.session_id or None, "ChargeSession", at="target"),
        is_own=target.own is True,
    )
    return await session_stream.session_changed(info.context, wanted)


async def _card_enrollment_changed(info: Info[Context, Any], enrollment_id: strawberry.ID) -> Source:
    identity = ids.uuid_of(enrollment_id, "CardEnrollment", at="enrollmentId")
    return await live.card_enrollment_changed(info.context, identity)


async def _authorization_requested(
    info: Info[Context, Any], installation_id: strawberry.ID | None = strawberry.UNSET
) -> Source:
    identity = ids.optional_uuid_of(installation_id or None, "Installation", at="installationId")
    return await live.authorization_requested(info.context, identity)


async def _export_changed(info: Info[Context, Any], export_id: strawberry.ID) -> Source:
    return await live.export_changed(info.context, ids.uuid_of(export_id, "Export", at="exportId"))


def _access_changed(info: Info[Context, Any]) -> Source:
    return live.access_changed(info.context)


def followed(resolver: Any, graphql_type: Any, *, description: str) -> Any:
    """A subscription whose resolver returns a Source."""
    return strawberry.subscription(resolver=resolver, graphql_type=graphql_type, description=description)


@strawberry.type
class LiveSubscriptions:
    """Streams that are here from the first day."""

    charger_status = followed(
        _charger_status,
        ChargerStatusEvent,
        description="First the present status of each charger (SNAPSHOT), then READY, then changes; HEARTBEAT at least every 30 s. "
        "Slow readers get the newest status, never an older. REMOVED: access to a charger was lost; an error with code "
        "ACCESS_ENDED and the end: access to the target was. A hidden target is NOT_FOUND.",
    )
    session_changed = followed(
        _session_changed,
        ChargeSessionEvent,
        description="First the active sessions of the target (SNAPSHOT), then READY, then what begins, goes on, ends and is replaced, as "
        "far as it is the viewer's to see; HEARTBEAT at least every 30 s. Slow readers get the newest state of a session; ends and "
        "replacements are not skipped. REMOVED: a session is no longer theirs to see; an error with code ACCESS_ENDED and the end: the "
        "target is not. A hidden target is NOT_FOUND.",
    )
    command_changed = followed(
        _command_changed,
        Annotated["Command", strawberry.lazy("gql.schema.commands")],
        description="The command as it is, each change, and the end after the final one.",
    )
    export_changed = followed(
        _export_changed,
        Annotated["Export", strawberry.lazy("gql.schema.exports")],
        description="The file as it is, each change, and the end after the final one.",
    )
    card_enrollment_changed = followed(
        _card_enrollment_changed,
        Annotated["CardEnrollment", strawberry.lazy("gql.schema.cards")],
        description="The waiting for a card as it is, each change, and the end after the final one.",
    )
    authorization_requested = followed(
        _authorization_requested,
        Annotated["AuthorizationRequest", strawberry.lazy("gql.schema.authorization")],
        description="Attempts to charge that are to be answered: first those that wait, then new ones, at least once each (know them by "
        "id), to every subscriber. Null = all installations of the service account. For AUTHORIZE_CHARGING.",
    )
    access_changed = followed(
        _access_changed,
        AccessEvent,
        description="What the viewer may do has changed: fetch anew what is on the screen.",
    )
