"""Service accounts: programs of other companies, with scopes at installations, and the tokens by which they come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import SITE_RULERS, Access, scopes_of
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError, Path
from domain.events import ProgramChanged
from domain.identity.callers import API_TOKEN_MARK
from domain.ids import new_id
from domain.membership.permission_book import own_at
from domain.models import ApiToken, ExternalUser, ServiceAccount, ServiceAccountInstallation
from domain.ports import EventBus, Tokens
from domain.roles import Scope

MOST_ACCOUNTS = 100
"""Of one installation: a list of them is shown whole."""
MOST_PLACES = 100
"""Installations of one account."""
MOST_TOKENS = 50
"""Of one account at once: neither revoked nor expired. Two are enough to change one without a gap."""
_PREFIX_LENGTH = 11
"""Hexadecimal digits; with the mark before them as many as `ApiToken.prefix` holds."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token with its secret, which is shown here and never again."""

    id: UUID
    secret: str


async def create_service_account(
    access: Access, *, name: str, installation_ids: Sequence[UUID], scopes: Sequence[Scope]
) -> UUID:
    """A new account with these scopes at these installations, and no token yet.

    NotFoundError when any of the installations is hidden, NotAllowedError when any is not ruled by who asks, ConflictError
    (LIMIT_EXCEEDED) when one of them has a hundred accounts. The account belongs to the installations, not to who made it.
    """
    access.signed_in()
    places = sorted(set(installation_ids))
    problems = Problems()
    name = problems.text("name", name)
    if not 1 <= len(places) <= MOST_PLACES:
        problems.add("installationIds", f"Name 1 to {MOST_PLACES} installations.")
    if not scopes:
        problems.add("scopes", "Name at least one scope.")
    problems.raise_any()
    await _require_ruled(access, places)
    account = ServiceAccount(
        id=new_id(), name=name, scopes=_stored(scopes), created_by_id=access.user_id, created_at=access.now
    )
    async with in_transaction():
        for place in places:  # in order, so that two who make accounts at the same sites do not wait for each other
            await sql.rows(f"SELECT id FROM installations WHERE id = $1{sql.for_update()}", place)  # noqa: S608
            if await ServiceAccountInstallation.filter(installation_id=place).count() >= MOST_ACCOUNTS:
                message = f"An installation has at most {MOST_ACCOUNTS} service accounts."
                raise ConflictError(message, code=ErrorCode.LIMIT_EXCEEDED, path=("installationIds",))
        await account.save(force_create=True)
        for place in places:
            await ServiceAccountInstallation.create(account_id=account.id, installation_id=place)
        after = {"name": name, "scopes": account.scopes}
        await _audit(access, "serviceAccount.create", "ServiceAccount", account.id, places, after=after)
    return account.id


async def create_api_token(
    access: Access,
    account_id: UUID,
    *,
    name: str,
    scopes: Sequence[Scope] | None = None,
    expires_at: datetime | None = None,
    tokens: Tokens,
) -> IssuedToken:
    """A new token of the account; `scopes` None: all that the account has.

    NotFoundError for a hidden account, NotAllowedError for one that is not managed by who asks, ConflictError
    (LIMIT_EXCEEDED) when it has fifty tokens in use.
    """
    access.signed_in()
    account, places = await _managed(access, account_id, ("serviceAccountId",))
    problems = Problems()
    name = problems.text("name", name)
    if scopes is not None and not scopes:
        problems.add("scopes", "Name at least one scope, or leave this out for all of the account's.")
    if not set(scopes or ()) <= scopes_of(account.scopes):
        problems.add("scopes", f"The account itself has only these: {account.scopes.replace(',', ', ')}.")
    if expires_at is not None:
        problems.aware("expiresAt", expires_at)
    problems.raise_any()
    if expires_at is not None and expires_at <= access.now:
        problems.add("expiresAt", "This is over already; name an instant in the future.")
    last = await _last_own(access, places)
    if last is not None and (expires_at is None or expires_at > last):
        problems.add("expiresAt", f"Your own right there ends at {last.isoformat()}: make one that ends no later.")
    problems.raise_any()
    secret, prefix = _secret(tokens)
    token = ApiToken(
        id=new_id(),
        account_id=account_id,
        name=name,
        prefix=prefix,
        digest=tokens.digest(secret),
        scopes=None if scopes is None else _stored(scopes),
        created_by_id=access.user_id,
        created_at=access.now,
        expires_at=expires_at,
    )
    async with in_transaction():
        await sql.rows(f"SELECT id FROM service_accounts WHERE id = $1{sql.for_update()}", account_id)  # noqa: S608
        if await _in_use(account_id, access.now) >= MOST_TOKENS:
            message = f"A service account has at most {MOST_TOKENS} tokens in use; revoke one first."
            raise ConflictError(message, code=ErrorCode.LIMIT_EXCEEDED, path=("serviceAccountId",))
        await token.save(force_create=True)
        after = {"name": name, "prefix": prefix, "scopes": token.scopes or account.scopes, "expiresAt": expires_at}
        await _audit(access, "apiToken.create", "ApiToken", token.id, places, after=after)
    return IssuedToken(token.id, secret)


