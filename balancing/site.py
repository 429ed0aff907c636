"""The site's facts as a balancing question: which charger wants current, what each circuit has left, what is held back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from balancing.circuit import (
    ChargerInput,
    ChargerState,
    Circuit,
    Fallback,
    Instance,
    Line,
    Lines,
    Network,
    Previous,
    Switching,
    Vector,
    Vehicle,
    in_grid_order,
)
from balancing.failsafe import CircuitCapacity, CircuitKnowledge, capacities, per_line, plan_fallbacks
from balancing.phases import best_kappa
from balancing.reclaim import NOTHING_RECLAIMED, Reclaim, cap_of
from balancing.rotation import NO_TURN, Turn, place
from balancing.targets import Target, weight
from balancing.vehicles import NOTHING_KNOWN, CarEvidence
from domain.current.offers import ChargerFacts, SiteFacts
from domain.roles import NetworkType, OperatingMode, PhaseRotation

NETWORKS = {
    NetworkType.TN_3_PHASE: Network.TN_3,
    NetworkType.TN_1_PHASE: Network.TN_1,
    NetworkType.IT_3_PHASE: Network.IT_3,
    NetworkType.IT_1_PHASE: Network.IT_1,
}

L1, L2, L3 = Line.L1, Line.L2, Line.L3

WIRINGS: dict[PhaseRotation, Lines] = {
    PhaseRotation.RST: (L1, L2, L3),
    PhaseRotation.STR: (L2, L3, L1),
    PhaseRotation.TRS: (L3, L1, L2),
    PhaseRotation.RTS: (L1, L3, L2),
    PhaseRotation.SRT: (L2, L1, L3),
    PhaseRotation.TSR: (L3, L2, L1),
    PhaseRotation.L1: (L1,),
    PhaseRotation.L2: (L2,),
    PhaseRotation.L3: (L3,),
    PhaseRotation.L1L2: (L1, L2),
    PhaseRotation.L2L3: (L2, L3),
    PhaseRotation.L3L1: (L3, L1),
}
"""Grid line at terminal 1, 2, 3 (R, S, T = L1, L2, L3)."""

ONE_PHASE_WIRINGS: dict[Network, Lines] = {Network.TN_1: (L1,), Network.IT_1: (L1, L2)}

STATES = {
    OperatingMode.AWAITING_CURRENT: ChargerState.QUEUED,
    OperatingMode.CHARGING: ChargerState.CHARGING,
    OperatingMode.PAUSED: ChargerState.IDLE,
    OperatingMode.DISCONNECTED: ChargerState.IDLE,
    OperatingMode.AWAITING_AUTHORIZATION: ChargerState.IDLE,
    OperatingMode.FINISHED: ChargerState.FINISHED,
    OperatingMode.FAULTED: ChargerState.IDLE,
}
"""UNKNOWN is not here: what is not known is not controlled."""

FAULTED_DRAWS_A = 0.5

NO_METERS: Mapping[UUID, CircuitKnowledge] = {}
NOTHING_RESERVED: Mapping[str, Vector] = {}

OCPP_STEP_A = 0.1
"""Charging profiles carry one decimal (OCPP 1.6 §7.13)."""


@dataclass(frozen=True, slots=True)
class ChargerMemory:
    """What the loop remembers of a charger's session beside the facts."""

    turn: Turn = NO_TURN
    evidence: CarEvidence = NOTHING_KNOWN
    reclaim: Reclaim = NOTHING_RECLAIMED
    previous: Previous | None = None


def wiring_of(charger: ChargerFacts, network: Network) -> Lines:
    """The grid lines at the charger's terminals, in terminal order."""
    return ONE_PHASE_WIRINGS.get(network) or WIRINGS[charger.phase_rotation]


def state_of(charger: ChargerFacts) -> ChargerState:
    """What the balancer owes the charger; one that cannot be controlled is counted as offline."""
    if not charger.is_online or charger.mode not in STATES:
        return ChargerState.OFFLINE
    if charger.mode is OperatingMode.FAULTED and max(draw or 0.0 for draw in charger.measured) > FAULTED_DRAWS_A:
        return ChargerState.OFFLINE
    if charger.session is not None and not (charger.session.is_permitted and charger.is_enabled):
        return ChargerState.IDLE
    return STATES[charger.mode]


def limits_of(facts: SiteFacts) -> dict[UUID, Vector]:
    """Circuit → what may flow through it. The site's available current is a second fuse at the root, where a meter sees all that flows."""
    limits: dict[UUID, Vector] = {}
    for circuit in facts.circuits:
        limit = limits[circuit.id] = circuit.breaker.as_tuple()
        if circuit.parent_id is None and circuit.meter is not None and facts.available is not None:
            limits[circuit.id] = per_line(min, limit, facts.available.as_tuple())
    return limits


def knowledge_of(facts: SiteFacts, meters: Mapping[UUID, CircuitKnowledge] = NO_METERS) -> list[CircuitKnowledge]:
    """The circuits as the failsafe sees them; those of which `meters` knows nothing as if they had none."""
    limits = limits_of(facts)
    return [
        meters.get(circuit.id)
        or CircuitKnowledge(
            id=str(circuit.id),
            parent=_parent(circuit.parent_id),
            fuse=limits[circuit.id],
            assumed_other_load=circuit.assumed_other_load.as_tuple(),
        )
        for circuit in facts.circuits
    ]


