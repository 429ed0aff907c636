"""Local authorization lists: which cards each station may take while it is off the net, and what it holds (domain.md §3). Machines only.

A station has one list for all its connectors, so that a card is in it only if it may charge at each of them. Where an external system
decides, the list holds what that system pushed and what it accepted for a time that is not over (domain.md §4).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import sql
from domain.identification.local_list_rules import Entries, Held, Span, Wanted, listed
from domain.models import LocalList
from domain.roles import AuthorizationDecision, CredentialType, ExternalMode, Role


class OutdatedError(Exception):
    """A newer connection of the station keeps its list by now."""


LONGEST_NUMBER = 20
"""Longer ones are no idTag (OCPP 1.6 CiString20Type)."""


async def wanted(station_id: UUID, *, most: int | None, now: datetime) -> Wanted:
    """What that station's list should hold, at most `most` entries: then those who charged there last come first."""
    chargers = await sql.rows(_CHARGERS, station_id)
    by_site: dict[UUID, list[UUID]] = {}
    for row in chargers:
        by_site.setdefault(sql.uuid_of(row["installation_id"]), []).append(sql.uuid_of(row["id"]))
    # When a connector is out of use, or they stand at two sites, the list is for none: less is safe.
    if len(by_site) != 1 or not all(row["is_enabled"] and row["is_active"] for row in chargers):
        return Wanted({}, None)
    ((site_id, charger_ids),) = by_site.items()
    is_external = any(row["mode"] == ExternalMode.ENFORCE for row in chargers)
    spans = await _permitted(site_id, charger_ids, now, is_external=is_external)
    if is_external:
        spans += await _cached(site_id, now)
    found = listed(spans, charger_ids, now=now)
    entries = found.entries
    if most is not None and len(entries) > most:
        entries = await _foremost(entries, charger_ids, most)
    is_open = not any(row["is_required"] for row in chargers)
    return Wanted(entries, found.changes_at, is_open=is_open, is_asked_first=is_external)


_CHARGERS = """
SELECT c.id, c.installation_id, c.is_enabled, i.is_active, x.mode,
  COALESCE(c.authentication_required, i.authentication_required) AS is_required FROM chargers c
JOIN installations i ON i.id = c.installation_id LEFT JOIN external_authentications x ON x.installation_id = i.id
WHERE c.station_id = $1 AND c.removed_at IS NULL
"""

_PERMITTED = """
SELECT k.number, p.charger_id, p.valid_from, p.valid_to FROM permissions p
LEFT JOIN group_members m ON m.group_id = p.group_id
JOIN users u ON u.id = COALESCE(p.user_id, m.user_id) AND u.is_active AND u.erased_at IS NULL
JOIN charge_cards k ON k.user_id = u.id AND NOT k.is_blocked
WHERE p.installation_id = $1 AND p.revoked_at IS NULL AND (p.valid_to IS NULL OR p.valid_to > $2) AND p.role IN ($3, $4)
  AND NOT EXISTS (SELECT 1 FROM card_blocks b WHERE b.card_id = k.id AND b.installation_id = $1)
"""


async def _permitted(site_id: UUID, charger_ids: Sequence[UUID], now: datetime, *, is_external: bool) -> list[Span]:
    arguments: list[object] = [site_id, now, Role.USER, Role.OWNER]
    here = sql.any_of("p.charger_id", charger_ids, arguments)
    pushed = " AND p.granted_by_id IN (SELECT id FROM service_accounts)" if is_external else ""
    rows = await sql.rows(f"{_PERMITTED} AND (p.charger_id IS NULL OR {here}){pushed}", *arguments)
    return [
        Span(
            row["number"],
            sql.optional_uuid_of(row["charger_id"]),
            sql.instant_of(row["valid_from"]),
            sql.optional_instant_of(row["valid_to"]),
        )
        for row in rows
        if len(row["number"]) <= LONGEST_NUMBER
    ]


