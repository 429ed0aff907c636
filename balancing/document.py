"""Instances and allocations as JSON: strict on the way in, plain on the way out."""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

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
    Line,
    LineCurrentModel,
    Lines,
    Network,
    Previous,
    Switching,
    Vector,
    Vehicle,
    check,
    in_grid_order,
)

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")
ABSENT = object()

MOST = 1e12
"""No ampere, weight, credit or class of a site is beyond it; sums of more than that lose the amperes that they are made of."""


def allocate_document(text: bytes, *, effort: int = DEFAULT) -> bytes:
    """The allocation (JSON) of one instance (JSON). Raises InstanceError."""
    try:
        document: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InstanceError("document", f"not JSON: {error}") from error
    return orjson.dumps(dump_allocation(allocate(parse_instance(document), effort=effort)))


def parse_instance(document: object) -> Instance:
    """The instance that a decoded JSON document describes; unknown fields are ignored.

    Raises InstanceError, which names the field.
    """
    top = _Object(document, "")
    if top.text("format") != FORMAT:
        raise InstanceError("format", f"is not {FORMAT!r}")
    installation = top.child("installation")
    instance = Instance(
        id=top.text("id"),
        installation_id=installation.text("id", ""),
        installation_name=installation.text("name", ""),
        network=installation.word("network", Network),
        line_current_model=installation.word("line_current_model", LineCurrentModel, LineCurrentModel.ARITHMETIC),
        circuits=top.each("circuits", _circuit),
        chargers=top.each("chargers", _charger),
    )
    check(instance)
    return instance


class _Object:
    """One JSON object and its path, read field by field; a default makes a field optional."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise InstanceError(path or "document", "is not an object")
        self._fields = value
        self._prefix = f"{path}." if path else ""

    def path(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def has(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def _get(self, name: str, default: object) -> object:
        value = self._fields.get(name, default)
        if value is ABSENT:
            raise InstanceError(self.path(name), "is missing")
        return value

    def text(self, name: str, default: object = ABSENT) -> str:
        value = self._get(name, default)
        if not isinstance(value, str):
            raise InstanceError(self.path(name), "is not a string")
        return value

    def child(self, name: str) -> "_Object":
        return _Object(self._get(name, ABSENT), self.path(name))

    def word(self, name: str, words: type[E], default: object = ABSENT) -> E:
        return _word(self._get(name, default), words, self.path(name))

    def number(
        self, name: str, default: object = ABSENT, *, above: float = -math.inf, least: float = -math.inf
    ) -> float:
        number = _number(self._get(name, default), self.path(name))
        if number < least:
            raise InstanceError(self.path(name), f"is below {least:g}")
        if number <= above:
            raise InstanceError(self.path(name), f"is not above {above:g}")
        return number

    def optional_number(self, name: str) -> float | None:
        return self.number(name, least=0) if self.has(name) else None

    def integer(self, name: str, default: object = ABSENT, *, least: float = -math.inf) -> int:
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InstanceError(self.path(name), "is not an integer")
        if value < least:
            raise InstanceError(self.path(name), f"is below {least:g}")
        if abs(value) > MOST:
            raise InstanceError(self.path(name), f"is beyond {MOST:g}")
        return value

    def vector(self, name: str, default: object = ABSENT, *, least: float = -math.inf) -> Vector:
        values = _list(self._get(name, default), self.path(name))
        if len(values) != 3:
            raise InstanceError(self.path(name), "is not a list of three numbers")
        numbers = [_number(value, f"{self.path(name)}[{index}]") for index, value in enumerate(values)]
        for index, number in enumerate(numbers):
            if number < least:
                raise InstanceError(f"{self.path(name)}[{index}]", f"is below {least:g}")
        return (numbers[0], numbers[1], numbers[2])

    def values(self, name: str) -> list[object]:
        return _list(self._get(name, ABSENT), self.path(name))

    def lines(self, name: str, default: object = ABSENT) -> Lines:
        return _lines(self._get(name, default), self.path(name))

    def each(self, name: str, read: Callable[["_Object"], T]) -> tuple[T, ...]:
        return tuple(
            read(_Object(value, f"{self.path(name)}[{index}]")) for index, value in enumerate(self.values(name))
        )


def _list(value: object, path: str) -> list[object]:
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, list):
        raise InstanceError(path, "is not a list")
    return value


def _number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InstanceError(path, "is not a number")
    if value != value or value in (math.inf, -math.inf):
        raise InstanceError(path, "is not finite")
    if abs(value) > MOST:
        raise InstanceError(path, f"is beyond {MOST:g}")
    return float(value)


def _word(value: object, words: type[E], path: str) -> E:
    if not isinstance(value, str):
        raise InstanceError(path, "is not a string")
    try:
        return words(value)
    except ValueError as error:
        raise InstanceError(path, f"{value!r} is none of {', '.join(words)}") from error


def _lines(value: object, path: str) -> Lines:
    lines = tuple(_word(word, Line, f"{path}[{index}]") for index, word in enumerate(_list(value, path)))
    if len(set(lines)) != len(lines):
        raise InstanceError(path, "a line is repeated")
    return lines


def _circuit(fields: _Object) -> Circuit:
    return Circuit(
        id=fields.text("id"),
        parent=fields.text("parent") if fields.has("parent") else None,
        fuse=fields.vector("fuse", least=0),
        other_load=fields.vector("other_load", NO_CURRENT),
    )


def _charger(fields: _Object) -> ChargerInput:
    vehicle = fields.child("vehicle") if fields.has("vehicle") else None
    return ChargerInput(
        id=fields.text("id"),
        circuit=fields.text("circuit"),
        wiring=fields.lines("wiring"),
        switching=fields.word("switching", Switching, Switching.NONE),
        min_current=fields.number("min_current", 6.0, above=0),
        max_current=fields.number("max_current", 32.0, least=0),
        max_current_1p=fields.optional_number("max_current_1p"),
        current_step=fields.optional_number("current_step") or 0.0,
        state=fields.word("state", ChargerState),
        vehicle=_vehicle(vehicle) if vehicle else Vehicle(),
        priority=fields.integer("priority", 0),
        tier=fields.integer("tier", 0, least=0),
        weight=fields.number("weight", 1.0, above=0),
        credit=fields.number("credit", 0.0, least=0),
        modes=_modes(fields) if fields.has("modes") else None,
        previous=Previous(*_current_and_lines(fields.child("previous"))) if fields.has("previous") else None,
        fallback=_fallback(fields.child("fallback"), fields.lines("wiring")) if fields.has("fallback") else None,
    )


def _vehicle(fields: _Object) -> Vehicle:
    phases = fields.integer("phases") if fields.has("phases") else None
    if phases not in (None, 1, 2, 3):
        raise InstanceError(fields.path("phases"), "is none of 1, 2, 3")
    return Vehicle(phases=phases, max_current=fields.optional_number("max_current"))


def _modes(fields: _Object) -> tuple[Lines, ...]:
    path = fields.path("modes")
    values = fields.values("modes")
    return tuple(in_grid_order(_lines(value, f"{path}[{index}]")) for index, value in enumerate(values))


def _fallback(fields: _Object, wiring: Lines) -> Fallback:
    """Without lines it loads all that are wired: nobody says that it loads none."""
    current, lines = _current_and_lines(fields)
    return Fallback(current, lines or in_grid_order(wiring))


def _current_and_lines(fields: _Object) -> tuple[float, Lines]:
    return fields.number("current", least=0), in_grid_order(fields.lines("phases", ()))


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
