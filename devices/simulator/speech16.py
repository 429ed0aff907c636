"""Messages of a simulated charge point about itself, as OCPP 1.6 has them (pure)."""

from collections.abc import Sequence
from random import Random

import msgspec
from msgspec import UNSET

from devices.ocpp.v16 import messages
from devices.ocpp.v16.messages import Context, Measurand, MeterValue, MeterValues, Phase, Reason, SampledValue, Unit
from devices.simulator.car import VOLTAGE_V
from devices.simulator.outbox import UNKNOWN_TRANSACTION
from devices.simulator.plan import ChargerPlan
from devices.simulator.speech import CONNECTOR, MAX_SERIAL, STATION, Facts, Said, Status, Transaction
from devices.simulator.troubles import Trouble

TERMINALS: tuple[Phase, ...] = ("L1", "L2", "L3")


class Speech16:
    """OCPP 1.6-J."""

    subprotocol = "ocpp1.6"
    calls = messages.CALLS
    results = messages.RESULTS

    def new_transaction_id(self, random: Random) -> str | None:  # noqa: ARG002  the other side makes it
        """None: it comes with the answer to the start."""
        return None

    def boot(self, plan: ChargerPlan) -> Said:
        """BootNotification."""
        payload = messages.BootNotification(
            charge_point_vendor=plan.vendor,
            charge_point_model=plan.model,
            charge_point_serial_number=(plan.serial_number or plan.identity)[:MAX_SERIAL],
            firmware_version=plan.firmware_version,
        )
        return Said("BootNotification", payload)

    def heartbeat(self) -> Said:
        """Heartbeat."""
        return Said("Heartbeat", messages.Heartbeat())

    def authorize(self, id_tag: str) -> Said:
        """Authorize."""
        return Said("Authorize", messages.Authorize(id_tag=id_tag))

    def asked(self, payload: msgspec.Struct) -> str | None:
        """The card of an Authorize."""
        return payload.id_tag if isinstance(payload, messages.Authorize) else None

    def statuses(self, facts: Facts) -> Sequence[Said]:
        """StatusNotification of the station and of its connector."""
        station: Status = "Available" if facts.is_operative else "Unavailable"
        return (_status(STATION, station, facts), _status(CONNECTOR, facts.status, facts))

    def changed(self, before: Status, facts: Facts) -> Sequence[Said]:  # noqa: ARG002  every change is told
        """StatusNotification."""
        return (_status(CONNECTOR, facts.status, facts),)

    def started(self, facts: Facts) -> Said:
        """StartTransaction."""
        running = _running(facts)
        payload = messages.StartTransaction(
            connector_id=CONNECTOR,
            id_tag=running.id_tag,
            meter_start=running.record.register_start_wh - facts.zero_wh,
            timestamp=facts.timestamp,
        )
        return Said("StartTransaction", payload, is_kept=True)

    def claimed(self, facts: Facts) -> Sequence[Said]:  # noqa: ARG002  no transaction begins without a card
        """Nothing."""
        return ()

    def metered(self, facts: Facts, context: Context = "Sample.Periodic") -> Said:
        """MeterValues."""

        def value(text: str, measurand: Measurand, unit: Unit, phase: Phase | None = None) -> SampledValue:
            where = UNSET if phase is None else phase
            return SampledValue(value=text, context=context, measurand=measurand, unit=unit, phase=where)

        register = int(facts.register_wh)
        energy: tuple[str, Unit] = (f"{register / 1000:.3f}", "kWh") if facts.is_in_kwh else (str(register), "Wh")
        values = [value(energy[0], "Energy.Active.Import.Register", energy[1])]
        for phase, amps in zip(TERMINALS, facts.currents, strict=True):
            values.append(value(f"{amps:.2f}", "Current.Import", "A", phase))
        values.append(value(f"{sum(facts.currents) * VOLTAGE_V:.0f}", "Power.Active.Import", "W"))
        payload = MeterValues(
            connector_id=CONNECTOR,
            transaction_id=UNSET if facts.transaction is None else UNKNOWN_TRANSACTION,
            meter_value=[MeterValue(timestamp=facts.timestamp, sampled_value=values)],
        )
        return Said("MeterValues", payload, is_kept=facts.transaction is not None)

    def troubled(self, facts: Facts, trouble: Trouble, number: int, *, is_over: bool) -> Sequence[Said]:  # noqa: ARG002
        """Nothing: the status says it."""
        return ()

    def worried(self, facts: Facts, event: str) -> Said:
        """SecurityEventNotification."""
        payload = messages.SecurityEventNotification(type=event, timestamp=facts.timestamp)
        return Said("SecurityEventNotification", payload)

    def ended(self, facts: Facts, reason: Reason, id_tag: str | None) -> Said:
        """StopTransaction."""
        payload = messages.StopTransaction(
            meter_stop=(_running(facts).record.register_stop_wh or 0) - facts.zero_wh,
            timestamp=facts.timestamp,
            transaction_id=UNKNOWN_TRANSACTION,
            reason=reason,
            id_tag=UNSET if id_tag is None else id_tag,
        )
        return Said("StopTransaction", payload, is_kept=True)


def _running(facts: Facts) -> Transaction:
    if facts.transaction is None:
        raise ValueError("no transaction runs")
    return facts.transaction


def _status(connector: int, status: Status, facts: Facts) -> Said:
    trouble = facts.trouble if connector == CONNECTOR else None
    vendor = None if trouble is None else trouble.vendor_error_code
    payload = messages.StatusNotification(
        connector_id=connector,
        error_code="NoError" if trouble is None else trouble.error_code,
        status=status,
        timestamp=facts.timestamp,
        vendor_error_code=UNSET if vendor is None else vendor,
    )
    return Said("StatusNotification", payload)
