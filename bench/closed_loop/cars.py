"""Chargers and cars as they really are, second by second: what a charger holds, what its pilot says, what the car draws. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from balancing.circuit import Lines, in_grid_order
from balancing.site import WIRINGS
from bench.closed_loop.currents import line_currents
from bench.closed_loop.scenario import CarPlan, ChargerPlan, Vector
from domain.observations import ConnectorStatus
from domain.ports import OfferCurrent, OfferStep
from domain.roles import NetworkType

PILOT_DELAY_S: Final = 5
"""From what a charger holds to what its pilot says; the car follows from there (IEC 61851-1 Annex A allows twice as much)."""
LEAST_PILOT_A: Final = 6.0
NEUTRAL_V: Final = 230.0
UNDER_LOAD_A: Final = 0.5
SQRT3: Final = 3**0.5


@dataclass(frozen=True, slots=True)
class Held:
    """A profile that a charger accepted, and since when its schedule runs."""

    steps: tuple[OfferStep, ...]
    start_s: float

    def at(self, now_s: float) -> OfferStep:
        """The step that holds now."""
        return [step for step in self.steps if step.after_s <= max(0.0, now_s - self.start_s)][-1]


@dataclass(slots=True)
class Car:
    """A car that is plugged in."""

    plan: CarPlan
    needs_wh: float
    draw_a: float = 0.0

    @classmethod
    def of(cls, plan: CarPlan) -> "Car":
        """As it comes, drawing nothing."""
        return cls(plan, plan.needs_kwh * 1000)

    @property
    def is_full(self) -> bool:
        """Whether it wants nothing more."""
        return self.needs_wh <= 0

    def wants_a(self, pilot_a: float) -> float:
        """What it is about to draw on each of its lines, obeying its pilot."""
        if pilot_a < LEAST_PILOT_A or self.is_full:
            return 0.0
        whole_wh = self.plan.needs_kwh * 1000 * self.plan.tapers_below
        part = min(1.0, self.needs_wh / whole_wh) if whole_wh else 1.0
        return min(pilot_a, max(1.0, self.plan.most_a * part))

    def follow(self, pilot_a: float) -> None:
        """One second passes."""
        wanted = self.wants_a(pilot_a)
        self.draw_a += max(-self.plan.ramp, min(self.plan.ramp, wanted - self.draw_a))


@dataclass(slots=True)
class Charger:
    """One charger with what it holds and who is plugged in."""

    plan: ChargerPlan
    network: NetworkType
    default: Held | None = None
    session: Held | None = None
    car: Car | None = None
    session_number: int = 0
    session_since_s: float = 0.0
    pilot_a: float = 0.0
    lines: Lines = ()
    """The lines that are closed."""
    under_load: int = 0
    """How often lines were changed while current flowed."""
    switches: int = 0
    delivered_wh: float = 0.0
    extra_a: float = 0.0
    """What the car draws beyond what it is offered."""
    age_s: float = 0.0
    """How much further its schedules are than it was told."""
    _on_the_way: deque[float] = field(default_factory=lambda: deque([0.0] * PILOT_DELAY_S))

    @property
    def wiring(self) -> Lines:
        """The grid lines at its terminals."""
        return WIRINGS[self.plan.rotation]

    @property
    def transaction_id(self) -> str | None:
        """The id of the session that goes on."""
        return None if self.car is None else f"{self.plan.name}/{self.session_number}"

    def plug(self, plan: CarPlan, now_s: float) -> None:
        """A car comes, and its session begins with the default profile."""
        self.car, self.session = Car.of(plan), None
        self.session_number += 1
        self.session_since_s = now_s

    def unplug(self) -> None:
        """The car is gone, and with it the session's profile (OCPP 1.6 §3.13.1)."""
        self.car = self.session = None

    def accept(self, command: OfferCurrent, start_s: float) -> bool:
        """Whether the command is taken; a session's only while that session goes on."""
        held = Held(command.steps, start_s)
        if command.transaction_id is None:
            self.default = held
            return True
        if command.transaction_id != self.transaction_id:
            return False
        self.session = held
        return True

    def step_now(self, now_s: float) -> OfferStep:
        """What it holds: the session's profile before the default; without any nothing limits it."""
        if not self.plan.keeps_schedules:
            held = self.session or self.default
            return held.steps[0] if held is not None else OfferStep(0, self.plan.max_a)
        now_s += self.age_s
        if self.session is not None:
            return self.session.at(now_s)
        if self.default is not None:
            return Held(self.default.steps, self.session_since_s).at(now_s)
        return OfferStep(0, self.plan.max_a)

    def second(self, now_s: float) -> None:
        """One second passes: pilot, contactor, car."""
        step = self.step_now(now_s)
        allowed_a = step.current_a if self.car is not None else 0.0
        self._on_the_way.append(min(allowed_a, self.plan.max_a))
        self.pilot_a = self._on_the_way.popleft()
        if self.car is None:
            self.lines, self.extra_a = (), 0.0
            return
        lines = self._lines(step, self.car.plan.phases)
        if lines != self.lines and self.lines:
            self.switches += 1
            self.under_load += self.car.draw_a > UNDER_LOAD_A
        self.lines = lines
        self.car.follow(self.pilot_a)
        is_greedy = self.car.draw_a > 0 and now_s - self.session_since_s >= self.car.plan.extra_from_s
        self.extra_a = self.car.plan.draws_extra_a if is_greedy else 0.0
        drawn_wh = self.power_w / 3600
        self.car.needs_wh -= drawn_wh
        self.delivered_wh += drawn_wh

    def _lines(self, step: OfferStep, phases: int) -> Lines:
        """The grid lines that its car loads: by wiring, by what the car uses, and by what is switched."""
        is_it = self.network in (NetworkType.IT_3_PHASE, NetworkType.IT_1_PHASE)
        narrow = 2 if is_it else 1
        if step.current_a <= 0 and self.lines:
            # What carries nothing is switched when it is about to carry something.
            return self.lines
        if self.plan.can_switch and step.phases == 1:
            first = (step.phase_to_use or 1) - 1 if self.plan.takes_phase_to_use else 0
            turned = self.wiring[first:] + self.wiring[:first]
            return turned[:narrow]
        used = max(phases, narrow) if phases < 3 else 3
        return self.wiring[: (narrow if is_it and phases < 3 else used)]

    def loads(self, current_a: float) -> list[tuple[float, Lines]]:
        """What that current is to its lines: one load, or those of two converters that share a line."""
        if self.car is not None and self.car.plan.is_two_converters and len(self.lines) == 3:
            first, second, third = self.lines
            return [(current_a, in_grid_order((first, second))), (current_a, in_grid_order((first, third)))]
        return [(current_a, self.lines)]

    @property
    def power_w(self) -> float:
        """What flows into the car."""
        if self.car is None:
            return 0.0
        loads = self.loads(self.car.draw_a + self.extra_a)
        is_it = self.network in (NetworkType.IT_3_PHASE, NetworkType.IT_1_PHASE)
        if is_it:
            return sum(NEUTRAL_V * current_a * (SQRT3 if len(lines) == 3 else 1.0) for current_a, lines in loads)
        return sum(NEUTRAL_V * current_a * len(lines) for current_a, lines in loads)

    @property
    def status(self) -> ConnectorStatus:
        """What it says of its connector."""
        if self.car is None:
            return ConnectorStatus.AVAILABLE
        if self.car.draw_a > 0 or (self.car.plan.says_charging and self.pilot_a >= LEAST_PILOT_A):
            return ConnectorStatus.CHARGING
        if self.pilot_a < LEAST_PILOT_A:
            return ConnectorStatus.SUSPENDED_EVSE
        return ConnectorStatus.SUSPENDED_EV if self.car.is_full else ConnectorStatus.CHARGING

    @property
    def drawn(self) -> Vector:
        """Ampere in each line, as the charger's own meter reads them."""
        if self.car is None:
            return (0.0, 0.0, 0.0)
        return line_currents(self.loads(self.car.draw_a + self.extra_a), self.network)
