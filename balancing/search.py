"""Which lines each served car uses: moves away from what binds, and an exhaustive search where the site is small.

`effort` counts nodes: one attempt to place a car, or one car's part in filling the site once.
"""

import math
from collections.abc import Iterator, Sequence

from balancing.admission import Budget, Room, admit, as_before, narrowest, widest
from balancing.filling import OWN_LIMIT, fill
from balancing.objective import OFF, Solution, compare, evaluate, is_better
from balancing.problem import COS_30, SLACK, Car, Problem

EXHAUSTIVE_UP_TO = 30
"""Cars; above it the bounds of the exhaustive search prune too little to be worth its nodes."""

FILL_OVERHEAD = 8
"""Nodes that filling the site costs besides one for each served car."""


def solve(problem: Problem, effort: int) -> Solution:
    """The best solution found within `effort` nodes; exact where the search ends before them."""
    budget = Budget(effort)
    best = _first_solution(problem, budget)
    has_choice = any(len(car.options) > 1 for car in problem.cars)
    everyone = OFF not in best.choice
    if everyone and not has_choice:
        return best
    if has_choice or _has_ties(problem):
        best = _improve(problem, best, budget)
    if len(problem.cars) <= EXHAUSTIVE_UP_TO:
        best = _Exhaustive(problem, best, budget).run()
    return best


def _has_ties(problem: Problem) -> bool:
    """Whether two cars of a class have equal credit, so that either may be served."""
    return any(len({problem.cars[place].credit for place in members}) < len(members) for members in problem.classes)


def _first_solution(problem: Problem, budget: Budget) -> Solution:
    best: Solution | None = None
    tried: set[tuple[int, ...]] = set()
    for preference in (widest, narrowest, as_before):
        choice = tuple(admit(problem, preference, budget))
        if choice not in tried:
            tried.add(choice)
            solution = evaluate(problem, choice)
            if best is None or is_better(solution, best):
                best = solution
    assert best is not None  # noqa: S101  three preferences were tried
    return best


def _cost(choice: Sequence[int]) -> int:
    return FILL_OVERHEAD + len(choice) - choice.count(OFF)


def _improve(problem: Problem, best: Solution, budget: Budget) -> Solution:
    """A solution that no single move, and no exchange of two places, makes better."""
    found = True
    while found:
        found = False
        for choice in _neighbours(problem, best):
            if not budget.spend(_cost(choice)):
                return best
            if not _minima_fit(problem, choice):
                continue
            solution = evaluate(problem, choice)
            if is_better(solution, best):
                best, found = solution, True
                break
    return best


def _minima_fit(problem: Problem, choice: Sequence[int]) -> bool:
    room = Room(problem)
    for car, number in zip(problem.cars, choice, strict=True):
        if number != OFF:
            if not room.fits(car.options[number]):
                return False
            room.add(car.options[number])
    return True


def _neighbours(problem: Problem, solution: Solution) -> Iterator[list[int]]:
    """Other choices, those that relieve the smallest shares first; one of each kind of car and option."""
    cars, choice = problem.cars, solution.choice
    for place in _most_pressed(problem, solution):
        for number in range(len(cars[place].options)):
            if number != choice[place]:
                yield _with(choice, {place: number})
    on = [place for place in _most_pressed(problem, solution) if choice[place] != OFF]
    off = _one_of_each(problem, choice, [place for place, number in enumerate(choice) if number == OFF])
    for gone in on:
        for come in off:
            if cars[come].place == cars[gone].place and abs(cars[come].credit - cars[gone].credit) <= SLACK:
                for number in range(len(cars[come].options)):
                    yield _with(choice, {gone: OFF, come: number})
    for first_at, first in enumerate(on):
        for second in on[first_at + 1 :]:
            yield from _exchanges(cars, choice, first, second)


def _exchanges(cars: Sequence[Car], choice: Sequence[int], first: int, second: int) -> Iterator[list[int]]:
    for one in range(len(cars[first].options)):
        for two in range(len(cars[second].options)):
            if one != choice[first] and two != choice[second]:
                yield _with(choice, {first: one, second: two})


def _with(choice: Sequence[int], changes: dict[int, int]) -> list[int]:
    changed = list(choice)
    for place, number in changes.items():
        changed[place] = number
    return changed


def _one_of_each(problem: Problem, choice: Sequence[int], places: Sequence[int]) -> list[int]:
    cars = problem.cars
    seen: dict[tuple[object, ...], int] = {}
    for place in places:
        car = cars[place]
        seen.setdefault((car.kind, choice[place], car.place, car.credit, car.previous), place)
    return list(seen.values())


def _most_pressed(problem: Problem, solution: Solution) -> list[int]:
    """Served cars by the level of the fullest row that they load, then their own share, smallest first."""
    level: dict[int, float] = {}
    shares: dict[int, float] = {}
    for place, number in enumerate(solution.choice):
        if number != OFF:
            option = problem.cars[place].options[number]
            share = shares[place] = solution.currents[place] * option.share_per_ampere
            stop = solution.stops[place]
            if stop != OWN_LIMIT:
                level[stop] = min(share, level.get(stop, math.inf))
    pressed: list[tuple[float, float, int]] = []
    for place, share in shares.items():
        option = problem.cars[place].options[solution.choice[place]]
        if len(problem.cars[place].options) > 1 or OFF in solution.choice:
            fullest = min((level.get(row, math.inf) for row in option.rows), default=math.inf)
            pressed.append((fullest, share, place))
    return _one_of_each(problem, solution.choice, [place for _, _, place in sorted(pressed)])


