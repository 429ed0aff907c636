"""One site over time: what its chargers may be drawing, whose turn it is, and which offers go out next.

Facts, answers and the time come in; orders come out. No clock, no I/O: the loop brings both.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from balancing.circuit import (
    NO_CURRENT,
    Allocation,
    ChargerInput,
    ChargerState,
    Fallback,
    Instance,
    Previous,
    Setpoint,
    Switching,
    Vector,
    ancestors,
)
from balancing.failsafe import (
    NO_OFFER,
    CircuitCapacity,
    MeterState,
    default_schedule,
    offer_schedule,
    per_line,
)
from balancing.fallbacks import fallbacks_in_turn
from balancing.finished import with_finished
from balancing.known import Known, first_known, hold_default, observe, said, shown_state
from balancing.line_choice import choose
from balancing.meters import SiteMeters, reserved_below
from balancing.phases import DECIMALS
from balancing.rotation import NO_TURN, turned
from balancing.site import (
    NETWORKS,
    ChargerMemory,
    capacity_of,
    instance_of,
    limits_of,
    state_of,
)
from balancing.staging import (
    ChargerStage,
    CircuitRoom,
    SiteState,
    Step,
    StepKind,
    acknowledged,
    beyond,
    is_silent,
    plan,
    refused,
    reserved,
    sent,
)
from balancing.switching import (
    Position,
    called_off,
    confirmed,
    must_tell,
    told,
)
from balancing.wording import periods, phases_told, switching_at
from domain.current.offers import ChargerFacts, SiteFacts
from domain.ports import OfferCurrent

REFUSED_WAITS_S = 30.0
"""A charger that refused an offer is asked again so much later; its firmware will not have changed its mind sooner."""

DEFAULT_REPEATED_S = 30.0
"""A default that was refused, or to which nobody answered, is sent again so much later."""

STOPPED_FOR_S = 900.0
"""A charger that was stopped because it does not follow its offers is given nothing for so long: its contactor wears, too."""


@dataclass(frozen=True, slots=True)
class Order:
    """One offer on its way to one charger.

    `number` is the target's in the charger's stage; None: the default for sessions to come, which holds nothing back now.
    `serial` counts everything that was sent to this charger.
    """

    charger_id: UUID
    command: OfferCurrent
    epoch: int
    fallback_a: float
    number: int | None
    serial: int = 0
    is_alert: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, from what, and what goes out now."""

    instance: Instance
    allocation: Allocation
    orders: tuple[Order, ...]


