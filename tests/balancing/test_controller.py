"""Tests of one site over time: facts, answers and seconds in, orders out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from balancing.circuit import Line
from balancing.controller import Decision, Order, SiteController
from balancing.staging import reserved
from domain.current.offers import ChargerFacts, CircuitFacts, SessionFacts, SiteFacts
from domain.equipment.capabilities import Capabilities
from domain.observations import ConnectorStatus
from domain.ports import OfferStep
from domain.roles import NetworkType, OperatingMode, PhaseRotation
from domain.units import PhaseAmps

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SITE = UUID(int=1)
ROOT = UUID(int=2)


def charger(number: int) -> ChargerFacts:
    """A charger in reach with nothing plugged in."""
    return ChargerFacts(
        id=UUID(int=100 + number),
        circuit_id=ROOT,
        name=f"P{number}",
        phase_rotation=PhaseRotation.RST,
        min_current_a=6.0,
        max_current_a=32.0,
        offline_current_a=0.0,
        can_switch_phases=False,
        is_enabled=True,
        is_online=True,
        epoch=1,
        mode=OperatingMode.DISCONNECTED,
        connector_status=ConnectorStatus.AVAILABLE,
        status_received_at=NOON,
        connected_at=NOON,
        measured=(None, None, None),
        measured_at=None,
        session=None,
        fallback_a=None,
        last_offer_at=None,
    )


def charging(facts: ChargerFacts, *, session: int, draw: float, at_s: float) -> ChargerFacts:
    """The charger with a car that draws that much on every line."""
    return replace(
        facts,
        mode=OperatingMode.CHARGING if draw else OperatingMode.AWAITING_CURRENT,
        connector_status=ConnectorStatus.CHARGING if draw else ConnectorStatus.SUSPENDED_EVSE,
        measured=(draw, draw, draw),
        measured_at=NOON + timedelta(seconds=at_s),
        session=SessionFacts(UUID(int=session), str(session), 0, is_paused=False, is_permitted=True, started_at=NOON),
    )


class Bench:
    """A controller with its site, moved by hand."""

    def __init__(self, *chargers: ChargerFacts, fuse_a: float = 16.0, switch_below_a: float | None = None) -> None:
        self.controller = SiteController()
        self.chargers = {facts.id: facts for facts in chargers}
        self.fuse_a = fuse_a
        self.fuse: PhaseAmps | None = None
        self.switch_below_a = switch_below_a
        self.network = NetworkType.TN_3_PHASE

    def facts(self) -> SiteFacts:
        """The site as it stands."""
        breaker = self.fuse or PhaseAmps.even(self.fuse_a)
        return SiteFacts(
            installation_id=SITE,
            name="Garage",
            network_type=self.network,
            available=None,
            three_to_one_switch_a=self.switch_below_a,
            circuits=(CircuitFacts(ROOT, None, "Main", breaker, PhaseAmps.even(0.0)),),
            chargers=tuple(self.chargers.values()),
        )

    def decide(self, at_s: float) -> Decision:
        """The decision at that second."""
        return self.controller.decide(self.facts(), now=NOON + timedelta(seconds=at_s), now_s=at_s)

    def accept(self, orders: tuple[Order, ...], at_s: float) -> None:
        """Every order is accepted."""
        for order in orders:
            self.controller.answered(order, is_accepted=True, is_refused=False, now_s=at_s)

    def refuse(self, orders: tuple[Order, ...], at_s: float) -> None:
        """Every order is refused."""
        for order in orders:
            self.controller.answered(order, is_accepted=False, is_refused=True, now_s=at_s)

    def reserved(self, number: int, at_s: float) -> float:
        """What that charger may draw on any line."""
        stage = self.controller.stage(UUID(int=100 + number))
        assert stage is not None
        return max(reserved(stage, at_s).vector)

    def settle(self) -> None:
        """Every charger holds its default of 0 A, and is known to."""
        self.accept(self.decide(0.0).orders, 0.1)
        assert self.decide(0.2).orders == ()


def defaults(decision: Decision) -> dict[int, float]:
    """Charger number → fallback in the default that goes out now."""
    return {order.charger_id.int - 100: order.fallback_a for order in decision.orders if order.number is None}


def offered(decision: Decision) -> dict[int, float]:
    """Charger number → current that goes out now in a session's offer."""
    return {
        order.charger_id.int - 100: order.command.steps[0].current_a
        for order in decision.orders
        if order.command.transaction_id is not None
    }