_CACHED = """
SELECT r.token, r.decision, r.requested_at, r.cache_until, k.is_blocked, u.is_active, b.id AS block_id FROM authorization_requests r
LEFT JOIN charge_cards k ON k.number = r.token LEFT JOIN users u ON u.id = COALESCE(k.user_id, r.user_id)
LEFT JOIN card_blocks b ON b.card_id = k.id AND b.installation_id = r.installation_id
WHERE r.installation_id = $1 AND r.cache_until > $2 AND NOT r.is_shadow AND r.credential_type IN ($3, $4)
ORDER BY r.requested_at, r.id
"""


async def _cached(site_id: UUID, now: datetime) -> list[Span]:
    rows = await sql.rows(_CACHED, site_id, now, CredentialType.CARD, CredentialType.UNKNOWN)
    newest = {row["token"]: row for row in rows}
    return [
        Span(token, None, min(sql.instant_of(row["requested_at"]), now), sql.instant_of(row["cache_until"]))
        for token, row in newest.items()
        if row["decision"] == AuthorizationDecision.ACCEPTED
        and not row["is_blocked"]
        and row["is_active"] in (None, True)
        and row["block_id"] is None
        and len(token) <= LONGEST_NUMBER
    ]


async def _foremost(entries: Entries, charger_ids: Sequence[UUID], most: int) -> Entries:
    arguments: list[object] = []
    here = sql.any_of("charger_id", charger_ids, arguments)
    rows = await sql.rows(
        f"SELECT id_token, MAX(started_at) AS last_at FROM charge_sessions WHERE {here} AND id_token IS NOT NULL"  # noqa: S608
        " GROUP BY id_token ORDER BY 2 DESC",
        *arguments,
    )
    used = [row["id_token"] for row in rows if row["id_token"] in entries]
    first = list(dict.fromkeys([*used, *entries]))[:most]
    return {number: entries[number] for number in sorted(first)}


async def held(station_id: UUID) -> Held:
    """What we confirmed last; nothing at version 0 where there never was a list."""
    row = await sql.row("SELECT version, entries FROM local_lists WHERE station_id = $1", station_id)
    if row is None:
        return Held(0, {})
    stored: dict[str, str | None] = json.loads(row["entries"])
    ends = {number: None if until is None else datetime.fromisoformat(until) for number, until in stored.items()}
    return Held(int(row["version"]), ends)


async def is_kept(station_id: UUID) -> bool:
    """Whether the station has ever taken a list of ours."""
    row = await sql.row("SELECT is_supported FROM local_lists WHERE station_id = $1", station_id)
    return row is not None and bool(row["is_supported"])


async def confirmed(station_id: UUID, version: int, entries: Entries, *, epoch: int, now: datetime) -> None:
    """The station has taken that version over the connection of that epoch."""
    texts = {number: None if until is None else until.isoformat() for number, until in entries.items()}
    values = {
        "version": version,
        "entries": json.dumps(texts),
        "is_supported": True,
        "synchronised_at": now,
        "error": None,
    }
    await _write(station_id, epoch, values)


async def unsupported(station_id: UUID, reason: str, *, epoch: int) -> None:
    """The station keeps no list."""
    await _write(station_id, epoch, {"is_supported": False, "error": reason[:300]})


async def failed(station_id: UUID, reason: str, *, epoch: int) -> None:
    """The list could not be brought into step; it will be tried again."""
    await _write(station_id, epoch, {"error": reason[:300]})


async def _write(station_id: UUID, epoch: int, values: Mapping[str, object]) -> None:
    """What a connection has learnt, unless a newer one speaks for the station by now (OutdatedError)."""
    async with in_transaction():
        statement = f"SELECT epoch FROM stations WHERE id = $1{sql.for_change()}"  # noqa: S608
        row = await sql.row(statement, station_id)
        if row is None or row["epoch"] != epoch:
            raise OutdatedError
        if not await LocalList.filter(station_id=station_id).update(**values):
            await LocalList.bulk_create([LocalList(station_id=station_id, **values)])