class SiteController:
    """The memory of the one who balances a site; made anew, it knows nothing and reserves accordingly."""

    def __init__(self) -> None:
        self._known: dict[UUID, Known] = {}
        self._fallbacks: Mapping[UUID, float] = {}
        self._meters = SiteMeters()

    def decide(self, facts: SiteFacts, *, now: datetime, now_s: float, can_allocate: bool = True) -> Decision:
        """The decision for these facts; its orders count as sent from here on, so store them, then send them.

        Where it cannot allocate yet, chargers are told only what holds without us: so nobody begins at a charger's own maximum,
        and whoever charges goes on.
        """
        self._observe(facts, now=now, now_s=now_s)
        held = {charger_id: known.fallbacks.highest for charger_id, known in self._known.items()}
        self._fallbacks = fallbacks_in_turn(facts, held)
        capacity = self._capacity(facts, now=now, now_s=now_s)
        instance = instance_of(facts, self._memories(), self._held(facts, now_s), capacity=capacity, now_s=now_s)
        if not can_allocate:
            return Decision(instance, Allocation(instance.id, ()), tuple(self._defaults(facts, now_s)))
        rooms = _rooms(instance)
        instance = self._as_observed(facts, instance, now_s)
        choice = choose(instance, self._positions(facts), switch_below_a=facts.three_to_one_switch_a, now_s=now_s)
        for charger_id, position in choice.positions.items():
            self._known[UUID(charger_id)].position = position
        asked, allocation = with_finished(choice.instance, choice.allocation)
        self._take_turns(facts, choice.instance, allocation, now_s)
        for charger in facts.chargers:
            known = self._known[charger.id]
            known.stage = replace(known.stage, may_rise=known.may_rise(charger.capabilities, now_s))
        stages = tuple(known.stage for known in self._known.values())
        steps = plan(SiteState(rooms, stages, instance.uses_vectors), self._wanted(allocation), now_s)
        steps = self._with_turns(steps, now_s)
        orders = [*self._defaults(facts, now_s), *self._orders(facts, steps, now_s)]
        return Decision(asked, allocation, tuple(orders))

    def _capacity(self, facts: SiteFacts, *, now: datetime, now_s: float) -> dict[str, CircuitCapacity]:
        """What each circuit leaves to its chargers, as far as it is metered, by what was read there."""
        held = {charger_id: reserved(known.stage, now_s).vector for charger_id, known in self._known.items()}
        meters = self._meters.look(facts, held, limits_of(facts), now=now, now_s=now_s)
        if not meters:
            return capacity_of(facts)
        kept = {charger_id: _kept(known.stage, held[charger_id]) for charger_id, known in self._known.items()}
        return capacity_of(facts, meters, reserved_below(facts, kept))

    def meter_news(self, *, now: datetime, now_s: float) -> dict[UUID, str]:
        """Circuit → what to store of its meter for the next process, since this was asked."""
        return self._meters.news(now=now, now_s=now_s)

    @property
    def meter_states(self) -> dict[str, MeterState]:
        """Metered circuit → how far its meter can be trusted, as of the last decision."""
        return self._meters.states

    def answered(self, order: Order, *, is_accepted: bool, is_refused: bool, now_s: float) -> None:
        """The charger's word on an order; a word about an earlier connection changes nothing."""
        known = self._known.get(order.charger_id)
        if known is None or known.epoch != order.epoch:
            return
        if is_accepted:
            known.fallbacks.accepted(order.serial, is_default=order.number is None)
            self._accepted(known, order, now_s)
        elif is_refused and order.number is not None:
            known.refused = next((t.offer for t in known.stage.targets if t.number == order.number), None)
            known.refused_until_s = now_s + REFUSED_WAITS_S
            known.stage = refused(known.stage, order.number)
            if known.position.is_turning:
                known.position = called_off(known.position, now_s)
        known.stage = replace(known.stage, fallback=known.fallbacks.on(known.stage.wiring))

    @staticmethod
    def _accepted(known: Known, order: Order, now_s: float) -> None:
        if order.number is not None:
            known.position = confirmed(known.position, order.number, now_s)
            known.stage = acknowledged(known.stage, order.number, now_s)
            return
        known.has_default = True
        known.is_default_said = known.default_serial == order.serial
        if known.session_id is None:
            hold_default(known, now_s)

    def is_wanted(self, order: Order) -> bool:
        """Whether the order may still go out: over the connection for which it was made, and nothing newer says otherwise by now.

        Where answers are slow or lost, a queue of what was wanted once would keep what is wanted now from the charger.
        """
        known = self._known.get(order.charger_id)
        if known is None or known.epoch != order.epoch:
            return False
        if order.number is None:
            return order.serial == known.default_serial
        return order.number == known.stage.next_number - 1

    def stage(self, charger_id: UUID) -> ChargerStage | None:
        """How a charger stands; None when the site has none of that id."""
        known = self._known.get(charger_id)
        return known.stage if known else None

    def is_settled(self, charger_id: UUID) -> bool:
        """Whether all that the charger may hold is what it is known to hold."""
        known = self._known.get(charger_id)
        if known is None or known.position.is_turning or known.stage.confirmed is None:
            return False
        return all(
            target.acknowledged_s is not None and target.offer == known.stage.confirmed
            for target in known.stage.targets
        )

    def memory(self, charger_id: UUID) -> ChargerMemory:
        """Turn and car of a charger."""
        known = self._known.get(charger_id)
        return known.memory if known else ChargerMemory()

    @property
    def is_settling(self) -> bool:
        """Whether an offer is still unconfirmed somewhere, so that looking again soon is worth it."""
        return any(
            known.stage.is_online and known.stage.confirmed != known.stage.latest for known in self._known.values()
        )

    @property
    def disobedient(self) -> frozenset[UUID]:
        """Chargers where more was drawn than was offered in this session, for ten seconds or after having been told twice."""
        return frozenset(
            key
            for key, known in self._known.items()
            if known.memory.evidence.is_disobedient or known.stopped_until_s > float("-inf")
        )

    def _memories(self) -> dict[UUID, ChargerMemory]:
        return {charger_id: known.memory for charger_id, known in self._known.items()}

    def _observe(self, facts: SiteFacts, *, now: datetime, now_s: float) -> None:
        network = NETWORKS[facts.network_type]
        present = {charger.id for charger in facts.chargers}
        self._known = {charger_id: known for charger_id, known in self._known.items() if charger_id in present}
        for charger in facts.chargers:
            known = self._known.get(charger.id)
            if known is None:
                known = self._known[charger.id] = first_known(charger, network, now=now, now_s=now_s)
            observe(known, charger, network, now=now, now_s=now_s)

    def _held(self, facts: SiteFacts, now_s: float) -> dict[UUID, Fallback]:
        """What each charger that cannot be controlled now may draw."""
        held = {}
        for charger in facts.chargers:
            stage = self._known[charger.id].stage
            if state_of(charger) is ChargerState.OFFLINE or is_silent(stage, now_s):
                found = reserved(stage, now_s)
                held[charger.id] = Fallback(found.current + max(found.extra), found.lines or stage.wiring)
        return held

    def _positions(self, facts: SiteFacts) -> dict[str, Position]:
        """Where the chargers stand that can switch."""
        positions = {charger.id: self._known[charger.id].position for charger in facts.chargers}
        return {
            str(charger.id): positions[charger.id]
            for charger in facts.chargers
            if switching_at(charger, positions[charger.id], facts) is not Switching.NONE
        }

    def _wanted(self, allocation: Allocation) -> Allocation:
        """What is to be offered now: the currents of lines as offers to cars, and nothing where lines are about to change.

        What is meant for there is kept free all the same.
        """
        return replace(
            allocation, setpoints=tuple(_offerable(one, self._known[UUID(one.charger)]) for one in allocation.setpoints)
        )

    def _with_turns(self, steps: Sequence[Step], now_s: float) -> list[Step]:
        """The steps, with the chargers that are empty told of their new lines."""
        empty = [
            Step(str(key), NO_OFFER, StepKind.TURN, "on other lines from now on")
            for key, known in self._known.items()
            if must_tell(known.position, known.stage, now_s)
        ]
        names = {step.charger for step in empty}
        return [*(step for step in steps if step.charger not in names), *empty]

    def _take_turns(self, facts: SiteFacts, instance: Instance, allocation: Allocation, now_s: float) -> None:
        found = allocation.by_charger()
        wants = {charger.id: charger.state.wants_current for charger in instance.chargers}
        for charger in facts.chargers:
            known = self._known[charger.id]
            setpoint = found.get(str(charger.id))
            is_served = setpoint is not None and setpoint.current > 0
            turn = turned(known.memory.turn, wants_current=wants[str(charger.id)], is_served=is_served, now_s=now_s)
            previous = None if setpoint is None else Previous(setpoint.current, setpoint.phases)
            known.memory = replace(known.memory, turn=turn, previous=previous if turn != NO_TURN else None)

    def _as_observed(self, facts: SiteFacts, instance: Instance, now_s: float) -> Instance:
        """The question with what is drawn beyond offers as other load, and with states that cars and chargers showed by what they did."""
        switching = {
            str(charger.id): switching_at(charger, self._known[charger.id].position, facts)
            for charger in facts.chargers
        }
        more = {str(charger.id): _unasked(self._known[charger.id].stage, charger, now_s) for charger in facts.chargers}
        paths = ancestors(instance.circuits)
        load = {circuit.id: circuit.other_load for circuit in instance.circuits}
        for charger in instance.chargers:
            for name in paths[charger.circuit] if any(more[charger.id]) else ():
                load[name] = per_line(lambda other, extra: max(0.0, other) + extra, load[name], more[charger.id])
        return replace(
            instance,
            circuits=tuple(replace(circuit, other_load=load[circuit.id]) for circuit in instance.circuits),
            chargers=tuple(
                replace(
                    _spread_out(charger, self._known[UUID(charger.id)].stage.spread),
                    state=shown_state(self._known[UUID(charger.id)], charger.state, now_s),
                    switching=switching[charger.id],
                )
                for charger in instance.chargers
            ),
        )

    def _defaults(self, facts: SiteFacts, now_s: float) -> Iterator[Order]:
        """The default profile to every charger that has not acknowledged its present one on this connection."""
        for charger in facts.chargers:
            known, fallback_a = self._known[charger.id], self._fallbacks[charger.id]
            if not charger.is_online:
                continue
            is_said = known.default_said == fallback_a
            if is_said and (known.is_default_said or now_s - known.default_said_s < DEFAULT_REPEATED_S):
                continue
            known.default_said, known.default_said_s, known.is_default_said = fallback_a, now_s, False
            command = OfferCurrent(steps=periods(default_schedule(fallback_a)), transaction_id=None)
            serial = known.default_serial = said(known, fallback_a, is_default=True)
            yield Order(
                charger.id, command, charger.epoch, fallback_a, None, serial=serial, reason="what holds without us"
            )

    def _orders(self, facts: SiteFacts, steps: Iterable[Step], now_s: float) -> Iterator[Order]:
        """The steps that can be said: an offer belongs to a session, without one the default speaks."""
        by_id = {str(charger.id): charger for charger in facts.chargers}
        for step in steps:
            charger = by_id[step.charger]
            known = self._known[charger.id]
            if charger.session is None or charger.session.transaction_id is None:
                continue
            is_news = step.kind is StepKind.REDUCE and step.offer != known.refused
            if now_s < known.refused_until_s and not is_news:
                continue
            if step.kind is StepKind.INCREASE:
                known.raised_s.append(now_s)
            if step.kind is StepKind.STOP:
                known.stopped_until_s = now_s + STOPPED_FOR_S
            known.stage = sent(known.stage, step.offer, now_s)
            if step.kind is StepKind.TURN:
                known.position = told(known.position, known.stage.targets[-1].number)
            fallback_a = self._fallbacks[charger.id]
            yield Order(
                charger.id,
                OfferCurrent(
                    steps=periods(
                        offer_schedule(step.offer.current, fallback_a),
                        *phases_told(charger, known.position, facts),
                    ),
                    transaction_id=charger.session.transaction_id,
                ),
                charger.epoch,
                fallback_a,
                known.stage.targets[-1].number,
                serial=said(known, fallback_a, is_default=False),
                is_alert=step.is_alert,
                reason=step.reason,
            )


