"""Commands as OCPP 2.0.1 calls, and what a charger's answer to one means."""

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import pairwise
from typing import Any, cast

import msgspec

from devices.ocpp.leniency import Reader, Unreadable, clean
from devices.ocpp.protocol import Outgoing, UnencodableError
from devices.ocpp.v16.commands import (
    DEFAULT_PROFILE_ID,
    DEFAULT_STACK_LEVEL,
    MAX_DETAIL,
    MEASURANDS,
    PROFILES_EACH,
    RATE_UNITS,
    TRANSACTION_PROFILE_ID,
    TRANSACTION_STACK_LEVEL,
    limit,
    timestamp,
)
from devices.ocpp.v201 import incoming, messages
from domain.equipment.capabilities import DEFAULT, Capabilities, RateUnit
from domain.ports import (
    DeviceAnswer,
    DeviceCommand,
    DeviceVerdict,
    OfferCurrent,
    OfferStep,
    Restart,
    SendDiagnostics,
    SetAvailability,
    StartCharging,
    StopCharging,
    Trigger,
    Unlock,
    UpdateFirmware,
)

MAX_TEXT = 36
"""Of a token and of a transaction's id."""
MAX_ADDRESS = 512
CONNECTOR = 1
"""A charger of ours is an EVSE with one connector."""
START_IDS = 2**31 - 1
ACCEPTING = {"Accepted", "Unlocked", "RebootRequired", "Scheduled"}
REGISTER = "Energy.Active.Import.Register"

_ANSWER = Reader(incoming.Answer)
_SET = Reader(incoming.SetVariablesAnswer)


def encode(command: DeviceCommand, *, evse: int, now: datetime, capabilities: Capabilities = DEFAULT) -> Outgoing:
    """The call for this EVSE of such a charger. Raises UnencodableError."""
    if isinstance(command, OfferCurrent):
        return _offer(command, evse, now, capabilities)
    return _ENCODERS[type(command)](command, evse, now)


def verdict(payload: msgspec.Raw | bytes) -> DeviceAnswer:
    """What the CALLRESULT says; a charger that answers without a status has not understood."""
    try:
        answer = _ANSWER.read(payload, [])
    except Unreadable as error:
        return DeviceAnswer(DeviceVerdict.ERROR, str(error)[:MAX_DETAIL])
    reason = None if answer.status_info is None else clean(answer.status_info.reason_code, MAX_DETAIL, [])
    return _verdict(clean(answer.status, MAX_DETAIL, []), reason)


def verdict_on_variables(payload: msgspec.Raw | bytes) -> DeviceAnswer:
    """What the answer to SetVariables says: its first refusal, if there is one."""
    try:
        results = _SET.read(payload, []).set_variable_result or []
    except Unreadable as error:
        return DeviceAnswer(DeviceVerdict.ERROR, str(error)[:MAX_DETAIL])
    found = [clean(one.attribute_status, MAX_DETAIL, []) for one in results]
    return _verdict(next((one for one in found if one not in ACCEPTING), found[0] if found else None), None)


def _verdict(status: str | None, reason: str | None) -> DeviceAnswer:
    if status is None:
        return DeviceAnswer(DeviceVerdict.ERROR, "the answer has no status")
    detail = status if reason is None else f"{status}: {reason}"
    return DeviceAnswer(DeviceVerdict.ACCEPTED if status in ACCEPTING else DeviceVerdict.REJECTED, detail)


def text(value: str, what: str) -> str:
    """The text, if OCPP 2.0.1 can carry it (identifierString[36])."""
    if not 0 < len(value) <= MAX_TEXT:
        raise UnencodableError(f"{what} has 1 to {MAX_TEXT} characters, this one has {len(value)}")
    return value


def set_variables(wanted: Iterable[tuple[str, str, str]]) -> tuple[Outgoing, ...]:
    """A SetVariablesRequest for each (component, variable, value): one that is refused takes no other along."""
    return tuple(
        Outgoing(
            "SetVariables",
            messages.SetVariables(
                set_variable_data=[
                    messages.SetVariableDataType(
                        attribute_value=value,
                        component=messages.ComponentType(name=component),
                        variable=messages.VariableType(name=variable),
                    )
                ]
            ),
        )
        for component, variable, value in wanted
    )


CLEARED: tuple[messages.ChargingProfilePurposeEnumType, ...] = (
    "ChargingStationMaxProfile",
    "TxDefaultProfile",
    "TxProfile",
)
"""What a portal may have set; ChargingStationExternalConstraints are from another system at the site, and stay."""
CLEAR_PROFILES = tuple(
    Outgoing(
        "ClearChargingProfile",
        messages.ClearChargingProfile(
            charging_profile_criteria=messages.ClearChargingProfileType(charging_profile_purpose=purpose)
        ),
    )
    for purpose in CLEARED
)


