"""What a day was like by true currents: fuses, waits, switches, and energy against what foresight could have delivered. Pure."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from bench.closed_loop.cars import LEAST_PILOT_A, Charger
from bench.closed_loop.currents import line_currents
from bench.closed_loop.scenario import CircuitPlan, Scenario, Vector

ANSWERS_WITHIN_S: Final = 30
"""How long a jump of what is not ours may lead the site above a fuse."""
BLIND_S: Final = 120
"""The same while a meter says nothing: 60 s until it counts as lost, 15 s for a charger to answer, and the cars' ramps; or while
messages are lost, which are said again after 30 s."""
UNANSWERED_S: Final = 3600
"""The same while nobody can answer, because the portal or a charger is out of reach: what was granted stands until it runs out."""
NOTICEABLE_A: Final = 0.05
ROTATION_S: Final = 900
SWAP_S: Final = 25
"""From a car's turn to its current: a look, a reduction on its way, the other car's ramp, a sample, another look, and the pilot."""
FAR_ABOVE: Final = 1.13
"""A breaker may open within an hour above this (IEC 60898-1 §9.10.1)."""


@dataclass(slots=True)
class Fuse:
    """One circuit's lines over the day."""

    plan: CircuitPlan
    own_s: int = 0
    """Seconds above the fuse that no jump of other load explains."""
    worst_own_a: float = 0.0
    longest_above_s: int = 0
    longest_far_above_s: int = 0
    _above_s: list[int] = field(default_factory=lambda: [0, 0, 0])
    _far_above_s: list[int] = field(default_factory=lambda: [0, 0, 0])
    _other: deque[Vector] = field(default_factory=lambda: deque(maxlen=UNANSWERED_S))

    def second(self, obedient: Vector, other: Vector, *, answers_within_s: int) -> None:
        """One second with these currents: of cars that keep to their pilots, and of all else."""
        self._other.append(other)
        recent = list(islice(reversed(self._other), answers_within_s))
        can_answer = answers_within_s < UNANSWERED_S
        worst_a = 0.0
        for place, fuse in enumerate(self.plan.fuse_a):
            lowest = min(vector[place] for vector in recent)
            worst_a = max(worst_a, min(obedient[place], obedient[place] + lowest - fuse))
            flowing = obedient[place] + other[place]
            self._above_s[place] = self._above_s[place] + 1 if can_answer and flowing > fuse + NOTICEABLE_A else 0
            self._far_above_s[place] = self._far_above_s[place] + 1 if can_answer and flowing > FAR_ABOVE * fuse else 0
        self.own_s += worst_a > NOTICEABLE_A
        self.worst_own_a = max(self.worst_own_a, worst_a)
        self.longest_above_s = max(self.longest_above_s, *self._above_s)
        self.longest_far_above_s = max(self.longest_far_above_s, *self._far_above_s)


@dataclass(slots=True)
class Wait:
    """How long a car that wants current got none, at the longest."""

    now_s: int = 0
    longest_s: int = 0
    first_s: int = 0
    """Until it got any."""
    begins: int = 0
    """How often current began to be offered."""
    was_served: bool = False

    def second(self, *, wants: bool, is_served: bool) -> None:
        """One more second."""
        self.now_s = self.now_s + 1 if wants and not is_served else 0
        self.longest_s = max(self.longest_s, self.now_s)
        if not self.begins and not is_served:
            self.first_s = self.now_s
        self.begins += is_served and not self.was_served
        self.was_served = is_served


@dataclass(slots=True)
class Judge:
    """Watches a site second by second."""

    scenario: Scenario
    fuses: dict[str, Fuse] = field(init=False)
    waits: dict[str, Wait] = field(init=False)
    other: list[dict[str, Vector]] = field(default_factory=list)
    """What flowed besides chargers, second by second, for the offline bound."""

    def __post_init__(self) -> None:
        self.fuses = {circuit.name: Fuse(circuit) for circuit in self.scenario.circuits}
        self.waits = {charger.name: Wait() for charger in self.scenario.chargers}

    def second(
        self,
        chargers: Sequence[Charger],
        household: Mapping[str, Vector],
        below: Mapping[str, Sequence[str]],
        *,
        answers_within_s: int,
    ) -> None:
        """One second passed. `below`: the names of the chargers below each circuit; household likewise sums what is below."""
        network = self.scenario.network
        by_name = {charger.plan.name: charger for charger in chargers}
        for name, fuse in self.fuses.items():
            found = [charger for one in below[name] if (charger := by_name[one]).car is not None]
            obedient = line_currents([load for c in found if c.car for load in c.loads(c.car.draw_a)], network)
            greedy = line_currents([load for c in found if c.extra_a for load in c.loads(c.extra_a)], network)
            other = _added(household[name], greedy)
            fuse.second(obedient, other, answers_within_s=answers_within_s)
        for charger in chargers:
            wants = charger.car is not None and not charger.car.is_full
            is_served = charger.car is not None and charger.pilot_a >= LEAST_PILOT_A
            self.waits[charger.plan.name].second(wants=wants, is_served=is_served)
        self.other.append(dict(household))


