"""Quantities of the domain: which unit a number has, and how it is shown at the edge."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NewType, Self

Amps = NewType("Amps", float)
"""Ampere RMS per conductor."""

WattHours = NewType("WattHours", int)
"""Energy inside is whole Wh: SQLite would sum decimals as floats."""

MILLI = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class PhaseAmps:
    """One value per grid line, in ampere."""

    l1: float
    l2: float
    l3: float

    @classmethod
    def even(cls, amps: float) -> Self:
        """The same current on every line."""
        return cls(amps, amps, amps)

    def as_tuple(self) -> tuple[float, float, float]:
        """(L1, L2, L3)."""
        return (self.l1, self.l2, self.l3)

    def fits(self, limit: "PhaseAmps") -> bool:
        """Whether no line is above the limit's."""
        return all(mine <= most for mine, most in zip(self.as_tuple(), limit.as_tuple(), strict=True))


def kwh(energy_wh: int) -> Decimal:
    """Wh as exact kWh with three decimals."""
    return (Decimal(energy_wh) / 1000).quantize(MILLI)


def wh(energy_kwh: Decimal) -> WattHours:
    """kWh as whole Wh, rounded half-even once."""
    return WattHours(int((energy_kwh * 1000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)))