def test_a_charger_in_reach_gets_the_default_first() -> None:
    """Without a session it is told to give nothing for twenty minutes and then its planned fallback."""
    bench = Bench(replace(charger(1), offline_current_a=None))
    [order] = bench.decide(0.0).orders
    assert order.command.transaction_id is None
    assert order.command.steps == (OfferStep(0, 0.0), OfferStep(1200, 6.0))


def test_a_car_gets_the_fuse_when_it_is_alone() -> None:
    """Its offer is a schedule that falls to the fallback when nobody renews it."""
    bench = Bench(charger(1))
    bench.settle()
    bench.chargers[UUID(int=101)] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    [order] = bench.decide(1.0).orders
    assert order.command.transaction_id == "1"
    assert order.command.steps == (OfferStep(0, 16.0), OfferStep(600, 0.0))


def test_an_increase_waits_for_the_reduction_it_needs() -> None:
    """The second car gets its share only when the first was seen to draw less, not when it said that it will."""
    bench = Bench(charger(1), charger(2))
    bench.settle()
    first, second = UUID(int=101), UUID(int=102)
    bench.chargers[first] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    bench.accept(bench.decide(1.0).orders, 1.1)
    bench.chargers[first] = charging(charger(1), session=1, draw=16.0, at_s=5.0)
    bench.chargers[second] = charging(charger(2), session=2, draw=0.0, at_s=5.0)
    reduction = bench.decide(5.0)
    assert offered(reduction) == {1: 8.0}
    bench.accept(reduction.orders, 5.2)
    assert offered(bench.decide(6.0)) == {}
    bench.chargers[first] = charging(charger(1), session=1, draw=8.0, at_s=7.0)
    assert offered(bench.decide(7.0)) == {2: 8.0}


def test_a_next_session_of_the_same_charger_is_offered_anew() -> None:
    """An offer ends with its session even when both happen between two looks."""
    bench = Bench(charger(1))
    bench.settle()
    bench.chargers[UUID(int=101)] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    bench.accept(bench.decide(1.0).orders, 1.1)
    bench.chargers[UUID(int=101)] = charging(charger(1), session=2, draw=0.0, at_s=2.0)
    assert offered(bench.decide(2.0)) == {1: 16.0}


def test_a_reconnect_does_not_interrupt_a_charge() -> None:
    """What a returning charger holds is not known: it is told anew at once, because it fits beside the others."""
    bench = Bench(charger(1), fuse_a=32.0)
    bench.settle()
    bench.chargers[UUID(int=101)] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    bench.accept(bench.decide(1.0).orders, 1.1)
    back = replace(charging(charger(1), session=1, draw=32.0, at_s=9.0), epoch=2)
    bench.chargers[UUID(int=101)] = back
    assert offered(bench.decide(10.0)) == {1: 32.0}


def test_a_returning_charger_takes_nothing_from_the_others() -> None:
    """While it is not known what it holds, its maximum is reserved, and no other gets more."""
    bench = Bench(charger(1), charger(2), fuse_a=16.0)
    bench.settle()
    first, second = UUID(int=101), UUID(int=102)
    bench.chargers[first] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    bench.accept(bench.decide(1.0).orders, 1.1)
    bench.chargers[first] = replace(charging(charger(1), session=1, draw=16.0, at_s=9.0), epoch=2)
    bench.chargers[second] = charging(charger(2), session=2, draw=0.0, at_s=9.0)
    assert 2 not in offered(bench.decide(10.0))


def test_a_charger_out_of_reach_keeps_what_it_may_hold() -> None:
    """Its last offer stays reserved, so that another car gets only what is left."""
    bench = Bench(charger(1), charger(2), fuse_a=20.0)
    bench.settle()
    first, second = UUID(int=101), UUID(int=102)
    limited = replace(charger(1), max_current_a=10.0)
    bench.chargers[first] = charging(limited, session=1, draw=0.0, at_s=1.0)
    bench.accept(bench.decide(1.0).orders, 1.1)
    bench.chargers[first] = charging(limited, session=1, draw=10.0, at_s=2.0)
    bench.decide(2.0)
    bench.chargers[first] = replace(charging(limited, session=1, draw=10.0, at_s=2.0), is_online=False)
    bench.chargers[second] = charging(charger(2), session=2, draw=0.0, at_s=3.0)
    assert offered(bench.decide(3.0)) == {2: 10.0}


