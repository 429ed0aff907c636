"""What an OCPP 1.6 charger says about its charging profiles (§9.4). Pure."""

from collections.abc import Mapping

from devices.ocpp.protocol import Outgoing, profile_facts
from devices.ocpp.v16 import configuration

_UNITS, _LEVELS = "ChargingScheduleAllowedChargingRateUnit", "ChargeProfileMaxStackLevel"


def ask() -> Outgoing:
    """GetConfiguration.req."""
    return configuration.ask((_UNITS, _LEVELS))


def told(answer: str | None) -> Mapping[str, object]:
    """What it says, by the names of `Capabilities`."""
    values = configuration.told(answer)
    return profile_facts(units=values.get(_UNITS), levels=values.get(_LEVELS))
