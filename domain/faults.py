"""What is wrong with a charger: alerts opened and resolved by what it reports or by its silence, and the mails that follow.

Machines only. An alert and its mails are one transaction; there is one open alert per kind and charger.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from tortoise.transactions import in_transaction

from domain import outbox, sql
from domain.charging import live
from domain.charging.live import Connector, padded
from domain.events import AlertChanged, Event
from domain.ids import new_id
from domain.observations import ConnectorStatus
from domain.ports import Mail
from domain.roles import AlertKind, AlertState, Role, Severity

MAIL = "mail"
"""The outbox's kind of e-mails; the payload is a `domain.ports.Mail` as JSON."""

NO_ERROR = "NoError"
_NO_FAULT = {NO_ERROR, "WeakSignal", "LocalListConflict"}
"""Codes that concern the charger's network and lists, not the charge."""

KINDS: dict[str, AlertKind] = {
    "ConnectorLockFailure": AlertKind.CONNECTOR_LOCK,
    "EVCommunicationError": AlertKind.VEHICLE_COMMUNICATION,
    "GroundFailure": AlertKind.GROUND_FAULT,
    "HighTemperature": AlertKind.OVER_TEMPERATURE,
    "OverVoltage": AlertKind.VOLTAGE,
    "UnderVoltage": AlertKind.VOLTAGE,
    "OverCurrentFailure": AlertKind.OVERCURRENT,
    "PowerMeterFailure": AlertKind.METER_FAULT,
    "PowerSwitchFailure": AlertKind.CONTACTOR_WELDED,
    "ReaderFailure": AlertKind.READER_FAULT,
    "InternalError": AlertKind.INTERNAL,
    "ResetFailure": AlertKind.INTERNAL,
    "OtherError": AlertKind.INTERNAL,
}
"""OCPP 1.6 ChargePointErrorCode (§7.6) → what is wrong."""

_CABLE_WORDS = ("cable", "proximity", "breakaway")
"""Vendors say so in their own codes (e.g. CableCheckFailure, ProximityPilotMissing)."""

SEVERITIES: dict[AlertKind, Severity] = {
    AlertKind.VEHICLE_COMMUNICATION: Severity.INFO,
    AlertKind.GROUND_FAULT: Severity.CRITICAL,
    AlertKind.CONTACTOR_WELDED: Severity.CRITICAL,
    AlertKind.READER_FAULT: Severity.WARNING,
    AlertKind.CHARGER_OFFLINE: Severity.WARNING,
    AlertKind.NO_CURRENT: Severity.WARNING,
    AlertKind.SECURITY: Severity.WARNING,
}
"""Everything else is an ERROR."""

WORDS: dict[AlertKind, str] = {
    AlertKind.CHARGER_OFFLINE: "The charger has not been heard of. Check its power and its network.",
    AlertKind.CABLE_FAULT: "The charger reports a fault of its cable or plug.",
    AlertKind.CONNECTOR_LOCK: "The connector does not lock or unlock. Check that nothing blocks the plug.",
    AlertKind.GROUND_FAULT: "The residual current protection tripped. Do not use the charger until an electrician has looked at it.",
    AlertKind.CONTACTOR_WELDED: "The contactor does not open. Switch off its fuse and call an electrician.",
    AlertKind.OVER_TEMPERATURE: "The charger is too hot and charges less or not at all.",
    AlertKind.OVERCURRENT: "A car drew more current than the charger allows.",
    AlertKind.VOLTAGE: "The mains voltage at the charger is too high or too low.",
    AlertKind.METER_FAULT: "The charger's meter fails; energy may be missing or wrong.",
    AlertKind.READER_FAULT: "The charger's card reader fails. Starting in the app still works.",
    AlertKind.VEHICLE_COMMUNICATION: "The charger and the car do not understand each other.",
    AlertKind.INTERNAL: "The charger reports an internal error.",
    AlertKind.SECURITY: "The charger reports something that concerns its security. Somebody should look at it.",
    AlertKind.NO_CURRENT: "The charger says that it charges, and no current has flowed for ten minutes. Look at the car and the cable.",
}

