"""Messages of a simulated charging station about itself, as OCPP 2.0.1 has them."""

from collections.abc import Sequence
from random import Random

import msgspec
from msgspec import UNSET

from devices.ocpp.v16.messages import Context, Reason
from devices.ocpp.v201 import messages
from devices.simulator.car import VOLTAGE_V
from devices.simulator.plan import ChargerPlan
from devices.simulator.speech import CONNECTOR, MAX_SERIAL, Facts, Said, Status, Transaction
from devices.simulator.troubles import Trouble

EVSE = messages.EVSEType(id=CONNECTOR, connector_id=CONNECTOR)
TERMINALS: tuple[messages.PhaseEnumType, ...] = ("L1", "L2", "L3")

CONNECTORS: dict[Status, messages.ConnectorStatusEnumType] = {
    "Available": "Available",
    "Reserved": "Reserved",
    "Unavailable": "Unavailable",
    "Faulted": "Faulted",
}
"""Everything else is Occupied."""
ACTIVITIES: dict[Status, messages.ChargingStateEnumType] = {
    "Charging": "Charging",
    "SuspendedEV": "SuspendedEV",
    "SuspendedEVSE": "SuspendedEVSE",
}
"""Everything else is EVConnected."""
ENDS: dict[Reason, tuple[messages.ReasonEnumType, messages.TriggerReasonEnumType]] = {
    "DeAuthorized": ("DeAuthorized", "Deauthorized"),
    "EVDisconnected": ("EVDisconnected", "EVCommunicationLost"),
    "HardReset": ("ImmediateReset", "ResetCommand"),
    "Local": ("Local", "StopAuthorized"),
    "Remote": ("Remote", "RemoteStop"),
    "SoftReset": ("ImmediateReset", "ResetCommand"),
    "UnlockCommand": ("Remote", "UnlockCommand"),
}
OTHER_END: tuple[messages.ReasonEnumType, messages.TriggerReasonEnumType] = ("Other", "AbnormalCondition")


class Speech201:
    """OCPP 2.0.1."""

    subprotocol = "ocpp2.0.1"
    calls = messages.CALLS
    results = messages.RESULTS

    def new_transaction_id(self, random: Random) -> str | None:
        """A number that no other transaction has."""
        return f"{random.getrandbits(128):032x}"

    def boot(self, plan: ChargerPlan) -> Said:
        """BootNotification."""
        station = messages.ChargingStationType(
            model=plan.model,
            vendor_name=plan.vendor,
            serial_number=(plan.serial_number or plan.identity)[:MAX_SERIAL],
            firmware_version=plan.firmware_version,
        )
        return Said("BootNotification", messages.BootNotification(charging_station=station, reason="PowerUp"))

    def heartbeat(self) -> Said:
        """Heartbeat."""
        return Said("Heartbeat", messages.Heartbeat())

    def authorize(self, id_tag: str) -> Said:
        """Authorize."""
        return Said("Authorize", messages.Authorize(id_token=_token(id_tag)))

    def asked(self, payload: msgspec.Struct) -> str | None:
        """The card of an Authorize."""
        return payload.id_token.id_token if isinstance(payload, messages.Authorize) else None

    def statuses(self, facts: Facts) -> Sequence[Said]:
        """StatusNotification of the connector."""
        return (_status(facts),)

    def changed(self, before: Status, facts: Facts) -> Sequence[Said]:
        """StatusNotification where the connector has another one, TransactionEvent where the transaction does something else."""
        said = []
        if _connector(before) != _connector(facts.status):
            said.append(_status(facts))
        if facts.transaction is not None:
            said.append(_event(facts, "Updated", "ChargingStateChanged"))
        return said

    def started(self, facts: Facts) -> Said:
        """TransactionEvent Started."""
        id_tag = None if facts.transaction is None else facts.transaction.id_tag or None
        trigger: messages.TriggerReasonEnumType = "CablePluggedIn" if id_tag is None else "Authorized"
        return _event(facts, "Started", trigger, context="Transaction.Begin", id_tag=id_tag)

    def claimed(self, facts: Facts) -> Sequence[Said]:
        """TransactionEvent Updated with the token."""
        id_tag = None if facts.transaction is None else facts.transaction.id_tag
        return (_event(facts, "Updated", "Authorized", id_tag=id_tag),)

    def metered(self, facts: Facts, context: Context = "Sample.Periodic") -> Said:
        """TransactionEvent Updated, without a transaction MeterValues."""
        if facts.transaction is None:
            payload = messages.MeterValues(evse_id=CONNECTOR, meter_value=[_meter(facts, context)])
            return Said("MeterValues", payload)
        trigger: messages.TriggerReasonEnumType = "Trigger" if context == "Trigger" else "MeterValuePeriodic"
        return _event(facts, "Updated", trigger, context=context)

    def troubled(self, facts: Facts, trouble: Trouble, number: int, *, is_over: bool) -> Sequence[Said]:
        """NotifyEvent: a switch that is on or off, or a value that a monitor found beyond its bounds, or back within."""
        value = "true" if not is_over else "false"
        event = messages.EventDataType(
            event_id=number,
            timestamp=facts.timestamp,
            trigger="Alerting" if trouble.is_measured else "Delta",
            actual_value=("20" if is_over else "300") if trouble.is_measured else value,
            component=messages.ComponentType(name=trouble.component, evse=EVSE),
            event_notification_type="PreconfiguredMonitor" if trouble.is_measured else "HardWiredNotification",
            variable=messages.VariableType(name=trouble.variable),
            cleared=is_over,
        )
        payload = messages.NotifyEvent(generated_at=facts.timestamp, seq_no=0, event_data=[event])
        return (Said("NotifyEvent", payload),)

    def worried(self, facts: Facts, event: str) -> Said:
        """SecurityEventNotification."""
        payload = messages.SecurityEventNotification(type=event, timestamp=facts.timestamp)
        return Said("SecurityEventNotification", payload)

    def ended(self, facts: Facts, reason: Reason, id_tag: str | None) -> Said:
        """TransactionEvent Ended."""
        why, trigger = ENDS.get(reason, OTHER_END)
        return _event(facts, "Ended", trigger, context="Transaction.End", id_tag=id_tag, reason=why)