async def revoke_api_token(access: Access, token_id: UUID, *, bus: EventBus) -> UUID:
    """The token is over at once: requests with it are UNAUTHENTICATED, its sockets close. One that was over stays as it is.

    NotFoundError for a token of a hidden account, NotAllowedError for one of an account that is not managed by who asks.
    """
    access.signed_in()
    path: Path = ("apiTokenId",)
    found = await ApiToken.get_or_none(id=token_id)
    if found is None:
        raise NotFoundError(path=path)
    _account, places = await _managed(access, found.account_id, path)
    async with in_transaction():
        token = await ApiToken.select_for_update().get(id=token_id)
        if token.revoked_at is not None:
            return token.id
        token.revoked_at, token.revoked_by_id = access.now, access.user_id
        await token.save(update_fields=["revoked_at", "revoked_by_id"])
        before, after = {"revokedAt": None, "prefix": token.prefix}, {"revokedAt": access.now, "prefix": token.prefix}
        await _audit(access, "apiToken.revoke", "ApiToken", token.id, places, before=before, after=after)
    await bus.publish(ProgramChanged(service_account_id=token.account_id))
    return token.id


async def remove_service_account(access: Access, account_id: UUID, *, bus: EventBus) -> None:
    """The program has no more access to the installations that whoever asks rules; with none left its tokens are over, too.

    Anyone who rules one of them may. What the program granted stays, as what an owner granted does.
    """
    access.signed_in()
    path: Path = ("id",)
    async with in_transaction():
        await sql.rows(f"SELECT id FROM service_accounts WHERE id = $1{sql.for_update()}", account_id)  # noqa: S608
        account, places = await _seen(access, account_id, path)
        ruled = [place for place in places if access.require(access.roles_at(place), SITE_RULERS)]
        if not places:
            raise NotFoundError(path=path)
        if not ruled:
            raise NotAllowedError("This takes an owner of an installation of the service account.", path=path)
        await ServiceAccountInstallation.filter(account_id=account_id, installation_id__in=ruled).delete()
        if ruled == places:
            over = {"revoked_at": access.now, "revoked_by_id": access.user_id}
            await ApiToken.filter(account_id=account_id, revoked_at=None).update(**over)
            await ExternalUser.filter(account_id=account_id).delete()
        before = {"name": account.name, "scopes": account.scopes}
        await _audit(access, "serviceAccount.remove", "ServiceAccount", account_id, ruled, before=before)
    await bus.publish(ProgramChanged(service_account_id=account_id))


async def _require_ruled(access: Access, places: Sequence[UUID]) -> None:
    path: Path = ("installationIds",)
    arguments: list[object] = []
    wanted = sql.any_of("i.id", places, arguments)
    visible = access.installations_condition("i", arguments)
    seen = await sql.row(f"SELECT COUNT(*) AS number FROM installations i WHERE {wanted} AND {visible}", *arguments)  # noqa: S608
    if seen is None or seen["number"] != len(places):
        raise NotFoundError(path=path)
    for place in places:
        access.manage_installation(place, SITE_RULERS, path=path)


async def _managed(access: Access, account_id: UUID, path: Path) -> tuple[ServiceAccount, list[UUID]]:
    """The account, which whoever asks manages, and its installations: who rules one of many sees it, but makes no tokens."""
    account, places = await _seen(access, account_id, path)
    is_ruled = bool(places) and all(access.require(access.roles_at(place), SITE_RULERS) for place in places)
    if not (is_ruled or access.is_administrator):
        message = "This takes an owner of every installation of the service account, or an administrator."
        raise NotAllowedError(message, path=path)
    return account, places


async def _seen(access: Access, account_id: UUID, path: Path) -> tuple[ServiceAccount, list[UUID]]:
    arguments: list[object] = [account_id]
    visible = access.service_accounts_condition("a", arguments)
    if await sql.row(f"SELECT 1 AS found FROM service_accounts a WHERE a.id = $1 AND {visible}", *arguments) is None:  # noqa: S608
        raise NotFoundError(path=path)
    places = [row.installation_id for row in await ServiceAccountInstallation.filter(account_id=account_id)]
    return await ServiceAccount.get(id=account_id), sorted(places)


async def _last_own(access: Access, places: Sequence[UUID]) -> datetime | None:
    """When the first of these installations is no longer owned by the person who asks; None for never, and for administrators.

    Nobody gives for longer than they hold, to a program no more than to a person.
    """
    if access.user_id is None or access.is_administrator:
        return None
    ends = [(await own_at(access.user_id, place, access.now)).end() for place in places]
    return min((end for end in ends if end is not None), default=None)


async def _in_use(account_id: UUID, now: datetime) -> int:
    found = await sql.row(
        "SELECT COUNT(*) AS number FROM api_tokens WHERE account_id = $1 AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > $2)",
        account_id,
        now,
    )
    return int(found["number"]) if found else 0


def _secret(tokens: Tokens) -> tuple[str, str]:
    """(a new secret, its prefix): whoever finds the secret in a log or a repository can tell which token to revoke."""
    prefix = API_TOKEN_MARK + tokens.opaque().digest[:_PREFIX_LENGTH]
    return f"{prefix}_{tokens.opaque().token}", prefix


def _stored(scopes: Sequence[Scope]) -> str:
    return ",".join(scope.value for scope in Scope if scope in scopes)


async def _audit(
    access: Access,
    action: str,
    object_type: str,
    identity: UUID,
    places: Sequence[UUID],
    *,
    before: audit.State | None = None,
    after: audit.State | None = None,
) -> None:
    """In the log of every installation that it concerns; of an account that has none any more, in nobody's."""
    for place in places or (None,):
        await audit.record(access, action, object_type, identity, installation_id=place, before=before, after=after)