def test_a_charger_that_was_never_heard_holds_its_maximum() -> None:
    """It may be drawing for all that is known; what nobody knows is never given away."""
    silent = replace(charger(1), is_online=False, offline_current_a=None, max_current_a=10.0, epoch=0)
    bench = Bench(silent, charger(2))
    bench.settle()
    bench.chargers[UUID(int=102)] = charging(charger(2), session=2, draw=0.0, at_s=1.0)
    assert offered(bench.decide(1.0)) == {2: 6.0}


@pytest.mark.parametrize("fallback_a", [None, 0.0])
def test_a_charger_that_answers_to_no_limit_is_reserved_its_maximum(fallback_a: float | None) -> None:
    """From the beginning of its connection, before, throughout and after a charge, whatever it may fall back to; others share the rest."""
    silent = replace(charger(1), max_current_a=10.0, offline_current_a=None, fallback_a=fallback_a)
    bench = Bench(silent, charger(2))
    bench.accept(tuple(one for one in bench.decide(0.0).orders if one.charger_id.int == 102), 0.1)
    bench.chargers[UUID(int=102)] = charging(charger(2), session=2, draw=0.0, at_s=0.2)
    offers = []
    for at_s in range(1, 4000, 15):
        is_charging = 60 < at_s < 3000
        bench.chargers[UUID(int=101)] = charging(silent, session=1, draw=0.0, at_s=at_s) if is_charging else silent
        decision = bench.decide(float(at_s))
        bench.accept(tuple(one for one in decision.orders if one.charger_id.int == 102), at_s + 0.1)
        offers += [current for number, current in offered(decision).items() if number == 2]
        assert bench.reserved(1, at_s + 0.2) >= 10.0
    assert set(offers) <= {0.0, 6.0}
    assert 6.0 in offers


def test_a_refused_offer_is_not_repeated_at_once() -> None:
    """What a charger held before stands, and it is asked again after half a minute."""
    bench = Bench(charger(1))
    bench.settle()
    bench.chargers[UUID(int=101)] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    [order] = bench.decide(1.0).orders
    bench.controller.answered(order, is_accepted=False, is_refused=True, now_s=1.1)
    assert offered(bench.decide(2.0)) == {}
    assert offered(bench.decide(32.0)) == {1: 16.0}


def test_a_word_from_an_earlier_connection_changes_nothing() -> None:
    """An answer that arrives after the charger reconnected does not confirm what it may have forgotten."""
    bench = Bench(charger(1))
    orders = bench.decide(0.0).orders
    bench.chargers[UUID(int=101)] = replace(charger(1), epoch=2)
    again = bench.decide(1.0)
    bench.accept(orders, 1.1)
    stage = bench.controller.stage(UUID(int=101))
    assert [order.epoch for order in again.orders] == [2]
    assert stage is not None
    assert stage.confirmed is None


def test_a_finished_car_keeps_its_minimum_while_nobody_waits() -> None:
    """It may ask again before it leaves, and gives way as soon as another car is short."""
    bench = Bench(charger(1), charger(2), fuse_a=32.0)
    bench.settle()
    full = replace(charging(charger(1), session=1, draw=0.0, at_s=1.0), mode=OperatingMode.FINISHED)
    bench.chargers[UUID(int=101)] = full
    decision = bench.decide(1.0)
    assert offered(decision) == {1: 6.0}
    bench.chargers[UUID(int=102)] = charging(charger(2), session=2, draw=0.0, at_s=2.0)
    assert decision.allocation.by_charger()[str(UUID(int=101))].phases == (Line.L1, Line.L2, Line.L3)
    assert offered(bench.decide(2.0))[1] == 0.0


def test_a_refused_default_is_not_repeated_at_once() -> None:
    """A charger that refuses defaults is asked twice a minute, not as fast as it can answer."""
    bench = Bench(charger(1))
    bench.refuse(bench.decide(0.0).orders, 0.1)
    assert bench.decide(0.2).orders == ()
    assert defaults(bench.decide(30.0)) == {1: 0.0}


def test_an_unanswered_default_is_sent_again() -> None:
    """Until it is acknowledged, nobody else gets what the charger may draw; so it is not given up."""
    bench = Bench(charger(1))
    assert defaults(bench.decide(0.0)) == {1: 0.0}
    assert defaults(bench.decide(29.0)) == {}
    assert defaults(bench.decide(30.0)) == {1: 0.0}


