"""OCPP 1.6-J: a charger's messages as observations, our answers, our commands (pure functions)."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from devices.ocpp.frames import CallError, ErrorCode
from devices.ocpp.leniency import Names, Unreadable
from devices.ocpp.protocol import BootVerdict, ListLimits, Outgoing, Received, Refused
from devices.ocpp.v16 import commands, local_list, messages, smart_charging
from devices.ocpp.v16.reading import READINGS, Payload
from domain.equipment.capabilities import DEFAULT, Capabilities
from domain.identification.local_list_rules import Update
from domain.ports import DeviceAnswer, DeviceCommand, DeviceVerdict
from domain.roles import AuthorizationDecision

DECISIONS: dict[AuthorizationDecision, messages.IdTagInfo] = {
    AuthorizationDecision.ACCEPTED: messages.IdTagInfo(status="Accepted"),
    AuthorizationDecision.BLOCKED: messages.IdTagInfo(status="Blocked"),
    AuthorizationDecision.EXPIRED: messages.IdTagInfo(status="Expired"),
    AuthorizationDecision.INVALID: messages.IdTagInfo(status="Invalid"),
    AuthorizationDecision.CONCURRENT: messages.IdTagInfo(status="ConcurrentTx"),
}

BOOTS: dict[BootVerdict, messages.BootNotificationResponseStatus] = {
    BootVerdict.ACCEPTED: "Accepted",
    BootVerdict.PENDING: "Pending",
    BootVerdict.REJECTED: "Rejected",
}

ACKNOWLEDGEMENTS: dict[str, msgspec.Struct] = {
    "StatusNotification": messages.StatusNotificationResponse(),
    "MeterValues": messages.MeterValuesResponse(),
    "StopTransaction": messages.StopTransactionResponse(),
    "FirmwareStatusNotification": messages.FirmwareStatusNotificationResponse(),
    "SignedFirmwareStatusNotification": messages.SignedFirmwareStatusNotificationResponse(),
    "DiagnosticsStatusNotification": messages.DiagnosticsStatusNotificationResponse(),
    "LogStatusNotification": messages.LogStatusNotificationResponse(),
    "SecurityEventNotification": messages.SecurityEventNotificationResponse(),
    "SignCertificate": messages.SignCertificateResponse(status="Rejected"),
    "DataTransfer": messages.DataTransferResponse(status="UnknownVendorId"),
}

_WITHOUT_A_WORD = {"UpdateFirmware", "GetDiagnostics"}
"""Their answers say no more than that they were heard (§6.21, §6.55)."""
_WITHOUT_STATUS = {"GetLocalListVersion", "GetConfiguration"}


class V16:
    """OCPP 1.6-J."""

    subprotocol = "ocpp1.6"

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
        except Unreadable as error:
            return Refused(ErrorCode.TYPE_CONSTRAINT_VIOLATION, str(error))
        return Received(action, observations, kind, tuple(dict.fromkeys(names)) if names else ())

    def spelled(self, code: ErrorCode) -> ErrorCode:
        """The codes are named as 1.6 spells them."""
        return code

    def boot(self, verdict: BootVerdict, *, now: datetime, interval_s: int) -> msgspec.Struct:
        """BootNotification.conf."""
        return messages.BootNotificationResponse(
            status=BOOTS[verdict], current_time=commands.timestamp(now), interval=interval_s
        )

    def heartbeat(self, *, now: datetime) -> msgspec.Struct:
        """Heartbeat.conf."""
        return messages.HeartbeatResponse(current_time=commands.timestamp(now))

    def authorize(self, decision: AuthorizationDecision) -> msgspec.Struct:
        """Authorize.conf."""
        return messages.AuthorizeResponse(id_tag_info=DECISIONS[decision])

    def started(self, transaction_id: str, decision: AuthorizationDecision) -> msgspec.Struct:
        """StartTransaction.conf."""
        return messages.StartTransactionResponse(
            transaction_id=commands.transaction_id(transaction_id), id_tag_info=DECISIONS[decision]
        )

    def acknowledge(self, action: str) -> msgspec.Struct:
        """The answer that says no more than that it was heard; also StopTransaction.conf."""
        return ACKNOWLEDGEMENTS[action]

    def encode(
        self, command: DeviceCommand, *, evse: int, now: datetime, capabilities: Capabilities = DEFAULT
    ) -> Outgoing:
        """The call for this connector of such a charger; `now` by its clock. Raises UnencodableError."""
        return commands.encode(command, evse=evse, now=now, capabilities=capabilities)

    def clear_profiles(self) -> tuple[Outgoing, ...]:
        """ClearChargingProfile.req for all of them."""
        return commands.CLEAR_PROFILES

    def ask_capabilities(self) -> Outgoing:
        """GetConfiguration.req for its charging profiles."""
        return smart_charging.ask()

    def capabilities(self, answer: DeviceAnswer) -> Mapping[str, object]:
        """What it says about its charging profiles."""
        return smart_charging.told(answer.detail) if answer.verdict is DeviceVerdict.ACCEPTED else {}

    def ask_report(self, request_id: int) -> tuple[Outgoing, ...]:  # noqa: ARG002  there is none
        """Nothing: GetConfiguration for everything crashes some firmware."""
        return ()

    def reported(self, values: Mapping[str, str]) -> Mapping[str, object]:  # noqa: ARG002
        """Nothing."""
        return {}

    def questions(self, *, evse: int) -> tuple[Outgoing, ...]:
        """TriggerMessage.req for the connector's status."""
        return (commands.trigger("StatusNotification", evse),)

    def settings(self, *, meter_interval_s: int, heartbeat_interval_s: int) -> tuple[Outgoing, ...]:
        """ChangeConfiguration.req for what we rely on; a charger may refuse each."""
        return commands.settings(meter_interval_s, heartbeat_interval_s)

    def verdict(self, action: str, payload: Payload) -> DeviceAnswer:
        """What a CALLRESULT says: its status, or the answer itself where there is none."""
        if action in _WITHOUT_A_WORD:
            return DeviceAnswer(DeviceVerdict.ACCEPTED)
        if action in _WITHOUT_STATUS:
            return DeviceAnswer(DeviceVerdict.ACCEPTED, bytes(payload).decode(errors="replace"))
        return commands.verdict(payload)

    def error_verdict(self, error: CallError) -> DeviceAnswer:
        """What a CALLERROR says."""
        return commands.error_verdict(error)

    keeps_no_list = "NotSupported"

    def ask_list_version(self) -> Outgoing:
        """GetLocalListVersion.req."""
        return local_list.ask_version()

    def list_version(self, answer: DeviceAnswer) -> int | None:
        """The version, 0 for an empty list; None where the charger keeps none."""
        return local_list.version_of(answer.detail) if answer.verdict is DeviceVerdict.ACCEPTED else None

    def ask_list_limits(self) -> Outgoing:
        """GetConfiguration.req."""
        return local_list.ask_limits()

    def list_limits(self, answer: DeviceAnswer) -> ListLimits:
        """What it says about the list."""
        return local_list.limits_of(answer.detail)

    def list_settings(self, limits: ListLimits, *, is_open: bool) -> tuple[tuple[str, str, Outgoing], ...]:
        """ChangeConfiguration.req for what is not as it has to be."""
        return local_list.settings(limits, is_open=is_open)

    def asks_first(self, values: Mapping[str, str]) -> bool:
        """Whether it asks about a card of its list while it can."""
        return local_list.asks_first(values)

    def remembers(self, values: Mapping[str, str]) -> bool:
        """Whether its authorization cache is in use."""
        return local_list.remembers(values)

    def forget_cards(self) -> Outgoing:
        """ClearCache.req."""
        return Outgoing("ClearCache", messages.ClearCache())

    def send_list(self, update: Update, version: int) -> Outgoing:
        """SendLocalList.req."""
        return local_list.send(update, version)
