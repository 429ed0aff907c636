"""Everything that is kept about a person, for that person (GDPR, articles 15 and 20)."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from domain import audit, sql
from domain.access import Access
from domain.errors import ConflictError, ErrorCode
from domain.models import User

MOST_ROWS: Final = 50_000
"""Of each kind: a charge a day for more than a hundred years."""

# Name of the part → (statement with $1 as the person, in the order of its time). Numbers of cards are the person's own, so whole.
_PARTS: Final[Mapping[str, str]] = {
    "account": "SELECT name, email, email_verified_at, is_administrator, created_at, totp_confirmed_at FROM users WHERE id = $1",
    "signIns": "SELECT created_at, refreshed_at, expires_at, ended_at FROM sign_ins WHERE user_id = $1 ORDER BY created_at, id",
    "outsideSignIns": "SELECT issuer, subject, linked_at FROM open_id_links WHERE user_id = $1 ORDER BY id",
    "chargeCards": "SELECT number, name, is_blocked, created_at, external_id FROM charge_cards WHERE user_id = $1 ORDER BY created_at, id",
    "permissions": "SELECT p.role, i.name AS installation, c.name AS charger, g.name AS user_group, p.valid_from, p.valid_to, p.granted_at,"
    " p.revoked_at FROM permissions p JOIN installations i ON i.id = p.installation_id LEFT JOIN chargers c ON c.id = p.charger_id"
    " LEFT JOIN user_groups g ON g.id = p.group_id WHERE p.user_id = $1"
    " OR p.group_id IN (SELECT m.group_id FROM group_members m WHERE m.user_id = $1) ORDER BY p.granted_at, p.id",
    "knownAs": "SELECT a.name AS program, x.external_id, x.email, x.created_at FROM external_users x"
    " JOIN service_accounts a ON a.id = x.account_id WHERE x.user_id = $1 ORDER BY x.id",
    "sessions": "SELECT id, installation_name, charger_name, card_name, state, authorized_at, started_at, ended_at, registered_at,"
    " energy_wh, connected_s, charging_s, stop_reason, external_id FROM charge_sessions WHERE user_id = $1 ORDER BY started_at, id",
    "energyIntervals": "SELECT e.session_id, e.start_at, e.end_at, e.energy_wh, e.quality FROM energy_intervals e"
    " JOIN charge_sessions s ON s.id = e.session_id WHERE s.user_id = $1 ORDER BY e.start_at, e.id",
    "signedRecords": "SELECT r.session_id, r.place, r.at, r.format, r.record FROM signed_records r"
    " JOIN charge_sessions s ON s.id = r.session_id WHERE s.user_id = $1 ORDER BY r.at, r.id",
    "lockedReports": "SELECT r.revision, r.basis, r.from_date, r.to_date, i.name AS installation, n.dimension, n.name"
    " FROM locked_names n JOIN locked_reports r ON r.id = n.report_id JOIN installations i ON i.id = r.installation_id"
    " WHERE n.user_id = $1 ORDER BY r.locked_at, n.id",
    "tariffs": "SELECT i.name AS installation, t.name AS tariff, a.valid_from, a.valid_to FROM tariff_assignments a"
    " JOIN tariffs t ON t.id = a.tariff_id JOIN installations i ON i.id = a.installation_id WHERE a.user_id = $1"
    " ORDER BY a.valid_from, a.id",
    "formerGroups": "SELECT g.name AS user_group, m.added_at, m.removed_at FROM past_group_members m"
    " JOIN user_groups g ON g.id = m.group_id WHERE m.user_id = $1 ORDER BY m.removed_at, m.id",
    "reportsByMail": "SELECT d.from_date, d.to_date, d.state, d.at, i.name AS installation FROM report_deliveries d"
    " JOIN report_schedules s ON s.id = d.schedule_id JOIN installations i ON i.id = s.installation_id"
    " WHERE d.user_id = $1 ORDER BY d.planned_at, d.id",
    "attemptsToCharge": "SELECT a.at, c.name AS charger, a.credential_type, a.token, a.decision, a.decided_by, a.reason"
    " FROM authorization_attempts a LEFT JOIN chargers c ON c.id = a.charger_id WHERE a.user_id = $1 ORDER BY a.at, a.id",
    "commands": "SELECT m.action, c.name AS charger, m.state, m.requested_at, m.finished_at FROM commands m"
    " JOIN chargers c ON c.id = m.charger_id WHERE m.requested_by_id = $1 OR m.for_user_id = $1 ORDER BY m.requested_at, m.id",
    "alertSubscriptions": "SELECT i.name AS installation, s.kinds, s.minimum_severity, s.delivery, s.digest_hour, s.quiet_from, s.quiet_to,"
    " s.sends_resolved, s.email, s.language, s.created_at, s.verified_at, s.ended_at FROM alert_subscriptions s"
    " JOIN installations i ON i.id = s.installation_id WHERE s.user_id = $1 ORDER BY s.created_at, s.id",
    "alertMails": "SELECT n.created_at, n.due_at, n.mailed_at, n.occasion, a.kind FROM alert_notices n"
    " JOIN alert_subscriptions s ON s.id = n.subscription_id JOIN alerts a ON a.id = n.alert_id WHERE s.user_id = $1"
    " ORDER BY n.created_at, n.id",
    "alertsLookedAfter": "SELECT i.name AS installation, a.kind, a.acknowledged_at, a.note FROM alerts a"
    " JOIN installations i ON i.id = a.installation_id WHERE a.acknowledged_by_id = $1 ORDER BY a.acknowledged_at, a.id",
    "changesMade": "SELECT at, action, object_type, object_id FROM audit_entries WHERE actor_id = $1 ORDER BY at, id",
    "files": "SELECT kind, format, created_at, expires_at FROM exports WHERE user_id = $1 ORDER BY created_at, id",
}


async def export_my_data(access: Access) -> str:
    """All of it as JSON: instants in UTC, energy in Wh. ConflictError (TOO_LARGE) for more of one kind than can be given at once."""
    user_id = access.person()
    found: dict[str, Any] = {}
    for name, statement in _PARTS.items():
        rows = await sql.rows(f"{statement} LIMIT {MOST_ROWS + 1}", user_id)
        if len(rows) > MOST_ROWS:
            message = f"There is more of {name} than can be given at once: ask the operator of the portal."
            raise ConflictError(message, code=ErrorCode.TOO_LARGE)
        found[name] = rows
    found["account"] = found["account"][0]
    person = await User.get(id=user_id)
    await audit.record(access, "user.exportData", "User", person.id)
    # Years of intervals take a second to write out: not on the loop.
    return await asyncio.to_thread(_written, found)


def _written(found: dict[str, Any]) -> str:
    return json.dumps(found, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    return sql.instant_of(value).isoformat() if isinstance(value, datetime) else str(value)
