import copy
import itertools
import random
from typing import Any

import pytest

from balancing.allocate import DEFAULT, allocate
from balancing.document import dump_allocation, parse_instance
from balancing.problem import compile_problem
from balancing.search import solve
from bench import balancing_sites as garage
from bench.balancing_exact import Choice
from tests.balancing import checker
from tests.balancing.oracle import Oracle
from tests.balancing.sites import ALL_NETWORKS, ALL_SWITCHINGS, site

PLAIN = (("TN_3", "arithmetic"), ("IT_3", "arithmetic"))


def fixed_instance(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    instance = site(rng, most=12, networks=PLAIN)
    for number, charger in enumerate(instance["chargers"]):
        charger["credit"] = 2**number + rng.randrange(2) * 2**14
    return instance


@pytest.mark.parametrize("seed", range(60))
def test_fixed_phases_are_exact(seed: int) -> None:
    """Who is served and every share equal what HiGHS finds, to a ten-thousandth of an ampere."""
    instance = fixed_instance(seed)
    allocation = allocate(parse_instance(instance))
    weight = {charger["id"]: charger["weight"] for charger in instance["chargers"]}
    mine = {s.charger: s.current / weight[s.charger] for s in allocation.setpoints if s.current}
    exact = Oracle(instance).shares()
    assert sorted(mine) == sorted(exact)
    assert mine == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("seed", range(7_000_000, 7_000_008))
def test_who_waits_of_a_hundred_is_exact(seed: int) -> None:
    """Class by class as many are served, with as much credit, as HiGHS finds possible."""
    problem = compile_problem(parse_instance(garage.site(seed, 100, networks=PLAIN))).problem
    exact = Choice(problem, limit_s=60.0).served()
    assert solve(problem, DEFAULT).served.tolist() == pytest.approx(exact, abs=0.5)


@pytest.mark.parametrize("seed", range(40))
def test_choice_of_phase_is_exact_where_small(seed: int) -> None:
    """No other combination of allowed modes, each solved alone, has a better objective vector."""
    rng = random.Random(1000 + seed)
    instance = site(rng, most=4, switchings=ALL_SWITCHINGS, networks=ALL_NETWORKS)
    mine = dump_allocation(allocate(parse_instance(instance), effort=10**7))
    best = flat(checker.objective(instance, mine))
    wanting = [c for c in instance["chargers"] if c["state"] in ("charging", "queued")]
    ways = [[sorted(mode) for mode in checker.permitted(instance, charger)] for charger in wanting]
    for modes in itertools.product(*ways):
        fixed = copy.deepcopy(instance)
        chosen = dict(zip((c["id"] for c in wanting), modes, strict=True))
        for charger in fixed["chargers"]:
            if charger["id"] in chosen:
                charger["modes"] = [chosen[charger["id"]]]
        other = flat(checker.objective(fixed, dump_allocation(allocate(parse_instance(fixed), effort=10**6))))
        assert order(best, other) >= 0, modes


def flat(objective: dict[str, list[float]]) -> list[float]:
    return [value for values in objective.values() for value in values]


def order(mine: list[float], other: list[float]) -> float:
    return next((a - b for a, b in zip(mine, other, strict=False) if abs(a - b) > 1e-5), 0.0)
