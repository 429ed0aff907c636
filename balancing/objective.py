"""How good a choice is beyond who is served and how they share: power, balance of the root's lines, and fewest changes."""

from balancing.compiled import Floats, Ints, copy_into, in_place
from balancing.filling import EQUAL, OFF, Filling, compare
from balancing.problem import Problem


@in_place
def judge(p: Problem, f: Filling, choice: Ints) -> None:
    """What was filled has its `rest`: power in units of 230 V, then imbalance, changes and amperes of difference, negative."""
    rest, loads = f.rest, f.loads
    rest[:] = 0.0
    copy_into(loads, p.root_load)
    for car in range(len(choice)):
        option, current = choice[car], f.current[car]
        if option != OFF:
            rest[0] += current * p.kappa[option]
            for line in range(3):
                if p.lines[option] & 1 << line:
                    loads[line] += current
        if p.is_known[car]:
            rest[2] -= (p.lines[option] if option != OFF else 0) != p.lines_before[car]
            rest[3] -= abs(current - p.current_before[car])
    if p.judges_imbalance:
        rest[1] = min(loads[0], loads[1], loads[2]) - max(loads[0], loads[1], loads[2])


@in_place
def count_served(p: Problem, choice: Ints, served: Floats) -> None:
    """`served` is per class, first class first, how many are served and their credit."""
    served[:] = 0.0
    for car in range(len(choice)):
        if choice[car] != OFF:
            served[2 * p.rank[car]] += 1.0
            served[2 * p.rank[car] + 1] += p.credit[car]


@in_place
def compared(mine: Floats, other: Floats) -> int:
    """WORSE, EQUAL or BETTER, lexicographically."""
    for place in range(len(mine)):
        verdict = compare(mine[place], other[place])
        if verdict != EQUAL:
            return verdict
    return EQUAL
