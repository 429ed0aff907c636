"""A simulated car: what it draws of what it is offered, and its own account of the energy (pure)."""

from dataclasses import dataclass, field

MIN_CURRENT_A = 6.0
"""IEC 61851-1: a pilot below it offers nothing."""
VOLTAGE_V = 230.0
TERMINALS = 3
JOULES_PER_WH = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CarSpec:
    """A kind of car: on how many of the charger's terminals it draws, how much at most, and when it is full."""

    phases: int = 3
    max_current_a: float = 16.0
    energy_wanted_wh: float = 50_000.0
    ramp_a_per_s: float = 3.0
    """How fast it takes more; less it takes at once, as IEC 61851-1 asks within 5 s."""

    def __post_init__(self) -> None:
        if self.phases not in (1, 2, 3):
            raise ValueError(f"a car has 1 to 3 phases, not {self.phases}")


@dataclass(slots=True)
class Car:
    """A car at a charger. `energy_wh` is by terminal, integrated by the car itself and never rounded."""

    spec: CarSpec
    current_a: float = 0.0
    phases: int = 0
    energy_wh: list[float] = field(default_factory=lambda: [0.0] * TERMINALS)

    @property
    def total_wh(self) -> float:
        """All that it took."""
        return sum(self.energy_wh)

    @property
    def is_full(self) -> bool:
        """Whether it wants no more."""
        return self.total_wh >= self.spec.energy_wanted_wh

    @property
    def currents(self) -> tuple[float, float, float]:
        """What it draws now, by terminal."""
        return (
            self.current_a if self.phases > 0 else 0.0,
            self.current_a if self.phases > 1 else 0.0,
            self.current_a if self.phases > 2 else 0.0,
        )

    def step(self, dt_s: float, *, offered_a: float, phases: int = TERMINALS) -> None:
        """The next `dt_s` seconds under this offer on this many terminals."""
        wanted = 0.0 if self.is_full or offered_a < MIN_CURRENT_A else min(offered_a, self.spec.max_current_a)
        risen = max(self.current_a, MIN_CURRENT_A) + self.spec.ramp_a_per_s * dt_s
        self.current_a = min(wanted, risen)
        self.phases = min(self.spec.phases, phases)
        taken = self.current_a * VOLTAGE_V * dt_s / JOULES_PER_WH
        for terminal in range(self.phases):
            self.energy_wh[terminal] += taken
