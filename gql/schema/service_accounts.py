"""Service accounts, and the tokens by which programs come."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.roles import Scope
from domain.views.installation_views import InstallationRow
from domain.views.service_account_views import (
    ApiTokenRow,
    ServiceAccountRow,
    api_tokens_by_ids,
    service_accounts_by_ids,
)
from gql.context import Context
from gql.resolvers import service_accounts as resolvers
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import resolved
from gql.schema.mutations import REMOVED, Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.removal import RemoveInput, RemoveResult

if TYPE_CHECKING:
    from gql.schema.installations import Installation


async def _installations(root: Any, info: Info[Context, Any]) -> list[InstallationRow]:
    return list(await resolvers.installations_of(info.context, root))


async def _api_tokens(root: Any, info: Info[Context, Any]) -> list[ApiTokenRow]:
    return list(await resolvers.tokens_of(info.context, root))


@strawberry.type(
    description="A secret by which a program comes: `Authorization: Bearer lade_…`. Only its digest is kept; `prefix` tells which it is."
)
class ApiToken(Node):
    """Read from ApiTokenRow."""

    name: str
    prefix: str = strawberry.field(description="How the secret begins.")
    scopes: list[Scope] = strawberry.field(description="What it is good for: those that the service account has, too.")
    created_at: datetime
    expires_at: datetime | None = strawberry.field(description="Null = never.")
    last_used_at: datetime | None = strawberry.field(description="To the minute; null = never.")
    revoked_at: datetime | None = strawberry.field(description="Null while it was not revoked.")


@strawberry.type(
    description="A program that comes by API tokens, with its scopes at its installations. Seen by OWNER of one of them, by "
    "ADMINISTRATOR and by itself; changed by who is OWNER of all of them, and ADMINISTRATOR; each OWNER can remove it from theirs. "
    "It belongs to the installations, and stays when who made it goes."
)
class ServiceAccount(Node):
    """Read from ServiceAccountRow."""

    name: str
    scopes: list[Scope]
    installations = resolved(
        _installations,
        list[Annotated["Installation", strawberry.lazy("gql.schema.installations")]],
        description="By name; of those where the viewer is OWNER, for itself and ADMINISTRATOR all.",
    )
    api_tokens = resolved(
        _api_tokens,
        list[ApiToken],
        description="In use first, the newest first; at most 100. The secrets are not among it.",
    )
    created_at: datetime


@strawberry.input(
    description="Scopes are held at each of the installations, of which the viewer is OWNER (or ADMINISTRATOR)."
)
class CreateServiceAccountInput:
    """A program."""

    name: str
    installation_ids: list[strawberry.ID]
    scopes: list[Scope]
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="Null scopes = all of the service account's; null expiresAt = never.")
class CreateApiTokenInput:
    """A secret for a program."""

    service_account_id: strawberry.ID
    name: str
    scopes: list[Scope] | None = strawberry.UNSET
    expires_at: datetime | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="Which secret ends.")
class RevokeApiTokenInput:
    """At once."""

    api_token_id: strawberry.ID
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The service account as it is now.")
class ServiceAccountSuccess:
    """Read anew."""

    service_account: ServiceAccount


@strawberry.type(description="The token as it is now.")
class ApiTokenSuccess:
    """Read anew, with the secret of a new one."""

    api_token: ApiToken
    secret: str | None = strawberry.field(
        description="Shown once: null when the call is repeated with its key, or revokes."
    )


ServiceAccountResult = Annotated[
    ServiceAccountSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("ServiceAccountResult"),
]
ApiTokenResult = Annotated[
    ApiTokenSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("ApiTokenResult"),
]
_TOKEN = Thing(ApiTokenSuccess, "api_token", "ApiToken")


@strawberry.type
class ServiceAccountMutations:
    """Programs and their secrets."""

    create_service_account = mutation(
        resolvers.create_service_account,
        CreateServiceAccountInput,
        ServiceAccountResult,
        Thing(ServiceAccountSuccess, "service_account", "ServiceAccount"),
        description="Makes an account for a program, still without a token. An installation has at most 100.",
    )
    create_api_token = mutation(
        resolvers.create_api_token,
        CreateApiTokenInput,
        ApiTokenResult,
        _TOKEN,
        description="Makes a token and shows its secret, this once. An account has at most 50 in use, so that one can be changed "
        "for another without a gap.",
    )
    revoke_api_token = mutation(
        resolvers.revoke_api_token,
        RevokeApiTokenInput,
        ApiTokenResult,
        _TOKEN,
        description="Ends a token at once: requests with it are UNAUTHENTICATED, its WebSockets close with 4403.",
    )
    remove_service_account = mutation(
        resolvers.remove_service_account,
        RemoveInput,
        RemoveResult,
        REMOVED,
        description="Ends a program's access to the installations of which the viewer is OWNER (ADMINISTRATOR: to all). With none left, "
        "its tokens are over too. What it granted stays.",
    )


NODES = (
    NodeKind(ServiceAccount, ServiceAccountRow, service_accounts_by_ids),
    NodeKind(ApiToken, ApiTokenRow, api_tokens_by_ids),
)
