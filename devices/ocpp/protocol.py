"""What every protocol version offers to the link: messages in our words, answers, and commands as the charger understands them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from devices.ocpp.frames import CallError, ErrorCode
from domain.equipment.capabilities import DEFAULT, Capabilities, RateUnit
from domain.identification.local_list_rules import Update
from domain.observations import AnyObservation
from domain.ports import DeviceAnswer, DeviceCommand
from domain.roles import AuthorizationDecision


class AnswerKind(StrEnum):
    """Which answer a message asks for, and thereby what must have happened before it goes out."""

    BOOT = "BOOT"
    HEARTBEAT = "HEARTBEAT"
    STATUS = "STATUS"
    AUTHORIZE = "AUTHORIZE"
    START = "START"
    """A start, or in 2.0.1 any word of a transaction with a token."""
    METER = "METER"
    STOP = "STOP"
    OTHER = "OTHER"
    """Nothing but the adapter's own `acknowledge`."""

    @property
    def waits_for_commit(self) -> bool:
        """Whether the answer goes out only after what was said is durable."""
        return self in _DURABLE


_DURABLE = {AnswerKind.START, AnswerKind.METER, AnswerKind.STOP}


class BootVerdict(StrEnum):
    """The answer to a boot (OCPP 1.6 §7.36)."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class ReportPart(msgspec.Struct, frozen=True, gc=False):
    """A part of what a charger reports of itself: those of its `values` that matter here, by their names. The first part is 0."""

    request_id: int | None
    sequence: int
    is_last: bool
    values: Mapping[str, str]


class Received(msgspec.Struct, frozen=True, gc=False):
    """An understood message. `leniencies` names what had to be forgiven, each once; `part` is there where it is one of a report."""

    action: str
    observations: tuple[AnyObservation, ...]
    answer_kind: AnswerKind
    leniencies: tuple[str, ...] = ()
    part: ReportPart | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that gets a CALLERROR."""

    code: ErrorCode
    description: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A CALL of ours, without its id."""

    action: str
    payload: msgspec.Struct
    asks_status_of: int | None = None
    """The connector whose status the charger says next, once it has accepted this."""
    is_default_of: int | None = None
    """The connector that this gives a limit for charges to come."""


@dataclass(frozen=True, slots=True)
class ListLimits:
    """What a charger says about its local authorization list; None: nothing."""

    most_entries: int | None = None
    most_per_message: int | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    """Settings as they are, by the charger's names."""


def profile_facts(*, units: str | None, levels: str | None) -> Mapping[str, object]:
    """What a charger says about its charging profiles, by the names of `Capabilities`.

    Amperes are what fuses are in: watts are used only where the charger takes nothing else.
    """
    facts: dict[str, object] = {}
    named = {one.strip().lower() for one in (units or "").split(",")}
    if named & _IN_AMPERES:
        facts["rate_unit"] = RateUnit.AMPERE
    elif named & _IN_WATTS:
        facts["rate_unit"] = RateUnit.WATT
    if levels is not None and levels.strip().isdecimal():
        facts["most_stack_level"] = min(int(levels), DEFAULT.most_stack_level)
    return facts


_IN_AMPERES, _IN_WATTS = {"current", "a"}, {"power", "w"}


class UnencodableError(ValueError):
    """The command cannot be said in this protocol: a token that is too long, a schedule that does not start now."""