REPORTED = frozenset(KINDS.values()) | {AlertKind.CABLE_FAULT}
"""Kinds that a charger's own status opens and resolves."""

RESTARTED = "RepeatedRestarts"
"""The code of an alert that no status opens or resolves: a charger that restarts says each time that nothing is wrong."""

BEYOND_OFFER = "DrawsMoreThanOffered"
"""Likewise: the charger finds nothing wrong with a car that draws more than the balancer lets it."""
INFERRED = frozenset({RESTARTED, BEYOND_OFFER})

DAMPED_FROM = 3
"""The third opening of the same alert within an hour sends no mail."""
DAMPED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Fault:
    """What a status says is wrong."""

    kind: AlertKind
    vendor_code: str | None
    info: str | None


UNNAMED = Fault(AlertKind.INTERNAL, None, None)
"""A connector that says it is faulted, and no more."""


def fault_of(
    error_code: str | None, vendor_error_code: str | None, info: str | None, status: ConnectorStatus
) -> Fault | None:
    """What a status means: None where nothing is wrong. A Faulted connector without a code is an internal error."""
    vendor = vendor_error_code or None
    if any(word in (vendor or "").lower() for word in _CABLE_WORDS):
        return Fault(AlertKind.CABLE_FAULT, vendor, info)
    if error_code is None or error_code in _NO_FAULT:
        return Fault(AlertKind.INTERNAL, vendor, info) if status is ConnectorStatus.FAULTED else None
    return Fault(KINDS.get(error_code, AlertKind.INTERNAL), vendor or error_code, info)


@dataclass(slots=True)
class OpenAlert:
    """An alert that is not resolved."""

    id: UUID
    charger_id: UUID
    kind: AlertKind
    vendor_code: str | None = None


async def open_alerts(charger_ids: Sequence[UUID]) -> list[OpenAlert]:
    """What is wrong with these chargers right now."""
    if not charger_ids:
        return []
    arguments: list[object] = [AlertState.RESOLVED]
    wanted = sql.any_of("charger_id", padded(charger_ids), arguments)
    found = await sql.rows(
        f"SELECT id, charger_id, kind, vendor_code FROM alerts WHERE state <> $1 AND {wanted}",  # noqa: S608
        *arguments,
    )
    return [
        OpenAlert(sql.uuid_of(row["id"]), sql.uuid_of(row["charger_id"]), AlertKind(row["kind"]), row["vendor_code"])
        for row in found
    ]


async def report(connector: Connector, fault: Fault | None, alerts: list[OpenAlert], *, now: datetime) -> list[Event]:
    """The charger's reported alerts are exactly this fault, or none. `alerts` are kept as they are now."""
    others = [one for one in _reported(connector, alerts) if fault is None or one.kind is not fault.kind]
    events = await _resolved(connector, others, alerts, now=now)
    return events if fault is None else [*events, *await raised(connector, fault, alerts, now=now)]


async def raised(connector: Connector, fault: Fault, alerts: list[OpenAlert], *, now: datetime) -> list[Event]:
    """There is an open alert of that kind, beside others. What only a status said of it gives way to what is known now."""
    if fault.kind is AlertKind.SECURITY:
        return await open_alert(connector, fault, now=now)
    events: list[Event] = []
    if all(one.kind is not fault.kind for one in _reported(connector, alerts)):
        events += await open_alert(connector, fault, now=now)
        alerts += [
            OpenAlert(event.alert_id, connector.place.charger_id, fault.kind, fault.vendor_code)
            for event in events
            if isinstance(event, AlertChanged)
        ]
    if fault.kind is not UNNAMED.kind:
        events += await cleared(connector, UNNAMED, alerts, now=now)
    return events


