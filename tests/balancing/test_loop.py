"""Tests of the balancer at work: a real database and a real bus, chargers that answer when the test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from app.redis_bus import RedisBus
from balancing.controller import SiteController
from balancing.failsafe import MeterState
from balancing.health import BalancerFigures
from balancing.loop import LEASE_S, Balancer, BalancerPorts, SiteLoop
from domain import leases
from domain.charging.session_rules import Hearing
from domain.current import offers
from domain.equipment.capabilities import ChargerModels
from domain.equipment.meters import report_meter
from domain.errors import UnavailableError
from domain.models import Alert, BalancingDecision, Charger, Circuit, Offer
from domain.observations import ConnectorStatus
from domain.ports import DeviceAnswer, DeviceCommand, DeviceVerdict, EventBus, Grip, OfferCurrent
from domain.roles import AlertKind, Scope
from domain.units import PhaseAmps
from tests.domain.rig import Rig, reading
from tests.factories import NOW, Program, Site, a_charger, a_program, a_site, arrived

pytestmark = pytest.mark.usefixtures("database")

LIMIT_S = 10.0
ACCEPTED = DeviceAnswer(DeviceVerdict.ACCEPTED)


class Clock:
    """Moved by hand, and a little by everybody who sleeps, which nobody does for long."""

    def __init__(self) -> None:
        self._now = NOW

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    async def sleep(self, seconds: float) -> None:
        nap_s = min(seconds, 0.01)
        await asyncio.sleep(nap_s)
        self.advance(nap_s)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@dataclass
class Chargers:
    """ChargerCommands that accept at once, but for held chargers, which answer when they are released."""

    said: list[tuple[str, UUID, OfferCurrent]] = field(default_factory=list)
    stored: list[tuple[float | None, datetime | None]] = field(default_factory=list)
    arrivals: "asyncio.Queue[tuple[UUID, OfferCurrent]]" = field(default_factory=asyncio.Queue)
    held: dict[UUID, asyncio.Event] = field(default_factory=dict)

    async def send(self, charger_id: UUID, command: DeviceCommand, *, timeout_s: float) -> DeviceAnswer:
        assert isinstance(command, OfferCurrent)
        self.said.append(("sent", charger_id, command))
        row = await Offer.get(charger_id=charger_id)
        self.stored.append((row.target_a, row.targeted_at))
        self.arrivals.put_nowait((charger_id, command))
        if charger_id in self.held:
            await self.held[charger_id].wait()
        self.said.append(("answered", charger_id, command))
        return ACCEPTED

    async def next_offer(self, charger_id: UUID) -> float:
        """The current in the next offer for a session of that charger."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                found, command = await self.arrivals.get()
                if found == charger_id and command.transaction_id is not None:
                    return command.steps[0].current_a

    async def next_defaults(self, *charger_ids: UUID) -> None:
        """Returns when each of those chargers was sent a default, in whatever order."""
        missing = set(charger_ids)
        async with asyncio.timeout(LIMIT_S):
            while missing:
                found, command = await self.arrivals.get()
                if command.transaction_id is None:
                    missing.discard(found)

    def offers_to(self, charger_id: UUID) -> list[float]:
        """Currents that were sent to that charger for sessions."""
        return [
            command.steps[0].current_a
            for what, found, command in self.said
            if (what, found) == ("sent", charger_id) and command.transaction_id is not None
        ]


async def _show(_charger_id: UUID, _current_a: float, _phases: str) -> None:
    """Nobody watches."""


