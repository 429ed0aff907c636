"""Attempts to charge and questions about them, as one caller sees them, and who may charge at a charger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import GRANTERS, Access
from domain.authorization.credentials import permission_of
from domain.identification.cards import masked
from domain.identity.people import PersonRow, people_by_ids
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.roles import AuthorizationDecision, CredentialType, Decider, ExternalMode, Role

_SHORTEST_MASKED = 6
"""A shorter credential would be told by its ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """What came of an attempt to charge; `credential` is masked, `decision` None while it is still being asked about."""

    id: UUID
    charger_id: UUID
    credential_type: CredentialType
    credential: str
    user_id: UUID | None
    at: datetime
    decision: AuthorizationDecision | None
    decided_by: Decider | None
    reason: str | None
    session_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """A question to an external system, with the whole credential; `external_user_id` is the asking program's own."""

    id: UUID
    installation_id: UUID
    charger_id: UUID
    credential_type: CredentialType
    credential: str
    external_user_id: str | None
    requested_at: datetime
    expires_at: datetime
    decision: AuthorizationDecision | None
    decided_by: Decider | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """Whether a charge would be accepted."""

    decision: AuthorizationDecision
    reason: str | None


_ATTEMPT = (
    "a.id, a.charger_id, a.credential_type, a.token, a.user_id, a.at, a.decision, a.decided_by, a.reason, a.session_id"
)
_NEWEST_FIRST = (
    SortKey("a.at", "at", KeyKind.INSTANT, is_descending=True),
    SortKey("a.id", "id", KeyKind.ID, is_descending=True),
)


async def attempts_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, AttemptRow]:
    """The attempts among `ids` that exist for this caller, by id."""
    arguments: list[object] = []
    condition = f"{sql.any_of('a.id', list(ids), arguments)} AND {access.attempts_condition('a', arguments)}"
    rows = await sql.rows(f"SELECT {_ATTEMPT} FROM authorization_attempts a WHERE {condition}", *arguments)  # noqa: S608
    return {row.id: row for row in map(_attempt, rows)}


async def attempts_page(
    access: Access, request: PageRequest, *, installation_id: UUID | None = None, charger_id: UUID | None = None
) -> Page[AttemptRow]:
    """One page of the attempts at an installation or a charger that exist for this caller, newest first."""
    if access.actor is None:
        return empty_page()
    arguments: list[object] = [installation_id if charger_id is None else charger_id]
    place = "a.installation_id = $1" if charger_id is None else "a.charger_id = $1"
    found = keyset(_NEWEST_FIRST, request, arguments)
    visible = access.attempts_condition("a", arguments)
    rows = await sql.rows(
        f"SELECT {_ATTEMPT} FROM authorization_attempts a WHERE {place} AND {visible} AND {found.where}"  # noqa: S608
        f" ORDER BY {found.order_by} LIMIT {found.limit}",
        *arguments,
    )
    return page_of(rows, found, request, _attempt)


def _attempt(row: Mapping[str, Any]) -> AttemptRow:
    return AttemptRow(
        id=sql.uuid_of(row["id"]),
        charger_id=sql.uuid_of(row["charger_id"]),
        credential_type=CredentialType(row["credential_type"]),
        credential=_shown(row["token"]),
        user_id=sql.optional_uuid_of(row["user_id"]),
        at=sql.instant_of(row["at"]),
        decision=AuthorizationDecision(row["decision"]) if row["decision"] else None,
        decided_by=Decider(row["decided_by"]) if row["decided_by"] else None,
        reason=row["reason"],
        session_id=sql.optional_uuid_of(row["session_id"]),
    )


def _shown(token: str | None) -> str:
    if token is None:
        return ""
    return masked(token) if len(token) >= _SHORTEST_MASKED else "…"


async def requests_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, RequestRow]:
    """The questions among `ids` that this program is asked, by id."""
    arguments: list[object] = []
    condition = sql.any_of("r.id", list(ids), arguments)
    return {row.id: row for row in await _requests(access, condition, arguments)}


async def waiting_requests(access: Access, installation_ids: Sequence[UUID]) -> Sequence[RequestRow]:
    """The questions of these installations that this program is asked and nobody has answered yet, oldest first."""
    arguments: list[object] = [access.now]
    places = sql.any_of("r.installation_id", list(installation_ids), arguments)
    condition = f"r.decision IS NULL AND r.expires_at > $1 AND {places}"
    return await _requests(access, condition, arguments)