class Adapter(Protocol):
    """A protocol version: pure functions, no state."""

    @property
    def subprotocol(self) -> str:
        """Its name in the WebSocket handshake."""
        ...

    def receive(self, action: str, payload: msgspec.Raw | bytes, *, received_at: datetime) -> Received | Refused:
        """What the charger said. Never raises; never Refused for a message of a transaction that is a JSON object."""
        ...

    def spelled(self, code: ErrorCode) -> ErrorCode:
        """The code as this version has it."""
        ...

    def boot(self, verdict: BootVerdict, *, now: datetime, interval_s: int) -> msgspec.Struct:
        """Answer to BOOT: heartbeats every `interval_s`, or when to ask again."""
        ...

    def heartbeat(self, *, now: datetime) -> msgspec.Struct:
        """Answer to HEARTBEAT."""
        ...

    def authorize(self, decision: AuthorizationDecision) -> msgspec.Struct:
        """Answer to AUTHORIZE."""
        ...

    def started(self, transaction_id: str, decision: AuthorizationDecision) -> msgspec.Struct:
        """Answer to START: the id by which the charger will speak of it, where it has none of its own, and how its token stands."""
        ...

    def acknowledge(self, action: str) -> msgspec.Struct:
        """Answer to STATUS, METER, STOP and OTHER."""
        ...

    def encode(
        self, command: DeviceCommand, *, evse: int, now: datetime, capabilities: Capabilities = DEFAULT
    ) -> Outgoing:
        """The command for this connector of such a charger; `now` is the instant by its clock. Raises UnencodableError."""
        ...

    def clear_profiles(self) -> tuple[Outgoing, ...]:
        """The calls after which the station holds no charging profile, whoever it was from."""
        ...

    def ask_capabilities(self) -> Outgoing:
        """The question for what the charger can do."""
        ...

    def capabilities(self, answer: DeviceAnswer) -> Mapping[str, object]:
        """What the answer says, by the names of `Capabilities`; nothing where it says nothing."""
        ...

    def ask_report(self, request_id: int) -> tuple[Outgoing, ...]:
        """The questions for everything that a charger has to tell of itself, of which one that it takes is enough; the best first."""
        ...

    def reported(self, values: Mapping[str, str]) -> Mapping[str, object]:
        """What the parts of a report say together, as `capabilities`."""
        ...

    def questions(self, *, evse: int) -> tuple[Outgoing, ...]:
        """The calls that make a charger say how a connector is, after it came back without a boot."""
        ...

    def settings(self, *, meter_interval_s: int, heartbeat_interval_s: int) -> tuple[Outgoing, ...]:
        """The calls that make a charger report as we want it: readings of a charge, and heartbeats, so often."""
        ...

    def verdict(self, action: str, payload: msgspec.Raw | bytes) -> DeviceAnswer:
        """What the charger's CALLRESULT to a command says."""
        ...

    def error_verdict(self, error: CallError) -> DeviceAnswer:
        """What the charger's CALLERROR to a command says."""
        ...

    @property
    def keeps_no_list(self) -> str:
        """A charger's word for an update of a list that it does not keep."""
        ...

    def ask_list_version(self) -> Outgoing:
        """The question for the version of the local authorization list."""
        ...

    def list_version(self, answer: DeviceAnswer) -> int | None:
        """The version in the answer, 0 for an empty list; None where the charger keeps none."""
        ...

    def ask_list_limits(self) -> Outgoing:
        """The question for how long the list may be and how it is used."""
        ...

    def list_limits(self, answer: DeviceAnswer) -> ListLimits:
        """What the answer says."""
        ...

    def list_settings(self, limits: ListLimits, *, is_open: bool) -> tuple[tuple[str, str, Outgoing], ...]:
        """What makes a charger use the list while it is off the net, and only then, as far as it is not so: (name, value, call).

        `is_open`: off the net it lets everybody charge.
        """
        ...

    def asks_first(self, values: Mapping[str, str]) -> bool:
        """Whether the charger, set like this, asks about a card while it can, though it is in its list."""
        ...

    def remembers(self, values: Mapping[str, str]) -> bool:
        """Whether the charger, set like this, lets in who was let in before without asking, as far as it says."""
        ...

    def forget_cards(self) -> Outgoing:
        """The call after which a charger has forgotten whom it has let in."""
        ...

    def send_list(self, update: Update, version: int) -> Outgoing:
        """The update, which makes the list that version."""
        ...
