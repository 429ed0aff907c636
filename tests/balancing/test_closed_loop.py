"""Tests of the whole time layer by the currents that really flow. In full: `python -m bench.closed_loop`."""

import pytest

from balancing.allocate import allocate
from balancing.document import dump_instance, parse_instance
from bench.closed_loop.bound import judged
from bench.closed_loop.by_chance import random_day
from bench.closed_loop.judge import ANSWERS_WITHIN_S
from bench.closed_loop.scenario import FOLDER, CarPlan, Scenario, scenarios
from bench.closed_loop.site import Site, days


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_a_written_day_is_as_it_claims(scenario: Scenario) -> None:
    """No fuse is overloaded by our own doing, no jump of other load goes on for 30 s, and what else the day asks for holds."""
    broken = [what for site in days(scenario, seed=1, quick=True) for what in judged(site).broken]
    assert broken == []


@pytest.mark.parametrize("number", range(4))
def test_a_day_by_chance_overloads_no_fuse(number: int) -> None:
    """Sites, cars, households and troubles that nobody chose."""
    site = Site(random_day(number, seed=1), seed=1)
    site.run()
    assert judged(site).broken == ()


@pytest.mark.parametrize("number", ["12", "13", "15"])
def test_every_decision_can_be_made_again(number: str) -> None:
    """What is stored of a decision leads to the same answer, also where cars are done, lines change, or offers count for more."""
    [scenario] = [one for one in scenarios() if one.name.startswith(number)]
    site, count = Site(scenario, seed=1), 0
    while site.now_s < 1800:
        site.second()
        if site.now_s % 50 == 0 and site.decision is not None:
            again = allocate(parse_instance(dump_instance(site.decision.instance)))
            assert again.setpoints == site.decision.allocation.setpoints
            count += 1
    assert count == 36


def test_a_day_is_the_same_again() -> None:
    """Nothing in a simulated day is by chance: what it shows can be looked at again."""
    [scenario] = [one for one in scenarios() if one.name.startswith("06")]
    [day] = scenario.variants(quick=True)
    first, second = Site(day, seed=3), Site(day, seed=3)
    for site in (first, second):
        for _ in range(900):
            site.second()
    assert judged(first) == judged(second)


def test_a_judge_tells_a_jump_from_our_own_doing() -> None:
    """A household that jumps excuses half a minute above the fuse; a car that draws more than the fuse excuses nothing."""
    [scenario] = [one for one in scenarios() if one.name.startswith("07")]
    site = Site(scenario, seed=1)
    [circuit] = scenario.circuits
    car = site.chargers[0]
    car.plug(CarPlan(), 0.0)
    assert car.car is not None
    car.car.draw_a, car.lines = 20.0, car.wiring
    for household_a in [0.0] * 60 + [30.0] * 60:
        site.judge.second(
            site.chargers, {circuit.name: (household_a, 0.0, 0.0)}, site.below, answers_within_s=ANSWERS_WITHIN_S
        )
    verdict = judged(site)
    assert (verdict.own_s, verdict.longest_above_s, verdict.longest_far_above_s) == (31, 60, 60)
    car.car.draw_a = 26.0
    site.judge.second(site.chargers, {circuit.name: (0.0, 0.0, 0.0)}, site.below, answers_within_s=ANSWERS_WITHIN_S)
    assert judged(site).own_s == 32


def test_every_day_says_what_it_claims() -> None:
    """A claim is a sentence, and its file's name has its number."""
    found = sorted(path.stem for path in FOLDER.glob("*.json"))
    assert [name.split("_")[0] for name in found] == sorted({name.split("_")[0] for name in found})
    assert all(scenario.claims.endswith(".") for scenario in scenarios())
