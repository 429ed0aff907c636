"""OCPP 2.0.1 messages of a charger as they really come: every field may be absent, texts have any length, enumerations any value."""

from devices.ocpp.v16.incoming import Lenient, Text


class ChargingStation(Lenient):
    """ChargingStationType."""

    model: Text = None
    vendor_name: Text = None
    serial_number: Text = None
    firmware_version: Text = None


class BootNotification(Lenient):
    """BootNotificationRequest."""

    charging_station: ChargingStation | None = None
    reason: Text = None


class Evse(Lenient):
    """EVSEType."""

    id: int | None = None
    connector_id: int | None = None


class IdToken(Lenient):
    """IdTokenType."""

    id_token: Text = None
    type: Text = None


class Authorize(Lenient):
    """AuthorizeRequest."""

    id_token: IdToken | None = None


class StatusNotification(Lenient):
    """StatusNotificationRequest."""

    timestamp: str | None = None
    connector_status: Text = None
    evse_id: int | None = None
    connector_id: int | None = None


class UnitOfMeasure(Lenient):
    """UnitOfMeasureType: the value times ten to the multiplier is in that unit."""

    unit: str | None = None
    multiplier: int | None = None


class SignedMeterValue(Lenient):
    """SignedMeterValueType."""

    signed_meter_data: str | None = None
    signing_method: str | None = None
    encoding_method: str | None = None
    public_key: str | None = None


class SampledValue(Lenient):
    """SampledValueType."""

    value: Text = None
    context: str | None = None
    measurand: str | None = None
    phase: str | None = None
    location: str | None = None
    signed_meter_value: SignedMeterValue | None = None
    unit_of_measure: UnitOfMeasure | None = None


class MeterValue(Lenient):
    """MeterValueType."""

    timestamp: str | None = None
    sampled_value: list[SampledValue] | None = None


class MeterValues(Lenient):
    """MeterValuesRequest."""

    evse_id: int | None = None
    meter_value: list[MeterValue] | None = None


class Transaction(Lenient):
    """TransactionType."""

    transaction_id: Text = None
    charging_state: Text = None
    stopped_reason: Text = None


class TransactionEvent(Lenient):
    """TransactionEventRequest. Its seqNo is not read: the id, the kind and the time tell a repetition."""

    event_type: Text = None
    timestamp: str | None = None
    trigger_reason: Text = None
    transaction_info: Transaction | None = None
    meter_value: list[MeterValue] | None = None
    offline: bool | None = None
    reservation_id: int | None = None
    evse: Evse | None = None
    id_token: IdToken | None = None


class Component(Lenient):
    """ComponentType."""

    name: Text = None
    evse: Evse | None = None


class Variable(Lenient):
    """VariableType."""

    name: Text = None


class EventData(Lenient):
    """EventDataType."""

    timestamp: str | None = None
    trigger: Text = None
    actual_value: Text | bool = None
    tech_code: Text = None
    tech_info: Text = None
    cleared: bool | None = None
    component: Component | None = None
    variable: Variable | None = None


class NotifyEvent(Lenient):
    """NotifyEventRequest."""

    event_data: list[EventData] | None = None


class VariableAttribute(Lenient):
    """VariableAttributeType."""

    type: Text = None
    value: Text | bool = None


class ReportData(Lenient):
    """ReportDataType."""

    component: Component | None = None
    variable: Variable | None = None
    variable_attribute: list[VariableAttribute] | None = None


class NotifyReport(Lenient):
    """NotifyReportRequest."""

    request_id: int | None = None
    seq_no: int | None = None
    tbc: bool | None = None
    report_data: list[ReportData] | None = None


class SecurityEvent(Lenient):
    """SecurityEventNotificationRequest."""

    type: Text = None
    timestamp: str | None = None


class Progress(Lenient):
    """The status of an update or an upload."""

    status: Text = None


class StatusInfo(Lenient):
    """StatusInfoType: why."""

    reason_code: Text = None


class Answer(Lenient):
    """What most answers to commands have in common."""

    status: Text = None
    status_info: StatusInfo | None = None


class SetVariableResult(Lenient):
    """SetVariableResultType."""

    attribute_status: Text = None


class SetVariablesAnswer(Lenient):
    """SetVariablesResponse."""

    set_variable_result: list[SetVariableResult] | None = None
