"""One site over time: what its chargers may be drawing, whose turn it is, and which offers go out next.

Facts, answers and the time come in; orders come out. No clock, no I/O: the loop brings both.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from balancing.allocate import allocate
from balancing.circuit import (
    NO_CURRENT,
    Allocation,
    ChargerInput,
    ChargerState,
    Fallback,
    Instance,
    Limit,
    Network,
    Previous,
    Setpoint,
    Switching,
    Vector,
    ancestors,
    in_grid_order,
)
from balancing.failsafe import (
    NO_OFFER,
    OFFER_ENDS_S,
    CircuitCapacity,
    MeterState,
    Offer,
    Schedule,
    default_schedule,
    offer_schedule,
    per_line,
)
from balancing.fallbacks import Fallbacks, fallbacks_in_turn
from balancing.line_choice import choose
from balancing.meters import SiteMeters, reserved_below
from balancing.phases import DECIMALS
from balancing.reclaim import NOTHING_RECLAIMED, STARTS_WITHIN_S, Reclaim, Sample, finished, observed, offered, woken
from balancing.rotation import NO_TURN, turned
from balancing.site import (
    NETWORKS,
    OCPP_STEP_A,
    ChargerMemory,
    capacity_of,
    instance_of,
    limits_of,
    state_of,
    wiring_of,
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
    measured,
    plan,
    reconnected,
    refused,
    relined,
    reserved,
    sent,
    settled,
)
from balancing.switching import (
    WHOLE,
    Position,
    advanced,
    called_off,
    confirmed,
    distrusted,
    is_contradicted,
    must_tell,
    switching_of,
    terminal_of,
    told,
)
from balancing.vehicles import NOTHING_KNOWN, judged, learnt, spread
from domain.capabilities import Capabilities
from domain.observations import ConnectorStatus
from domain.offers import ChargerFacts, SiteFacts
from domain.ports import OfferCurrent, OfferStep
from domain.roles import OperatingMode

REFUSED_WAITS_S = 30.0
"""A charger that refused an offer is asked again so much later; its firmware will not have changed its mind sooner."""

DEFAULT_REPEATED_S = 30.0
"""A default that was refused, or to which nobody answered, is sent again so much later."""

CLOCK_SLACK_S = 5.0
"""A measurement from further in the future was stamped before the clock was set back: nobody knows how old it is."""

STOPPED_FOR_S = 900.0
"""A charger that was stopped because it does not follow its offers is given nothing for so long: its contactor wears, too."""

DAY_S = 86_400.0

OPEN_CONTACTOR = frozenset(
    {ConnectorStatus.AVAILABLE, ConnectorStatus.PREPARING, ConnectorStatus.FINISHING, ConnectorStatus.RESERVED}
)
"""States in which no energy can flow (OCPP 1.6 §4.9)."""


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


@dataclass(slots=True)
class _Known:
    """What is remembered of one charger between two decisions."""

    stage: ChargerStage
    epoch: int
    session_id: UUID | None
    fallbacks: Fallbacks
    position: Position = WHOLE
    memory: ChargerMemory = field(default_factory=ChargerMemory)
    has_default: bool = False
    """Whether it acknowledged a default profile on this connection."""
    default_said: float | None = None
    """The fallback in the newest default that was sent on this connection."""
    default_said_s: float = float("-inf")
    default_serial: int = 0
    is_default_said: bool = False
    """Whether it acknowledged just that one."""
    is_open: bool = False
    """Whether it said on this connection that its contactor is open."""
    refused: Offer | None = None
    refused_until_s: float = float("-inf")
    stopped_until_s: float = float("-inf")
    serial: int = 0
    raised_s: "deque[float]" = field(default_factory=deque)
    """When its limit was raised in the last 24 hours."""

    def may_rise(self, capabilities: Capabilities, now_s: float) -> bool:
        """Whether its kind bears one more increase now. From nothing it always does: a car is not kept waiting for a memory chip."""
        while self.raised_s and self.raised_s[0] <= now_s - DAY_S:
            self.raised_s.popleft()
        if self.stage.latest is not None and self.stage.latest.current <= 0:
            return True
        is_early = bool(self.raised_s) and now_s - self.raised_s[-1] < capabilities.write_interval_s
        most = capabilities.writes_a_day
        return not is_early and (most is None or len(self.raised_s) < most)


class SiteController:
    """The memory of the one who balances a site; made anew, it knows nothing and reserves accordingly."""

    def __init__(self) -> None:
        self._known: dict[UUID, _Known] = {}
        self._fallbacks: Mapping[UUID, float] = {}
        self._meters = SiteMeters()

    def decide(self, facts: SiteFacts, *, now: datetime, now_s: float) -> Decision:
        """The decision for these facts; its orders count as sent from here on, so store them, then send them."""
        self._observe(facts, now=now, now_s=now_s)
        held = {charger_id: known.fallbacks.highest for charger_id, known in self._known.items()}
        self._fallbacks = fallbacks_in_turn(facts, held)
        capacity = self._capacity(facts, now=now, now_s=now_s)
        instance = instance_of(facts, self._memories(), self._held(facts, now_s), capacity=capacity, now_s=now_s)
        rooms = _rooms(instance)
        instance = self._as_observed(facts, instance, now_s)
        choice = choose(instance, self._positions(facts), switch_below_a=facts.three_to_one_switch_a, now_s=now_s)
        for charger_id, position in choice.positions.items():
            self._known[UUID(charger_id)].position = position
        instance, allocation = choice.instance, _with_finished(choice.instance, choice.allocation)
        self._take_turns(facts, instance, allocation, now_s)
        for charger in facts.chargers:
            known = self._known[charger.id]
            known.stage = replace(known.stage, may_rise=known.may_rise(charger.capabilities, now_s))
        stages = tuple(known.stage for known in self._known.values())
        steps = plan(SiteState(rooms, stages, instance.uses_vectors), self._wanted(allocation), now_s)
        steps = self._with_turns(steps, now_s)
        orders = [*self._defaults(facts, now_s), *self._orders(facts, steps, now_s)]
        return Decision(instance, allocation, tuple(orders))

    def _capacity(self, facts: SiteFacts, *, now: datetime, now_s: float) -> dict[str, CircuitCapacity]:
        """What each circuit leaves to its chargers, as far as it is metered, by what was read there."""
        held = {charger_id: reserved(known.stage, now_s).vector for charger_id, known in self._known.items()}
        meters = self._meters.look(facts, held, limits_of(facts), now=now, now_s=now_s)
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
    def _accepted(known: _Known, order: Order, now_s: float) -> None:
        if order.number is not None:
            known.position = confirmed(known.position, order.number, now_s)
            known.stage = acknowledged(known.stage, order.number, now_s)
            return
        known.has_default = True
        known.is_default_said = known.default_serial == order.serial
        if known.session_id is None:
            _hold_default(known, now_s)

    def is_wanted(self, order: Order) -> bool:
        """Whether the order may still go out: the charger is here, and over the connection for which it was made."""
        known = self._known.get(order.charger_id)
        return known is not None and known.epoch == order.epoch

    def stage(self, charger_id: UUID) -> ChargerStage | None:
        """How a charger stands; None when the site has none of that id."""
        known = self._known.get(charger_id)
        return known.stage if known else None

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
                known = self._known[charger.id] = _first_known(charger, network, now=now, now_s=now_s)
            self._observe_charger(known, charger, network, now=now, now_s=now_s)

    def _observe_charger(
        self, known: _Known, charger: ChargerFacts, network: Network, *, now: datetime, now_s: float
    ) -> None:
        if charger.epoch != known.epoch:
            # What a charger held before it went away is not known to be in force when it is back.
            known.stage = reconnected(known.stage, now_s)
            known.epoch, known.has_default, known.default_said = charger.epoch, False, None
            known.position = called_off(known.position, now_s)
        known.stage = replace(
            known.stage,
            circuit=str(charger.circuit_id),
            wiring=in_grid_order(wiring_of(charger, network)),
            # What it holds may be from before its maximum was lowered, until something newer is known.
            max_current=max(charger.max_current_a, 0.0 if known.stage.confirmed else known.stage.max_current),
            min_current=charger.min_current_a,
            is_online=charger.is_online,
        )
        known.stage = replace(known.stage, keeps_schedule=charger.capabilities.keeps_schedules)
        known.is_open = _contactor_is_open(charger)
        if not charger.can_switch_phases and known.position.closed is not None:
            known.position = distrusted(known.position, now_s)
        known.memory = replace(known.memory, reclaim=_watched(known, charger, now_s))
        self._observe_draw(known, charger, network, now=now, now_s=now_s)
        session_id = charger.session.id if charger.session else None
        if session_id != known.session_id:
            known.session_id = session_id
            known.memory = ChargerMemory()
            known.position = _position_of_a_new_session(charger, network, now=now, now_s=now_s)
            known.stopped_until_s = float("-inf")
            known.fallbacks.session.clear()
            # A session's profile ends with it (OCPP 1.6 §3.13.1): the default is in force, where it was acknowledged.
            if known.has_default:
                age_s = (now - charger.session.started_at).total_seconds() if charger.session else 0.0
                _hold_default(known, now_s, since_s=now_s - max(0.0, age_s))
            else:
                known.stage = replace(reconnected(known.stage, now_s), is_online=charger.is_online)
        known.stage = replace(settled(known.stage, now_s), fallback=known.fallbacks.on(known.stage.wiring))
        known.stage = _lapsed(known.stage, now_s) if session_id else _idle(known, now_s)
        cools_s = charger.capabilities.phase_switch_pause_s
        position = advanced(known.position, known.stage, wiring_of(charger, network), cools_s=cools_s, now_s=now_s)
        if position.switches != known.position.switches:
            # Some cars do something else on other lines: what was learnt of this one is no longer known.
            evidence = replace(NOTHING_KNOWN, last_s=known.memory.evidence.last_s)
            known.memory = replace(known.memory, evidence=evidence, reclaim=NOTHING_RECLAIMED)
        known.position = position
        lines = position.will_load(wiring_of(charger, network), known.memory.evidence.phases, network)
        known.stage = replace(known.stage, spread=spread(known.memory.evidence.phases, lines, network))

    def _observe_draw(
        self, known: _Known, charger: ChargerFacts, network: Network, *, now: datetime, now_s: float
    ) -> None:
        age_s = None if charger.measured_at is None else (now - charger.measured_at).total_seconds()
        is_dated = age_s is not None and age_s >= -CLOCK_SLACK_S
        at_s = now_s - max(0.0, age_s or 0.0)
        if is_dated and all(draw is not None for draw in charger.measured):
            known.stage = measured(known.stage, _vector(charger.measured), at_s)
        if charger.session is None and known.is_open:
            known.stage = measured(known.stage, NO_CURRENT, now_s)
        elif is_dated and charger.session is not None and at_s > known.memory.evidence.last_s:
            wiring, evidence = wiring_of(charger, network), known.memory.evidence
            if at_s > known.position.last_s and is_contradicted(known.position, _vector(charger.measured)):
                known.position = distrusted(known.position, now_s)
            if known.position.closed is None:
                evidence = learnt(evidence, measured=charger.measured, wiring=wiring, at_s=at_s)
            known.stage = relined(known.stage, known.position.loads(wiring, evidence.phases, network))
            evidence = judged(evidence, beyond_a=max(beyond(known.stage, now_s)), at_s=at_s)
            known.stage = relined(known.stage, known.position.loads(wiring, evidence.phases, network))
            known.memory = replace(known.memory, evidence=evidence)
            draw = max(drawn or 0.0 for drawn in charger.measured)
            known.memory = replace(known.memory, reclaim=_reclaimed(known, Sample(draw, at_s), charger.min_current_a))

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
            if _switching(charger, positions[charger.id], facts) is not Switching.NONE
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
            str(charger.id): _switching(charger, self._known[charger.id].position, facts) for charger in facts.chargers
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
                    state=_shown_state(self._known[UUID(charger.id)], charger.state, now_s),
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
            command = OfferCurrent(steps=_steps(default_schedule(fallback_a)), transaction_id=None)
            serial = known.default_serial = _said(known, fallback_a, is_default=True)
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
                    steps=_steps(
                        offer_schedule(step.offer.current, fallback_a),
                        *_wire_phases(charger, known.position, facts),
                    ),
                    transaction_id=charger.session.transaction_id,
                ),
                charger.epoch,
                fallback_a,
                known.stage.targets[-1].number,
                serial=_said(known, fallback_a, is_default=False),
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


def _offerable(setpoint: Setpoint, known: _Known) -> Setpoint:
    """The set-point as an offer."""
    if known.position.is_turning:
        return replace(setpoint, current=0.0, phases=())
    factor = known.stage.spread
    return replace(setpoint, current=round(setpoint.current / factor, DECIMALS)) if factor > 1 else setpoint


def _reclaimed(known: _Known, sample: Sample, min_current: float) -> Reclaim:
    """What the car leaves of its offer, after one more sample."""
    return observed(
        known.memory.reclaim, sample, min_current=min_current, charging_since_s=known.memory.turn.charging_since_s
    )


def _shown_state(known: _Known, state: ChargerState, now_s: float) -> ChargerState:
    """What the balancer owes a charger, by what it was seen to do beside what it says."""
    if not state.is_controllable:
        return state
    if now_s < known.stopped_until_s:
        return ChargerState.IDLE
    since_s = known.memory.turn.charging_since_s
    if state is ChargerState.FINISHED:
        is_starting = since_s is not None and now_s - since_s < STARTS_WITHIN_S
        return ChargerState.CHARGING if is_starting else state
    return ChargerState.FINISHED if known.memory.reclaim.is_finished and state.wants_current else state


def _watched(known: _Known, charger: ChargerFacts, now_s: float) -> Reclaim:
    """What is known of the car's wish before anything is decided: its offer, and whether it, or its charger, said that it is done."""
    latest = known.stage.latest
    reclaim = offered(known.memory.reclaim, latest.current if latest else 0.0, now_s)
    since_s = known.memory.turn.charging_since_s
    if charger.mode is OperatingMode.FINISHED and (since_s is None or now_s - since_s >= STARTS_WITHIN_S):
        return finished(reclaim, now_s)
    if charger.mode is OperatingMode.CHARGING and all(drawn is None for drawn in charger.measured):
        # Nothing but its word tells that it draws again.
        return replace(reclaim, is_finished=False)
    return woken(reclaim, now_s)