def _token(id_tag: str) -> messages.IdTokenType:
    return messages.IdTokenType(id_token=id_tag, type="ISO14443")


def _connector(status: Status) -> messages.ConnectorStatusEnumType:
    return CONNECTORS.get(status, "Occupied")


def _status(facts: Facts) -> Said:
    payload = messages.StatusNotification(
        timestamp=facts.timestamp,
        connector_status=_connector(facts.status),
        evse_id=CONNECTOR,
        connector_id=CONNECTOR,
    )
    return Said("StatusNotification", payload)


def _event(
    facts: Facts,
    kind: messages.TransactionEventEnumType,
    trigger: messages.TriggerReasonEnumType,
    *,
    context: Context | None = None,
    id_tag: str | None = None,
    reason: messages.ReasonEnumType | None = None,
) -> Said:
    running = facts.transaction
    if running is None:
        raise ValueError("no transaction runs")
    payload = messages.TransactionEvent(
        event_type=kind,
        timestamp=facts.timestamp,
        trigger_reason=trigger,
        seq_no=_next(running),
        transaction_info=messages.TransactionType(
            transaction_id=str(running.record.transaction_id),
            charging_state=ACTIVITIES.get(facts.status, "EVConnected"),
            stopped_reason=UNSET if reason is None else reason,
        ),
        # The place is told once; later messages of a transaction need not repeat it.
        evse=EVSE if kind == "Started" else UNSET,
        id_token=UNSET if id_tag is None else _token(id_tag),
        meter_value=UNSET if context is None else [_meter(facts, context)],
        offline=not facts.is_online,
    )
    return Said("TransactionEvent", payload, is_kept=True)


def _next(running: Transaction) -> int:
    running.sequence += 1
    return running.sequence - 1


def _meter(facts: Facts, context: Context) -> messages.MeterValueType:
    def value(
        amount: float, measurand: messages.MeasurandEnumType, unit: str, phase: messages.PhaseEnumType | None = None
    ) -> messages.SampledValueType:
        return messages.SampledValueType(
            value=amount,
            context=context,
            measurand=measurand,
            phase=UNSET if phase is None else phase,
            unit_of_measure=messages.UnitOfMeasureType(unit=unit),
        )

    register = int(facts.register_wh)
    energy = (register / 1000, "kWh") if facts.is_in_kwh else (register, "Wh")
    values = [value(energy[0], "Energy.Active.Import.Register", energy[1])]
    for phase, amps in zip(TERMINALS, facts.currents, strict=True):
        values.append(value(round(amps, 2), "Current.Import", "A", phase))
    values.append(value(round(sum(facts.currents) * VOLTAGE_V), "Power.Active.Import", "W"))
    return messages.MeterValueType(timestamp=facts.timestamp, sampled_value=values)