def _added(one: Vector, other: Vector) -> Vector:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])


@dataclass(frozen=True, slots=True)
class Verdict:
    """A day in figures."""

    name: str
    own_s: int
    longest_above_s: int
    longest_far_above_s: int
    longest_wait_s: int
    first_wait_s: int
    begins: int
    switches: int
    under_load: int
    delivered_kwh: float
    wait_of_bound: float | None
    """The longest wait as part of ((⌈n/S⌉ - 1) rotations and swaps); None where cars are not equal."""
    energy: float | None
    """Of the offline bound; None where none was asked for."""
    broken: tuple[str, ...]
    """What was asked for and does not hold."""


def verdict(judge: Judge, chargers: Sequence[Charger], *, bound: Callable[[], float | None] = lambda: None) -> Verdict:
    """The day in figures, and which of them are not as asked."""
    asks = judge.scenario.asks
    delivered = {charger.plan.name: charger.delivered_wh / 1000 for charger in chargers}
    waits = {name: wait.longest_s for name, wait in judge.waits.items()}
    firsts = {name: wait.first_s for name, wait in judge.waits.items()}
    waited_s = waits[asks.wait_of] if asks.wait_of else max(waits.values(), default=0)
    first_s = firsts[asks.wait_of] if asks.wait_of else max(firsts.values(), default=0)
    own_s = sum(fuse.own_s for fuse in judge.fuses.values())
    above_s = max(fuse.longest_above_s for fuse in judge.fuses.values())
    far_s = max(fuse.longest_far_above_s for fuse in judge.fuses.values())
    is_slow = judge.scenario.link.is_bad or any(loss.what == "meter" for loss in judge.scenario.losses)
    most_s = BLIND_S if is_slow else ANSWERS_WITHIN_S
    under_load = sum(charger.under_load for charger in chargers)
    best = bound()
    energy = None if best is None or best <= 0 else sum(delivered.values()) / best
    broken = []
    if own_s:
        worst_a = max(fuse.worst_own_a for fuse in judge.fuses.values())
        broken.append(f"{own_s} s above a fuse by our own doing, by {worst_a:.2f} A")
    if above_s > most_s:
        broken.append(f"{above_s} s above a fuse after a jump")
    if far_s > (BLIND_S if is_slow else 60):
        broken.append(f"{far_s} s above 113 %")
    if under_load:
        broken.append(f"lines changed {under_load} times while current flowed")
    if asks.longest_wait_min is not None and waited_s > asks.longest_wait_min * 60:
        broken.append(f"{waited_s / 60:.1f} min waited")
    wait_of_bound = None
    if asks.places is not None:
        turns = math.ceil(len(waits) / asks.places) - 1
        wait_of_bound = waited_s / (turns * (ROTATION_S + SWAP_S))
        if wait_of_bound > 1:
            broken.append(f"{waited_s / 60:.1f} min waited, {wait_of_bound:.3f} of the bound")
    if asks.first_wait_min is not None and first_s > asks.first_wait_min * 60:
        broken.append(f"{first_s / 60:.1f} min until it was served")
    if asks.least_energy is not None and energy is not None and energy < asks.least_energy:
        broken.append(f"{energy:.3f} of the energy that foresight delivers")
    if asks.most_switches is not None and max(c.switches for c in chargers) > asks.most_switches:
        broken.append(f"{max(c.switches for c in chargers)} switches of one car")
    broken += [
        f"{name} got {delivered[name]:.2f} kWh"
        for name, least in (asks.least_kwh or {}).items()
        if delivered[name] < least
    ]
    begins = sum(wait.begins for wait in judge.waits.values())
    switches = sum(charger.switches for charger in chargers)
    return Verdict(
        judge.scenario.name, own_s, above_s, far_s, waited_s, first_s, begins, switches, under_load,
        sum(delivered.values()), wait_of_bound, energy, tuple(broken),
    )  # fmt: skip