def test_a_refused_reduction_is_not_repeated_at_once() -> None:
    """A charger that refuses 0 A keeps its offer reserved and is asked again after half a minute."""
    bench = Bench(charger(1))
    bench.settle()
    key = UUID(int=101)
    bench.chargers[key] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    bench.accept(bench.decide(1.0).orders, 1.1)
    bench.chargers[key] = charging(charger(1), session=1, draw=16.0, at_s=2.0)
    bench.decide(2.0)
    bench.chargers[key] = replace(bench.chargers[key], is_enabled=False)
    reduction = bench.decide(3.0)
    assert offered(reduction) == {1: 0.0}
    bench.refuse(reduction.orders, 3.1)
    assert offered(bench.decide(3.2)) == {}
    assert bench.reserved(1, 3.2) == 16.0
    assert offered(bench.decide(34.0)) == {1: 0.0}


def test_a_fallback_is_raised_only_when_another_gave_it_up() -> None:
    """Two fallbacks of 6 A fill the fuse: the second waits until the first charger acknowledged that it has none."""
    first, second = replace(charger(1), offline_current_a=None), replace(charger(2), offline_current_a=None)
    bench = Bench(first, second, fuse_a=10.0)
    opening = bench.decide(0.0)
    assert defaults(opening) == {1: 6.0, 2: 0.0}
    bench.accept(opening.orders, 0.1)
    bench.chargers[first.id] = replace(first, offline_current_a=0.0)
    lowering = bench.decide(1.0)
    assert defaults(lowering) == {1: 0.0}
    assert defaults(bench.decide(2.0)) == {}
    bench.accept(lowering.orders, 2.1)
    assert defaults(bench.decide(3.0)) == {2: 6.0}


def test_a_fallback_stays_with_a_charger_that_cannot_be_told() -> None:
    """What an absent charger acknowledged is in force there; no other gets it, whatever the plan says now."""
    first, second = replace(charger(1), offline_current_a=None), replace(charger(2), offline_current_a=None)
    bench = Bench(first, second, fuse_a=10.0)
    bench.accept(bench.decide(0.0).orders, 0.1)
    bench.chargers[first.id] = replace(first, offline_current_a=0.0, is_online=False)
    assert defaults(bench.decide(1.0)) == {}


def test_a_fallback_on_its_way_is_reserved_for_a_charger_that_went() -> None:
    """Nobody knows whether the raised fallback arrived before the connection broke, so the larger one counts."""
    bench = Bench(charger(1), charger(2), fuse_a=16.0)
    bench.settle()
    bench.chargers[UUID(int=101)] = replace(charger(1), offline_current_a=10.0)
    assert defaults(bench.decide(1.0)) == {1: 10.0}
    bench.chargers[UUID(int=101)] = replace(charger(1), offline_current_a=10.0, is_online=False)
    bench.chargers[UUID(int=102)] = charging(charger(2), session=2, draw=0.0, at_s=2.0)
    assert offered(bench.decide(2.0)) == {2: 6.0}


def test_a_session_whose_renewals_are_refused_counts_with_its_fallback() -> None:
    """Twenty minutes after its start the default lets it draw the fallback, whatever was wanted."""
    facts = replace(charger(1), offline_current_a=10.0)
    bench = Bench(facts)
    bench.settle()
    bench.chargers[facts.id] = charging(facts, session=1, draw=0.0, at_s=1.0)
    bench.refuse(bench.decide(1.0).orders, 1.1)
    bench.chargers[facts.id] = charging(facts, session=1, draw=0.0, at_s=1100.0)
    bench.refuse(bench.decide(1100.0).orders, 1100.1)
    assert bench.reserved(1, 1101.0) == 0.0
    bench.chargers[facts.id] = charging(facts, session=1, draw=0.0, at_s=1201.0)
    bench.refuse(bench.decide(1201.0).orders, 1201.1)
    assert bench.reserved(1, 1202.0) == 10.0


def test_a_charge_that_began_unheard_may_be_at_its_fallback() -> None:
    """A charger that comes back without saying that its contactor is open may charge already, as its default lets it."""
    facts = replace(charger(1), offline_current_a=10.0)
    bench = Bench(facts)
    bench.settle()
    back = replace(facts, epoch=2, connector_status=ConnectorStatus.CHARGING)
    bench.chargers[facts.id] = back
    bench.accept(bench.decide(1.0).orders, 1.1)
    bench.decide(70.0)
    assert bench.reserved(1, 70.0) == 10.0
    bench.chargers[facts.id] = replace(back, connector_status=ConnectorStatus.AVAILABLE)
    bench.decide(71.0)
    assert bench.reserved(1, 71.0) == 0.0


