"""What is remembered of one charger between two decisions, and what each look at the facts adds to it. Pure."""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from balancing.circuit import NO_CURRENT, ChargerState, Fallback, Lines, Network, Previous, Vector, in_grid_order
from balancing.failsafe import NO_OFFER, OFFER_ENDS_S, Offer
from balancing.fallbacks import Fallbacks
from balancing.reclaim import NOTHING_RECLAIMED, STARTS_WITHIN_S, Reclaim, Sample, finished, observed, offered, woken
from balancing.rotation import Turn
from balancing.site import OCPP_STEP_A, ChargerMemory, wiring_of
from balancing.staging import ChargerStage, acknowledged, beyond, measured, reconnected, relined, sent, settled
from balancing.switching import WHOLE, Position, advanced, called_off, distrusted, is_contradicted
from balancing.vehicles import NOTHING_KNOWN, judged, learnt, phases_on, spread
from domain.current.offers import ChargerFacts, SettledOffer, StoredTurn
from domain.equipment.capabilities import Capabilities
from domain.observations import ConnectorStatus
from domain.roles import OperatingMode

CLOCK_SLACK_S = 5.0
"""A measurement from further in the future was stamped before the clock was set back: nobody knows how old it is."""

DAY_S = 86_400.0

OPEN_CONTACTOR = frozenset(
    {ConnectorStatus.AVAILABLE, ConnectorStatus.PREPARING, ConnectorStatus.FINISHING, ConnectorStatus.RESERVED}
)
"""States in which no energy can flow (OCPP 1.6 §4.9)."""


@dataclass(slots=True)
class Known:
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


def observe(known: Known, charger: ChargerFacts, network: Network, *, now: datetime, now_s: float) -> None:
    """What the facts say of the charger is known, as far as it changes what was known."""
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
    _observe_draw(known, charger, network, now=now, now_s=now_s)
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
            hold_default(known, now_s, since_s=now_s - max(0.0, age_s))
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


def _observe_draw(known: Known, charger: ChargerFacts, network: Network, *, now: datetime, now_s: float) -> None:
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


def first_known(charger: ChargerFacts, network: Network, *, now: datetime, now_s: float) -> Known:
    """A charger of which only the stored facts are known: what it holds where that was settled over this connection, and its fallback.

    Otherwise one that is in reach is unknown from now on; one that is not, since its last offer was sent.
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
        closed = _lines(charger.last_offer_phases, wiring)
        position = replace(position, closed=closed if 0 < len(closed) < len(wiring) else None)
    known = Known(stage, epoch=charger.epoch, session_id=session_id, fallbacks=fallbacks, position=position)
    if charger.settled is not None:
        _resume(known, charger, charger.settled, network, now=now, now_s=now_s)
    if charger.turn is not None:
        known.memory = replace(known.memory, turn=_turn_of(charger.turn, now=now, now_s=now_s))
    return known


def _resume(
    known: Known, charger: ChargerFacts, settled_offer: SettledOffer, network: Network, *, now: datetime, now_s: float
) -> None:
    """What another process knew of the charger is known here, as of when the offer was sent."""
    held = Offer(settled_offer.current_a, _lines(settled_offer.phases, known.stage.wiring))
    sent_s = now_s - max(0.0, (now - settled_offer.sent_at).total_seconds())
    known.stage = replace(known.stage, confirmed=held, confirmed_s=sent_s)
    if charger.session is None or held.current <= 0:
        return
    phases = None if charger.can_switch_phases else phases_on(held.lines, wiring_of(charger, network), network)
    known.memory = replace(
        known.memory,
        evidence=replace(known.memory.evidence, phases=phases),
        previous=Previous(held.current, held.lines),
    )


def _lines(phases: str, wiring: Lines) -> Lines:
    return tuple(line for line in wiring if line.value in phases)


def _turn_of(turn: StoredTurn, *, now: datetime, now_s: float) -> Turn:
    def since_s(at: datetime | None) -> float | None:
        return None if at is None else now_s - max(0.0, (now - at).total_seconds())

    return Turn(since_s(turn.waiting_since), since_s(turn.charging_since), turn.admitted_tier)


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


def _reclaimed(known: Known, sample: Sample, min_current: float) -> Reclaim:
    """What the car leaves of its offer, after one more sample."""
    return observed(
        known.memory.reclaim, sample, min_current=min_current, charging_since_s=known.memory.turn.charging_since_s
    )


def _watched(known: Known, charger: ChargerFacts, now_s: float) -> Reclaim:
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


def shown_state(known: Known, state: ChargerState, now_s: float) -> ChargerState:
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


def hold_default(known: Known, now_s: float, *, since_s: float | None = None) -> None:
    """The charger holds the default of 0 A: acknowledged, and confirmed as soon as nothing is drawn.

    It runs from the session's start, `since_s`. Whether none goes on is known only where the contactor is open; else a
    session that nobody told of yet may be at its fallback.
    """
    fallback = known.fallbacks.on(known.stage.wiring)
    is_sure = since_s is not None or known.is_open or fallback is None or fallback.current <= 0
    offer = NO_OFFER if is_sure or fallback is None else Offer(fallback.current, known.stage.wiring)
    stage = sent(known.stage, offer, now_s if since_s is None else since_s)
    known.stage = acknowledged(stage, stage.targets[-1].number, now_s)


def _idle(known: Known, now_s: float) -> ChargerStage:
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


def said(known: Known, fallback_a: float, *, is_default: bool) -> int:
    """The serial number of what is sent now with that fallback, which may be in force from here on."""
    known.serial += 1
    known.fallbacks.sent(known.serial, fallback_a, is_default=is_default)
    known.stage = replace(known.stage, fallback=known.fallbacks.on(known.stage.wiring))
    return known.serial
