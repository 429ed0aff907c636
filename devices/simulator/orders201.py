"""What a simulated charging station does when it is told to in OCPP 2.0.1: one row each of ORDERS_201."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from devices.ocpp.v16 import messages as v16
from devices.ocpp.v201 import messages
from devices.simulator.configuration import AUTHORIZATION_CACHE, HEARTBEAT_INTERVAL, SAMPLE_INTERVAL
from devices.simulator.speech import CONNECTOR, STATION, Said
from devices.simulator.station import Station

Order = Callable[[Station, Any], msgspec.Struct]

VARIABLES: dict[tuple[str, str], str] = {
    ("AuthCacheCtrlr", "Enabled"): AUTHORIZATION_CACHE,
    ("AuthCtrlr", "LocalAuthorizeOffline"): "LocalAuthorizeOffline",
    ("AuthCtrlr", "LocalPreAuthorize"): "LocalPreAuthorize",
    ("LocalAuthListCtrlr", "Enabled"): "LocalAuthListEnabled",
    ("LocalAuthListCtrlr", "ItemsPerMessage"): "SendLocalListMaxLength",
    ("OCPPCommCtrlr", "HeartbeatInterval"): HEARTBEAT_INTERVAL,
    ("SmartChargingCtrlr", "ProfileStackLevel"): "ChargeProfileMaxStackLevel",
    ("SmartChargingCtrlr", "RateUnit"): "ChargingScheduleAllowedChargingRateUnit",
    ("SmartChargingCtrlr", "ACPhaseSwitchingSupported"): "ConnectorSwitch3to1PhaseSupported",
    ("SampledDataCtrlr", "TxUpdatedInterval"): SAMPLE_INTERVAL,
    ("SampledDataCtrlr", "TxUpdatedMeasurands"): "MeterValuesSampledData",
    ("TxCtrlr", "EVConnectionTimeOut"): "ConnectionTimeOut",
    ("TxCtrlr", "StopTxOnInvalidId"): "StopTransactionOnInvalidId",
}
"""Component and variable → the key that means the same in OCPP 1.6."""
UNALTERABLE: dict[tuple[str, str], str] = {
    ("SampledDataCtrlr", "TxEndedMeasurands"): "Energy.Active.Import.Register",
    ("SampledDataCtrlr", "TxStartedMeasurands"): "Energy.Active.Import.Register",
    ("TxCtrlr", "TxStartPoint"): "PowerPathClosed",
    ("TxCtrlr", "TxStopPoint"): "EVConnected,Authorized",
}
"""What it does anyway: another value is rejected."""
SMART_CHARGING = "SmartChargingCtrlr"
PER_REPORT = 5
"""Variables in a message."""


def _start(station: Station, request: messages.RequestStartTransaction) -> msgspec.Struct:
    is_here = request.evse_id in (UNSET, CONNECTOR)
    if station.is_taken or not station.is_operative or not is_here:
        return messages.RequestStartTransactionResponse(status="Rejected")
    station.await_car(request.id_token.id_token)
    return messages.RequestStartTransactionResponse(status="Accepted")


def _stop(station: Station, request: messages.RequestStopTransaction) -> msgspec.Struct:
    running = station.transaction
    if running is None or running.record.transaction_id != request.transaction_id:
        return messages.RequestStopTransactionResponse(status="Rejected")
    station.end("Remote")
    return messages.RequestStopTransactionResponse(status="Accepted")


def _set_profile(station: Station, request: messages.SetChargingProfile) -> msgspec.Struct:
    running, profile = station.transaction, request.charging_profile
    is_its = running is not None and profile.transaction_id in (UNSET, running.record.transaction_id)
    is_taken = (
        not station.plan.quirks.refuses_profiles
        and request.evse_id in (STATION, CONNECTOR)
        and profile.charging_profile_purpose != "ChargingStationExternalConstraints"
        and (station.plan.can_switch_phases or not _names_phase(profile))
        and station.profiles.install(_profile(profile), transaction_id=CONNECTOR if is_its else None)
    )
    station.advance()
    return messages.SetChargingProfileResponse(status="Accepted" if is_taken else "Rejected")


def _names_phase(profile: messages.ChargingProfileType) -> bool:
    periods = (period for schedule in profile.charging_schedule for period in schedule.charging_schedule_period)
    return any(period.phase_to_use is not UNSET for period in periods)


def _profile(profile: messages.ChargingProfileType) -> v16.CsChargingProfiles:
    """The profile as OCPP 1.6 has it; of several schedules the first counts, as they are choices of the car's."""
    schedule = profile.charging_schedule[0]
    return v16.CsChargingProfiles(
        charging_profile_id=profile.id,
        stack_level=profile.stack_level,
        charging_profile_purpose=_purpose(profile.charging_profile_purpose),
        charging_profile_kind=profile.charging_profile_kind,
        recurrency_kind=profile.recurrency_kind,
        valid_from=profile.valid_from,
        valid_to=profile.valid_to,
        charging_schedule=v16.ChargingSchedule(
            charging_rate_unit=schedule.charging_rate_unit,
            charging_schedule_period=[
                v16.ChargingSchedulePeriod(
                    start_period=period.start_period, limit=period.limit, number_phases=period.number_phases
                )
                for period in schedule.charging_schedule_period
            ],
            duration=schedule.duration,
            start_schedule=schedule.start_schedule,
        ),
    )


