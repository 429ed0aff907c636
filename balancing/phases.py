"""Which lines a charger may load, and what a set of lines does with a current."""

import math
from functools import lru_cache
from typing import Final

from balancing.circuit import ChargerInput, Line, Lines, Network, Switching, in_grid_order

SLACK: Final = 1e-9
"""Ampere by which sums of floats may pass a capacity before they count as above it."""

STEP_TOLERANCE: Final = 1e-6
"""Steps: 5.9999999 A is 60 steps of 0.1 A (docs/balance-format.md, `current_step`)."""

DECIMALS: Final = 9
"""Beyond the resolution of any charger, within that of a float."""

COS_30: Final = math.sqrt(3) / 2
SIN_30: Final = 0.5


def kappa(lines: Lines, network: Network) -> float:
    """Power per ampere in units of 230 V: the lines in TN; in IT 1 for a pair and √3 for three lines."""
    if network.is_it:
        return math.sqrt(3) if len(lines) == 3 else 1.0
    return float(len(lines))


def permitted_lines(charger: ChargerInput, network: Network) -> tuple[Lines, ...]:
    """The line sets that wiring, switching and car permit, widest first, then in terminal order.

    An unknown car counts as three-phase. A two-phase car uses terminals 1 and 2, in IT it counts as a one-phase car.
    """
    return permitted_lines_of(charger.wiring, charger.switching, charger.vehicle.phases, network)


@lru_cache(maxsize=1024)
def permitted_lines_of(wiring: Lines, switching: Switching, phases: int | None, network: Network) -> tuple[Lines, ...]:
    """The same, of what it depends on."""
    found = [loaded_lines(wiring, phases, network)]
    if len(wiring) == 3:
        found.extend(_narrow_lines(wiring, switching, 2 if network.is_it else 1))
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


def line_loads(lines: Lines, *, is_vector: bool) -> tuple[tuple[Line, tuple[float, float]], ...]:
    """Per line that a mode loads, what one ampere of it adds there.

    With I12, I23, I31 the pair currents: |I1|² = (I3p + cos30°·(I12+I31))² + (sin30°·(I12-I31))².
    """
    if not is_vector or len(lines) != 2:
        return tuple((line, (1.0, 0.0)) for line in lines)
    first, second = lines
    if (second.place - first.place) % 3 != 1:
        first, second = second, first
    return ((first, (COS_30, SIN_30)), (second, (COS_30, -SIN_30)))


def round_down(current: float, step: float) -> float:
    """The current as a whole number of steps, never more than STEP_TOLERANCE of a step above it."""
    if not step:
        return current
    # 63 steps of 0.1 A are 6.3 A to whoever reads them, not 6.300000000000001.
    return round(step * math.floor(current / step + STEP_TOLERANCE), DECIMALS)
