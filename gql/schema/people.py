"""People, who is asking, and signing in and out."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.identity.one_time_codes import Setup
from domain.identity.people import PersonRow, people_by_ids
from domain.identity.sign_ins import SignedIn
from domain.views.service_account_views import service_accounts_by_ids
from gql.context import Context
from gql.resolvers import alerts, cards, people
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
    from gql.schema.alerts import AlertSubscription
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


async def _alert_subscriptions(root: Any, info: Info[Context, Any]) -> Any:
    del root
    return await alerts.subscriptions_of_viewer(info.context)


@strawberry.type(description="Who is asking: one of user and serviceAccount is set.")
class Viewer:
    """Read from ViewerRow."""

    user: Annotated["User", strawberry.lazy("gql.schema.people")] | None = related(
        people_by_ids,
        lambda viewer: viewer.user_id,
        description="Null for a service account.",
    )
    service_account: Annotated["ServiceAccount", strawberry.lazy("gql.schema.service_accounts")] | None = related(
        service_accounts_by_ids,
        lambda viewer: viewer.service_account_id,
        description="Null for a person.",
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
    alert_subscriptions = resolved(
        _alert_subscriptions,
        list[Annotated["AlertSubscription", strawberry.lazy("gql.schema.alerts")]],
        description="The viewer's own, oldest first; that of an owner who never made one is there from its first mail on.",
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


@strawberry.input(
    description="Wrong address and wrong password look the same; TOTP_REQUIRED only after a right password."
)
class SignInInput:
    """The address is compared without case."""

    email: str
    password: str
    totp_code: str | None = strawberry.field(
        description="Of the authenticator app, where the account has one, or a recovery code.", default=strawberry.UNSET
    )


@strawberry.input(
    description="An ID token of the provider that the operator has set, and the nonce that it was asked for with."
)
class SignInWithOpenIdInput:
    """From the provider."""

    id_token: str
    nonce: str | None = strawberry.field(
        description="Needed where the token carries one; a token without one is refused when this is given.",
        default=strawberry.UNSET,
    )
    totp_code: str | None = strawberry.field(
        description="Of the authenticator app, or a recovery code, where the account has one and the provider does not say (`amr`: `mfa`) "
        "that it asked for several proofs. Without it: TOTP_REQUIRED.",
        default=strawberry.UNSET,
    )


@strawberry.input(
    description="With an invitation's code the address is proven and the invitation accepted. Without, where the operator opened sign-up, "
    "the account has no address until verifyEmail: so that nobody learns whether an address has an account."
)
class SignUpInput:
    """A new account."""

    name: str
    email: str
    password: str
    invitation_token: str | None = strawberry.field(
        description="From an invitation; needed where sign-up is not open.", default=strawberry.UNSET
    )


@strawberry.input(description="Every other sign-in of the viewer ends.")
class ChangePasswordInput:
    """The old and the new one."""

    current_password: str
    new_password: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="A letter with a code is sent there, if there is an account.")
class RequestPasswordResetInput:
    """An address."""

    email: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="The code of the letter, good for an hour and once.")
class ResetPasswordInput:
    """Every sign-in ends; one-time codes stay."""

    token: str
    new_password: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="The code of the letter, good for a day and once.")
class VerifyEmailInput:
    """Proves the address of the account that asks."""

    token: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="The code of the letter.")
class AcceptInvitationInput:
    """An invitation."""

    token: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="Nothing is needed to begin.")
class SetUpTotpInput:
    """A secret for an authenticator app."""

    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="The first code of the app.")
class ConfirmTotpInput:
    """Codes are asked for from then on."""

    code: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="Both prove that it is the viewer who asks.")
class RemoveTotpInput:
    """Codes are no longer asked for."""

    password: str | None = strawberry.field(
        description="Of the account; needed unless it has none.", default=strawberry.UNSET
    )
    code: str | None = strawberry.field(
        description="Of the authenticator app, or a recovery code; needed once codes are in use. Without it: TOTP_REQUIRED.",
        default=strawberry.UNSET,
    )
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(
    description="To be entered in an authenticator app; null when the call is repeated with its key. It counts once it is confirmed."
)
class TotpSuccess:
    """Made of Setup."""

    secret: str | None = strawberry.field(description="In base 32; null when the call is repeated with its key.")
    uri: str | None = strawberry.field(
        description="`otpauth://`: show it as a QR code; null when the call is repeated with its key."
    )
    recovery_codes: list[str] | None = strawberry.field(
        description="Ten, to be kept on paper: each signs in once in place of a code when the app is lost. Shown here and never again; "
        "null when the call is repeated with its key."
    )


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


TotpResult = Annotated[TotpSuccess | ValidationError | NotAllowedError | ConflictError, strawberry.union("TotpResult")]


def _totp(_given: Any, returned: Setup | None) -> TotpSuccess:
    if returned is None:
        return made(TotpSuccess, secret=None, uri=None, recovery_codes=None)
    return made(TotpSuccess, secret=returned.secret, uri=returned.uri, recovery_codes=returned.recovery_codes)


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
    sign_in_with_open_id = mutation(
        people.sign_in_with_open_id,
        SignInWithOpenIdInput,
        SignInResult,
        Plain("SignIn", _signed_in),
        needs_sign_in=False,
        description="Signs in whom an outside provider knows: by its own id, or by an address that both have proven.",
    )
    sign_up = mutation(
        people.sign_up,
        SignUpInput,
        SignInResult,
        Plain("SignIn", _signed_in),
        needs_sign_in=False,
        description="Makes an account and signs in.",
    )
    change_password = mutation(
        people.change_password, ChangePasswordInput, DoneResult, DONE, description="Sets another password."
    )
    request_password_reset = mutation(
        people.request_password_reset,
        RequestPasswordResetInput,
        DoneResult,
        DONE,
        needs_sign_in=False,
        description="Sends a letter with a code, if the address has an account; the answer is the same if not.",
    )
    reset_password = mutation(
        people.reset_password,
        ResetPasswordInput,
        DoneResult,
        DONE,
        needs_sign_in=False,
        description="Sets the password anew by the code of a letter. TOKEN_EXPIRED: it is wrong, was used, or is over.",
    )
    verify_email = mutation(
        people.verify_email,
        VerifyEmailInput,
        DoneResult,
        DONE,
        description="Proves the address of a new account by the code of a letter; from then on it signs in with it. Only for who is signed "
        "in to the account that the letter is about. TOKEN_EXPIRED: the code is wrong, for another account, was used, or is over.",
    )
    set_up_totp = mutation(
        people.set_up_totp,
        SetUpTotpInput,
        TotpResult,
        Plain("Totp", _totp),
        description="Begins with one-time codes of an authenticator app (RFC 6238).",
    )
    confirm_totp = mutation(
        people.confirm_totp,
        ConfirmTotpInput,
        DoneResult,
        DONE,
        description="From now on signing in asks for a code, too.",
    )
    remove_totp = mutation(
        people.remove_totp,
        RemoveTotpInput,
        DoneResult,
        DONE,
        description="Signing in no longer asks for a code, and recovery codes are good no more.",
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