@pytest.mark.parametrize(("is_enabled", "held_a"), [(False, 0.0), (True, 10.0)])
def test_nothing_is_held_back_for_a_charger_that_was_taken_out_of_service(is_enabled: bool, held_a: float) -> None:
    """Nobody can charge there; one that is unavailable for a reason of its own may be doing anything."""
    facts = replace(charger(1), offline_current_a=10.0, mode=OperatingMode.UNKNOWN, is_enabled=is_enabled)
    bench = Bench(replace(facts, connector_status=ConnectorStatus.UNAVAILABLE))
    bench.accept(bench.decide(0.0).orders, 0.1)
    bench.decide(70.0)
    assert bench.reserved(1, 70.0) == held_a


def test_a_session_that_began_long_ago_may_be_at_its_fallback() -> None:
    """Its start was delivered late: the default has run since the session's start, not since we heard of it."""
    facts = replace(charger(1), offline_current_a=10.0)
    bench = Bench(facts)
    bench.settle()
    began = charging(facts, session=1, draw=0.0, at_s=-7.0)
    assert began.session is not None
    early = replace(began.session, started_at=NOON - timedelta(minutes=21), transaction_id=None)
    bench.chargers[facts.id] = replace(began, session=early, measured=(None, None, None), measured_at=None)
    bench.decide(1.0)
    bench.decide(30.0)
    assert bench.reserved(1, 30.0) == 10.0


def test_a_lowered_maximum_counts_from_the_next_word_of_the_charger() -> None:
    """While it is not known what a charger holds, it may be what its earlier maximum allowed."""
    bench = Bench(charger(1))
    bench.decide(0.0)
    bench.chargers[UUID(int=101)] = replace(charger(1), max_current_a=10.0)
    bench.decide(1.0)
    assert bench.reserved(1, 1.0) == 32.0


def test_a_measurement_from_the_future_confirms_nothing() -> None:
    """The clock was set back an hour: what was measured before is not newer than every acknowledgement."""
    bench = Bench(charger(1))
    bench.settle()
    key = UUID(int=101)
    bench.chargers[key] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    bench.accept(bench.decide(1.0).orders, 1.1)
    bench.chargers[key] = charging(charger(1), session=1, draw=0.0, at_s=3600.0)
    bench.decide(2.0)
    stage = bench.controller.stage(key)
    assert stage is not None
    assert stage.measured_s <= 2.0


def test_an_order_for_an_earlier_connection_is_not_wanted() -> None:
    """It waits behind another one until the charger has reconnected: then it must not go out any more."""
    bench = Bench(charger(1))
    [order] = bench.decide(0.0).orders
    assert bench.controller.is_wanted(order)
    bench.chargers[UUID(int=101)] = replace(charger(1), epoch=2)
    bench.decide(1.0)
    assert not bench.controller.is_wanted(order)


def test_an_order_that_was_overtaken_is_not_wanted() -> None:
    """It waits behind another one, and something else is wanted by now: only the newest goes out, of offers and of defaults."""
    bench = Bench(charger(1))
    bench.settle()
    key = UUID(int=101)
    bench.chargers[key] = charging(charger(1), session=1, draw=0.0, at_s=1.0)
    [first] = bench.decide(1.0).orders
    assert bench.controller.is_wanted(first)
    bench.fuse_a = 10.0
    [second] = bench.decide(2.0).orders
    assert not bench.controller.is_wanted(first)
    assert bench.controller.is_wanted(second)
    told = []
    for at_s, current in ((3.0, 8.0), (4.0, 6.0)):
        bench.chargers[key] = replace(bench.chargers[key], offline_current_a=current)
        told += [order for order in bench.decide(at_s).orders if order.number is None]
    assert [bench.controller.is_wanted(order) for order in (*told, second)] == [False, True, True]


def test_a_restart_waits_for_measurements_before_it_cuts() -> None:
    """Charges that fill the fuse go on as they are: their readings come every 30 s, and the first may be too early."""
    first, second = (
        charging(charger(1), session=1, draw=8.0, at_s=14.0),
        charging(charger(2), session=2, draw=8.0, at_s=14.0),
    )
    bench = Bench(first, second)
    for at_s in (0.0, 14.0, 30.0, 43.0):
        assert offered(bench.decide(at_s)) == {}
    bench.chargers = {
        facts.id: replace(facts, measured_at=NOON + timedelta(seconds=44)) for facts in bench.chargers.values()
    }
    assert offered(bench.decide(45.0)) == {1: 8.0, 2: 8.0}


