"""Service accounts and their tokens: shown, made and revoked."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.identity import service_accounts
from domain.roles import Scope, Unset
from domain.views.installation_views import InstallationRow, installations_by_ids
from domain.views.service_account_views import (
    ApiTokenRow,
    ServiceAccountRow,
    api_tokens_of_accounts,
    service_accounts_of_installations,
)
from gql import ids
from gql.context import Context
from gql.made import Made


async def installations_of(context: Context, row: ServiceAccountRow) -> Sequence[InstallationRow]:
    """Where the program has its scopes, as far as the viewer may know, by name."""
    found = await asyncio.gather(*(context.load(installations_by_ids, one) for one in row.installation_ids))
    return sorted((site for site in found if site is not None), key=lambda site: (site.name.casefold(), site.id))


async def tokens_of(context: Context, row: ServiceAccountRow) -> Sequence[ApiTokenRow]:
    """The program's tokens."""
    return await context.load(api_tokens_of_accounts, row.id) or ()


async def accounts_of(context: Context, row: InstallationRow) -> Sequence[ServiceAccountRow]:
    """The programs at a site, for who rules it."""
    return await context.load(service_accounts_of_installations, row.id) or ()


async def create_service_account(
    context: Context, *, name: str, installation_ids: Sequence[str], scopes: Sequence[Scope]
) -> UUID:
    """The account."""
    places = [ids.uuid_of(one, "Installation", at="installationIds") for one in installation_ids]
    return await service_accounts.create_service_account(
        context.access, name=name, installation_ids=places, scopes=scopes
    )


async def create_api_token(
    context: Context,
    *,
    service_account_id: str,
    name: str,
    scopes: list[Scope] | Unset | None,
    expires_at: datetime | Unset | None,
) -> Made:
    """The token and its secret."""
    issued = await service_accounts.create_api_token(
        context.access,
        ids.uuid_of(service_account_id, "ServiceAccount", at="serviceAccountId"),
        name=name,
        scopes=None if isinstance(scopes, Unset) else scopes,
        expires_at=None if isinstance(expires_at, Unset) else expires_at,
        tokens=context.ports.tokens,
    )
    return Made(issued.id, {"secret": issued.secret})


async def revoke_api_token(context: Context, *, api_token_id: str) -> UUID:
    """The token, now over."""
    identity = ids.uuid_of(api_token_id, "ApiToken", at="apiTokenId")
    return await service_accounts.revoke_api_token(context.access, identity, bus=context.ports.bus)


async def remove_service_account(context: Context, *, id: str) -> None:
    """The program is gone from the viewer's installations."""
    account = ids.uuid_of(id, "ServiceAccount", at="id")
    await service_accounts.remove_service_account(context.access, account, bus=context.ports.bus)
