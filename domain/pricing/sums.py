"""Sums of what charges cost, one for each currency; they add up exactly. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from domain.pricing.money import Money, money


class Sum(NamedTuple):
    """Of one currency, in minor units."""

    currency: str
    net_minor: int
    vat_minor: int

    @property
    def total_minor(self) -> int:
        """Net and VAT."""
        return self.net_minor + self.vat_minor

    @property
    def total(self) -> Money:
        """Net and VAT, as an amount."""
        return money(self.total_minor, self.currency)

    @property
    def vat(self) -> Money:
        """The VAT, as an amount."""
        return money(self.vat_minor, self.currency)

    @property
    def net(self) -> Money:
        """Without VAT, as an amount."""
        return money(self.net_minor, self.currency)


@dataclass(frozen=True, slots=True)
class Costs:
    """Sums by currency, in its order; none where no tariff applies. What `unknown_count` charges cost is not known, and not in them."""

    sums: tuple[Sum, ...] = ()
    unknown_count: int = 0

    def __bool__(self) -> bool:
        return bool(self.sums or self.unknown_count)

    def __add__(self, other: "Costs") -> "Costs":
        if not other:
            return self
        if not self:
            return other
        return Costs(_joined((*self.sums, *other.sums)), self.unknown_count + other.unknown_count)

    def __neg__(self) -> "Costs":
        return Costs(tuple(Sum(one.currency, -one.net_minor, -one.vat_minor) for one in self.sums), -self.unknown_count)

    @property
    def amounts(self) -> list[Money]:
        """Net and VAT, one for each currency."""
        return [one.total for one in self.sums]


def _joined(sums: Iterable[Sum]) -> tuple[Sum, ...]:
    found: dict[str, tuple[int, int]] = {}
    for one in sums:
        net, vat = found.get(one.currency, (0, 0))
        found[one.currency] = (net + one.net_minor, vat + one.vat_minor)
    return tuple(Sum(currency, net, vat) for currency, (net, vat) in sorted(found.items()))


NO_COSTS = Costs()
UNKNOWN = Costs(unknown_count=1)
