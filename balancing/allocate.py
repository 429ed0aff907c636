"""How much each charger may draw now: the exact lexicographic objective of ev-balance/1, as a pure function."""

from balancing.circuit import (
    Allocation,
    ChargerInput,
    ChargerState,
    Instance,
    Limit,
    Setpoint,
    check,
)
from balancing.filling import OWN_LIMIT
from balancing.objective import OFF, Solution
from balancing.phases import round_down
from balancing.problem import SLACK, Option, Problem, Row, compile_problem
from balancing.search import solve

DEFAULT = 5_000
"""Search nodes; sites without a choice of phase or a shortage use almost none."""


def allocate(instance: Instance, effort: int = DEFAULT) -> Allocation:
    """One set-point per charger, by charger id: feasible (H1-H4) and the best that `effort` search nodes find.

    The same instance in any order of its lists gives the same answer. Raises InstanceError where circuits are no tree,
    a charger hangs nowhere or ids repeat. An overloaded circuit is no error: `overloaded` tells of it.
    """
    check(instance)
    problem = compile_problem(instance)
    solution = solve(problem, effort)
    served = {car.charger: place for place, car in enumerate(problem.cars)}
    shared = _cars_per_row(problem, solution)
    setpoints = []
    for charger in sorted(instance.chargers, key=lambda charger: charger.id):
        place = served.get(charger.id)
        if place is None:
            setpoints.append(_without_place(charger, problem))
        elif solution.choice[place] == OFF:
            setpoints.append(_waiting(charger, problem.cars[place].options, problem, solution))
        else:
            option = problem.cars[place].options[solution.choice[place]]
            setpoints.append(_served(charger, option, solution, place, problem, shared))
    return Allocation(instance.id, tuple(setpoints), problem.overloaded)


def _cars_per_row(problem: Problem, solution: Solution) -> list[int]:
    count = [0] * len(problem.rows)
    for car, number in zip(problem.cars, solution.choice, strict=True):
        if number != OFF:
            for row in car.options[number].rows:
                count[row] += 1
    return count


STATE_LIMITS = {
    ChargerState.IDLE: Limit.PAUSED,
    ChargerState.FINISHED: Limit.PAUSED,
    ChargerState.OFFLINE: Limit.OFFLINE_RESERVE,
}


def _without_place(charger: ChargerInput, problem: Problem) -> Setpoint:
    """0 A for a charger that does not want current, or whose minimum fits nowhere."""
    if not charger.state.wants_current:
        return Setpoint(charger.id, 0.0, (), STATE_LIMITS[charger.state])
    stopped_by = problem.excluded[charger.id]
    if stopped_by is None:
        return Setpoint(charger.id, 0.0, (), Limit.OTHER)
    row = problem.all_rows[stopped_by]
    overloaded = {(overload.circuit, overload.line) for overload in problem.overloaded}
    limit = Limit.OVERLOAD if (row.circuit, row.line) in overloaded else Limit.CIRCUIT
    return _at_circuit(charger, limit, row)


def _at_circuit(charger: ChargerInput, limit: Limit, row: Row) -> Setpoint:
    return Setpoint(charger.id, 0.0, (), limit, row.circuit, row.line)


def _waiting(charger: ChargerInput, options: tuple[Option, ...], problem: Problem, solution: Solution) -> Setpoint:
    """0 A for a car that fits alone while others are served: the row with least left for its minimum."""
    held = [0.0] * len(problem.rows)
    for car, number in zip(problem.cars, solution.choice, strict=True):
        if number != OFF:
            for row in car.options[number].rows:
                held[row] += car.options[number].lowest
    rows = [row for option in options for row in option.rows]
    if not rows:
        return Setpoint(charger.id, 0.0, (), Limit.ROTATION)
    fullest = min(rows, key=lambda row: problem.capacity[row] - held[row])
    return _at_circuit(charger, Limit.ROTATION, problem.rows[fullest])


def _served(
    charger: ChargerInput,
    option: Option,
    solution: Solution,
    place: int,
    problem: Problem,
    shared: list[int],
) -> Setpoint:
    current = round_down(solution.currents[place], charger.current_step)
    stop = solution.stops[place]
    if stop == OWN_LIMIT:
        cap = charger.vehicle.max_current
        is_car = cap is not None and cap <= option.highest + max(SLACK, charger.current_step)
        is_charger = charger.max_current < (cap if cap is not None else charger.max_current + 1)
        return Setpoint(charger.id, current, option.lines, Limit.CHARGER if is_charger or not is_car else Limit.CAR)
    row = problem.rows[stop]
    limit = Limit.FAIR_SHARE if shared[stop] > 1 else Limit.CIRCUIT
    return Setpoint(charger.id, current, option.lines, limit, row.circuit, row.line)
