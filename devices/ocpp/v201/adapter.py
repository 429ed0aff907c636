"""OCPP 2.0.1: a charger's messages as observations, our answers, our commands (pure functions)."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from devices.ocpp.frames import CallError, ErrorCode
from devices.ocpp.leniency import Names, Unreadable
from devices.ocpp.protocol import AnswerKind, BootVerdict, ListLimits, Outgoing, Received, Refused
from devices.ocpp.v16.commands import error_verdict, timestamp
from devices.ocpp.v16.reading import Payload
from devices.ocpp.v201 import commands, local_list, messages, reports, smart_charging
from devices.ocpp.v201.reading import READINGS, says_token
from domain.equipment.capabilities import DEFAULT, Capabilities
from domain.identification.local_list_rules import Update
from domain.ports import DeviceAnswer, DeviceCommand, DeviceVerdict
from domain.roles import AuthorizationDecision

DECISIONS: dict[AuthorizationDecision, messages.IdTokenInfoType] = {
    AuthorizationDecision.ACCEPTED: messages.IdTokenInfoType(status="Accepted"),
    AuthorizationDecision.BLOCKED: messages.IdTokenInfoType(status="Blocked"),
    AuthorizationDecision.EXPIRED: messages.IdTokenInfoType(status="Expired"),
    AuthorizationDecision.INVALID: messages.IdTokenInfoType(status="Invalid"),
    AuthorizationDecision.CONCURRENT: messages.IdTokenInfoType(status="ConcurrentTx"),
}

BOOTS: dict[BootVerdict, messages.RegistrationStatusEnumType] = {
    BootVerdict.ACCEPTED: "Accepted",
    BootVerdict.PENDING: "Pending",
    BootVerdict.REJECTED: "Rejected",
}

SAID_OTHERWISE: dict[str, msgspec.Struct] = {
    "DataTransfer": messages.DataTransferResponse(status="UnknownVendorId"),
    "Get15118EVCertificate": messages.Get15118EVCertificateResponse(status="Failed", exi_response=""),
    "GetCertificateStatus": messages.GetCertificateStatusResponse(status="Failed"),
    "NotifyEVChargingNeeds": messages.NotifyEVChargingNeedsResponse(status="Rejected"),
    "NotifyEVChargingSchedule": messages.NotifyEVChargingScheduleResponse(status="Accepted"),
    "SignCertificate": messages.SignCertificateResponse(status="Rejected"),
}
"""Answers that say more than that the message was heard: what we do not do is declined."""

ACKNOWLEDGEMENTS: dict[str, msgspec.Struct] = {
    action: SAID_OTHERWISE.get(action) or messages.RESULTS[action]()
    for action, (_, kind) in READINGS.items()
    if kind in (AnswerKind.STATUS, AnswerKind.METER, AnswerKind.OTHER)
}

SPELLINGS = {
    ErrorCode.FORMATION_VIOLATION: ErrorCode.FORMAT_VIOLATION,
    ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION: ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    ErrorCode.PROTOCOL_ERROR: ErrorCode.RPC_FRAMEWORK_ERROR,
}
"""Codes that have another name than in 1.6; a frame that is none was a protocol error there."""

_WITHOUT_STATUS = {"GetLocalListVersion", "GetVariables"}


class V201:
    """OCPP 2.0.1, and 2.1 as far as it means the same."""

    def __init__(self, subprotocol: str = "ocpp2.0.1") -> None:
        self.subprotocol = subprotocol

    def receive(self, action: str, payload: Payload, *, received_at: datetime) -> Received | Refused:
        """What the charger said. Never raises; never Refused for a message of a transaction that is a JSON object."""
        entry = READINGS.get(action)
        if entry is None:
            is_ours = action in messages.CALLS
            code = ErrorCode.NOT_SUPPORTED if is_ours else ErrorCode.NOT_IMPLEMENTED
            return Refused(code, f"{action[:50]} is not a message that a charger sends")
        read, kind = entry
        names: Names = []
        try:
            observations = read(payload, received_at, names)
            part = reports.part(payload, names) if action == reports.ACTION else None
        except Unreadable as error:
            return Refused(ErrorCode.FORMATION_VIOLATION, str(error))
        if says_token(observations):
            kind = AnswerKind.START
        return Received(action, observations, kind, tuple(dict.fromkeys(names)) if names else (), part)

    def spelled(self, code: ErrorCode) -> ErrorCode:
        """The code as 2.0.1 has it."""
        return SPELLINGS.get(code, code)

    def boot(self, verdict: BootVerdict, *, now: datetime, interval_s: int) -> msgspec.Struct:
        """BootNotificationResponse."""
        return messages.BootNotificationResponse(
            status=BOOTS[verdict], current_time=timestamp(now), interval=interval_s
        )

    def heartbeat(self, *, now: datetime) -> msgspec.Struct:
        """HeartbeatResponse."""
        return messages.HeartbeatResponse(current_time=timestamp(now))

    def authorize(self, decision: AuthorizationDecision) -> msgspec.Struct:
        """AuthorizeResponse."""
        return messages.AuthorizeResponse(id_token_info=DECISIONS[decision])

    def started(self, transaction_id: str, decision: AuthorizationDecision) -> msgspec.Struct:  # noqa: ARG002  the charger has its own
        """TransactionEventResponse to one with a token."""
        return messages.TransactionEventResponse(id_token_info=DECISIONS[decision])

    def acknowledge(self, action: str) -> msgspec.Struct:
        """The answer that says no more than that it was heard, or that we do not do this."""
        return ACKNOWLEDGEMENTS[action]

    def encode(
        self, command: DeviceCommand, *, evse: int, now: datetime, capabilities: Capabilities = DEFAULT
    ) -> Outgoing:
        """The call for this EVSE of such a charger; `now` by its clock. Raises UnencodableError."""
        return commands.encode(command, evse=evse, now=now, capabilities=capabilities)

    def clear_profiles(self) -> tuple[Outgoing, ...]:
        """ClearChargingProfileRequest for every purpose: without one, it has to name a profile."""
        return commands.CLEAR_PROFILES

    def ask_capabilities(self) -> Outgoing:
        """GetVariablesRequest for its charging profiles."""
        return smart_charging.ask()

    def capabilities(self, answer: DeviceAnswer) -> Mapping[str, object]:
        """What it says about its charging profiles."""
        return smart_charging.told(answer.detail) if answer.verdict is DeviceVerdict.ACCEPTED else {}

    def ask_report(self, request_id: int) -> tuple[Outgoing, ...]:
        """GetBaseReportRequest: FullInventory has what cannot be set, too."""
        return reports.ask(request_id)

    def reported(self, values: Mapping[str, str]) -> Mapping[str, object]:
        """What it says about its charging profiles."""
        return smart_charging.facts(values)

    def questions(self, *, evse: int) -> tuple[Outgoing, ...]:
        """TriggerMessageRequest for the connector's status, and for what its transaction does: Occupied alone does not say."""
        return (commands.trigger("StatusNotification", evse), commands.trigger("TransactionEvent", evse))

    def settings(self, *, meter_interval_s: int, heartbeat_interval_s: int) -> tuple[Outgoing, ...]:
        """SetVariablesRequest for what we rely on; a charger may refuse each."""
        return commands.settings(meter_interval_s, heartbeat_interval_s)

    def verdict(self, action: str, payload: Payload) -> DeviceAnswer:
        """What a CALLRESULT says: its status, or the answer itself where there is none."""
        if action in _WITHOUT_STATUS:
            return DeviceAnswer(DeviceVerdict.ACCEPTED, bytes(payload).decode(errors="replace"))
        return commands.verdict_on_variables(payload) if action == "SetVariables" else commands.verdict(payload)

    def error_verdict(self, error: CallError) -> DeviceAnswer:
        """What a CALLERROR says."""
        return error_verdict(error)

    keeps_no_list = "NotSupported"

    def ask_list_version(self) -> Outgoing:
        """GetLocalListVersionRequest."""
        return local_list.ask_version()

    def list_version(self, answer: DeviceAnswer) -> int | None:
        """The version, 0 for an empty list; None where the charger keeps none."""
        return local_list.version_of(answer.detail) if answer.verdict is DeviceVerdict.ACCEPTED else None

    def ask_list_limits(self) -> Outgoing:
        """GetVariablesRequest."""
        return local_list.ask_limits()

    def list_limits(self, answer: DeviceAnswer) -> ListLimits:
        """What it says about the list."""
        return local_list.limits_of(answer.detail)

    def list_settings(self, limits: ListLimits, *, is_open: bool) -> tuple[tuple[str, str, Outgoing], ...]:
        """SetVariablesRequest for what is not as it has to be."""
        return local_list.settings(limits, is_open=is_open)

    def asks_first(self, values: Mapping[str, str]) -> bool:
        """Whether it asks about a card of its list while it can."""
        return local_list.asks_first(values)

    def remembers(self, values: Mapping[str, str]) -> bool:
        """Whether its authorization cache is in use."""
        return local_list.remembers(values)

    def forget_cards(self) -> Outgoing:
        """ClearCacheRequest."""
        return Outgoing("ClearCache", messages.ClearCache())

    def send_list(self, update: Update, version: int) -> Outgoing:
        """SendLocalListRequest."""
        return local_list.send(update, version)
