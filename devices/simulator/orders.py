"""What a simulated charge point does when it is told to in OCPP 1.6 (§5): one row each of ORDERS."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from devices.ocpp.frames import UNREADABLE, ErrorCode
from devices.ocpp.protocol import Refused
from devices.ocpp.v16 import messages
from devices.simulator.ledger import Kind
from devices.simulator.orders201 import ORDERS_201
from devices.simulator.speech import CONNECTOR, STATION, Said
from devices.simulator.station import Station

Order = Callable[[Station, Any], msgspec.Struct]


def obey(station: Station, action: str, payload: msgspec.Raw) -> msgspec.Struct | Refused:
    """The answer, after the order has had its effect. What the standard forbids is refused and noted."""
    order = (ORDERS if station.speech.subprotocol == "ocpp1.6" else ORDERS_201).get(action)
    if order is None:
        station.note(Kind.MISUNDERSTOOD, f"no such order here: {action}")
        return Refused(ErrorCode.NOT_IMPLEMENTED, f"{action} is not known here")
    try:
        request = msgspec.json.decode(payload, type=station.speech.calls[action])
    except UNREADABLE as error:
        station.note(Kind.MISUNDERSTOOD, f"{action}: {error}")
        return Refused(ErrorCode.TYPE_CONSTRAINT_VIOLATION, str(error))
    station.advance()
    return order(station, request)


def _start(station: Station, request: messages.RemoteStartTransaction) -> msgspec.Struct:
    if station.transaction is not None or not station.is_operative:
        return messages.RemoteStartTransactionResponse(status="Rejected")
    station.await_car(request.id_tag)
    return messages.RemoteStartTransactionResponse(status="Accepted")


def _stop(station: Station, request: messages.RemoteStopTransaction) -> msgspec.Struct:
    running = station.transaction
    if running is None or running.record.transaction_id != request.transaction_id:
        return messages.RemoteStopTransactionResponse(status="Rejected")
    station.end("Remote")
    return messages.RemoteStopTransactionResponse(status="Accepted")


def _set_profile(station: Station, request: messages.SetChargingProfile) -> msgspec.Struct:
    running = station.transaction
    if station.plan.quirks.refuses_profiles or request.connector_id not in (STATION, CONNECTOR):
        return messages.SetChargingProfileResponse(status="Rejected")
    known = None if running is None else running.record.transaction_id
    is_taken = station.profiles.install(
        request.cs_charging_profiles, transaction_id=known if isinstance(known, int) else None
    )
    station.advance()
    return messages.SetChargingProfileResponse(status="Accepted" if is_taken else "Rejected")


def _clear_profile(station: Station, request: messages.ClearChargingProfile) -> msgspec.Struct:
    is_cleared = station.profiles.clear(request)
    station.advance()
    return messages.ClearChargingProfileResponse(status="Accepted" if is_cleared else "Unknown")


def _reset(station: Station, request: messages.Reset) -> msgspec.Struct:
    station.end("SoftReset" if request.type == "Soft" else "HardReset")
    station.is_restarting = True
    return messages.ResetResponse(status="Accepted")


def _unlock(station: Station, request: messages.UnlockConnector) -> msgspec.Struct:
    if request.connector_id != CONNECTOR:
        return messages.UnlockConnectorResponse(status="NotSupported")
    station.end("UnlockCommand")
    return messages.UnlockConnectorResponse(status="Unlocked")


def _trigger(station: Station, request: messages.TriggerMessage) -> msgspec.Struct:
    make = TRIGGERS.get(request.requested_message)
    if make is None:
        return messages.TriggerMessageResponse(status="NotImplemented")
    make(station)
    return messages.TriggerMessageResponse(status="Accepted")


TRIGGERS: dict[str, Callable[[Station], None]] = {
    "BootNotification": lambda station: station.say(station.speech.boot(station.plan)),
    "Heartbeat": lambda station: station.say(station.speech.heartbeat()),
    "MeterValues": lambda station: station.say_meter("Trigger"),
    "StatusNotification": Station.say_status,
    "FirmwareStatusNotification": lambda station: station.say(
        Said("FirmwareStatusNotification", messages.FirmwareStatusNotification(status="Idle"))
    ),
    "DiagnosticsStatusNotification": lambda station: station.say(
        Said("DiagnosticsStatusNotification", messages.DiagnosticsStatusNotification(status="Idle"))
    ),
}


def _availability(station: Station, request: messages.ChangeAvailability) -> msgspec.Struct:
    if station.plan.quirks.refuses_availability:
        return messages.ChangeAvailabilityResponse(status="Rejected")
    station.set_operative(is_operative=request.type == "Operative")
    is_later = station.transaction is not None and not station.is_operative
    return messages.ChangeAvailabilityResponse(status="Scheduled" if is_later else "Accepted")


def _get_configuration(station: Station, request: messages.GetConfiguration) -> msgspec.Struct:
    return station.configuration.get(request)


def _change_configuration(station: Station, request: messages.ChangeConfiguration) -> msgspec.Struct:
    return messages.ChangeConfigurationResponse(status=station.configuration.change(request))


def _local_list(station: Station, request: messages.SendLocalList) -> msgspec.Struct:
    entries = [] if request.local_authorization_list is msgspec.UNSET else request.local_authorization_list
    values = station.configuration.values
    if request.update_type == "Differential" and request.list_version <= station.local_list_version:
        return messages.SendLocalListResponse(status="VersionMismatch")
    kept = {} if request.update_type == "Full" else dict(station.local_list)
    for entry in entries:
        if entry.id_tag_info is msgspec.UNSET:
            kept.pop(entry.id_tag, None)
        elif entry.id_tag_info.status == "Accepted":
            until = entry.id_tag_info.expiry_date
            kept[entry.id_tag] = None if until is msgspec.UNSET else datetime.fromisoformat(until)
    if len(entries) > int(values["SendLocalListMaxLength"]) or len(kept) > int(values["LocalAuthListMaxLength"]):
        return messages.SendLocalListResponse(status="Failed")
    station.local_list, station.local_list_version = kept, request.list_version
    return messages.SendLocalListResponse(status="Accepted")


def _local_list_version(station: Station, _: messages.GetLocalListVersion) -> msgspec.Struct:
    return messages.GetLocalListVersionResponse(list_version=station.local_list_version)


def _clear_cache(station: Station, _: messages.ClearCache) -> msgspec.Struct:
    station.remembered.clear()
    return messages.ClearCacheResponse(status="Accepted")


def _data_transfer(_: Station, __: messages.DataTransfer) -> msgspec.Struct:
    return messages.DataTransferResponse(status="UnknownVendorId")


ORDERS: dict[str, Order] = {
    "ChangeAvailability": _availability,
    "ChangeConfiguration": _change_configuration,
    "ClearCache": _clear_cache,
    "ClearChargingProfile": _clear_profile,
    "DataTransfer": _data_transfer,
    "GetConfiguration": _get_configuration,
    "GetLocalListVersion": _local_list_version,
    "RemoteStartTransaction": _start,
    "RemoteStopTransaction": _stop,
    "Reset": _reset,
    "SendLocalList": _local_list,
    "SetChargingProfile": _set_profile,
    "TriggerMessage": _trigger,
    "UnlockConnector": _unlock,
}
