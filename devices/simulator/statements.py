"""Messages of a simulated charge point about itself, as OCPP 1.6 has them (pure)."""

from msgspec import UNSET

from devices.ocpp.v16.messages import (
    BootNotification,
    Context,
    Measurand,
    MeterValue,
    MeterValues,
    Phase,
    SampledValue,
    Unit,
)
from devices.simulator.car import VOLTAGE_V
from devices.simulator.plan import ChargerPlan

CONNECTOR = 1
STATION = 0
TERMINALS: tuple[Phase, ...] = ("L1", "L2", "L3")
MAX_SERIAL = 25


def boot(plan: ChargerPlan) -> BootNotification:
    """Who it is."""
    return BootNotification(
        charge_point_vendor=plan.vendor,
        charge_point_model=plan.model,
        charge_point_serial_number=(plan.serial_number or plan.identity)[:MAX_SERIAL],
        firmware_version=plan.firmware_version,
    )


def meter_values(
    *,
    register_wh: float,
    currents: tuple[float, float, float],
    timestamp: str,
    context: Context,
    transaction_id: int | None,
) -> MeterValues:
    """Register (whole Wh), current by terminal and power, at one instant."""

    def value(text: str, measurand: Measurand, unit: Unit, phase: Phase | None = None) -> SampledValue:
        where = UNSET if phase is None else phase
        return SampledValue(value=text, context=context, measurand=measurand, unit=unit, phase=where)

    values = [value(str(int(register_wh)), "Energy.Active.Import.Register", "Wh")]
    for phase, amps in zip(TERMINALS, currents, strict=True):
        values.append(value(f"{amps:.2f}", "Current.Import", "A", phase))
    values.append(value(f"{sum(currents) * VOLTAGE_V:.0f}", "Power.Active.Import", "W"))
    return MeterValues(
        connector_id=CONNECTOR,
        transaction_id=UNSET if transaction_id is None else transaction_id,
        meter_value=[MeterValue(timestamp=timestamp, sampled_value=values)],
    )
