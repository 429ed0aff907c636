"""What an OCPP 2.0.1 charger says of its device model (use case B06). Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from devices.ocpp.frames import UNREADABLE
from devices.ocpp.protocol import Outgoing
from devices.ocpp.v201 import messages


class _Name(msgspec.Struct, frozen=True):
    name: str = ""


class _Result(msgspec.Struct, rename="camel"):
    component: _Name = _Name()
    variable: _Name = _Name()
    attribute_status: str = ""
    attribute_value: str | None = None


class _Variables(msgspec.Struct, rename="camel"):
    get_variable_result: list[_Result] = []


def ask(names: Iterable[tuple[str, str]]) -> Outgoing:
    """GetVariablesRequest for these (component, variable)."""
    asked = [
        messages.GetVariableDataType(
            component=messages.ComponentType(name=component), variable=messages.VariableType(name=variable)
        )
        for component, variable in names
    ]
    return Outgoing("GetVariables", messages.GetVariables(get_variable_data=asked))


def told(answer: str | None) -> Mapping[str, str]:
    """The values that it tells, by `component.variable`."""
    try:
        results = msgspec.json.decode(answer or "", type=_Variables, strict=False).get_variable_result
    except UNREADABLE:
        return {}
    return {
        f"{one.component.name}.{one.variable.name}": one.attribute_value or ""
        for one in results
        if one.attribute_status == "Accepted"
    }