def _said(known: _Known, fallback_a: float, *, is_default: bool) -> int:
    """The serial number of what is sent now with that fallback, which may be in force from here on."""
    known.serial += 1
    known.fallbacks.sent(known.serial, fallback_a, is_default=is_default)
    known.stage = replace(known.stage, fallback=known.fallbacks.on(known.stage.wiring))
    return known.serial


def _hold_default(known: _Known, now_s: float, *, since_s: float | None = None) -> None:
    """The charger holds the default of 0 A: acknowledged, and confirmed as soon as nothing is drawn.

    It runs from the session's start, `since_s`. Whether none goes on is known only where the contactor is open; else a
    session that nobody told of yet may be at its fallback.
    """
    fallback = known.fallbacks.on(known.stage.wiring)
    is_sure = since_s is not None or known.is_open or fallback is None or fallback.current <= 0
    offer = NO_OFFER if is_sure or fallback is None else Offer(fallback.current, known.stage.wiring)
    stage = sent(known.stage, offer, now_s if since_s is None else since_s)
    known.stage = acknowledged(stage, stage.targets[-1].number, now_s)


def _idle(known: _Known, now_s: float) -> ChargerStage:
    """The stage of a charger without a session: its default does not run, and an open contactor ends every doubt."""
    stage = known.stage
    if not known.has_default or stage.confirmed is None or stage.confirmed != stage.latest:
        return stage
    if any(target.acknowledged_s is None for target in stage.targets):
        return stage
    return replace(stage, confirmed=NO_OFFER if known.is_open else stage.confirmed, confirmed_s=now_s, targets=())


