"""Which lines a charger may load: its modes by wiring, switching, car and what is allowed now."""

import math
from dataclasses import dataclass

from balancing.circuit import ChargerInput, Lines, Network, Switching, in_grid_order

STEP_TOLERANCE = 1e-6
"""Steps: 5.9999999 A is 60 steps of 0.1 A (docs/balance-format.md, `current_step`)."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way for a charger to feed its car: lines, κ and the range of a set-point above 0."""

    lines: Lines
    kappa: float
    lowest: float
    highest: float


def kappa(lines: Lines, network: Network) -> float:
    """Power per ampere in units of 230 V: the lines in TN; in IT 1 for a pair and √3 for three lines."""
    if network.is_it:
        return math.sqrt(3) if len(lines) == 3 else 1.0
    return float(len(lines))


def permitted_lines(charger: ChargerInput, network: Network) -> tuple[Lines, ...]:
    """The line sets that wiring, switching and car permit, widest first, then in terminal order.

    An unknown car counts as three-phase. A two-phase car uses terminals 1 and 2, in IT it counts as a one-phase car.
    """
    wiring = charger.wiring
    narrow = 2 if network.is_it else 1
    found = [loaded_lines(wiring, charger.vehicle.phases, network)]
    if len(wiring) == 3:
        found.extend(_narrow_lines(wiring, charger.switching, narrow))
    return tuple(dict.fromkeys(found))


def loaded_lines(wiring: Lines, phases: int | None, network: Network) -> Lines:
    """The lines that a car of so many phases loads where every wired line is closed."""
    used = phases or 3
    if network.is_it and used < 3:
        used = 2
    return in_grid_order(wiring[:used])


def _narrow_lines(wiring: Lines, switching: Switching, narrow: int) -> list[Lines]:
    if switching is Switching.NONE:
        return []
    if switching is Switching.THREE_TO_ONE:
        return [in_grid_order(wiring[:narrow])]
    turned = [wiring[first:] + wiring[:first] for first in range(3)]
    return [in_grid_order(terminals[:narrow]) for terminals in turned]


def best_kappa(charger: ChargerInput, network: Network) -> float:
    """The largest κ that wiring, switching and car permit, whatever circuits or `modes` allow now."""
    return max(kappa(lines, network) for lines in permitted_lines(charger, network))


def existing_modes(charger: ChargerInput, network: Network) -> tuple[Mode, ...]:
    """The modes allowed now whose minimum is not above their maximum, both held to `current_step`."""
    narrow = 2 if network.is_it else 1
    modes = []
    for lines in permitted_lines(charger, network):
        if charger.modes is not None and lines not in charger.modes:
            continue
        caps = [charger.max_current]
        if charger.vehicle.max_current is not None:
            caps.append(charger.vehicle.max_current)
        if charger.max_current_1p is not None and len(lines) == narrow:
            caps.append(charger.max_current_1p)
        lowest, highest = _whole_steps(charger.min_current, min(caps), charger.current_step)
        if lowest <= highest:
            modes.append(Mode(lines, kappa(lines, network), lowest, highest))
    return tuple(modes)


def _whole_steps(lowest: float, highest: float, step: float) -> tuple[float, float]:
    if not step:
        return lowest, highest
    return (
        step * math.ceil(lowest / step - STEP_TOLERANCE),
        step * math.floor(highest / step + STEP_TOLERANCE),
    )


DECIMALS = 9
"""Beyond the resolution of any charger, within that of a float."""


def round_down(current: float, step: float) -> float:
    """The current as a whole number of steps, never more than STEP_TOLERANCE of a step above it."""
    if not step:
        return current
    # 63 steps of 0.1 A are 6.3 A to whoever reads them, not 6.300000000000001.
    return round(step * math.floor(current / step + STEP_TOLERANCE), DECIMALS)