def _kept(stage: ChargerStage, held: Vector) -> Vector:
    """What the filter of meters leaves a charger: what it holds; where that is not known, no more than it draws."""
    return held if stage.confirmed is not None or not stage.is_online else stage.measured or NO_CURRENT


def _unasked(stage: ChargerStage, charger: ChargerFacts, now_s: float) -> Vector:
    """What flows, or may flow at any time, though nothing of it was offered."""
    over = beyond(stage, now_s)
    if (
        stage.keeps_schedule
        or stage.latest is None
        or stage.latest.current > 0
        or not state_of(charger).is_controllable
    ):
        return over
    return per_line(max, over, reserved(stage, now_s).vector)


def _spread_out(charger: ChargerInput, factor: float) -> ChargerInput:
    """The charger by the current of its lines, where that may be more than what is offered."""
    if factor <= 1:
        return charger
    cap = charger.vehicle.max_current
    return replace(
        charger,
        min_current=factor * charger.min_current,
        max_current=factor * charger.max_current,
        current_step=factor * charger.current_step,
        vehicle=replace(charger.vehicle, max_current=None if cap is None else factor * cap),
    )


def _offerable(setpoint: Setpoint, known: Known) -> Setpoint:
    """The set-point as an offer."""
    if known.position.is_turning:
        return setpoint._replace(current=0.0, phases=())
    factor = known.stage.spread
    return setpoint._replace(current=round(setpoint.current / factor, DECIMALS)) if factor > 1 else setpoint


def _rooms(instance: Instance) -> tuple[CircuitRoom, ...]:
    """What each circuit has for all managed chargers."""
    return tuple(CircuitRoom(one.id, one.parent, _room(one.fuse, one.other_load)) for one in instance.circuits)


def _room(fuse: Vector, other_load: Vector) -> Vector:
    first, second, third = (max(0.0, most - max(0.0, other)) for most, other in zip(fuse, other_load, strict=True))
    return (first, second, third)
