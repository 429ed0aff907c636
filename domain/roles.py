"""Who acts, in which role, and the states that every room speaks of."""

from dataclasses import dataclass
from enum import Enum, IntFlag, StrEnum
from uuid import UUID


class Role(StrEnum):
    """What a person may do at an installation or charger; ADMINISTRATOR is portal-wide and never granted on an object."""

    USER = "USER"
    OWNER = "OWNER"
    SERVICE = "SERVICE"
    ADMINISTRATOR = "ADMINISTRATOR"


class Scope(StrEnum):
    """What a program may do at the installations of its service account."""

    READ_STATUS = "READ_STATUS"
    READ_SESSIONS = "READ_SESSIONS"
    MANAGE_PERMISSIONS = "MANAGE_PERMISSIONS"
    MANAGE_CARDS = "MANAGE_CARDS"
    AUTHORIZE_CHARGING = "AUTHORIZE_CHARGING"
    CONTROL_CHARGING = "CONTROL_CHARGING"
    SET_AVAILABLE_CURRENT = "SET_AVAILABLE_CURRENT"
    MANAGE_TARIFFS = "MANAGE_TARIFFS"


Right = Role | Scope
"""What is held somewhere: people hold roles, programs scopes."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a signed-in person, or a program by a token of its service account.

    What they may see is asked of `domain.access`, never guessed from this.
    """

    user_id: UUID | None
    """Of a person."""
    is_administrator: bool = False
    sign_in_id: UUID | None = None
    service_account_id: UUID | None = None
    """Of a program; then `user_id` is None."""
    api_token_id: UUID | None = None

    @property
    def id(self) -> UUID:
        """The person or the service account, whichever it is."""
        found = self.user_id or self.service_account_id
        if found is None:
            raise LookupError("an actor is a person or a program")
        return found


class OperatingMode(StrEnum):
    """What a charger is doing, in words for people; whether it is online is told apart."""

    UNKNOWN = "UNKNOWN"
    DISCONNECTED = "DISCONNECTED"
    AWAITING_AUTHORIZATION = "AWAITING_AUTHORIZATION"
    AWAITING_CURRENT = "AWAITING_CURRENT"
    CHARGING = "CHARGING"
    PAUSED = "PAUSED"
    FINISHED = "FINISHED"
    FAULTED = "FAULTED"


class NetworkType(StrEnum):
    """How the site is fed; decides which conductors a charger loads."""

    TN_3_PHASE = "TN_3_PHASE"
    TN_1_PHASE = "TN_1_PHASE"
    IT_3_PHASE = "IT_3_PHASE"
    IT_1_PHASE = "IT_1_PHASE"


class InstallationCategory(StrEnum):
    """What kind of site it is."""

    COMMUNITY = "COMMUNITY"
    COMPANY = "COMPANY"
    PRIVATE = "PRIVATE"
    PUBLIC = "PUBLIC"


class AvailableCurrentMode(StrEnum):
    """What decides the site's available current."""

    MANUAL = "MANUAL"
    SCHEDULE = "SCHEDULE"
    METER = "METER"


class Weekday(StrEnum):
    """A day of the week, in its order (ISO 8601)."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class PhaseRotation(StrEnum):
    """Which grid lines hang at a charger's terminals, in terminal order (R, S, T = L1, L2, L3)."""

    RST = "RST"
    STR = "STR"
    TRS = "TRS"
    RTS = "RTS"
    SRT = "SRT"
    TSR = "TSR"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L1L2 = "L1L2"
    L2L3 = "L2L3"
    L3L1 = "L3L1"


class Phase(StrEnum):
    """A grid line."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


class SessionState(StrEnum):
    """Where a charge session stands."""

    ACTIVE = "ACTIVE"
    ENDED = "ENDED"
    VOID = "VOID"


class SessionFlag(IntFlag):
    """What is special about a session; stored as one integer."""

    OFFLINE = 1
    CLOCK_UNRELIABLE = 2
    STOPPED_BY_CARD = 4
    SIGNED = 8
    VOID = 16
    ABORTED = 32
    ENERGY_ESTIMATED = 64
    START_UNKNOWN = 128
    END_INFERRED = 256
    AUTHORIZATION_DEGRADED = 512


class StopReason(StrEnum):
    """Why a session ended."""

    UNKNOWN = "UNKNOWN"
    CARD = "CARD"
    APP = "APP"
    REMOTE = "REMOTE"
    VEHICLE_DISCONNECTED = "VEHICLE_DISCONNECTED"
    VEHICLE_STOPPED = "VEHICLE_STOPPED"
    POWER_LOSS = "POWER_LOSS"
    RESTART = "RESTART"
    FAULT = "FAULT"
    BALANCER = "BALANCER"
    DEAUTHORIZED = "DEAUTHORIZED"
    OTHER = "OTHER"


class DateQuality(StrEnum):
    """How far a session's dates can be trusted."""

    EXACT = "EXACT"
    OFFLINE = "OFFLINE"
    UNRELIABLE = "UNRELIABLE"


