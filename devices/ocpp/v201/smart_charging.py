"""What an OCPP 2.0.1 charger says about its charging profiles (SmartChargingCtrlr). Pure."""

from collections.abc import Mapping

from devices.ocpp.protocol import Outgoing, profile_facts
from devices.ocpp.v201 import variables

_UNITS, _LEVELS = ("SmartChargingCtrlr", "RateUnit"), ("SmartChargingCtrlr", "ProfileStackLevel")
_SWITCHES = ("SmartChargingCtrlr", "ACPhaseSwitchingSupported")
VARIABLES = (_UNITS, _LEVELS, _SWITCHES)
"""Component and variable of what is of use here."""


def ask() -> Outgoing:
    """GetVariablesRequest."""
    return variables.ask(VARIABLES)


def told(answer: str | None) -> Mapping[str, object]:
    """What it says, by the names of `Capabilities`."""
    return facts(variables.told(answer))


def facts(values: Mapping[str, str]) -> Mapping[str, object]:
    """What these variables say, by the names of `Capabilities`."""
    found = dict(profile_facts(units=values.get(".".join(_UNITS)), levels=values.get(".".join(_LEVELS))))
    if (switches := values.get(".".join(_SWITCHES))) is not None:
        found["takes_phase_to_use"] = switches.strip().lower() == "true"
    return found