def _purpose(purpose: messages.ChargingProfilePurposeEnumType) -> v16.ChargingProfilePurpose:
    match purpose:
        case "TxProfile" | "TxDefaultProfile":
            return purpose
    return "ChargePointMaxProfile"


def _clear_profile(station: Station, request: messages.ClearChargingProfile) -> msgspec.Struct:
    asked = request.charging_profile_criteria
    criteria = messages.ClearChargingProfileType() if isinstance(asked, UnsetType) else asked
    purpose = criteria.charging_profile_purpose
    is_cleared = station.profiles.clear(
        v16.ClearChargingProfile(
            id=request.charging_profile_id,
            charging_profile_purpose=UNSET if isinstance(purpose, UnsetType) else _purpose(purpose),
            stack_level=criteria.stack_level,
        )
    )
    station.advance()
    return messages.ClearChargingProfileResponse(status="Accepted" if is_cleared else "Unknown")


def _reset(station: Station, request: messages.Reset) -> msgspec.Struct:
    """OnIdle would have to wait for the car; it is refused while one charges."""
    if request.type == "OnIdle" and station.transaction is not None:
        return messages.ResetResponse(status="Rejected")
    station.end("HardReset")
    station.is_restarting = True
    return messages.ResetResponse(status="Accepted")


def _unlock(station: Station, request: messages.UnlockConnector) -> msgspec.Struct:
    if (request.evse_id, request.connector_id) != (CONNECTOR, CONNECTOR):
        return messages.UnlockConnectorResponse(status="UnknownConnector")
    if station.transaction is not None:
        return messages.UnlockConnectorResponse(status="OngoingAuthorizedTransaction")
    return messages.UnlockConnectorResponse(status="Unlocked")


def _trigger(station: Station, request: messages.TriggerMessage) -> msgspec.Struct:
    match request.requested_message:
        case "BootNotification":
            station.say(station.speech.boot(station.plan))
        case "Heartbeat":
            station.say(station.speech.heartbeat())
        case "StatusNotification":
            station.say_status()
        case "MeterValues":
            station.say_meter("Trigger")
        case "TransactionEvent" if station.transaction is not None:
            station.say_meter("Trigger")
        case "TransactionEvent":
            return messages.TriggerMessageResponse(status="Rejected")
        case _:
            return messages.TriggerMessageResponse(status="NotImplemented")
    return messages.TriggerMessageResponse(status="Accepted")


def _availability(station: Station, request: messages.ChangeAvailability) -> msgspec.Struct:
    if station.plan.quirks.refuses_availability:
        return messages.ChangeAvailabilityResponse(status="Rejected")
    station.set_operative(is_operative=request.operational_status == "Operative")
    is_later = station.transaction is not None and not station.is_operative
    return messages.ChangeAvailabilityResponse(status="Scheduled" if is_later else "Accepted")


def _get_variables(station: Station, request: messages.GetVariables) -> msgspec.Struct:
    return messages.GetVariablesResponse(get_variable_result=[_got(station, one) for one in request.get_variable_data])


def _got(station: Station, asked: messages.GetVariableDataType) -> messages.GetVariableResultType:
    name = (asked.component.name, asked.variable.name)
    key = VARIABLES.get(name, "")
    if station.plan.quirks.tells_only_in_reports and name[0] == SMART_CHARGING:
        key = ""
    value = UNALTERABLE.get(name) or station.configuration.values.get(key)
    return messages.GetVariableResultType(
        attribute_status="UnknownVariable" if value is None else "Accepted",
        component=asked.component,
        variable=asked.variable,
        attribute_value=UNSET if value is None else value,
    )