class IntervalQuality(StrEnum):
    """Where the energy of an interval comes from."""

    MEASURED = "MEASURED"
    INTERPOLATED = "INTERPOLATED"
    ESTIMATED = "ESTIMATED"


class DeliveryState(StrEnum):
    """How far a scheduled report to one recipient is."""

    WAITING = "WAITING"
    SENT = "SENT"
    FAILED = "FAILED"


class RecordPlace(StrEnum):
    """Where in its session a signed meter record belongs: at the start, at the end, or the newest of all others."""

    BEGIN = "BEGIN"
    LATEST = "LATEST"
    END = "END"


class SignatureVerdict(StrEnum):
    """What came of checking a session's signatures."""

    VALID = "VALID"
    INVALID = "INVALID"
    NO_KEY = "NO_KEY"


class CommandAction(StrEnum):
    """What a person asked a charger to do."""

    START = "START"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    STOP = "STOP"
    RESTART = "RESTART"
    UNLOCK = "UNLOCK"
    AUTHORIZE = "AUTHORIZE"
    UPDATE_FIRMWARE = "UPDATE_FIRMWARE"
    OTHER = "OTHER"


class CommandState(StrEnum):
    """How far a command has come; ACCEPTED is the charger's word, CONFIRMED its effect."""

    QUEUED = "QUEUED"
    SENT = "SENT"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    OFFLINE = "OFFLINE"
    CONFIRMED = "CONFIRMED"
    UNCONFIRMED = "UNCONFIRMED"

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self not in _OPEN_COMMAND_STATES


_OPEN_COMMAND_STATES = {CommandState.QUEUED, CommandState.SENT, CommandState.ACCEPTED}


class AuthorizationDecision(StrEnum):
    """The answer to an attempt to charge."""

    ACCEPTED = "ACCEPTED"
    BLOCKED = "BLOCKED"
    EXPIRED = "EXPIRED"
    INVALID = "INVALID"
    CONCURRENT = "CONCURRENT"


class CredentialType(StrEnum):
    """What was presented."""

    UNKNOWN = "UNKNOWN"
    CARD = "CARD"
    APP = "APP"
    REMOTE = "REMOTE"
    VEHICLE = "VEHICLE"


class Decider(StrEnum):
    """Who or what decided about an attempt to charge."""

    NATIVE = "NATIVE"
    SUBSCRIBER = "SUBSCRIBER"
    CALL_OUT = "CALL_OUT"
    PRE_AUTHORIZED = "PRE_AUTHORIZED"
    CACHE = "CACHE"
    FAIL_POLICY = "FAIL_POLICY"
    ANONYMOUS = "ANONYMOUS"


class AuthenticationMode(StrEnum):
    """Who decides at an installation: its permissions, or an external system."""

    NATIVE = "NATIVE"
    EXTERNAL = "EXTERNAL"


class ExternalMode(StrEnum):
    """What an external system is for: nothing, to be compared with our own decisions, or to decide."""

    OFF = "OFF"
    SHADOW = "SHADOW"
    ENFORCE = "ENFORCE"


class FailPolicy(StrEnum):
    """What holds when an external system does not answer in time."""

    DENY = "DENY"
    ALLOW_KNOWN = "ALLOW_KNOWN"
    ALLOW_ALL = "ALLOW_ALL"


class EnrollmentState(StrEnum):
    """What came of waiting for a card at a charger."""

    WAITING = "WAITING"
    ENROLLED = "ENROLLED"
    TAKEN = "TAKEN"
    EXPIRED = "EXPIRED"


class SessionEventKind(StrEnum):
    """What happened to a charge session."""

    STARTED = "STARTED"
    UPDATED = "UPDATED"
    ENDED = "ENDED"
    REPLACED = "REPLACED"