def _lapsed(stage: ChargerStage, now_s: float) -> ChargerStage:
    """The stage of a session whose offer was not renewed in time, e.g. because renewals are refused: it is at its fallback."""
    if stage.confirmed is None or now_s - stage.last_sent_s < OFFER_ENDS_S:
        return stage
    current = stage.max_current if stage.fallback is None else stage.fallback.current
    if current <= stage.confirmed.current:
        return stage
    return replace(stage, confirmed=Offer(current, stage.wiring), targets=())


def _first_known(charger: ChargerFacts, network: Network, *, now: datetime, now_s: float) -> _Known:
    """A charger of which only the stored facts are known: its offers are not, its fallback may be.

    One that is in reach is unknown from now on; one that is not, since its last offer was sent.
    """
    wiring = in_grid_order(wiring_of(charger, network))
    known_fallback = charger.fallback_a if charger.fallback_a is not None else charger.offline_current_a
    last = charger.last_offer_at
    since_s = float("-inf") if last is None else now_s - (now - last).total_seconds()
    stage = ChargerStage(
        charger=str(charger.id),
        circuit=str(charger.circuit_id),
        wiring=wiring,
        max_current=charger.max_current_a,
        min_current=charger.min_current_a,
        current_step=OCPP_STEP_A,
        confirmed_s=now_s if charger.is_online else since_s,
        fallback=None if known_fallback is None else Fallback(known_fallback, wiring),
    )
    fallbacks = Fallbacks(default=[(0, known_fallback)], session=[(0, known_fallback)] if charger.session else [])
    session_id = charger.session.id if charger.session else None
    position = _position_of_a_new_session(charger, network, now=now, now_s=now_s)
    if charger.session is not None:
        # Another process may have switched it for this session; measurements will tell where that is not so.
        closed = tuple(line for line in wiring if line.value in charger.last_offer_phases)
        position = replace(position, closed=closed if 0 < len(closed) < len(wiring) else None)
    return _Known(stage, epoch=charger.epoch, session_id=session_id, fallbacks=fallbacks, position=position)


