"""Tests of when a charger may close other lines, and in which steps."""

from dataclasses import replace

import pytest

from balancing.circuit import ChargerInput, Circuit, Instance, Line, Network, Switching, Vehicle
from balancing.failsafe import NO_OFFER, Offer
from balancing.line_choice import choose
from balancing.staging import ChargerStage, acknowledged, measured, sent
from balancing.switching import (
    WHOLE,
    Position,
    Prospect,
    Turning,
    advanced,
    begun,
    called_off,
    confirmed,
    distrusted,
    is_contradicted,
    is_empty,
    may_switch,
    must_tell,
    switching_of,
    terminal_of,
    told,
    weighed,
)

L1, L2, L3 = Line
RST = (L1, L2, L3)
STR = (L2, L3, L1)
TN = Network.TN_3


def off(at_s: float, draw: float | None = None, *, measured_s: float = 0.0) -> ChargerStage:
    """A charger that acknowledged an offer of nothing at that second, and measured that much at another."""
    stage = ChargerStage("a", "root", RST, 32.0, confirmed=NO_OFFER, confirmed_s=at_s)
    stage = acknowledged(sent(stage, NO_OFFER, at_s), 0, at_s)
    return stage if draw is None else measured(stage, (draw, 0.0, 0.0), measured_s)


def test_who_can_switch_is_said_by_installer_and_model() -> None:
    """Without the installer's word none; with it three phases or one; a named terminal where the model takes that."""
    assert switching_of(can_switch=False, takes_phase_to_use=True, wiring=RST) is Switching.NONE
    assert switching_of(can_switch=True, takes_phase_to_use=False, wiring=(L1,)) is Switching.NONE
    assert switching_of(can_switch=True, takes_phase_to_use=False, wiring=RST) is Switching.THREE_TO_ONE
    assert switching_of(can_switch=True, takes_phase_to_use=True, wiring=RST) is Switching.ANY_PHASE


def test_a_line_is_named_by_its_terminal() -> None:
    """On a charger wired STR, L2 is terminal 1; of a pair the terminal counts from which the next one is its other end."""
    assert [terminal_of((line,), STR) for line in (L1, L2, L3)] == [3, 1, 2]
    assert [terminal_of(pair, RST) for pair in ((L1, L2), (L2, L3), (L1, L3))] == [1, 2, 3]


def test_the_budget_of_a_session() -> None:
    """Five switches, none in the first two minutes, ten minutes apart, one at a time."""
    assert not may_switch(Position(session_since_s=0.0), 119.0)
    assert may_switch(Position(session_since_s=0.0), 120.0)
    assert not may_switch(Position(last_s=100.0), 699.0)
    assert may_switch(Position(last_s=100.0), 700.0)
    assert [may_switch(Position(switches=count), 0.0) for count in (4, 5)] == [True, False]
    assert not may_switch(Position(turning=Turning((L1,), 0.0)), 0.0)


def test_nothing_flows_when_it_was_measured_so() -> None:
    """Ten seconds after the charger acknowledged, below 0.5 A; half a minute where nothing is measured."""
    assert not is_empty(off(0.0, 0.4, measured_s=9.0), 9.9)
    assert is_empty(off(0.0, 0.4, measured_s=9.0), 10.0)
    assert not is_empty(off(0.0, 0.5, measured_s=9.0), 10.0)
    assert not is_empty(off(0.0), 29.0)
    assert is_empty(off(0.0), 30.0)
    assert not is_empty(replace(off(0.0), confirmed=Offer(6.0, RST)), 60.0)
    assert not is_empty(sent(off(0.0), Offer(6.0, RST), 20.0), 60.0)


def test_a_switch_in_its_steps() -> None:
    """Emptied, told, confirmed, rested: only then the lines are other ones, and the budget is less by one."""
    position = begun(WHOLE, (L1,), RST, 3, TN, 0.0)
    assert (position.turning, position.told) == (Turning((L1,), 0.0), None)
    assert position.will_load(RST, 3, TN) == (L1,)
    assert position.loads(RST, 3, TN) == RST
    stage = off(1.0, 0.0, measured_s=11.0)
    assert not must_tell(position, stage, 10.0)
    assert must_tell(position, stage, 11.0)
    position = told(position, 7)
    assert position.told == (L1,)
    assert confirmed(position, 6, 12.0) == position
    position = confirmed(position, 7, 12.0)
    assert advanced(position, stage, RST, cools_s=10.0, now_s=21.9).closed is None
    done = advanced(position, stage, RST, cools_s=10.0, now_s=22.0)
    assert (done.closed, done.switches, done.last_s, done.turning) == ((L1,), 1, 22.0, None)
    back = begun(done, RST, RST, 3, TN, 700.0)
    assert told(back, 9).told is None


