"""Who decides about charges: settings, external systems, questions and answers, and what came of every attempt."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.authorization.settings import Check
from domain.identity.people import people_by_ids
from domain.roles import (
    AuthenticationMode,
    AuthorizationDecision,
    CredentialType,
    Decider,
    ExternalMode,
    FailPolicy,
)
from domain.sessions import sessions_by_ids
from domain.views.authorization_views import AttemptRow, RequestRow, attempts_by_ids, requests_by_ids
from domain.views.charger_views import chargers_by_ids
from gql.context import Context
from gql.resolvers import authorization as resolvers
from gql.schema.commands import CommandResult, CommandSuccess, PersonInput
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, RateLimitedError, ValidationError
from gql.schema.fields import related, resolved
from gql.schema.mutations import DONE, Plain, Thing, made, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.people import DoneResult

if TYPE_CHECKING:
    from gql.schema.chargers import Charger
    from gql.schema.installations import Installation
    from gql.schema.people import User
    from gql.schema.sessions import ChargeSession


@strawberry.type(description="Whether a charge would be accepted, and why not.")
class ChargeVerdict:
    """Read from VerdictRow."""

    decision: AuthorizationDecision
    reason: str | None = strawberry.field(description="In words; null where nothing is to be said.")


@strawberry.type(
    description="How a system's answers of the last 30 days compare with the portal's own decisions, while its mode is SHADOW."
)
class ShadowReport:
    """Read from Shadow."""

    asked: int
    agreed: int
    would_have_refused: int = strawberry.field(description="What the portal accepted.")
    would_have_accepted: int = strawberry.field(description="What the portal refused.")
    unanswered: int = strawberry.field(description="No answer came in time.")


async def _shadow(root: Any, info: Info[Context, Any]) -> Any:
    return await resolvers.shadow(info.context, root)


async def _pending_count(root: Any) -> int:
    return (await resolvers.pending(root)).count


async def _oldest_pending_at(root: Any) -> datetime | None:
    return (await resolvers.pending(root)).oldest_at


async def _given_up_count(root: Any) -> int:
    return (await resolvers.given_up(root)).count


async def _first_given_up(root: Any) -> strawberry.ID | None:
    event_id = (await resolvers.given_up(root)).first_event_id
    return None if event_id is None else strawberry.ID(str(event_id))


async def _last_error(root: Any) -> str | None:
    return (await resolvers.pending(root)).error or (await resolvers.given_up(root)).error


@strawberry.type(
    description="Another company's system that has a say in who charges. Its secret is shown once, when it is made."
)
class ExternalAuthentication:
    """Read from ExternalRow."""

    mode: ExternalMode
    url: str | None = strawberry.field(description="Where signed calls go; null = it answers by subscription only.")
    timeout_seconds: float = strawberry.field(description="How long an answer is waited for, 1 to 15.")
    fail_policy: FailPolicy = strawberry.field(description="What holds when no answer comes in time.")
    shadow = resolved(_shadow, ShadowReport)
    pending_event_count = resolved(
        _pending_count, int, description="Events of charges that the system has not taken yet."
    )
    oldest_pending_event_at = resolved(
        _oldest_pending_at, datetime | None, description="When the first of them was made; null when none waits."
    )
    given_up_event_count = resolved(
        _given_up_count,
        int,
        description="Events of charges of the last 30 days that the system did not take in their 24 hours, or while it was gone or off.",
    )
    first_given_up_event_id = resolved(
        _first_given_up,
        strawberry.ID | None,
        description="The first of them: replaySessionEvents from it delivers them all, and what came after. Null when there is none.",
    )
    last_event_error = resolved(
        _last_error,
        str | None,
        description="Why the first event that waits was not taken, else why the last one was given up. Null when nothing is wrong.",
    )
    gone_at: datetime | None = strawberry.field(
        description="When the address answered 410 Gone to an event: none is sent there until the settings are written again, by "
        "configureExternalAuthentication; what happens meanwhile is kept, and can be replayed then. Null otherwise."
    )


@strawberry.type(description="How people identify themselves at a site.")
class AuthenticationSettings:
    """Read from AuthenticationRow."""

    is_required: bool = strawberry.field(description="Unless a charger says otherwise.")
    mode: AuthenticationMode = strawberry.field(description="EXTERNAL when external.mode is ENFORCE.")
    allows_concurrent: bool = strawberry.field(description="Whether one card may charge at two chargers at once.")
    external: ExternalAuthentication | None = strawberry.field(description="Null where nothing was ever set.")


@strawberry.type(
    description="The question to an external system about an attempt to charge, for service accounts with AUTHORIZE_CHARGING there only. "
    "`credential` is whole, as the charger read it, upper case and without separators."
)
class AuthorizationRequest(Node):
    """Read from RequestRow."""

    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] = related(
        chargers_by_ids, lambda row: row.charger_id
    )
    credential_type: CredentialType
    credential: str
    external_user_id: str | None = strawberry.field(
        description="Whose it is, by the asking service account's own id; null when it knows nobody by it."
    )
    requested_at: datetime
    expires_at: datetime = strawberry.field(description="Later answers are refused.")
    decision: AuthorizationDecision | None = strawberry.field(description="Null while it waits.")
    decided_by: Decider | None = strawberry.field(description="Null until it is decided.")
    reason: str | None = strawberry.field(description="In words; null until it is decided, or when none was given.")


@strawberry.type(
    description="What came of an attempt to charge, so that `why was I refused` has an answer. Seen by its person, OWNER of the "
    "installation, OWNER of the charger from the beginning of their grant, and READ_SESSIONS. Kept 90 days."
)
class AuthorizationAttempt(Node):
    """Read from AttemptRow."""

    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] | None = related(
        chargers_by_ids,
        lambda row: row.charger_id,
        description="Null when it is hidden by now.",
    )
    credential_type: CredentialType
    credential: str = strawberry.field(description="Shown with its middle masked; empty where none was presented.")
    user: Annotated["User", strawberry.lazy("gql.schema.people")] | None = related(
        people_by_ids,
        lambda row: row.user_id,
        description="Whose card or app it was; null when not known, or hidden.",
    )
    at: datetime
    decision: AuthorizationDecision | None = strawberry.field(
        description="Null while an external system is being asked."
    )
    decided_by: Decider | None = strawberry.field(description="Null until it is decided.")
    reason: str | None = strawberry.field(description="In words for people.")
    session: Annotated["ChargeSession", strawberry.lazy("gql.schema.sessions")] | None = related(
        sessions_by_ids, lambda row: row.session_id, description="What it led to."
    )


@strawberry.input(description="An absent field stays. For OWNER and ADMINISTRATOR.")
class SetAuthenticationInput:
    """Settings of a site."""

    installation_id: strawberry.ID
    is_required: bool | None = strawberry.UNSET
    allows_concurrent: bool | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="An absent field stays; a null url is taken away. The secret is made with the first url. rotateSecret: a new one, and the "
    "old one signs along for 24 hours. ENFORCE needs a pre-flight check that passes (PREFLIGHT_FAILED), unless forced."
)
class ConfigureExternalAuthenticationInput:
    """Settings of an external system."""

    installation_id: strawberry.ID
    mode: ExternalMode | None = strawberry.UNSET
    url: str | None = strawberry.UNSET
    timeout_seconds: float | None = strawberry.UNSET
    fail_policy: FailPolicy | None = strawberry.UNSET
    rotate_secret: bool = False
    force: bool = False
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="Without a url: the one that is set; without any, whether a program could answer.")
class TestExternalAuthenticationInput:
    """Which system is tried."""

    installation_id: strawberry.ID
    url: str | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="The first answer wins; a later one is a ConflictError (ALREADY_DECIDED). cacheForSeconds (to 2,592,000): the same "
    "credential is not asked about again at that installation. externalSessionId becomes the session's externalId."
)
class AnswerAuthorizationRequestInput:
    """An answer."""

    request_id: strawberry.ID
    decision: AuthorizationDecision
    reason: str | None = strawberry.UNSET
    external_user_id: str | None = strawberry.UNSET
    external_session_id: str | None = strawberry.UNSET
    cache_for_seconds: int = 0
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="validForSeconds: 10 to 3,600.")
class AuthorizeChargingInput:
    """For whom a charger is opened."""

    charger_id: strawberry.ID
    person: PersonInput
    external_session_id: str | None = strawberry.UNSET
    valid_for_seconds: int = 300
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="From this event on; its id is the `webhook-id` under which it came.")
class ReplaySessionEventsInput:
    """What is delivered again."""

    installation_id: strawberry.ID
    from_event_id: strawberry.ID
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The site as it is now.")
class AuthenticationSuccess:
    """Read anew."""

    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")]
    webhook_secret: str | None = strawberry.field(
        description="Of signed call-outs (`whsec_…`); shown once, when it was made or rotated, else null."
    )


@strawberry.type(description="One part of a pre-flight check.")
class PreflightCheck:
    """Read from Check."""

    name: str = strawberry.field(description="address, answer, signature, or subscriber.")
    is_passed: bool
    detail: str
    seconds: float | None = strawberry.field(description="How long it took; null where nothing was called.")


@strawberry.type(description="What the pre-flight check found. Nobody charges by it.")
class PreflightSuccess:
    """Made of checks."""

    is_passed: bool
    checks: list[PreflightCheck]


@strawberry.type(description="The question with its answer.")
class AuthorizationRequestSuccess:
    """Read anew."""

    request: AuthorizationRequest


AuthenticationResult = Annotated[
    AuthenticationSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("AuthenticationResult"),
]
PreflightResult = Annotated[
    PreflightSuccess | ValidationError | NotFoundError | NotAllowedError | RateLimitedError,
    strawberry.union("PreflightResult"),
]
AuthorizationRequestResult = Annotated[
    AuthorizationRequestSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("AuthorizationRequestResult"),
]
_SITE = Thing(AuthenticationSuccess, "installation", "Installation")


def _preflight(_given: Any, checks: list[Check]) -> PreflightSuccess:
    return made(PreflightSuccess, is_passed=all(check.is_passed for check in checks), checks=checks)


@strawberry.type
class AuthorizationMutations:
    """Settings, answers, and chargers opened for somebody."""

    set_authentication = mutation(
        resolvers.set_authentication,
        SetAuthenticationInput,
        AuthenticationResult,
        _SITE,
        description="Whether people identify themselves here, and whether one card may charge twice at once. For OWNER and ADMINISTRATOR.",
    )
    configure_external_authentication = mutation(
        resolvers.configure,
        ConfigureExternalAuthenticationInput,
        AuthenticationResult,
        _SITE,
        description="Lets another company's system have a say: SHADOW asks and compares, ENFORCE does as it says. For OWNER and "
        "ADMINISTRATOR. ADDRESS_REFUSED: calls do not go to private networks.",
    )
    test_external_authentication = mutation(
        resolvers.preflight,
        TestExternalAuthenticationInput,
        PreflightResult,
        Plain("Preflight", _preflight, kept=list[Check]),
        description="Tries the system with a question about a card of nobody (`isTest` in its data). For OWNER and ADMINISTRATOR.",
    )
    answer_authorization_request = mutation(
        resolvers.answer,
        AnswerAuthorizationRequestInput,
        AuthorizationRequestResult,
        Thing(AuthorizationRequestSuccess, "request", "AuthorizationRequest"),
        description="Answers an attempt to charge. For service accounts with AUTHORIZE_CHARGING there.",
    )
    authorize_charging = mutation(
        resolvers.authorize_charging,
        AuthorizeChargingInput,
        CommandResult,
        Thing(CommandSuccess, "command", "Command"),
        description="Opens a charger for a customer: the car that is there, or the next one in that time, charges on their account, once; "
        "no credential needed. For OWNER of the charger or the installation, and AUTHORIZE_CHARGING.",
    )
    replay_session_events = mutation(
        resolvers.replay,
        ReplaySessionEventsInput,
        DoneResult,
        DONE,
        description="Delivers events of charges again, in order, under the same ids. For OWNER, ADMINISTRATOR and AUTHORIZE_CHARGING.",
    )


NODES = (
    NodeKind(AuthorizationRequest, RequestRow, requests_by_ids),
    NodeKind(AuthorizationAttempt, AttemptRow, attempts_by_ids),
)