def _position_of_a_new_session(charger: ChargerFacts, network: Network, *, now: datetime, now_s: float) -> Position:
    """All wired lines are closed, as the default profile says, and the budget is whole.

    Without a neutral an unknown car is fed from one pair, where its charger can do that: its converters might share a line.
    """
    if charger.session is None:
        return WHOLE
    wiring = wiring_of(charger, network)
    is_held_to_pair = network is Network.IT_3 and charger.can_switch_phases and len(wiring) == 3
    closed = in_grid_order(wiring[:2]) if is_held_to_pair else None
    age_s = (now - charger.session.started_at).total_seconds()
    return Position(closed=closed, session_since_s=now_s - max(0.0, age_s))


def _vector(draws: tuple[float | None, float | None, float | None]) -> Vector:
    first, second, third = (draw or 0.0 for draw in draws)
    return (first, second, third)


def _contactor_is_open(charger: ChargerFacts) -> bool:
    """Whether the charger said on this connection that nothing can flow."""
    # One that was taken out of service says Unavailable, and lets nobody charge until it is in service again (OCPP 1.6 §4.9).
    is_shut = charger.connector_status is ConnectorStatus.UNAVAILABLE and not charger.is_enabled
    return (
        charger.is_online
        and (charger.connector_status in OPEN_CONTACTOR or is_shut)
        and charger.status_received_at is not None
        and charger.connected_at is not None
        and charger.status_received_at >= charger.connected_at
    )


