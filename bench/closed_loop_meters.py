"""A circuit's meter and what is known from it: readings without the managed cars' measured draw, and their highest. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from balancing.circuit import NO_CURRENT, Vector
from balancing.failsafe import CircuitKnowledge, other_load_of, per_line
from bench.closed_loop_scenario import CircuitPlan

BEFORE_S: Final = 10.0
"""A charger's measurement so much older than the reading may still be of the same moment."""


@dataclass(slots=True)
class Samples:
    """A charger's measured draws, newest last."""

    taken: deque[tuple[float, Vector]] = field(default_factory=lambda: deque(maxlen=32))

    def lowest(self, since_s: float) -> Vector:
        """Per line the lowest draw since then, and of the last one before: what it said last may still be so."""
        found = [draw for at_s, draw in self.taken if at_s >= since_s]
        earlier = [draw for at_s, draw in self.taken if at_s < since_s]
        return per_line(lambda *values: min(values), *found, *earlier[-1:]) if found or earlier else NO_CURRENT


@dataclass(slots=True)
class Meter:
    """What one circuit's meter has said."""

    plan: CircuitPlan
    other: deque[tuple[float, Vector]] = field(default_factory=deque)

    def read(self, flowing: Vector, samples: Sequence[Samples], now_s: float) -> None:
        """A reading arrived."""
        managed = [sample.lowest(now_s - BEFORE_S) for sample in samples]
        draw = per_line(lambda *parts: sum(parts), NO_CURRENT, *managed)
        self.other.append((now_s, other_load_of(flowing, draw)))
        while self.other[0][0] < now_s - 900:
            self.other.popleft()

    def knowledge(self, circuit_id: str, parent: str | None, fuse: Vector, now_s: float) -> CircuitKnowledge:
        """What is known of the circuit now."""
        newest = self.other[-1] if self.other else None
        return CircuitKnowledge(
            id=circuit_id,
            parent=parent,
            fuse=fuse,
            is_metered=self.plan.meter_s is not None,
            other_load=None if newest is None else newest[1],
            age_s=None if newest is None else now_s - newest[0],
            period_s=float(self.plan.meter_s or 5),
            highest_60_s=self._highest(now_s - 60),
            highest_15_min=self._highest(now_s - 900),
            safe_current=self.plan.safe_a,
            assumed_other_load=self.plan.assumed_a,
        )

    def _highest(self, since_s: float) -> Vector | None:
        found = [load for at_s, load in self.other if at_s >= since_s]
        return per_line(lambda *values: max(values), *found) if found else None
