"""What a solution tells each charger: a current, its lines, and what keeps it from more."""

from typing import Final, NamedTuple

import numpy as np

from balancing.arrays import MAX, MAX_CAR, OFFLINE, STATE, STEP, WANTS, Site
from balancing.circuit import Limit
from balancing.compiled import Floats, Ints, compiled, in_place
from balancing.filling import OFF
from balancing.phases import SLACK
from balancing.problem import NO_ROW, Stated, state
from balancing.search import full_rows, solve
from balancing.solution import Solution

CAR, CHARGER, CIRCUIT, FAIR_SHARE, ROTATION, OVERLOAD, PAUSED, OFFLINE_RESERVE, OTHER = 0, 1, 2, 3, 4, 5, 6, 7, 8

LIMITS: Final = (
    Limit.CAR,
    Limit.CHARGER,
    Limit.CIRCUIT,
    Limit.FAIR_SHARE,
    Limit.ROTATION,
    Limit.OVERLOAD,
    Limit.PAUSED,
    Limit.OFFLINE_RESERVE,
    Limit.OTHER,
)
"""The limit of each number above."""


class Answer(NamedTuple):
    """Per charger of the site its current, not yet in whole steps, its lines as a mask, its limit, and the row that binds or NO_ROW.

    Rows are the site's: three a circuit.
    """

    current: Floats
    lines: Ints
    limit: Ints
    row: Ints
    overloaded: Ints
    """Rows that other load and reservations alone overload."""
    excess: Floats
    """And by how much, ampere."""


@compiled
def decide(site: Site, effort: int) -> Answer:
    """The best answer that `effort` search steps find."""
    stated = state(site)
    solution = solve(stated.problem, effort)
    sharing, fullest = full_rows(stated.problem, solution.choice)
    chargers = len(site.chargers)
    overloaded = np.flatnonzero(stated.free < -SLACK)
    answer = Answer(
        np.zeros(chargers),
        np.zeros(chargers, np.int64),
        np.zeros(chargers, np.int64),
        np.full(chargers, NO_ROW),
        overloaded,
        -stated.free[overloaded],
    )
    for charger in range(chargers):
        car = stated.place[charger]
        if car < 0:
            _tell_excluded(site, stated, answer, charger)
        elif solution.choice[car] == OFF:
            answer.limit[charger] = ROTATION
            if fullest[car] >= 0:
                answer.row[charger] = stated.row_of[fullest[car]]
        else:
            _tell_served(site, stated, solution, sharing, answer, charger)
    return answer


@in_place
def _tell_excluded(site: Site, stated: Stated, answer: Answer, charger: int) -> None:
    """0 A for a charger that wants nothing, cannot be reached, or whose minimum fits nowhere."""
    row = stated.stopped_by[charger]
    if site.chargers[charger, STATE] != WANTS:
        answer.limit[charger] = OFFLINE_RESERVE if site.chargers[charger, STATE] == OFFLINE else PAUSED
    elif row == NO_ROW:
        answer.limit[charger] = OTHER
    else:
        answer.limit[charger] = OVERLOAD if stated.free[row] < -SLACK else CIRCUIT
        answer.row[charger] = row


@in_place
def _tell_served(site: Site, stated: Stated, solution: Solution, sharing: Ints, answer: Answer, charger: int) -> None:
    car = stated.place[charger]
    option, stop = solution.choice[car], solution.stop[car]
    answer.current[charger], answer.lines[charger] = solution.current[car], stated.problem.lines[option]
    if stop >= 0:
        answer.limit[charger] = FAIR_SHARE if sharing[stop] > 1 else CIRCUIT
        answer.row[charger] = stated.row_of[stop]
    else:
        answer.limit[charger] = _own_limit(site.chargers[charger], stated.problem.highest[option])


@in_place
def _own_limit(charger: Floats, highest: float) -> int:
    """Whether the car or the charger holds at its highest current."""
    is_car = charger[MAX_CAR] <= highest + max(SLACK, charger[STEP])
    return CHARGER if charger[MAX] < charger[MAX_CAR] or not is_car else CAR