async def cleared(connector: Connector, fault: Fault, alerts: list[OpenAlert], *, now: datetime) -> list[Event]:
    """That fault is over; where it has no code, only what a mere status had opened."""
    over = [
        one
        for one in _reported(connector, alerts)
        if one.kind is fault.kind and (fault != UNNAMED or one.vendor_code is None)
    ]
    return await _resolved(connector, over, alerts, now=now)


async def status_said(
    connector: Connector, status: ConnectorStatus, alerts: list[OpenAlert], *, now: datetime
) -> list[Event]:
    """What a status means that says no more than that something is wrong: an alert where nothing else explains it, else its end."""
    if status is not ConnectorStatus.FAULTED:
        return await cleared(connector, UNNAMED, alerts, now=now)
    return [] if _reported(connector, alerts) else await raised(connector, UNNAMED, alerts, now=now)


def _reported(connector: Connector, alerts: Iterable[OpenAlert]) -> list[OpenAlert]:
    return [
        one
        for one in alerts
        if one.charger_id == connector.place.charger_id and one.kind in REPORTED and one.vendor_code not in INFERRED
    ]


async def _resolved(
    connector: Connector, over: Sequence[OpenAlert], alerts: list[OpenAlert], *, now: datetime
) -> list[Event]:
    for one in over:
        alerts.remove(one)
    return [await resolve(connector, one, now=now) for one in over]


_OPEN = """
INSERT INTO alerts (id, installation_id, charger_id, kind, severity, state, open_key, message, vendor_code, opened_at, occurrences)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (open_key) DO NOTHING RETURNING id
"""


async def open_alert(
    connector: Connector, fault: Fault, *, now: datetime, since: datetime | None = None
) -> list[Event]:
    """There is an open alert of that kind; where it is new, its mails are in the outbox. `since`: when it began, if before now."""
    place = connector.place
    severity = SEVERITIES.get(fault.kind, Severity.ERROR)
    recent = await sql.row(
        "SELECT COUNT(*) AS n FROM alerts WHERE charger_id = $1 AND kind = $2 AND opened_at > $3",
        place.charger_id,
        fault.kind,
        now - DAMPED_WITHIN,
    )
    occurrences = 1 + (int(recent["n"]) if recent else 0)
    message = WORDS.get(fault.kind, "The charger reports a fault.")
    made = await sql.row(
        _OPEN,
        new_id(),
        place.installation_id,
        place.charger_id,
        fault.kind,
        severity,
        AlertState.OPEN,
        _open_key(place.charger_id, fault),
        (f"{message} ({fault.info})" if fault.info else message)[:500],
        fault.vendor_code[:50] if fault.vendor_code else None,
        now,
        occurrences,
    )
    if made is None:
        return []
    alert_id = sql.uuid_of(made["id"])
    connector.warnings_changed = True
    if severity is not Severity.INFO and occurrences < DAMPED_FROM:
        await _write_mails(connector, alert_id, fault.kind, now=now, since=since or now)
    return [AlertChanged(alert_id=alert_id, installation_id=place.installation_id, charger_id=place.charger_id)]


def _open_key(charger_id: UUID, fault: Fault) -> str:
    """One that is inferred stands beside one of that kind that the charger tells of, and so does each event of its security."""
    stands_alone = fault.vendor_code in INFERRED or fault.kind is AlertKind.SECURITY
    return f"{fault.kind.value}:{charger_id}{f':{fault.vendor_code}' if stands_alone else ''}"


async def resolve(connector: Connector, alert: OpenAlert, *, now: datetime) -> AlertChanged:
    """The alert is over."""
    await sql.execute(
        "UPDATE alerts SET state = $1, resolved_at = $2, open_key = NULL WHERE id = $3",
        AlertState.RESOLVED,
        now,
        alert.id,
    )
    connector.warnings_changed = True
    place = connector.place
    return AlertChanged(alert_id=alert.id, installation_id=place.installation_id, charger_id=place.charger_id)


