"""Service accounts and their tokens as one caller sees them: those of the installations that a person rules, and a program its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access, scopes_of
from domain.identity.service_accounts import MOST_ACCOUNTS
from domain.roles import Scope

MOST_TOKENS_SHOWN = 100
"""Of one account: all in use, then the newest of those that are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountRow:
    """A program. `installation_ids` are those where the viewer may know of it."""

    id: UUID
    name: str
    scopes: Sequence[Scope]
    installation_ids: Sequence[UUID]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiTokenRow:
    """A token, without its secret. `scopes` are those that it and its account have."""

    id: UUID
    name: str
    prefix: str
    scopes: Sequence[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


_ACCOUNT = "a.id, a.name, a.scopes, a.created_at"


async def service_accounts_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, ServiceAccountRow]:
    """The accounts among `ids` that exist for this caller, by id."""
    arguments: list[object] = []
    wanted = sql.any_of("a.id", list(ids), arguments)
    visible = access.service_accounts_condition("a", arguments)
    found = await sql.rows(f"SELECT {_ACCOUNT} FROM service_accounts a WHERE {wanted} AND {visible}", *arguments)  # noqa: S608
    return await _accounts(access, found)


async def service_accounts_of_installations(
    access: Access, ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[ServiceAccountRow]]:
    """The accounts at each installation that this person rules, by name."""
    arguments: list[object] = []
    wanted = sql.any_of("p.installation_id", list(ids), arguments)
    ruled = access.ruled_condition("p.installation_id", arguments)
    statement = (
        f"SELECT {_ACCOUNT}, p.installation_id FROM service_accounts a"  # noqa: S608
        " JOIN service_account_installations p ON p.account_id = a.id"
        f" WHERE {wanted} AND {ruled} ORDER BY {sql.folded('a.name')}, a.id"
    )
    found = await sql.rows(statement, *arguments)
    accounts = await _accounts(access, found)
    shown: dict[UUID, list[ServiceAccountRow]] = {}
    for row in found:
        here = shown.setdefault(sql.uuid_of(row["installation_id"]), [])
        if len(here) < MOST_ACCOUNTS:
            here.append(accounts[sql.uuid_of(row["id"])])
    return shown


async def _accounts(access: Access, found: Sequence[Mapping[str, Any]]) -> Mapping[UUID, ServiceAccountRow]:
    ids = list({sql.uuid_of(row["id"]) for row in found})
    arguments: list[object] = []
    wanted = sql.any_of("p.account_id", ids, arguments)
    shown = access.service_places_condition("p", arguments)
    places: dict[UUID, list[UUID]] = {}
    statement = (
        f"SELECT p.account_id, p.installation_id FROM service_account_installations p WHERE {wanted} AND {shown}"  # noqa: S608
    )
    for row in await sql.rows(statement, *arguments):
        places.setdefault(sql.uuid_of(row["account_id"]), []).append(sql.uuid_of(row["installation_id"]))
    return {
        identity: ServiceAccountRow(
            id=identity,
            name=row["name"],
            scopes=_in_order(scopes_of(row["scopes"])),
            installation_ids=places.get(identity, ()),
            created_at=sql.instant_of(row["created_at"]),
        )
        for identity, row in ((sql.uuid_of(row["id"]), row) for row in found)
    }


def _seen_tokens(access: Access, arguments: list[object]) -> str:
    arguments.append(access.now)
    is_over = f"t.revoked_at IS NOT NULL OR (t.expires_at IS NOT NULL AND t.expires_at <= ${len(arguments)})"
    return (
        "SELECT t.*, a.scopes AS account_scopes, ROW_NUMBER() OVER (PARTITION BY t.account_id"  # noqa: S608
        f" ORDER BY CASE WHEN {is_over} THEN 1 ELSE 0 END, t.created_at DESC, t.id DESC) AS place"
        " FROM api_tokens t JOIN service_accounts a ON a.id = t.account_id"
        f" WHERE {access.service_accounts_condition('a', arguments)}"
    )


async def api_tokens_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, ApiTokenRow]:
    """The tokens among `ids` that exist for this caller, by id."""
    arguments: list[object] = []
    seen = _seen_tokens(access, arguments)
    wanted = sql.any_of("t.id", list(ids), arguments)
    found = await sql.rows(f"SELECT t.* FROM ({seen} AND {wanted}) t", *arguments)  # noqa: S608
    return {row.id: row for row in map(_token, found)}


async def api_tokens_of_accounts(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[ApiTokenRow]]:
    """The tokens of each account that exists for this caller: those in use first, the newest first."""
    arguments: list[object] = []
    seen = _seen_tokens(access, arguments)
    wanted = sql.any_of("t.account_id", list(ids), arguments)
    statement = f"SELECT t.* FROM ({seen} AND {wanted}) t WHERE t.place <= {MOST_TOKENS_SHOWN} ORDER BY t.place"  # noqa: S608
    shown: dict[UUID, list[ApiTokenRow]] = {}
    for row in await sql.rows(statement, *arguments):
        shown.setdefault(sql.uuid_of(row["account_id"]), []).append(_token(row))
    return shown


def _token(row: Mapping[str, Any]) -> ApiTokenRow:
    scopes = scopes_of(row["account_scopes"])
    if row["scopes"] is not None:
        scopes &= scopes_of(row["scopes"])
    return ApiTokenRow(
        id=sql.uuid_of(row["id"]),
        name=row["name"],
        prefix=row["prefix"],
        scopes=_in_order(scopes),
        created_at=sql.instant_of(row["created_at"]),
        expires_at=sql.optional_instant_of(row["expires_at"]),
        last_used_at=sql.optional_instant_of(row["last_used_at"]),
        revoked_at=sql.optional_instant_of(row["revoked_at"]),
    )


def _in_order(scopes: frozenset[Scope]) -> list[Scope]:
    return [scope for scope in Scope if scope in scopes]
