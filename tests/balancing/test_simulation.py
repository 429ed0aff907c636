"""Tests of what the balancer would decide: on a real database, which is afterwards as it was."""

import orjson
import pytest

from app.redis_bus import RedisBus
from balancing.allocate import allocate
from balancing.document import dump_allocation, parse_instance
from balancing.simulation import Changes, SimulatedCar, simulate
from domain.errors import NotFoundError, ValidationError
from domain.ids import new_id
from domain.models import BalancingDecision, Charger, Circuit, Installation, Offer
from domain.observations import ConnectorStatus
from domain.roles import BindingLimit, Role
from domain.units import PhaseAmps
from tests.balancing.test_loop import Garage, a_garage
from tests.factories import PEOPLE, a_charger, a_grant, a_person, a_town, access

pytestmark = pytest.mark.usefixtures("database")


async def asked(garage: Garage, changes: Changes) -> dict[int, float]:
    """Charger number → the current that it would have."""
    owner = await a_person("Owner")
    await a_grant(Role.OWNER, garage.site, user_id=owner)
    viewer = await access(owner, now=garage.clock.now())
    found = await simulate(viewer, garage.site.id, changes)
    numbers = {rig.charger_id: number for number, rig in enumerate(garage.rigs)}
    return {numbers[row.charger_id]: row.current_a for row in found.allocations}


def car(garage: Garage, number: int, **given: float) -> SimulatedCar:
    return SimulatedCar(garage.rigs[number].charger_id, **given)  # type: ignore[arg-type]  # a table


async def test_cars_that_come_share_with_those_that_are_there(bus: RedisBus) -> None:
    """By their phases, their most, and their priority, beside the car that charges; what is available can be set for it."""
    garage = await a_garage(bus, count=3, breaker_a=30.0)
    await garage.plug_in(0)
    await garage.look()
    assert await asked(garage, Changes()) == {0: 30.0, 1: 0.0, 2: 0.0}
    one_more = Changes(cars=[car(garage, 1)])
    assert await asked(garage, one_more) == {0: 15.0, 1: 15.0, 2: 0.0}
    small = Changes(cars=[car(garage, 1, phases=1, max_current_a=8.0), car(garage, 2)])
    assert await asked(garage, small) == {0: 11.0, 1: 8.0, 2: 11.0}
    scarce = Changes(available=PhaseAmps.even(7.0), cars=[car(garage, 2, priority=1)])
    assert await asked(garage, scarce) == {0: 0.0, 1: 0.0, 2: 7.0}
    assert await asked(garage, Changes(removed=[garage.rigs[0].charger_id])) == {1: 0.0, 2: 0.0}


async def test_nothing_is_changed_or_stored(bus: RedisBus) -> None:
    """No offer, no decision, nothing that is sent."""
    garage = await a_garage(bus, count=2)
    await garage.plug_in(0)
    await garage.look()
    kept = [(row.target_a, row.decided_at) for row in await Offer.all().order_by("charger_id")]
    count = await BalancingDecision.all().count()
    await asked(garage, Changes(cars=[car(garage, 1)]))
    assert [(row.target_a, row.decided_at) for row in await Offer.all().order_by("charger_id")] == kept
    assert await BalancingDecision.all().count() == count
    assert garage.chargers.offers_to(garage.rigs[1].charger_id) == []


async def test_what_a_meter_read_is_not_the_cars(bus: RedisBus) -> None:
    """The other load is that which the balancer counts with, and what a change makes available is for all that flows."""
    garage = await a_garage(bus, count=1, breaker_a=40.0)
    await Circuit.filter(id=garage.site.root_id).update(
        meter_l1=10.0, meter_l2=10.0, meter_l3=10.0, metered_at=garage.clock.now()
    )
    assert await asked(garage, Changes(cars=[car(garage, 0)])) == {0: 30.0}
    assert await asked(garage, Changes(PhaseAmps.even(25.0), cars=[car(garage, 0)])) == {0: 15.0}


async def test_what_binds_is_told(bus: RedisBus) -> None:
    """In words, by the limit that was asked about."""
    garage = await a_garage(bus, count=1)
    owner = await a_person("Owner")
    await a_grant(Role.OWNER, garage.site, user_id=owner)
    viewer = await access(owner, now=garage.clock.now())
    changes = Changes(PhaseAmps.even(10.0), cars=[car(garage, 0)])
    (row,) = (await simulate(viewer, garage.site.id, changes)).allocations
    assert (row.limit, row.reason) == (
        BindingLimit.AVAILABLE_CURRENT,
        "Limited by the current that is available to the site.",
    )


async def test_a_wrong_change_is_named() -> None:
    """Every field at once."""
    town = await a_town()
    viewer = await town.access("OWNER of installation")
    planned = await a_charger(town.site, "planned")
    await Charger.filter(id=planned).update(is_enabled=False)
    cars = [
        SimulatedCar(town.charger_id, phases=4, max_current_a=float("nan"), priority=101),
        SimulatedCar(town.charger_id),
        SimulatedCar(planned),
    ]
    with pytest.raises(ValidationError) as caught:
        await simulate(viewer, town.site.id, Changes(PhaseAmps(64.0, -1.0, 1.0), cars=cars))
    assert [".".join(problem.path) for problem in caught.value.problems] == [
        "availableCurrentA.l1",
        "availableCurrentA.l2",
        "addCars.0.phases",
        "addCars.0.maxCurrentA",
        "addCars.0.priority",
        "addCars.1.chargerId",
        "addCars.2.chargerId",
    ]
    await Installation.filter(id=town.site.id).update(is_active=False)
    with pytest.raises(ValidationError, match="not active"):
        await simulate(viewer, town.site.id, Changes())


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_hidden_things_are_not_asked_about(person: str) -> None:
    """A charger of another site is absent, for who runs this one; the site is absent for everybody else."""
    town = await a_town()
    viewer = await town.access(person)
    for changes, path in (
        (Changes(removed=[town.other_charger_id]), ("removeChargerIds", "0")),
        (Changes(cars=[SimulatedCar(new_id())]), ("addCars", "0", "chargerId")),
    ):
        with pytest.raises(NotFoundError) as caught:
            await simulate(viewer, town.site.id, changes)
        runs = person in ("OWNER of installation", "SERVICE", "ADMINISTRATOR")
        assert caught.value.path == (path if runs else ("installationId",))
    with pytest.raises(NotFoundError):
        await simulate(viewer, new_id(), Changes())


async def test_a_stored_decision_replays(bus: RedisBus) -> None:
    """Each that was stored comes to its allocation again, also while a finished car keeps its minimum."""
    garage = await a_garage(bus, count=2)
    for number in (0, 1):
        await garage.plug_in(number)
        await garage.look()
    await garage.rigs[0].status(ConnectorStatus.SUSPENDED_EV, garage.clock.now())
    await garage.look()
    stored = await BalancingDecision.all()
    assert len(stored) > 2
    for row in stored:
        again = dump_allocation(allocate(parse_instance(orjson.loads(row.instance))))
        assert orjson.loads(orjson.dumps(again)) == orjson.loads(row.allocation)
