"""What loads add up to on the lines of a site: plainly where there is a neutral, as phasors where there is none. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from balancing.circuit import LINES
from bench.closed_loop.scenario import Vector
from domain.roles import NetworkType

Phasors = tuple[complex, complex, complex]


def _phasor(magnitude: float, degrees: float) -> complex:
    return complex(magnitude * math.cos(math.radians(degrees)), magnitude * math.sin(math.radians(degrees)))


def _pair(degrees: float, into: int, out_of: int) -> Phasors:
    currents = [0j, 0j, 0j]
    currents[into], currents[out_of] = _phasor(1, degrees), -_phasor(1, degrees)
    return (currents[0], currents[1], currents[2])


_PAIRS: Final[Mapping[str, Phasors]] = {"L1L2": _pair(30, 0, 1), "L2L3": _pair(-90, 1, 2), "L1L3": _pair(150, 2, 0)}
_THREE: Final[Phasors] = (_phasor(1, 0), _phasor(1, -120), _phasor(1, 120))


def line_currents(loads: Sequence[tuple[float, Sequence[str]]], network: NetworkType) -> Vector:
    """Ampere in each line that these loads make together, at unity power factor."""
    if network in (NetworkType.TN_3_PHASE, NetworkType.TN_1_PHASE):
        first, second, third = (sum(a for a, lines in loads if line in lines) for line in LINES)
        return (first, second, third)
    sums = [0j, 0j, 0j]
    for current, lines in loads:
        for place, unit in enumerate(_THREE if len(lines) == 3 else _PAIRS.get("".join(sorted(lines)), (0j, 0j, 0j))):
            sums[place] += current * unit
    return (abs(sums[0]), abs(sums[1]), abs(sums[2]))
