"""What a simulated charge point can find wrong with itself, in the words of each version of OCPP (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from devices.ocpp.v16.messages import ErrorCode

PROBLEM: Final = "Problem"
TRIPPED: Final = "Tripped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """`error_code` is of OCPP 1.6 §7.6, and `vendor_error_code` is what a vendor adds where that has no word.

    `component` is of OCPP 2.0.1 (part 2, appendix 3). Its `variable` is true while it lasts, or a value that a monitor finds too high.
    """

    error_code: ErrorCode
    component: str
    vendor_error_code: str | None = None
    variable: str = PROBLEM

    @property
    def is_measured(self) -> bool:
        """Whether the variable holds a value, and not whether something is wrong."""
        return self.variable not in (PROBLEM, TRIPPED)


TROUBLES: Final[Mapping[str, Trouble]] = {
    "cable": Trouble(
        error_code="OtherError",
        vendor_error_code="ProximityPilotMissing",
        component="CableBreakawaySensor",
        variable=TRIPPED,
    ),
    "lock": Trouble(error_code="ConnectorLockFailure", component="ConnectorPlugRetentionLock"),
    "car": Trouble(error_code="EVCommunicationError", component="CPPWMController"),
    "residual current": Trouble(error_code="GroundFailure", component="RCD", variable=TRIPPED),
    "contactor": Trouble(error_code="PowerSwitchFailure", component="PowerContactor"),
    "heat": Trouble(error_code="HighTemperature", component="TemperatureSensor", variable="Temperature"),
    "current": Trouble(error_code="OverCurrentFailure", component="OverCurrentProtection", variable=TRIPPED),
    "voltage": Trouble(error_code="OverVoltage", component="ElectricalFeed", variable="ACVoltage"),
    "meter": Trouble(error_code="PowerMeterFailure", component="FiscalMetering"),
    "reader": Trouble(error_code="ReaderFailure", component="TokenReader"),
    "inside": Trouble(error_code="InternalError", component="Controller"),
}
"""By what is broken."""
