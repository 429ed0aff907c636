"""How much each charger may draw now: the exact lexicographic objective of ev-balance/1, as a pure function."""

import contextlib
import sys
from operator import attrgetter
from pathlib import Path

from balancing.circuit import (
    LINES,
    Allocation,
    ChargerInput,
    Circuit,
    Instance,
    Line,
    Overload,
    Setpoint,
    Switching,
    check,
)
from balancing.phases import round_down

DEFAULT = 1_000_000
"""Effort in search steps (balancing/search.py); sites without a choice of phase or a shortage use almost none."""


def allocate(instance: Instance, effort: int = DEFAULT) -> Allocation:
    """One set-point per charger, by charger id: feasible (H1-H4) and the best that `effort` search steps find.

    The same instance in any order of its lists gives the same answer. Raises InstanceError where circuits are no tree,
    a charger hangs nowhere or ids repeat. An overloaded circuit is no error: `overloaded` tells of it.
    """
    # The compiler behind these takes a quarter of a second and 100 MB, which only who balances should pay.
    from balancing.answer import LIMITS, decide
    from balancing.arrays import LINES_OF, site_of

    circuits = check(instance)
    chargers = sorted(instance.chargers, key=_ID)
    answer = decide(site_of(instance, circuits, chargers), effort)
    # A row is one of three lines of a circuit; -1, none of them, is the last of these.
    places: list[tuple[str, Line] | tuple[None, None]] = [(circuit.id, line) for circuit in circuits for line in LINES]
    places.append((None, None))
    setpoints = tuple(
        Setpoint(charger.id, round_down(current, charger.current_step), LINES_OF[lines], LIMITS[limit], *places[row])
        for charger, current, lines, limit, row in zip(
            chargers,
            answer.current.tolist(),
            answer.lines.tolist(),
            answer.limit.tolist(),
            answer.row.tolist(),
            strict=True,
        )
    )
    overloaded = tuple(
        Overload(circuits[row // 3].id, LINES[row % 3], excess)
        for row, excess in zip(answer.overloaded.tolist(), answer.excess.tolist(), strict=True)
    )
    return Allocation(instance.id, setpoints, overloaded)


_ID = attrgetter("id")


def load_machine_code() -> None:
    """It is there if all of it lay on disk, which takes a second; else `make_ready` makes it.

    What a process made that was ended meanwhile, or what was copied from another folder, is not all: making the rest takes minutes,
    in which whoever waits for this would answer nobody.
    """
    from balancing.compiled import is_kept

    mark = _mark()
    if is_kept() and mark is not None and _is_set(mark):
        make_ready()


def _mark() -> Path | None:
    """The file that says that all of it was made; None where nothing is kept."""
    import numba

    from balancing.compiled import is_kept

    return Path(numba.config.CACHE_DIR) / "all-made" if is_kept() else None  # type: ignore[attr-defined]


def _is_set(mark: Path) -> bool:
    try:
        return mark.read_text() == _here()
    except OSError:
        return False


def _here() -> str:
    """What machine code is for: it is found by the place of its sources, and runs with this interpreter only."""
    return f"{Path(__file__).parent} {sys.version}"


def make_ready() -> None:
    """Machine code is there from here on; where none is kept on disk, that takes a minute or two of a processor."""
    circuit = Circuit("main", None, (6.0, 6.0, 6.0))
    wiring = (Line.L1, Line.L2, Line.L3)
    cars = tuple(ChargerInput(name, "main", wiring, Switching.ANY_PHASE) for name in ("a", "b"))
    allocate(Instance("ready", (circuit,), cars))
    mark = _mark()
    if mark is not None and not _is_set(mark):
        with contextlib.suppress(OSError):
            mark.write_text(_here())