def capacity_of(
    facts: SiteFacts,
    meters: Mapping[UUID, CircuitKnowledge] = NO_METERS,
    reserved: Mapping[str, Vector] = NOTHING_RESERVED,
) -> dict[str, CircuitCapacity]:
    """What each circuit leaves to its chargers. Without a meter at the root the available current limits charging alone."""
    found = capacities(knowledge_of(facts, meters), reserved)
    for circuit in facts.circuits:
        if circuit.parent_id is None and circuit.meter is None and facts.available is not None:
            root = found[str(circuit.id)]
            room = per_line(lambda limit, other: limit + max(0.0, other), facts.available.as_tuple(), root.other_load)
            found[root.id] = replace(root, fuse=per_line(min, root.fuse, room))
    return found


def instance_of(
    facts: SiteFacts,
    memories: Mapping[UUID, ChargerMemory],
    held: Mapping[UUID, Fallback],
    *,
    capacity: Mapping[str, CircuitCapacity],
    now_s: float,
) -> Instance:
    """The question for the solver; `held` is what each charger that cannot be controlled may draw."""
    network = NETWORKS[facts.network_type]
    circuits = tuple(
        Circuit(str(circuit.id), _parent(circuit.parent_id), found.fuse, found.other_load)
        for circuit in facts.circuits
        for found in (capacity[str(circuit.id)],)
    )
    alike = tuple(
        _charger(charger, memories.get(charger.id, ChargerMemory()), held.get(charger.id), network, now_s)
        for charger in facts.chargers
    )
    chargers = _weighted(facts, alike, network)
    return Instance(
        id=str(facts.installation_id),
        circuits=circuits,
        chargers=chargers,
        network=network,
        installation_id=str(facts.installation_id),
        installation_name=facts.name,
    )


def _parent(parent_id: UUID | None) -> str | None:
    return None if parent_id is None else str(parent_id)


def _charger(
    charger: ChargerFacts, memory: ChargerMemory, held: Fallback | None, network: Network, now_s: float
) -> ChargerInput:
    standing = place(memory.turn, now_s)
    wiring = wiring_of(charger, network)
    return ChargerInput(
        id=str(charger.id),
        circuit=str(charger.circuit_id),
        wiring=wiring,
        # Phases are switched only by what can follow a switch through; offers stay on all wired lines until then.
        switching=Switching.NONE,
        min_current=charger.min_current_a,
        max_current=charger.max_current_a,
        current_step=OCPP_STEP_A,
        state=ChargerState.OFFLINE if held is not None else state_of(charger),
        vehicle=Vehicle(phases=memory.evidence.phases, max_current=cap_of(memory.reclaim, charger.max_current_a)),
        priority=0 if charger.session is None else charger.session.priority,
        tier=standing.tier,
        credit=standing.credit,
        previous=memory.previous,
        fallback=held,
    )


def _weighted(facts: SiteFacts, chargers: tuple[ChargerInput, ...], network: Network) -> tuple[ChargerInput, ...]:
    """The chargers with the weights of their cars' targets; what is fair is the site's limit by the cars that want current."""
    wanting = sum(charger.state.wants_current for charger in chargers)
    limits = limits_of(facts)
    fuses = [min(limits[circuit.id]) for circuit in facts.circuits if circuit.parent_id is None]
    if facts.available is not None:
        fuses.append(min(facts.available.as_tuple()))
    fair_a = min(fuses, default=0.0) / max(1, wanting)
    targets = [_target(charger) for charger in facts.chargers]
    return tuple(
        charger
        if target is None
        else replace(charger, weight=weight(target, kappa=best_kappa(charger, network), fair_a=fair_a))
        for charger, target in zip(chargers, targets, strict=True)
    )


def _target(charger: ChargerFacts) -> Target | None:
    session = charger.session
    if session is None or session.energy_target_wh is None:
        return None
    return Target(session.energy_target_wh, session.energy_wh, session.departs_in_s)


def fallbacks_of(facts: SiteFacts) -> dict[UUID, float]:
    """Charger → the current it may fall back to when nobody reaches it; all of them together fit every fuse.

    Planned as if every charger were in reach, because it is for the day when none is.
    """
    network = NETWORKS[facts.network_type]
    capacity = capacity_of(facts)
    site = Instance(
        id=str(facts.installation_id),
        circuits=tuple(
            Circuit(found.id, _parent(circuit.parent_id), found.fuse, found.other_load)
            for circuit in facts.circuits
            for found in (capacity[str(circuit.id)],)
        ),
        chargers=tuple(
            replace(
                _charger(charger, ChargerMemory(), None, network, 0.0),
                state=ChargerState.IDLE,
                fallback=_wanted_fallback(charger, network),
            )
            for charger in facts.chargers
        ),
        network=network,
    )
    return {UUID(charger_id): found.current for charger_id, found in plan_fallbacks(site).items()}


def _wanted_fallback(charger: ChargerFacts, network: Network) -> Fallback | None:
    if charger.offline_current_a is None:
        return None
    return Fallback(charger.offline_current_a, in_grid_order(wiring_of(charger, network)))