def _base_report(station: Station, request: messages.GetBaseReport) -> msgspec.Struct:
    """All variables, a few at a time."""
    if request.report_base == "SummaryInventory":
        return messages.GetBaseReportResponse(status="NotSupported")
    known = {name: station.configuration.values[key] for name, key in VARIABLES.items()} | UNALTERABLE
    told = sorted(known.items())
    parts = [told[first : first + PER_REPORT] for first in range(0, len(told), PER_REPORT)]
    for number, held in enumerate(parts):
        report = messages.NotifyReport(
            request_id=request.request_id,
            generated_at=station.timestamp(),
            seq_no=number,
            tbc=number < len(parts) - 1,
            report_data=[_reported(name, value) for name, value in held],
        )
        station.say(Said("NotifyReport", report))
    return messages.GetBaseReportResponse(status="Accepted")


def _reported(name: tuple[str, str], value: str) -> messages.ReportDataType:
    return messages.ReportDataType(
        component=messages.ComponentType(name=name[0]),
        variable=messages.VariableType(name=name[1]),
        variable_attribute=[messages.VariableAttributeType(type="Actual", value=value)],
    )


def _set_variables(station: Station, request: messages.SetVariables) -> msgspec.Struct:
    results = [
        messages.SetVariableResultType(
            attribute_status=_set(station, one), component=one.component, variable=one.variable
        )
        for one in request.set_variable_data
    ]
    return messages.SetVariablesResponse(set_variable_result=results)


def _set(station: Station, wanted: messages.SetVariableDataType) -> messages.SetVariableStatusEnumType:
    name = (wanted.component.name, wanted.variable.name)
    if name in UNALTERABLE:
        return "Accepted" if UNALTERABLE[name] == wanted.attribute_value else "Rejected"
    key = VARIABLES.get(name)
    if key is None:
        return "UnknownVariable"
    done = station.configuration.change(v16.ChangeConfiguration(key=key, value=wanted.attribute_value))
    return "Accepted" if done == "Accepted" else "Rejected"


def _local_list(station: Station, request: messages.SendLocalList) -> msgspec.Struct:
    entries = [] if isinstance(request.local_authorization_list, UnsetType) else request.local_authorization_list
    values = station.configuration.values
    if request.update_type == "Differential" and request.version_number <= station.local_list_version:
        return messages.SendLocalListResponse(status="VersionMismatch")
    kept = {} if request.update_type == "Full" else dict(station.local_list)
    for entry in entries:
        if isinstance(entry.id_token_info, UnsetType):
            kept.pop(entry.id_token.id_token, None)
        elif entry.id_token_info.status == "Accepted":
            until = entry.id_token_info.cache_expiry_date_time
            kept[entry.id_token.id_token] = None if isinstance(until, UnsetType) else datetime.fromisoformat(until)
    if len(entries) > int(values["SendLocalListMaxLength"]) or len(kept) > int(values["LocalAuthListMaxLength"]):
        return messages.SendLocalListResponse(status="Failed")
    station.local_list, station.local_list_version = kept, request.version_number
    return messages.SendLocalListResponse(status="Accepted")


def _local_list_version(station: Station, _: messages.GetLocalListVersion) -> msgspec.Struct:
    return messages.GetLocalListVersionResponse(version_number=station.local_list_version)


def _clear_cache(station: Station, _: messages.ClearCache) -> msgspec.Struct:
    station.remembered.clear()
    return messages.ClearCacheResponse(status="Accepted")


def _data_transfer(_: Station, __: messages.DataTransfer) -> msgspec.Struct:
    return messages.DataTransferResponse(status="UnknownVendorId")


ORDERS_201: dict[str, Order] = {
    "ChangeAvailability": _availability,
    "ClearCache": _clear_cache,
    "ClearChargingProfile": _clear_profile,
    "DataTransfer": _data_transfer,
    "GetBaseReport": _base_report,
    "GetLocalListVersion": _local_list_version,
    "GetVariables": _get_variables,
    "RequestStartTransaction": _start,
    "RequestStopTransaction": _stop,
    "Reset": _reset,
    "SendLocalList": _local_list,
    "SetChargingProfile": _set_profile,
    "SetVariables": _set_variables,
    "TriggerMessage": _trigger,
    "UnlockConnector": _unlock,
}
