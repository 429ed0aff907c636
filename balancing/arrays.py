"""An instance as numbers: a table of its circuits and one of its chargers, for machine code.

Circuits are in order from the root downwards and chargers in that of their ids, so no answer depends on the order of lists.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from struct import pack_into
from typing import Final, NamedTuple

import numpy as np

from balancing.circuit import (
    LINES,
    ChargerInput,
    ChargerState,
    Circuit,
    Instance,
    Lines,
    Network,
    Switching,
    in_grid_order,
)
from balancing.compiled import Floats
from balancing.phases import kappa, permitted_lines_of

MOST_MODES: Final = 4
"""All wired lines, and one line (or pair) at each of three terminals."""

STATE, CIRCUIT, MODE, BEST, MIN, MAX, MAX_1P, MAX_CAR, STEP, WEIGHT = 0, 1, 2, 6, 7, 8, 9, 10, 11, 12
CREDIT, PRIORITY, TIER, IS_KNOWN, BEFORE, CURRENT_BEFORE, COLUMNS = range(13, 20)
"""Columns of the table of chargers; from MODE on the lines of up to four modes, widest first, 0 where there is none."""

HELD: Final = MIN
"""For a charger that is offline: the ampere held back for it, on the lines of its first mode."""

ABOVE, FUSE, OTHER_LOAD, CIRCUIT_COLUMNS = 0, 1, 4, 7
"""Columns of the table of circuits: the place of the one that feeds it, -1 at the root, and two vectors."""

WANTS, PAUSED, OFFLINE = 0, 1, 2
"""Chargers' states, as far as they differ here."""

_STATES: Final = {
    ChargerState.CHARGING: WANTS,
    ChargerState.QUEUED: WANTS,
    ChargerState.IDLE: PAUSED,
    ChargerState.FINISHED: PAUSED,
    ChargerState.OFFLINE: OFFLINE,
}


class Site(NamedTuple):
    """What machine code is told of an instance. Lines are masks: 1, 2, 4 for L1, L2, L3."""

    circuits: Floats
    chargers: Floats
    is_it: bool
    is_vector: bool
    is_one_phase: bool


LINES_OF: Final = tuple(in_grid_order(line for line in LINES if mask & 1 << line.place) for mask in range(8))
"""Mask → lines."""

_MASKS: Final = {lines: mask for mask, lines in enumerate(LINES_OF)}


def site_of(instance: Instance, circuits: Sequence[Circuit], chargers: Sequence[ChargerInput]) -> Site:
    """The instance, whose circuits and chargers these are, in order."""
    number: dict[str | None, int] = {None: -1}
    number.update((circuit.id, place) for place, circuit in enumerate(circuits))
    network = instance.network
    return Site(
        _table([(number[one.parent], *one.fuse, *one.other_load) for one in circuits], CIRCUIT_COLUMNS),
        _table([_columns(charger, number[charger.circuit], network) for charger in chargers], COLUMNS),
        network.is_it,
        instance.uses_vectors,
        network.is_one_phase,
    )


def _table(rows: Sequence[Sequence[float]], columns: int) -> Floats:
    """The rows as an array; numpy itself would look at each number several times."""
    table = np.empty((len(rows), columns))
    pack_into(f"{table.size}d", table.data, 0, *[number for row in rows for number in row])
    return table


_NOTHING: Final = (0.0,) * COLUMNS


def _columns(charger: ChargerInput, circuit: int, network: Network) -> Sequence[float]:
    """One charger's row of the table."""
    state = _STATES[charger.state]
    if state == OFFLINE:
        current, lines = offline_reservation(charger)
        return (state, circuit, mask_of(lines), *_NOTHING[MODE + 1 : HELD], current, *_NOTHING[HELD + 1 :])
    if state == PAUSED:
        return (state, circuit, *_NOTHING[MODE:])
    vehicle, previous = charger.vehicle, charger.previous
    return (
        state,
        circuit,
        *_modes(charger.wiring, charger.switching, vehicle.phases, charger.modes, network),
        charger.min_current,
        charger.max_current,
        math.inf if charger.max_current_1p is None else charger.max_current_1p,
        math.inf if vehicle.max_current is None else vehicle.max_current,
        charger.current_step,
        charger.weight,
        charger.credit,
        charger.priority,
        charger.tier,
        *((0, 0, 0.0) if previous is None else (1, _MASKS[previous.phases], previous.current)),
    )


@lru_cache(maxsize=4096)
def _modes(
    wiring: Lines, switching: Switching, phases: int | None, allowed: tuple[Lines, ...] | None, network: Network
) -> tuple[float, ...]:
    """The columns from MODE to BEST, of the `allowed` modes where that is given."""
    permitted = permitted_lines_of(wiring, switching, phases, network)
    modes = [_MASKS[lines] for lines in permitted if allowed is None or lines in allowed]
    return (*modes, *[0] * (MOST_MODES - len(modes)), kappa(permitted[0], network))


def offline_reservation(charger: ChargerInput) -> tuple[float, Lines]:
    """What a charger that is not controllable may draw: its fallback, else its maximum on all wired lines."""
    if charger.fallback is not None:
        return charger.fallback.current, charger.fallback.phases
    return charger.max_current, charger.wiring


def mask_of(lines: Lines) -> int:
    """The lines as a mask: 1, 2, 4 for L1, L2, L3."""
    return sum(1 << line.place for line in lines)
