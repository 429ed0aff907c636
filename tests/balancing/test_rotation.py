"""Tests of whose turn it is."""

import pytest

from balancing.rotation import ROTATION_S, Place, Turn, next_slots, place, turned


@pytest.mark.parametrize(
    ("waited_s", "tier"),
    [(0.0, 0), (ROTATION_S - 1, 0), (ROTATION_S, 1), (2 * ROTATION_S, 3), (3 * ROTATION_S, 4)],
)
def test_waiting_cars_climb_past_protected_ones(waited_s: float, tier: int) -> None:
    """Whoever waited two rotations stands above a car that was just admitted."""
    assert place(Turn(waiting_since_s=0.0), waited_s) == Place(tier, waited_s)


def test_an_admitted_car_is_protected_for_one_rotation() -> None:
    """It keeps at least tier 2 until R has passed, and has no claim afterwards."""
    turn = Turn(charging_since_s=0.0)
    assert place(turn, ROTATION_S - 1) == Place(2, 1.0)
    assert place(turn, ROTATION_S) == Place(0, 0.0)


def test_a_car_admitted_high_is_protected_above_its_tier() -> None:
    """Who climbed to tier 4 before being served is not pushed out by the next of tier 4."""
    assert place(Turn(charging_since_s=0.0, admitted_tier=4), 10.0).tier == 5


def test_losing_the_place_begins_a_new_wait() -> None:
    """A car that was rotated out waits from now on, and one that wants nothing has no turn."""
    charging = turned(Turn(waiting_since_s=0.0), wants_current=True, is_served=True, now_s=5.0)
    assert charging == Turn(charging_since_s=5.0, admitted_tier=0)
    assert turned(charging, wants_current=True, is_served=False, now_s=9.0) == Turn(waiting_since_s=9.0)
    assert turned(charging, wants_current=False, is_served=False, now_s=9.0) == Turn()


def test_the_next_slots_are_when_places_come_free() -> None:
    """Two places, free after 100 and 400 s: the third that waits has the first place one rotation later."""
    assert next_slots([400.0, 100.0], 3, 0.0) == [100.0, 400.0, 100.0 + ROTATION_S]
    assert next_slots([], 2, 0.0) == []


def test_a_place_that_could_be_free_already_is_expected_a_rotation_later() -> None:
    """Who is still there was admitted anew: nothing is promised for what is past."""
    assert next_slots([100.0], 1, 200.0) == [100.0 + ROTATION_S]
    assert next_slots([100.0], 1, 100.0) == [100.0]