@dataclass
class Garage:
    """A site with connected chargers, and one task that balances it, looked at by hand."""

    site: Site
    rigs: list[Rig]
    clock: Clock
    chargers: Chargers
    loop: SiteLoop
    grip: Grip

    async def look(self) -> bool:
        """One tick; what it sends has been sent when this returns, as far as nothing holds it up."""
        self.clock.advance(1.0)
        is_on = await self.loop.tick(self.grip, "test")
        await self.rest()
        return is_on

    async def rest(self) -> None:
        """Everybody else has had a turn."""
        for _ in range(15):
            # A command reads a row before it is answered: as many round trips as that may take, and turns between.
            for _ in range(20):
                await asyncio.sleep(0)
            await Offer.all().count()

    async def plug_in(self, number: int) -> UUID:
        """A car begins a session there; the charger."""
        rig = self.rigs[number]
        await rig.status(ConnectorStatus.PREPARING, self.clock.now())
        await rig.start(self.clock.now(), card=None)
        return rig.charger_id

    async def measure(self, number: int, draw: float) -> None:
        """The charger says what its car draws on every line."""
        now = self.clock.now()
        await self.rigs[number].meter("1", reading(1000, now, currents=(draw, draw, draw)), received=now)


def ports(chargers: Chargers, bus: EventBus, clock: Clock) -> BalancerPorts:
    return BalancerPorts(commands=chargers, bus=bus, clock=clock, show=_show)


async def connected_rig(site: Site, name: str) -> Rig:
    """A charger that is here with nothing plugged in."""
    charger_id = await a_charger(site, name)
    charger = await Charger.get(id=charger_id)
    assert charger.station_id is not None
    made = await arrived(charger.station_id, process="p1", protocol="ocpp1.6", now=NOW)
    rig = Rig(site, charger_id, charger.station_id, charger_id, made.epoch, Hearing(NOW))
    await rig.status(ConnectorStatus.AVAILABLE, NOW)
    return rig


async def a_garage(bus: EventBus, *, count: int = 1, breaker_a: float = 16.0) -> Garage:
    """Every charger has acknowledged its default."""
    site = await a_site(breaker_a=breaker_a, authentication_required=False)
    rigs = [await connected_rig(site, f"Space {number}") for number in range(count)]
    clock, chargers = Clock(), Chargers()
    grip = await leases.take(offers.lease_of(site.id), "a", now=clock.now(), for_s=1e6)
    assert grip is not None
    garage = Garage(site, rigs, clock, chargers, SiteLoop(site.id, ports(chargers, bus, clock), holder="a"), grip)
    await garage.look()
    await chargers.next_defaults(*(rig.charger_id for rig in rigs))
    await garage.look()
    return garage


async def begun(rig: Rig, bus: EventBus) -> None:
    """A car begins a session at a charger that is known to hold nothing, and everybody who listens knows."""
    async with asyncio.timeout(LIMIT_S):
        while (await Offer.get(charger_id=rig.charger_id)).confirmed_a != 0.0:
            pass
    await rig.status(ConnectorStatus.PREPARING, NOW)
    await rig.start(NOW, card=None)
    await bus.publish(*rig.events)