def _rooms(instance: Instance) -> tuple[CircuitRoom, ...]:
    """What each circuit has for all managed chargers."""
    return tuple(CircuitRoom(one.id, one.parent, _room(one.fuse, one.other_load)) for one in instance.circuits)


def _room(fuse: Vector, other_load: Vector) -> Vector:
    first, second, third = (max(0.0, most - max(0.0, other)) for most, other in zip(fuse, other_load, strict=True))
    return (first, second, third)


def _switching(charger: ChargerFacts, position: Position, facts: SiteFacts) -> Switching:
    """Which lines the charger can close. Where the site keeps phases, all that are wired; one that was switched before can come back."""
    wiring = wiring_of(charger, NETWORKS[facts.network_type])
    is_wanted = facts.three_to_one_switch_a is not None or position.told is not None or position.closed is not None
    takes = charger.capabilities.takes_phase_to_use
    return switching_of(can_switch=charger.can_switch_phases and is_wanted, takes_phase_to_use=takes, wiring=wiring)


def _wire_phases(charger: ChargerFacts, position: Position, facts: SiteFacts) -> tuple[int | None, int | None]:
    """How many phases an offer names, and the terminal of the only one; nothing to a charger that cannot switch."""
    switching = _switching(charger, position, facts)
    if position.told is None:
        # Who was told once is told always: some take an offer without a word on phases as one to stay as they are.
        has_been_told = charger.can_switch_phases and position.switches > 0
        return (None, None) if switching is Switching.NONE and not has_been_told else (3, None)
    if switching is Switching.THREE_TO_ONE:
        return 1, None
    return 1, terminal_of(position.told, wiring_of(charger, NETWORKS[facts.network_type]))


