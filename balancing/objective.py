"""How good an admission with its modes is: the objective as one vector, larger is better at every place.

Per class served count and credit, then the served shares from small to large, power, balance of the root's lines, and
fewest changes against what was commanded before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from balancing.filling import fill
from balancing.problem import Car, Problem

OFF = -1
"""In place of an option's number: the car is not served."""

TIE = 1e-6
"""Differences of float arithmetic, far below the 0.02 A that count as equal to a judge."""
RELATIVE_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Solution:
    """An option number or OFF per car, with currents, what stopped them, and the objective."""

    choice: tuple[int, ...]
    currents: tuple[float, ...]
    stops: tuple[int, ...]
    served: tuple[float, ...]
    shares: tuple[float, ...]
    rest: tuple[float, ...]


def evaluate(problem: Problem, choice: Sequence[int]) -> Solution:
    """The best solution for these modes; the chosen minima fit together."""
    on = [place for place, option in enumerate(choice) if option != OFF]
    options = [problem.cars[place].options[choice[place]] for place in on]
    filled, stopped = fill(options, problem.capacity)
    currents = [0.0] * len(choice)
    stops = [OFF] * len(choice)
    for place, current, stop in zip(on, filled, stopped, strict=True):
        currents[place] = current
        stops[place] = stop
    shares = sorted(current * option.share_per_ampere for current, option in zip(filled, options, strict=True))
    return Solution(
        choice=tuple(choice),
        currents=tuple(currents),
        stops=tuple(stops),
        served=served_vector(problem, choice),
        shares=tuple(shares),
        rest=(
            sum(current * option.kappa for current, option in zip(filled, options, strict=True)),
            -_imbalance(problem, choice, currents),
            *_stability(problem, choice, currents),
        ),
    )


def served_vector(problem: Problem, choice: Sequence[int]) -> tuple[float, ...]:
    """Per class, first class first: how many are served, and their credit."""
    vector: list[float] = []
    for members in problem.classes:
        on = [place for place in members if choice[place] != OFF]
        vector += (float(len(on)), sum(problem.cars[place].credit for place in on))
    return tuple(vector)


def _imbalance(problem: Problem, choice: Sequence[int], currents: Sequence[float]) -> float:
    if not problem.judges_imbalance:
        return 0.0
    loads = list(problem.root_load)
    for car, option, current in zip(problem.cars, choice, currents, strict=True):
        if option != OFF:
            for line in car.options[option].lines:
                loads[line.place] += current
    return max(loads) - min(loads)


def _stability(problem: Problem, choice: Sequence[int], currents: Sequence[float]) -> tuple[float, float]:
    changes, difference = 0, 0.0
    for car, option, current in zip(problem.cars, choice, currents, strict=True):
        if car.previous is not None:
            changes += has_changed(car, option)
            difference += abs(current - car.previous.current)
    return (float(-changes), -difference)


def has_changed(car: Car, option: int) -> bool:
    """Whether lines or on/off differ from what was commanded; unknown is no change, off has no lines."""
    if car.previous is None:
        return False
    if option == OFF or not car.was_on:
        return car.was_on != (option != OFF)
    return car.options[option].lines != car.previous.phases


def compare(mine: Sequence[float], other: Sequence[float]) -> int:
    """1, 0 or -1: lexicographic, with float noise counted as equal."""
    for left, right in zip(mine, other, strict=False):
        difference = left - right
        if abs(difference) > TIE + RELATIVE_TIE * abs(left):
            return 1 if difference > 0 else -1
    return 0


def is_better(mine: Solution, other: Solution) -> bool:
    """Whether the first comes before the second on the first level where they differ."""
    for left, right in ((mine.served, other.served), (mine.shares, other.shares), (mine.rest, other.rest)):
        order = compare(left, right)
        if order:
            return order > 0
    return False
