"""A decision in words: what binds each charger, its place in the queue, and why."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from balancing.circuit import Allocation, Limit, Line, Setpoint
from balancing.controller import SiteController
from balancing.failsafe import MeterState
from balancing.rotation import next_slots, place, protected_until
from balancing.staging import ChargerStage
from domain.current.allocation_texts import reason
from domain.current.offers import ChargerFacts, OfferRecord, SiteFacts
from domain.roles import BindingLimit, OperatingMode

LIMITS = {
    Limit.NONE: BindingLimit.NONE,
    Limit.CAR: BindingLimit.CAR,
    Limit.CHARGER: BindingLimit.CHARGER,
    Limit.CIRCUIT: BindingLimit.CIRCUIT,
    Limit.FAIR_SHARE: BindingLimit.FAIR_SHARE,
    Limit.ROTATION: BindingLimit.ROTATION,
    Limit.OVERLOAD: BindingLimit.OVERLOAD,
    Limit.PAUSED: BindingLimit.PAUSED,
    Limit.OFFLINE_RESERVE: BindingLimit.OFFLINE_RESERVE,
    Limit.OTHER: BindingLimit.OTHER,
}


BLIND = frozenset({MeterState.STALE, MeterState.LOST})


def records(
    facts: SiteFacts, allocation: Allocation, controller: SiteController, *, now: datetime, now_s: float
) -> list[OfferRecord]:
    """Every charger's offer as it stands after the decision, with its explanation."""
    setpoints = allocation.by_charger()
    circuits = {str(circuit.id): circuit.name for circuit in facts.circuits}
    limited = _limited(facts)
    blind = frozenset(name for name, state in controller.meter_states.items() if state in BLIND)
    queue = _queue(facts, setpoints, controller, now_s)
    slots = _slots(facts, setpoints, controller, queue, now_s)
    found = []
    for charger in facts.chargers:
        stage = controller.stage(charger.id)
        setpoint = setpoints.get(str(charger.id))
        if stage is not None:
            limit = _limit(charger, setpoint, limited=limited, blind=blind)
            record = _record(charger, stage, setpoint, limit, circuits, controller, queue.get(charger.id), now, now_s)
            slot_s = slots.get(charger.id)
            slot_at = None if slot_s is None else now + timedelta(seconds=slot_s - now_s)
            found.append(replace(record, next_slot_at=slot_at))
    return found


def _record(
    charger: ChargerFacts,
    stage: ChargerStage,
    setpoint: Setpoint | None,
    limit: BindingLimit,
    circuits: dict[str, str],
    controller: SiteController,
    position: int | None,
    now: datetime,
    now_s: float,
) -> OfferRecord:
    def instant(at_s: float | None) -> datetime | None:
        return None if at_s is None else now - timedelta(seconds=now_s - at_s)

    turn = controller.memory(charger.id).turn
    target = stage.targets[-1] if stage.targets else None
    circuit = setpoint.limiting_circuit if setpoint else None
    return OfferRecord(
        charger_id=charger.id,
        session_id=charger.session.id if charger.session else None,
        confirmed_a=stage.confirmed.current if stage.confirmed else None,
        confirmed_phases="".join(stage.confirmed.lines) if stage.confirmed else "",
        target_a=stage.latest.current if stage.latest else None,
        target_phases="".join(stage.latest.lines) if stage.latest else "",
        targeted_at=instant(target.sent_s) if target else charger.last_offer_at,
        acknowledged_at=instant(target.acknowledged_s) if target else None,
        fallback_a=stage.fallback.current if stage.fallback else None,
        waiting_since=instant(turn.waiting_since_s),
        charging_since=instant(turn.charging_since_s),
        limit=limit,
        limiting_circuit_id=UUID(circuit) if circuit else None,
        queue_position=position,
        reason=reason(limit, circuits.get(circuit or "")),
        settled_epoch=charger.epoch if controller.is_settled(charger.id) else None,
        admitted_tier=turn.admitted_tier,
        is_held=charger.session is not None and (turn.waiting_since_s is not None or charger.session.is_paused),
    )


def _limited(facts: SiteFacts) -> dict[str, BindingLimit]:
    """Circuit → what its fuse is called where less than the fuse is available: by a schedule, or by what was set otherwise."""
    if facts.available is None:
        return {}
    name = BindingLimit.SCHEDULE if facts.is_scheduled else BindingLimit.AVAILABLE_CURRENT
    return {str(circuit.id): name for circuit in facts.circuits if circuit.parent_id is None}


def limit_of(facts: SiteFacts, setpoint: Setpoint) -> BindingLimit:
    """What keeps a set-point from being higher, as people are told."""
    limit = LIMITS[setpoint.limit]
    return _limited(facts).get(setpoint.limiting_circuit or "", limit) if limit is BindingLimit.CIRCUIT else limit


def _limit(
    charger: ChargerFacts, setpoint: Setpoint | None, *, limited: Mapping[str, BindingLimit], blind: frozenset[str]
) -> BindingLimit:
    if setpoint is None:
        return BindingLimit.PAUSED
    if charger.mode is OperatingMode.FINISHED:
        return BindingLimit.CAR
    limit = LIMITS[setpoint.limit]
    if setpoint.limiting_circuit in blind:
        return BindingLimit.METER_STALE
    return limited.get(setpoint.limiting_circuit or "", limit) if limit is BindingLimit.CIRCUIT else limit


def _queue(
    facts: SiteFacts, setpoints: dict[str, Setpoint], controller: SiteController, now_s: float
) -> dict[UUID, int]:
    """Charger → place among those that want current and have none, from 1."""
    waiting = []
    for charger in facts.chargers:
        setpoint = setpoints.get(str(charger.id))
        turn = controller.memory(charger.id).turn
        if setpoint is not None and setpoint.current <= 0 and turn.waiting_since_s is not None:
            standing = place(turn, now_s)
            priority = charger.session.priority if charger.session else 0
            waiting.append((-priority, -standing.tier, -standing.credit, str(charger.id), charger.id))
    return {entry[-1]: position for position, entry in enumerate(sorted(waiting), start=1)}


def _slots(
    facts: SiteFacts,
    setpoints: dict[str, Setpoint],
    controller: SiteController,
    queue: dict[UUID, int],
    now_s: float,
) -> dict[UUID, float]:
    """Charger → when it may expect its turn, for those that wait for the places of others at one fuse."""
    parents = {str(circuit.id): circuit.parent_id for circuit in facts.circuits}
    fuses: dict[tuple[str, Line], list[UUID]] = {}
    for charger_id in sorted(queue, key=lambda one: queue[one]):
        setpoint = setpoints[str(charger_id)]
        if setpoint.limit is Limit.ROTATION and setpoint.limiting_circuit and setpoint.limiting_line:
            fuses.setdefault((setpoint.limiting_circuit, setpoint.limiting_line), []).append(charger_id)
    found: dict[UUID, float] = {}
    for (circuit, line), waiting in fuses.items():
        charging = [
            until_s
            for charger in facts.chargers
            if (served := setpoints.get(str(charger.id))) is not None
            and line in served.phases
            and circuit in _path(str(charger.circuit_id), parents)
            and (until_s := protected_until(controller.memory(charger.id).turn)) is not None
        ]
        found.update(zip(waiting, next_slots(charging, len(waiting), now_s), strict=False))
    return found


def _path(circuit: str, parents: dict[str, UUID | None]) -> list[str]:
    path = [circuit]
    while (above := parents[path[-1]]) is not None:
        path.append(str(above))
    return path