def settings(meter_interval_s: int, heartbeat_interval_s: int) -> tuple[Outgoing, ...]:
    """Which readings come how often, and from when to when a transaction lasts; each may be refused.

    While there is a connection we are asked about every card, whatever the charger remembers of it.
    """
    return set_variables(
        (
            ("SampledDataCtrlr", "TxUpdatedInterval", str(meter_interval_s)),
            ("SampledDataCtrlr", "TxStartedMeasurands", REGISTER),
            ("SampledDataCtrlr", "TxUpdatedMeasurands", MEASURANDS),
            ("SampledDataCtrlr", "TxEndedMeasurands", REGISTER),
            ("OCPPCommCtrlr", "HeartbeatInterval", str(heartbeat_interval_s)),
            # Connected and permitted, as in OCPP 1.6; it ends with either.
            ("TxCtrlr", "TxStartPoint", "PowerPathClosed"),
            ("TxCtrlr", "TxStopPoint", "EVConnected,Authorized"),
            ("TxCtrlr", "StopTxOnInvalidId", "true"),
            ("AuthCtrlr", "LocalPreAuthorize", "false"),
        )
    )


def trigger(message: str, evse: int) -> Outgoing:
    """TriggerMessageRequest. Raises UnencodableError."""
    where = TRIGGERS.get(message)
    if where is None:
        raise UnencodableError(f"no such message to trigger: {message}")
    payload = messages.TriggerMessage(
        requested_message=cast("messages.MessageTriggerEnumType", message), evse=where(evse)
    )
    return Outgoing("TriggerMessage", payload, asks_status_of=evse if message == "StatusNotification" else None)


def _at_evse(evse: int) -> messages.EVSEType | msgspec.UnsetType:
    return messages.EVSEType(id=evse)


def _at_connector(evse: int) -> messages.EVSEType | msgspec.UnsetType:
    return messages.EVSEType(id=evse, connector_id=CONNECTOR)


def _at_station(_: int) -> messages.EVSEType | msgspec.UnsetType:
    return msgspec.UNSET


TRIGGERS: dict[str, Callable[[int], messages.EVSEType | msgspec.UnsetType]] = {
    "BootNotification": _at_station,
    "Heartbeat": _at_station,
    "MeterValues": _at_evse,
    "StatusNotification": _at_connector,
    "TransactionEvent": _at_evse,
}
"""What can be asked for, and of which part of a station."""


def _start(command: StartCharging, evse: int, now: datetime) -> Outgoing:
    payload = messages.RequestStartTransaction(
        id_token=messages.IdTokenType(id_token=text(command.id_token, "an idToken"), type="Central"),
        remote_start_id=_request_id(now),
        evse_id=evse,
    )
    return Outgoing("RequestStartTransaction", payload)


def _stop(command: StopCharging, _: int, __: datetime) -> Outgoing:
    payload = messages.RequestStopTransaction(transaction_id=text(command.transaction_id, "a transaction's id"))
    return Outgoing("RequestStopTransaction", payload)


def _restart(_: Restart, __: int, ___: datetime) -> Outgoing:
    """Immediate ends transactions in an orderly way first, as 1.6's Soft does; OnIdle would wait for them for days."""
    return Outgoing("Reset", messages.Reset(type="Immediate"))


def _unlock(_: Unlock, evse: int, __: datetime) -> Outgoing:
    return Outgoing("UnlockConnector", messages.UnlockConnector(evse_id=evse, connector_id=CONNECTOR))


def _set_availability(command: SetAvailability, evse: int, _: datetime) -> Outgoing:
    """Of the EVSE; 0 is the station with all of them (G03, G04)."""
    payload = messages.ChangeAvailability(
        operational_status="Operative" if command.is_operative else "Inoperative",
        evse=_at_evse(evse) if evse else msgspec.UNSET,
    )
    return Outgoing("ChangeAvailability", payload)


def _update_firmware(command: UpdateFirmware, _: int, now: datetime) -> Outgoing:
    firmware = messages.FirmwareType(location=_address(command.url), retrieve_date_time=timestamp(command.retrieve_at))
    payload = messages.UpdateFirmware(request_id=_request_id(now), firmware=firmware)
    return Outgoing("UpdateFirmware", payload)


