"""Which lines chargers that can switch are to use: as they are, unless others are worth a switch that the rules allow. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from balancing.allocate import allocate
from balancing.circuit import Allocation, ChargerInput, Instance, Lines, Network, Setpoint
from balancing.phases import kappa, loaded_lines, permitted_lines
from balancing.switching import Position, Prospect, begun, may_switch, weighed


@dataclass(frozen=True, slots=True)
class Choice:
    """The question with the lines that are allowed now, its answer, and where chargers begin to switch."""

    instance: Instance
    allocation: Allocation
    positions: Mapping[str, Position]


def choose(
    instance: Instance, positions: Mapping[str, Position], *, switch_below_a: float | None, now_s: float
) -> Choice:
    """The answer with every charger on its lines, or with others for those that may switch for it.

    `positions` are of the chargers that can switch. `switch_below_a`: a car that can use three phases may be brought to one while
    its three-phase current is below that; None: never.
    """
    network = instance.network
    chargers = [charger for charger in instance.chargers if charger.id in positions]
    kept = {one.id: (positions[one.id].will_load(one.wiring, one.vehicle.phases, network),) for one in chargers}
    still = _with_modes(instance, kept)
    allocation = allocate(still)
    before = allocation.by_charger()
    free = {
        one.id: modes
        for one in chargers
        if one.state.wants_current and may_switch(positions[one.id], now_s)
        for modes in (_open_modes(one, kept[one.id][0], before[one.id].current, switch_below_a, network),)
        if len(modes) > 1
    }
    if not free:
        return Choice(still, allocation, positions)
    after = allocate(_with_modes(instance, {**kept, **free})).by_charger()
    moved = dict(positions)
    allowed: dict[str, tuple[Lines, ...]] = {}
    for name in free:
        prospect = _prospect(kept[name][0], before[name], after[name], network)
        moved[name], may = weighed(positions[name], prospect, now_s)
        if may:
            allowed[name] = (kept[name][0], prospect.other_lines)
    if not allowed:
        return Choice(still, allocation, moved)
    turned = _with_modes(instance, {**kept, **allowed})
    allocation = allocate(turned)
    found = allocation.by_charger()
    for one in chargers:
        lines = found[one.id].phases
        if one.id in allowed and found[one.id].current > 0 and lines != kept[one.id][0]:
            moved[one.id] = begun(moved[one.id], lines, one.wiring, one.vehicle.phases, network, now_s)
    return Choice(turned, allocation, moved)


def _with_modes(instance: Instance, modes: Mapping[str, tuple[Lines, ...]]) -> Instance:
    return replace(
        instance,
        chargers=tuple(
            replace(charger, modes=modes[charger.id]) if charger.id in modes else charger
            for charger in instance.chargers
        ),
    )


def _open_modes(
    charger: ChargerInput, lines: Lines, current: float, switch_below_a: float | None, network: Network
) -> tuple[Lines, ...]:
    """The lines that the charger may use if it switches, with those that it uses."""
    permitted = permitted_lines(charger, network)
    if network.is_it and charger.vehicle.phases is None:
        # Nobody knows whether its converters share a line.
        permitted = tuple(one for one in permitted if len(one) < 3)
    wide = loaded_lines(charger.wiring, charger.vehicle.phases, network)
    is_kept_wide = len(wide) == 3 and lines == wide and (switch_below_a is None or current >= switch_below_a)
    return (lines,) if is_kept_wide else tuple(dict.fromkeys((lines, *permitted)))


def _prospect(lines: Lines, before: Setpoint, after: Setpoint, network: Network) -> Prospect:
    return Prospect(
        lines,
        before.current * kappa(lines, network),
        after.phases,
        after.current * kappa(after.phases, network) if after.phases else 0.0,
    )
