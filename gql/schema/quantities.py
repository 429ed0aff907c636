"""Amounts that several types show."""

from decimal import Decimal

import strawberry

from domain import units


@strawberry.type(description="One value per grid line, in ampere.")
class PhaseAmps:
    """Read from domain.units.PhaseAmps."""

    l1: float
    l2: float
    l3: float


@strawberry.input(description="One value per grid line, in ampere.")
class PhaseAmpsInput:
    """Becomes domain.units.PhaseAmps."""

    l1: float
    l2: float
    l3: float

    def to_domain(self) -> units.PhaseAmps:
        """The same as the domain knows it."""
        return units.PhaseAmps(self.l1, self.l2, self.l3)


@strawberry.type(description="An amount of money.")
class Money:
    """Read from a row with these attributes."""

    amount: Decimal
    currency: str
