import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from balancing.circuit import (
    NO_CURRENT,
    Allocation,
    Fallback,
    Line,
    Lines,
    Setpoint,
)
from balancing.failsafe import NO_OFFER, Offer
from balancing.staging import (
    ChargerStage,
    CircuitRoom,
    SiteState,
    Step,
    StepKind,
    acknowledged,
    beyond,
    is_silent,
    measured,
    plan,
    reconnected,
    refused,
    relined,
    reserved,
    sent,
    settled,
)
from tests.balancing.walk import Walk

L1, L2, L3 = Line
ALL = (L1, L2, L3)
ROOM = (CircuitRoom("root", None, (32.0, 32.0, 32.0)),)


def stage(name: str, current: float, lines: Lines = ALL, *, fallback: Fallback | None = None) -> ChargerStage:
    confirmed = Offer(current, lines) if current else NO_OFFER
    return ChargerStage(name, "root", ALL, 32.0, confirmed=confirmed, confirmed_s=0.0, fallback=fallback)


def want(**currents: float) -> Allocation:
    return Allocation("w", tuple(Setpoint(name, amps, ALL if amps else ()) for name, amps in currents.items()))


def planned(stages: Sequence[ChargerStage], wanted: Allocation, now_s: float) -> list[tuple[str, float, StepKind]]:
    return [(s.charger, s.offer.current, s.kind) for s in plan(SiteState(ROOM, tuple(stages)), wanted, now_s)]


def test_a_reduction_goes_and_the_increase_waits() -> None:
    """Of 32 A, b gets its half only after a is known to draw no more than its own."""
    a, b = stage("a", 32.0), stage("b", 0.0)
    wanted = want(a=16.0, b=16.0)
    assert planned([a, b], wanted, 10.0) == [("a", 16.0, StepKind.REDUCE)]
    a = acknowledged(sent(a, Offer(16.0, ALL), 10.0), 0, 11.0)
    assert planned([a, b], wanted, 12.0) == []
    assert planned([measured(a, (24.0, 24.0, 24.0), 13.0), b], wanted, 13.0) == []
    follows = measured(a, (16.4, 16.0, 16.0), 14.0)
    assert planned([measured(a, (16.0, 16.0, 16.0), 14.0), b], wanted, 14.0) == [("b", 16.0, StepKind.INCREASE)]
    assert settled(follows, 14.0).confirmed == Offer(16.0, ALL)


def test_without_measurement_fifteen_seconds_confirm() -> None:
    """A charger that does not measure is believed 15 s after its acknowledgement, not before."""
    a = acknowledged(sent(stage("a", 32.0), Offer(16.0, ALL), 10.0), 0, 11.0)
    wanted = want(a=16.0, b=16.0)
    assert planned([a, stage("b", 0.0)], wanted, 25.9) == []
    assert planned([a, stage("b", 0.0)], wanted, 26.0) == [("b", 16.0, StepKind.INCREASE)]


def test_an_increase_into_free_room_goes_at_once() -> None:
    """What nobody holds is given without waiting, as far as it reaches, and never below the minimum."""
    a, b = stage("a", 20.0), stage("b", 0.0)
    assert planned([a, b], want(a=16.0, b=16.0), 1.0) == [
        ("a", 16.0, StepKind.REDUCE),
        ("b", pytest.approx(12.0, abs=1e-6), StepKind.INCREASE),
    ]
    assert planned([stage("a", 27.0), b], want(a=16.0, b=16.0), 1.0) == [("a", 16.0, StepKind.REDUCE)]


def test_a_measured_draw_above_the_target_blocks_repeats_and_stops() -> None:
    """A charger that goes on drawing is told again after 30 s, then paused with an alert; its room stays taken."""
    a = acknowledged(sent(stage("a", 32.0), Offer(16.0, ALL), 0.0), 0, 1.0)
    a = measured(a, (30.0, 30.0, 30.0), 30.0)
    assert planned([a, stage("b", 0.0)], want(a=16.0, b=16.0), 30.0) == []
    a = measured(a, (30.0, 30.0, 30.0), 31.0)
    assert planned([a], want(a=16.0), 31.0) == [("a", 16.0, StepKind.REPEAT)]
    a = acknowledged(sent(a, Offer(16.0, ALL), 31.0), 1, 32.0)
    a = measured(a, (30.0, 30.0, 30.0), 62.0)
    steps = plan(SiteState(ROOM, (a, stage("b", 0.0))), want(a=16.0, b=16.0), 62.0)
    assert [(s.charger, s.offer, s.kind, s.is_alert) for s in steps] == [("a", NO_OFFER, StepKind.STOP, True)]


