"""A site under the real controller in virtual time: cars, chargers, meters and bad lines, all made up, second by second.

Nothing waits and nothing is by chance: the same scenario and seed have the same day.
"""

from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from typing import Final
from uuid import UUID

from balancing.controller import Decision, Order, SiteController
from balancing.explanation import records
from bench.closed_loop.cars import Charger
from bench.closed_loop.currents import line_currents
from bench.closed_loop.judge import ANSWERS_WITHIN_S, BLIND_S, UNANSWERED_S, Judge
from bench.closed_loop.scenario import ChargerPlan, Loss, Scenario, Vector
from domain.charging.modes import ModeFacts, operating_mode
from domain.current.offers import ChargerFacts, CircuitFacts, MeterFacts, SessionFacts, SiteFacts
from domain.equipment.capabilities import Capabilities
from domain.observations import ConnectorStatus
from domain.units import PhaseAmps

TICK_S: Final = 5
"""How often the controller looks; a real one looks as soon as a charger has answered, too."""
GIVES_UP_S: Final = 30
NOTICED_S: Final = 90
"""Three pings of 30 s without an answer: so long a charger that is gone seems to be there."""
BACK_WITHIN_S: Final = 20
"""After the portal's start chargers reconnect over so many seconds."""
NOON: Final = datetime(2026, 5, 4, 12, tzinfo=UTC)
_SITE: Final = UUID(int=1)


@dataclass(slots=True)
class Known:
    """What the database says of a charger."""

    charger_id: UUID
    is_online: bool = True
    epoch: int = 1
    status: ConnectorStatus = ConnectorStatus.AVAILABLE
    said_at_s: float = 0.0
    connected_at_s: float = 0.0
    measured: tuple[float | None, float | None, float | None] = (None, None, None)
    measured_at_s: float | None = None
    session: SessionFacts | None = None
    fallback_a: float | None = None
    last_offer_at: datetime | None = None
    allocated_a: float | None = None


@dataclass(slots=True)
class Link:
    """The connection to a charger: one order at a time, in order, late, or lost."""

    is_up: bool = True
    down_since_s: float = 0.0
    orders: deque[Order] = field(default_factory=deque)
    under_way: Order | None = None
    gives_up_s: float = 0.0
    arriving: deque[tuple[float, float, Order]] = field(default_factory=deque)
    """When, sent when, what."""
    answers: list[tuple[float, Order, bool]] = field(default_factory=list)
    last_arrival_s: float = 0.0

    def drop(self) -> None:
        """Whatever was under way is gone."""
        self.arriving.clear()
        self.answers.clear()


