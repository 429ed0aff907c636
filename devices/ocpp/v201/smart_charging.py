"""What an OCPP 2.0.1 charger says about its charging profiles (SmartChargingCtrlr). Pure."""

from collections.abc import Mapping

from devices.ocpp.protocol import Outgoing, profile_facts
from devices.ocpp.v201 import variables

_UNITS, _LEVELS = ("SmartChargingCtrlr", "RateUnit"), ("SmartChargingCtrlr", "ProfileStackLevel")


def ask() -> Outgoing:
    """GetVariablesRequest."""
    return variables.ask((_UNITS, _LEVELS))


def told(answer: str | None) -> Mapping[str, object]:
    """What it says, by the names of `Capabilities`."""
    values = variables.told(answer)
    return profile_facts(units=values.get(".".join(_UNITS)), levels=values.get(".".join(_LEVELS)))
