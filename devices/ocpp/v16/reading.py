"""A charger's OCPP 1.6 messages as observations, lenient as real firmware asks: one row of READINGS each."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from devices.ocpp import security_events
from devices.ocpp.frames import UNREADABLE
from devices.ocpp.leniency import Leniency, Names, Reader, clean, instant, register_wh
from devices.ocpp.protocol import AnswerKind
from devices.ocpp.v16 import incoming
from devices.ocpp.v16.samples import plain_samples, samples
from domain.observations import (
    AnyObservation,
    Booted,
    ConnectorStatus,
    FirmwareReported,
    Heard,
    Metered,
    Sample,
    SessionEnded,
    SessionStarted,
    StatusReported,
    TokenPresented,
)
from domain.roles import StopReason

Payload = msgspec.Raw | bytes
Reading = Callable[[Payload, datetime, Names], tuple[AnyObservation, ...]]

MAX_VENDOR_TEXT = 50
MAX_SERIAL = 50
MAX_INFO = 255
MAX_TOKEN = 64
"""Longer than any token that we issue: cutting at the standard's 20 could make two cards look the same."""

STATUSES = {
    "Available": ConnectorStatus.AVAILABLE,
    "Preparing": ConnectorStatus.PREPARING,
    "Charging": ConnectorStatus.CHARGING,
    "SuspendedEV": ConnectorStatus.SUSPENDED_EV,
    "SuspendedEVSE": ConnectorStatus.SUSPENDED_EVSE,
    "Finishing": ConnectorStatus.FINISHING,
    "Reserved": ConnectorStatus.RESERVED,
    "Unavailable": ConnectorStatus.UNAVAILABLE,
    "Faulted": ConnectorStatus.FAULTED,
}

REASONS = {
    "DeAuthorized": StopReason.DEAUTHORIZED,
    "EmergencyStop": StopReason.FAULT,
    "EVDisconnected": StopReason.VEHICLE_DISCONNECTED,
    "HardReset": StopReason.RESTART,
    "Other": StopReason.OTHER,
    "PowerLoss": StopReason.POWER_LOSS,
    "Reboot": StopReason.RESTART,
    "Remote": StopReason.REMOTE,
    "SoftReset": StopReason.RESTART,
    "UnlockCommand": StopReason.REMOTE,
}

_BOOT = Reader(incoming.BootNotification)
_AUTHORIZE = Reader(incoming.Authorize)
_STATUS = Reader(incoming.StatusNotification)
_START = Reader(incoming.StartTransaction)
_METER = Reader(incoming.MeterValues)
_PLAIN_METER = msgspec.json.Decoder(incoming.PlainMeterValues)
_STOP = Reader(incoming.StopTransaction)
_PROGRESS = Reader(incoming.Progress)
_SECURITY = Reader(incoming.SecurityEvent)


