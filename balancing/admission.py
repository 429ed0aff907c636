"""Who is served: class by class as many cars as fit at their minima, then the largest sum of credit.

Cars that load fewest lines come first, which is exact for equal minima; exchanges then repair what greed missed.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from balancing.objective import OFF
from balancing.problem import SLACK, Car, Option, Problem


class Budget:
    """Search nodes that are left; a search that has none left ends with the best it has."""

    __slots__ = ("left",)

    def __init__(self, nodes: int) -> None:
        self.left = nodes

    def spend(self, nodes: int = 1) -> bool:
        """Whether there was something left to spend."""
        self.left -= nodes
        return self.left >= 0


class Room:
    """What the minima of admitted cars leave of every row."""

    __slots__ = ("_across", "_along", "_is_vector", "capacity")

    def __init__(self, problem: Problem) -> None:
        self.capacity = problem.capacity
        self._is_vector = problem.is_vector
        self._along = [0.0] * len(problem.rows)
        self._across = [0.0] * len(problem.rows)

    def fits(self, option: Option) -> bool:
        """Whether one more minimum stays within every row."""
        lowest = option.lowest
        along, capacity = self._along, self.capacity
        if not self._is_vector:
            return all(along[row] + lowest <= capacity[row] + SLACK for row in option.rows)
        for row, (x, y) in zip(option.rows, option.loads, strict=True):
            if math.hypot(along[row] + lowest * x, self._across[row] + lowest * y) > capacity[row] + SLACK:
                return False
        return True

    def add(self, option: Option, times: int = 1) -> None:
        """The option's minimum is taken; times -1 gives it back."""
        for row, (x, y) in zip(option.rows, option.loads, strict=True):
            self._along[row] += times * option.lowest * x
            if y:
                self._across[row] += times * option.lowest * y

    def left(self, option: Option) -> float:
        """Ampere free on the option's fullest row, along the line's own phasor."""
        return min((self.capacity[row] - self._along[row] for row in option.rows), default=math.inf)


Preference = Callable[[Room, Car], Sequence[int]]
"""Option numbers of a car, the one to try first, first."""


def widest(_room: Room, car: Car) -> Sequence[int]:
    """Most lines first."""
    return range(len(car.options))


def narrowest(room: Room, car: Car) -> Sequence[int]:
    """Fewest lines first, and of those the one with most room."""
    options = car.options
    return sorted(range(len(options)), key=lambda n: (len(options[n].lines), -room.left(options[n]), n))


def as_before(room: Room, car: Car) -> Sequence[int]:
    """The lines of the previous command first."""
    previous = car.previous.phases if car.previous is not None else ()
    return sorted(narrowest(room, car), key=lambda n: car.options[n].lines != previous)


def admit(problem: Problem, preference: Preference, budget: Budget) -> list[int]:
    """An option number or OFF per car; minima fit every row."""
    admission = _Admission(problem, preference, budget)
    for members in problem.classes:
        admission.serve(members)
    return admission.choice


class _Admission:
    __slots__ = ("budget", "choice", "preference", "problem", "room")

    def __init__(self, problem: Problem, preference: Preference, budget: Budget) -> None:
        self.problem = problem
        self.preference = preference
        self.budget = budget
        self.room = Room(problem)
        self.choice = [OFF] * len(problem.cars)

    def serve(self, members: Sequence[int]) -> None:
        for place in sorted(members, key=self._first_first):
            self._insert(place)
        while self._insert_with_moves(members) or self._one_out_two_in(members) or self._swap_for_credit(members):
            pass

    def _first_first(self, place: int) -> tuple[int, float, float, bool, int]:
        car = self.problem.cars[place]
        fewest = min(len(option.lines) for option in car.options)
        lowest = min(option.lowest for option in car.options)
        return (fewest, lowest, -car.credit, not car.was_on, place)

    def _insert(self, place: int) -> bool:
        car = self.problem.cars[place]
        for number in self.preference(self.room, car):
            if self.room.fits(car.options[number]):
                self._set(place, number)
                return True
        return False

    def _set(self, place: int, number: int) -> int:
        """The option that the car had; it now has this one."""
        car, before = self.problem.cars[place], self.choice[place]
        if before != OFF:
            self.room.add(car.options[before], -1)
        if number != OFF:
            self.room.add(car.options[number])
        self.choice[place] = number
        return before

    def _waiting(self, members: Iterable[int]) -> list[int]:
        """One waiting car of a kind: the one with most credit, highest first."""
        best: dict[int, int] = {}
        for place in sorted((p for p in members if self.choice[p] == OFF), key=self._by_credit):
            best.setdefault(self.problem.cars[place].kind, place)
        return list(best.values())

    def _served(self, members: Iterable[int]) -> list[int]:
        """One served car of a kind and option: the one with least credit, lowest first."""
        worst: dict[tuple[int, int], int] = {}
        for place in sorted((p for p in members if self.choice[p] != OFF), key=self._by_credit, reverse=True):
            worst.setdefault((self.problem.cars[place].kind, self.choice[place]), place)
        return list(worst.values())

    def _by_credit(self, place: int) -> tuple[float, bool, int]:
        car = self.problem.cars[place]
        return (-car.credit, not car.was_on, place)

    def _insert_with_moves(self, members: Sequence[int]) -> bool:
        """Whether a waiting car got in, at most by moving one served car to other lines."""
        waiting = self._waiting(members)
        for place in waiting:
            if self._insert(place):
                return True
        movable = [p for p in self._served(range(len(self.choice))) if len(self.problem.cars[p].options) > 1]
        for place in waiting if movable else ():
            for moved in movable:
                if not self.budget.spend():
                    return False
                if self._insert_after_move(place, moved):
                    return True
        return False

    def _insert_after_move(self, place: int, moved: int) -> bool:
        car = self.problem.cars[moved]
        before = self._set(moved, OFF)
        for number, option in enumerate(car.options):
            if number == before or not self.room.fits(option):
                continue
            self._set(moved, number)
            if self._insert(place):
                return True
            self._set(moved, OFF)
        self._set(moved, before)
        return False

    def _one_out_two_in(self, members: Sequence[int]) -> bool:
        waiting = self._waiting_pairs(members)
        if len(waiting) < 2:
            return False
        for out in self._served(members):
            if not self.budget.spend():
                return False
            before = self._set(out, OFF)
            entered = [place for place in waiting if self.budget.spend() and self._insert(place)]
            if len(entered) >= 2:
                return True
            for place in entered:
                self._set(place, OFF)
            self._set(out, before)
        return False

    def _waiting_pairs(self, members: Sequence[int]) -> list[int]:
        """Up to two waiting cars of a kind, those easiest to serve first."""
        first = self._waiting(members)
        taken = set(first)
        second = self._waiting(place for place in members if place not in taken)
        return sorted(first + second, key=self._first_first)

    def _swap_for_credit(self, members: Sequence[int]) -> bool:
        """Whether a served car gave its place to one with more credit."""
        for place in self._waiting(members):
            credit = self.problem.cars[place].credit
            for out in self._served(members):
                if self.problem.cars[out].credit >= credit - SLACK:
                    break
                if not self.budget.spend():
                    return False
                before = self._set(out, OFF)
                if self._insert(place):
                    return True
                self._set(out, before)
        return False
