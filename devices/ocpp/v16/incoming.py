"""OCPP 1.6 messages of a charger as they really come: every field may be absent, texts have any length, enumerations any value."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

Text = str | int | float | None
"""Some firmware writes numbers where the standard has text."""


class Lenient(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """All fields default to None: absent and null are the same."""


class BootNotification(Lenient):
    """§4.2."""

    charge_point_vendor: Text = None
    charge_point_model: Text = None
    charge_point_serial_number: Text = None
    charge_box_serial_number: Text = None
    firmware_version: Text = None


class Authorize(Lenient):
    """§4.1."""

    id_tag: Text = None


class StatusNotification(Lenient):
    """§4.9."""

    connector_id: int | None = None
    status: Text = None
    error_code: Text = None
    info: Text = None
    timestamp: str | None = None
    vendor_error_code: Text = None


class StartTransaction(Lenient):
    """§4.8."""

    connector_id: int | None = None
    id_tag: Text = None
    meter_start: Text = None
    reservation_id: int | None = None
    timestamp: str | None = None


class SampledValue(Lenient):
    """§7.43."""

    value: Text = None
    context: str | None = None
    format: str | None = None
    measurand: str | None = None
    phase: str | None = None
    location: str | None = None
    unit: str | None = None


class MeterValue(Lenient):
    """§7.33."""

    timestamp: str | None = None
    sampled_value: list[SampledValue] | None = None


class MeterValues(Lenient):
    """§4.7."""

    connector_id: int | None = None
    transaction_id: int | None = None
    meter_value: list[MeterValue] | None = None


class PlainValue(Lenient):
    """A sampled value as the standard has it, of those that we read; decoded loosely, so that the text of a number is a number."""

    value: float
    context: (
        Literal[
            "Interruption.Begin",
            "Interruption.End",
            "Other",
            "Sample.Clock",
            "Sample.Periodic",
            "Transaction.Begin",
            "Transaction.End",
            "Trigger",
        ]
        | UnsetType
    ) = UNSET
    format: Literal["Raw"] | UnsetType = UNSET
    measurand: (
        Literal[
            "Energy.Active.Import.Register",
            "Power.Active.Import",
            "Current.Import",
            "Voltage",
            "SoC",
            "Current.Offered",
        ]
        | UnsetType
    ) = UNSET
    phase: Literal["L1", "L2", "L3", "L1-N", "L2-N", "L3-N"] | UnsetType = UNSET
    location: Literal["Outlet"] | UnsetType = UNSET
    unit: Literal["Wh", "kWh", "W", "kW", "VA", "kVA", "A", "V", "Percent"] | UnsetType = UNSET


class PlainMeterValue(Lenient):
    """Values of one instant, still to be decoded: list[PlainValue]."""

    timestamp: str
    sampled_value: msgspec.Raw


class PlainMeterValues(Lenient):
    """MeterValues without anything to forgive. Most are like this; what it does not fit is read as MeterValues."""

    connector_id: int
    meter_value: list[PlainMeterValue]
    transaction_id: int | None = None


class StopTransaction(Lenient):
    """§4.10."""

    id_tag: Text = None
    meter_stop: Text = None
    timestamp: str | None = None
    transaction_id: int | None = None
    reason: Text = None
    transaction_data: list[MeterValue] | None = None


class SecurityEvent(Lenient):
    """SecurityEventNotification.req of the security extension."""

    type: Text = None
    timestamp: str | None = None


class Progress(Lenient):
    """§4.4, §4.5 and the status notifications of the security extension."""

    status: Text = None


class Answer(Lenient):
    """What all answers to commands have in common."""

    status: Text = None
