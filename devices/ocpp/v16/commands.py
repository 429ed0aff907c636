"""Commands as OCPP 1.6 calls, and what a charger's answer to one means."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

import msgspec

from devices.ocpp.frames import CallError
from devices.ocpp.leniency import Reader, Unreadable, clean
from devices.ocpp.protocol import Outgoing, UnencodableError
from devices.ocpp.v16 import incoming, messages
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

MAX_ID_TAG = 20
DEFAULT_PROFILE_ID = 1
TRANSACTION_PROFILE_ID = 2
PROFILES_EACH = 2
"""One profile of each purpose and connector: sending it again replaces it (§3.13.2). No two connectors share an id, because some
firmware looks for it in the whole station and would replace the other connector's, which then has no limit at all.
"""
DEFAULT_STACK_LEVEL = 0
TRANSACTION_STACK_LEVEL = 1
ROUNDING_SLACK = 1e-6
"""So that 15.9 A, which a float holds as 15.899999…, stays 15.9 and does not become 15.8."""

PHASE_V = 230
RATE_UNITS: Mapping[RateUnit, Literal["A", "W"]] = {RateUnit.AMPERE: "A", RateUnit.WATT: "W"}

ACCEPTING = {"Accepted", "Unlocked", "RebootRequired", "Scheduled"}
MAX_DETAIL = 255

_ANSWERS = Reader(incoming.Answer)


def timestamp(at: datetime) -> str:
    """An instant of ours on the wire: UTC, milliseconds, Z."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(command: DeviceCommand, *, evse: int, now: datetime, capabilities: Capabilities = DEFAULT) -> Outgoing:
    """The call for this connector of such a charger. Raises UnencodableError."""
    if isinstance(command, OfferCurrent):
        return _offer(command, evse, now, capabilities)
    return _ENCODERS[type(command)](command, evse, now)


def verdict(payload: msgspec.Raw | bytes) -> DeviceAnswer:
    """What the CALLRESULT says; a charger that answers without a status has not understood."""
    try:
        answer = _ANSWERS.read(payload, [])
    except Unreadable as error:
        return DeviceAnswer(DeviceVerdict.ERROR, str(error)[:MAX_DETAIL])
    status = clean(answer.status, MAX_DETAIL, [])
    if status is None:
        return DeviceAnswer(DeviceVerdict.ERROR, "the answer has no status")
    return DeviceAnswer(DeviceVerdict.ACCEPTED if status in ACCEPTING else DeviceVerdict.REJECTED, status)


def error_verdict(error: CallError) -> DeviceAnswer:
    """What the CALLERROR says."""
    return DeviceAnswer(DeviceVerdict.ERROR, clean(f"{error.code}: {error.description}", MAX_DETAIL, []))


def limit(current_a: float, unit: RateUnit = RateUnit.AMPERE) -> float:
    """The current in steps of 0.1 A (§7.14), never more than was meant.

    In watts it is what one phase carries: a car that loads one phase only would take all of it there.
    """
    current = math.floor(current_a * 10 + ROUNDING_SLACK) / 10
    return current if unit is RateUnit.AMPERE else math.floor(current * PHASE_V)


def id_tag(token: str) -> str:
    """The token, if OCPP 1.6 can carry it (CiString20Type)."""
    if not 0 < len(token) <= MAX_ID_TAG:
        raise UnencodableError(f"an idTag has 1 to {MAX_ID_TAG} characters, this one has {len(token)}")
    return token


def transaction_id(text: str) -> int:
    """The id as the charger knows it."""
    try:
        return int(text)
    except ValueError:
        raise UnencodableError(f"an OCPP 1.6 transaction has a number, not {text!r}") from None


def _start(command: StartCharging, evse: int, _: datetime) -> Outgoing:
    payload = messages.RemoteStartTransaction(connector_id=evse, id_tag=id_tag(command.id_token))
    return Outgoing("RemoteStartTransaction", payload)


def _stop(command: StopCharging, _: int, __: datetime) -> Outgoing:
    payload = messages.RemoteStopTransaction(transaction_id=transaction_id(command.transaction_id))
    return Outgoing("RemoteStopTransaction", payload)


def _restart(_: Restart, __: int, ___: datetime) -> Outgoing:
    return Outgoing("Reset", messages.Reset(type="Soft"))


def _unlock(_: Unlock, evse: int, __: datetime) -> Outgoing:
    return Outgoing("UnlockConnector", messages.UnlockConnector(connector_id=evse))


def _set_availability(command: SetAvailability, evse: int, _: datetime) -> Outgoing:
    """Of the connector; 0 is the charge point with all of them (§5.2)."""
    kind: Literal["Operative", "Inoperative"] = "Operative" if command.is_operative else "Inoperative"
    return Outgoing("ChangeAvailability", messages.ChangeAvailability(connector_id=evse, type=kind))


def _update_firmware(command: UpdateFirmware, _: int, __: datetime) -> Outgoing:
    payload = messages.UpdateFirmware(location=command.url, retrieve_date=timestamp(command.retrieve_at))
    return Outgoing("UpdateFirmware", payload)