@asynccontextmanager
async def running(balancer: Balancer) -> AsyncIterator["asyncio.Task[None]"]:
    """The balancer works; afterwards it has ended."""
    task = asyncio.create_task(balancer.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_one_balancer_at_a_time(bus: RedisBus) -> None:
    """The second says nothing while the first has the lease, and takes over as soon as it is given back."""
    site = await a_site(authentication_required=False)
    rig = await connected_rig(site, "Space 1")
    clock, first, second = Clock(), Chargers(), Chargers()
    async with running(Balancer(ports(first, bus, clock), holder="a")) as one:
        await first.next_defaults(rig.charger_id)
        async with running(Balancer(ports(second, bus, clock), holder="b")):
            await begun(rig, bus)
            assert await first.next_offer(rig.charger_id) == 32.0
            assert second.said == []
            one.cancel()
            await second.next_defaults(rig.charger_id)


async def test_reductions_are_acknowledged_before_increases_go_out(bus: RedisBus) -> None:
    """The second car waits until the first charger has answered, and was measured below its new offer."""
    garage = await a_garage(bus, count=2)
    first = await garage.plug_in(0)
    await garage.look()
    assert await garage.chargers.next_offer(first) == 16.0
    garage.clock.advance(5.0)
    await garage.measure(0, 16.0)
    await garage.look()
    garage.chargers.held[first] = asyncio.Event()
    second = await garage.plug_in(1)
    await garage.look()
    assert await garage.chargers.next_offer(first) == 8.0
    await garage.measure(0, 7.9)
    await garage.look()
    assert garage.chargers.offers_to(second) == []
    garage.chargers.held[first].set()
    await garage.rest()
    await garage.look()
    assert garage.chargers.offers_to(second) == []
    garage.clock.advance(5.0)
    await garage.measure(0, 7.9)
    await garage.look()
    assert garage.chargers.offers_to(second) == [8.0]


async def settled_garage(bus: EventBus) -> Garage:
    """Two cars share 16 A, each was measured at its half, and nothing is under way."""
    garage = await a_garage(bus, count=2)
    for number in range(2):
        await garage.plug_in(number)
    for _ in range(3):
        await garage.look()
        garage.clock.advance(5.0)
        for number in range(2):
            await garage.measure(number, 8.0)
    await garage.look()
    return garage


async def taken_over(garage: Garage, bus: EventBus) -> tuple[SiteLoop, Chargers, Grip]:
    """Another process balances the site by now, and has looked once."""
    chargers = Chargers()
    await leases.give_back(garage.grip, "a", now=garage.clock.now())
    garage.clock.advance(5.0)
    for number in range(2):
        await garage.measure(number, 8.0)
    grip = await leases.take(offers.lease_of(garage.site.id), "b", now=garage.clock.now(), for_s=1e6)
    assert grip is not None
    loop = SiteLoop(garage.site.id, ports(chargers, bus, garage.clock), holder="b")
    assert await loop.tick(grip, "test")
    await garage.rest()
    return loop, chargers, grip


async def test_a_takeover_goes_on_where_the_other_stopped(bus: RedisBus) -> None:
    """What was settled over the same connection is known to the second process: nobody is paused or held back, nobody's turn begins
    anew, and what one car leaves goes to the other.
    """
    garage = await settled_garage(bus)
    one, other = (rig.charger_id for rig in garage.rigs)
    before = {row.charger_id: row for row in await Offer.all()}
    loop, chargers, grip = await taken_over(garage, bus)
    assert {row.charger_id: (row.confirmed_a, row.settled_epoch) for row in await Offer.all()} == {
        one: (8.0, garage.rigs[0].epoch),
        other: (8.0, garage.rigs[1].epoch),
    }
    after = {row.charger_id: row for row in await Offer.all()}
    assert [after[key].charging_since for key in before] == [before[key].charging_since for key in before]
    await garage.rigs[0].stop("1", garage.clock.now(), meter=2000)
    await garage.rigs[0].status(ConnectorStatus.AVAILABLE, garage.clock.now())
    for _ in range(2):
        garage.clock.advance(1.0)
        await loop.tick(grip, "test")
        await garage.rest()
    assert chargers.offers_to(other)[-1:] == [16.0]


@pytest.mark.parametrize("trouble", ["an offer under way", "another connection", "another session"])
async def test_what_may_have_changed_is_not_known_after_a_takeover(bus: RedisBus, trouble: str) -> None:
    """Then the charger's maximum is reserved until it has said what it holds."""
    garage = await settled_garage(bus)
    rig = garage.rigs[0]
    if trouble == "an offer under way":
        garage.chargers.held[rig.charger_id] = asyncio.Event()
        garage.clock.advance(210.0)
        for _ in range(2):
            await garage.look()
    elif trouble == "another connection":
        await arrived(rig.station_id, process="p1", protocol="ocpp1.6", now=garage.clock.now())
        rig.epoch += 1
    else:
        await rig.stop("1", garage.clock.now(), meter=2000)
        await rig.start(garage.clock.now(), card=None)
    await taken_over(garage, bus)
    rows = {row.charger_id: row.confirmed_a for row in await Offer.all()}
    assert rows == {rig.charger_id: None, garage.rigs[1].charger_id: 8.0}


async def test_offers_are_stored_before_they_are_sent(bus: RedisBus) -> None:
    """At the moment when a charger gets an offer, the database knows it, with its instant."""
    garage = await a_garage(bus)
    await garage.plug_in(0)
    await garage.look()
    assert garage.chargers.stored[-1] == (16.0, garage.clock.now())


async def test_a_car_that_draws_too_much_is_an_alert(bus: RedisBus) -> None:
    """Twice measured 4 A above its 16 A, ten seconds apart: the owner is told, once."""
    garage = await a_garage(bus)
    await garage.plug_in(0)
    await garage.look()
    for _ in range(2):
        garage.clock.advance(10.0)
        await garage.measure(0, 20.0)
        await garage.look()
    for _ in range(2):
        await garage.look()
    [alert] = await Alert.filter(resolved_at=None)
    assert (alert.kind, alert.charger_id) == (AlertKind.OVERCURRENT, garage.rigs[0].charger_id)


async def test_a_decision_that_says_nothing_new_is_recorded_once(bus: RedisBus) -> None:
    """Looking again at a site where nothing happened leaves no trace."""
    garage = await a_garage(bus)
    before = await BalancingDecision.all().count()
    for _ in range(3):
        await garage.look()
    assert await BalancingDecision.all().count() == before
    await garage.plug_in(0)
    for _ in range(3):
        await garage.look()
    assert await BalancingDecision.all().count() == before + 1


async def test_nothing_is_sent_once_another_has_the_lease(bus: RedisBus) -> None:
    """A process that was paused for too long finds its number outdated: nothing is stored, nothing sent, its task ends."""
    garage = await a_garage(bus)
    charger_id = await garage.plug_in(0)
    later = garage.clock.now() + timedelta(seconds=2e6)
    assert await leases.take(offers.lease_of(garage.site.id), "b", now=later, for_s=LEASE_S) is not None
    stored = await Offer.get(charger_id=charger_id)
    assert not await garage.look()
    assert garage.chargers.offers_to(charger_id) == []
    assert (await Offer.get(charger_id=charger_id)).decided_at == stored.decided_at


async def test_what_waits_when_the_lease_runs_out_is_not_sent(bus: RedisBus) -> None:
    """An order that stands behind an unanswered one is dropped when its turn comes too late."""
    garage = await a_garage(bus)
    charger_id = await garage.plug_in(0)
    garage.chargers.held[charger_id] = asyncio.Event()
    await garage.look()
    assert await garage.chargers.next_offer(charger_id) == 16.0
    await Charger.filter(id=charger_id).update(is_enabled=False)
    await garage.look()
    garage.clock.advance(2e6)
    garage.chargers.held.pop(charger_id).set()
    await garage.rest()
    assert garage.chargers.offers_to(charger_id) == [16.0]


async def test_orders_to_one_charger_go_one_after_the_other(bus: RedisBus) -> None:
    """The second goes out when the first is answered, so that it cannot be overtaken on the way."""
    garage = await a_garage(bus)
    charger_id = await garage.plug_in(0)
    release = garage.chargers.held[charger_id] = asyncio.Event()
    await garage.look()
    await Charger.filter(id=charger_id).update(is_enabled=False)
    await garage.look()
    assert garage.chargers.offers_to(charger_id) == [16.0]
    release.set()
    assert [await garage.chargers.next_offer(charger_id) for _ in range(2)] == [16.0, 0.0]
    first, answered, second = [what for what, _, command in garage.chargers.said if command.transaction_id][:3]
    assert (first, answered, second) == ("sent", "answered", "sent")


async def test_orders_bear_the_number_of_the_lease(bus: RedisBus) -> None:
    """Whoever holds a charger's socket can tell an older balancer's order from a newer one's."""
    garage = await a_garage(bus)
    _, _, command = garage.chargers.said[0]
    assert (command.lease, command.fence) == (offers.lease_of(garage.site.id), garage.grip.fence)


async def test_one_site_that_crashes_leaves_the_others_alone(bus: RedisBus) -> None:
    """Its task begins anew and knows nothing; the other site's goes on."""
    sites = [await a_site(name, authentication_required=False) for name in ("One", "Two")]
    bad, good = [await connected_rig(site, "Space 1") for site in sites]
    crashes = [bad.charger_id]

    async def show(charger_id: UUID, _current_a: float, _phases: str) -> None:
        if charger_id in crashes:
            crashes.remove(charger_id)
            raise RuntimeError("nobody expected this")

    chargers = Chargers()
    balancer = Balancer(BalancerPorts(commands=chargers, bus=bus, clock=Clock(), show=show), holder="a")
    async with running(balancer):
        await chargers.next_defaults(bad.charger_id)
        await chargers.next_defaults(bad.charger_id)
        await begun(good, bus)
        assert await chargers.next_offer(good.charger_id) == 32.0
    assert crashes == []
    assert [what for what, found, _ in chargers.said if found == good.charger_id].count("sent") == 2


class LateBus:
    """A bus that is away when it is first listened to."""

    def __init__(self, bus: RedisBus) -> None:
        self._bus = bus
        self.listeners = 0
        self.publish = bus.publish
        self.send = bus.send

    @asynccontextmanager
    async def subscribe(self, channel: str, *, limit: int = 1024) -> AsyncIterator[AsyncIterator[bytes]]:
        self.listeners += 1
        if self.listeners == 1:
            raise UnavailableError("The message bus is away.")
        async with self._bus.subscribe(channel, limit=limit) as messages:
            yield messages


async def test_a_bus_that_was_away_is_listened_to_again(bus: RedisBus) -> None:
    """Balancing goes on without it, and is as quick as before when it is back."""
    site = await a_site(authentication_required=False)
    rig = await connected_rig(site, "Space 1")
    late, chargers = LateBus(bus), Chargers()
    async with running(Balancer(ports(chargers, late, Clock()), holder="a")):
        await chargers.next_defaults(rig.charger_id)
        async with asyncio.timeout(LIMIT_S):
            while late.listeners < 2:
                await Offer.all().count()
        await begun(rig, bus)
        assert await chargers.next_offer(rig.charger_id) == 32.0


@dataclass
class BuildingMeter:
    """The meter at the main breaker of a site, by a program of its own."""

    site: Site
    program: Program
    bus: EventBus

    async def tells(self, amps: float, at: datetime) -> None:
        """That much flows on every line."""
        access = await self.program.access(now=at)
        await report_meter(access, self.site.root_id, PhaseAmps.even(amps), measured_at=at, bus=self.bus)


async def a_meter(site: Site, bus: EventBus) -> BuildingMeter:
    """One that may report."""
    return BuildingMeter(site, await a_program(site, scopes=[Scope.SET_AVAILABLE_CURRENT]), bus)


async def test_a_reading_wakes_the_balancer(bus: RedisBus) -> None:
    """It is answered within a second, long before the site would have been looked at again."""
    site = await a_site(breaker_a=40.0, authentication_required=False)
    rig = await connected_rig(site, "Space 1")
    meter, chargers = await a_meter(site, bus), Chargers()
    await meter.tells(0.0, NOW)
    async with running(Balancer(ports(chargers, bus, Clock()), holder="a")):
        await chargers.next_defaults(rig.charger_id)
        await begun(rig, bus)
        assert await chargers.next_offer(rig.charger_id) == 32.0
        await meter.tells(30.0, NOW + timedelta(seconds=1))
        async with asyncio.timeout(1.0):
            assert await chargers.next_offer(rig.charger_id) == 10.0


async def test_a_reading_at_the_limit_lowers_every_charger_of_the_circuit(bus: RedisBus) -> None:
    """In one decision, and what was learnt of the meter is stored for whoever takes over, who counts on no less load."""
    garage = await a_garage(bus, count=2, breaker_a=40.0)
    meter = await a_meter(garage.site, bus)
    await meter.tells(0.0, garage.clock.now())
    await garage.look()
    charger_ids = [await garage.plug_in(number) for number in range(2)]
    await garage.look()
    assert [garage.chargers.offers_to(charger_id) for charger_id in charger_ids] == [[20.0], [20.0]]
    await meter.tells(28.0, garage.clock.now())
    await garage.look()
    assert [garage.chargers.offers_to(charger_id) for charger_id in charger_ids] == [[20.0, 6.0], [20.0, 6.0]]
    await meter.tells(0.0, garage.clock.now())
    await garage.look()
    facts = await offers.site(garage.site.id, now=garage.clock.now(), models=ChargerModels.load())
    assert facts is not None
    another = SiteController().decide(facts, now=garage.clock.now(), now_s=7.0)
    assert another.instance.circuits[0].other_load == (28.0, 28.0, 28.0)


async def test_what_was_learnt_of_a_meter_is_stored_by_the_holder_of_the_lease(bus: RedisBus) -> None:
    """Not by who held it before, nor for a meter that was taken away."""
    site = await a_site()
    await Circuit.filter(id=site.root_id).update(meter_l1=1.0, meter_l2=1.0, meter_l3=1.0, metered_at=NOW)
    for fence, until in ((1, NOW), (2, NOW + timedelta(seconds=1))):
        grip = await leases.take(offers.lease_of(site.id), f"{fence}", now=NOW, for_s=(until - NOW).total_seconds())
        assert grip is not None
    assert await offers.keep_meters(site.id, {site.root_id: "new"}, fence=2)
    assert not await offers.keep_meters(site.id, {site.root_id: "old"}, fence=1)
    assert (await Circuit.get(id=site.root_id)).meter_history == "new"
    await Circuit.filter(id=site.root_id).update(metered_at=None, meter_history=None)
    assert await offers.keep_meters(site.id, {site.root_id: "new"}, fence=2)
    assert (await Circuit.get(id=site.root_id)).meter_history is None


async def test_meters_and_overloads_are_told_when_they_begin_and_end(bus: RedisBus) -> None:
    """Each once, in the log and in the figures, however often the site is looked at."""
    garage = await a_garage(bus, breaker_a=40.0)
    meter = await a_meter(garage.site, bus)
    await meter.tells(41.5, garage.clock.now())
    with capture_logs() as said:
        for seconds in (0.0, 0.0, 20.0, 60.0, 0.0):
            garage.clock.advance(seconds)
            await garage.look()
        await meter.tells(10.0, garage.clock.now())
        await garage.look()
    circuit = {"installation": str(garage.site.id), "circuit": str(garage.site.root_id), "log_level": "warning"}
    assert [line for line in said if "circuit" in line] == [
        {**circuit, "event": "a circuit is overloaded", "excess_a": 1.5},
        {**circuit, "event": "a meter is not read", "state": "stale"},
        {**circuit, "event": "a meter is not read", "state": "lost"},
        {**circuit, "event": "a circuit is no longer overloaded"},
        {**circuit, "event": "a meter is read again", "state": "fresh"},
    ]


async def test_what_is_kept_free_for_chargers_that_nobody_has_heard_of_is_no_overload(bus: RedisBus) -> None:
    """They may be in no wall yet: the others get nothing, and nobody is told that too much current flows."""
    garage = await a_garage(bus, breaker_a=40.0)
    for number in (2, 3):
        await a_charger(garage.site, f"Space {number}")
    for _ in range(3):
        await garage.look()
        garage.clock.advance(30.0)
    assert garage.loop.health is not None
    assert garage.loop.health.overloads == {}
    assert await Alert.all().count() == 0
    decision = await BalancingDecision.all().order_by("-decided_at", "-id").first()
    assert decision is not None
    assert '"excess":24.0' in decision.allocation


async def test_circuits_that_are_amiss_for_a_while_have_alerts(bus: RedisBus) -> None:
    """Overloaded for twenty seconds, and without a meter for a minute; each ends with what it was about. The next process goes on."""
    garage = await a_garage(bus, breaker_a=40.0)
    meter = await a_meter(garage.site, bus)

    async def open_after(seconds: float) -> list[tuple[AlertKind, UUID | None, str | None]]:
        garage.clock.advance(seconds)
        await garage.look()
        found = await Alert.filter(resolved_at=None).order_by("kind")
        return [(one.kind, one.circuit_id, one.info) for one in found]

    root = garage.site.root_id
    await meter.tells(41.5, garage.clock.now())
    assert await open_after(0.0) == []
    await meter.tells(41.5, garage.clock.now())
    assert await open_after(18.0) == []
    await meter.tells(41.5, garage.clock.now())
    overload = (AlertKind.CIRCUIT_OVERLOAD, root, "Main breaker: +1.5 A")
    assert await open_after(3.0) == [overload]
    lost = (AlertKind.METER_STALE, root, "Main breaker")
    assert await open_after(62.0) == [overload, lost]
    garage.loop = SiteLoop(garage.site.id, ports(garage.chargers, bus, garage.clock), holder="test")
    assert await open_after(58.0) == [overload, lost]
    assert await open_after(61.0) == [lost]
    for _ in range(3):
        await meter.tells(10.0, garage.clock.now())
        last = await open_after(5.0)
    assert last == []


async def test_a_site_whose_balancing_crashes_again_and_again_has_an_alert(bus: RedisBus) -> None:
    """The third crash within ten minutes opens it, ten minutes without one resolve it."""
    site = await a_site()
    rig = await connected_rig(site, "Space 1")
    clock = Clock()

    class Broken(Chargers):
        async def send(self, charger_id: UUID, command: DeviceCommand, *, timeout_s: float) -> DeviceAnswer:
            return ACCEPTED

    async def show(_charger_id: UUID, _current_a: float, _phases: str) -> None:
        raise RuntimeError("broken")

    balancer = Balancer(BalancerPorts(Broken(), bus, clock, show), holder="a")
    async with running(balancer), asyncio.timeout(LIMIT_S):
        while not await Alert.filter(kind=AlertKind.BALANCER_DEGRADED).exists():
            await rig.status(ConnectorStatus.PREPARING, clock.now())
            await asyncio.sleep(0.02)
    alert = await Alert.get()
    assert (alert.charger_id, alert.vendor_code, alert.resolved_at) == (None, "RepeatedCrashes", None)
    async with running(Balancer(ports(Chargers(), bus, clock), holder="b")), asyncio.timeout(LIMIT_S):
        clock.advance(599)
        await asyncio.sleep(0.1)
        assert not await Alert.filter(resolved_at__isnull=False).exists()
        clock.advance(600)
        while not await Alert.filter(resolved_at__isnull=False).exists():  # noqa: ASYNC110  rows tell nobody that they changed
            await asyncio.sleep(0.02)


async def test_the_figures_are_those_of_the_sites_that_are_balanced_here(bus: RedisBus) -> None:
    """A site counts from its first decision until its task ends."""
    site = await a_site(breaker_a=40.0, authentication_required=False)
    rig = await connected_rig(site, "Space 1")
    await (await a_meter(site, bus)).tells(50.0, NOW)
    chargers = Chargers()
    balancer = Balancer(ports(chargers, bus, Clock()), holder="a")
    nothing = dict.fromkeys((MeterState.FRESH, MeterState.STALE, MeterState.LOST), 0)
    assert balancer.figures == BalancerFigures(0, nothing, 0)
    async with running(balancer):
        await chargers.next_defaults(rig.charger_id)
        async with asyncio.timeout(LIMIT_S):
            while balancer.figures.sites == 0:
                await Offer.all().count()
        assert balancer.figures == BalancerFigures(1, {**nothing, MeterState.FRESH: 1}, 1)
    assert balancer.figures == BalancerFigures(0, nothing, 0)
