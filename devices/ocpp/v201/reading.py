"""A charger's OCPP 2.0.1 messages as observations, lenient as real firmware asks: one row of READINGS each."""

from datetime import datetime

from devices.ocpp import security_events
from devices.ocpp.leniency import Leniency, Names, Reader, clean, instant
from devices.ocpp.protocol import AnswerKind
from devices.ocpp.v16.incoming import Text
from devices.ocpp.v16.reading import MAX_EVSE, MAX_INFO, MAX_SERIAL, MAX_TOKEN, MAX_VENDOR_TEXT, Payload, Reading
from devices.ocpp.v201 import incoming
from devices.ocpp.v201.samples import register_at, samples
from domain.observations import (
    AnyObservation,
    Booted,
    ConnectorStatus,
    FaultReported,
    FirmwareReported,
    Heard,
    Metered,
    Sample,
    SessionClaimed,
    SessionEnded,
    SessionStarted,
    StatusReported,
    TokenPresented,
)
from domain.roles import AlertKind, StopReason

MAX_TRANSACTION = 64
"""Longer than the standard's 36: cutting there could make two transactions look the same."""
MAX_MULTIPLE = 200
"""Events and parts of one message that are looked at."""

STATUSES = {
    "Available": ConnectorStatus.AVAILABLE,
    "Occupied": ConnectorStatus.PREPARING,
    "Reserved": ConnectorStatus.RESERVED,
    "Unavailable": ConnectorStatus.UNAVAILABLE,
    "Faulted": ConnectorStatus.FAULTED,
}

WITHOUT_CAR = frozenset({ConnectorStatus.AVAILABLE, ConnectorStatus.RESERVED, ConnectorStatus.UNAVAILABLE})
FIRST_CONNECTOR = 1

ACTIVITIES = {
    "Charging": ConnectorStatus.CHARGING,
    "SuspendedEV": ConnectorStatus.SUSPENDED_EV,
    "SuspendedEVSE": ConnectorStatus.SUSPENDED_EVSE,
    # Energy may flow at any moment without another word, so this is not OCPP 1.6's Preparing, where it cannot.
    "EVConnected": ConnectorStatus.SUSPENDED_EVSE,
}
"""What a transaction does, as a connector of OCPP 1.6 would say it. Idle, without a car, is told by the connector itself."""
NO_ACTIVITY = "Idle"

REASONS = {
    "DeAuthorized": StopReason.DEAUTHORIZED,
    "EmergencyStop": StopReason.FAULT,
    "EnergyLimitReached": StopReason.OTHER,
    "EVDisconnected": StopReason.VEHICLE_DISCONNECTED,
    "GroundFault": StopReason.FAULT,
    "ImmediateReset": StopReason.RESTART,
    "LocalOutOfCredit": StopReason.OTHER,
    "MasterPass": StopReason.OTHER,
    "Other": StopReason.OTHER,
    "OvercurrentFault": StopReason.FAULT,
    "PowerLoss": StopReason.POWER_LOSS,
    "PowerQuality": StopReason.FAULT,
    "Reboot": StopReason.RESTART,
    "Remote": StopReason.REMOTE,
    "SOCLimitReached": StopReason.OTHER,
    "StoppedByEV": StopReason.VEHICLE_STOPPED,
    "TimeLimitReached": StopReason.OTHER,
    "Timeout": StopReason.OTHER,
}
TRIGGERS = {
    "EVDeparted": StopReason.VEHICLE_DISCONNECTED,
    "EVCommunicationLost": StopReason.VEHICLE_DISCONNECTED,
    "RemoteStop": StopReason.REMOTE,
    "UnlockCommand": StopReason.REMOTE,
    "ResetCommand": StopReason.RESTART,
    "Deauthorized": StopReason.DEAUTHORIZED,
    "AbnormalCondition": StopReason.FAULT,
}
"""Why a transaction ended of which the record gives no reason."""
STOPPED_BY_CARD = "StopAuthorized"
LOCAL = "Local"

WITHOUT_LOSS = frozenset(
    {"ApplicationReset", "FirmwareUpdate", "LocalReset", "RemoteReset", "ScheduledReset", "Triggered", "Watchdog"}
)
"""Boots after which a charger itself tells what became of its transactions."""
NO_RESTART = "Triggered"
NO_AUTHORIZATION = "NoAuthorization"
"""The type of a token that stands for none."""

