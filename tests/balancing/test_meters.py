"""Tests of a site with meters: readings, cars and seconds in, offers out; and a small world in which the reading follows the offers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import pytest

from balancing.circuit import Vector
from balancing.controller import Decision, SiteController
from balancing.explanation import records
from balancing.failsafe import MeterState
from balancing.meters import Highest, SiteMeters, together
from balancing.site import capacity_of, limits_of
from domain.current.offers import ChargerFacts, CircuitFacts, MeterFacts, SiteFacts
from domain.observations import ConnectorStatus
from domain.roles import BindingLimit, NetworkType, OperatingMode
from domain.units import PhaseAmps
from tests.balancing.test_controller import NOON, ROOT, SITE, charger, charging, offered

BRANCH = UUID(int=3)
FUSE_A = 63.0
HELD = {charger(1).id: (32.0, 32.0, 32.0)}
NOTHING_HELD: Mapping[UUID, Vector] = {}


def even(amps: float) -> PhaseAmps:
    return PhaseAmps.even(amps)


@dataclass
class Yard:
    """A controller with a site whose main breaker is metered, moved by hand."""

    chargers: list[ChargerFacts] = field(default_factory=list)
    available: PhaseAmps | None = None
    safe_a: float = 0.0
    fuse_a: float = FUSE_A
    history: str | None = None
    controller: SiteController = field(default_factory=SiteController)
    meter: MeterFacts | None = None
    meters: SiteMeters = field(default_factory=SiteMeters)

    def read(self, amps: float | PhaseAmps, at_s: float) -> None:
        """The meter tells that much, of that second."""
        reading = amps if isinstance(amps, PhaseAmps) else even(amps)
        self.meter = MeterFacts(reading, NOON + timedelta(seconds=at_s), self.history)

    def facts(self) -> SiteFacts:
        root = CircuitFacts(ROOT, None, "Main", even(self.fuse_a), even(0.0), even(self.safe_a), self.meter)
        return SiteFacts(
            installation_id=SITE,
            name="Garage",
            network_type=NetworkType.TN_3_PHASE,
            available=self.available,
            three_to_one_switch_a=None,
            circuits=(root,),
            chargers=tuple(self.chargers),
        )

    def decide(self, at_s: float) -> Decision:
        return self.controller.decide(self.facts(), now=NOON + timedelta(seconds=at_s), now_s=at_s)

    def other(self, at_s: float) -> float:
        """Ampere on L1 that the chargers may not have."""
        root = self.decide(at_s).instance.circuits[0]
        return root.other_load[0]

    def room(self, at_s: float) -> float:
        """Ampere on L1 that is left to the chargers."""
        root = self.decide(at_s).instance.circuits[0]
        return max(0.0, root.fuse[0] - root.other_load[0])

    def accept(self, at_s: float) -> dict[int, float]:
        """Every order is accepted; what the sessions are offered."""
        decision = self.decide(at_s)
        for order in decision.orders:
            self.controller.answered(order, is_accepted=True, is_refused=False, now_s=at_s + 0.1)
        return offered(decision)

    def load(self, at_s: float, held: Mapping[UUID, Vector] = NOTHING_HELD) -> float:
        """Ampere on L1 that count as other load now, before the filter."""
        now = NOON + timedelta(seconds=at_s)
        load = self.meters.look(self.facts(), held, limits_of(self.facts()), now=now, now_s=at_s)[ROOT].other_load
        assert load is not None
        return load[0]

    def draws(self, amps: float, at_s: float) -> None:
        """The one car measures that."""
        self.chargers = [charging(charger(1), session=1, draw=amps, at_s=at_s)]


def test_the_highest_of_a_window_is_that_of_each_line() -> None:
    """To the second; a window in which nothing was seen has none."""
    highest = Highest(60.0)
    assert highest.at(0.0) is None
    for at_s, values in ((0.0, (9.0, 1.0, 0.0)), (30.0, (5.0, 2.0, 0.0)), (40.0, (6.0, 1.0, 0.0))):
        highest.add(at_s, values)
    found = [highest.at(now_s) for now_s in (60.0, 60.1, 90.1, 100.1)]
    assert found == [(9.0, 2.0, 0.0), (6.0, 2.0, 0.0), (6.0, 1.0, 0.0), None]


def test_what_is_measured_is_subtracted_from_what_the_meter_reads() -> None:
    """Not before it was drawn for the 10 s by which a reading may lag, and never an offer."""
    yard, found = Yard(), []
    for at_s in (0.0, 10.0, 20.0):
        yard.draws(16.0, at_s)
        yard.read(40.0, at_s)
        found.append(yard.load(at_s))
    assert found == [40.0, 24.0, 24.0]


def test_the_lowest_draw_since_the_reading_counts() -> None:
    """A car that draws less in the meantime may have drawn as little when the meter was read."""
    yard = Yard()
    for at_s, draw in ((0.0, 16.0), (10.0, 10.0), (20.0, 16.0)):
        yard.draws(draw, at_s)
        yard.read(40.0, at_s)
        yard.load(at_s)
    yard.read(40.0, 29.0)
    assert yard.load(29.0) == 30.0  # 10 s before the reading 10 A were drawn
    yard.read(40.0, 30.0)
    assert yard.load(30.0) == 24.0
    yard.draws(7.0, 31.0)
    assert yard.load(31.0) == 33.0


@pytest.mark.parametrize(
    "silent",
    [
        replace(charging(charger(1), session=1, draw=16.0, at_s=-61.0), connected_at=NOON),
        replace(charging(charger(1), session=1, draw=16.0, at_s=0.0), mode=OperatingMode.FINISHED),
        replace(charging(charger(1), session=1, draw=16.0, at_s=0.0), session=None),
        replace(charging(charger(1), session=1, draw=16.0, at_s=0.0), measured=(None, None, None)),
    ],
    ids=["long ago", "finished", "no session", "does not measure"],
)
def test_what_is_not_measured_is_not_subtracted(silent: ChargerFacts) -> None:
    """What a charger may draw, or has drawn, says nothing about what it draws."""
    yard, found = Yard([silent]), []
    for at_s in (0.0, 5.0, 15.0, 20.0):
        yard.read(40.0, at_s)
        found.append(yard.load(at_s))
    assert found == [40.0] * 4


def test_export_is_no_room() -> None:
    """What flows out of the building counts as nothing that flows."""
    yard = Yard()
    yard.read(PhaseAmps(-20.0, 5.0, 0.0), 0.0)
    assert yard.decide(0.0).instance.circuits[0].other_load == (0.0, 5.0, 0.0)


def test_a_lull_gives_no_room_for_a_minute_and_a_rise_takes_it_at_once() -> None:
    """The filter never asks for less than the highest of 60 s, except for what is held already."""
    yard = Yard()
    for at_s, reading in ((0.0, 50.0), (5.0, 20.0), (60.0, 20.0)):
        yard.read(reading, at_s)
        assert yard.room(at_s) == 13.0
    yard.read(20.0, 61.0)
    assert yard.room(61.0) == 43.0
    yard.read(55.0, 62.0)
    assert yard.room(62.0) == 8.0


def test_a_stale_meter_counts_the_worst_of_fifteen_minutes_and_a_lost_one_its_safe_current() -> None:
    """After 15 s or three periods, and after 60 s; back again, nothing is raised for 30 s."""
    yard = Yard(safe_a=6.0)
    yard.read(50.0, 0.0)
    yard.decide(0.0)
    for at_s in (600.0, 605.0, 610.0):
        yard.read(20.0, at_s)
        yard.decide(at_s)
    assert yard.room(625.0) == 43.0
    assert yard.room(625.1) == 13.0
    assert yard.controller.meter_states == {str(ROOT): MeterState.STALE}
    assert yard.room(670.1) == 6.0
    assert yard.controller.meter_states == {str(ROOT): MeterState.LOST}
    yard.read(20.0, 700.0)
    assert yard.room(700.0) == 0.0
    yard.read(20.0, 729.0)
    assert (yard.room(729.9), yard.room(730.0)) == (0.0, 43.0)
    assert yard.controller.meter_states == {str(ROOT): MeterState.FRESH}


def test_a_slow_meter_has_a_longer_patience() -> None:
    """Three of the periods that were observed; a reading that was missed makes no meter slower."""
    yard = Yard()
    for at_s in (0.0, 10.0, 30.0, 40.0):
        yard.read(20.0, at_s)
        yard.decide(at_s)
    yard.decide(70.0)
    assert yard.controller.meter_states == {str(ROOT): MeterState.FRESH}
    yard.decide(70.1)
    assert yard.controller.meter_states == {str(ROOT): MeterState.STALE}


def test_a_reading_from_the_future_is_none() -> None:
    """The clock was set back since: nobody knows how old it is."""
    yard = Yard(safe_a=7.0)
    yard.read(20.0, 5.1)
    assert yard.room(0.0) == 7.0
    assert yard.controller.meter_states == {str(ROOT): MeterState.LOST}


def test_whole_amperes_are_rounded_up() -> None:
    """A meter that never tells less than an ampere has cut the rest off: the next one counts."""
    yard = Yard()
    for number in range(11):
        yard.read(20.0 + number % 2, 100.0 * number)
        yard.decide(100.0 * number)
    yard.read(20.0, 1100.0)
    assert yard.other(1100.0) == 21.0
    yard.read(20.5, 1200.0)
    assert yard.other(1200.0) == 20.5


def test_who_takes_over_counts_on_no_less_load() -> None:
    """The next process knows the highest of the last minute and of the last 15 from what was written down; garbage is no knowledge."""
    first = Yard()
    for at_s, reading in ((0.0, 60.0), (125.0, 50.0), (130.0, 20.0)):
        first.read(reading, at_s)
        first.decide(at_s)
    (history,) = first.controller.meter_news(now=NOON + timedelta(seconds=131), now_s=131.0).values()
    assert first.controller.meter_news(now=NOON + timedelta(seconds=132), now_s=132.0) == {}
    second = Yard(history=history)
    second.read(20.0, 130.0)
    assert second.room(131.0) == first.room(131.0) == 13.0
    assert second.room(147.0) == first.room(147.0) == 3.0
    for nothing in (None, "", "{}", "[1]"):
        other = Yard(history=nothing)
        other.read(20.0, 130.0)
        assert other.room(131.0) == 43.0


def test_what_is_written_down_of_a_meter_is_short() -> None:
    """However often it is read: of each few seconds the highest, and never less than was seen."""
    first = Yard()
    for second in range(900):
        first.read(60.0 - second / 20, float(second))
        first.decide(float(second))
    (history,) = first.controller.meter_news(now=NOON + timedelta(seconds=899), now_s=899.0).values()
    assert len(history) < 25_000
    another = Yard(history=history)
    another.read(15.05, 899.0)
    assert another.room(899.0) <= first.room(899.0)
    assert another.room(899.0) == pytest.approx(first.room(899.0), abs=0.3)


def test_a_meter_that_was_last_read_long_ago_leaves_the_safe_current_after_a_start() -> None:
    """It was never seen since, as far as this process knows."""
    yard = Yard(safe_a=9.0)
    yard.read(20.0, -61.0)
    assert yard.room(0.0) == 9.0


@pytest.mark.parametrize(
    ("reading", "counted"),
    [
        (26.0, 10.0),
        (42.0, 10.0),
        (44.0, 12.0),  # 2 A more than the car may draw
        (63.5, 32.0),  # also half an ampere more than the fuse carries
        (64.5, 64.5),  # an overload
    ],
)
def test_a_rise_that_the_cars_may_be_lowers_nobody_for_a_while(reading: float, counted: float) -> None:
    """They will have it in their own measurements. What they cannot be is other load at once, all of it where the fuse is overloaded."""
    yard = begun_at(0.0)
    yard.read(reading, 10.0)
    assert yard.load(10.0, HELD) == counted


def begun_at(at_s: float) -> Yard:
    """A car draws since then, as much as 32 A; beside it are 10 A. The charger has not measured it yet."""
    yard = Yard([charging(charger(1), session=1, draw=0.0, at_s=at_s)])
    yard.read(10.0, at_s)
    assert yard.load(at_s) == 10.0
    yard.chargers = [replace(yard.chargers[0], mode=OperatingMode.CHARGING, connector_status=ConnectorStatus.CHARGING)]
    return yard


def test_a_car_rises_no_faster_than_cars_do() -> None:
    """Since its last measurement 6 A at once and 3 A a second; one whose charger says that its contactor is open does not."""
    yard = begun_at(0.0)
    yard.read(28.0, 4.0)
    assert yard.load(4.0, HELD) == 10.0
    yard.draws(10.0, 6.0)
    yard.read(48.0, 8.0)
    assert yard.load(8.0, HELD) == 48.0 - (10.0 + 6.0 + 2 * 3.0)
    yard = begun_at(0.0)
    yard.chargers = [replace(yard.chargers[0], connector_status=ConnectorStatus.PREPARING)]
    yard.read(40.0, 4.0)
    assert yard.load(4.0, HELD) == 40.0


def test_a_rise_that_stays_unexplained_is_other_load() -> None:
    """25 s after it was seen first; for the filter, which makes room for nobody, it was one from the start."""
    yard = begun_at(0.0)
    found = []
    for at_s in (5.0, 20.0, 30.0, 30.1):
        yard.read(26.0, at_s)
        found.append(yard.load(at_s, HELD))
    assert found == [10.0, 10.0, 10.0, 26.0]
    yard = Yard()
    yard.read(10.0, 0.0)
    yard.decide(0.0)
    yard.read(26.0, 5.0)
    assert yard.room(5.0) == FUSE_A - 26.0


def test_the_available_current_limits_the_whole_site_where_it_is_metered() -> None:
    """Cars and all else share it; where the main breaker has no meter it limits charging alone."""
    yard = Yard(available=even(40.0))
    yard.read(15.0, 0.0)
    assert yard.room(0.0) == 25.0
    root = CircuitFacts(ROOT, None, "Main", even(FUSE_A), even(5.0))
    branch = CircuitFacts(BRANCH, ROOT, "Row A", even(32.0), even(2.0))
    unmetered = replace(yard.facts(), circuits=(root, branch))
    found = capacity_of(unmetered)
    assert [found[str(key)].available[0] for key in (ROOT, BRANCH)] == [40.0, 30.0]


def test_a_meter_on_a_branch_counts_at_an_unmetered_root_too() -> None:
    """What flows into the branch beside its cars flows through the main breaker."""
    yard = Yard()
    branch = CircuitFacts(BRANCH, ROOT, "Row A", even(32.0), even(0.0), even(0.0), MeterFacts(even(12.0), NOON))
    root = CircuitFacts(ROOT, None, "Main", even(FUSE_A), even(5.0))
    facts = replace(yard.facts(), circuits=(root, branch))
    decision = yard.controller.decide(facts, now=NOON, now_s=0.0)
    assert [circuit.other_load[0] for circuit in decision.instance.circuits] == [17.0, 12.0]


def test_a_charger_is_told_that_the_meter_is_missing() -> None:
    """Where the circuit that binds it has a stale or lost meter."""
    yard = Yard(safe_a=10.0)
    yard.read(20.0, -61.0)
    yard.draws(0.0, 0.0)
    decision = yard.decide(0.0)
    (record,) = records(yard.facts(), decision.allocation, yard.controller, now=NOON, now_s=0.0)
    assert (record.limit, record.reason) == (
        BindingLimit.METER_STALE,
        "Limited because the meter's readings are missing.",
    )


@pytest.mark.parametrize(
    ("is_scheduled", "limit"), [(True, BindingLimit.SCHEDULE), (False, BindingLimit.AVAILABLE_CURRENT)]
)
def test_a_charger_is_told_what_sets_the_available_current(is_scheduled: bool, limit: BindingLimit) -> None:
    """A schedule, or a person."""
    yard = Yard(available=even(10.0))
    yard.draws(0.0, 0.0)
    facts = replace(yard.facts(), is_scheduled=is_scheduled)
    decision = yard.controller.decide(facts, now=NOON, now_s=0.0)
    (record,) = records(facts, decision.allocation, yard.controller, now=NOON, now_s=0.0)
    assert record.limit is limit


@dataclass
class World:
    """Cars that follow their offers after 5 s, ramp up by 2 A/s and are measured every 10 s; a meter that is read every 5 s."""

    house: Callable[[int], float]
    count: int = 4
    car_a: float = 16.0
    yard: Yard = field(default_factory=Yard)
    total: list[float] = field(default_factory=list)
    said: list[tuple[int, int, float]] = field(default_factory=list)

    def run(self, seconds: int, *, begins: Callable[[int], int], silence: range = range(0)) -> None:
        draw: dict[int, float] = dict.fromkeys(range(self.count), 0.0)
        offer = dict(draw)
        self.yard.chargers = [charger(number) for number in range(self.count)]
        for now_s in range(seconds):
            offer.update({number: current for at_s, number, current in self.said if at_s + 5 == now_s})
            for number in range(self.count):
                draw[number] = self._follows(draw[number], offer[number])
                self._tell(number, draw[number], now_s, begins=begins(number))
            self.total.append(self.house(now_s) + sum(draw.values()))
            if now_s % 5 == 0 and now_s not in silence:
                self.yard.read(self.total[-1], now_s)
            for order in self.yard.decide(now_s).orders:
                self.yard.controller.answered(order, is_accepted=True, is_refused=False, now_s=now_s + 0.1)
                if order.command.transaction_id is not None:
                    self.said.append((now_s, order.charger_id.int - 100, order.command.steps[0].current_a))

    def _follows(self, draw: float, offer: float) -> float:
        wanted = min(offer, self.car_a) if offer >= 6.0 else 0.0
        return min(wanted, max(draw, 6.0) + 2.0)

    def _tell(self, number: int, draw: float, now_s: int, *, begins: int) -> None:
        facts = self.yard.chargers[number]
        if now_s == begins:
            facts = replace(charging(facts, session=1000 + number, draw=0.0, at_s=now_s), measured_at=None)
        elif now_s > begins and (now_s + 3 * number) % 10 == 0:
            at = NOON + timedelta(seconds=now_s)
            facts = replace(facts, measured=(draw, draw, draw), measured_at=at)
        if now_s >= begins:
            is_drawing = draw > 0
            facts = replace(
                facts,
                mode=OperatingMode.CHARGING if is_drawing else OperatingMode.AWAITING_CURRENT,
                connector_status=ConnectorStatus.CHARGING if is_drawing else ConnectorStatus.SUSPENDED_EVSE,
            )
        self.yard.chargers[number] = facts

    @property
    def seconds_over(self) -> int:
        return sum(total > FUSE_A + 1e-6 for total in self.total)


def test_cars_share_what_the_house_leaves() -> None:
    """The reading follows the offers, and nobody is lowered for what cars draw: four cars fill the fuse, and never pass it."""
    world = World(house=lambda _: 10.0)
    world.run(300, begins=lambda _: 20)
    assert world.seconds_over == 0
    assert world.total[-1] == pytest.approx(62.8)
    assert {current for _, _, current in world.said} == {13.2}


def test_cars_that_come_one_by_one_are_served() -> None:
    """Each gets its part of what is left, without a second above the fuse."""
    world = World(house=lambda _: 10.0)
    world.run(400, begins=lambda number: 20 + 30 * number)
    assert world.seconds_over == 0
    assert world.total[-1] == pytest.approx(62.8)


def test_a_jump_of_other_load_is_answered_at_once() -> None:
    """The offers go down with the very reading, to what is left; the total is below the fuse as soon as the cars have followed."""
    world = World(house=lambda now_s: 45.0 if now_s >= 200 else 10.0)
    world.run(400, begins=lambda _: 20)
    lowered = sorted(current for now_s, _, current in world.said if now_s == 200)
    assert lowered == [0.0, 6.0, 6.0, 6.0]
    assert [now_s for now_s, total in enumerate(world.total) if total > FUSE_A + 1e-6] == [200, 201, 202, 203, 204]


def test_a_meter_that_falls_silent_lowers_the_cars_within_a_minute() -> None:
    """To the safe current, and when it is back they rise again after the wait."""
    world = World(house=lambda _: 10.0, yard=Yard(safe_a=24.0))
    world.run(500, begins=lambda _: 20, silence=range(201, 320))
    assert world.total[270] == pytest.approx(10.0 + 4 * 6.0)
    assert world.total[349] == pytest.approx(10.0 + 4 * 6.0)
    assert world.total[-1] == pytest.approx(62.8)
    assert world.seconds_over == 0


def test_cars_without_neutral_are_less_to_a_meter_than_their_sum() -> None:
    """A three-phase car and one between L3 and L1, 10 A each: these lines carry 19.3 A; a draw on one line alone cannot be there."""
    draws = [(10.0, 10.0, 10.0), (10.0, 0.0, 10.0), (5.0, 0.0, 0.0)]
    assert together(draws, is_it=True) == pytest.approx((19.3185, 10.0, 19.3185), abs=1e-4)
    assert together(draws, is_it=False) == (25.0, 10.0, 20.0)
    assert together([], is_it=True) == (0.0, 0.0, 0.0)