def test_silence_repeats_then_counts_as_offline() -> None:
    """No acknowledgement: the larger stays reserved, the offer is repeated after 30 s, and on after 120 s, as offline."""
    a = sent(stage("a", 32.0, fallback=Fallback(6.0, ALL)), Offer(10.0, ALL), 0.0)
    assert reserved(a, 29.0).vector == (32.0, 32.0, 32.0)
    assert planned([a], want(a=10.0), 29.0) == []
    assert planned([a], want(a=10.0), 30.0) == [("a", 10.0, StepKind.REPEAT)]
    a = sent(a, Offer(10.0, ALL), 30.0)
    assert not is_silent(a, 119.0)
    assert is_silent(a, 120.0)
    assert planned([a], want(a=32.0), 120.0) == [("a", 10.0, StepKind.REPEAT)]
    assert reserved(a, 120.0).vector == (32.0, 32.0, 32.0)
    assert reserved(a, 30.0 + 1200.0).vector == (6.0, 6.0, 6.0)


def test_repeating_for_a_day_fills_no_memory() -> None:
    """What is repeated to a charger that never answers is remembered once, with the instant since which it is silent."""
    a = stage("a", 32.0)
    for minute in range(1440):
        a = sent(a, Offer(10.0, ALL), 60.0 * minute)
    assert len(a.targets) <= 6
    assert a.targets[0].sent_s == 0.0
    assert is_silent(a, 120.0)
    for minute in range(1440, 2880):
        a = acknowledged(sent(a, Offer(10.0, ALL), 60.0 * minute), a.next_number, 60.0 * minute)
    assert len(a.targets) <= 6


def test_small_increases_wait() -> None:
    """An increase below 0.5 A or 5 % goes 30 s after the last command at the earliest; a larger one at once."""
    a = stage("a", 20.0)
    assert planned([a], want(a=20.9), 29.0) == []
    assert planned([a], want(a=20.9), 30.0) == [("a", 20.9, StepKind.INCREASE)]
    assert planned([a], want(a=21.1), 1.0) == [("a", 21.1, StepKind.INCREASE)]


def test_offers_are_renewed() -> None:
    """An offer that stands is sent again after a third of its life."""
    assert planned([stage("a", 16.0)], want(a=16.0), 199.0) == []
    assert planned([stage("a", 16.0)], want(a=16.0), 200.0) == [("a", 16.0, StepKind.RENEW)]


def test_lines_change_through_off() -> None:
    """Other lines are closed only after 0 A is confirmed on the old ones."""
    a = stage("a", 16.0, (L1,))
    wanted = Allocation("w", (Setpoint("a", 16.0, (L2,)),))
    assert planned([a], wanted, 1.0) == [("a", 0.0, StepKind.REDUCE)]
    a = acknowledged(sent(a, NO_OFFER, 1.0), 0, 2.0)
    assert planned([a], wanted, 3.0) == []
    a = measured(a, NO_CURRENT, 4.0)
    assert plan(SiteState(ROOM, (a,)), wanted, 4.0) == [Step("a", Offer(16.0, (L2,)), StepKind.INCREASE, "as wanted")]


def test_a_reconnected_charger_holds_its_maximum() -> None:
    """Until its first confirmed offer it may draw its maximum; it gets what fits, or what its car draws already."""
    a = reconnected(sent(stage("a", 10.0), Offer(6.0, ALL), 0.0), 1.0)
    assert reserved(a, 1.0).vector == (32.0, 32.0, 32.0)
    assert planned([a, stage("b", 0.0)], want(a=16.0, b=16.0), 1.0) == [("a", 16.0, StepKind.INCREASE)]
    assert planned([a, stage("b", 28.0)], want(a=16.0, b=28.0), 60.9) == []
    assert planned([a, stage("b", 28.0)], want(a=16.0, b=28.0), 61.0) == [("a", 0.0, StepKind.REDUCE)]
    drawing = measured(a, (9.0, 9.5, 9.0), 16.0)
    assert planned([drawing, stage("b", 28.0)], want(a=16.0, b=28.0), 16.0) == [("a", 9.0, StepKind.INCREASE)]


def test_a_refused_target_is_forgotten() -> None:
    """What a charger rejected is not reserved, and its number is not used again."""
    a = sent(stage("a", 10.0), Offer(20.0, ALL), 0.0)
    b = refused(a, 0)
    assert reserved(b, 1.0).vector == (10.0, 10.0, 10.0)
    assert sent(b, Offer(12.0, ALL), 2.0).targets[0].number == 1


