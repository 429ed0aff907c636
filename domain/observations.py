"""What a charger told us, in our words, whatever protocol it speaks: the adapters make these, the machine doors take them.

Every observation says when it happened by the charger's clock and when it reached us; judging clocks and order is the
domain's work (domain.md §5), so both instants are kept as they came. They are msgspec structs because every message makes some:
a frozen dataclass costs ten times as much to make.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from domain.roles import AlertKind, StopReason


class ConnectorStatus(StrEnum):
    """What an OCPP connector reports (OCPP 1.6 §7.7); 2.0.1's states map onto it. Anything else is UNKNOWN."""

    AVAILABLE = "AVAILABLE"
    PREPARING = "PREPARING"
    CHARGING = "CHARGING"
    SUSPENDED_EV = "SUSPENDED_EV"
    SUSPENDED_EVSE = "SUSPENDED_EVSE"
    FINISHING = "FINISHING"
    RESERVED = "RESERVED"
    UNAVAILABLE = "UNAVAILABLE"
    FAULTED = "FAULTED"
    UNKNOWN = "UNKNOWN"


class Observation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Common to all: `charger_time` is None when the message has none (or none that can be read)."""

    charger_time: datetime | None
    received_at: datetime
    is_marked_offline: bool = False
    """OCPP 2.0.1 `offline`; absent in 1.6."""


class Booted(Observation, frozen=True, kw_only=True, gc=False):
    """The station started or says that it did (BootNotification)."""

    vendor: str
    model: str
    serial_number: str | None
    firmware_version: str | None
    is_restart: bool = True
    """False: it was only asked who it is."""
    lost_power: bool = True
    """Whether charges may have ended unseen. OCPP 1.6 does not say, so they may."""


class Heard(Observation, frozen=True, kw_only=True, gc=False):
    """A heartbeat: presence, and a clock sample where it carries one."""


class StatusReported(Observation, frozen=True, kw_only=True, gc=False):
    """A connector's status; evse 0 is the station as a whole."""

    evse: int
    status: ConnectorStatus
    is_coarse: bool = False
    """OCPP 2.0.1: PREPARING says only that a car is there, not what it does, and no status says what is wrong (FaultReported does)."""
    transaction_id: str | None = None
    """Whose connector it is, where the message is one of a transaction."""
    error_code: str | None = None
    vendor_error_code: str | None = None
    info: str | None = None


class FaultReported(Observation, frozen=True, kw_only=True, gc=False):
    """Something is wrong at a connector, or is not any more (2.0.1 NotifyEvent); evse 0 is the station as a whole."""

    evse: int
    kind: AlertKind
    is_cleared: bool
    vendor_code: str | None = None
    info: str | None = None


class TokenPresented(Observation, frozen=True, kw_only=True, gc=False):
    """A card or app token asks to charge (Authorize); `evse` None where the message does not say."""

    evse: int | None
    id_token: str


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One reading of a charger's meter. Registers in Wh (import, lifetime or session relative), power in W, currents in A by terminal."""

    at: datetime | None
    context: str
    register_wh: int | None = None
    power_w: float | None = None
    currents: tuple[float | None, float | None, float | None] = (None, None, None)
    voltages: tuple[float | None, float | None, float | None] = (None, None, None)
    soc_percent: float | None = None
    offered_a: float | None = None
    signed_payload: str | None = None
    """What the meter signed, as it was sent (domain/equipment/ocmf.py); None where nothing was that can be kept."""


class SessionStarted(Observation, frozen=True, kw_only=True, gc=False):
    """A transaction began (1.6 StartTransaction, 2.0.1 TransactionEvent Started).

    1.6 has no transaction id yet: ours is given in the answer. In 2.0.1 it is the charger's own, and the token may come later.
    """

    evse: int
    id_token: str | None
    meter_start_wh: int | None
    transaction_id: str | None = None
    reservation_id: int | None = None
    samples: tuple[Sample, ...] = ()


class Metered(Observation, frozen=True, kw_only=True, gc=False):
    """Meter values, of a transaction or between two (`transaction_id` None). A transaction may speak without any."""

    evse: int
    transaction_id: str | None
    samples: tuple[Sample, ...]
    is_own_id: bool = False
    """The charger made the id (2.0.1), so that an unknown one is a transaction of which the start has not come."""


class SessionClaimed(Observation, frozen=True, kw_only=True, gc=False):
    """A token at a transaction that goes on (2.0.1 TransactionEvent Updated with an idToken); `is_stop`: it was shown to end it."""

    evse: int
    transaction_id: str | None
    id_token: str
    is_stop: bool = False


class SessionEnded(Observation, frozen=True, kw_only=True, gc=False):
    """The final record (1.6 StopTransaction, 2.0.1 TransactionEvent Ended); `evse` None where the message does not say."""

    evse: int | None
    transaction_id: str | None
    meter_stop_wh: int | None
    reason: StopReason
    id_token: str | None = None
    samples: tuple[Sample, ...] = ()
    is_own_id: bool = False
    """As in Metered: no other transaction can be meant."""


class FirmwareReported(Observation, frozen=True, kw_only=True, gc=False):
    """Progress of a firmware update or of an upload of diagnostics."""

    subject: str
    status: str


AnyObservation = (
    Booted
    | Heard
    | StatusReported
    | FaultReported
    | TokenPresented
    | SessionStarted
    | Metered
    | SessionClaimed
    | SessionEnded
    | FirmwareReported
)