COMPONENTS: dict[str, AlertKind] = {
    "ConnectorPlugRetentionLock": AlertKind.CONNECTOR_LOCK,
    "CableBreakawaySensor": AlertKind.CABLE_FAULT,
    "CPPWMController": AlertKind.VEHICLE_COMMUNICATION,
    "RCD": AlertKind.GROUND_FAULT,
    "TemperatureSensor": AlertKind.OVER_TEMPERATURE,
    "PowerSupply": AlertKind.VOLTAGE,
    "ElectricalFeed": AlertKind.VOLTAGE,
    "OverCurrentProtection": AlertKind.OVERCURRENT,
    "OverCurrentProtectionRecloser": AlertKind.OVERCURRENT,
    "OverCurrentBreaker": AlertKind.OVERCURRENT,
    "FiscalMetering": AlertKind.METER_FAULT,
    "PowerContactor": AlertKind.CONTACTOR_WELDED,
    "TokenReader": AlertKind.READER_FAULT,
}
"""Component → what is wrong when it has a problem; any other one is an internal error."""
SWITCHES = frozenset({"Problem", "Tripped", "Fault"})
"""Variables that say themselves whether something is wrong."""
ALARMS = frozenset({"CableBreakawaySensor", "OverCurrentProtection", "OverCurrentProtectionRecloser"})
"""Components whose `Active` means that they have tripped."""
ALERTING = "Alerting"
AVAILABILITY = "AvailabilityState"
CONNECTOR = "Connector"

_BOOT = Reader(incoming.BootNotification)
_AUTHORIZE = Reader(incoming.Authorize)
_STATUS = Reader(incoming.StatusNotification)
_TRANSACTION = Reader(incoming.TransactionEvent)
_METER = Reader(incoming.MeterValues)
_EVENTS = Reader(incoming.NotifyEvent)
_PROGRESS = Reader(incoming.Progress)
_SECURITY = Reader(incoming.SecurityEvent)


