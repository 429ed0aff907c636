"""What the balancer would decide if something were otherwise: a site's stored facts with changes. Nothing is changed, nothing stored."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import orjson

from balancing.allocate import allocate
from balancing.circuit import Allocation, ChargerInput, ChargerState, Instance, InstanceError, Setpoint, Vector, Vehicle
from balancing.document import parse_instance
from balancing.explanation import limit_of
from balancing.finished import with_finished
from balancing.meters import SiteMeters
from balancing.site import capacity_of, instance_of, limits_of
from domain.access import CURRENT_SETTERS, Access
from domain.checks import MAX_BREAKER_A, Problems
from domain.current import offers
from domain.current.allocation_texts import reason
from domain.current.offers import ChargerFacts, SiteFacts
from domain.current.session_targets import LEAST_PRIORITY, MOST_PRIORITY
from domain.equipment.capabilities import ChargerModels
from domain.errors import NotFoundError, Path, invalid
from domain.roles import Phase
from domain.units import PhaseAmps
from domain.views.balancing_views import AllocationRow
from domain.views.charger_views import chargers_by_ids
from domain.views.installation_views import installations_by_ids

MOST_CARS = 1000
NO_MODELS = ChargerModels.load()
"""How often a charger may be written to is not asked here."""


@dataclass(frozen=True, slots=True)
class SimulatedCar:
    """A car that comes to a charger, instead of the one that may be there."""

    charger_id: UUID
    phases: int = 3
    max_current_a: float = 32.0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be otherwise. `available` None: as it is."""

    available: PhaseAmps | None = None
    removed: Sequence[UUID] = ()
    cars: Sequence[SimulatedCar] = ()


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of it, as a decision is shown."""

    allocations: Sequence[AllocationRow]
    overloaded_ids: Sequence[UUID]


async def simulate(access: Access, installation_id: UUID, changes: Changes) -> Simulated:
    """What the balancer would come to, once every charger has followed.

    For OWNER, SERVICE, ADMINISTRATOR and the scope SET_AVAILABLE_CURRENT; NotFoundError for all others, and for a charger that is
    elsewhere. ValidationError for changes that cannot be, and where the installation is not in use.
    """
    if not access.require(access.roles_at(installation_id), CURRENT_SETTERS):
        raise NotFoundError(path=("installationId",))
    facts = await offers.site(installation_id, now=access.now, models=NO_MODELS)
    if facts is None:
        if not await installations_by_ids(access, [installation_id]):
            raise NotFoundError(path=("installationId",))
        raise invalid("installationId", "This installation is not active: nobody charges there.")
    await _check_chargers(access, installation_id, changes)
    _check(facts, changes)
    changed = _changed(facts, changes)
    instance = _instance(changed, changes.cars, await offers.last_instance(installation_id), now=access.now)
    return _shown(changed, await asyncio.to_thread(_decided, instance))


async def _check_chargers(access: Access, installation_id: UUID, changes: Changes) -> None:
    wanted: list[tuple[Path, UUID]] = [
        *((("removeChargerIds", str(place)), one) for place, one in enumerate(changes.removed)),
        *((("addCars", str(place), "chargerId"), car.charger_id) for place, car in enumerate(changes.cars)),
    ]
    found = await chargers_by_ids(access, [one for _, one in wanted])
    for path, charger_id in wanted:
        if charger_id not in found or found[charger_id].installation_id != installation_id:
            raise NotFoundError(path=path)


def _check(facts: SiteFacts, changes: Changes) -> None:
    problems = Problems()
    breaker = next(circuit.breaker for circuit in facts.circuits if circuit.parent_id is None)
    if changes.available is not None:
        problems.within("availableCurrentA", changes.available, breaker, of="the main breaker")
    if len(changes.cars) > MOST_CARS:
        problems.add("addCars", f"At most {MOST_CARS} cars.")
    present, taken = {charger.id for charger in facts.chargers}, set(changes.removed)
    for place, car in enumerate(changes.cars):
        where = ("addCars", str(place))
        if car.charger_id in taken:
            problems.add((*where, "chargerId"), "This charger is removed, or has another of these cars.")
        elif car.charger_id not in present:
            problems.add(
                (*where, "chargerId"), "This charger is disabled and was never connected: it is not installed yet."
            )
        taken.add(car.charger_id)
        if car.phases not in (1, 2, 3):
            problems.add((*where, "phases"), "A car has 1 to 3 phases.")
        if not 0 < car.max_current_a <= MAX_BREAKER_A:
            problems.add((*where, "maxCurrentA"), f"This must be above 0 and at most {MAX_BREAKER_A:g} A.")
        if not LEAST_PRIORITY <= car.priority <= MOST_PRIORITY:
            problems.add((*where, "priority"), f"A priority is from {LEAST_PRIORITY} to {MOST_PRIORITY}.")
    problems.raise_any()


def _changed(facts: SiteFacts, changes: Changes) -> SiteFacts:
    removed = set(changes.removed)
    return replace(
        facts,
        available=facts.available if changes.available is None else changes.available,
        is_scheduled=facts.is_scheduled and changes.available is None,
        chargers=tuple(charger for charger in facts.chargers if charger.id not in removed),
    )


def _instance(facts: SiteFacts, cars: Sequence[SimulatedCar], last: str | None, *, now: datetime) -> Instance:
    held: Mapping[UUID, Vector] = {charger.id: _most(charger) for charger in facts.chargers}
    now_s = now.timestamp()
    meters = SiteMeters().look(facts, held, limits_of(facts), now=now, now_s=now_s)
    instance = instance_of(facts, {}, {}, capacity=capacity_of(facts, meters), now_s=now_s)
    before = _remembered(last)
    coming = {str(car.charger_id): car for car in cars}
    return replace(
        instance,
        chargers=tuple(
            _with_car(charger, coming[charger.id]) if charger.id in coming else _with_memory(charger, before)
            for charger in instance.chargers
        ),
    )


def _decided(instance: Instance) -> Allocation:
    return with_finished(instance, allocate(instance))[1]


def _most(charger: ChargerFacts) -> Vector:
    return (charger.max_current_a,) * 3


def _remembered(last: str | None) -> Mapping[str, ChargerInput]:
    """What the last decision knew of each charger."""
    try:
        return {} if last is None else {one.id: one for one in parse_instance(orjson.loads(last)).chargers}
    except (InstanceError, orjson.JSONDecodeError):
        return {}


def _with_car(charger: ChargerInput, car: SimulatedCar) -> ChargerInput:
    return replace(
        charger,
        state=ChargerState.QUEUED,
        vehicle=Vehicle(phases=car.phases, max_current=car.max_current_a),
        priority=car.priority,
        weight=1.0,
        fallback=None,
    )


def _with_memory(charger: ChargerInput, before: Mapping[str, ChargerInput]) -> ChargerInput:
    """The charger with what its car has shown, and its turn, as the last decision knew them."""
    known = before.get(charger.id)
    if known is None or known.state is not charger.state:
        return charger
    return replace(
        charger,
        vehicle=known.vehicle,
        tier=known.tier,
        credit=known.credit,
        previous=known.previous,
        fallback=known.fallback,
        switching=known.switching,
        modes=known.modes,
    )


def _shown(facts: SiteFacts, allocation: Allocation) -> Simulated:
    names = {str(circuit.id): circuit.name for circuit in facts.circuits}
    overloaded = {UUID(one.circuit) for one in allocation.overloaded}
    return Simulated(
        tuple(_row(facts, setpoint, names) for setpoint in allocation.setpoints), tuple(sorted(overloaded))
    )


def _row(facts: SiteFacts, setpoint: Setpoint, names: Mapping[str, str]) -> AllocationRow:
    limit = limit_of(facts, setpoint)
    return AllocationRow(
        charger_id=UUID(setpoint.charger),
        current_a=setpoint.current,
        phases=tuple(Phase(line) for line in setpoint.phases),
        limit=limit,
        reason=reason(limit, names.get(setpoint.limiting_circuit or "")),
    )
