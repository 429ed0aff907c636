"""How much each charger may draw now: the exact lexicographic objective of ev-balance/1, as a pure function."""

from typing import TYPE_CHECKING

from balancing.circuit import (
    Allocation,
    ChargerInput,
    ChargerState,
    Circuit,
    Instance,
    Limit,
    Line,
    Setpoint,
    Switching,
    check,
)
from balancing.phases import SLACK, round_down

if TYPE_CHECKING:
    from balancing.problem import Compiled
    from balancing.solution import Solution

DEFAULT = 1_000_000
"""Effort in search steps (balancing/search.py); sites without a choice of phase or a shortage use almost none."""


def allocate(instance: Instance, effort: int = DEFAULT) -> Allocation:
    """One set-point per charger, by charger id: feasible (H1-H4) and the best that `effort` search steps find.

    The same instance in any order of its lists gives the same answer. Raises InstanceError where circuits are no tree,
    a charger hangs nowhere or ids repeat. An overloaded circuit is no error: `overloaded` tells of it.
    """
    # The compiler behind these takes a quarter of a second and 100 MB, which only who balances should pay.
    from balancing.problem import compile_problem
    from balancing.search import solve

    check(instance)
    compiled = compile_problem(instance)
    setpoints = {charger.id: _at_rest(charger) for charger in instance.chargers if not charger.state.wants_current}
    answer = _Answer(compiled, solve(compiled.problem, effort))
    for charger, place in zip(compiled.cars, compiled.place.tolist(), strict=True):
        setpoints[charger.id] = answer.setpoint(charger, place)
    return Allocation(instance.id, tuple(setpoints[name] for name in sorted(setpoints)), compiled.overloaded)


def load_machine_code() -> None:
    """It is there if it lay on disk, which takes a second; else `make_ready` makes it."""
    from balancing.compiled import is_kept

    if is_kept():
        make_ready()


def make_ready() -> None:
    """Machine code is there from here on; where none is kept on disk, that takes about a minute."""
    circuit = Circuit("main", None, (6.0, 6.0, 6.0))
    wiring = (Line.L1, Line.L2, Line.L3)
    cars = tuple(ChargerInput(name, "main", wiring, Switching.ANY_PHASE) for name in ("a", "b"))
    allocate(Instance("ready", (circuit,), cars))


STATE_LIMITS = {
    ChargerState.IDLE: Limit.PAUSED,
    ChargerState.FINISHED: Limit.PAUSED,
    ChargerState.OFFLINE: Limit.OFFLINE_RESERVE,
}


def _at_rest(charger: ChargerInput) -> Setpoint:
    return Setpoint(charger.id, 0.0, (), STATE_LIMITS[charger.state])


class _Answer:
    """A solution in the words of its instance."""

    def __init__(self, compiled: "Compiled", solution: "Solution") -> None:
        from balancing.problem import LINES_OF
        from balancing.search import full_rows

        self._lines_of = LINES_OF
        self._compiled = compiled
        self._choice, self._current = solution.choice.tolist(), solution.current.tolist()
        self._stop = solution.stop.tolist()
        self._row_of = compiled.row_of.tolist()
        self._stopped_by = {car.id: row for car, row in zip(compiled.cars, compiled.stopped_by.tolist(), strict=True)}
        self._lines, self._highest = compiled.problem.lines.tolist(), compiled.problem.highest.tolist()
        sharing, fullest = full_rows(compiled.problem, solution.choice)
        self._sharing, self._fullest = sharing.tolist(), fullest.tolist()
        self._overloaded = {(overload.circuit, overload.line) for overload in compiled.overloaded}

    def setpoint(self, charger: ChargerInput, place: int) -> Setpoint:
        """What the charger gets; `place` is its car in the problem, or -1."""
        if place < 0:
            return self._excluded(charger)
        if self._choice[place] < 0:
            return self._waiting(charger, self._fullest[place])
        return self._served(charger, place)

    def _excluded(self, charger: ChargerInput) -> Setpoint:
        """0 A for a charger whose minimum fits nowhere."""
        row = self._stopped_by[charger.id]
        if row < 0:
            return Setpoint(charger.id, 0.0, (), Limit.OTHER)
        at = self._compiled.rows[row]
        return Setpoint(charger.id, 0.0, (), Limit.OVERLOAD if at in self._overloaded else Limit.CIRCUIT, *at)

    def _waiting(self, charger: ChargerInput, row: int) -> Setpoint:
        """0 A for a car that fits alone while others are served: the row with least left for its minimum."""
        if row < 0:
            return Setpoint(charger.id, 0.0, (), Limit.ROTATION)
        return Setpoint(charger.id, 0.0, (), Limit.ROTATION, *self._compiled.rows[self._row_of[row]])

    def _served(self, charger: ChargerInput, place: int) -> Setpoint:
        option, stop = self._choice[place], self._stop[place]
        current, lines = round_down(self._current[place], charger.current_step), self._lines_of[self._lines[option]]
        if stop < 0:
            return Setpoint(charger.id, current, lines, self._own_limit(charger, self._highest[option]))
        limit = Limit.FAIR_SHARE if self._sharing[stop] > 1 else Limit.CIRCUIT
        return Setpoint(charger.id, current, lines, limit, *self._compiled.rows[self._row_of[stop]])

    @staticmethod
    def _own_limit(charger: ChargerInput, highest: float) -> Limit:
        cap = charger.vehicle.max_current
        is_car = cap is not None and cap <= highest + max(SLACK, charger.current_step)
        is_charger = charger.max_current < (cap if cap is not None else charger.max_current + 1)
        return Limit.CHARGER if is_charger or not is_car else Limit.CAR