def test_a_kind_that_bears_few_writes_is_raised_seldom_and_lowered_at_once() -> None:
    """Between two increases its interval passes; a reduction waits for nothing, and what it holds is renewed meanwhile."""
    worn = replace(charger(1), capabilities=Capabilities(write_interval_s=3600))
    bench = Bench(worn)
    bench.settle()
    bench.chargers[worn.id] = charging(worn, session=1, draw=0.0, at_s=1.0)
    first = bench.decide(1.0)
    assert offered(first) == {1: 16.0}
    bench.accept(first.orders, 1.1)
    bench.fuse_a = 10.0
    lowered = bench.decide(2.0)
    assert offered(lowered) == {1: 10.0}
    bench.accept(lowered.orders, 2.1)
    bench.fuse_a = 16.0
    assert reached(bench, worn, until_s=3600.0) == {10.0}
    assert reached(bench, worn, since_s=3600.0, until_s=3700.0) >= {16.0}


def reached(bench: Bench, facts: ChargerFacts, *, since_s: float = 10.0, until_s: float) -> set[float]:
    """Every offer that goes out while its car draws what it may."""
    found: set[float] = set()
    at_s = since_s
    while at_s < until_s:
        stage = bench.controller.stage(facts.id)
        assert stage is not None
        assert stage.latest is not None
        bench.chargers[facts.id] = charging(facts, session=1, draw=stage.latest.current, at_s=at_s)
        decision = bench.decide(at_s)
        found |= set(offered(decision).values())
        bench.accept(decision.orders, at_s + 0.1)
        at_s += 10.0
    return found


def test_a_day_has_only_so_many_increases() -> None:
    """The budget spent, the limit stays where it is until the first increase is a day old."""
    worn = replace(charger(1), capabilities=Capabilities(writes_a_day=1))
    bench = Bench(worn)
    bench.settle()
    bench.chargers[worn.id] = charging(worn, session=1, draw=0.0, at_s=1.0)
    bench.fuse_a = 10.0
    bench.accept(bench.decide(1.0).orders, 1.1)
    bench.fuse_a = 16.0
    assert reached(bench, worn, until_s=3600.0) == {10.0}
    assert reached(bench, worn, since_s=86_402.0, until_s=86_500.0) >= {16.0}


def test_what_a_car_draws_too_much_is_taken_from_the_others() -> None:
    """Two cars share 20 A; one draws 14 of its 10: the other is lowered at once, as if a household took the rest."""
    bench = Bench(charger(1), charger(2), fuse_a=20.0)
    bench.settle()
    keys = [UUID(int=101), UUID(int=102)]
    for number, key in enumerate(keys, start=1):
        bench.chargers[key] = charging(charger(number), session=number, draw=0.0, at_s=1.0)
    bench.accept(bench.decide(1.0).orders, 1.1)
    for number, key in enumerate(keys, start=1):
        bench.chargers[key] = charging(charger(number), session=number, draw=10.0, at_s=10.0)
    assert offered(bench.decide(10.0)) == {}
    bench.chargers[keys[0]] = charging(charger(1), session=1, draw=14.0, at_s=20.0)
    assert offered(bench.decide(20.0)) == {1: 8.0, 2: 8.0}


def test_a_charger_that_was_stopped_rests() -> None:
    """One that goes on drawing too much is paused, and gets nothing for a quarter of an hour."""
    bench = Bench(charger(1))
    bench.settle()
    key = UUID(int=101)
    stopped_s, offers = None, []
    for at_s in range(1, 1000):
        stage = bench.controller.stage(key)
        assert stage is not None
        assert stage.latest is not None
        too_much = stage.latest.current + 4.0 if stage.latest.current else 0.0
        bench.chargers[key] = charging(charger(1), session=1, draw=too_much, at_s=float(at_s))
        decision = bench.decide(float(at_s))
        bench.accept(decision.orders, at_s + 0.1)
        if any(order.is_alert for order in decision.orders) and stopped_s is None:
            stopped_s = at_s
        offers += [at_s for current in offered(decision).values() if current > 0]
    assert stopped_s == 64
    assert min(at_s for at_s in offers if at_s > stopped_s) == 964