def _send_diagnostics(command: SendDiagnostics, _: int, __: datetime) -> Outgoing:
    return Outgoing("GetDiagnostics", messages.GetDiagnostics(location=command.url))


MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import,Current.Import"


CLEAR_PROFILES = (Outgoing("ClearChargingProfile", messages.ClearChargingProfile()),)
"""Without an id, a connector, a purpose and a level all of them are meant (§5.5)."""


def settings(meter_interval_s: int, heartbeat_interval_s: int) -> tuple[Outgoing, ...]:
    """Which readings come how often (§9.1); the interval first, because some firmware refuses a list with one unknown measurand.

    While there is a connection we are asked about every card, whatever the charger remembers of it.
    """
    wanted = {
        "MeterValueSampleInterval": str(meter_interval_s),
        "MeterValuesSampledData": MEASURANDS,
        "HeartbeatInterval": str(heartbeat_interval_s),
        "LocalPreAuthorize": "false",
    }
    return tuple(
        Outgoing("ChangeConfiguration", messages.ChangeConfiguration(key=key, value=value))
        for key, value in wanted.items()
    )


TRIGGERS_BY_CONNECTOR = {"StatusNotification", "MeterValues"}
TRIGGERS_OF_STATION = {"BootNotification", "Heartbeat"}


def _trigger(command: Trigger, evse: int, _: datetime) -> Outgoing:
    return trigger(command.message, evse)


def trigger(message: str, evse: int) -> Outgoing:
    """TriggerMessage.req. Raises UnencodableError."""
    if message not in TRIGGERS_BY_CONNECTOR | TRIGGERS_OF_STATION:
        raise UnencodableError(f"no such message to trigger: {message}")
    payload = messages.TriggerMessage(
        requested_message=msgspec.convert(message, messages.RequestedMessage),
        connector_id=evse if message in TRIGGERS_BY_CONNECTOR else msgspec.UNSET,
    )
    return Outgoing("TriggerMessage", payload, asks_status_of=evse if message == "StatusNotification" else None)


def _offer(command: OfferCurrent, evse: int, now: datetime, capabilities: Capabilities) -> Outgoing:
    periods = [_period(step, capabilities.rate_unit) for step in command.steps]
    starts = [period.start_period for period in periods]
    if not periods or starts[0] != 0 or any(later <= sooner for sooner, later in pairwise(starts)):
        raise UnencodableError("the steps of an offer start at 0 s and follow each other")
    profile = (
        _default_profile(evse, periods, capabilities)
        if command.transaction_id is None
        else _transaction_profile(evse, command.transaction_id, periods, now, capabilities)
    )
    payload = messages.SetChargingProfile(connector_id=evse, cs_charging_profiles=profile)
    return Outgoing("SetChargingProfile", payload, is_default_of=evse if command.transaction_id is None else None)


def _profile_id(first: int, evse: int) -> int:
    return first + PROFILES_EACH * (evse - 1)


def _default_profile(
    evse: int, periods: list[messages.ChargingSchedulePeriod], capabilities: Capabilities
) -> messages.CsChargingProfiles:
    """For sessions to come: the schedule runs from the start of each."""
    return messages.CsChargingProfiles(
        charging_profile_id=_profile_id(DEFAULT_PROFILE_ID, evse),
        stack_level=DEFAULT_STACK_LEVEL,
        charging_profile_purpose="TxDefaultProfile",
        charging_profile_kind="Relative",
        charging_schedule=messages.ChargingSchedule(
            charging_rate_unit=RATE_UNITS[capabilities.rate_unit], charging_schedule_period=periods
        ),
    )


def _transaction_profile(
    evse: int,
    transaction: str,
    periods: list[messages.ChargingSchedulePeriod],
    now: datetime,
    capabilities: Capabilities,
) -> messages.CsChargingProfiles:
    """For this session.

    A Relative schedule counts from the session's start (§3.13.4), so steps that are to come are Absolute; a single step holds at once
    whatever the charger's clock says, so it is Relative.
    """
    is_single = len(periods) == 1
    return messages.CsChargingProfiles(
        charging_profile_id=_profile_id(TRANSACTION_PROFILE_ID, evse),
        transaction_id=transaction_id(transaction),
        stack_level=min(TRANSACTION_STACK_LEVEL, capabilities.most_stack_level),
        charging_profile_purpose="TxProfile",
        charging_profile_kind="Relative" if is_single else "Absolute",
        charging_schedule=messages.ChargingSchedule(
            charging_rate_unit=RATE_UNITS[capabilities.rate_unit],
            charging_schedule_period=periods,
            start_schedule=msgspec.UNSET if is_single else timestamp(now),
        ),
    )


def _period(step: OfferStep, unit: RateUnit) -> messages.ChargingSchedulePeriod:
    if not (math.isfinite(step.current_a) and step.current_a >= 0):
        raise UnencodableError(f"no current: {step.current_a}")
    return messages.ChargingSchedulePeriod(
        start_period=step.after_s,
        limit=limit(step.current_a, unit),
        number_phases=msgspec.UNSET if step.phases is None else step.phases,
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
