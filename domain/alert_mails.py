"""Mails about alerts, written with the alert. Machines only."""

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from domain import alert_texts, outbox, sql
from domain.ports import Mail
from domain.roles import AlertKind, Role, Severity

MAIL = "mail"
"""The outbox's kind of e-mails; the payload is a `domain.ports.Mail` as JSON."""

_ALERT = """
SELECT a.installation_id, a.charger_id, a.kind, a.severity, a.info, a.folded_into_id, i.name AS installation_name, i.time_zone,
  c.name AS charger_name
FROM alerts a JOIN installations i ON i.id = a.installation_id LEFT JOIN chargers c ON c.id = a.charger_id
WHERE a.id = $1
"""
_OWNERS = """
SELECT DISTINCT u.id, u.name, u.email FROM permissions p LEFT JOIN group_members m ON m.group_id = p.group_id
JOIN users u ON u.id = COALESCE(p.user_id, m.user_id)
WHERE p.role = $1 AND p.installation_id = $2 AND {whom} AND p.revoked_at IS NULL
  AND p.valid_from <= $4 AND (p.valid_to IS NULL OR p.valid_to > $4) AND u.is_active AND u.email IS NOT NULL
ORDER BY u.email
"""
_SUBJECTS = {
    AlertKind.CHARGER_OFFLINE: "is offline",
    AlertKind.INSTALLATION_OFFLINE: "more than half of the chargers are offline",
    AlertKind.CABLE_FAULT: "has a cable fault",
    AlertKind.NO_CURRENT: "charges without a current",
    AlertKind.SECURITY: "worries about its security",
    AlertKind.OVERCURRENT: "sees more current than it allows",
    AlertKind.GROUND_FAULT: "tripped its residual current protection",
    AlertKind.CONTACTOR_WELDED: "does not switch off",
    AlertKind.CIRCUIT_OVERLOAD: "a fuse is overloaded",
    AlertKind.METER_STALE: "a meter is not read any more",
    AlertKind.BALANCER_DEGRADED: "nobody shares the current",
    AlertKind.EXTERNAL_AUTHENTICATION_DOWN: "the external system does not answer",
    AlertKind.CLOCK_UNRELIABLE: "has a wrong clock",
}


async def announce(alert_id: UUID, *, now: datetime, since: datetime) -> None:
    """One mail to each owner of the installation or the charger who has an address, unless it is for information only.

    About a part of something that concerns the whole installation only to those who own the charger alone. Times are those of the place.
    """
    row = await sql.row(_ALERT, alert_id)
    if row is None or Severity(row["severity"]) is Severity.INFO:
        return
    kind, charger = AlertKind(row["kind"]), row["charger_name"]
    what = _SUBJECTS.get(kind, "reports a fault")
    subject = f"{row['installation_name']}: {f'{charger} {what}' if charger else what}"
    about = f"Charger: {charger}\n" if charger else ""
    about += f"Details: {row['info']}\n" if row["info"] else ""
    began = since.astimezone(ZoneInfo(row["time_zone"]))
    whole, single = "p.charger_id IS NULL", "p.charger_id = $3"
    whom = single if row["folded_into_id"] is not None else f"({whole} OR {single})"
    for owner in await sql.rows(
        _OWNERS.format(whom=whom),
        Role.OWNER,
        sql.uuid_of(row["installation_id"]),
        sql.optional_uuid_of(row["charger_id"]),
        now,
    ):
        text = (
            f"Hello {owner['name']},\n\n{alert_texts.message_of(kind, None)}\n\n"
            f"{about}Installation: {row['installation_name']}\n"
            f"Since: {began:%Y-%m-%d %H:%M %Z}\n"
        )
        # RFC 5322 §3.6.4; short enough that the header is not folded.
        message_id = f"<{alert_id.hex}.{sql.uuid_of(owner['id']).hex[-12:]}@lade>"
        mail = Mail(to=owner["email"], subject=subject, text=text, message_id=message_id)
        await outbox.put(MAIL, msgspec.json.encode(mail).decode(), now=now)