def test_what_one_car_leaves_goes_to_the_other() -> None:
    """Two cars share 24 A, and one takes 7 A of its 12: the other has 15.5 A two minutes later."""
    bench = Bench(charger(1), charger(2), fuse_a=24.0)
    bench.settle()
    keys = [UUID(int=101), UUID(int=102)]
    for at_s in range(1, 200, 5):
        for number, (key, most_a) in enumerate(zip(keys, (7.0, 32.0), strict=True), start=1):
            stage = bench.controller.stage(key)
            assert stage is not None
            assert stage.latest is not None
            bench.chargers[key] = charging(
                charger(number), session=number, draw=min(most_a, stage.latest.current), at_s=float(at_s)
            )
        bench.accept(bench.decide(float(at_s)).orders, at_s + 0.1)
    stages = [bench.controller.stage(key) for key in keys]
    assert [stage.latest.current for stage in stages if stage and stage.latest] == [8.5, 15.5]


def test_a_car_that_is_done_gives_its_place_away_and_is_asked_again() -> None:
    """It says that it charges, and draws nothing: after a few minutes the other has its place, for half an hour."""
    bench = Bench(charger(1), charger(2), fuse_a=8.0)
    bench.settle()
    keys = [UUID(int=101), UUID(int=102)]
    served: dict[int, list[int]] = {1: [], 2: []}
    for at_s in range(1, 4000, 5):
        for number, key in enumerate(keys, start=1):
            stage = bench.controller.stage(key)
            assert stage is not None
            assert stage.latest is not None
            current = stage.latest.current
            facts = charging(charger(number), session=number, draw=0.0 if number == 1 else current, at_s=float(at_s))
            bench.chargers[key] = replace(facts, mode=OperatingMode.CHARGING) if current else facts
            if current:
                served[number].append(at_s)
        bench.accept(bench.decide(float(at_s)).orders, at_s + 0.1)
    assert max(at_s for at_s in served[1] if at_s < 1000) < 400
    assert min(served[2]) < 400
    assert [at_s for at_s in served[1] if 400 < at_s < 2000] == []
    assert [at_s for at_s in served[1] if at_s > 2000] != []


def lines_told(decision: Decision) -> list[tuple[float, int | None, int | None]]:
    """Current, phases and terminal in each session's offer that goes out now."""
    steps = [order.command.steps[0] for order in decision.orders if order.command.transaction_id is not None]
    return [(step.current_a, step.phases, step.phase_to_use) for step in steps]


@pytest.mark.parametrize(("names_terminals", "terminal"), [(False, None), (True, 3)])
def test_a_car_is_switched_without_current(names_terminals: bool, terminal: int | None) -> None:
    """Off, seen to be off, told of its one phase, rested, and only then offered current there."""
    facts = replace(
        charger(1),
        can_switch_phases=True,
        capabilities=Capabilities(takes_phase_to_use=names_terminals, phase_switch_pause_s=20),
        phase_rotation=PhaseRotation.STR if names_terminals else PhaseRotation.RST,
    )
    bench = Bench(facts, fuse_a=10.0, switch_below_a=6.0)
    bench.settle()
    said: list[tuple[int, float, int | None, int | None]] = []
    for at_s in range(1, 300):
        if at_s == 150:
            bench.fuse = PhaseAmps(10.0, 4.0, 4.0)
        stage = bench.controller.stage(facts.id)
        assert stage is not None
        assert stage.latest is not None
        car = charging(facts, session=1, draw=0.0, at_s=float(at_s))
        bench.chargers[facts.id] = replace(car, measured=stage.latest.vector)
        decision = bench.decide(float(at_s))
        said += [(at_s, *one) for one in lines_told(decision)]
        bench.accept(decision.orders, at_s + 0.1)
    assert said == [
        (1, 10.0, 3, None),
        (150, 0.0, 3, None),
        (161, 0.0, 1, terminal),
        (182, 10.0, 1, terminal),
    ]


def test_a_charger_that_kept_its_phases_is_counted_on_all() -> None:
    """It was told one phase, and current flows on others: that is reserved at once, and it is not switched again."""
    facts = replace(charger(1), can_switch_phases=True)
    bench = Bench(facts, fuse_a=10.0, switch_below_a=6.0)
    bench.settle()
    for at_s in range(1, 300):
        bench.fuse = PhaseAmps.even(10.0) if at_s < 150 else PhaseAmps(10.0, 4.0, 4.0)
        stage = bench.controller.stage(facts.id)
        assert stage is not None
        assert stage.latest is not None
        bench.chargers[facts.id] = charging(facts, session=1, draw=stage.latest.current, at_s=float(at_s))
        decision = bench.decide(float(at_s))
        bench.accept(decision.orders, at_s + 0.1)
    assert bench.reserved(1, 300.0) == 0.0
    assert decision.allocation.by_charger()[str(facts.id)].current == 0.0


