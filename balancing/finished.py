"""Cars that are done: their minimum is kept for them where nobody else needs it. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from balancing.allocate import allocate
from balancing.circuit import Allocation, ChargerInput, ChargerState, Instance, Limit, Line, Setpoint, ancestors


def with_finished(instance: Instance, allocation: Allocation) -> tuple[Instance, Allocation]:
    """The question and its answer, with their minimum kept for cars that no longer ask, where nobody is waiting or limited by it.

    A car that finished may want to heat before it leaves; it can only ask again while something is offered.
    """
    wanting = {charger.id for charger in instance.chargers if charger.state.wants_current}
    short = {
        (setpoint.limiting_circuit, setpoint.limiting_line)
        for setpoint in allocation.setpoints
        if setpoint.charger in wanting and setpoint.limit not in (Limit.CAR, Limit.CHARGER, Limit.NONE)
    }
    paths = ancestors(instance.circuits)
    names = {
        charger.id
        for charger in instance.chargers
        if charger.state is ChargerState.FINISHED
        and not any(_concerns(charger, paths[charger.circuit], circuit, line) for circuit, line in short)
    }
    if not names:
        return instance, allocation
    asked = replace(instance, chargers=tuple(_at_minimum(charger, names) for charger in instance.chargers))
    eased = allocate(asked)
    before = allocation.by_charger()
    is_kept = all(_at_least(found, before) for found in eased.setpoints if found.charger in wanting)
    return (asked, eased) if is_kept else (instance, allocation)


def _concerns(charger: ChargerInput, path: tuple[str, ...], circuit: str | None, line: Line | None) -> bool:
    """Whether what the charger draws is missing there."""
    return circuit is None or (circuit in path and (line is None or line in charger.wiring))


def _at_minimum(charger: ChargerInput, names: set[str]) -> ChargerInput:
    if charger.id not in names:
        return charger
    return replace(
        charger, state=ChargerState.CHARGING, vehicle=replace(charger.vehicle, max_current=charger.min_current)
    )


def _at_least(found: Setpoint, before: Mapping[str, Setpoint]) -> bool:
    return found.current >= before[found.charger].current