def _boot(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    message = _BOOT.read(payload, names)
    station = message.charging_station or incoming.ChargingStation()
    reason = clean(message.reason, MAX_VENDOR_TEXT, names)
    booted = Booted(
        charger_time=None,
        received_at=received_at,
        vendor=_required(clean(station.vendor_name, MAX_VENDOR_TEXT, names), names),
        model=_required(clean(station.model, MAX_VENDOR_TEXT, names), names),
        serial_number=clean(station.serial_number, MAX_SERIAL, names),
        firmware_version=clean(station.firmware_version, MAX_VENDOR_TEXT, names),
        is_restart=reason != NO_RESTART,
        lost_power=reason not in WITHOUT_LOSS,
    )
    return (booted,)


def _required(text: str | None, names: Names) -> str:
    if text is None:
        names.append(Leniency.ABSENT_FIELD)
        return ""
    return text


def _heartbeat(_: Payload, received_at: datetime, __: Names) -> tuple[AnyObservation, ...]:
    return (Heard(charger_time=None, received_at=received_at),)


def _token(taken: incoming.IdToken | None, names: Names) -> str | None:
    """The token; empty where it stands for none or cannot be read, None where there is none."""
    if taken is None:
        return None
    return "" if taken.type == NO_AUTHORIZATION else clean(taken.id_token, MAX_TOKEN, names) or ""


def _authorize(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    token = _required(_token(_AUTHORIZE.read(payload, names).id_token, names), names)
    return (TokenPresented(charger_time=None, received_at=received_at, evse=None, id_token=token),)


def _evse(number: int | None, default: int, names: Names) -> int:
    if number is None:
        names.append(Leniency.ABSENT_FIELD)
        return default
    if not 0 <= number <= MAX_EVSE:
        names.append(Leniency.UNKNOWN_VALUE)
        return default
    return number


def _one_of(table: dict[str, ConnectorStatus], text: Text | bool, names: Names) -> ConnectorStatus:
    status = table.get(str(text), ConnectorStatus.UNKNOWN)
    if status is ConnectorStatus.UNKNOWN:
        names.append(Leniency.UNKNOWN_VALUE)
    return status


def _status(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    message = _STATUS.read(payload, names)
    evse = _evse(message.evse_id, 0, names)
    reported = _connector(message.connector_status, message.timestamp, evse, message.connector_id, received_at, names)
    return () if reported is None else (reported,)


def _connector(
    text: Text | bool,
    timestamp: str | None,
    evse: int,
    connector: int | None,
    received_at: datetime,
    names: Names,
) -> StatusReported | None:
    """How an EVSE is. That a further connector of it is free says nothing of the one at which a car may stand."""
    status = _one_of(STATUSES, text, names)
    if status in WITHOUT_CAR and connector is not None and connector > FIRST_CONNECTOR:
        return None
    return StatusReported(
        charger_time=instant(timestamp, names), received_at=received_at, evse=evse, status=status, is_coarse=True
    )


def _transaction(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    """A start, an end, or else a word of a transaction that goes on; the first observation is the one that is answered."""
    message = _TRANSACTION.read(payload, names)
    about = message.transaction_info or incoming.Transaction()
    if about.transaction_id is None:
        names.append(Leniency.ABSENT_FIELD)
    event = _Event(message, about, received_at, names)
    match message.event_type:
        case "Started":
            return (event.started(), *event.activity())
        case "Ended":
            return (event.ended(),)
        case "Updated":
            pass
        case _:
            names.append(Leniency.UNKNOWN_VALUE)
    return (*event.claimed(), event.updated(), *event.activity())


class _Event:
    """What the observations of one TransactionEvent have in common."""

    def __init__(
        self, message: incoming.TransactionEvent, about: incoming.Transaction, received_at: datetime, names: Names
    ) -> None:
        self._names = names
        self._received_at = received_at
        self._at = instant(message.timestamp, names)
        self._is_offline = bool(message.offline)
        # A transaction is never of the station as a whole; later messages of it need not say where it is.
        self._evse = 1 if message.evse is None else _evse(message.evse.id, 1, names) or 1
        self._transaction_id = clean(about.transaction_id, MAX_TRANSACTION, names)
        self._is_own_id = self._transaction_id is not None
        self._token = _token(message.id_token, names)
        self._samples: tuple[Sample, ...] = samples(message.meter_value, names)
        self._reservation_id = message.reservation_id
        self._state = about.charging_state
        self._trigger = str(message.trigger_reason)
        self._stopped = about.stopped_reason

    def started(self) -> SessionStarted:
        """Started."""
        return SessionStarted(
            charger_time=self._at,
            received_at=self._received_at,
            is_marked_offline=self._is_offline,
            evse=self._evse,
            id_token=self._token,
            meter_start_wh=register_at(self._samples, "Transaction.Begin", is_last=False),
            transaction_id=self._transaction_id,
            reservation_id=self._reservation_id,
            samples=self._samples,
        )

    def claimed(self) -> tuple[SessionClaimed, ...]:
        """The token, where an update has one."""
        if self._token is None:
            return ()
        claim = SessionClaimed(
            charger_time=self._at,
            received_at=self._received_at,
            is_marked_offline=self._is_offline,
            evse=self._evse,
            transaction_id=self._transaction_id,
            id_token=self._token,
            is_stop=self._trigger == STOPPED_BY_CARD,
        )
        return (claim,)

    def updated(self) -> Metered:
        """Updated."""
        return Metered(
            charger_time=self._at,
            received_at=self._received_at,
            is_marked_offline=self._is_offline,
            evse=self._evse,
            transaction_id=self._transaction_id,
            samples=self._samples,
            is_own_id=self._is_own_id,
        )

    def activity(self) -> tuple[StatusReported, ...]:
        """What the transaction does now, if it says so."""
        if self._state is None or self._state == NO_ACTIVITY:
            return ()
        reported = StatusReported(
            charger_time=self._at,
            received_at=self._received_at,
            is_marked_offline=self._is_offline,
            evse=self._evse,
            status=_one_of(ACTIVITIES, self._state, self._names),
            is_coarse=True,
            transaction_id=self._transaction_id,
        )
        return (reported,)

    def ended(self) -> SessionEnded:
        """Ended."""
        return SessionEnded(
            charger_time=self._at,
            received_at=self._received_at,
            is_marked_offline=self._is_offline,
            evse=self._evse,
            transaction_id=self._transaction_id,
            meter_stop_wh=register_at(self._samples, "Transaction.End", is_last=True),
            reason=self._reason(),
            id_token=self._token,
            samples=self._samples,
            is_own_id=self._is_own_id,
        )

    def _reason(self) -> StopReason:
        """Local, the default, is a person at the charger: with a card where one was shown, else with a button."""
        if self._stopped is None or self._stopped == LOCAL:
            if self._token or self._trigger == STOPPED_BY_CARD:
                return StopReason.CARD
            return StopReason.OTHER if self._stopped == LOCAL else TRIGGERS.get(self._trigger, StopReason.UNKNOWN)
        known = REASONS.get(str(self._stopped))
        if known is None:
            self._names.append(Leniency.UNKNOWN_VALUE)
        return known or StopReason.OTHER


def _meter(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    """Readings between transactions, or that were asked for."""
    message = _METER.read(payload, names)
    found = samples(message.meter_value, names)
    metered = Metered(
        charger_time=next((sample.at for sample in reversed(found) if sample.at is not None), None),
        received_at=received_at,
        evse=_evse(message.evse_id, 1, names),
        transaction_id=None,
        samples=found,
    )
    return (metered,)


def _events(payload: Payload, received_at: datetime, names: Names) -> tuple[AnyObservation, ...]:
    message = _EVENTS.read(payload, names)
    found = [_event(one, received_at, names) for one in (message.event_data or [])[:MAX_MULTIPLE]]
    return tuple(one for one in found if one is not None)


def _event(event: incoming.EventData, received_at: datetime, names: Names) -> FaultReported | StatusReported | None:
    component = event.component or incoming.Component()
    evse = 0 if component.evse is None else _evse(component.evse.id, 0, names)
    name = clean(component.name, MAX_VENDOR_TEXT, names) or ""
    variable = str(event.variable.name) if event.variable is not None else ""
    if name == CONNECTOR and variable == AVAILABILITY:
        number = None if component.evse is None else component.evse.connector_id
        return _connector(event.actual_value, event.timestamp, evse, number, received_at, names)
    is_wrong = _is_wrong(event, name, variable)
    if is_wrong is None:
        return None
    return FaultReported(
        charger_time=instant(event.timestamp, names),
        received_at=received_at,
        evse=evse,
        kind=COMPONENTS.get(name, AlertKind.INTERNAL),
        is_cleared=not is_wrong,
        vendor_code=clean(event.tech_code, MAX_VENDOR_TEXT, names) or name or None,
        info=clean(event.tech_info, MAX_INFO, names),
    )


def _is_wrong(event: incoming.EventData, component: str, variable: str) -> bool | None:
    """Whether something is wrong or not any more; None where the event is of neither."""
    if variable in SWITCHES or (variable == "Active" and component in ALARMS):
        return not event.cleared and str(event.actual_value).lower() in ("true", "1")
    # A measured value means a fault only where a monitor found it beyond its bounds.
    if component in COMPONENTS and (event.trigger == ALERTING or event.cleared):
        return not event.cleared
    return None


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


def says_token(observations: tuple[AnyObservation, ...]) -> bool:
    """Whether the answer has to say how a token stands."""
    match observations:
        case ((SessionStarted(id_token=str()) | SessionClaimed() | SessionEnded(id_token=str())), *_):
            return True
    return False


READINGS: dict[str, tuple[Reading, AnswerKind]] = {
    "BootNotification": (_boot, AnswerKind.BOOT),
    "Heartbeat": (_heartbeat, AnswerKind.HEARTBEAT),
    "Authorize": (_authorize, AnswerKind.AUTHORIZE),
    "StatusNotification": (_status, AnswerKind.STATUS),
    "TransactionEvent": (_transaction, AnswerKind.METER),
    "MeterValues": (_meter, AnswerKind.METER),
    "NotifyEvent": (_events, AnswerKind.STATUS),
    "FirmwareStatusNotification": (_progress("firmware"), AnswerKind.OTHER),
    "PublishFirmwareStatusNotification": (_progress("firmware"), AnswerKind.OTHER),
    "LogStatusNotification": (_progress("log"), AnswerKind.OTHER),
    "SecurityEventNotification": (_security, AnswerKind.OTHER),
    **dict.fromkeys(
        (
            "ClearedChargingLimit",
            "DataTransfer",
            "Get15118EVCertificate",
            "GetCertificateStatus",
            "NotifyChargingLimit",
            "NotifyCustomerInformation",
            "NotifyDisplayMessages",
            "NotifyEVChargingNeeds",
            "NotifyEVChargingSchedule",
            "NotifyMonitoringReport",
            "NotifyReport",
            "ReportChargingProfiles",
            "ReservationStatusUpdate",
            "SignCertificate",
        ),
        (_nothing, AnswerKind.OTHER),
    ),
}
"""What a charger may say, how it is read and which answer it gets; a TransactionEvent with a token gets that of a start."""