def test_phases_are_left_alone_where_the_site_keeps_them() -> None:
    """A charger that could switch is told nothing of phases where no switch current is set."""
    facts = replace(charger(1), can_switch_phases=True)
    bench = Bench(facts, fuse_a=10.0)
    bench.settle()
    bench.chargers[facts.id] = charging(facts, session=1, draw=0.0, at_s=1.0)
    assert lines_told(bench.decide(1.0)) == [(10.0, None, None)]


def test_a_process_that_takes_over_knows_on_which_line_a_car_is() -> None:
    """The last offer of its session was one on L1: what is offered next is, too."""
    facts = replace(charger(1), can_switch_phases=True, last_offer_phases="L1")
    car = charging(facts, session=1, draw=0.0, at_s=0.0)
    bench = Bench(replace(car, measured=(8.0, 0.0, 0.0)), fuse_a=40.0, switch_below_a=6.0)
    assert lines_told(bench.decide(0.0)) == [(32.0, 1, None)]


def test_a_car_comes_back_to_three_phases_where_switching_was_ended() -> None:
    """No offer says more phases than before while current flows, though the site keeps phases from now on."""
    facts = replace(charger(1), can_switch_phases=True, last_offer_phases="L1")
    bench = Bench(charging(facts, session=1, draw=0.0, at_s=0.0), fuse_a=40.0)
    said = []
    for at_s in range(900):
        stage = bench.controller.stage(facts.id)
        draw = stage.latest.vector if stage is not None and stage.latest is not None else (8.0, 0.0, 0.0)
        bench.chargers[facts.id] = replace(charging(facts, session=1, draw=1.0, at_s=float(at_s)), measured=draw)
        decision = bench.decide(float(at_s))
        said += lines_told(decision)
        bench.accept(decision.orders, at_s + 0.1)
    phases = [phases for _, phases, _ in said]
    turned = phases.index(3)
    assert set(phases[:turned]) == {1}
    assert said[turned - 1][0] == said[turned][0] == 0.0
    assert (32.0, 3, None) in said[turned:]
    assert 1 not in phases[turned:]


def test_an_unknown_car_without_neutral_is_offered_less() -> None:
    """The fuse has 30 A, and one line may carry √3 of the offer; once the car is known to take three lines evenly it gets it all."""
    bench = Bench(charger(1), fuse_a=30.0)
    bench.network = NetworkType.IT_3_PHASE
    bench.settle()
    key, currents = UUID(int=101), []
    for at_s in range(1, 80, 5):
        stage = bench.controller.stage(key)
        assert stage is not None
        assert stage.latest is not None
        bench.chargers[key] = charging(charger(1), session=1, draw=stage.latest.current, at_s=float(at_s))
        decision = bench.decide(float(at_s))
        currents += list(offered(decision).values())
        bench.accept(decision.orders, at_s + 0.1)
    assert currents == [17.3, 30.0]


def test_an_unknown_car_without_neutral_is_held_to_a_pair_where_that_can_be() -> None:
    """A charger that switches feeds it from its first two terminals, and never from three."""
    facts = replace(charger(1), can_switch_phases=True)
    bench = Bench(facts, fuse_a=30.0, switch_below_a=6.0)
    bench.network = NetworkType.IT_3_PHASE
    bench.settle()
    told = set()
    for at_s in range(1, 1500, 5):
        stage = bench.controller.stage(facts.id)
        assert stage is not None
        assert stage.latest is not None
        car = charging(facts, session=1, draw=stage.latest.current, at_s=float(at_s))
        bench.chargers[facts.id] = replace(car, measured=stage.latest.vector)
        decision = bench.decide(float(at_s))
        told |= set(lines_told(decision))
        bench.accept(decision.orders, at_s + 0.1)
    assert told == {(30.0, 1, None)}


def test_what_an_idle_charger_may_do_alone_is_not_given_to_others() -> None:
    """It follows no schedule: its fallback of 6 A is taken off the fuse of 16 A before the other car gets any."""
    alone = replace(charger(1), offline_current_a=6.0, capabilities=Capabilities(keeps_schedules=False))
    bench = Bench(alone, charger(2), fuse_a=16.0)
    bench.settle()
    bench.chargers[UUID(int=102)] = charging(charger(2), session=2, draw=0.0, at_s=1.0)
    assert offered(bench.decide(1.0)) == {2: 10.0}