async def _requests(access: Access, condition: str, arguments: list[object]) -> Sequence[RequestRow]:
    if access.service_account_id is None:
        return ()
    asked = access.asked_condition("r", arguments)
    arguments.append(access.service_account_id)
    known = (
        "SELECT x.external_id FROM external_users x"  # noqa: S608
        f" WHERE x.user_id = r.user_id AND x.account_id = ${len(arguments)} ORDER BY x.id LIMIT 1"
    )
    rows = await sql.rows(
        f"SELECT r.*, ({known}) AS known_as FROM authorization_requests r WHERE {condition} AND {asked}"  # noqa: S608
        " ORDER BY r.requested_at, r.id",
        *arguments,
    )
    return [_request(row) for row in rows]


def _request(row: Mapping[str, Any]) -> RequestRow:
    return RequestRow(
        id=sql.uuid_of(row["id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        charger_id=sql.uuid_of(row["charger_id"]),
        credential_type=CredentialType(row["credential_type"]),
        credential=row["token"],
        external_user_id=row["known_as"],
        requested_at=sql.instant_of(row["requested_at"]),
        expires_at=sql.instant_of(row["expires_at"]),
        decision=AuthorizationDecision(row["decision"]) if row["decision"] else None,
        decided_by=Decider(row["decided_by"]) if row["decided_by"] else None,
        reason=row["reason"],
    )


_FOR_PEOPLE = VerdictRow(AuthorizationDecision.BLOCKED, "This is for people; a service account does not charge.")


async def verdict_for(access: Access, charger_id: UUID, *, at: datetime) -> VerdictRow:
    """Whether a charge that this person starts at that instant would be accepted, and why not."""
    if access.user_id is None:
        return _FOR_PEOPLE
    decision, reason, is_asked = await permission_of(charger_id, access.user_id, now=at)
    if is_asked:
        reason = f"The site's own system decides when the charge begins. Without it: {reason}"
    return VerdictRow(decision, reason)


_WHO = f"""
SELECT DISTINCT u.id, {{name}} AS sort_name FROM chargers c
JOIN permissions p ON p.installation_id = c.installation_id AND (p.charger_id IS NULL OR p.charger_id = c.id)
LEFT JOIN group_members m ON m.group_id = p.group_id
JOIN users u ON u.id = COALESCE(p.user_id, m.user_id)
LEFT JOIN external_authentications x ON x.installation_id = c.installation_id
WHERE c.id = $1 AND c.removed_at IS NULL AND p.role IN ('{Role.USER}', '{Role.OWNER}') AND p.revoked_at IS NULL
  AND p.valid_from <= $2 AND (p.valid_to IS NULL OR p.valid_to > $2) AND u.is_active AND u.erased_at IS NULL
  AND {{visible}} AND (COALESCE(x.mode, '{ExternalMode.OFF}') <> '{ExternalMode.ENFORCE}'
    OR p.granted_by_id IN (SELECT id FROM service_accounts))
"""  # noqa: S608  enums' values
_BY_NAME = (SortKey("w.sort_name", "sort_name"), SortKey("w.id", "id", KeyKind.ID))


async def who_can_charge(
    access: Access, charger_id: UUID, installation_id: UUID, request: PageRequest, *, at: datetime
) -> Page[PersonRow]:
    """One page of the people who may charge there at that instant, by name; for who decides about that, nobody for all others.

    Where an external system decides: those whom it has pushed.
    """
    deciders = GRANTERS | {Role.ADMINISTRATOR}
    if not access.require(access.roles_at_charger(charger_id, installation_id), deciders):
        return empty_page()
    arguments: list[object] = [charger_id, at]
    # An owner of one charger knows the people of that charger only, not those of the whole site.
    who = _WHO.format(name=sql.folded("u.name"), visible=access.user_contacts_condition("u", arguments))
    counted = list(arguments)
    found = keyset(_BY_NAME, request, arguments)
    rows = await sql.rows(
        f"SELECT w.* FROM ({who}) w WHERE {found.where} ORDER BY {found.order_by} LIMIT {found.limit}",  # noqa: S608
        *arguments,
    )
    people = await people_by_ids(access, [sql.uuid_of(row["id"]) for row in rows])

    async def count() -> int:
        return int((await sql.rows(f"SELECT COUNT(*) AS number FROM ({who}) w", *counted))[0]["number"])  # noqa: S608

    known = [row for row in rows if sql.uuid_of(row["id"]) in people]
    return page_of(known, found, request, lambda row: people[sql.uuid_of(row["id"])], count=count)
