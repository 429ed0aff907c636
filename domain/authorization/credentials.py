"""What is known of tokens, read for a decision: whose they are, what those people may, where they charge, what was asked about them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from domain import sql
from domain.authorization.decision import (
    SERVES_FOR,
    Credential,
    Credentials,
    Grant,
    Opening,
    Person,
    Standing,
    Use,
    normalised_card_number,
)
from domain.charging.live import padded, place_of
from domain.roles import (
    AuthorizationDecision,
    CommandAction,
    CredentialType,
    Decider,
    ExternalMode,
    Role,
    SessionState,
)


async def credentials_for(tokens: Iterable[str | None], *, now: datetime, are_asked: bool = True) -> Credentials:
    """What is known about these tokens, for verdicts at any charger.

    `are_asked` False: none of the chargers has an external system, so that questions to one need not be looked for.
    """
    numbers = sorted({normalised_card_number(token) for token in tokens if token})
    if not numbers:
        return Credentials()
    known = {**await _cards(numbers), **await _remote_starts(numbers)}
    return Credentials(
        known=known,
        grants=await _grants([one.person.user_id for one in known.values()]),
        in_use=await _in_use(numbers),
        standing=await _standing(numbers, now) if are_asked else {},
    )


async def permission_of(charger_id: UUID, user_id: UUID, *, now: datetime) -> tuple[AuthorizationDecision, str, bool]:
    """(the decision, its reason, whether the site's external system has the last word) for a person without a credential."""
    place = await place_of(charger_id)
    if place is None:
        return AuthorizationDecision.BLOCKED, "There is no such charger.", False
    if not place.is_usable:
        return AuthorizationDecision.BLOCKED, "This charger is out of use.", False
    if not place.authentication_required:
        return AuthorizationDecision.ACCEPTED, "Nobody has to identify themselves here.", False
    credentials = Credentials(grants=await _grants([user_id]))
    decision, reason = credentials.permitted(place, user_id, now)
    return decision, reason, place.external_mode is ExternalMode.ENFORCE


async def _cards(numbers: Sequence[str]) -> dict[str, Credential]:
    arguments: list[object] = []
    wanted = sql.any_of("c.number", numbers, arguments)
    found = await sql.rows(
        "SELECT c.id, c.number, c.name, c.is_blocked, u.id AS user_id, u.name AS user_name, u.is_active, u.erased_at,"  # noqa: S608
        " b.installation_id AS blocked_at FROM charge_cards c JOIN users u ON u.id = c.user_id"
        f" LEFT JOIN card_blocks b ON b.card_id = c.id WHERE {wanted}",
        *arguments,
    )
    blocks: dict[str, set[UUID]] = {}
    for row in found:
        if row["blocked_at"] is not None:
            blocks.setdefault(row["number"], set()).add(sql.uuid_of(row["blocked_at"]))
    return {
        row["number"]: Credential(
            kind=CredentialType.CARD,
            person=Person(sql.uuid_of(row["user_id"]), row["user_name"], sql.uuid_of(row["id"]), row["name"]),
            is_blocked=bool(row["is_blocked"]) or not row["is_active"] or row["erased_at"] is not None,
            blocked_at=frozenset(blocks.get(row["number"], ())),
        )
        for row in found
    }


async def _remote_starts(numbers: Sequence[str]) -> dict[str, Credential]:
    """Tokens that our own commands made up: each belongs to the person of its command and works at its charger only."""
    arguments: list[object] = [CommandAction.START, CommandAction.AUTHORIZE]
    wanted = sql.any_of("m.id_token", numbers, arguments)
    found = await sql.rows(
        "SELECT m.id, m.id_token, m.charger_id, m.action, m.deadline, m.finished_at, m.session_id, m.external_session_id,"  # noqa: S608
        " u.id AS user_id, u.name AS user_name, u.is_active, u.erased_at FROM commands m"
        " JOIN users u ON u.id = COALESCE(m.for_user_id, m.requested_by_id)"
        f" WHERE m.action IN ($1, $2) AND {wanted}",
        *arguments,
    )
    return {
        row["id_token"]: Credential(
            kind=CredentialType.APP if row["action"] == CommandAction.START else CredentialType.REMOTE,
            person=Person(sql.uuid_of(row["user_id"]), row["user_name"]),
            is_blocked=not row["is_active"] or row["erased_at"] is not None,
            charger_id=sql.uuid_of(row["charger_id"]),
            opening=_opening(row) if row["action"] == CommandAction.AUTHORIZE else None,
            external_session_id=row["external_session_id"],
        )
        for row in found
    }


def _opening(row: sql.Row) -> Opening:
    deadline, finished_at = sql.instant_of(row["deadline"]), sql.optional_instant_of(row["finished_at"])
    session_id = sql.optional_uuid_of(row["session_id"])
    return Opening(
        command_id=sql.uuid_of(row["id"]),
        until=deadline if finished_at is None else min(deadline, finished_at),
        is_spent=session_id is not None,
        session_id=session_id,
    )


async def _grants(user_ids: Sequence[UUID]) -> dict[UUID, list[Grant]]:
    """What lets these people charge, by themselves or through a group."""
    if not user_ids:
        return {}
    people = padded(user_ids)
    arguments: list[object] = [Role.USER, Role.OWNER]
    direct = sql.any_of("p.user_id", people, arguments)
    member = sql.any_of("m.user_id", people, arguments)
    columns = "p.installation_id, p.charger_id, p.valid_from, p.valid_to FROM permissions p"
    lasting = "p.role IN ($1, $2) AND p.revoked_at IS NULL"
    found = await sql.rows(
        f"SELECT p.user_id, {columns} WHERE {lasting} AND {direct} UNION ALL"
        f" SELECT m.user_id, {columns} JOIN group_members m ON m.group_id = p.group_id WHERE {lasting} AND {member}",
        *arguments,
    )
    grants: dict[UUID, list[Grant]] = {}
    for row in found:
        grant = Grant(
            installation_id=sql.uuid_of(row["installation_id"]),
            charger_id=sql.optional_uuid_of(row["charger_id"]),
            valid_from=sql.instant_of(row["valid_from"]),
            valid_to=sql.optional_instant_of(row["valid_to"]),
        )
        grants.setdefault(sql.uuid_of(row["user_id"]), []).append(grant)
    return grants


async def _in_use(numbers: Sequence[str]) -> dict[str, dict[UUID, Use]]:
    """Where these tokens charge right now; a session whose end is only awaited does not count, nor one that was denied."""
    arguments: list[object] = [SessionState.ACTIVE]
    wanted = sql.any_of("id_token", numbers, arguments)
    found = await sql.rows(
        "SELECT id, id_token, installation_id, station_id, charger_id FROM charge_sessions"  # noqa: S608
        # Not a plain IS NULL: SQLite would take that for the rarest of the three and read almost every row.
        f" WHERE state = $1 AND CASE WHEN inferred_end_due_at IS NULL THEN 1 ELSE 0 END = 1 AND {wanted}"
        " AND (authorized_at IS NOT NULL OR EXISTS (SELECT 1 FROM authorization_attempts a"
        " WHERE a.session_id = charge_sessions.id AND a.decision IS NULL))",
        *arguments,
    )
    uses: dict[str, dict[UUID, Use]] = {}
    for row in found:
        use = Use(
            sql.uuid_of(row["installation_id"]),
            sql.optional_uuid_of(row["station_id"]),
            sql.uuid_of(row["charger_id"]),
        )
        uses.setdefault(row["id_token"], {})[sql.uuid_of(row["id"])] = use
    return uses


async def _standing(numbers: Sequence[str], now: datetime) -> dict[str, list[Standing]]:
    """Questions about these tokens whose answers still serve, or are awaited. That of an app start serves as long as its command."""
    arguments: list[object] = [now, now - SERVES_FOR, CredentialType.APP, Decider.FAIL_POLICY]
    wanted = sql.any_of("r.token", numbers, arguments)
    found = await sql.rows(
        "SELECT r.id, r.token, r.installation_id, r.station_id, r.is_shadow, r.decision, r.decided_by, r.reason, r.requested_at,"  # noqa: S608
        " r.decided_at, r.expires_at, r.cache_until, r.external_session_id, r.user_id, r.credential_type, u.name AS user_name,"
        " (SELECT MAX(m.deadline) FROM commands m WHERE m.id_token = r.token) AS deadline,"
        " r.decided_by = $4 AND EXISTS (SELECT 1 FROM authorization_attempts a"
        " WHERE a.request_id = r.id AND a.session_id IS NOT NULL) AS has_begun"
        f" FROM authorization_requests r LEFT JOIN users u ON u.id = r.user_id WHERE {wanted} AND (r.decided_at > $2"
        " OR r.cache_until > $1 OR r.requested_at > $2 OR r.credential_type = $3) ORDER BY r.requested_at DESC, r.id DESC",
        *arguments,
    )
    standing: dict[str, list[Standing]] = {}
    for row in found:
        standing.setdefault(row["token"], []).append(_one_standing(row))
    return standing


def _one_standing(row: sql.Row) -> Standing:
    user_id = sql.optional_uuid_of(row["user_id"])
    decided_at = sql.optional_instant_of(row["decided_at"])
    serves_until = None if decided_at is None else decided_at + SERVES_FOR
    deadline = sql.optional_instant_of(row["deadline"])
    if serves_until is not None and deadline is not None:
        serves_until = max(serves_until, deadline + SERVES_FOR)
    return Standing(
        request_id=sql.uuid_of(row["id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        station_id=sql.optional_uuid_of(row["station_id"]),
        is_shadow=bool(row["is_shadow"]),
        decision=AuthorizationDecision(row["decision"]) if row["decision"] else None,
        decided_by=Decider(row["decided_by"]) if row["decided_by"] else None,
        reason=row["reason"],
        external_session_id=row["external_session_id"],
        person=None if user_id is None else Person(user_id, row["user_name"]),
        requested_at=sql.instant_of(row["requested_at"]),
        expires_at=sql.instant_of(row["expires_at"]),
        serves_until=serves_until,
        cache_until=sql.optional_instant_of(row["cache_until"]),
        has_begun=bool(row["has_begun"]),
    )