def test_what_is_drawn_beyond_every_offer_is_seen() -> None:
    """Half an ampere is tolerance; what an earlier offer still covers, or what nobody can control, is no disobedience."""
    a = stage("a", 10.0)
    assert beyond(measured(a, (10.5, 0.0, 0.0), 5.0), 5.0) == NO_CURRENT
    assert beyond(measured(a, (14.0, 10.0, 0.0), 5.0), 5.0) == (4.0, 0.0, 0.0)
    reduced = acknowledged(sent(a, Offer(6.0, ALL), 5.0), 0, 6.0)
    assert beyond(measured(reduced, (10.0, 10.0, 10.0), 7.0), 7.0) == NO_CURRENT
    assert beyond(measured(replace(a, is_online=False), (14.0, 0.0, 0.0), 5.0), 5.0) == NO_CURRENT
    assert beyond(measured(replace(a, confirmed=None), (33.0, 0.0, 0.0), 5.0), 5.0) == (1.0, 0.0, 0.0)


def test_learning_a_cars_lines_changes_no_offer() -> None:
    """What is reserved for a car that turned out to use one line is reserved there alone, and it goes on charging."""
    a = relined(acknowledged(sent(stage("a", 10.0), Offer(12.0, ALL), 1.0), 0, 2.0), (L1,))
    assert reserved(a, 3.0).vector == (12.0, 0.0, 0.0)
    wanted = Allocation("w", (Setpoint("a", 12.0, (L1,)),))
    assert planned([a], wanted, 3.0) == []
    assert relined(a, ALL).latest == Offer(12.0, ALL)


def test_an_unknown_car_without_neutral_counts_for_more_than_its_offer() -> None:
    """Its two converters may share a line: √3 of every offer is reserved, and no draw up to that is disobedience."""
    a = replace(stage("a", 10.0), spread=math.sqrt(3))
    assert reserved(a, 1.0).vector == pytest.approx((17.3205, 17.3205, 17.3205), abs=1e-4)
    assert beyond(measured(a, (17.3, 10.0, 10.0), 5.0), 5.0) == NO_CURRENT
    [(name, current, kind)] = planned([a, stage("b", 0.0)], want(a=10.0, b=32.0), 1.0)
    assert (name, kind) == ("b", StepKind.INCREASE)
    assert current == pytest.approx(32.0 - 17.3205, abs=1e-4)
    unknown = replace(a, confirmed=None)
    assert reserved(unknown, 1.0).vector == pytest.approx((55.4256, 55.4256, 55.4256), abs=1e-4)


def test_what_a_charger_may_do_alone_counts_at_all_times_where_it_keeps_no_schedule() -> None:
    """Also while it is in reach and idle; where nobody knows it, its maximum."""
    a = replace(stage("a", 0.0, fallback=Fallback(8.0, ALL)), keeps_schedule=False)
    assert reserved(a, 1.0).vector == (8.0, 8.0, 8.0)
    assert reserved(replace(a, confirmed=Offer(10.0, ALL)), 1.0).vector == (10.0, 10.0, 10.0)
    assert reserved(replace(a, fallback=None), 1.0).vector == (32.0, 32.0, 32.0)


def test_phasors_need_less_room() -> None:
    """Three pairs at 17.32 A fill 30 A lines of an IT network exactly."""
    pairs = ((L1, L2), (L2, L3), (L1, L3))
    rooms = (CircuitRoom("root", None, (30.0, 30.0, 30.0)),)
    stages = tuple(stage(name, 0.0) for name in "abc")
    wanted = Allocation("w", tuple(Setpoint(n, 30 / math.sqrt(3), p) for n, p in zip("abc", pairs, strict=True)))
    steps = plan(SiteState(rooms, stages, uses_vectors=True), wanted, 1.0)
    assert [step.reason for step in steps] == ["as wanted"] * 3
    steps = plan(SiteState(rooms, stages, uses_vectors=False), wanted, 1.0)
    assert [step.reason for step in steps][:2] == ["as wanted", "as far as there is room"]


@pytest.mark.parametrize("seed", range(40))
def test_no_order_of_messages_overloads_a_line(seed: int) -> None:
    """Whatever is lost, late, doubled or out of order, what may flow stays reserved, and below every capacity."""
    walk = Walk(seed)
    for _ in range(250):
        walk.step()


def test_the_walk_arrives() -> None:
    """With a link that works the wanted allocation is reached."""
    walk = Walk(7)
    for _ in range(20):
        walk.now_s += 16.0
        walk.command()
        for name, truth in walk.truth.items():
            while truth.inbox:
                truth.apply(*truth.inbox.pop(0), walk.now_s)
            for number in truth.outbox:
                walk.stages[name] = acknowledged(walk.stages[name], number, walk.now_s)
    for setpoint in walk.wanted.setpoints:
        assert walk.truth[setpoint.charger].offer.current == pytest.approx(setpoint.current, abs=1e-6)
    assert any(setpoint.current for setpoint in walk.wanted.setpoints)
