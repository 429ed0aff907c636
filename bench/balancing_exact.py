"""The exact answers that the balancer is compared with, by HiGHS: who is served, and the max-min fair shares."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import highspy
import numpy as np

from balancing.problem import Problem

STILL: Final = 1e-7
"""Shares nearer than this are equal to a program that works with tolerances."""


def solver(limit_s: float = 60.0) -> Any:
    """HiGHS on one thread, silent, exact as far as it can."""
    found = highspy.Highs()  # type: ignore[no-untyped-call]  # the library has no types
    found.silent()
    found.setOptionValue("threads", 1)
    found.setOptionValue("mip_rel_gap", 0.0)
    found.setOptionValue("mip_abs_gap", 1e-9)
    found.setOptionValue("time_limit", limit_s)
    return found


def is_optimal(model: Any) -> bool:
    """Whether the last answer is proven."""
    return bool(model.getModelStatus() == highspy.HighsModelStatus.kOptimal)


def options_of_rows(p: Problem) -> list[list[tuple[int, float]]]:
    """Per row the options that load it, with what an ampere adds there; phasors have no such row."""
    assert not p.is_vector
    found: list[list[tuple[int, float]]] = [[] for _ in p.capacity]
    for option, (start, end) in enumerate(pairwise(p.first_row.tolist())):
        for entry in range(start, end):
            found[p.row[entry]].append((option, float(p.along[entry])))
    return found


class Choice:
    """Binaries for options, with minima that fit every row; classes are served one after the other."""

    def __init__(self, p: Problem, limit_s: float) -> None:
        self.p = p
        self.model = solver(limit_s)
        self.on = [self.model.addBinary() for _ in p.car]
        for start, end in pairwise(p.first_option.tolist()):
            self.model.addConstr(sum(self.on[option] for option in range(start, end)) <= 1)
        for row, entries in enumerate(options_of_rows(p)):
            if entries:
                load = sum(float(p.lowest[option]) * weight * self.on[option] for option, weight in entries)
                self.model.addConstr(load <= float(p.capacity[row]) + 1e-9)

    def served(self) -> list[float] | None:
        """Per class count and credit, each the best that the ones before leave; None where that is not proven in time."""
        p, found = self.p, []
        for rank in range(int(p.rank.max()) + 1):
            members = [option for option in range(len(p.car)) if p.rank[p.car[option]] == rank]
            for credits in (False, True):
                goal = sum((float(p.credit[p.car[o]]) if credits else 1.0) * self.on[o] for o in members)
                self.model.maximize(goal)
                if not is_optimal(self.model):
                    return None
                best = self.model.getInfo().objective_function_value
                best = best if credits else float(round(best))
                found.append(best)
                self.model.addConstr(goal >= best - (1e-6 * abs(best) + 1e-6 if credits else 0.5))
        return found


def best_shares(p: Problem, limit_s: float) -> list[float] | None:
    """The leximin shares over every choice of lines, smallest first; None where that is not proven in time.

    The sum of the k smallest shares is k·r - Σ max(0, r - share), so that each is maximised in turn while the ones before hold
    (Ogryczak and Śliwiński, On solving linear programs with the ordered weighted averaging objective, 2003).
    """
    choice = Choice(p, limit_s)
    served = choice.served()
    if served is None:
        return None
    model, many = choice.model, round(sum(served[0::2]))
    current = []
    for option, on in enumerate(choice.on):
        amperes = model.addVariable(lb=0.0, ub=float(p.highest[option]))
        model.addConstr(amperes - float(p.highest[option]) * on <= 0)
        model.addConstr(amperes - float(p.lowest[option]) * on >= 0)
        current.append(amperes)
    for row, entries in enumerate(options_of_rows(p)):
        if entries:
            model.addConstr(sum(weight * current[option] for option, weight in entries) <= float(p.capacity[row]))
    shares = []
    for start, end in pairwise(p.first_option.tolist()):
        is_on = sum(choice.on[option] for option in range(start, end))
        # Who is not served counts as above every share.
        shares.append(sum(float(p.share[o]) * current[o] for o in range(start, end)) + 1000.0 * (1 - is_on))
    sums: list[float] = []
    for count in range(1, many + 1):
        level = model.addVariable(lb=0.0, ub=1000.0)
        below = [model.addVariable(lb=0.0, ub=1000.0) for _ in shares]
        for short, share in zip(below, shares, strict=True):
            model.addConstr(short - level + share >= 0)
        goal = count * level - sum(below)
        model.maximize(goal)
        if not is_optimal(model):
            return None
        sums.append(model.getInfo().objective_function_value)
        model.addConstr(goal >= sums[-1] - STILL)
    return [float(share) for share in np.diff([0.0, *sums])]


@dataclass(frozen=True, slots=True)
class Leximin:
    """Fixed lines: shares by repeated linear programs, as one would without a filling algorithm."""

    shares: list[float]
    programs: int


def leximin(p: Problem) -> Leximin:
    """Every car's share where each has one option and all are served: rise together, hold who is stuck, go on.

    Who is stuck is told by the prices of full rows, so that each level takes one program, warm from the one before.
    """
    model = solver()
    cars, shares = len(p.rank), p.share
    current = [model.addVariable(lb=float(p.lowest[c]), ub=float(p.highest[c])) for c in range(cars)]
    level = model.addVariable(lb=0.0, ub=1e4)
    rows = [
        model.addConstr(sum(weight * current[option] for option, weight in entries) <= float(p.capacity[row]))
        for row, entries in enumerate(options_of_rows(p))
    ]
    rises = [model.addConstr(float(shares[c]) * current[c] - level >= 0) for c in range(cars)]
    free, found, programs = set(range(cars)), [0.0] * cars, 0
    loads = [{option for option, _ in entries} for entries in options_of_rows(p)]
    while free:
        model.maximize(level)
        programs += 1
        at = float(model.getInfo().objective_function_value)
        solution = model.getSolution()
        # A car whose minimum or row keeps it up is not stuck here: only cars with a price, and who hangs on a priced row.
        stuck = {c for c in free if abs(solution.row_dual[rises[c].index]) > STILL}
        for row, constraint in enumerate(rows):
            if abs(solution.row_dual[constraint.index]) > STILL:
                stuck |= {c for c in loads[row] & free if float(shares[c] * p.lowest[c]) <= at + STILL}
        stuck = stuck or {min(free, key=lambda c: float(shares[c] * p.highest[c]))}
        for car in stuck:
            found[car] = max(at, float(shares[car] * p.lowest[car]))
            amperes = found[car] / float(shares[car])
            model.changeColBounds(current[car].index, amperes, amperes)
            model.changeRowBounds(rises[car].index, -model.inf, model.inf)
        free -= stuck
    return Leximin(sorted(found), programs)
