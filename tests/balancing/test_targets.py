"""Tests of what a driver's target is worth."""

from dataclasses import replace

import pytest

from balancing.controller import SiteController
from balancing.targets import Target, needed_a, weight
from domain.current.offers import CircuitFacts, SiteFacts
from domain.roles import NetworkType
from domain.units import PhaseAmps
from tests.balancing.test_controller import NOON, ROOT, SITE, charger, charging

HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("target", "kappa", "expected"),
    [
        (Target(20_700, 0, 3 * HOUR_S), 3.0, 10.0),
        (Target(20_700, 13_800, HOUR_S), 3.0, 10.0),
        (Target(4_600, 0, 2 * HOUR_S), 1.0, 10.0),
        (Target(5_000, 5_000, HOUR_S), 3.0, 0.0),
        (Target(5_000, 6_000, -1.0), 3.0, 0.0),
        (Target(5_000, 4_999, 0.0), 3.0, float("inf")),
        (Target(5_000, 0, None), 3.0, None),
    ],
)
def test_the_current_that_a_target_needs(target: Target, kappa: float, expected: float | None) -> None:
    """What is missing, by the time that is left, on each of the car's lines."""
    assert needed_a(target, kappa) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, 1.0),
        (Target(6_900, 0, None), 1.0),
        (Target(6_900, 0, HOUR_S), 1.0),  # 10 A, as much as is fair
        (Target(13_800, 0, HOUR_S), 2.0),
        (Target(9_488, 0, HOUR_S), 1.5),  # 13.75 A: halves are rounded up
        (Target(69_000, 0, HOUR_S), 4.0),
        (Target(6_900, 0, -5.0), 4.0),
        (Target(690, 0, HOUR_S), 0.5),
        (Target(6_900, 6_900, HOUR_S), 0.5),
        (Target(6_900, 7_000, None), 0.5),
    ],
)
def test_the_weight_of_a_target(target: Target | None, expected: float) -> None:
    """What it needs by what is fair, from half to four times, in quarters; half when it is reached, one where nothing can be told."""
    assert weight(target, kappa=3.0, fair_a=10.0) == expected


def test_where_nothing_is_fair_all_weigh_the_same() -> None:
    """A site without current has nothing to share."""
    assert weight(Target(6_900, 0, HOUR_S), kappa=3.0, fair_a=0.0) == 1.0


def test_a_car_that_leaves_soon_gets_more() -> None:
    """As much more as it needs; the other one is not starved, and without a target they share alike."""
    one, other = (
        charging(charger(1), session=1, draw=0.0, at_s=0.0),
        charging(charger(2), session=2, draw=0.0, at_s=0.0),
    )
    assert one.session is not None
    hurried = replace(one, session=replace(one.session, energy_target_wh=22_080, departs_in_s=HOUR_S))
    found = []
    for first in (one, hurried):
        facts = SiteFacts(
            installation_id=SITE,
            name="Garage",
            network_type=NetworkType.TN_3_PHASE,
            available=None,
            three_to_one_switch_a=None,
            circuits=(CircuitFacts(ROOT, None, "Main", PhaseAmps.even(32.0), PhaseAmps.even(0.0)),),
            chargers=(first, other),
        )
        decision = SiteController().decide(facts, now=NOON, now_s=0.0)
        found.append([setpoint.current for setpoint in decision.allocation.setpoints])
        assert decision.instance.chargers[0].weight == (1.0 if first is one else 2.0)
    assert found == [[16.0, 16.0], [21.3, 10.6]]