class ImportAction(StrEnum):
    """What an imported line does, or would do."""

    ADD = "ADD"
    CHANGE = "CHANGE"
    KEEP = "KEEP"
    REMOVE = "REMOVE"
    REJECT = "REJECT"


class MailedSecretKind(StrEnum):
    """What a secret sent by mail is good for."""

    VERIFY = "VERIFY"
    RESET = "RESET"


class BindingLimit(StrEnum):
    """What keeps a charger from more current."""

    NONE = "NONE"
    CAR = "CAR"
    CHARGER = "CHARGER"
    CIRCUIT = "CIRCUIT"
    AVAILABLE_CURRENT = "AVAILABLE_CURRENT"
    FAIR_SHARE = "FAIR_SHARE"
    ROTATION = "ROTATION"
    PAUSED = "PAUSED"
    SCHEDULE = "SCHEDULE"
    OFFLINE_RESERVE = "OFFLINE_RESERVE"
    METER_STALE = "METER_STALE"
    OVERLOAD = "OVERLOAD"
    OTHER = "OTHER"


class AlertKind(StrEnum):
    """What is wrong."""

    UNKNOWN = "UNKNOWN"
    CHARGER_OFFLINE = "CHARGER_OFFLINE"
    INSTALLATION_OFFLINE = "INSTALLATION_OFFLINE"
    CABLE_FAULT = "CABLE_FAULT"
    CONNECTOR_LOCK = "CONNECTOR_LOCK"
    GROUND_FAULT = "GROUND_FAULT"
    CONTACTOR_WELDED = "CONTACTOR_WELDED"
    OVER_TEMPERATURE = "OVER_TEMPERATURE"
    OVERCURRENT = "OVERCURRENT"
    VOLTAGE = "VOLTAGE"
    METER_FAULT = "METER_FAULT"
    READER_FAULT = "READER_FAULT"
    VEHICLE_COMMUNICATION = "VEHICLE_COMMUNICATION"
    INTERNAL = "INTERNAL"
    SECURITY = "SECURITY"
    NO_CURRENT = "NO_CURRENT"
    CIRCUIT_OVERLOAD = "CIRCUIT_OVERLOAD"
    METER_STALE = "METER_STALE"
    BALANCER_DEGRADED = "BALANCER_DEGRADED"
    EXTERNAL_AUTHENTICATION_DOWN = "EXTERNAL_AUTHENTICATION_DOWN"
    UNKNOWN_CARD_REPEATED = "UNKNOWN_CARD_REPEATED"
    CLOCK_UNRELIABLE = "CLOCK_UNRELIABLE"
    OFFLINE_SESSIONS_RECEIVED = "OFFLINE_SESSIONS_RECEIVED"


class Severity(StrEnum):
    """How bad it is."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class AlertState(StrEnum):
    """Where an alert stands."""

    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"


class AlertDelivery(StrEnum):
    """When mails about alerts go out."""

    IMMEDIATE = "IMMEDIATE"
    HOURLY_DIGEST = "HOURLY_DIGEST"
    DAILY_DIGEST = "DAILY_DIGEST"


class Language(StrEnum):
    """In which language people are written to."""

    EN = "EN"
    NB = "NB"


class ReportBasis(StrEnum):
    """Which instant puts a session into a period."""

    REGISTERED = "REGISTERED"
    ENDED = "ENDED"
    INTERVAL = "INTERVAL"


class UsageDimension(StrEnum):
    """What a summary is grouped by."""

    CHARGER = "CHARGER"
    USER = "USER"
    CHARGE_CARD = "CHARGE_CARD"
    CIRCUIT = "CIRCUIT"
    INSTALLATION = "INSTALLATION"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    HOUR = "HOUR"


class CostUnit(StrEnum):
    """What a part of a tariff is paid for: energy, time connected, time connected after the car is full, a charge, a month."""

    KWH = "KWH"
    HOUR = "HOUR"
    IDLE_HOUR = "IDLE_HOUR"
    SESSION = "SESSION"
    MONTH = "MONTH"


class ReportKind(StrEnum):
    """What a file contains."""

    SUMMARY = "SUMMARY"
    SESSIONS = "SESSIONS"
    COST = "COST"


class ExportFormat(StrEnum):
    """In which form a file is made."""

    XLSX = "XLSX"
    CSV = "CSV"
    PDF = "PDF"


class ExportState(StrEnum):
    """Where a file to be made stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class Unset(Enum):
    """Marks an absent field of an update, which stays as it is; None clears."""

    UNSET = "UNSET"


UNSET = Unset.UNSET
