"""Minor units, prices and rounding."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.pricing.money import Money, half_even, micro_of, money, price


@pytest.mark.parametrize(
    ("currency", "shown"), [("NOK", "12.34"), ("JPY", "1234"), ("KWD", "1.234"), ("ISK", "1234"), ("XXX", "12.34")]
)
def test_minor_units_have_the_decimals_of_their_currency(currency: str, shown: str) -> None:
    """None, two or three."""
    assert money(1234, currency) == Money(Decimal(shown), currency)
    assert format(money(1234, currency).amount, "f") == shown


def test_a_price_has_up_to_six_decimals() -> None:
    """And at least those of its currency."""
    shown = [format(price(micro, "NOK").amount, "f") for micro in (1_500_000, 1_234_560, 1, 0, -250_000)]
    assert shown == ["1.50", "1.23456", "0.000001", "0.00", "-0.25"]
    assert format(price(5_000_000, "JPY").amount, "f") == "5"


def test_seven_decimals_are_too_many() -> None:
    """Nothing is rounded in silence."""
    assert [micro_of(Decimal(text)) for text in ("0.1234567", "0.123456", "1e11", "-3", "1.50000000")] == [
        None,
        123_456,
        10**17,
        -3_000_000,
        1_500_000,
    ]


@given(st.integers(-(10**18), 10**18), st.integers(1, 10**12))
def test_a_half_goes_to_the_even_number(numerator: int, denominator: int) -> None:
    """As the decimal module has it, at any size and sign."""
    assert half_even(2 * numerator + 1, 2) == int((Decimal(2 * numerator + 1) / 2).quantize(1, ROUND_HALF_EVEN))
    assert abs(half_even(numerator, denominator) * denominator - numerator) * 2 <= denominator
