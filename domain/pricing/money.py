"""Money without fractions of cents: integer minor units inside, exact decimals at the edge. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from domain.codes import MINOR_DIGITS

MICRO = 1_000_000
"""Prices and rates are kept in millionths: six decimals, as the finest price lists have them."""
_MICRO_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency of ISO 4217."""

    amount: Decimal
    currency: str


def minor_digits(currency: str) -> int:
    """How many decimals amounts of the currency have: 2, but for the few that ISO 4217 lists with another number."""
    return MINOR_DIGITS.get(currency, 2)


def money(minor: int, currency: str) -> Money:
    """Minor units as an amount, with as many decimals as the currency has."""
    return Money(Decimal(minor).scaleb(-minor_digits(currency)), currency)


def price(micro: int, currency: str) -> Money:
    """A price, with as many decimals as the currency has, and up to six where it needs them."""
    return Money(decimal_of(micro, least=minor_digits(currency)), currency)


def decimal_of(micro: int, *, least: int = 0) -> Decimal:
    """Millionths as a decimal, without zeros at its end beyond the `least` number of decimals."""
    digits = 6
    while digits > least and micro % 10 == 0:
        micro //= 10
        digits -= 1
    return Decimal(micro).scaleb(-digits)


def micro_of(value: Decimal) -> int | None:
    """The value in millionths; None when it has more than six decimals."""
    if value != value.quantize(_MICRO_STEP):
        return None
    return int(value.scaleb(6))


def half_even(numerator: int, denominator: int) -> int:
    """The quotient rounded to a whole number, a half to the even one; exact at any size. The denominator is positive."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))
