"""What is wrong with a charger: alerts opened and resolved by what it reports and by its coming back.

Machines only. There is one open alert per kind and charger.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain import sql
from domain.alerting import alert_book
from domain.alerting.alert_book import Finding, Thing
from domain.charging.live import Connector, padded
from domain.events import AlertChanged, Event
from domain.observations import ConnectorStatus
from domain.roles import AlertKind, AlertState

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

REPORTED = frozenset(KINDS.values()) | {AlertKind.CABLE_FAULT}
"""Kinds that a charger's own status opens and resolves."""

RESTARTED, BEYOND_OFFER = alert_book.RESTARTED, alert_book.BEYOND_OFFER
INFERRED = frozenset({RESTARTED, BEYOND_OFFER})


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
    return [event for one in over for event in await resolve(connector, one, now=now)]


async def open_alert(
    connector: Connector, fault: Fault, *, now: datetime, since: datetime | None = None
) -> list[Event]:
    """There is an open alert of that kind; `since`: when it began, if before now."""
    place = connector.place
    finding = Finding(
        thing=Thing(place.installation_id, place.charger_id),
        kind=fault.kind,
        code=fault.vendor_code,
        info=fault.info,
        # One that is inferred stands beside one of that kind that the charger tells of, and so does each event of its security.
        stands_alone=fault.vendor_code in INFERRED or fault.kind is AlertKind.SECURITY,
    )
    event = await alert_book.opened(finding, now=now, since=since)
    if event is None:
        return []
    connector.warnings_changed = True
    return [event]


async def resolve(connector: Connector, alert: OpenAlert, *, now: datetime) -> list[AlertChanged]:
    """The alert is over."""
    connector.warnings_changed = True
    return await alert_book.resolved([alert.id], now=now)


UNSTEADY = "ComesAndGoes"
"""The code of a charger's offline alert that a new connection does not end: it has had many."""


async def heard_again(connectors: Sequence[Connector], *, now: datetime) -> list[AlertChanged]:
    """These chargers are not silent any more; call inside a transaction."""
    by_id = {one.place.charger_id: one for one in connectors}
    return [
        event
        for alert in await open_alerts(list(by_id))
        if alert.kind is AlertKind.CHARGER_OFFLINE and alert.vendor_code != UNSTEADY
        for event in await resolve(by_id[alert.charger_id], alert, now=now)
    ]