class _Exhaustive:
    """Depth first over cars by class: an option or off each, cut where no completion can be better.

    Cars that only their credit tells apart take options in order, so that no permutation is tried twice.
    """

    def __init__(self, problem: Problem, best: Solution, budget: Budget) -> None:
        self.problem = problem
        self.best = best
        self.budget = budget
        self.room = Room(problem)
        self.choice = [OFF] * len(problem.cars)
        self.order = [place for members in problem.classes for place in sorted(members, key=self._by_kind)]
        self.class_of = [number for number, members in enumerate(problem.classes) for _ in members]
        self.has_choice = any(len(car.options) > 1 for car in problem.cars)
        self.twins = [False] + [self._are_twins(a, b) for a, b in zip(self.order, self.order[1:], strict=False)]

    def _by_kind(self, place: int) -> tuple[int, bool, str, float, int]:
        car = self.problem.cars[place]
        return (car.kind, not car.was_on, repr(car.previous), -car.credit, place)

    def _are_twins(self, first: int, second: int) -> bool:
        one, two = self.problem.cars[first], self.problem.cars[second]
        return (one.kind, one.place, one.previous) == (two.kind, two.place, two.previous)

    def run(self) -> Solution:
        self._descend(0)
        return self.best

    def _descend(self, depth: int) -> None:
        if depth == len(self.order):
            self._finish()
            return
        if not self.budget.spend() or not self._can_be_better(depth):
            return
        place = self.order[depth]
        car = self.problem.cars[place]
        first = 0
        if self.twins[depth]:
            before = self.choice[self.order[depth - 1]]
            first = len(car.options) if before == OFF else before
        for number in range(first, len(car.options)):
            option = car.options[number]
            if self.room.fits(option):
                self.room.add(option)
                self.choice[place] = number
                self._descend(depth + 1)
                self.choice[place] = OFF
                self.room.add(option, -1)
        self._descend(depth + 1)

    def _finish(self) -> None:
        if self.budget.spend(_cost(self.choice)):
            solution = evaluate(self.problem, self.choice)
            if is_better(solution, self.best):
                self.best = solution

    def _can_be_better(self, depth: int) -> bool:
        order = compare(self._most_served(depth), self.best.served)
        if order != 0:
            return order > 0
        if not self.has_choice or not self.budget.spend(_cost(self.choice)):
            return True
        return compare(self._best_shares(depth), self.best.shares) >= 0

    def _most_served(self, depth: int) -> list[float]:
        """No completion serves more: undecided cars of a class count while a minimum of theirs fits what is left."""
        count = [0.0] * len(self.problem.classes)
        credit = [0.0] * len(count)
        waiting: list[list[Car]] = [[] for _ in count]
        for at, place in enumerate(self.order):
            number, car = self.class_of[at], self.problem.cars[place]
            if at < depth:
                count[number] += self.choice[place] != OFF
                credit[number] += car.credit if self.choice[place] != OFF else 0.0
            else:
                waiting[number].append(car)
        vector: list[float] = []
        for number, cars in enumerate(waiting):
            most = min([len(cars), *self._places(cars)])
            gained = sorted((car.credit for car in cars), reverse=True)[:most]
            vector += (count[number] + most, credit[number] + sum(gained))
        return vector

    def _places(self, cars: Sequence[Car]) -> Iterator[int]:
        """Upper bounds on how many of the cars fit: one a row that only some of their options avoid."""
        if not cars:
            return
        for row in range(len(self.problem.rows)):
            left = self._left(row) + SLACK
            lowest = sorted(min(o.lowest for o in car.options) for car in cars if _needs(car, row))
            fitting = 0
            for current in lowest:
                left -= current
                if left < 0:
                    break
                fitting += 1
            yield len(cars) - len(lowest) + fitting

    def _left(self, row: int) -> float:
        """Ampere that plain sums leave on a row; phasors within 60° of each other add to at least cos 30° of that."""
        capacity = self.problem.capacity[row] / (COS_30 if self.problem.is_vector else 1.0)
        used = 0.0
        for place, number in enumerate(self.choice):
            if number != OFF and row in (option := self.problem.cars[place].options[number]).rows:
                used += option.lowest
        return capacity - used

    def _best_shares(self, depth: int) -> list[float]:
        """Shares that no completion beats: decided cars alone on the site, the others each with all that is left."""
        decided = [self.problem.cars[p].options[self.choice[p]] for p in self.order[:depth] if self.choice[p] != OFF]
        currents, _ = fill(decided, self.problem.capacity)
        shares = [current * option.share_per_ampere for current, option in zip(currents, decided, strict=True)]
        missing = len(self.best.shares) - len(shares)
        left = [self._left(row) for row in range(len(self.problem.rows))]
        open_shares = sorted((self._best_share(self.problem.cars[p], left) for p in self.order[depth:]), reverse=True)
        return sorted(shares + open_shares[: max(0, missing)])

    def _best_share(self, car: Car, left: Sequence[float]) -> float:
        return max(
            option.share_per_ampere * min([option.highest, *(left[row] for row in option.rows)])
            for option in car.options
        )


def _needs(car: Car, row: int) -> bool:
    return all(row in option.rows for option in car.options)