def _send_diagnostics(command: SendDiagnostics, _: int, now: datetime) -> Outgoing:
    log = messages.LogParametersType(remote_location=_address(command.url))
    payload = messages.GetLog(log=log, log_type="DiagnosticsLog", request_id=_request_id(now))
    return Outgoing("GetLog", payload)


def _address(url: str) -> str:
    if len(url) > MAX_ADDRESS:
        raise UnencodableError(f"an address has at most {MAX_ADDRESS} characters, this one has {len(url)}")
    return url


def _request_id(now: datetime) -> int:
    """One that the station has not seen for weeks."""
    return int(now.timestamp() * 1000) % START_IDS


def _trigger(command: Trigger, evse: int, _: datetime) -> Outgoing:
    return trigger(command.message, evse)


def _offer(command: OfferCurrent, evse: int, now: datetime, capabilities: Capabilities) -> Outgoing:
    periods = [_period(step, capabilities) for step in command.steps]
    starts = [period.start_period for period in periods]
    if not periods or starts[0] != 0 or any(later <= sooner for sooner, later in pairwise(starts)):
        raise UnencodableError("the steps of an offer start at 0 s and follow each other")
    profile = (
        _default_profile(evse, periods, capabilities)
        if command.transaction_id is None
        else _transaction_profile(evse, text(command.transaction_id, "a transaction's id"), periods, now, capabilities)
    )
    payload = messages.SetChargingProfile(evse_id=evse, charging_profile=profile)
    return Outgoing("SetChargingProfile", payload, is_default_of=evse if command.transaction_id is None else None)


def _default_profile(
    evse: int, periods: list[messages.ChargingSchedulePeriodType], capabilities: Capabilities
) -> messages.ChargingProfileType:
    """For sessions to come: the schedule runs from the start of each."""
    number = DEFAULT_PROFILE_ID + PROFILES_EACH * (evse - 1)
    return messages.ChargingProfileType(
        id=number,
        stack_level=DEFAULT_STACK_LEVEL,
        charging_profile_purpose="TxDefaultProfile",
        charging_profile_kind="Relative",
        charging_schedule=[_schedule(number, periods, capabilities.rate_unit)],
    )


def _transaction_profile(
    evse: int,
    transaction: str,
    periods: list[messages.ChargingSchedulePeriodType],
    now: datetime,
    capabilities: Capabilities,
) -> messages.ChargingProfileType:
    """For this session.

    A Relative schedule counts from the session's start, so steps that are to come are Absolute; a single step holds at once
    whatever the charger's clock says, so it is Relative.
    """
    number = TRANSACTION_PROFILE_ID + PROFILES_EACH * (evse - 1)
    is_single = len(periods) == 1
    return messages.ChargingProfileType(
        id=number,
        stack_level=min(TRANSACTION_STACK_LEVEL, capabilities.most_stack_level),
        charging_profile_purpose="TxProfile",
        charging_profile_kind="Relative" if is_single else "Absolute",
        charging_schedule=[_schedule(number, periods, capabilities.rate_unit, start=None if is_single else now)],
        transaction_id=transaction,
    )


def _schedule(
    number: int,
    periods: list[messages.ChargingSchedulePeriodType],
    unit: RateUnit,
    *,
    start: datetime | None = None,
) -> messages.ChargingScheduleType:
    return messages.ChargingScheduleType(
        id=number,
        charging_rate_unit=RATE_UNITS[unit],
        charging_schedule_period=periods,
        start_schedule=msgspec.UNSET if start is None else timestamp(start),
    )


def _period(step: OfferStep, capabilities: Capabilities) -> messages.ChargingSchedulePeriodType:
    """The terminal is named only to who can switch: another one would have to refuse the whole profile."""
    if not (math.isfinite(step.current_a) and step.current_a >= 0):
        raise UnencodableError(f"no current: {step.current_a}")
    is_named = step.phases == 1 and capabilities.takes_phase_to_use and step.phase_to_use is not None
    return messages.ChargingSchedulePeriodType(
        start_period=step.after_s,
        limit=limit(step.current_a, capabilities.rate_unit),
        number_phases=msgspec.UNSET if step.phases is None else step.phases,
        phase_to_use=step.phase_to_use if is_named and step.phase_to_use is not None else msgspec.UNSET,
    )


_ENCODERS: dict[type, Callable[[Any, int, datetime], Outgoing]] = {
    StartCharging: _start,
    StopCharging: _stop,
    Restart: _restart,
    Unlock: _unlock,
    SetAvailability: _set_availability,
    UpdateFirmware: _update_firmware,
    SendDiagnostics: _send_diagnostics,
    Trigger: _trigger,
}