async def _write_mails(
    connector: Connector, alert_id: UUID, kind: AlertKind, *, now: datetime, since: datetime
) -> None:
    """One mail to each owner of the installation or the charger who has an address; times are those of the place."""
    place = connector.place
    began = since.astimezone(ZoneInfo(place.time_zone))
    subject = f"{place.installation_name}: {place.charger_name} {_SUBJECTS.get(kind, 'reports a fault')}"
    for row in await sql.rows(_OWNERS, Role.OWNER, place.installation_id, place.charger_id, now):
        text = (
            f"Hello {row['name']},\n\n{WORDS.get(kind, 'The charger reports a fault.')}\n\n"
            f"Charger: {place.charger_name}\nInstallation: {place.installation_name}\n"
            f"Since: {began:%Y-%m-%d %H:%M %Z}\n"
        )
        # RFC 5322 §3.6.4; short enough that the header is not folded.
        message_id = f"<{alert_id.hex}.{sql.uuid_of(row['id']).hex[-12:]}@lade>"
        mail = Mail(to=row["email"], subject=subject, text=text, message_id=message_id)
        await outbox.put(MAIL, msgspec.json.encode(mail).decode(), now=now)


_SUBJECTS = {
    AlertKind.CHARGER_OFFLINE: "is offline",
    AlertKind.CABLE_FAULT: "has a cable fault",
    AlertKind.NO_CURRENT: "charges without a current",
    AlertKind.SECURITY: "worries about its security",
    AlertKind.OVERCURRENT: "sees more current than it allows",
    AlertKind.GROUND_FAULT: "tripped its residual current protection",
    AlertKind.CONTACTOR_WELDED: "does not switch off",
}

_OWNERS = """
SELECT DISTINCT u.id, u.name, u.email FROM permissions p LEFT JOIN group_members m ON m.group_id = p.group_id
JOIN users u ON u.id = COALESCE(p.user_id, m.user_id)
WHERE p.role = $1 AND p.installation_id = $2 AND (p.charger_id IS NULL OR p.charger_id = $3) AND p.revoked_at IS NULL
  AND p.valid_from <= $4 AND (p.valid_to IS NULL OR p.valid_to > $4) AND u.is_active AND u.email IS NOT NULL
ORDER BY u.email
"""

_SILENT = """
SELECT c.id, s.last_seen_at FROM chargers c JOIN stations s ON s.id = c.station_id JOIN installations i ON i.id = c.installation_id
WHERE c.removed_at IS NULL AND c.is_enabled AND i.is_active AND NOT s.is_connected AND s.last_seen_at <= $1
  AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.charger_id = c.id AND a.kind = $2 AND a.state <> $3)
ORDER BY c.id LIMIT 500
"""


async def check_silence(*, now: datetime, portal_started_at: datetime, offline_after_s: float) -> list[Event]:
    """Every charger that was here once and has been silent for that long, counted from the portal's own start, has an open alert."""
    silent_since = now - timedelta(seconds=offline_after_s)
    if portal_started_at > silent_since:
        return []
    async with in_transaction():
        found = await sql.rows(_SILENT, silent_since, AlertKind.CHARGER_OFFLINE, AlertState.RESOLVED)
        if not found:
            return []
        last_seen = {sql.uuid_of(row["id"]): sql.instant_of(row["last_seen_at"]) for row in found}
        connectors = await live.of_chargers(list(last_seen))
        events: list[Event] = []
        for connector in connectors:
            silent = Fault(AlertKind.CHARGER_OFFLINE, None, None)
            events += await open_alert(connector, silent, now=now, since=last_seen[connector.place.charger_id])
        return [*events, *await live.write(connectors)]


async def heard_again(connectors: Sequence[Connector], *, now: datetime) -> list[AlertChanged]:
    """These chargers are not silent any more; call inside a transaction."""
    by_id = {one.place.charger_id: one for one in connectors}
    return [
        await resolve(by_id[alert.charger_id], alert, now=now)
        for alert in await open_alerts(list(by_id))
        if alert.kind is AlertKind.CHARGER_OFFLINE
    ]