def test_a_charger_that_does_not_become_empty_is_not_switched() -> None:
    """After a minute it is called off, which counts; so is it where the charger is out of reach or came back."""
    position = begun(WHOLE, (L1,), RST, 3, TN, 0.0)
    flowing = off(1.0, 3.0, measured_s=59.0)
    assert advanced(position, flowing, RST, cools_s=10.0, now_s=59.9).is_turning
    off_again = advanced(position, flowing, RST, cools_s=10.0, now_s=60.0)
    assert (off_again.turning, off_again.closed, off_again.switches, off_again.last_s) == (None, None, 1, 60.0)
    gone = replace(flowing, is_online=False)
    assert advanced(position, gone, RST, cools_s=10.0, now_s=5.0) == called_off(position, 5.0)


def test_current_on_an_open_line_ends_all_trust() -> None:
    """The charger counts with all its wired lines, and is not switched any more in this session."""
    position = Position(closed=(L2,))
    assert not is_contradicted(position, (0.4, 16.0, 0.0))
    assert is_contradicted(position, (0.5, 16.0, 0.0))
    assert not is_contradicted(WHOLE, (16.0, 16.0, 16.0))
    found = distrusted(position, 5.0)
    assert found.closed is None
    assert not may_switch(found, 10_000.0)


def test_what_is_better_must_last() -> None:
    """Five per cent for ten minutes; a car that three phases do not fit is brought to one at once, and never the other way."""
    more = Prospect((L1,), 10.0, (L2,), 10.5)
    position, may = weighed(WHOLE, more, 0.0)
    assert not may
    assert weighed(position, more, 599.0)[1] is False
    assert weighed(position, more, 600.0)[1] is True
    assert weighed(position, replace(more, other_power=10.4), 300.0)[0].better is None
    other, _ = weighed(position, replace(more, other_lines=(L3,)), 300.0)
    assert weighed(other, replace(more, other_lines=(L3,)), 600.0)[1] is False
    assert weighed(WHOLE, Prospect(RST, 0.0, (L1,), 6.0), 0.0)[1] is True
    assert weighed(WHOLE, Prospect((L1,), 0.0, RST, 18.0), 0.0)[1] is False


def a_site(*chargers: ChargerInput, fuse: tuple[float, float, float]) -> Instance:
    return Instance("s", (Circuit("root", None, fuse),), chargers)


def a_car(name: str, switching: Switching, phases: int | None) -> ChargerInput:
    return ChargerInput(name, "root", RST, switching, vehicle=Vehicle(phases))


def test_a_car_that_does_not_fit_on_three_lines_begins_to_switch() -> None:
    """Two lines have less than its minimum: it is meant to have the third, and nothing else until it is there."""
    site = a_site(a_car("a", Switching.THREE_TO_ONE, 3), fuse=(16.0, 4.0, 4.0))
    found = choose(site, {"a": WHOLE}, switch_below_a=6.0, now_s=1000.0)
    assert found.positions["a"].turning == Turning((L1,), 1000.0)
    assert found.allocation.by_charger()["a"].current == 16.0
    assert found.allocation.by_charger()["a"].phases == (L1,)


@pytest.mark.parametrize(
    ("position", "switch_below_a"),
    [(WHOLE, None), (Position(session_since_s=950.0), 6.0), (Position(switches=5), 6.0), (Position(last_s=500.0), 6.0)],
    ids=["the site keeps phases", "its first two minutes", "no budget", "just switched"],
)
def test_a_car_that_may_not_switch_waits(position: Position, switch_below_a: float | None) -> None:
    """It stays where it is, and is paused where that does not fit."""
    site = a_site(a_car("a", Switching.THREE_TO_ONE, 3), fuse=(16.0, 4.0, 4.0))
    found = choose(site, {"a": position}, switch_below_a=switch_below_a, now_s=1000.0)
    assert not found.positions["a"].is_turning
    assert found.allocation.by_charger()["a"].current == 0.0


def test_a_car_stays_on_three_lines_above_the_sites_current() -> None:
    """At 8 A on three lines 24 A on one would be as much: it is kept where the site says 7 A, weighed where it says 9 A."""
    site = a_site(a_car("a", Switching.THREE_TO_ONE, 3), fuse=(32.0, 8.0, 8.0))
    assert choose(site, {"a": WHOLE}, switch_below_a=7.0, now_s=1000.0).positions["a"].better is None
    assert choose(site, {"a": WHOLE}, switch_below_a=9.0, now_s=1000.0).positions["a"].better == (L1,)


def test_one_phase_cars_leave_a_crowded_line_in_time() -> None:
    """Two on L1 have half of it each: after ten minutes one of them moves, and not before."""
    cars = (a_car("a", Switching.ANY_PHASE, 1), a_car("b", Switching.ANY_PHASE, 1))
    site = a_site(*cars, fuse=(20.0, 20.0, 20.0))
    found = choose(site, {"a": WHOLE, "b": WHOLE}, switch_below_a=6.0, now_s=1000.0)
    assert not any(position.is_turning for position in found.positions.values())
    later = choose(site, found.positions, switch_below_a=6.0, now_s=1600.0)
    assert sum(position.is_turning for position in later.positions.values()) == 1
    assert sorted(one.current for one in later.allocation.setpoints) == [20.0, 20.0]