def _boot(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    message = _BOOT.read(payload, names)
    serial = message.charge_point_serial_number or message.charge_box_serial_number
    booted = Booted(
        charger_time=None,
        received_at=received_at,
        vendor=_required(clean(message.charge_point_vendor, MAX_VENDOR_TEXT, names), names),
        model=_required(clean(message.charge_point_model, MAX_VENDOR_TEXT, names), names),
        serial_number=clean(serial, MAX_SERIAL, names),
        firmware_version=clean(message.firmware_version, MAX_VENDOR_TEXT, names),
    )
    return (booted,)


def _required(text: str | None, names: Names) -> str:
    if text is None:
        names.append(Leniency.ABSENT_FIELD)
        return ""
    return text


def _heartbeat(_: Payload, received_at: datetime, __: Names) -> tuple[AnyObservation, ...]:
    return (Heard(charger_time=None, received_at=received_at),)


def _authorize(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    token = clean(_AUTHORIZE.read(payload, names).id_tag, MAX_TOKEN, names)
    return (TokenPresented(charger_time=None, received_at=received_at, evse=None, id_token=_required(token, names)),)


def _status(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    message = _STATUS.read(payload, names)
    status = STATUSES.get(str(message.status), ConnectorStatus.UNKNOWN)
    if status is ConnectorStatus.UNKNOWN:
        names.append(Leniency.UNKNOWN_VALUE)
    reported = StatusReported(
        # The timestamp is optional in this message (§6.47), so its absence is nothing to forgive.
        charger_time=None if message.timestamp is None else instant(message.timestamp, names),
        received_at=received_at,
        evse=_evse(message.connector_id, 0, names),
        status=status,
        error_code=clean(message.error_code, MAX_VENDOR_TEXT, names),
        vendor_error_code=clean(message.vendor_error_code, MAX_VENDOR_TEXT, names),
        info=clean(message.info, MAX_INFO, names),
    )
    return (reported,)


MAX_EVSE = 100
"""More connectors than any station has; a database's small integer holds it."""


def _evse(connector: int | None, default: int, names: Names) -> int:
    if connector is None:
        names.append(Leniency.ABSENT_FIELD)
        return default
    if not 0 <= connector <= MAX_EVSE:
        names.append(Leniency.UNKNOWN_VALUE)
        return default
    return connector


def _start(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    message = _START.read(payload, names)
    started = SessionStarted(
        charger_time=instant(message.timestamp, names),
        received_at=received_at,
        # A session is never of the station as a whole: connector 0 or none means the only one.
        evse=_evse(message.connector_id, 1, names) or 1,
        id_token=clean(message.id_tag, MAX_TOKEN, names),
        meter_start_wh=register_wh(message.meter_start, names),
        reservation_id=message.reservation_id,
    )
    return (started,)


def _meter(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    message: incoming.MeterValues | incoming.PlainMeterValues
    found: tuple[Sample, ...] | None
    try:
        message = _PLAIN_METER.decode(payload)
        found = plain_samples(message.meter_value, names)
    except UNREADABLE:
        found = None
    if found is None:
        names.clear()
        message = _METER.read(payload, names)
        found = samples(message.meter_value, names)
    metered = Metered(
        charger_time=next((sample.at for sample in reversed(found) if sample.at is not None), None),
        received_at=received_at,
        evse=_evse(message.connector_id, 1, names),
        transaction_id=_transaction(message.transaction_id, names),
        samples=found,
    )
    return (metered,)


MAX_TRANSACTION = 2**63 - 1


def _transaction(value: int | None, names: Names) -> str | None:
    """The id as text; None where there is none that could be ours."""
    if value is None:
        return None
    if not 0 < value <= MAX_TRANSACTION:
        names.append(Leniency.TRANSACTION_ID_INVALID)
        return None
    return str(value)


def _stop(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    message = _STOP.read(payload, names)
    if message.transaction_id is None:
        names.append(Leniency.ABSENT_FIELD)
    token = clean(message.id_tag, MAX_TOKEN, names)
    ended = SessionEnded(
        charger_time=instant(message.timestamp, names),
        received_at=received_at,
        evse=None,
        transaction_id=_transaction(message.transaction_id, names),
        meter_stop_wh=register_wh(message.meter_stop, names),
        reason=_reason(None if message.reason is None else str(message.reason), token, names),
        id_token=token,
        samples=samples(message.transaction_data, names),
    )
    return (ended,)


def _reason(reason: str | None, token: str | None, names: Names) -> StopReason:
    """Local, the default (§7.38), is a person at the charger: with a card where one is named, else with a button."""
    if reason is None or reason == "Local":
        return StopReason.CARD if token is not None else StopReason.UNKNOWN if reason is None else StopReason.OTHER
    known = REASONS.get(reason)
    if known is None:
        names.append(Leniency.UNKNOWN_VALUE)
        return StopReason.OTHER
    return known


def _progress(subject: str) -> Reading:
    def read(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
        status = _required(clean(_PROGRESS.read(payload, names).status, MAX_VENDOR_TEXT, names), names)
        return (FirmwareReported(charger_time=None, received_at=received_at, subject=subject, status=status),)

    return read


def _security(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    event = _SECURITY.read(payload, names)
    name = clean(event.type, MAX_VENDOR_TEXT, names)
    return security_events.observed(name, charger_time=instant(event.timestamp, names), received_at=received_at)


def _nothing(_: Payload, __: datetime, ___: Names) -> tuple[AnyObservation, ...]:
    return ()


READINGS: dict[str, tuple[Reading, AnswerKind]] = {
    "BootNotification": (_boot, AnswerKind.BOOT),
    "Heartbeat": (_heartbeat, AnswerKind.HEARTBEAT),
    "Authorize": (_authorize, AnswerKind.AUTHORIZE),
    "StatusNotification": (_status, AnswerKind.STATUS),
    "StartTransaction": (_start, AnswerKind.START),
    "MeterValues": (_meter, AnswerKind.METER),
    "StopTransaction": (_stop, AnswerKind.STOP),
    "FirmwareStatusNotification": (_progress("firmware"), AnswerKind.OTHER),
    "SignedFirmwareStatusNotification": (_progress("firmware"), AnswerKind.OTHER),
    "DiagnosticsStatusNotification": (_progress("diagnostics"), AnswerKind.OTHER),
    "LogStatusNotification": (_progress("log"), AnswerKind.OTHER),
    "SecurityEventNotification": (_security, AnswerKind.OTHER),
    "SignCertificate": (_nothing, AnswerKind.OTHER),
    "DataTransfer": (_nothing, AnswerKind.OTHER),
}
"""What a charger may say (§4 and the security extension), how it is read and which answer it gets."""
