"""People, who is asking, and signing in and out."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.people import PersonRow, SignedIn, people_by_ids
from domain.views.service_account_views import service_accounts_by_ids
from gql.context import Context
from gql.resolvers import cards, people
from gql.resolvers import commands as command_resolvers
from gql.resolvers import exports as export_resolvers
from gql.resolvers import sessions as session_resolvers
from gql.schema.commands import Command
from gql.schema.connections import Connection, UncountedConnection
from gql.schema.errors import (
    ConflictError,
    NotAllowedError,
    NotFoundError,
    RateLimitedError,
    UnavailableError,
    ValidationError,
)
from gql.schema.exports import Export
from gql.schema.fields import connection, related, resolved
from gql.schema.mutations import DONE, DoneSuccess, Plain, made, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.sessions import SESSION_ARGUMENTS, ChargeSession
from gql.schema.usage import usage_of_viewer

if TYPE_CHECKING:
    from gql.schema.cards import ChargeCard
    from gql.schema.permissions import Permission
    from gql.schema.service_accounts import ServiceAccount


@strawberry.type(description="A person. Visible to themselves, and to whoever may see their permissions or sessions.")
class User(Node):
    """Read from PersonRow."""

    name: str
    email: str | None = strawberry.field(description="Null for those who know the person from a session only.")
    external_id: str | None = strawberry.field(
        description="The id by which the service account that asks knows the person; null for everyone else."
    )


async def _charge_cards(root: Any, info: Info[Context, Any]) -> Any:
    del root
    return await cards.cards_of_viewer(info.context)


@strawberry.type(description="Who is asking: one of user and serviceAccount is set.")
class Viewer:
    """Read from ViewerRow."""

    user: Annotated["User", strawberry.lazy("gql.schema.people")] | None = related(
        people_by_ids, lambda viewer: viewer.user_id
    )
    service_account: Annotated["ServiceAccount", strawberry.lazy("gql.schema.service_accounts")] | None = related(
        service_accounts_by_ids, lambda viewer: viewer.service_account_id
    )
    permissions = connection(
        people.permissions_of_viewer,
        Connection[Annotated["Permission", strawberry.lazy("gql.schema.permissions")]],
        description="What the viewer holds, also through groups.",
    )
    sessions = connection(
        session_resolvers.sessions_of_viewer,
        Connection[ChargeSession],
        further=SESSION_ARGUMENTS,
        description="The viewer's own charge history, on every charger.",
    )
    usage_summary = usage_of_viewer()
    charge_cards = resolved(
        _charge_cards,
        list[Annotated["ChargeCard", strawberry.lazy("gql.schema.cards")]],
        description="The viewer's own, oldest first; at most 100.",
    )
    commands = connection(
        command_resolvers.commands_of_viewer,
        UncountedConnection[Command],
        further={"is_final": bool | None},
        description="Asked by the viewer, newest first: an app that was closed finds its unfinished ones here.",
    )
    exports = connection(
        export_resolvers.exports_of_viewer, UncountedConnection[Export], description="The viewer's files, newest first."
    )


def _viewer(info: Info[Context, Any]) -> people.ViewerRow | None:
    return people.viewer(info.context)


@strawberry.type
class PeopleQueries:
    """Root fields about people."""

    viewer = resolved(_viewer, Viewer | None, description="Who is asking; null when not signed in.")


@strawberry.input(description="Wrong address and wrong password look the same.")
class SignInInput:
    """The address is compared without case."""

    email: str
    password: str


@strawberry.input(description="The refresh token of a sign-in: good for one refresh.")
class RefreshSignInInput:
    """A spent token ends the sign-in."""

    refresh_token: str


@strawberry.input(description="This sign-in, or everywhere: all of the viewer's.")
class SignOutInput:
    """Streams end too."""

    everywhere: bool = False
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(
    description="Send `accessToken` as `Authorization: Bearer …`; before `expiresAt` get new tokens with the refresh token. "
    "A refresh token that is used twice ends the sign-in."
)
class SignInSuccess:
    """Made of SignedIn."""

    access_token: str
    refresh_token: str
    expires_at: datetime = strawberry.field(description="Of the access token.")
    viewer: Viewer


SignInResult = Annotated[
    SignInSuccess | ValidationError | RateLimitedError | UnavailableError, strawberry.union("SignInResult")
]
DoneResult = Annotated[
    DoneSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError | RateLimitedError,
    strawberry.union("DoneResult"),
]


def _signed_in(_given: Any, returned: SignedIn) -> SignInSuccess:
    return made(
        SignInSuccess,
        access_token=returned.access_token,
        refresh_token=returned.refresh_token,
        expires_at=returned.expires_at,
        viewer=people.ViewerRow(returned.access.person()),
    )


@strawberry.type
class PeopleMutations:
    """Signing in and out."""

    sign_in = mutation(
        people.sign_in,
        SignInInput,
        SignInResult,
        Plain("SignIn", _signed_in),
        needs_sign_in=False,
        description="Signs in with e-mail address and password. WRONG_CREDENTIALS does not say which of the two is wrong.",
    )
    refresh_sign_in = mutation(
        people.refresh_sign_in,
        RefreshSignInInput,
        SignInResult,
        Plain("SignIn", _signed_in),
        needs_sign_in=False,
        description="New tokens for the same sign-in. TOKEN_EXPIRED: sign in again.",
    )
    sign_out = mutation(
        people.sign_out,
        SignOutInput,
        DoneResult,
        DONE,
        description="Ends this sign-in, or all of the viewer's: their tokens stop working and their streams end at once.",
    )


NODES = (NodeKind(User, PersonRow, people_by_ids),)