def _steps(schedule: Schedule, phases: int | None = None, phase_to_use: int | None = None) -> tuple[OfferStep, ...]:
    """The schedule as the wire knows it; periods that change nothing are left out."""
    steps: list[OfferStep] = []
    for period in schedule:
        if not steps or steps[-1].current_a != period.current:
            steps.append(OfferStep(int(period.start_s), period.current, phases, phase_to_use))
    return tuple(steps)


def _with_finished(instance: Instance, allocation: Allocation) -> Allocation:
    """The allocation, with their minimum kept for cars that no longer ask, where nobody is waiting or limited by it.

    A car that finished may want to heat before it leaves; it can only ask again while something is offered.
    """
    wanting = {charger.id for charger in instance.chargers if charger.state.wants_current}
    short = {
        (setpoint.limiting_circuit, setpoint.limiting_line)
        for setpoint in allocation.setpoints
        if setpoint.charger in wanting and setpoint.limit not in (Limit.CAR, Limit.CHARGER, Limit.NONE)
    }
    paths = ancestors(instance.circuits)
    names = {
        charger.id
        for charger in instance.chargers
        if charger.state is ChargerState.FINISHED
        and not any(circuit in (None, *paths[charger.circuit]) for circuit, _ in short)
    }
    if not names:
        return allocation
    eased = allocate(replace(instance, chargers=tuple(_at_minimum(charger, names) for charger in instance.chargers)))
    before = allocation.by_charger()
    is_kept = all(_at_least(found, before) for found in eased.setpoints if found.charger in wanting)
    return eased if is_kept else allocation


def _at_minimum(charger: ChargerInput, names: set[str]) -> ChargerInput:
    if charger.id not in names:
        return charger
    return replace(
        charger, state=ChargerState.CHARGING, vehicle=replace(charger.vehicle, max_current=charger.min_current)
    )


def _at_least(found: Setpoint, before: Mapping[str, Setpoint]) -> bool:
    return found.current >= before[found.charger].current