class Site:
    """One day of one site."""

    def __init__(self, scenario: Scenario, *, seed: int) -> None:
        self.scenario = scenario
        self.rng = Random(f"{seed}:{scenario.name}")
        self.now_s = 0
        self.chargers = [Charger(plan, scenario.network) for plan in scenario.chargers]
        self.known = [Known(UUID(int=1000 + number)) for number in range(len(self.chargers))]
        self.links = [Link() for _ in self.chargers]
        self.readings: dict[str, tuple[PhaseAmps, datetime]] = {}
        self.histories: dict[UUID, str] = {}
        self.circuit_ids = {circuit.name: UUID(int=10 + place) for place, circuit in enumerate(scenario.circuits)}
        self.below = {circuit.name: self._below(circuit.name) for circuit in scenario.circuits}
        self.judge = Judge(scenario)
        self.controller: SiteController | None = SiteController()
        self.decision: Decision | None = None
        """The newest one."""
        self.decisions = 0
        self.orders = 0
        self._losses = {id(loss): loss for loss in scenario.losses}
        for number in range(len(self.chargers)):
            self._report(number)

    def _paths(self, name: str) -> list[str]:
        parents = {circuit.name: circuit.parent for circuit in self.scenario.circuits}
        path = [name]
        while (above := parents[path[-1]]) is not None:
            path.append(above)
        return path

    def _below(self, name: str) -> list[str]:
        return [charger.name for charger in self.scenario.chargers if name in self._paths(charger.circuit)]

    def run(self) -> None:
        """The whole day."""
        while self.now_s < self.scenario.minutes * 60:
            self.second()

    def second(self) -> None:
        """One second passes."""
        self.now_s += 1
        self._lose()
        self._visits()
        for charger in self.chargers:
            charger.second(self.now_s)
        household = {circuit.name: self.household(circuit.name) for circuit in self.scenario.circuits}
        self._read_meters(household)
        for number in range(len(self.chargers)):
            self._report(number)
            self._carry(number)
        if self.controller is not None and self.now_s % TICK_S == 0:
            self._decide(self.controller)
        self.judge.second(self.chargers, household, self.below, answers_within_s=self._answers_within_s())

    def every_order(self, minutes: int, *, quick: bool) -> "list[Site]":
        """The same site for so long without a portal, once for each order in which its watchdogs can run out; quick: for some."""
        found = []
        for order in list(permutations(range(len(self.chargers))))[:: 5 if quick else 1]:
            site = deepcopy(self)
            site.controller = None
            for rank, number in enumerate(order):
                site.chargers[number].age_s = rank * 190.0 / max(1, len(order) - 1)
            for _ in range(minutes * 60):
                site.second()
            found.append(site)
        return found

    def _active(self, what: str) -> list[Loss]:
        return [
            loss
            for loss in self.scenario.losses
            if loss.what == what and loss.at_s <= self.now_s < loss.at_s + loss.for_s
        ]

    def _answers_within_s(self) -> int:
        """How long a jump of what is not ours may last before it is our own doing."""

        def is_on(what: str, after_s: int) -> bool:
            found = (one for one in self.scenario.losses if one.what == what)
            return any(0 <= self.now_s - one.at_s < one.for_s + after_s for one in found)

        if is_on("portal", BLIND_S) or is_on("charger", BLIND_S):
            return UNANSWERED_S
        return BLIND_S if self.scenario.link.is_bad or is_on("meter", ANSWERS_WITHIN_S) else ANSWERS_WITHIN_S

    def _lose(self) -> None:
        is_portal_lost = bool(self._active("portal"))
        lost = {name for loss in self._active("charger") for name in loss.names}
        if is_portal_lost and self.controller is not None:
            self.controller = None
            for line in self.links:
                line.orders.clear()
                line.under_way = None
        if not is_portal_lost and self.controller is None and not self.scenario.is_every_order:
            self.controller = SiteController()
            for known in self.known:
                known.is_online = False
        for number, (charger, line) in enumerate(zip(self.chargers, self.links, strict=True)):
            is_down = is_portal_lost or charger.plan.name in lost
            if is_down and line.is_up:
                line.is_up, line.down_since_s = False, self.now_s
                line.drop()
            elif not is_down and not line.is_up and self._is_back():
                self._reconnect(number)
            elif not line.is_up and self.now_s - line.down_since_s >= NOTICED_S:
                self.known[number].is_online = False

    def _is_back(self) -> bool:
        return self.rng.random() < 2 / BACK_WITHIN_S

    def _reconnect(self, number: int) -> None:
        known, line = self.known[number], self.links[number]
        line.is_up = True
        line.drop()
        known.epoch, known.is_online, known.connected_at_s = known.epoch + 1, True, float(self.now_s)
        self._say_status(number)

    def _visits(self) -> None:
        for charger in self.chargers:
            plan = charger.plan.car
            if plan is None:
                continue
            if charger.session_number == 0 and self.now_s >= plan.plugs_at_s:
                charger.plug(plan, self.now_s)
            if charger.car is not None and plan.leaves_at_s is not None and self.now_s >= plan.leaves_at_s:
                charger.unplug()

    def household(self, name: str) -> Vector:
        """What flows there besides chargers, inclusive of what is below."""
        total = [0.0, 0.0, 0.0]
        for circuit in self.scenario.circuits:
            if name in self._paths(circuit.name):
                levels = [value for at_s, value in circuit.household_a if at_s <= self.now_s]
                for place, value in enumerate(levels[-1] if levels else (0.0, 0.0, 0.0)):
                    total[place] += value
        return (total[0], total[1], total[2])

    def _read_meters(self, household: dict[str, Vector]) -> None:
        lost = {name for loss in self._active("meter") for name in loss.names}
        for circuit in self.scenario.circuits:
            is_due = circuit.meter_s is not None and self.now_s % circuit.meter_s == 0
            if not is_due or circuit.name in lost or self.controller is None:
                continue
            names = set(self.below[circuit.name])
            mine = [place for place, charger in enumerate(self.chargers) if charger.plan.name in names]
            loads = [
                load
                for charger in (self.chargers[place] for place in mine)
                if charger.car is not None
                for load in charger.loads(charger.car.draw_a + charger.extra_a)
            ]
            flowing = line_currents(loads, self.scenario.network)
            first, second, third = (a + b for a, b in zip(flowing, household[circuit.name], strict=True))
            self.readings[circuit.name] = (PhaseAmps(first, second, third), NOON + timedelta(seconds=self.now_s))

    def _report(self, number: int) -> None:
        """What the charger says of itself, as far as it is heard."""
        charger, known, line = self.chargers[number], self.known[number], self.links[number]
        if not line.is_up:
            return
        if charger.status is not known.status or charger.transaction_id != _told(known):
            self._say_status(number)
        every_s = charger.plan.measures_every_s
        if every_s is not None and charger.car is not None and (self.now_s + number) % every_s == 0:
            known.measured, known.measured_at_s = charger.drawn, float(self.now_s)

    def _say_status(self, number: int) -> None:
        charger, known = self.chargers[number], self.known[number]
        known.status, known.said_at_s = charger.status, float(self.now_s)
        if charger.transaction_id is None:
            known.session = None
        elif charger.transaction_id != _told(known):
            known.session = SessionFacts(
                UUID(int=10_000 * (number + 1) + charger.session_number),
                charger.transaction_id,
                charger.plan.priority,
                is_paused=False,
                is_permitted=True,
                started_at=NOON + timedelta(seconds=charger.session_since_s),
            )

    def facts(self) -> SiteFacts:
        """The site as the database has it."""
        return SiteFacts(
            installation_id=_SITE,
            name=self.scenario.name,
            network_type=self.scenario.network,
            available=None,
            three_to_one_switch_a=self.scenario.three_to_one_switch_a,
            circuits=tuple(
                CircuitFacts(
                    self.circuit_ids[circuit.name],
                    None if circuit.parent is None else self.circuit_ids[circuit.parent],
                    circuit.name,
                    PhaseAmps(*circuit.fuse_a),
                    PhaseAmps(*circuit.assumed_a),
                    PhaseAmps(*circuit.safe_a),
                    self._meter(circuit.name),
                )
                for circuit in self.scenario.circuits
            ),
            chargers=tuple(
                self._charger_facts(plan, known) for plan, known in zip(self.scenario.chargers, self.known, strict=True)
            ),
        )

    def _meter(self, name: str) -> MeterFacts | None:
        """The last reading there; None before the first."""
        if name not in self.readings:
            return None
        reading, at = self.readings[name]
        return MeterFacts(reading, at, self.histories.get(self.circuit_ids[name]))

    def _charger_facts(self, plan: ChargerPlan, known: Known) -> ChargerFacts:
        mode = operating_mode(
            ModeFacts(known.status, known.session is not None, is_paused=False, allocated_a=known.allocated_a)
        )
        return ChargerFacts(
            id=known.charger_id,
            circuit_id=self.circuit_ids[plan.circuit],
            name=plan.name,
            phase_rotation=plan.rotation,
            min_current_a=plan.min_a,
            max_current_a=plan.max_a,
            offline_current_a=plan.fallback_a,
            can_switch_phases=plan.can_switch,
            is_enabled=True,
            is_online=known.is_online,
            epoch=known.epoch,
            mode=mode,
            connector_status=known.status,
            status_received_at=NOON + timedelta(seconds=known.said_at_s),
            connected_at=NOON + timedelta(seconds=known.connected_at_s),
            measured=known.measured,
            measured_at=None if known.measured_at_s is None else NOON + timedelta(seconds=known.measured_at_s),
            session=known.session,
            fallback_a=known.fallback_a,
            last_offer_at=known.last_offer_at,
            capabilities=Capabilities(takes_phase_to_use=plan.takes_phase_to_use, keeps_schedules=plan.keeps_schedules),
        )

    def _decide(self, controller: SiteController) -> None:
        now = NOON + timedelta(seconds=self.now_s)
        facts = self.facts()
        self.decision = decision = controller.decide(facts, now=now, now_s=float(self.now_s))
        self.decisions += 1
        kept = records(facts, decision.allocation, controller, now=now, now_s=float(self.now_s))
        numbers = {known.charger_id: number for number, known in enumerate(self.known)}
        for record in kept:
            known = self.known[numbers[record.charger_id]]
            known.fallback_a, known.last_offer_at = record.fallback_a, record.targeted_at
            known.allocated_a = record.target_a
        self.histories.update(controller.meter_news(now=now, now_s=float(self.now_s)))
        for order in decision.orders:
            self.orders += 1
            self.links[numbers[order.charger_id]].orders.append(order)

    def _carry(self, number: int) -> None:
        """One second on the line to a charger."""
        line, charger, controller = self.links[number], self.chargers[number], self.controller
        late_s, lost = self.scenario.link.late_s, self.scenario.link.lost
        if controller is None:
            return
        while line.under_way is None and line.orders:
            order = line.orders.popleft()
            if not controller.is_wanted(order):
                continue
            line.under_way, line.gives_up_s = order, self.now_s + GIVES_UP_S
            if line.is_up and self.rng.random() >= lost:
                arrives_s = max(line.last_arrival_s, self.now_s + self.rng.uniform(0.1, late_s))
                line.last_arrival_s = arrives_s
                line.arriving.append((arrives_s, self.now_s, order))
        while line.arriving and line.arriving[0][0] <= self.now_s:
            _, sent_s, order = line.arriving.popleft()
            is_accepted = charger.accept(order.command, sent_s)
            if self.rng.random() >= lost:
                line.answers.append((self.now_s + self.rng.uniform(0.1, late_s), order, is_accepted))
        for answer in [one for one in line.answers if one[0] <= self.now_s]:
            line.answers.remove(answer)
            _, order, is_accepted = answer
            if order is line.under_way:
                line.under_way = None
                controller.answered(order, is_accepted=is_accepted, is_refused=not is_accepted, now_s=self.now_s)
        if line.under_way is not None and self.now_s >= line.gives_up_s:
            order, line.under_way = line.under_way, None
            controller.answered(order, is_accepted=False, is_refused=False, now_s=self.now_s)


def _told(known: Known) -> str | None:
    return None if known.session is None else known.session.transaction_id


def days(scenario: Scenario, *, seed: int, quick: bool) -> Sequence[Site]:
    """The scenario lived, once for each of its variants and orders."""
    found = []
    for variant in scenario.variants(quick=quick):
        if not variant.is_every_order:
            site = Site(variant, seed=seed)
            site.run()
            found.append(site)
            continue
        [lost] = [loss for loss in variant.losses if loss.what == "portal"]
        site = Site(replace(variant, losses=()), seed=seed)
        while site.now_s < lost.at_s:
            site.second()
        found.extend(site.every_order(lost.for_s // 60, quick=quick))
    return found
