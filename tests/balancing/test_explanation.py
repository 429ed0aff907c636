"""Tests of a decision in words."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from balancing.explanation import records
from domain.current.offers import OfferRecord, SiteFacts
from domain.roles import BindingLimit, OperatingMode
from tests.balancing.test_controller import NOON, Bench, charger, charging


def explained(bench: Bench, at_s: float) -> dict[int, OfferRecord]:
    """Charger number → its record after the decision at that second, whose orders are accepted."""
    facts: SiteFacts = bench.facts()
    decision = bench.decide(at_s)
    bench.accept(decision.orders, at_s + 0.1)
    now = NOON + timedelta(seconds=at_s)
    found = records(facts, decision.allocation, bench.controller, now=now, now_s=at_s)
    return {record.charger_id.int - 100: record for record in found}


def test_who_waits_is_told_when_its_turn_is_expected() -> None:
    """One place, taken at second 1 for a quarter of an hour: the next car then, the one after it a quarter later."""
    bench = Bench(charger(1), charger(2), charger(3), fuse_a=8.0)
    bench.settle()
    for number in (1, 2, 3):
        bench.chargers[UUID(int=100 + number)] = charging(charger(number), session=number, draw=0.0, at_s=1.0)
        explained(bench, float(number))
    found = explained(bench, 4.0)
    assert found[1].next_slot_at is None
    assert [found[number].queue_position for number in (2, 3)] == [1, 2]
    assert found[2].next_slot_at == NOON + timedelta(seconds=901)
    assert found[3].next_slot_at == NOON + timedelta(seconds=1801)


def test_a_car_is_held_back_while_it_wants_current_or_is_paused_and_not_when_it_is_full() -> None:
    """One place for two cars; the one that has it is not held back, nor one that no longer asks."""
    bench = Bench(charger(1), charger(2), charger(3), charger(4), fuse_a=8.0)
    bench.settle()
    for number in (1, 2, 3):
        bench.chargers[UUID(int=100 + number)] = charging(charger(number), session=number, draw=0.0, at_s=1.0)
        explained(bench, float(number))
    paused = bench.chargers[UUID(int=103)]
    assert paused.session is not None
    bench.chargers[UUID(int=103)] = replace(paused, session=replace(paused.session, is_paused=True))
    assert [explained(bench, 4.0)[number].is_held for number in (1, 2, 3, 4)] == [False, True, True, False]
    full = bench.chargers[UUID(int=102)]
    bench.chargers[UUID(int=102)] = replace(full, mode=OperatingMode.FINISHED)
    assert not explained(bench, 5.0)[2].is_held


def test_nothing_is_promised_to_who_waits_for_no_turn() -> None:
    """A car whose minimum is above what the fuse ever has waits for no place of another."""
    bench = Bench(charger(1), fuse_a=5.0)
    bench.settle()
    bench.chargers[UUID(int=101)] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    found = explained(bench, 2.0)[1]
    assert (found.limit, found.next_slot_at) == (BindingLimit.CIRCUIT, None)
    bench.chargers[UUID(int=101)] = replace(bench.chargers[UUID(int=101)], is_online=False)
    assert explained(bench, 3.0)[1].next_slot_at is None
