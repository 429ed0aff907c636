"""Instances and allocations as JSON: strict on the way in, plain on the way out."""

import json
from codecs import BOM_UTF8

import orjson

from balancing.allocate import DEFAULT, allocate
from balancing.circuit import (
    ALLOCATION_FORMAT,
    FORMAT,
    NO_CURRENT,
    Allocation,
    ChargerInput,
    ChargerState,
    Circuit,
    Fallback,
    Instance,
    InstanceError,
    LineCurrentModel,
    Lines,
    Network,
    Previous,
    Switching,
    Vehicle,
    check,
    in_grid_order,
)
from balancing.reading import (
    Fields,
    each,
    integer,
    lines,
    natural,
    not_negative,
    number,
    positive,
    text,
    vector,
    word,
    wrong,
)


def allocate_document(written: bytes, *, effort: int = DEFAULT) -> bytes:
    """The allocation (JSON) of one instance (JSON). Raises InstanceError."""
    return orjson.dumps(dump_allocation(allocate(parse_instance(_decoded(written)), effort=effort)))


def _decoded(written: bytes) -> object:
    """The document, which may begin with a byte order mark. Raises InstanceError."""
    written = written.removeprefix(BOM_UTF8)
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError as error:
        reason = str(error)
    if not written.strip():
        raise InstanceError("document", "is empty: it takes one instance, which is a JSON object")
    try:
        # Python also reads NaN, Infinity and numbers that no float holds, so that their field can be named.
        return json.loads(written.decode())
    except UnicodeDecodeError as error:
        raise InstanceError("document", "is not UTF-8: save it in that encoding") from error
    except (ValueError, RecursionError) as error:
        raise InstanceError("document", f"not JSON: {reason}") from error


def parse_instance(document: object) -> Instance:
    """The instance that a decoded JSON document describes; unknown fields are ignored.

    Raises InstanceError, which names the field.
    """
    try:
        instance = _instance(Fields(document))
    except InstanceError as error:
        raise (error if error.field else error.below("document")) from error
    check(instance)
    return instance


_network, _line_current_model = word(Network), word(LineCurrentModel)
_switching, _state = word(Switching), word(ChargerState)
_fuse, _load = vector(not_negative), vector(number)
_sets_of_lines = each(lines)


def _instance(fields: Fields) -> Instance:
    if fields.required("format", text) != FORMAT:
        raise InstanceError("format", f"is not {FORMAT!r}")
    return Instance(
        fields.required("id", text),
        fields.required("circuits", each(_circuit)),
        fields.required("chargers", each(_charger)),
        *fields.required("installation", _installation),
    )


def _installation(value: object) -> tuple[Network, LineCurrentModel, str, str]:
    fields = Fields(value)
    return (
        fields.required("network", _network),
        fields.given("line_current_model", _line_current_model, LineCurrentModel.ARITHMETIC),
        fields.given("id", text, ""),
        fields.given("name", text, ""),
    )


def _circuit(value: object) -> Circuit:
    fields = Fields(value)
    return Circuit(
        id=fields.required("id", text),
        parent=fields.optional("parent", text),
        fuse=fields.required("fuse", _fuse),
        other_load=fields.given("other_load", _load, NO_CURRENT),
    )


def _charger(value: object) -> ChargerInput:
    fields = Fields(value)
    wiring = fields.required("wiring", lines)
    fallback = fields.optional("fallback", _current_and_lines)
    modes = fields.optional("modes", _sets_of_lines)
    return ChargerInput(
        id=fields.required("id", text),
        circuit=fields.required("circuit", text),
        wiring=wiring,
        switching=fields.given("switching", _switching, Switching.NONE),
        min_current=fields.given("min_current", positive, 6.0),
        max_current=fields.given("max_current", not_negative, 32.0),
        max_current_1p=fields.optional("max_current_1p", not_negative),
        current_step=fields.optional("current_step", not_negative) or 0.0,
        state=fields.required("state", _state),
        vehicle=fields.optional("vehicle", _vehicle) or Vehicle(),
        priority=fields.given("priority", integer, 0),
        tier=fields.given("tier", natural, 0),
        weight=fields.given("weight", positive, 1.0),
        credit=fields.given("credit", not_negative, 0.0),
        modes=None if modes is None else tuple(in_grid_order(mode) for mode in modes),
        previous=fields.optional("previous", _previous),
        # Without lines it loads all that are wired: nobody says that it loads none.
        fallback=None if fallback is None else Fallback(fallback[0], fallback[1] or in_grid_order(wiring)),
    )


def _vehicle(value: object) -> Vehicle:
    fields = Fields(value)
    return Vehicle(fields.optional("phases", _phases), fields.optional("max_current", not_negative))


def _phases(value: object) -> int:
    found = integer(value)
    if found not in (1, 2, 3):
        raise wrong(value, "none of 1, 2, 3")
    return found


def _previous(value: object) -> Previous:
    return Previous(*_current_and_lines(value))


def _current_and_lines(value: object) -> tuple[float, Lines]:
    fields = Fields(value)
    return fields.required("current", not_negative), in_grid_order(fields.given("phases", lines, ()))


def dump_instance(instance: Instance) -> dict[str, object]:
    """The JSON document that `parse_instance` reads back as an equal instance."""
    return {
        "format": FORMAT,
        "id": instance.id,
        "installation": {
            "id": instance.installation_id,
            "name": instance.installation_name,
            "network": instance.network.value,
            "line_current_model": instance.line_current_model.value,
        },
        "circuits": [
            {"id": c.id, "parent": c.parent, "fuse": list(c.fuse), "other_load": list(c.other_load)}
            for c in instance.circuits
        ],
        "chargers": [_dump_charger(charger) for charger in instance.chargers],
    }


def _dump_charger(charger: ChargerInput) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": charger.id,
        "circuit": charger.circuit,
        "wiring": _words(charger.wiring),
        "switching": charger.switching.value,
        "min_current": charger.min_current,
        "max_current": charger.max_current,
        "max_current_1p": charger.max_current_1p,
        "current_step": charger.current_step,
        "state": charger.state.value,
        "vehicle": {"phases": charger.vehicle.phases, "max_current": charger.vehicle.max_current},
        "priority": charger.priority,
        "tier": charger.tier,
        "weight": charger.weight,
        "credit": charger.credit,
    }
    if charger.modes is not None:
        fields["modes"] = [_words(mode) for mode in charger.modes]
    if charger.previous is not None:
        fields["previous"] = {"current": charger.previous.current, "phases": _words(charger.previous.phases)}
    if charger.fallback is not None:
        fields["fallback"] = {"current": charger.fallback.current, "phases": _words(charger.fallback.phases)}
    return fields


def dump_allocation(allocation: Allocation) -> dict[str, object]:
    """The ev-balance-allocation/1 document; `limit` and its circuit and line are additions to the format."""
    return {
        "format": ALLOCATION_FORMAT,
        "instance": allocation.instance,
        "allocation": [
            {
                "charger": setpoint.charger,
                "current": setpoint.current,
                "phases": _words(setpoint.phases),
                "limit": setpoint.limit.value,
                "limiting_circuit": setpoint.limiting_circuit,
                "limiting_line": setpoint.limiting_line.value if setpoint.limiting_line else None,
            }
            for setpoint in allocation.setpoints
        ],
        "overloaded": [
            {"circuit": overload.circuit, "line": overload.line.value, "excess": overload.excess}
            for overload in allocation.overloaded
        ],
    }


def _words(lines: Lines) -> list[str]:
    return [line.value for line in lines]
